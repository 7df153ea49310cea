"""Several images at once, and what happens when memory does not suffice for them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gem_ros import Grounder
from gem_ros.config import Config, replace
from gem_ros.errors import DecodeError, OutOfMemoryError


@pytest.fixture
def grounder(loaded):
    return Grounder(loaded, replace(Config(), {"model": "bundled", **loaded.card.defaults}))


def images(*sizes):
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def test_together_they_are_what_each_is_alone_in_their_order(grounder):
    given = images((96, 128), (128, 96), (96, 128), (192, 256))  # the first, third and last share an input size
    batches = []
    grounder._encoder.register_forward_pre_hook(lambda module, given: batches.append(tuple(given[0].shape)))
    together = grounder.encode_images(given)
    assert batches == [(3, 3, 80, 96), (1, 3, 96, 80)]  # 72 px are 4.5 patches
    for rgb, features in zip(given, together, strict=True):
        assert features.image_size == rgb.shape[:2]
        torch.testing.assert_close(features.tokens, grounder.encode_image(rgb).tokens, atol=1e-5, rtol=0)


def test_of_none_there_is_none_and_a_bad_one_is_refused(grounder):
    assert grounder.encode_images([]) == []
    with pytest.raises(DecodeError, match=r"expected a \(height, width, 3\)"):
        grounder.encode_images([*images((96, 96)), np.zeros((96, 96), np.uint8)])


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_pixels_are_resized_in_grey_levels_and_normalised(grounder, mode):
    grounder._preprocess.interpolation = mode
    (rgb,) = images((60, 90))
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
    picture = torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255
    expected = F.interpolate(picture, size=(64, 96), mode=mode, antialias=True, align_corners=False).clamp(0, 1)
    expected = (expected - mean[:, None, None]) / std[:, None, None]
    torch.testing.assert_close(grounder._preprocess(rgb, (64, 96)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("can't allocate memory")]
)
def test_want_of_memory_is_one_line_and_the_next_image_is_welcome(grounder, monkeypatch, error):
    freed = []
    monkeypatch.setattr("gem_ros.pipeline.free_memory", freed.append)

    def fail(pixels):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(grounder, "_encode", fail)
        with pytest.raises(OutOfMemoryError, match=r"^memory: expected enough on cpu for 2 x 96x96 px") as raised:
            grounder.encode_images(images((96, 96), (96, 96)))
    assert raised.value.__context__ is None  # else its tensors would stay
    assert freed == [grounder.device]
    assert grounder.encode_image(*images((96, 96))).tokens.shape == (6, 6, 32)


def test_other_errors_are_not_taken_for_want_of_memory(grounder, monkeypatch):
    def fail(pixels):
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(grounder, "_encode", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        grounder.encode_image(*images((96, 96)))


def test_how_the_model_runs_is_told(loaded, bundled):
    config = replace(Config(), {"model": "bundled", **loaded.card.defaults})
    assert Grounder(loaded, config).status == {"precision": "fp32", "attention": "fused", "compile": "off"}
    assert Grounder(loaded, replace(config, {"compile": "on"})).status["compile"] == "eager"
    half = Grounder.load(device="cpu", precision="bf16")
    assert half.status["precision"] == "bf16"
    assert (half.image_size(), half.image_size(replace(config, {"image_size": 160}))) == (96, 160)


@pytest.mark.gpu
def test_the_gpu_gives_what_the_cpu_gives(bundled):
    rgb = images((480, 640))[0]
    plain = Grounder.load(device="cpu", precision="fp32").encode_image(rgb).tokens
    fast = Grounder.load(device="cuda").encode_image(rgb).tokens
    assert F.cosine_similarity(plain, fast.cpu(), dim=-1).min() > 0.999

"""Embeddings outlive the process, and nothing that is wrong in the folder does harm."""

import os
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import open_clip
import pytest
import torch

from gem_ros import Grounder, models
from gem_ros.config import replace
from gem_ros.core.text import TextEncoder
from gem_ros.core.text_cache import PART, TextCache, fingerprint
from gem_ros.errors import ConfigError

TOKENIZER = open_clip.SimpleTokenizer(context_length=16)
ANOTHER_PROCESS = """
import sys; sys.path.insert(0, sys.argv[1])
import open_clip, torch
from conftest import ARCHITECTURE
from gem_ros.core.text import TextEncoder
torch.manual_seed(0)
clip = open_clip.CLIP(**ARCHITECTURE).eval()
encoder = TextEncoder(clip, open_clip.SimpleTokenizer(context_length=16), folder=sys.argv[2])
print(encoder.embed(["red ball", "door"]).sum().item(), encoder.encodings)
"""


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def start(random_clip, tmp_path):
    """A new encoder over the same folder, as after a new start."""
    return lambda **options: TextEncoder(random_clip, TOKENIZER, folder=tmp_path / "texts", **options)


def files(folder):
    return sorted((folder / "texts").iterdir())


def test_another_process_encodes_nothing(start, tmp_path, request):
    first = start().embed(["red ball", "door"])
    here = str(request.path.parent)
    given = [sys.executable, "-c", ANOTHER_PROCESS, here, str(tmp_path / "texts")]
    total, encodings = subprocess.run(given, capture_output=True, text=True, check=True).stdout.split()
    assert float(total) == pytest.approx(first.sum().item(), abs=1e-6)
    assert encodings == "0"


def test_what_was_kept_is_what_was_encoded_bit_by_bit(start):
    first, mixed = start(), start()
    encoded = first.embed(["door", "red ball"])
    torch.testing.assert_close(start().embed(["red ball", "door"]), encoded.flip(0), rtol=0, atol=0)
    torch.testing.assert_close(mixed.embed(["green ball", "door"])[1:], encoded[:1], rtol=0, atol=0)
    assert (first.encodings, mixed.encodings) == (2, 1)


def test_other_templates_weights_heads_or_tokenizers_are_not_mixed_up(random_clip):
    def other(change):
        torch.manual_seed(0)
        architecture = {"embed_dim": 32, "vision_cfg": dict(vision), "text_cfg": dict(text)}
        clip = open_clip.CLIP(**{**architecture, **change})
        return fingerprint(clip.eval(), TOKENIZER, ("{}",))

    vision = {"image_size": 64, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16}
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
    same = fingerprint(random_clip, TOKENIZER, ("{}",))
    assert other({}) == same
    assert other({"text_cfg": {**text, "heads": 4}}) != same
    assert other({"quick_gelu": True}) != same
    assert fingerprint(random_clip, TOKENIZER, ("a {}",)) != same
    assert fingerprint(random_clip, open_clip.SimpleTokenizer(context_length=77), ("{}",)) != same
    weight = random_clip.transformer.resblocks[0].mlp.c_fc.bias
    with torch.no_grad():
        weight[0] += 1
        changed = fingerprint(random_clip, TOKENIZER, ("{}",))
        weight[0] -= 1
    assert changed != same


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text"])
def test_a_damaged_file_is_told_and_written_anew(start, tmp_path, damage):
    expected = start().embed(["door"])
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    path.write_bytes({"empty": b"", "cut": whole[:-4], "flipped": flipped, "text": b"door"}[damage])
    encoder = start()
    with pytest.warns(UserWarning, match=r"text_cache: expected an embedding in .*, got a damaged file") as told:
        torch.testing.assert_close(encoder.embed(["door"]), expected)
    assert len(told) == 1 and encoder.encodings == 1
    assert path.read_bytes() == whole


def test_the_folder_is_bounded_and_forgets_the_oldest_use_but_no_strangers(random_clip, tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(b"of somebody else")
    for name, age in (("dead", 7200), ("alive", 0)):
        (tmp_path / f"{name}{PART}").touch()
        os.utime(tmp_path / f"{name}{PART}", (time.time() - age,) * 2)
    cache = TextCache(tmp_path, "identity", capacity=2)
    for second, text in enumerate(["a", "b", "c"]):
        if text == "c":
            assert cache.load("a") is not None  # used later than b
        cache.store({text: torch.full((4,), 0.5)})
        os.utime(cache._path(text), (second, second))
    assert [cache.load(text) is not None for text in "abc"] == [True, False, True]
    kept = {path.name for path in tmp_path.iterdir()}
    assert {"weights.safetensors", f"alive{PART}"} < kept and len(kept) == 4


def test_many_at_once_in_one_folder(tmp_path):
    """Threads stand for processes: each has a cache of its own, and they only meet in the folder."""
    vectors = {str(index): torch.full((64,), float(index)) for index in range(12)}
    wrong = []

    def work():
        cache = TextCache(tmp_path, "identity", capacity=6)
        for _ in range(3):
            for text, vector in vectors.items():
                cache.store({text: vector})
                found = cache.load(text)
                if found is not None and not torch.equal(found, vector):
                    wrong.append(text)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    TextCache(tmp_path, "identity", capacity=6).store({"last": vectors["0"]})
    assert len(list(tmp_path.iterdir())) == 6


def test_a_folder_that_cannot_be_is_refused_in_one_line(random_clip, tmp_path):
    (tmp_path / "texts").write_text("a file")
    with pytest.raises(ConfigError, match=r"^text_cache: expected a folder, .* got '.*/texts' \(File exists\)$"):
        TextEncoder(random_clip, TOKENIZER, folder=tmp_path / "texts")


def test_a_folder_that_vanishes_is_told_and_the_text_still_answered(start, tmp_path):
    encoder = start()
    (tmp_path / "texts").rmdir()
    with pytest.warns(UserWarning, match="text_cache: expected to write to"):
        assert encoder.embed(["door"]).shape == (1, 32)


def test_the_parameter_names_the_folder(bundled, tmp_path):
    config = replace(models.default_config("bundled"), {"text_cache": str(tmp_path / "deep" / "texts")})
    features = Grounder.load(config=config).encode_image(np.zeros((64, 64, 3), np.uint8))
    for encodings in (5, 0):
        grounder = Grounder.load(config=config)
        grounder.ground(features, ["red ball"])
        assert grounder.text.encodings == encodings

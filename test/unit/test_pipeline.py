"""From an image and texts to targets, on a small random model and on features made by hand."""

import dataclasses
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import gem_ros
from gem_ros import CameraIntrinsics, Grounder, Query, models
from gem_ros.config import METHODS, Config, replace
from gem_ros.core import similarity
from gem_ros.core.similarity import CANONICAL
from gem_ros.data import PatchFeatures
from gem_ros.errors import ConfigError, DecodeError, GemError, GeometryError, ModelError, QueryError
from gem_ros.geometry.refine import refine

CAMERA = CameraIntrinsics(width=160, height=128, fx=150.0, fy=150.0, cx=79.5, cy=63.5)
SIZE = (128, 160)
RED = (2, 3)  # patch (row, column) of 8x10 where the made-up features show a red ball
GREEN = (5, 7)


@pytest.fixture
def grounder(loaded):
    return Grounder(loaded, replace(Config(), {"model": "bundled", **loaded.card.defaults}))


@pytest.fixture
def features(grounder):
    """8x10 patches of 16 px that look like nothing, but for a red ball and, less clearly, a green one."""
    red, green, *canonical = grounder.text.embed(["red ball", "green ball", "object", "things", "stuff", "texture"])
    nothing = torch.nn.functional.normalize(torch.stack(canonical).mean(0) - 0.5 * (red + green), dim=0)
    tokens = nothing.repeat(8, 10, 1)
    tokens[RED], tokens[GREEN] = red, torch.nn.functional.normalize(green + 0.2 * nothing, dim=0)
    return PatchFeatures(tokens, SIZE)


@pytest.fixture
def sharp(loaded):
    """A card on which the random model's small differences decide: relevancy 0.5 is as good as a negative."""
    card = dataclasses.replace(
        loaded.card,
        relevancy=models.Relevancy("lerf", scale=1000.0),
        presence=models.Presence("relevancy", a=0.1, b=0.0),
    )
    return Grounder(dataclasses.replace(loaded, card=card), replace(Config(), {"model": "bundled", **card.defaults}))


def depth(metres=2.0):
    return np.full(SIZE, metres, np.float32)


def test_an_image_keeps_its_aspect_and_its_features_are_unit(grounder):
    features = grounder.encode_image(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8))
    assert features.tokens.shape == (5, 6, 32)  # 72 px are 4.5 patches; the card says 96 px
    assert features.image_size == (480, 640)
    torch.testing.assert_close(features.tokens.norm(dim=-1), torch.ones(5, 6))


def test_image_size_can_change_at_run_time(grounder):
    image = np.zeros((64, 64, 3), np.uint8)
    larger = replace(grounder.config, {"image_size": 160})
    assert grounder.encode_image(image, config=larger).tokens.shape[:2] == (10, 10)
    cards = replace(grounder.config, {"image_size": 0})
    assert grounder.encode_image(image, config=cards).tokens.shape[:2] == (6, 6)


def test_the_models_own_preprocessing_is_used(grounder):
    seen = []
    grounder._encoder.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    grounder.encode_image(np.full((96, 96, 3), (255, 0, 51), np.uint8))
    expected = [(1.0 - 0.5) / 0.2, (0.0 - 0.4) / 0.25, (0.2 - 0.3) / 0.3]
    torch.testing.assert_close(seen[0].mean(dim=(0, 2, 3)), torch.tensor(expected))


def test_read_only_and_strided_images_are_read_as_they_are(grounder, recwarn):
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    tokens = grounder.encode_image(image).tokens
    frozen = np.frombuffer(image.tobytes(), np.uint8).reshape(image.shape)
    torch.testing.assert_close(grounder.encode_image(frozen).tokens, tokens)
    bgr = image[..., ::-1].copy()
    torch.testing.assert_close(grounder.encode_image(bgr[..., ::-1]).tokens, tokens)
    assert not [each for each in recwarn if "writable" in str(each.message)]


def test_half_precision_gives_nearly_the_same(bundled, grounder):
    image = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    half = Grounder.load("bundled", device="cpu", precision="bf16")
    tokens = half.encode_image(image).tokens
    torch.testing.assert_close(tokens.norm(dim=-1), torch.ones(6, 6))
    assert (tokens * grounder.encode_image(image).tokens).sum(-1).min() > 0.999
    assert (half.text.embed(["red ball"]) * grounder.text.embed(["red ball"])).sum() > 0.999


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3)),
        np.zeros((0, 8, 3), np.uint8),
        None,
    ],
)
def test_what_is_no_image_is_refused(grounder, image):
    with pytest.raises(DecodeError, match=r"expected a \(height, width, 3\) uint8 RGB array, got"):
        grounder.encode_image(image)


def test_a_thing_is_found_where_it_is(sharp, features):
    found = sharp.ground(features, ["red ball"], depth=depth(), camera=CAMERA)
    target = found.best(0)
    assert (target.found, target.reason, target.query, target.query_index) == (True, "ok", "red ball", 0)
    centre = ((RED[1] + 0.5) * 16 - 0.5, (RED[0] + 0.5) * 16 - 0.5)
    assert target.pixel == pytest.approx(centre, abs=1.0)
    assert target.region[round(centre[1]), round(centre[0])]
    expected = [2 * (target.pixel[0] - 79.5) / 150, 2 * (target.pixel[1] - 63.5) / 150, 2.0]
    np.testing.assert_allclose(target.point, expected, atol=0.02)
    np.testing.assert_allclose(target.ray, expected / np.linalg.norm(expected), atol=1e-6)
    assert target.covariance.shape == (3, 3)
    assert found.relevancy.shape == (1, *SIZE)
    assert found.relevancy.dtype == np.float32
    assert 0 <= found.relevancy.min() < 0.5 < found.relevancy.max() <= 1


def test_the_score_is_the_cards(sharp, features):
    text = sharp.text.embed(["red ball", "object", "things", "stuff", "texture"])
    cosines = features.tokens[RED] @ text.T
    expected = torch.sigmoid(0.1 * 1000 * (cosines[0] - cosines[1:].max()))
    assert sharp.ground(features, ["red ball"]).best(0).score == pytest.approx(expected.item(), abs=1e-4)


def test_permuting_queries_permutes_results_and_nothing_else(sharp, features):
    names = ["red ball", "door", "green ball", "zebra"]
    alone = {name: sharp.ground(features, [name]) for name in names}
    for order in (names, names[::-1]):
        together = sharp.ground(features, order)
        assert [target.query_index for target in together.targets] == sorted(t.query_index for t in together.targets)
        for index, name in enumerate(order):
            assert together.best(index).score == pytest.approx(alone[name].best(0).score, abs=1e-5)
            np.testing.assert_allclose(together.patch_relevancy[index], alone[name].patch_relevancy[0], atol=1e-4)


def test_every_query_has_a_target_ordered_by_score(sharp, features):
    twice = features.tokens.clone()
    twice[6, 1] = torch.nn.functional.normalize(twice[RED] + 0.1 * twice[0, 0], dim=0)  # another, less clear red ball
    found = sharp.ground(PatchFeatures(twice, SIZE), ["red ball", Query("door", 1.0)], depth=depth(), camera=CAMERA)
    scores = [target.score for target in found.targets if target.query_index == 0]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)
    assert all(target.score >= target.threshold for target in found.targets if target.found)
    assert found.best(1).reason == "absent"
    only = sharp.ground(PatchFeatures(twice, SIZE), ["red ball"], config=replace(sharp.config, {"max_targets": 1}))
    assert len(only.targets) == 1
    between = Query("red ball", sum(scores) / 2)  # the less clear one does not reach it
    assert [target.score for target in sharp.ground(PatchFeatures(twice, SIZE), [between]).targets] == scores[:1]


def test_regions_are_told_how_large_a_patch_is(sharp, features, monkeypatch):
    given = []
    find = gem_ros.pipeline.find_regions
    monkeypatch.setattr(gem_ros.pipeline, "find_regions", lambda *each: given.append(each) or find(*each))
    wide = PatchFeatures(features.tokens, (128, 200))  # patches of 16 by 20 px
    sharp.ground(wide, ["red ball"], config=replace(sharp.config, {"region_threshold": 0.4, "max_targets": 2}))
    assert given[0][0].shape == (128, 200)
    assert given[0][2:] == (0.4, 2, 18.0)


def test_an_absent_thing_has_a_score_and_nothing_more(sharp, features):
    target = sharp.ground(features, [Query("red ball", 1.0)], depth=depth(), camera=CAMERA).best(0)
    assert (target.found, target.reason, target.threshold) == (False, "absent", 1.0)
    assert 0.5 < target.score < 1
    assert (target.pixel, target.point, target.region, target.ray) == (None, None, None, None)


def test_an_unknown_word_is_absent_whatever_the_threshold(sharp, features):
    target, door = sharp.ground(features, ["red zebra:0.0", "door:0.0"]).targets[:2]
    assert (target.found, target.reason, target.score) == (False, "unknown_word", 0.0)
    assert door.found
    assert not sharp.ground(features, ["red zebra"]).patch_relevancy.any()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "no_depth_message"),
        ({"camera": CAMERA}, "no_depth_message"),
        ({"depth": depth()}, "no_camera_info"),
        ({"depth": depth()[:-1], "camera": CAMERA}, "misaligned"),
        ({"depth": depth(), "camera": dataclasses.replace(CAMERA, width=320)}, "misaligned"),
        ({"depth": depth(), "camera": dataclasses.replace(CAMERA, fx=0.0)}, "no_camera_info"),
        ({"depth": depth(), "camera": dataclasses.replace(CAMERA, fy=np.nan)}, "no_camera_info"),
        ({"depth": depth(), "camera": dataclasses.replace(CAMERA, distortion_model="kannala")}, "no_camera_info"),
        ({"depth": depth(0.0), "camera": CAMERA}, "no_depth"),
        ({"depth": depth(-1.0), "camera": CAMERA}, "no_depth"),
        ({"depth": depth(np.inf), "camera": CAMERA}, "no_depth"),
        ({"depth": depth(), "camera": CAMERA, "missing": "misaligned"}, "misaligned"),
        ({"camera": CAMERA, "missing": "no_camera_info"}, "no_camera_info"),
        ({"depth": depth(np.nan), "camera": CAMERA}, "no_depth"),
        ({"depth": depth(20.0), "camera": CAMERA}, "out_of_range"),
    ],
)
def test_without_a_3d_point_the_reason_is_given(sharp, features, given, reason):
    target = sharp.ground(features, ["red ball"], **given).best(0)
    assert (target.found, target.reason) == (True, reason)
    assert (target.point, target.covariance, target.box) == (None, None, None)
    assert target.pixel is not None
    assert (target.ray is not None) == (given.get("camera") is CAMERA)


def test_a_found_thing_has_a_box(sharp, features):
    box = sharp.ground(features, ["red ball"], depth=depth(), camera=CAMERA).best(0).box
    assert box.centre[2] == pytest.approx(2.0)
    assert 0.01 < box.size[0] < 64 / 150 * 2
    assert box.size[2] == pytest.approx(0.001)
    np.testing.assert_array_equal(box.rotation, np.eye(3))


def test_the_pixel_is_that_of_the_measured_point(sharp, features):
    flat = sharp.ground(features, ["red ball"], camera=CAMERA).best(0)
    edge = depth(4.0)
    right = round(flat.pixel[0]) + 3
    edge[:, right : right + 8] = 2.0  # a thin thing, beside the peak
    solid = sharp.ground(features, ["red ball"], depth=edge, camera=CAMERA).best(0)
    assert right <= solid.pixel[0] < right + 8
    np.testing.assert_allclose(solid.ray, solid.point / np.linalg.norm(solid.point))
    assert solid.point[2] == pytest.approx(2.0)
    for unusable in ({"depth": edge}, {"camera": CAMERA}, {"depth": depth(np.nan), "camera": CAMERA}):
        assert sharp.ground(features, ["red ball"], **unusable).best(0).pixel == flat.pixel


def test_depth_of_half_the_size_gives_the_same_point(sharp, features):
    full, half = (
        sharp.ground(features, ["red ball"], depth=each, camera=CAMERA) for each in (depth(), depth()[::2, ::2])
    )
    assert (full.problems, half.problems) == ((), ())
    np.testing.assert_allclose(half.best(0).point, full.best(0).point)


def test_what_could_not_be_used_is_told_once_for_all_queries(sharp, features):
    broken = dataclasses.replace(CAMERA, fx=0.0)
    found = sharp.ground(features, ["red ball", "green ball"], depth=depth()[:100], camera=broken)
    assert found.problems == (
        "camera: expected positive focal lengths, got fx=0, fy=150; is it calibrated?",
        "depth: expected the image's size 160x128 or its aspect, got 160x100; register it to the image",
    )
    assert found.best(0).found
    found = sharp.ground(features, ["red ball"], depth=depth(2000.0), camera=CAMERA)
    assert found.best(0).reason == "out_of_range"
    assert found.problems == ("depth: expected metres, got a median of 2000; is it millimetres in a 32FC1 image?",)


def test_dynamic_parameters_are_taken_from_the_call(sharp, features):
    strict = replace(sharp.config, {"presence_threshold": 1.0})
    assert not sharp.ground(features, ["red ball"], config=strict).best(0).found
    far = replace(sharp.config, {"max_depth": 30.0})
    assert sharp.ground(features, ["red ball"], depth=depth(20.0), camera=CAMERA, config=far).best(0).reason == "ok"
    alone = sharp.ground(features, ["green ball"]).best(0).score
    against = replace(sharp.config, {"negatives": ("red ball",)})  # which the image is even more like
    assert sharp.ground(features, ["green ball"], config=against).best(0).score < min(alone, 0.5)
    itself = replace(sharp.config, {"negatives": ("green ball",)})
    assert sharp.ground(features, ["green ball"], config=itself).best(0).score == alone
    nonsense = replace(sharp.config, {"negatives": ("qwerty",)})  # a word the model does not know says nothing
    before = sharp.text.encodings
    assert sharp.ground(features, ["red ball"], config=nonsense).best(0).found
    assert sharp.text.encodings == before


def test_texts_are_encoded_once_whatever_the_number_of_frames(grounder, features):
    for _ in range(3):
        grounder.ground(features, ["red ball", "door"])
    assert grounder.text.encodings == 7  # red ball, green ball, door and the four canonical phrases


def test_only_found_queries_are_upsampled(sharp, features, monkeypatch):
    seen = []
    upsample = gem_ros.pipeline.upsample
    monkeypatch.setattr(gem_ros.pipeline, "upsample", lambda maps, size: seen.append(len(maps)) or upsample(maps, size))
    found = sharp.ground(features, ["red ball", Query("door", 1.0), "zebra"])
    assert sum(seen) == 1
    assert found.relevancy.shape == (3, *SIZE)
    assert sum(seen) == 4


def test_each_map_is_upsampled_once_for_all_who_ask(sharp, features, monkeypatch):
    found = sharp.ground(features, ["red ball", "door"])
    first = found.relevancy_of(1)
    assert found.relevancy_of(1) is first
    np.testing.assert_array_equal(first, found.relevancy[1])
    changed = dataclasses.replace(found, patch_relevancy=found.patch_relevancy * 0)
    assert not changed.relevancy_of(1).any()


def test_absent_queries_cost_nothing_at_the_images_size(sharp, features, monkeypatch):
    """Whatever their number: only the one that is found is looked for in the image, and one copy leaves the device."""
    calls = dict.fromkeys(("upsample", "refine", "find_regions", "locate"), 0)
    for name in calls:
        real = getattr(gem_ros.pipeline, name)

        def counted(*given, name=name, real=real, **more):
            calls[name] += 1
            return real(*given, **more)

        monkeypatch.setattr(gem_ros.pipeline, name, counted)
    copies = []
    real_cpu = torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: copies.append(tensor.shape) or real_cpu(tensor))
    pairs = itertools.product(("a", "photo", "of", "green", "ball", "door", "object", "stuff"), repeat=2)
    queries = ["red ball", *(Query(" ".join(pair), 1.0) for pair in pairs)]
    sharp.ground(features, queries, image=np.zeros((*SIZE, 3), np.uint8), depth=depth(), camera=CAMERA)
    copies.clear()
    calls.update(dict.fromkeys(calls, 0))
    found = sharp.ground(features, queries, image=np.zeros((*SIZE, 3), np.uint8), depth=depth(), camera=CAMERA)
    assert [target.reason for target in found.targets] == ["ok", *["absent"] * 64]
    assert set(calls.values()) == {1}
    assert copies == [(2, 65, 8, 10)]


def test_odd_calls(grounder, features):
    assert grounder.ground(features, []).targets == ()
    assert grounder.ground(features, []).relevancy.shape == (0, *SIZE)
    assert [target.query for target in grounder.ground(features, "red ball:0.99").targets] == ["red ball"]
    with pytest.raises(QueryError, match="got none"):
        grounder.ground(features, [" "])
    with pytest.raises(GeometryError, match="divide millimetres by 1000"):
        grounder.ground(features, ["door"], depth=np.full(SIZE, 2000, np.uint16), camera=CAMERA)


def test_warm_up_leaves_nothing_behind_but_a_canonical_phrase(grounder):
    grounder.warm_up((48, 64))
    assert grounder.text.encodings == 4


def test_the_cards_defaults_hold_unless_the_caller_says_otherwise(bundled):
    config = models.default_config("bundled")
    assert (config.model, config.image_size, config.gem.blocks, config.gem.iterations) == ("bundled", 96, 2, 1)
    assert models.default_config("ViT-B-32") == Config(model="ViT-B-32")
    assert Grounder.load(config=replace(config, {"gem.blocks": 1}), device="cpu")._encoder.blocks == 1
    with pytest.raises(ModelError, match=r"set gem\.blocks"):
        Grounder.load(config=replace(config, {"gem.blocks": 6}))
    with pytest.raises(ConfigError, match="templates: expected gem, imagenet80, robot or a text file, got 'best'"):
        Grounder.load(config=replace(config, {"templates": "best"}))


def test_regions_follow_the_edges_of_the_image_where_there_is_one(sharp, features):
    height, width = features.image_size
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = 255
    coarse = sharp.ground(features, ["red ball"]).best(0)
    none = replace(sharp.config, {"refinement": "none"})
    assert (sharp.ground(features, ["red ball"], image=image, config=none).best(0).region == coarse.region).all()
    with pytest.raises(GeometryError, match="refinement"):
        sharp.ground(features, ["red ball"], image=image[1:])


def test_an_opencv_that_cannot_refine_is_told_once_and_regions_stay_coarse(bundled, monkeypatch):
    def lacking():
        raise GemError("refinement: expected OpenCV with ximgproc")

    monkeypatch.setattr("gem_ros.pipeline.check_refinement", lacking)
    grounder = Grounder.load()
    image = np.zeros((64, 64, 3), np.uint8)
    none = replace(grounder.config, {"refinement": "none"})
    grounder.warm_up((64, 64))  # which nobody hears
    features = grounder.encode_image(image)

    def problems(query="red ball:0", config=None):
        return grounder.ground(features, [query], image=image, config=config).problems

    assert problems(config=none) == problems("red ball:1") == ()
    assert problems() == ("refinement: expected OpenCV with ximgproc; regions stay as coarse as patches",)
    assert problems() == ()


def test_pamr_needs_no_ximgproc_and_sharpens_by_the_image(sharp, features, monkeypatch):
    seen = []
    monkeypatch.setattr("gem_ros.pipeline.refine", lambda *given: seen.append(given) or refine(*given))
    monkeypatch.setattr(sharp, "_cannot_refine", "refinement: expected OpenCV with ximgproc")
    pamr = replace(sharp.config, {"refinement": "pamr"})
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    assert sharp.ground(features, ["red ball:0"], image=image, config=pamr).problems == ()
    assert [(given[1] is image, given[3]) for given in seen] == [(True, "pamr")]
    sharp.ground(features, ["red ball:0"], image=image)
    assert len(seen) == 1  # the guided filter it cannot


@pytest.mark.parametrize("method", METHODS)
def test_every_method_and_gems_ablations_by_parameters(loaded, method):
    config = replace(Config(), {"model": "bundled", "method": method, **loaded.card.defaults})
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    grounder = Grounder(loaded, config)
    assert grounder.encode_image(image).cls is None
    grounding = grounder.ground(grounder.encode_image(image), ["red ball"])
    assert np.isfinite(grounding.patch_relevancy).all()
    for change in ({"gem.projections": "v"}, {"gem.normalise": False}, {"gem.iterations": 0}):
        other = Grounder(loaded, replace(config, change)).encode_image(image).tokens
        assert torch.equal(grounder.encode_image(image).tokens, other) == (method != "gem")


def test_feature_surgery_weighs_all_texts_by_the_whole_image(loaded):
    config = replace(Config(), {"model": "bundled", **loaded.card.defaults, "feature_surgery": True})
    grounder = Grounder(loaded, config)
    images = [np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8) for seed in (0, 1)]
    features = grounder.encode_images(images)
    plain = Grounder(loaded, replace(config, {"feature_surgery": False})).encode_images(images)
    for one, other in zip(features, plain, strict=True):
        torch.testing.assert_close(one.tokens, other.tokens)
        assert one.cls is not None and float(one.cls.norm()) == pytest.approx(1)
    relevancy = grounder.ground(features[0], ["red ball"]).patch_relevancy
    text = grounder.text.embed(["red ball", *CANONICAL])
    cosines = similarity.similarity_maps(features[0].tokens, text)
    weighed = similarity.feature_surgery(cosines, text @ features[0].cls)
    expected = torch.sigmoid(10 * (weighed[0] - weighed[1:].amax(dim=0)))
    np.testing.assert_allclose(relevancy[0], expected, atol=1e-5)
    # the only parameter by which another query changes a score without competing
    assert not np.allclose(relevancy[0], grounder.ground(features[0], ["red ball", "door"]).patch_relevancy[0])


def test_regions_by_depth_without_depth_are_told_once(sharp, features):
    sharp._told.clear()
    by_depth = replace(sharp.config, {"refinement": "depth"})
    told = [sharp.ground(features, ["red ball"], config=by_depth).problems for _ in range(2)]
    line = "refinement: expected depth to sharpen regions by, got none; regions stay as coarse as patches"
    assert told == [(line,), ()]
    assert sharp.ground(features, ["red ball"]).problems == ()  # who passes no image has chosen that


def test_other_queries_count_only_where_they_exclude_each_other(sharp, features):
    alone = sharp.ground(features, ["green ball"]).best(0).score
    both = ["green ball", "red ball"]
    assert sharp.ground(features, both).best(0).score == alone
    exclusive = replace(sharp.config, {"exclusive": True})
    assert sharp.ground(features, both, config=exclusive).best(0).score < min(alone, 0.5)
    assert sharp.ground(features, ["green ball", "red qwerty"], config=exclusive).best(0).score == alone


def test_a_calibration_takes_the_place_of_the_cards(bundled, tmp_path):
    card = tmp_path / "card.json"
    presence, relevancy = {"evidence": "cosine", "a": 2.0, "b": 3.0}, {"kind": "sigmoid", "scale": 1.0, "bias": 0.0}
    card.write_text(json.dumps({"model": "bundled", "presence": presence, "relevancy": relevancy}))
    config = replace(models.default_config("bundled"), {"card": str(card)})
    grounder = Grounder.load(config=config)
    features = grounder.encode_image(np.zeros((64, 64, 3), np.uint8))
    cosine = float((features.tokens @ grounder.text.embed(["red ball"])[0]).max())
    assert grounder.ground(features, ["red ball"]).best(0).score == pytest.approx(1 / (1 + np.exp(-2 * cosine - 3)))
    card.write_text("{}")
    with pytest.raises(ModelError, match="card"):
        Grounder.load(config=config)


def test_temperature_is_tau(bundled):
    config = replace(models.default_config("bundled"), {"gem.temperature": 0.25})
    assert Grounder.load(config=config)._encoder.settings.inv_temperature == 4.0
    assert Grounder.load()._encoder.settings.inv_temperature is None


def test_importing_the_package_loads_no_torch():
    code = "import sys, gem_ros, gem_ros.models; print(gem_ros.__version__, gem_ros.Target, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == gem_ros.__version__
    assert done.stdout.split()[-1] == "False"
    assert {name for name in gem_ros.__all__ if getattr(gem_ros, name) is None} == set()
    with pytest.raises(AttributeError, match="nothing"):
        _ = gem_ros.nothing

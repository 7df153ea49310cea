"""Things that are shown instead of named: found again, told apart from words, and refused in a line."""

import json

import cv2
import numpy as np
import pytest
import torch

from gem_ros import Grounder, cli
from gem_ros.config import replace
from gem_ros.core.examples import CAPACITY, Examples
from gem_ros.datasets.layouts import open_dataset
from gem_ros.errors import DecodeError, QueryError
from gem_ros.queries import example_name
from gem_ros.resources import resource


@pytest.fixture(scope="module")
def grounder():
    return Grounder.load("bundled")


@pytest.fixture(scope="module")
def scenes():
    """Two images of the sample recording, two seconds apart: (rgb, labels), and the labels' names."""
    found = open_dataset("tabletop", resource("data/tabletop"))
    pictures = []
    for index in (30, 50):
        rgb = found.samples[index].rgb()
        pictures.append((rgb, found.samples[index].truth(rgb.shape[:2])))
    return pictures, found.labels


def crop(rgb, mask):
    v, u = np.nonzero(mask)
    return rgb[v.min() : v.max() + 1, u.min() : u.max() + 1]


def seen_in_both(scenes):
    (first, second), names = scenes
    return [
        label for label in range(1, len(names)) if min((first[1] == label).mean(), (second[1] == label).mean()) > 0.01
    ]


def test_what_was_cut_out_is_found_again(grounder, scenes):
    (first, second), _ = scenes
    features, hits = grounder.encode_image(second[0]), []
    for label in seen_in_both(scenes):
        grounder.add_example("it", crop(first[0], first[1] == label), of=first[0].shape[:2])
        target = grounder.ground(features, ["@it"], image=second[0]).best(0)
        if target.found:
            u, v = np.rint(target.pixel).astype(int)
            hits.append(second[1][v, u] == label)
    assert len(hits) >= 2 and all(hits)


def test_what_lies_at_a_pixel_is_found_again(grounder, scenes):
    (first, second), _ = scenes
    label = seen_in_both(scenes)[0]
    inside = cv2.distanceTransform((first[1] == label).astype(np.uint8), cv2.DIST_L2, 5)
    v, u = np.unravel_index(inside.argmax(), inside.shape)
    grounder.add_example_at("here", grounder.encode_image(first[0]), (float(u), float(v)))
    same = grounder.ground(grounder.encode_image(first[0]), ["@here"]).best(0)
    again = grounder.ground(grounder.encode_image(second[0]), ["@here"]).best(0)
    assert same.found and first[1][tuple(np.rint(same.pixel[::-1]).astype(int))] == label
    assert again.found and second[1][tuple(np.rint(again.pixel[::-1]).astype(int))] == label


@pytest.mark.parametrize("exclusive", [False, True])
def test_words_are_answered_alike_beside_an_example(grounder, scenes, exclusive):
    rgb = scenes[0][0][0]
    features, config = grounder.encode_image(rgb), replace(grounder.config, {"exclusive": exclusive})
    grounder.add_example("it", rgb[:60, :60])
    alone = grounder.ground(features, ["red ball", "green bottle"], config=config)
    beside = grounder.ground(features, ["@it", "red ball", "green bottle"], config=config)
    np.testing.assert_allclose(alone.patch_relevancy, beside.patch_relevancy[1:], rtol=1e-4)
    assert [alone.best(at).score for at in (0, 1)] == pytest.approx([beside.best(at).score for at in (1, 2)])
    # and the other way round
    lonely = grounder.ground(features, ["@it"], config=config)
    np.testing.assert_allclose(lonely.patch_relevancy[0], beside.patch_relevancy[0], rtol=1e-4)


def test_an_example_has_its_own_threshold_and_calibration(grounder, scenes):
    rgb = scenes[0][0][0]
    features = grounder.encode_image(rgb)
    grounder.add_example_at("here", features, (320.0, 240.0))
    target = grounder.ground(features, ["@here:0.999"]).best(0)
    presence = grounder.card.example_presence
    assert target.threshold == 0.999 and target.query == "@here"
    assert target.score == pytest.approx(1 / (1 + np.exp(-(presence.a * 1.0 + presence.b))), abs=1e-4)  # cosine 1


def test_an_example_that_was_not_given_is_unknown(grounder):
    features = grounder.encode_image(np.zeros((64, 64, 3), np.uint8))
    assert grounder.ground(features, ["@nothing"]).best(0).reason == "unknown_word"
    assert grounder.unknown("@nothing") == ("@nothing",)


def test_of_many_examples_the_newest_are_kept_and_a_name_is_given_anew():
    examples = Examples()
    for number in range(CAPACITY + 1):
        examples.add(str(number), torch.nn.functional.one_hot(torch.tensor([[number % 4]]), 4).float())
    assert examples.find("@0") is None and examples.find("@1") is not None and examples.find("1") is None
    examples.add("1", torch.tensor([[[0.0, 0.0, 3.0, 4.0]]]))
    torch.testing.assert_close(examples.find("@1"), torch.tensor([0.0, 0.0, 0.6, 0.8]))


def test_the_middle_of_a_crop_counts_more_than_its_edge():
    examples, tokens = Examples(), torch.zeros(5, 5, 2)
    tokens[..., 0] = 1  # what is behind it
    tokens[1:4, 1:4] = torch.tensor([0.0, 1.0])  # the thing: 9 of 25 patches
    examples.add("it", tokens)
    background, thing = examples.find("@it").tolist()
    assert thing > 2 * background


@pytest.mark.parametrize("name", ["", "  ", "@mug", "a;b", "mug:0.5", "a\0b", "x" * 5000])
def test_names_that_cannot_be_asked_for_are_refused(grounder, name):
    with pytest.raises(QueryError):
        grounder.add_example(name, np.zeros((8, 8, 3), np.uint8))


def test_names_are_queries():
    assert example_name("  my   mug ") == "my mug"


@pytest.mark.parametrize("pixel", [(-1, 5), (5, -1), (64, 5), (5, 48), (float("nan"), 5)])
def test_pixels_outside_of_the_image_are_refused(grounder, pixel):
    features = grounder.encode_image(np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(QueryError, match="expected a pixel of the 64x48 image"):
        grounder.add_example_at("it", features, pixel)


def test_no_picture_is_refused(grounder):
    for wrong in (np.zeros((0, 8, 3), np.uint8), np.zeros((8, 8), np.uint8), None):
        with pytest.raises(DecodeError):
            grounder.add_example("it", wrong)


def test_a_crop_of_a_single_pixel_or_a_strip_is_no_crash(grounder):
    for size in ((1, 1), (1, 500), (300, 2)):
        grounder.add_example("it", np.full((*size, 3), 90, np.uint8))
        assert torch.isfinite(grounder.examples.find("@it")).all()


def test_the_command_finds_what_a_picture_shows(scenes, tmp_path, capsys):
    (first, second), _ = scenes
    label = seen_in_both(scenes)[0]
    for name, rgb in (("thing.png", crop(first[0], first[1] == label)), ("scene.png", second[0])):
        cv2.imwrite(str(tmp_path / name), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    scene, thing = str(tmp_path / "scene.png"), str(tmp_path / "thing.png")
    assert cli.main(["ground", scene, "--like", thing, "--json"]) == 0
    (target, *_) = json.loads(capsys.readouterr().out)
    assert target["query"] == "@thing" and target["found"]
    assert cli.main(["ground", scene, "--like", thing, "red ball", "--json"]) == 0  # words behind options, too
    assert next(each["query"] for each in json.loads(capsys.readouterr().out)) == "red ball"
    with pytest.raises(SystemExit, match="2"):
        cli.main(["ground", scene, "red ball", "--unknown"])
    assert "unrecognized arguments: --unknown" in capsys.readouterr().err
    assert cli.main(["ground", scene]) == 2
    assert "expected words, or a picture with --like; got none" in capsys.readouterr().err
    assert cli.main(["ground", scene, "--like", thing, "--like", thing]) == 2
    assert "'thing' twice" in capsys.readouterr().err
    assert cli.main(["ground", scene, "--like", str(tmp_path / "none.png")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def written(folder, **pictures):
    for name, rgb in pictures.items():
        cv2.imwrite(str(folder / f"{name}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


def test_the_command_finds_what_is_at_a_pixel_of_an_earlier_picture(scenes, tmp_path, capsys):
    (first, second), _ = scenes
    label = seen_in_both(scenes)[0]
    inside = cv2.distanceTransform((first[1] == label).astype(np.uint8), cv2.DIST_L2, 5)
    v, u = np.unravel_index(inside.argmax(), inside.shape)
    written(tmp_path, earlier=first[0], now=second[0])
    like = f"{tmp_path / 'earlier.png'}@{u},{v}.5"
    assert cli.main(["ground", str(tmp_path / "now.png"), "--like", like, "red ball", "--json"]) == 0
    targets = json.loads(capsys.readouterr().out)
    (target,) = [each for each in targets if each["query"] == f"@earlier@{u},{v}.5"][:1]
    assert target["found"] and second[1][tuple(np.rint(target["pixel"][::-1]).astype(int))] == label


def test_a_file_that_has_an_at_in_its_name_is_that_file(scenes, tmp_path, capsys):
    rgb, labels = scenes[0][0]
    written(tmp_path, scene=rgb, **{"me@3": crop(rgb, labels == seen_in_both(scenes)[0])})
    odd = (tmp_path / "me@3.png").rename(tmp_path / "me.png@3,4")
    asked = [cli.main(["ground", str(tmp_path / "scene.png"), "--like", str(odd), "--json"])]
    written(tmp_path, **{"me@3": rgb})
    asked += [cli.main(["ground", str(tmp_path / "scene.png"), "--like", f"{tmp_path / 'me@3.png'}@3,4", "--json"])]
    found = capsys.readouterr()
    assert asked == [0, 0], found.err
    first, second = found.out.splitlines()
    assert (json.loads(first)[0]["query"], json.loads(second)[0]["query"]) == ("@me", "@me@3@3,4")


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ("@640,3", "expected a pixel of the 640x480 image, got 640, 3"),
        ("@-1,3", "expected a pixel of the 640x480 image, got -1, 3"),
        ("@nan,3", "earlier.png@nan,3: expected a picture"),
        ("@3", "earlier.png@3: expected a picture"),
        ("@3,4@5,6", "earlier.png@3,4: expected a picture"),
        ("@" + "9" * 400 + ",3", "expected"),
    ],
)
def test_a_pixel_that_is_none_is_one_line(scenes, tmp_path, capsys, at, said):
    written(tmp_path, earlier=scenes[0][0][0])
    scene = str(tmp_path / "earlier.png")
    assert cli.main(["ground", scene, "--like", f"{scene}{at}"]) == 2
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1

"""``gem-ros benchmark``: counts by hand, protocols, runs that are interrupted and go on, and wrong input."""

import json

import numpy as np
import pytest
import torch

from gem_ros import cli
from gem_ros.config import Config
from gem_ros.datasets import protocol, run
from gem_ros.datasets.published import published
from gem_ros.datasets.samples import Dataset, Points, Sample
from gem_ros.datasets.scores import Counts, Tally, best_threshold, count_pixels, count_points, pointing
from gem_ros.datasets.variants import variants
from gem_ros.errors import BagError, ConfigError
from gem_ros.pipeline import Grounder


@pytest.fixture(scope="module")
def grounder():
    return Grounder.load("bundled")


TRUTH = np.array([[0, 1, 1], [2, -1, 2]], np.int16)
GUESS = np.array([[0, 1, 2], [2, 2, 1]])


def test_pixels_are_counted_by_hand():
    counts = count_pixels(GUESS, TRUTH, 4)
    assert counts.both.tolist() == [1, 1, 1, 0]
    assert counts.predicted.tolist() == [1, 2, 2, 0]  # the ignored pixel is nobody's
    assert counts.true.tolist() == [1, 2, 2, 0]
    np.testing.assert_allclose(counts.iou[:3], [1, 1 / 3, 1 / 3])
    assert np.isnan(counts.iou[3])
    assert counts.mean_iou == pytest.approx(5 / 9)  # of the labels that occur


def test_iou_is_of_all_images_together():
    tally = Tally(2)
    tally.add({0.5: Counts(*map(np.array, ([1, 0], [1, 1], [2, 0])))}, 1, 2)
    tally.add({0.5: Counts(*map(np.array, ([3, 2], [3, 2], [4, 2])))}, 0, 0)
    np.testing.assert_allclose(tally.by_threshold[0.5].iou, [4 / 6, 2 / 3])
    assert (tally.images, tally.pointing) == (2, 0.5)


def test_points_are_counted_by_hand():
    points = Points(*(np.array(each) for each in ([0] * 4, [0] * 4, [0, 0, 0, 1])), np.array([1, 1, 0, 0], bool))
    counts = count_points(np.array([1, 0, 1, 0], bool), points, 2)
    assert (counts.both.tolist(), counts.predicted.tolist(), counts.true.tolist()) == ([1, 0], [2, 0], [2, 0])
    assert counts.mean_iou == pytest.approx(1 / 3)  # both / (said + there - both), of class 0 only


def test_pointing_counts_classes_in_view_only():
    peaks = np.array([[1, 0], [0, 1], [2, 1]])  # (u, v) of the classes 0, 1, 2
    assert pointing(peaks, TRUTH, 0) == (1, 3)  # class 2 at (2, 1); 0 lies on 1, 1 on 2
    assert pointing(peaks, TRUTH, 1) == (2, 2)  # label 0 is background: classes are labels 1, 2


def test_the_best_threshold_ignores_what_could_not_be_measured():
    empty, full = Counts.zeros(1), Counts(*(np.array([4]) for _ in range(3)))
    assert best_threshold({0.1: empty, 0.2: full}) == 0.2


def test_best_class_is_that_of_all_maps_at_once():
    maps = torch.randn(37, 3, 4, generator=torch.Generator().manual_seed(0)) / 10  # more than one chunk
    label, probability = protocol.best(maps, (9, 10))
    fine = torch.nn.functional.interpolate(maps[None], size=(9, 10), mode="bilinear", align_corners=False)[0]
    expected = (100 * fine).softmax(dim=0).max(dim=0)
    np.testing.assert_array_equal(label, expected.indices.numpy())
    np.testing.assert_allclose(probability, expected.values.numpy(), rtol=1e-4)


def test_peaks_are_pixels():
    maps = torch.zeros(2, 2, 2)
    maps[0, 0, 1] = maps[1, 1, 0] = 1
    assert protocol.peak(maps, (4, 6)).tolist() in ([[5, 0], [0, 3]], [[4, 0], [0, 3]])


@pytest.mark.parametrize(("side", "starts"), [(224, [0]), (100, [0]), (336, [0, 112]), (340, [0, 112, 116])])
def test_windows_reach_both_ends(side, starts):
    assert protocol._starts(side) == starts


def test_windows_of_a_plain_image_agree_with_each_other(grounder):
    """A uniform image gives every window the same maps; their average is one of them, tiled."""
    rgb = np.full((300, 224, 3), 128, np.uint8)
    maps = protocol.class_maps(grounder, rgb, ["red ball", "blue mug"], protocol.Protocol(224))
    one = protocol.class_maps(grounder, rgb[:224], ["red ball", "blue mug"], protocol.Protocol(224))
    assert maps.shape == (2, 300, 224) and torch.isfinite(maps).all()
    torch.testing.assert_close(maps[:, :76], one[:, :76], atol=1e-4, rtol=0)  # where the first window is alone


def test_every_combination_is_a_variant():
    found = variants(Config(), ["clip", "gem"], ["gem.iterations=0,2", "templates_=x"][:1])
    assert [each.name for each in found] == [
        "clip gem.iterations=0",
        "clip gem.iterations=2",
        "gem gem.iterations=0",
        "gem gem.iterations=2",
    ]
    assert found[3].config.gem.iterations == 2 and found[3].file == "gem_gem.iterations=2.jsonl"


@pytest.mark.parametrize("given", ["", "gem.iterations", "gem.iterations=", "nothing=1", "gem.blocks=many", "method=x"])
def test_parameters_that_are_none_are_refused(given):
    with pytest.raises(ConfigError):
        variants(Config(), ["gem"], [given])


def test_published_numbers_are_of_the_same_weights_only():
    assert published("voc", "gem", "ViT-B-16-quickgelu", "openai") == 46.2
    assert published("voc", "gem", "ViT-B-16", "metaclip_400m") == 46.8
    assert published("voc", "gem", "ViT-L-14", "openai") is None
    assert published("tabletop", "gem", "ViT-B-16", "openai") is None


def small(count=3):
    """Images of noise, half of each labelled as one of two classes that the bundled model knows."""

    def sample(number):
        rgb = np.random.default_rng(number).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        truth = np.zeros((64, 64), np.int16)
        truth[:, 32:] = 1 + number % 2
        return Sample(f"image {number}", lambda: rgb, lambda size: truth)

    return Dataset("small", ("red ball", "blue mug"), [sample(number) for number in range(count)], background=True)


def measure(grounder, file, *, dataset=None, progress=lambda share: None, **settings):
    dataset = dataset or small()
    return run.measure(
        grounder, dataset, protocol.Protocol(), file=file, settings={"of": "test", **settings}, progress=progress
    )


def test_an_interrupted_run_goes_on_and_ends_the_same(grounder, tmp_path):
    whole = measure(grounder, tmp_path / "whole.jsonl")
    file = tmp_path / "part.jsonl"

    def stop(share):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(grounder, file, progress=stop)
    file.write_bytes(file.read_bytes()[:-20])  # the last line was being written
    again = measure(grounder, file)
    assert len(again.seconds) == 2  # the first image was not asked again
    for threshold, counts in whole.tally.by_threshold.items():
        np.testing.assert_array_equal(counts.both, again.tally.by_threshold[threshold].both)
        np.testing.assert_array_equal(counts.predicted, again.tally.by_threshold[threshold].predicted)
    assert (again.tally.hits, again.tally.images) == (whole.tally.hits, 3)
    assert file.read_text() == (tmp_path / "whole.jsonl").read_text()


def test_a_higher_threshold_only_adds_background(grounder, tmp_path):
    by_threshold = measure(grounder, tmp_path / "a.jsonl").tally.by_threshold
    background = [int(by_threshold[each].predicted[0]) for each in sorted(by_threshold)]
    assert background == sorted(background) and background[0] == 0
    assert {int(each.true.sum()) for each in by_threshold.values()} == {3 * 64 * 64}


def test_results_of_other_settings_are_kept_and_refused(grounder, tmp_path):
    file = tmp_path / "a.jsonl"
    measure(grounder, file)
    before = file.read_text()
    with pytest.raises(BagError, match="choose another --output"):
        measure(grounder, file, model="another")
    assert file.read_text() == before
    file.write_text(before.splitlines()[0] + '\n{"name": "image 0", "counts": {"0.5": [[9, 1, 1, 1]]}}\n')
    with pytest.raises(BagError, match="expected counts of an earlier run, got something else; delete it"):
        measure(grounder, file)


def test_points_are_shown_where_their_own_map_is_high(grounder, tmp_path):
    points = Points(*(np.array(each) for each in ([5, 60], [5, 60], [0, 1])), np.array([True, False]))
    sample = Sample("a", small().samples[0].rgb, lambda size: points)
    dataset = Dataset("points", ("red ball", "blue mug"), [sample], points=True)
    tally = measure(grounder, tmp_path / "a.jsonl", dataset=dataset).tally
    assert tally.by_threshold[0.0].predicted.tolist() == [1, 1] and tally.by_threshold[0.0].true.tolist() == [1, 0]
    said = [int(tally.by_threshold[each].predicted.sum()) for each in sorted(tally.by_threshold)]
    assert said == sorted(said, reverse=True) and said[-1] < 2


def gem_ros(*arguments):
    return cli.main(["benchmark", *(str(each) for each in arguments)])


def test_the_sample_recording_as_a_user_measures_it(tmp_path, capsys):
    arguments = ("--dataset", "tabletop", "--method", "maskclip,gem", "--max-images", 2, "--output", tmp_path)
    assert gem_ros(*arguments) == 0
    printed = capsys.readouterr().out
    values = json.loads((tmp_path / "tabletop/benchmark.json").read_text())
    assert [each["variant"] for each in values["rows"]] == ["maskclip", "gem"] and "maskclip" in printed
    for row in values["rows"]:
        assert row["images"] == 2 and 0 < row["best_miou"] < 1 and 0 <= row["pointing_accuracy"] <= 1
    assert gem_ros(*arguments) == 0  # everything is there already
    assert [each["best_miou"] for each in json.loads((tmp_path / "tabletop/benchmark.json").read_text())["rows"]] == [
        each["best_miou"] for each in values["rows"]
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--dataset", "voc"], "--root: expected the folder of voc, got none; get it from"),
        (["--dataset", "voc", "--root", "nowhere"], "nowhere: expected a folder, found none; get it from"),
        (["--dataset", "tabletop", "--method", "gem,magic"], "--method: expected some of"),
        (["--dataset", "tabletop", "--threshold", "nan"], "--threshold: expected a value in [0, 1), got nan"),
        (["--dataset", "tabletop", "--slide", "100"], "--slide: expected a shorter side of 224 to 4096 px, got 100"),
        (["--dataset", "tabletop", "--max-images", "0"], "--max-images: expected at least 1, got 0"),
        (["--dataset", "tabletop", "--set", "gem.iterations"], "--set: expected NAME=VALUE"),
        (["--dataset", "tabletop", "--set", "gem.iterations=-1"], "gem.iterations"),
        (["--dataset", "tabletop", "--set", "image_size=64"], "use --image-size"),
        (["--dataset", "tabletop", "--output", "/dev/null/x"], "--output /dev/null/x"),
    ],
)
def test_wrong_input_is_one_line(arguments, line, capsys):
    assert gem_ros(*arguments) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("gem-ros benchmark: ") and line in said[0]


def test_settings_that_differ_are_named():
    before = {"images": 3, "gem": {"blocks": 2}, "classes": ["a" * 80], "slide": 0}
    now = {"images": 4, "gem": {"blocks": 2}, "classes": ["b" * 80], "slide": 0}
    assert run._others(before, now) == "other classes, other images 3, not 4"
    assert run._others(before, {**before, "method": "gem"}) == "other method None, not 'gem'"
    assert run._others([1], now) == "something else"

"""What a report shows: mistakes before beauties, different things, never the same moment twice."""

import math

import cv2
import numpy as np
import pytest

from gem_ros.replay.evaluation import Input
from gem_ros.replay.masks import Runs
from gem_ros.replay.report import gallery
from gem_ros.replay.rows import Row
from gem_ros.replay.summary import summarise
from gem_ros.replay.truth import Sighting, Truth

SECOND = 1_000_000_000
LEAST = 0.01


def row(visible=0.1, found=True, hit=True, *, query="ball", stamp=0, score=0.9, error_m=0.01, iou=0.9):
    seen = (
        {"hit": found and hit, "iou": iou if found else 0.0, "error_m": error_m if found else None} if visible else {}
    )
    return Row("table", stamp, query, visible, None, score if found else 0.2, 0.5, found, "ok", **seen)


def test_worse_answers_are_worse():
    ordered = [
        row(error_m=0.0, iou=1.0),
        row(),
        row(error_m=0.05, iou=0.5),
        row(hit=False),
        row(0.05, found=False),
        row(0.0, score=0.6),
        row(0.0, score=0.9),
        row(0.3, found=False),
    ]
    values = [gallery.badness(each, LEAST) for each in ordered]
    assert values == sorted(values) and values[0] == 0.0
    assert [value >= gallery.RIGHT for value in values] == [False] * 3 + [True] * 5


def test_what_shows_nothing_is_not_shown():
    for nothing in (row(0.0, found=False), row(0.005), row(0.005, found=False), row(None, found=False)):
        assert math.isnan(gallery.badness(nothing, LEAST))
    assert gallery.badness(row(None, score=0.55), LEAST) > gallery.badness(row(None, score=0.95), LEAST) >= 0


def test_mistakes_first_and_no_moment_twice():
    rows = [row(query=query, stamp=index * SECOND, error_m=0.001 * index) for index in range(9) for query in "abc"]
    rows += [row(query="d", stamp=index * SECOND // 10, found=False) for index in range(20)]
    chosen = gallery.choose(rows, LEAST)
    kinds = {kind: [each for of, each in chosen if of == kind] for kind in gallery.KINDS}
    assert len(chosen) == len({id(each) for _, each in chosen})
    assert {each.query for each in kinds["worst"]} == {"d"} and not any(each.found for each in kinds["worst"])
    stamps = sorted(each.stamp for each in kinds["worst"])
    assert len(stamps) == 4 and min(np.diff(stamps)) >= gallery.APART  # all that fit into two seconds
    assert [each.query for each in kinds["best"]] == ["a", "b", "c"] and {each.stamp for each in kinds["best"]} == {0}
    assert {each.query for each in kinds["typical"]} == set("abc")


def test_without_mistakes_the_least_good_come_first_and_nothing_gives_nothing():
    rows = [row(stamp=index * SECOND, error_m=0.001 * index) for index in range(30)]
    worst = [each.stamp for kind, each in gallery.choose(rows, LEAST) if kind == "worst"]
    assert worst == [index * SECOND for index in range(29, 23, -1)]
    assert gallery.choose([], LEAST) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (row(), "found, 1.0 cm off; score 0.90, threshold 0.50; 10 % of the image"),
        (row(hit=False, error_m=None), "found, but points beside it; score 0.90, threshold 0.50; 10 % of the image"),
        (row(0.02, found=False), "missed; score 0.20, threshold 0.50; 2.0 % of the image"),
        (row(0.0), "found, but not there; score 0.90, threshold 0.50"),
        (row(0.0, found=False), "rightly not found; score 0.20, threshold 0.50"),
        (row(None), "found; score 0.90, threshold 0.50"),
    ],
)
def test_captions(answer, said):
    assert gallery.describe(answer, LEAST) == said


def test_the_node_s_own_pictures_are_shown_small_with_the_truth_outlined():
    rows = [row(stamp=index * SECOND) for index in (1, 2, 3)]
    evaluation = summarise(rows, [Input("table", "", "", images=3, start=0, end=3 * SECOND)], min_visible=LEAST)
    gray = cv2.imencode(".png", np.full((300, 960, 3), 90, np.uint8))[1].tobytes()
    mask = np.zeros((300, 960), bool)
    mask[100:200, 200:400] = True
    truth = Truth(("ball",), {2 * SECOND: (sighting(mask),)}, ())
    shown = list(gallery.from_overlays(evaluation, {("table", 2 * SECOND): gray}, {"table": truth}))
    assert [each.title for each in shown] == ["ball, 2.0 s"] and (shown[0].width, shown[0].height) == (480, 150)
    picture = cv2.imdecode(np.frombuffer(shown[0].jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture[50, 110:190].mean() > 150 and abs(int(picture[20, 20]) - 90) < 8  # the outline, and nothing else
    assert "outlined" in shown[0].alt


def sighting(mask):
    return Sighting("ball", "ball", 0.1, (200, 100, 400, 200), Runs.of(mask))

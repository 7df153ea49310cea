"""Answers against truth: what counts, and over which images."""

import dataclasses
import math

import numpy as np
import pytest

from gem_ros.data import CameraIntrinsics, Observation, Pose
from gem_ros.errors import BagError, DecodeError
from gem_ros.replay.masks import Runs
from gem_ros.replay.metrics import best_iou, iou
from gem_ros.replay.scoring import Answer, Maps, Scored, best_answers, row, score, verdict
from gem_ros.replay.truth import Sighting, Truth

CAMERA = CameraIntrinsics(width=4, height=3, fx=2.0, fy=2.0, cx=1.5, cy=1.0)
NOWHERE = np.zeros(3)


def sighting(query, column, fraction=0.25):
    mask = np.zeros((3, 4), bool)
    mask[:, column] = True
    return Sighting(query, query, fraction, (column, 0, column + 1, 3), Runs.of(mask), NOWHERE, NOWHERE)


def observation(stamp):
    return Observation(np.zeros((3, 4, 3), np.uint8), stamp, "cam", np.full((3, 4), 2.0, np.float32), CAMERA)


def answer(found=True, pixel=(3.0, 1.0), point=(1.5, 0.0, 2.1), stamp=7, query="ball"):
    return Answer(stamp, query, found, 0.9 if found else 0.1, 0.5, "ok" if found else "absent", pixel, point)


TRUTH = Truth(("ball", "cube"), {7: (sighting("ball", 3), sighting("ball", 0), sighting("cube", 1)), 8: ()}, ("door",))


def test_one_answer_is_held_against_all_things_of_its_query():
    right = score(answer(), TRUTH, observation(7))
    assert right.hit and right.visible == 0.5 and right.error == pytest.approx(0.1)
    assert score(answer(pixel=(0, 0)), TRUTH, observation(7)).hit
    other = score(answer(pixel=(1, 0), point=None), TRUTH, observation(7))
    assert not other.hit and math.isnan(other.error)
    gone = score(answer(stamp=8), TRUTH, observation(8))
    assert not gone.hit and gone.visible == 0 and math.isnan(gone.error)


def test_verdict_counts_each_rate_over_its_own_images():
    def one(visible, found, hit, error):
        return Scored(answer(found), visible, hit, error)

    scored = [
        one(0.5, True, True, 0.01),
        one(0.01, True, False, 0.03),
        one(0.01, False, True, 0.5),  # not found: its error is no measurement
        one(0.5, False, False, math.nan),
        one(0.009, False, False, math.nan),  # in sight, too small to count either way
        one(0.0, True, False, math.nan),
        one(0.0, False, False, math.nan),
        Scored(answer(query="other"), 0.5, False, 9.0),
    ]
    result = verdict("ball", scored)
    assert (result.in_view, result.found, result.pointing) == (4, 0.5, 0.5)
    assert (result.error.count, result.error.median) == (2, pytest.approx(0.02))
    assert (result.out_of_view, result.mistaken) == (2, 0.5)


def test_the_best_target_of_each_query():
    target = {"found": True, "threshold": 0.5, "reason": "ok", "pixel": [1.0, 2.0], "point": None, "id": 3}
    targets = [{**target, "query": name, "score": score} for name, score in (("a", 0.9), ("a", 0.6), ("b", 0.7))]
    found = best_answers({"stamp": 5, "frame_id": "map", "targets": targets})
    assert [(each.query, each.score, each.pixel, each.point) for each in found] == [
        ("a", 0.9, (1.0, 2.0), None),
        ("b", 0.7, (1.0, 2.0), None),
    ]
    assert {(each.frame_id, each.id) for each in found} == {("map", 3)}


def test_a_result_without_its_fields_is_refused():
    with pytest.raises(DecodeError, match="result"):
        best_answers({"stamp": 5, "targets": [{"query": "a"}]})


def test_a_point_in_another_frame_is_taken_back_to_the_camera():
    pose = Pose("map", np.array([[0, 0, 1, 5], [-1, 0, 0, 6], [0, -1, 0, 7], [0, 0, 0, 1.0]]))
    seen = dataclasses.replace(observation(7), pose=pose)
    placed = dataclasses.replace(answer(point=(7.1, 4.5, 7.0)), frame_id="map")  # (1.5, 0, 2.1) of the camera
    scored = score(placed, TRUTH, seen)
    assert scored.error == pytest.approx(0.1) and scored.answer.point == pytest.approx((1.5, 0, 2.1))
    lost = score(placed, TRUTH, observation(7))
    assert math.isnan(lost.error) and lost.answer.point is None
    elsewhere = score(dataclasses.replace(placed, frame_id="odom"), TRUTH, seen)
    assert math.isnan(elsewhere.error)


def test_different_tracks_of_one_thing_are_counted():
    def seen(number, found=True):
        return Scored(dataclasses.replace(answer(found), id=number), 0.5, True, 0.0)

    assert verdict("ball", [seen(1), seen(1), seen(4), seen(None), seen(9, found=False)]).ids == 2


def rows_of(given=None, truth=TRUTH, stamp=7, **more):
    return row("bag", given or answer(stamp=stamp), observation(stamp), truth, **more)


def test_a_row_says_what_was_answered_and_what_is_true():
    found = rows_of()
    assert (found.bag, found.stamp, found.query, found.visible, found.hit, found.thing) == (
        "bag",
        7,
        "ball",
        0.5,
        True,
        "ball",
    )
    assert found.error_m == pytest.approx(0.1) and found.iou is None and (found.u, found.y) == (3.0, 0.0)


def test_a_row_of_what_is_not_in_view_and_of_what_nobody_knows():
    assert rows_of(answer(query="door")).visible is None  # TRUTH's objects do not name it
    assert rows_of(answer(query="door"), absent={"door"}).visible == 0.0
    assert rows_of(truth=None).visible is None and rows_of(truth=None).distance_m == pytest.approx(2.58, abs=0.01)
    gone = rows_of(stamp=8)
    assert gone.visible == 0.0 and gone.hit is None and gone.distance_m is None
    assert rows_of(stamp=99).visible is None  # an image that the truth does not hold


def test_overlap_with_all_things_of_the_query():
    region = np.zeros((3, 4), bool)
    region[:, 2:] = True  # one of the two columns that are balls, and one that is none
    found = rows_of(maps=Maps(region, lambda: region.astype(np.float32)))
    assert found.iou == pytest.approx(3 / 9) and found.best_iou == pytest.approx(6 / 12)
    assert found.depth_valid == 1.0
    nothing = rows_of(answer(found=False), maps=Maps(np.zeros((3, 4), bool), lambda: region.astype(np.float32)))
    assert nothing.iou == 0.0 and nothing.depth_valid is None


def test_a_track_is_held_against_the_true_position():
    placed = dataclasses.replace(answer(), position=(1.0, 2.0, 3.0))
    found = rows_of(placed)  # the truth's position is NOWHERE, the origin
    assert (found.dx_m, found.dy_m, found.dz_m) == (1.0, 2.0, 3.0)
    assert rows_of(dataclasses.replace(placed, pixel=(1.0, 1.0))).dx_m is None  # that is another thing


def test_truth_of_another_size_is_one_line():
    small = dataclasses.replace(observation(7), image=np.zeros((2, 4, 3), np.uint8))
    with pytest.raises(BagError, match="size"):
        row("bag", answer(), small, TRUTH)


def test_best_iou_by_hand():
    mask = np.array([[True, True, False, False]])
    assert best_iou(np.array([[0.9, 0.2, 0.5, 0.1]], np.float32), mask) == pytest.approx(2 / 3)
    assert best_iou(np.array([[0.9, 0.8, 0.5, 0.1]], np.float32), mask) == 1.0
    assert best_iou(np.zeros((1, 4), np.float32), mask) == 0.5  # everything
    assert math.isnan(best_iou(np.ones((1, 4), np.float32), ~mask & mask))
    assert iou(mask, mask) == 1.0 and iou(mask, ~mask) == 0.0 and math.isnan(iou(~mask & mask, ~mask & mask))

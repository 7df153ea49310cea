"""Answers against truth: what counts, and over which images."""

import dataclasses
import math

import numpy as np
import pytest

from gem_ros.data import CameraIntrinsics, Observation, Pose
from gem_ros.errors import BagError, DecodeError
from gem_ros.replay.masks import Runs
from gem_ros.replay.metrics import best_iou, iou
from gem_ros.replay.rows import Row
from gem_ros.replay.scoring import Answer, Maps, best_answers, row, verdict
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


def judged(*, found, query="ball", **known):
    return Row("bag", 7, query, distance_m=None, score=0.9, threshold=0.5, found=found, reason="ok", **known)


TRUTH = Truth(("ball", "cube"), {7: (sighting("ball", 3), sighting("ball", 0), sighting("cube", 1)), 8: ()}, ("door",))


def test_one_answer_is_held_against_all_things_of_its_query():
    right = row("bag", answer(), observation(7), TRUTH)
    assert right.hit and right.visible == 0.5 and right.error_m == pytest.approx(0.1)
    assert row("bag", answer(pixel=(0, 0)), observation(7), TRUTH).hit
    other = row("bag", answer(pixel=(1, 0), point=None), observation(7), TRUTH)
    assert not other.hit and other.error_m is None
    gone = row("bag", answer(stamp=8), observation(8), TRUTH)
    assert not gone.hit and gone.visible == 0 and gone.error_m is None


def test_verdict_counts_each_rate_over_its_own_images():
    def one(visible, found, hit, error, query="ball"):
        return judged(found=found, visible=visible, hit=hit, error_m=error, query=query)

    scored = [
        one(0.5, True, True, 0.01),
        one(0.01, True, False, 0.03),
        one(0.01, False, True, 0.5),  # not found: its error is no measurement
        one(0.5, False, False, None),
        one(0.009, False, False, None),  # in sight, too small to count either way
        one(0.0, True, False, None),
        one(0.0, False, False, None),
        one(0.5, True, False, 9.0, "other"),
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
    found = row("bag", placed, seen, TRUTH)
    assert found.error_m == pytest.approx(0.1) and (found.x, found.y, found.z) == pytest.approx((1.5, 0, 2.1))
    lost = row("bag", placed, observation(7), TRUTH)
    assert lost.error_m is None and lost.x is None
    elsewhere = row("bag", dataclasses.replace(placed, frame_id="odom"), seen, TRUTH)
    assert elsewhere.error_m is None


def test_different_tracks_of_one_thing_are_counted():
    def seen(number, found=True):
        return judged(found=found, id=number, visible=0.5, hit=True, error_m=0.0)

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

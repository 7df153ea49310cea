"""Neighbouring images brought together: a camera that moves and things that do not, by hand."""

import numpy as np
import pytest

from gem_ros.data import CameraIntrinsics, Grounding, Observation, Pose, Target
from gem_ros.replay.stability import Agreement, Seen, agreement, seen

CAMERA = CameraIntrinsics(width=20, height=10, fx=10.0, fy=10.0, cx=9.5, cy=4.5)
DEPTH = 2.0  # m: one pixel is 0.2 m


def view(shift=0.0, first=5, last=9, *, pose=True, depth=DEPTH, point=None):
    """A camera ``shift`` m to the right; the region spans columns ``first`` … ``last`` of three rows."""
    matrix = np.eye(4)
    matrix[0, 3] = shift
    mask = np.zeros((10, 20), bool)
    mask[3:6, first : last + 1] = True
    metres = None if depth is None else np.full((10, 20), depth, np.float32)
    observation = Observation(
        np.zeros((10, 20, 3), np.uint8), 0, "camera", metres, CAMERA, None, Pose("map", matrix) if pose else None
    )
    return Seen(observation, {0: mask}, {} if point is None else {0: np.array(point)})


def test_what_stands_still_agrees_whatever_the_camera_does():
    still = agreement(view(point=(0.0, 0.0, DEPTH)), view(0.4, 3, 7, point=(-0.4, 0.0, DEPTH)), 0)
    assert still.overlap == 1.0 and still.moved == pytest.approx(0.0)


def test_what_moves_in_the_image_of_a_still_camera_disagrees():
    moved = agreement(view(point=(0.0, 0.0, DEPTH)), view(0.0, 7, 11, point=(0.4, 0.0, DEPTH)), 0)
    assert moved.overlap == pytest.approx(3 / 5) and moved.moved == pytest.approx(0.4)


def test_a_region_of_another_size_is_counted_as_dice():
    assert agreement(view(0.0, 5, 9), view(0.0, 5, 14), 0).overlap == pytest.approx(2 * 5 / 15)


def test_surface_out_of_the_other_image_is_left_out():
    # 1 m to the right: columns 5 ... 9 are at 0 ... 4, column 4 would be at -1
    assert agreement(view(0.0, 4, 9), view(1.0, 0, 4), 0).overlap == 1.0


@pytest.mark.parametrize("both", [{"pose": False}, {"depth": None}])
def test_without_pose_or_depth_nothing_is_said_of_regions(both):
    assert agreement(view(**both), view(**both), 0).overlap is None


def test_the_first_image_has_nothing_to_agree_with():
    assert agreement(None, view(), 0) == Agreement(None, None)


def test_what_only_one_image_shows_says_nothing():
    assert agreement(view(), view(), 1).overlap is None


def test_found_targets_of_a_query_are_one_region_and_the_best_point():
    left, right = np.zeros((10, 20), bool), np.zeros((10, 20), bool)
    left[0, 0] = right[9, 19] = True
    place = {"found": True, "score": 0.9, "threshold": 0.5, "reason": "ok"}
    targets = (
        Target("ball", 0, region=left, point=np.ones(3), **place),
        Target("ball", 0, region=right, point=np.zeros(3), **place),
        Target("door", 1, False, 0.1, 0.5, "absent"),
    )
    maps = np.zeros((2, 1, 1), np.float32)
    found = seen(view().observation, Grounding((), targets, (10, 20), maps, lambda each: each))
    assert found.regions[0].sum() == 2 and (found.points[0] == 1).all() and set(found.regions) == {0}

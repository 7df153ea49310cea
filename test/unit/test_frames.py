"""Motions between frames: numbers by hand, and what must hold whatever the numbers."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gem_ros.data import Box, Pose, Target
from gem_ros.errors import GeometryError
from gem_ros.geometry.frames import in_frame, interpolate, pose_at

MS = 1_000_000
# A camera that looks along x of the map (z up), 1 m above it: x right = -y, y down = -z, z forward = x.
AHEAD = np.array([[0.0, 0, 1, 2], [-1, 0, 0, 3], [0, -1, 0, 1], [0, 0, 0, 1]])
FOUND = Target(
    query="red ball",
    query_index=0,
    found=True,
    score=0.9,
    threshold=0.5,
    reason="ok",
    pixel=(5.0, 7.0),
    ray=np.array([0.0, 0.0, 1.0]),
    point=np.array([0.5, 0.25, 4.0]),
    covariance=np.diag([1.0, 2.0, 9.0]),
    box=Box(np.array([0.0, 0.0, 4.0]), np.array([0.1, 0.2, 0.3]), np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])),
)


def motion(x=0.0, y=0.0, z=0.0, turn=0.0, about=(0, 0, 1)):
    """A shift in m after a turn in degrees about an axis."""
    result = np.eye(4)
    result[:3, :3] = Rotation.from_rotvec(np.radians(turn) * np.array(about) / np.linalg.norm(about)).as_matrix()
    result[:3, 3] = x, y, z
    return result


motions = st.builds(
    motion,
    *[st.floats(-100, 100)] * 3,
    st.floats(-170, 170),
    st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda axis: np.linalg.norm(axis) > 0.1),
)


def test_half_way_of_a_quarter_turn_is_an_eighth():
    half = interpolate(np.eye(4), motion(2.0, 4.0, -6.0, turn=90), 0.5)
    s = np.sqrt(0.5)
    assert half == pytest.approx(np.array([[s, -s, 0, 1], [s, s, 0, 2], [0, 0, 1, -3], [0, 0, 0, 1]]))


def test_the_turn_is_even_and_takes_the_shorter_way():
    before, after = motion(turn=170), motion(turn=-170)
    assert interpolate(before, after, 0.25) == pytest.approx(motion(turn=175))
    assert interpolate(before, after, 0.75) == pytest.approx(motion(turn=-175))


@settings(deadline=None, max_examples=40)
@given(before=motions, after=motions, share=st.floats(0, 1))
def test_what_lies_between_motions_is_a_motion(before, after, share):
    between = interpolate(before, after, share)
    assert between[:3, :3] @ between[:3, :3].T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.linalg.det(between[:3, :3]) == pytest.approx(1.0)
    assert between == pytest.approx(interpolate(after, before, 1 - share), abs=1e-6)
    assert interpolate(before, after, 0.0) == pytest.approx(before, abs=1e-9)
    assert interpolate(before, after, 1.0) == pytest.approx(after, abs=1e-9)


def test_a_pose_is_weighed_by_the_stamps_around_it():
    stamps, matrices = [0, 100 * MS, 140 * MS, 900 * MS], [motion(x=each) for each in (0.0, 1.0, 2.0, 9.0)]
    assert pose_at(110 * MS, stamps, matrices, 0.05)[0, 3] == pytest.approx(1.25)
    assert pose_at(139 * MS, stamps, matrices, 0.05)[0, 3] == pytest.approx(1.975)


def test_nanoseconds_of_today_are_told_apart():
    now = 1_700_000_000_000_000_001  # beyond what a float can count
    found = pose_at(now + 1, [now, now + 2], [motion(x=0.0), motion(x=2.0)], 0.05)
    assert found[0, 3] == pytest.approx(1.0)


def test_a_pose_of_the_very_stamp_needs_no_other_and_no_slop():
    one = motion(x=3.0, turn=30)
    assert pose_at(5, [5], [one], 0.0) is one
    last = motion(x=4.0)
    assert pose_at(5, [1, 5, 5], [np.eye(4), one, last], 0.0) is last


@pytest.mark.parametrize(
    ("stamp", "stamps", "says"),
    [
        (5, [], "got none"),
        (250 * MS, [100 * MS, 200 * MS], r"got the newest 0\.050 s before it"),
        (90 * MS, [100 * MS, 200 * MS], r"got the oldest 0\.010 s after it"),
        (300 * MS, [200 * MS, 500 * MS], r"at most 0\.05 s .*got the nearest 0\.100 s from it"),
        (400 * MS, [200 * MS, 500 * MS], r"got the nearest 0\.100 s from it"),
    ],
)
def test_nothing_is_extrapolated_or_taken_from_afar(stamp, stamps, says):
    with pytest.raises(GeometryError, match=says) as error:
        pose_at(stamp, stamps, [np.eye(4)] * len(stamps), 0.05)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("stamp", [150 * MS, 450 * MS])
def test_the_nearer_of_the_two_decides_about_the_slop(stamp):
    assert pose_at(stamp, [100 * MS, 500 * MS], [motion(x=1.0), motion(x=5.0)], 0.05)[0, 3] == pytest.approx(
        stamp / MS / 100
    )


def test_point_covariance_and_box_by_hand():
    moved = in_frame(FOUND, Pose("map", AHEAD))
    assert moved.point == pytest.approx([4.0 + 2, -0.5 + 3, -0.25 + 1])
    assert moved.covariance == pytest.approx(np.diag([9.0, 1.0, 2.0]))
    assert moved.box.centre == pytest.approx([6.0, 3.0, 1.0])
    assert moved.box.size == pytest.approx([0.1, 0.2, 0.3])  # along its own axes, which have turned
    assert moved.box.rotation == pytest.approx(np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]))
    assert moved.ray is FOUND.ray and moved.pixel == FOUND.pixel and moved.reason == "ok"


def test_correlated_uncertainty_turns_as_a_whole():
    covariance = np.array([[2.0, 1, 0], [1, 3, 0], [0, 0, 4]])
    turned = in_frame(dataclasses.replace(FOUND, covariance=covariance), Pose("map", motion(turn=90))).covariance
    assert turned == pytest.approx(np.array([[3.0, -1, 0], [-1, 2, 0], [0, 0, 4]]))  # x -> y, y -> -x


@settings(deadline=None, max_examples=40)
@given(there=motions)
def test_there_and_back_is_where_it_was(there):
    back = in_frame(in_frame(FOUND, Pose("map", there)), Pose("camera", np.linalg.inv(there)))
    assert there @ np.linalg.inv(there) == pytest.approx(np.eye(4), abs=1e-9)
    assert back.point == pytest.approx(FOUND.point, abs=1e-9)
    assert back.covariance == pytest.approx(FOUND.covariance, abs=1e-9)
    assert back.box.centre == pytest.approx(FOUND.box.centre, abs=1e-9)
    assert back.box.rotation == pytest.approx(FOUND.box.rotation, abs=1e-9)


def test_one_frame_after_the_other_is_both_at_once():
    first, second = motion(1.0, 2.0, 3.0, 40, (1, 1, 0)), motion(-2.0, 0.5, 1.0, 110, (0, 1, 3))
    stepwise = in_frame(in_frame(FOUND, Pose("base", first)), Pose("map", second))
    assert stepwise.point == pytest.approx(in_frame(FOUND, Pose("map", second @ first)).point)


def test_without_a_pose_there_is_no_point_but_a_reason():
    moved = in_frame(FOUND, None)
    assert (moved.point, moved.covariance, moved.box, moved.reason) == (None, None, None, "no_transform")
    assert moved.found and moved.ray is FOUND.ray and moved.pixel == FOUND.pixel


@pytest.mark.parametrize("pose", [None, Pose("map", AHEAD)])
def test_what_has_no_point_keeps_its_own_reason(pose):
    flat = dataclasses.replace(FOUND, point=None, covariance=None, box=None, reason="no_depth")
    assert in_frame(flat, pose) is flat


def test_a_point_alone_is_moved_too():
    moved = in_frame(dataclasses.replace(FOUND, covariance=None, box=None), Pose("map", AHEAD))
    assert moved.point == pytest.approx([6.0, 2.5, 0.75]) and moved.covariance is None and moved.box is None

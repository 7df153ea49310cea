"""Where to stand in front of a thing: computed by hand, and what must hold wherever things are."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from gem_ros.data import Box
from gem_ros.geometry.goal import CLEARANCE, Goal, standoff_goal, turn


def camera(position, looking=(1.0, 0.0, 0.0)):
    """T_frame_camera of an optical frame whose z axis is ``looking``."""
    z = np.array(looking) / np.linalg.norm(looking)
    x = np.cross(z, [0.0, 0.0, 1.0] if abs(z[2]) < 0.9 else [1.0, 0.0, 0.0])
    x /= np.linalg.norm(x)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.column_stack([x, np.cross(z, x), z]), position
    return matrix


def cube(centre, size=(1.0, 1.0, 1.0), yaw=0.0):
    return Box(np.array(centre), np.array(size), Rotation.from_euler("z", yaw).as_matrix())


def test_the_goal_is_before_the_thing_on_the_way_to_the_camera_and_faces_it():
    goal = standoff_goal(np.array([2.0, 0.0, 0.5]), camera([0.0, 0.0, 1.0]), 0.8)
    assert goal == pytest.approx(Goal(1.2, 0.0, 0.0))
    goal = standoff_goal(np.array([3.0, 4.0, 7.0]), camera([0.0, 0.0, 1.0]), 1.0)
    assert goal == pytest.approx(Goal(3 - 0.6, 4 - 0.8, math.atan2(4, 3)))
    goal = standoff_goal(np.array([0.0, 0.0, 0.0]), camera([3.0, 0.0, 1.0]), 1.0)
    assert (goal.x, goal.y, abs(goal.yaw)) == pytest.approx((1.0, 0.0, math.pi))


def test_a_camera_nearer_than_the_standoff_is_sent_back():
    assert standoff_goal(np.array([2.0, 0.0, 0.5]), camera([1.5, 0.0, 1.0]), 0.8) == pytest.approx(Goal(1.2, 0, 0))


@pytest.mark.parametrize(
    ("standoff", "box", "distance"),
    [
        (0.8, cube([2.3, 0.0, 0.5]), 0.8),  # reaches 0.2 m beyond the point, towards the camera
        (0.26, cube([2.3, 0.0, 0.5]), 0.26),
        (0.2, cube([2.3, 0.0, 0.5]), 0.25),
        (0.0, cube([2.3, 0.0, 0.5]), 0.25),
        (0.1, cube([2.3, 0.0, 0.5], yaw=math.pi / 4), math.sqrt(0.5) - 0.3 + 0.05),  # a corner ahead
        (0.1, cube([2.3, 0.0, 0.5], size=(0.2, 4.0, 4.0)), 0.1),  # broad and tall, but not towards the camera
        (0.3, cube([2.0, 0.0, 0.0], size=(1.8, 0.1, 0.1)), 0.95),
        (0.3, cube([4.0, 0.0, 0.0]), 0.3),  # all behind the point
    ],
)
def test_the_goal_stands_back_from_a_box_that_reaches_it(standoff, box, distance):
    goal = standoff_goal(np.array([2.0, 0.0, 0.5]), camera([0.0, 0.0, 1.0]), standoff, box)
    assert goal == pytest.approx(Goal(2 - distance, 0.0, 0.0))


def test_from_straight_above_the_goal_lies_where_the_camera_looks_from():
    point = np.array([2.0, 0.0, 0.5])
    assert standoff_goal(point, camera([2.004, 0.004, 3.0], (0.0, 1.0, -9.0)), 0.8) == pytest.approx(
        Goal(2.0, -0.8, math.pi / 2)
    )
    # a step aside is a direction again
    assert standoff_goal(point, camera([2.02, 0.0, 3.0], (0.0, 1.0, -9.0)), 0.8).x == pytest.approx(2.8)


@pytest.mark.parametrize("looking", [(0.0, 0.0, -1.0), (0.0, 0.0, 1.0), (0.005, 0.005, -1.0)])
def test_from_straight_above_and_looking_straight_down_there_is_no_direction(looking):
    assert standoff_goal(np.array([2.0, 0.0, 0.5]), camera([2.0, 0.0, 3.0], looking), 0.8) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_gives_no_goal(bad):
    point, where, box = np.array([2.0, 0.0, 0.5]), camera([0.0, 0.0, 1.0]), cube([2.3, 0.0, 0.5])
    broken = where.copy()
    broken[0, 3] = bad
    turned = where.copy()
    turned[1, 2] = bad
    assert standoff_goal(np.array([2.0, 0.0, bad]), where, 0.8) is None
    assert standoff_goal(point, broken, 0.8) is None
    assert standoff_goal(point, turned, 0.8) is None
    assert standoff_goal(point, where, bad) is None
    assert standoff_goal(point, where, 0.8, Box(np.full(3, bad), box.size, box.rotation)) is None
    assert standoff_goal(point, where, 0.8, Box(box.centre, np.full(3, bad), box.rotation)) is None
    assert standoff_goal(point, where, 0.8, Box(box.centre, box.size, np.full((3, 3), bad))) is None


@pytest.mark.parametrize(
    ("one", "other", "angle"), [(0.1, 0.3, 0.2), (3.1, -3.1, math.tau - 6.2), (0.0, math.pi, math.pi), (-0.2, 0.1, 0.3)]
)
def test_the_angle_between_headings_is_the_smaller_one(one, other, angle):
    assert turn(one, other) == turn(other, one) == pytest.approx(angle)


near = st.floats(-20, 20)
places = st.tuples(near, near, st.floats(-1, 3)).map(np.array)
sizes = st.tuples(*[st.floats(0, 3)] * 3).map(np.array)
rotations = st.tuples(*[st.floats(-math.pi, math.pi)] * 3).map(lambda angles: Rotation.from_euler("xyz", angles))
boxes = st.builds(lambda centre, size, rotation: Box(centre, size, rotation.as_matrix()), places, sizes, rotations)
distances = st.floats(0, 5)


def on_the_ground(point, goal):
    return math.hypot(goal.x - point[0], goal.y - point[1])


@given(places, places, distances)
def test_without_a_box_the_goal_is_at_the_standoff_between_thing_and_camera(point, position, standoff):
    assume(math.dist(point[:2], position[:2]) > 0.02)
    goal = standoff_goal(point, camera(position), standoff)
    assert on_the_ground(point, goal) == pytest.approx(standoff, abs=1e-9)
    # from the camera, the goal lies in the thing's direction, or opposite where it is behind the camera
    way, back = np.array([goal.x, goal.y]) - position[:2], point[:2] - position[:2]
    assert way[0] * back[1] - way[1] * back[0] == pytest.approx(0, abs=1e-7)
    assert np.linalg.norm(point[:2] - [goal.x, goal.y]) == pytest.approx(
        np.linalg.norm(back) - way @ back / np.linalg.norm(back), abs=1e-7
    )


@given(places, places, distances, boxes)
def test_the_goal_faces_the_thing_and_is_never_inside_it(point, position, standoff, box):
    assume(math.dist(point[:2], position[:2]) > 0.02)
    goal = standoff_goal(point, camera(position), standoff, box)
    distance = on_the_ground(point, goal)
    assert distance >= standoff - 1e-9
    if distance > 1e-6:
        assert turn(goal.yaw, math.atan2(point[1] - goal.y, point[0] - goal.x)) < 1e-6
    # ahead of the goal, the box begins after the clearance: every corner, taken from the box's own axes
    ahead = np.array([math.cos(goal.yaw), math.sin(goal.yaw)])
    nearest = (box.centre[:2] - [goal.x, goal.y]) @ ahead - np.abs(ahead @ box.rotation[:2]) @ box.size / 2
    assert nearest >= CLEARANCE - 1e-9
    if distance > standoff + 1e-9:
        assert nearest == pytest.approx(CLEARANCE)


@given(st.tuples(places, places), distances, boxes, st.floats(-math.pi, math.pi), places)
def test_the_goal_turns_and_moves_with_the_world(ends, standoff, box, yaw, shift):
    point, position = ends
    assume(math.dist(point[:2], position[:2]) > 0.02)
    rotation, shift = Rotation.from_euler("z", yaw).as_matrix(), shift * [1, 1, 0]
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = rotation, shift
    before = standoff_goal(point, camera(position), standoff, box)
    other = Box(rotation @ box.centre + shift, box.size, rotation @ box.rotation)
    after = standoff_goal(rotation @ point + shift, moved @ camera(position), standoff, other)
    np.testing.assert_allclose([after.x, after.y], (rotation @ [before.x, before.y, 0.0] + shift)[:2], atol=1e-8)
    assert turn(after.yaw, before.yaw + yaw) < 1e-8

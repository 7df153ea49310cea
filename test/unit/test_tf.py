"""Chains of recorded transforms: hand-computed motions, and one line where there is no chain."""

from types import SimpleNamespace

import numpy as np
import pytest

from gem_ros.errors import GeometryError
from gem_ros.replay.tf import KEEP, TransformBuffer


def transform(parent, child, *, x=0.0, y=0.0, turn=0.0, stamp=0, length=1.0):
    """``child`` lies at x, y in ``parent``, turned about z by some degrees."""
    half = np.radians(turn) / 2
    header = SimpleNamespace(frame_id=parent, stamp=SimpleNamespace(sec=0, nanosec=stamp))
    shift = SimpleNamespace(x=x, y=y, z=0.0)
    rotation = SimpleNamespace(x=0.0, y=0.0, z=length * np.sin(half), w=length * np.cos(half))
    motion = SimpleNamespace(translation=shift, rotation=rotation)
    return SimpleNamespace(header=header, child_frame_id=child, transform=motion)


def add(buffer, *transforms, static=False, arrival=0):
    buffer.add(SimpleNamespace(transforms=transforms), arrival, static=static)


@pytest.fixture
def robot():
    """map -> odom -> base (moving) -> camera (static), and base -> arm."""
    buffer = TransformBuffer()
    add(buffer, transform("/base", "/camera", x=0.5), transform("base", "arm", y=1.0), static=True)
    add(buffer, transform("map", "odom", x=10.0, turn=90.0, stamp=0), transform("odom", "base", stamp=0))
    add(buffer, transform("map", "odom", x=10.0, turn=90.0, stamp=100), transform("odom", "base", x=2.0, stamp=100))
    return buffer


def test_a_chain_is_interpolated_at_the_stamp(robot):
    assert robot.root("camera") == robot.root("/arm") == "map" and robot.root("other") is None
    found = robot.lookup("map", "camera", 50)  # in odom x = 1 + 0.5, in the map turned to y
    np.testing.assert_allclose(found[:3, 3], [10.0, 1.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(found[:3, 0], [0.0, 1.0, 0.0], atol=1e-12)


def test_rotations_are_interpolated_on_the_sphere():
    buffer = TransformBuffer()
    add(buffer, transform("map", "camera", stamp=0), transform("map", "camera", turn=90.0, stamp=90))
    np.testing.assert_allclose(
        buffer.lookup("map", "camera", 30)[:2, 0], [np.cos(np.radians(30)), np.sin(np.radians(30))]
    )


def test_any_frame_of_the_tree_may_be_the_target(robot):
    np.testing.assert_allclose(robot.lookup("arm", "camera", 7)[:3, 3], [0.5, -1.0, 0.0])
    np.testing.assert_allclose(robot.lookup("camera", "camera", 7), np.eye(4))
    there, back = robot.lookup("map", "camera", 30), robot.lookup("camera", "map", 30)
    np.testing.assert_allclose(there @ back, np.eye(4), atol=1e-12)


@pytest.mark.parametrize("stamp", [-1, 101])
def test_nothing_is_extrapolated(robot, stamp):
    with pytest.raises(GeometryError, match=r"tf (odom -> base|map -> odom): .*before and after"):
        robot.lookup("map", "camera", stamp)
    np.testing.assert_allclose(robot.lookup("arm", "camera", stamp)[:3, 3], [0.5, -1.0, 0.0])  # static ones always hold


def test_what_is_no_chain_is_said_in_one_line(robot):
    add(robot, transform("world", "marker"), static=True)
    with pytest.raises(GeometryError, match="one tree, got camera below map and marker below world"):
        robot.lookup("marker", "camera", 50)
    with pytest.raises(GeometryError, match="expected a frame nowhere, got frames: arm, base, camera"):
        robot.lookup("nowhere", "camera", 50)
    add(robot, transform("camera", "map"), static=True)
    for ask in (lambda: robot.root("arm"), lambda: robot.lookup("map", "camera", 50)):
        with pytest.raises(GeometryError, match=r"circle: .* -> ") as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_the_newest_parent_holds_and_what_is_no_motion_is_left_out(robot):
    add(robot, transform("odom", "base", stamp=200, length=0.0))
    with pytest.raises(GeometryError):
        robot.lookup("map", "camera", 150)
    add(robot, transform("truck", "base", stamp=50), transform("truck", "base", stamp=60))
    assert robot.root("camera") == "truck"
    np.testing.assert_allclose(robot.lookup("truck", "camera", 55)[:3, 3], [0.5, 0.0, 0.0])


def test_stamps_may_come_in_any_order_and_twice():
    buffer = TransformBuffer()
    for stamp, x in ((100, 1.0), (0, 0.0), (50, 9.0), (50, 3.0)):
        add(buffer, transform("map", "camera", x=x, stamp=stamp))
    assert buffer.lookup("map", "camera", 25)[0, 3] == pytest.approx(1.5)
    assert buffer.lookup("map", "camera", 75)[0, 3] == pytest.approx(2.0)


def test_only_seconds_are_kept_but_a_slow_link_can_be_interpolated():
    buffer = TransformBuffer()
    for index in range(5000):
        add(buffer, transform("map", "base", x=index, stamp=index), arrival=index * KEEP // 100)
    assert len(buffer._links["base"].moments) < 105
    slow = TransformBuffer()
    for stamp, arrival in ((0, 0), (100, 5 * KEEP), (200, 5 * KEEP + 1), (300, 5 * KEEP + 2)):
        add(slow, transform("map", "base", x=stamp, stamp=stamp), arrival=arrival)
    assert slow.lookup("map", "base", 50)[0, 3] == pytest.approx(50)

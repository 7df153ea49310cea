"""Poses of the camera that are missing, too old, of another frame or no poses: the node places nothing by guess."""

import importlib.util
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from geometry_msgs.msg import Point, PoseStamped, Quaternion
from harness import MS, rig, soon
from placed import IN_MAP, S, is_placed, see_from, stand
from robot import SLOP, header

pytestmark = [pytest.mark.dds, pytest.mark.slow]
NAN = float("nan")
HAS_TF = importlib.util.find_spec("tf2_ros") is not None
X = 1.0  # m, where the camera is


def posed(rig, stamp, frame="map", position=(X, 0.0, 1.0), rotation=(-0.5, 0.5, -0.5, 0.5)):
    made = PoseStamped(header=header(stamp, frame))
    made.pose.position, made.pose.orientation = Point(), Quaternion()
    made.pose.position.x, made.pose.position.y, made.pose.position.z = position
    rotated = made.pose.orientation
    rotated.x, rotated.y, rotated.z, rotated.w = rotation
    rig.robot.pose.publish(made)


def around(rig, stamp, **pose):
    """Poses 20 ms before and after ``stamp``."""
    posed(rig, stamp - 20 * MS, **pose)
    posed(rig, stamp + 20 * MS, **pose)


NO_POSE = "camera pose: expected poses before and after the image's stamp"
NUMBERS = "pose: expected a position within"
# id -> how the camera stands at a stamp, what is told
POSES = {
    "pose-missing": (lambda rig, stamp: None, NO_POSE),
    "pose-only-older": (lambda rig, stamp: posed(rig, stamp - 20 * MS), f"{NO_POSE}, got the newest 0.020 s before it"),
    "pose-too-rare": (
        lambda rig, stamp: (posed(rig, stamp - 500 * MS), posed(rig, stamp + 500 * MS)),
        f"camera pose: expected one at most {SLOP:g} s from the image's stamp",
    ),
    "pose-of-another-frame": (
        lambda rig, stamp: around(rig, stamp, frame="odom"),
        "camera_pose: expected poses in target_frame 'map', got 'odom'",
    ),
    "pose-frame-empty": (
        lambda rig, stamp: around(rig, stamp, frame=""),
        "camera_pose: expected poses in target_frame 'map', got ''",
    ),
    "pose-nan-position": (lambda rig, stamp: around(rig, stamp, position=(NAN, 0.0, 1.0)), NUMBERS),
    "pose-nan-rotation": (lambda rig, stamp: around(rig, stamp, rotation=(NAN, 0.0, 0.0, 1.0)), NUMBERS),
    "pose-zero-rotation": (lambda rig, stamp: around(rig, stamp, rotation=(0.0,) * 4), NUMBERS),
    "pose-stamp-zero": (lambda rig, stamp: posed(rig, 0), "camera_pose: expected the stamp of its moment, got 0"),
    "pose-in-the-future": (lambda rig, stamp: around(rig, stamp + 3600 * S), "s from it; publish it more often"),
}


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """In the map, with poses from a topic."""
    with rig(tmp_path_factory.mktemp("map"), 17, *IN_MAP, see=send_from) as made:
        yield made


def send_from(rig, stand=stand, stamp=None):
    stamp = stamp or rig.pace()
    stand(rig, stamp, X)
    return rig.send(stamp=stamp)


@pytest.mark.parametrize("fault", POSES)
def test_a_broken_pose(mapped, fault):
    how, says = POSES[fault]
    broken(mapped, says, lambda: send_from(mapped, lambda rig, stamp, x: how(rig, stamp)))


def broken(mapped, says, spoilt, mend=send_from):
    """As :meth:`harness.Rig.check`: the 2D answer stays, the reason is said, and mended it is placed again."""
    recovered(mapped, mend)
    mapped.robot.health.clear()
    target = mapped.answer(spoilt())
    assert (target["found"], target["reason"], target["point"]) == (True, "no_transform", None)
    assert target["pixel"]
    assert mapped.told(says, spoilt) < soon()
    recovered(mapped, mend)
    mapped.alive()


def recovered(mapped, mend=send_from):
    seen = [mapped.answer(mend(mapped)) for _ in range(2)]
    assert is_placed(seen[1], X), mapped.node.log
    assert is_placed(seen[0], X) or seen[0]["point"] is None


def test_a_quaternion_of_another_length_is_a_rotation_all_the_same(mapped):
    double = lambda rig, stamp, x: around(rig, stamp, rotation=(-1.0, 1.0, -1.0, 1.0))  # noqa: E731
    assert is_placed(mapped.answer(send_from(mapped, double)), X)


def test_poses_that_jump_back_are_of_a_new_run(mapped):
    """The images' stamps alone decide which run it is; poses of the last one are not used with them."""
    now = time.time_ns()
    recovered(mapped)
    assert is_placed(see_from(mapped, 7.0, now - 3600 * S), 7.0)
    recovered(mapped)

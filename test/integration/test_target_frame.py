"""The node with its results in a fixed frame: poses by topic, goals, tracks; over DDS."""

import importlib.util
import json
import math
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from geometry_msgs.msg import PointStamped, PoseStamped
from robot import DOMAIN, FRAME, PATIENCE, SLOP, Node, Robot, stamp_of
from std_msgs.msg import String

pytestmark = pytest.mark.dds
MS = 1_000_000
HAS_TF = importlib.util.find_spec("tf2_ros") is not None


@pytest.fixture(scope="module")
def robot():
    robot = Robot(DOMAIN + 1)
    yield robot
    robot.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory, robot):
    where = ["-p", "target_frame:=map", "-p", "pose_source:=topic", "-p", f"sync_slop:={SLOP}"]
    node = Node(tmp_path_factory.mktemp("node") / "log", DOMAIN + 1, *where, "-p", "queries:=[red cube]")
    try:
        assert robot.see_until(lambda stamp: robot.answered(stamp) and is_placed(robot), lambda: stand_and_see(robot))
        yield node
    finally:
        node.kill()


@pytest.fixture
def node(running, robot):
    """The running node, asked for a red cube anew."""
    robot.ask("something else")
    robot.ask("red cube")
    robot.results.clear()
    return running


def is_placed(robot):
    return robot.results[-1][1]["targets"][0]["reason"] == "ok"


def stand_and_see(robot, x=1.0, y=2.0, z=1.2, **pose):
    """One image from (x, y, z): its stamp lies in the middle of two poses 4 cm apart. The stamp."""
    stamp = time.time_ns()
    robot.stand(stamp - 20 * MS, x - 0.02, y, z, **pose)
    robot.stand(stamp + 20 * MS, x + 0.02, y, z, **pose)
    time.sleep(0.02)
    return robot.see(stamp=stamp)


def see_from(robot, *position, **pose):
    """The result of an image from ``position``."""
    return robot.result_of(stand_and_see(robot, *position, **pose))


def test_points_are_in_the_target_frame_by_the_pose_at_the_images_stamp(node, robot):
    heard = {}
    ear = robot.listen("/grounding/target", PointStamped, lambda message: heard.update({stamp_of(message): message}))
    stamp = robot.see_until(lambda stamp: stamp in heard, lambda: stand_and_see(robot))
    robot.node.destroy_subscription(ear)
    assert stamp and heard[stamp].header.frame_id == "map"
    assert heard[stamp].point.x == pytest.approx(2.5, abs=1e-3)
    result = robot.result_of(stamp)
    assert (result["frame_id"], result["image_frame_id"]) == ("map", FRAME)
    target = result["targets"][0]
    assert target["reason"] == "ok"
    assert target["point"] == pytest.approx([2.5, 2.0, 1.2], abs=1e-3)  # 1.5 m ahead


def test_without_a_pose_of_that_time_there_is_the_2d_result_and_the_reason(node, robot):
    robot.stand(time.time_ns(), 1.0, 2.0, 1.2)
    time.sleep(1.2 * SLOP)
    target = robot.result_of(robot.see())["targets"][0]
    assert (target["found"], target["reason"], target["point"]) == (True, "no_transform", None)
    assert target["pixel"] == [5.0, 7.0]
    assert robot.wait(lambda: robot.health and "pose" in robot.health[-1].message)


def test_poses_of_another_frame_are_refused_by_name(node, robot):
    assert see_from(robot, 1.0, 2.0, 1.2, frame="odom")["targets"][0]["reason"] == "no_transform"
    assert robot.wait(lambda: robot.health and "'odom'" in robot.health[-1].message)


def test_a_thing_keeps_its_id_while_the_camera_moves_and_is_remembered_when_it_is_gone(node, robot):
    first = see_from(robot, 1.0, 2.0, 1.2)["targets"][0]
    again = see_from(robot, 1.01, 2.0, 1.2)["targets"][0]
    assert first["id"] == again["id"] and again["track"]["hits"] == first["track"]["hits"] + 1
    assert robot.set("presence_threshold", 0.95)[0]
    try:
        result = see_from(robot, 1.0, 2.0, 1.2)
    finally:
        assert robot.set("presence_threshold", 0.5)[0]
    assert (result["targets"][0]["reason"], result["targets"][0]["id"]) == ("absent", None)
    seen = result["last_seen"][0]
    assert (seen["query"], seen["id"]) == ("red cube", first["id"]) and 0 < seen["age"] < PATIENCE
    assert seen["position"] == pytest.approx([2.5, 2.0, 1.2], abs=0.05)
    assert see_from(robot, 1.0, 2.0, 1.2)["targets"][0]["id"] == first["id"]


def test_the_goal_stands_off_faces_the_thing_and_is_sent_again_only_when_it_has_moved(node, robot):
    heard = []
    ear = robot.listen("/grounding/goal", PoseStamped, heard.append)
    assert robot.see_until(lambda stamp: heard, lambda: stand_and_see(robot))
    goal = heard[0]
    assert goal.header.frame_id == "map"
    position, heading = goal.pose.position, goal.pose.orientation
    assert [position.x, position.y, position.z] == pytest.approx([2.5 - 0.8, 2.0, 0.0], abs=1e-2)
    assert 2 * math.atan2(heading.z, heading.w) == pytest.approx(0.0, abs=1e-3)
    for _ in range(3):
        assert see_from(robot, 1.02, 2.0, 1.2)
    robot.quiet()
    assert len(heard) == 1
    for _ in range(8):  # the filter follows
        assert see_from(robot, 2.5, 2.0, 1.2)
    assert robot.wait(lambda: len(heard) > 1)
    robot.node.destroy_subscription(ear)
    assert heard[-1].pose.position.x > position.x + 0.25


@pytest.mark.skipif(HAS_TF, reason="tf2_ros is installed")
def test_without_tf2_a_target_frame_by_tf_is_refused_in_one_line(tmp_path):
    node = Node(tmp_path / "log", DOMAIN + 1, "-p", "target_frame:=map")
    try:
        assert node.process.wait(PATIENCE) == 2
        assert "tf2_ros" in node.log and len(node.log.splitlines()) == 1
    finally:
        node.kill()


@pytest.mark.skipif(not HAS_TF, reason="needs tf2_ros, which a full ROS 2 installation has")
def test_points_are_placed_by_tf_at_the_images_stamp(tmp_path, robot):
    from geometry_msgs.msg import TransformStamped
    from tf2_ros import TransformBroadcaster

    node = Node(tmp_path / "log", DOMAIN + 1, "-r", "__node:=by_tf", "-p", "target_frame:=map", "-p", "queries:=[cube]")
    broadcaster, heard = TransformBroadcaster(robot.node), []
    robot.listen("/by_tf/result", String, lambda message: heard.append(json.loads(message.data)["targets"][0]))

    def move(stamp, x):
        made = TransformStamped(child_frame_id=FRAME)
        made.header.frame_id = "map"
        made.header.stamp.sec, made.header.stamp.nanosec = divmod(stamp, 10**9)
        made.transform.translation.x = x
        rotation = made.transform.rotation
        rotation.x, rotation.y, rotation.z, rotation.w = -0.5, 0.5, -0.5, 0.5
        broadcaster.sendTransform(made)

    def placed():
        now = time.time_ns()
        move(now - 20 * MS, 1.0)
        stamp = robot.see()
        move(2 * stamp - now + 20 * MS, 1.2)
        robot.wait(lambda: False, 0.2)
        return [target for target in heard if target["reason"] == "ok"]

    try:
        assert robot.wait(placed), node.log
        assert placed()[-1]["point"] == pytest.approx([2.6, 0.0, 0.0], abs=1e-3)
    finally:
        node.kill()

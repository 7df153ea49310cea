"""One node for two cameras, and what diagnostics say of partners that cannot hear it; over DDS."""

import json
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PointStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from robot import DOMAIN, FRAME, Node, Robot, depth_message, image_message, info_message, texts
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import String

pytestmark = pytest.mark.dds
CAMERAS = ("front", "left")


@pytest.fixture(scope="module")
def robot():
    robot = Robot(DOMAIN + 2)
    robot.heard, robot.states = {name: {} for name in CAMERAS}, {}
    create = robot.node.create_publisher
    kinds = {"depth": Image, "camera_info": CameraInfo, "image": Image}
    robot.cameras = {name: [create(kind, f"{name}/{topic}", 1) for topic, kind in kinds.items()] for name in CAMERAS}
    for name in CAMERAS:
        robot.listen(f"/grounding/{name}/result", String, lambda message, name=name: hear(robot, name, message))
    robot.listen("/diagnostics", DiagnosticArray, lambda m: robot.states.update({each.name: each for each in m.status}))
    yield robot
    robot.close()


def hear(robot, name, message):
    result = json.loads(message.data)
    robot.heard[name][result["stamp"]] = result


@pytest.fixture(scope="module")
def node(tmp_path_factory, robot):
    arguments = ["-p", "cameras:=[front, left]", "-p", "queries:=[red cube]", "-p", "sync_slop:=0.2"]
    node = Node(tmp_path_factory.mktemp("node") / "log", DOMAIN + 2, *arguments)
    try:
        for name in CAMERAS:
            see = lambda name=name: show(robot, name, 1500)  # noqa: E731
            assert robot.see_until(lambda stamp, name=name: stamp in robot.heard[name], see), node.log
        yield node
    finally:
        node.kill()


def show(robot, name, mm):
    """An image of one camera with its partners; the stamp."""
    stamp = time.time_ns()
    for publisher, message in zip(
        robot.cameras[name], (depth_message(stamp, mm=mm), info_message(stamp), image_message(stamp)), strict=True
    ):
        publisher.publish(message)
        time.sleep(0.005)
    return stamp


def test_each_camera_has_its_own_topics_partners_and_tracks_and_one_query_is_for_all(node, robot):
    epoch = robot.ask("red cube; door")
    stamps = {"front": show(robot, "front", 1500), "left": show(robot, "left", 2500)}
    for name, z in (("front", 1.5), ("left", 2.5)):
        assert robot.wait(lambda name=name: stamps[name] in robot.heard[name]), node.log
        result = robot.heard[name][stamps[name]]
        assert (texts(result), result["epoch"], result["frame_id"]) == (["red cube", "door"], epoch, FRAME)
        assert result["targets"][0]["point"] == [0.0, 0.0, z]
    assert robot.results == []  # nothing without a prefix


def test_diagnostics_have_a_status_for_each_camera(node, robot):
    names = {"/grounding: front", "/grounding: left"}
    assert robot.wait(lambda: names <= set(robot.states))
    robot.states.clear()
    stamp = show(robot, "left", 1500)
    assert robot.wait(lambda: stamp in robot.heard["left"] and names <= set(robot.states))
    left = {each.key: each.value for each in robot.states["/grounding: left"].values}
    assert left["device"] == "cpu" and left["precision"] == "none" and int(left["reason_ok"]) > 0


def test_who_cannot_hear_or_be_heard_is_named_with_topic_policy_and_both_sides(node, robot):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    ear = robot.listen("/grounding/front/target", PointStamped, lambda message: None, latched)
    found = lambda *words: any(all(word in line for word in words) for line in node.log.splitlines())  # noqa: E731
    try:
        assert robot.wait(
            lambda: found("/grounding/front/target", "/robot", "(Volatile publisher and transient local subscription)")
        ), node.log
    finally:
        robot.node.destroy_subscription(ear)
    careless = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    mouth = robot.node.create_publisher(String, "query", careless)
    try:
        assert robot.wait(lambda: found("/query", "/robot", "(Best effort publisher and reliable subscription)")), (
            node.log
        )
    finally:
        robot.node.destroy_publisher(mouth)


def test_bad_camera_names_are_one_line_and_status_2(tmp_path):
    node = Node(tmp_path / "log", DOMAIN + 2, "-p", "cameras:=[front, front]")
    try:
        assert node.process.wait(20.0) == 2
        assert "cameras" in node.log and len(node.log.splitlines()) == 1
    finally:
        node.kill()

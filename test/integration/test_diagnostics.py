"""Faults of a camera as /diagnostics tells them, over DDS: within a second, with what to do, and when they are over."""

import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from diagnostic_msgs.msg import DiagnosticArray
from robot import DOMAIN, SLOP, Node, Robot
from sensor_msgs.msg import CompressedImage, Image

pytestmark = [pytest.mark.dds, pytest.mark.slow]
OK, WARN, ERROR, STALE = (bytes([number]) for number in range(4))
PROMPT = 1.0  # s
BUSY = 0.5  # s that a machine that tests may take longer
MAX_SILENCE = 1.5


@pytest.fixture(scope="module")
def robot():
    robot = Robot(DOMAIN + 3)
    robot.told = []
    robot.listen("/diagnostics", DiagnosticArray, lambda m: robot.told.extend((time.monotonic(), s) for s in m.status))
    yield robot
    robot.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory, robot):
    arguments = [f"sync_slop:={SLOP}", "queries:=[anything]", f"diagnostics.max_silence:={MAX_SILENCE}"]
    settings = [part for each in arguments for part in ("-p", each)]
    node = Node(tmp_path_factory.mktemp("node") / "log", DOMAIN + 3, *settings)
    try:
        assert robot.see_until(robot.answered), node.log
        yield node
    finally:
        node.kill()


@pytest.fixture
def node(running, robot):
    """The running node, well."""
    assert show(robot, 20, lambda: robot.told and robot.told[-1][1].level == OK), robot.told[-1:]
    robot.told.clear()
    return running


def show(robot, seconds, until=lambda: False, **seen):
    """A camera of some 20 Hz for so long, or until something is so."""
    deadline = time.monotonic() + seconds
    while not (value := until()) and time.monotonic() < deadline:
        robot.see(**seen)
        robot.wait(lambda: False, 0.04)
    return value


def told(robot, level, words=""):
    """When the status was told first, or None."""
    found = (when for when, each in robot.told if each.level == level and words in each.message)
    return next(found, None)


def test_a_camera_that_stops_is_stale_within_a_second_and_well_when_it_comes_back(node, robot):
    robot.see()
    stopped = time.monotonic()
    assert robot.wait(lambda: told(robot, STALE)), robot.told[-1:]
    took = told(robot, STALE) - stopped
    assert MAX_SILENCE - 0.1 < took < MAX_SILENCE + PROMPT + BUSY
    message = robot.told[-1][1].message
    assert message.startswith("no image for") and "/robot publishes /image but nothing arrives; " in message
    back = time.monotonic()
    assert show(robot, 5, lambda: told(robot, OK))
    assert told(robot, OK) - back < PROMPT + BUSY


def test_pictures_that_cannot_be_read_are_told_at_once_then_an_error_and_over_when_they_are_gone(node, robot):
    began = time.monotonic()
    assert show(robot, 5, lambda: told(robot, ERROR, "holographic"), encoding="holographic"), robot.told[-1:]
    first = told(robot, WARN, "holographic") or told(robot, ERROR, "holographic")  # three may have failed by then
    assert first - began < PROMPT + BUSY
    assert "no results, the last" in robot.told[-1][1].message
    robot.told.clear()
    began = time.monotonic()
    assert show(robot, 5, lambda: told(robot, OK)) and told(robot, OK) - began < PROMPT + BUSY


def test_changes_are_told_at_once_but_never_more_than_five_times_a_second(node, robot):
    for _ in range(10):
        robot.see(encoding="holographic")
        robot.wait(lambda: False, 0.02)
        show(robot, 0.15)
    times = [when for when, _ in robot.told]
    assert len(times) > 1 and max(sum(0 <= other - when < 1.0 for other in times) for when in times) <= 6


def test_numbers_come_once_a_second_while_all_is_well(node, robot):
    show(robot, 4.2)
    assert 3 <= len(robot.told) <= 6
    values = {each.key: each.value for each in robot.told[-1][1].values}
    assert float(values["image_rate_hz"]) > 3 and float(values["depth_rate_hz"]) > 3
    assert values["query_0"].startswith("anything: ok") and values["depth_valid"] == "1.00"
    assert float(values["memory_mib"]) > 10 and float(values["inference_p50_ms"]) >= 10
    assert (values["qos"], values["pose"], values["memory_limit"]) == ("ok", "not used", "none")


def test_depth_that_is_published_but_does_not_arrive_is_told(node, robot):
    show(robot, MAX_SILENCE + PROMPT + 1.0, lambda: told(robot, WARN, "no depth: /robot publishes /depth"), depth=None)
    first = next(each for _, each in robot.told if "no depth" in each.message or "depth: expected" in each.message)
    assert first.level == WARN and "; " in first.message


def test_limits_change_at_run_time(node, robot):
    assert robot.set("diagnostics.min_rate", 500.0) == (True, "")
    try:
        assert show(robot, 5, lambda: told(robot, WARN, "at least 500 Hz")), robot.told[-1:]
    finally:
        assert robot.set("diagnostics.min_rate", 0.0) == (True, "")
    assert not robot.set("diagnostics.max_silence", 0.0)[0]


def test_who_publishes_something_else_than_pictures_is_named(robot, tmp_path):
    mouth = robot.node.create_publisher(CompressedImage, "wrong_image", 1)
    node = Node(tmp_path / "log", DOMAIN + 3, "-r", "__node:=fourth", "-r", "image:=wrong_image")
    ear = robot.listen("/fourth/heatmap", Image, lambda message: None)
    mine = lambda: [each for _, each in robot.told if each.name == "/fourth" and each.level == STALE]  # noqa: E731
    try:
        assert robot.wait(mine)
        expected = "/wrong_image: expected sensor_msgs/msg/Image, got sensor_msgs/msg/CompressedImage from /robot; "
        assert "no image yet: " + expected in mine()[0].message
    finally:
        node.kill()
        robot.node.destroy_publisher(mouth)
        robot.node.destroy_subscription(ear)

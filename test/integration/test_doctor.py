"""``gem-ros doctor`` beside a running node: what it says and its exit code, over DDS."""

import os
import re
import subprocess
import sys
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from lifecycle_msgs.msg import Transition
from rclpy.qos import QoSProfile, ReliabilityPolicy
from robot import DOMAIN, PATIENCE, SLOP, STUB, Node, Robot
from std_msgs.msg import String

pytestmark = pytest.mark.dds
HOUR = 3_600_000_000_000  # ns


@pytest.fixture(scope="module")
def robot():
    robot = Robot(DOMAIN + 4)
    yield robot
    robot.close()


@pytest.fixture(scope="module")
def node(tmp_path_factory, robot):
    log = tmp_path_factory.mktemp("node") / "log"
    node = Node(log, DOMAIN + 4, "-p", f"sync_slop:={SLOP}", "-p", "queries:=[anything]", "-r", "depth:=range")
    robot.node.destroy_publisher(robot.depth)
    robot.depth = robot.node.create_publisher(robot.image.msg_type, "range", 1)
    try:
        assert robot.see_until(robot.answered), node.log
        yield node
    finally:
        node.kill()


def doctor(robot, *arguments, domain=DOMAIN + 4, **seen):
    """(exit code, lines) while a camera of some 20 Hz goes on; ``ahead`` ns are put on its stamps."""
    ahead = seen.pop("ahead", 0)
    environment = os.environ | {
        "ROS_DOMAIN_ID": str(domain),
        "PYTHONPATH": os.pathsep.join([str(STUB.parents[2]), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-m", "gem_ros", "doctor", "--seconds", "1.5", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True)
    deadline = time.monotonic() + 3 * PATIENCE
    while process.poll() is None and time.monotonic() < deadline:
        robot.see(stamp=time.time_ns() + ahead, **seen)
        robot.wait(lambda: False, 0.04)
    process.kill()
    output = process.communicate()[0]
    assert "Traceback" not in output
    return process.returncode, output.splitlines()


def problems(lines):
    return [line for line in lines if re.match(r"\s*problem ", line)]


@pytest.mark.slow
def test_a_node_that_is_well_is_well_under_the_names_its_topics_have(node, robot):
    code, lines = doctor(robot)
    assert (code, problems(lines)) == (0, []), lines
    found = "\n".join(lines)
    assert "ok  /grounding: active" in found and "all is well" in found
    assert re.search(r"ok  /image: [\d.]+ Hz, 64x48, rgb8, frame 'camera_optical'", found)
    assert re.search(r"ok  /range: [\d.]+ Hz, 64x48, 16UC1, frame 'camera_optical', median 1.50 m", found)


def test_each_problem_is_a_line_with_its_fix_and_the_code_is_1(node, robot):
    careless = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    mouth = robot.node.create_publisher(String, "query", careless)
    try:
        code, lines = doctor(robot, ahead=HOUR, mm=2, info=None)
    finally:
        robot.node.destroy_publisher(mouth)
    found = problems(lines)
    assert code == 1, lines
    for words in (
        "/image: is stamped 3600.* s in the future; synchronise the clocks",
        "/range: is 0.002 m away in the median; check its unit",
        "/camera_info: /robot publishes it and nothing arrives; see that",
        r"/query: /robot cannot be heard \(Best effort publisher and reliable subscription\); change",
    ):
        assert any(re.search(words, line) for line in found), "\n".join([words, *lines])
    assert lines[-1] == f"{len(found)} problems"


@pytest.mark.slow
def test_an_inactive_node_is_a_problem_with_the_command_to_type(node, robot):
    assert robot.transition(Transition.TRANSITION_DEACTIVATE)
    try:
        code, lines = doctor(robot)
    finally:
        assert robot.transition(Transition.TRANSITION_ACTIVATE)
    assert code == 1 and "is inactive, not active; ros2 lifecycle set /grounding activate" in problems(lines)[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--graph", "on"), 2, "no grounding node in domain"),
        (("--node", "nobody"), 2, "no /nobody in domain"),
        ((), 0, "no grounding node in domain"),
        (("--seconds", "-1"), 2, "--seconds: expected more than 0"),
    ],
)
def test_without_a_node_it_says_so(robot, arguments, code, words):
    ended, lines = doctor(robot, *arguments, domain=DOMAIN + 5)
    assert ended == code and any(words in line for line in lines), lines

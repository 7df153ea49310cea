"""Whatever comes on the topic ``query``, and bytes that are no message on any topic: real node, own process."""

import json
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from geometry_msgs.msg import PoseStamped
from processes import LITTLE, WITHIN, Process, busy, cdr_string, recovered, told, truncated
from robot import SLOP, STUB, header, image_message, info_message
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

pytestmark = [pytest.mark.dds, pytest.mark.slow]
MB = 1_000_000
STORM, RATE = 5000, 1000  # queries, per s
GROWTH = 8.0  # MiB of a storm that is not the first


@pytest.fixture(scope="module")
def running(tmp_path_factory, robot):
    arguments = ("-p", f"sync_slop:={SLOP}", "-p", "queries:=[anything]")
    with Process(tmp_path_factory.mktemp("node"), *arguments, script=STUB) as node:
        assert robot.see_until(robot.answered), node.log
        yield node


@pytest.fixture
def node(running, robot):
    robot.ask("something else")
    robot.ask("red cube")
    assert recovered(robot)
    return running


def storm(robot, make):
    """Send queries at RATE and images between them; the queries per s that were reached, and results meanwhile."""
    before, start, next_image = len(robot.results), time.monotonic(), 0.0
    for number in range(STORM):
        robot.query.publish(make(number))
        now = time.monotonic()
        if now > next_image:
            robot.see()
            next_image = now + 0.1
        robot.executor.spin_once(timeout_sec=0)
        time.sleep(max(0.0, start + number / RATE - now))
    seconds = time.monotonic() - start
    return STORM / seconds, len(robot.results) - before


def test_storm_of_queries_images_are_answered_and_the_last_query_wins(node, robot):
    rates, memory = [], []
    for turn in range(3):
        rate, answers = storm(robot, lambda number, turn=turn: String(data=f"thing {turn} {number}"))
        rates.append(round(rate))
        assert answers >= 10
        last = f"thing {turn} {STORM - 1}"
        assert robot.wait(lambda last=last: [each["query"] for each in robot.queries[-1]["queries"]] == [last])
        assert recovered(robot)
        assert robot.results[-1][1]["targets"][0]["query"] == last
        memory.append(node.memory)
    print(f"storms of {STORM} at {rates}/s, results in the last {answers}, MiB {[round(each, 1) for each in memory]}")
    assert memory[-1] - memory[0] < GROWTH


def test_storm_of_bad_queries_changes_nothing_and_does_not_flood_the_log(node, robot):
    before, lines, start = robot.queries[-1], node.log.count("\n"), time.monotonic()
    rate, answers = storm(robot, lambda number: String(data=f"door {number}:7"))
    said = node.log.count("\n") - lines
    print(f"{STORM} bad queries at {rate:.0f}/s: {said} lines, {answers} results")
    assert answers >= 10 and 1 <= said <= 10 + (time.monotonic() - start) + 1
    assert robot.queries[-1] == before
    assert recovered(robot)


BAD = {
    "invalid-utf8": (cdr_string(b"red \xff\xfe cup"), "expected UTF-8"),
    "overlong-utf8": (cdr_string(b"\xc0\xafdoor"), "expected UTF-8"),
    "surrogate": (cdr_string(b"\xed\xa0\x80"), "expected UTF-8"),
    "nul": (cdr_string(b"red\0cup"), "control characters"),
    "header-only": (LITTLE, "expected a whole std_msgs/String"),
    "truncated": (cdr_string(b"red cup")[:-4], "expected a whole std_msgs/String"),
    "length-4gb": (LITTLE + b"\xff\xff\xff\xffabc", "expected a whole std_msgs/String"),
    "no-cdr": (b"\x07\x09\0\0abc", "expected a message in CDR"),
    "10-mb": (cdr_string(b"x" * (10 * MB)), "expected at most 16 queries"),
    "10-mb-utf8": (cdr_string("赤".encode() * (3 * MB)), "expected at most 16 queries"),
    "10-mb-semicolons": (cdr_string(b";" * (10 * MB)), "expected at most 16 queries"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_query_is_refused_in_one_line_and_told(name, node, robot):
    data, line = BAD[name]
    time.sleep(1.0)  # the allowance of complaints
    before, log = robot.queries[-1], len(node.log)
    robot.query.publish(data)
    status = told(robot, "query refused", line)
    assert status, node.log[log:]
    assert status.level != b"\0" and len(status.message) < 400
    assert robot.queries[-1] == before
    said = node.log[log:].splitlines()
    assert len(said) <= 1 and all(len(each) < 400 for each in said)  # none: the same was said a moment ago
    assert recovered(robot)


def test_a_message_of_no_bytes_silences_its_own_publisher_only(node, robot):
    """Fast DDS drops it before the node sees anything, and waits for it in vain: reliable topics are in order."""
    bad = robot.node.create_publisher(String, "query", 10)
    assert robot.wait(bad.get_subscription_count)
    bad.publish(b"")
    robot.quiet()
    robot.ask("blue door")
    robot.node.destroy_publisher(bad)
    assert recovered(robot)


@pytest.mark.parametrize("topic", ["image", "depth", "info"])
@pytest.mark.parametrize("kind", ["empty", "header", "half", "garbage"])
def test_bytes_that_are_no_message_are_survived(topic, kind, node, robot):
    stamp = time.time_ns()
    whole = info_message(stamp) if topic == "info" else image_message(stamp)
    data = {"empty": b"", "header": LITTLE, "half": truncated(whole), "garbage": bytes(range(256)) * 40}[kind]
    publisher = getattr(robot, topic)
    for _ in range(3):
        publisher.publish(data)
        time.sleep(0.02)
    if topic != "info" and data:  # Fast DDS drops a message of no bytes, rclpy a broken CameraInfo: neither says so
        assert told(robot, "image: expected"), node.log
    assert recovered(robot)
    assert robot.results[-1][1]["targets"][0]["reason"] == "ok"


def test_bytes_that_are_no_message_on_the_other_topics_are_survived(tmp_path, robot):
    arguments = ("-r", "__node:=other", "-r", "image:=camera/image", "-p", "queries:=[door]")
    arguments += ("-p", "image_transport:=compressed", "-p", "depth_transport:=compressed")
    arguments += ("-p", "target_frame:=map", "-p", "pose_source:=topic")
    depth = robot.node.create_publisher(CompressedImage, "depth/compressedDepth", 1)
    with Process(tmp_path, *arguments, script=STUB) as node:
        assert robot.wait(lambda: robot.jpeg.get_subscription_count() and robot.pose.get_subscription_count()), node.log
        for message in (CompressedImage(header=header(5), format="jpeg"), PoseStamped(header=header(5))):
            publishers = [robot.pose] if isinstance(message, PoseStamped) else [robot.jpeg, depth]
            for publisher in publishers:
                for data in (b"", LITTLE, truncated(message), bytes(range(256))):
                    publisher.publish(data)
                    time.sleep(0.02)
        heard = []
        ears = robot.listen("/other/result", String, lambda m: heard.append(json.loads(m.data)))
        jpeg = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
        until = time.monotonic() + WITHIN * 5 * busy()
        while not heard and time.monotonic() < until:
            robot.jpeg.publish(CompressedImage(header=header(time.time_ns()), format="jpeg", data=jpeg))
            robot.wait(lambda: heard, 0.2)
        assert heard and node.process.poll() is None and "Traceback" not in node.log, node.log
        robot.node.destroy_subscription(ears)
        robot.node.destroy_publisher(depth)

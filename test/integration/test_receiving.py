"""A camera's messages are taken by a thread of their own: no executor spins here."""

import threading
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

import rclpy
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import String

from gem_ros.errors import DecodeError
from gem_ros.messages import cdr
from gem_ros.ros.inputs import CameraReader
from gem_ros.ros.receiving import Receiver

pytestmark = pytest.mark.dds


@pytest.fixture(scope="module")
def node():
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    node = rclpy.create_node("receiving", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def until(true, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.01)
    return true()


def test_messages_come_without_an_executor_and_a_bad_one_ends_nothing(node):
    heard, raw, complaints, threads = [], [], [], set()

    def hear(message):
        threads.add(threading.current_thread().name)
        heard.append(message.data)
        if message.data == "bad":
            raise ValueError("what is this?")

    receiver = Receiver(node, complaints.append)
    receiver.subscribe(String, "said", hear, QoSProfile(depth=5), raw=False)
    receiver.subscribe(String, "said", raw.append, QoSProfile(depth=5), raw=True)
    receiver.start()
    publisher = node.create_publisher(String, "said", 5)
    try:
        assert until(lambda: publisher.get_subscription_count() == 2)
        for text in ("bad", "good"):
            publisher.publish(String(data=text))
        assert until(lambda: len(heard) == len(raw) == 2), (heard, raw)
    finally:
        receiver.close()
    assert heard == ["bad", "good"] and threads == {"receiving"}
    assert raw == [serialize_message(String(data=text)) for text in heard]
    assert complaints == ["/said: ValueError: what is this?"]
    assert until(lambda: publisher.get_subscription_count() == 0)
    receiver.close()  # nothing more to do
    node.destroy_publisher(publisher)


def test_a_receiver_that_never_started_closes(node):
    receiver = Receiver(node, print)
    receiver.subscribe(String, "never", print, QoSProfile(depth=1), raw=False)
    before = len(list(node.subscriptions))
    receiver.close()
    assert len(list(node.subscriptions)) == before - 1


def info(stamp, fx):
    message = CameraInfo(width=640, height=480, distortion_model="plumb_bob")
    message.header.stamp.sec, message.header.frame_id = stamp, "camera"
    message.k = [fx, 0.0, 319.5, 0.0, fx, 239.5, 0.0, 0.0, 1.0]
    return cdr.stamped(serialize_message(message), "camera_info")


def test_a_camera_is_read_again_only_when_it_changes():
    read = CameraReader(rectified=False)
    first = read(info(1, 500.0))
    assert (first.fx, first.width) == (500.0, 640)
    assert read(info(2, 500.0)) is first
    assert read(info(3, 400.0)).fx == 400.0
    with pytest.raises(DecodeError, match="calibrated"):
        read(info(4, 0.0))
    assert read(info(5, 400.0)).fx == 400.0


def test_bytes_that_are_no_camera_info_are_refused_in_one_line():
    whole = info(1, 500.0)
    with pytest.raises(DecodeError, match="camera_info: expected a CameraInfo, got 40 bytes"):
        CameraReader(rectified=False)(cdr.Stamped(whole.header, whole.data[:40]))

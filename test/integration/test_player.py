"""A bag played by one process arrives in another over DDS: every message, its bytes, at its pace."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from gem_ros.errors import BagError
from gem_ros.replay import bag, player

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")
pytestmark = pytest.mark.dds

TYPE = "sensor_msgs/msg/CompressedImage"
COUNT, STEP = 10, 50_000_000
PLAY = """
import sys
from pathlib import Path
from gem_ros.replay.player import Playback, play
play(Playback(Path(sys.argv[1]), {}))
"""


@pytest.fixture
def recording(tmp_path):
    message, header, moment = map(bag.message_class, (TYPE, "std_msgs/msg/Header", "builtin_interfaces/msg/Time"))
    with bag.BagWriter(tmp_path / "bag") as writer:
        for index in range(COUNT):
            stamp = bag.NS + index * STEP
            picture = np.full(50_000, index, np.uint8)
            writer.write(
                "/camera/image", TYPE, stamp, message(header(moment(*divmod(stamp, bag.NS)), "cam"), "jpeg", picture)
            )
    return tmp_path / "bag"


@pytest.fixture
def domain(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(20 + os.getpid() % 80))


def receive(recording, options, qos=50, topic="/image", seconds=60.0):
    """Play in another process; return the messages of ``topic`` and of /clock."""
    from rclpy.executors import SingleThreadedExecutor
    from rosgraph_msgs.msg import Clock
    from sensor_msgs.msg import CompressedImage

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("listener", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    images, clocks = [], []
    node.create_subscription(CompressedImage, topic, images.append, qos)
    node.create_subscription(Clock, "/clock", clocks.append, 10)
    process = subprocess.Popen([sys.executable, "-c", PLAY.format(options), str(recording)])
    try:
        deadline = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.05)
        for _ in range(10):
            executor.spin_once(timeout_sec=0.05)
        assert process.poll() == 0
    finally:
        process.kill()
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
    return images, clocks


WAIT = "remaps={'/camera/image': '/image'}, wait=20.0"


def test_every_message_arrives_whole_and_in_order_with_the_time(domain, recording):
    images, clocks = receive(recording, WAIT + ", clock=True")
    stamps = [message.header.stamp.sec * bag.NS + message.header.stamp.nanosec for message in images]
    assert stamps == [bag.NS + index * STEP for index in range(COUNT)]
    assert all(set(message.data) == {index} and len(message.data) == 50_000 for index, message in enumerate(images))
    times = [message.clock.sec * bag.NS + message.clock.nanosec for message in clocks]
    assert times and times == sorted(times)  # how many come through depends on how busy the machine is
    assert times[0] >= bag.NS and times[-1] <= bag.NS + COUNT * STEP


class Watch:
    """Time that passes only while somebody sleeps, and 70 ms while the fourth message is published."""

    def __init__(self):
        self.now, self.published = 100.0, []

    def monotonic(self):
        return self.now

    def time_ns(self):
        return int(self.now * 1e9)

    def sleep(self, seconds):
        assert seconds > 0
        self.now += seconds

    def publish(self, data):
        self.published.append(self.now)
        self.now += 0.07 if len(self.published) == 4 else 0.0


@pytest.mark.parametrize("rate", [1.0, 2.0])
def test_messages_are_due_by_their_times_and_a_late_one_delays_none(recording, monkeypatch, rate):
    watch, clocks = Watch(), []
    monkeypatch.setattr(player, "time", watch)
    playback = player.Playback(recording, rate=rate)
    assert player._play_once(playback, {"/camera/image": watch}, clocks.append, lambda share: None) == COUNT
    due = 100.0 + np.arange(COUNT) * STEP / 1e9 / rate
    late = due[3] + 0.07
    assert watch.published == pytest.approx(np.where(np.arange(COUNT) > 3, np.maximum(due, late), due), abs=1e-6)
    steps = np.sort(np.diff(clocks)) / rate / 1e9
    assert steps[0] >= 0 and steps[-2] <= player.CLOCK_STEP + 1e-6 and steps[-1] == pytest.approx(0.07, abs=1e-6)
    assert clocks[0] == bag.NS and clocks[-1] == pytest.approx(bag.NS + (COUNT - 1) * STEP, rel=1e-9)


def test_restamp_moves_stamps_to_now_and_rate_squeezes_them(domain, recording):
    before = time.time()
    images, _ = receive(recording, WAIT + ", restamp=True, rate=2.0")
    stamps = [message.header.stamp.sec + message.header.stamp.nanosec / 1e9 for message in images]
    assert before < stamps[0] < time.time()
    assert np.diff(stamps) == pytest.approx(STEP / 2e9, abs=1e-6)


def test_best_effort_subscribers_are_served_too(domain, recording):
    from rclpy.qos import qos_profile_sensor_data

    images, _ = receive(recording, WAIT, qos_profile_sensor_data)
    assert len(images) > COUNT // 2  # some may be lost: that is what best effort means


def test_nobody_listening_is_an_error(domain, recording):
    with pytest.raises(BagError, match="subscriber of /camera/image"):
        player.play(player.Playback(recording, wait=0.2))


def test_who_is_waited_for_may_be_several(domain, recording):
    from sensor_msgs.msg import CompressedImage

    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("one_listener", context=context)
    try:
        node.create_subscription(CompressedImage, "/camera/image", lambda message: None, 10)
        with pytest.raises(BagError, match="expected 2 subscribers of /camera/image within 3 s, got 1"):
            player.play(player.Playback(recording, wait=3.0, listeners=2))
    finally:
        node.destroy_node()
        context.try_shutdown()
    with pytest.raises(BagError, match="listeners"):
        player.Playback(recording, listeners=0)


@pytest.mark.parametrize("values", [{"rate": 0.0}, {"rate": float("nan")}])
def test_a_bad_rate_is_refused(recording, values):
    with pytest.raises(BagError, match="rate"):
        player.Playback(recording, **values)


def test_an_unknown_topic_to_remap_is_refused(domain, recording):
    with pytest.raises(BagError, match="/nothing"):
        player.play(player.Playback(recording, remaps={"/nothing": "/image"}))


def test_remaps_are_parsed():
    assert player.parse_remaps(["/a:=/b"]) == {"/a": "/b"}
    with pytest.raises(BagError, match="recorded:=new"):
        player.parse_remaps(["/a=/b"])

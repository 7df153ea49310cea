"""Where the camera was when the image was taken: between two poses of a topic, or as tf2 says; never a guess."""

import math
import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from gem_ros.config import Config
from gem_ros.errors import ConfigError, GeometryError
from gem_ros.ros import poses
from gem_ros.ros.buffers import StampBuffer
from gem_ros.ros.poses import PoseHistory, TfSource, TopicSource, pose_sources

MS, NS = 1_000_000, 1_000_000_000
NOW = 1_700_000_000 * NS
PATIENCE = 30.0  # s; machines that test are busy


def stamped(stamp, x=0.0, frame_id="map", turn=0.0, **quaternion):
    """A PoseStamped at ``stamp`` (ns): x in m, a turn about z in degrees."""
    half = math.radians(turn) / 2
    seconds, nanoseconds = divmod(stamp, NS)
    rotation = {"x": 0.0, "y": 0.0, "z": math.sin(half), "w": math.cos(half)} | quaternion
    header = SimpleNamespace(stamp=SimpleNamespace(sec=seconds, nanosec=nanoseconds), frame_id=frame_id)
    pose = SimpleNamespace(position=SimpleNamespace(x=x, y=0.0, z=0.0), orientation=SimpleNamespace(**rotation))
    return SimpleNamespace(header=header, pose=pose)


def history(*messages, slop=0.05):
    made = PoseHistory("map", slop)
    for message in messages:
        made.add(message)
    return made


def refusal(find, *arguments):
    """The one line with which a pose is refused."""
    with pytest.raises(GeometryError) as error:
        find(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


# Poses of a topic


def test_a_pose_between_two_is_shared_out_by_time():
    found = history(stamped(NOW, 1.0), stamped(NOW + 40 * MS, 2.0, turn=80)).find(NOW + 10 * MS, 0.0)
    assert found.frame_id == "map"
    assert found.matrix[0, 3] == pytest.approx(1.25)
    assert found.matrix[:2, 0] == pytest.approx([math.cos(math.radians(20)), math.sin(math.radians(20))])


def test_the_two_around_the_stamp_are_taken_in_whatever_order_they_came():
    stamps = [0, 80, 40, 120, 20]
    found = history(*[stamped(NOW + each * MS, each / 10) for each in stamps]).find(NOW + 50 * MS, 0.0)
    assert found.matrix[0, 3] == pytest.approx(5.0)


def test_an_exact_stamp_needs_no_neighbour_and_no_waiting():
    start = time.monotonic()
    assert history(stamped(NOW, 3.0)).find(NOW, PATIENCE).matrix[0, 3] == 3.0
    assert time.monotonic() - start < PATIENCE / 2


def test_nothing_is_extrapolated():
    only = history(stamped(NOW), stamped(NOW + 10 * MS))
    assert "got the newest 0.001 s before it" in refusal(only.find, NOW + 11 * MS, 0.0)
    assert "got the oldest 0.001 s after it" in refusal(only.find, NOW - 1 * MS, 0.0)
    assert "got none" in refusal(history().find, NOW, 0.0)


def test_the_nearest_pose_must_be_within_the_slop():
    made = history(stamped(NOW), stamped(NOW + 500 * MS))
    assert "got the nearest 0.100 s" in refusal(made.find, NOW + 100 * MS, 0.0)
    assert made.find(NOW + 50 * MS, 0.0) and made.find(NOW + 460 * MS, 0.0)


def test_a_newer_pose_is_waited_for():
    made = history(stamped(NOW, 1.0))
    timer = threading.Timer(0.05, made.add, (stamped(NOW + 20 * MS, 2.0),))
    timer.start()
    assert made.find(NOW + 10 * MS, PATIENCE).matrix[0, 3] == pytest.approx(1.5)
    timer.join()


def test_waiting_ends_with_the_time_given():
    made, start = history(stamped(NOW)), time.monotonic()
    assert "the newest" in refusal(made.find, NOW + 10 * MS, 0.1)
    assert 0.1 <= time.monotonic() - start < PATIENCE / 2


def test_waiting_ends_with_closing():
    made, start = history(stamped(NOW)), time.monotonic()
    threading.Timer(0.05, made.close).start()
    assert "got none" in refusal(made.find, NOW + 10 * MS, PATIENCE)
    assert time.monotonic() - start < PATIENCE / 2


def test_a_clock_that_goes_back_forgets_the_time_before():
    made = history(stamped(NOW + 60 * NS, 1.0), stamped(NOW + 61 * NS, 2.0), stamped(NOW, 5.0))
    assert "got the newest" in refusal(made.find, NOW + 60 * NS, 0.0)
    made.add(stamped(NOW + 20 * MS, 6.0))
    assert made.find(NOW + 10 * MS, 0.0).matrix[0, 3] == pytest.approx(5.5)


def test_a_slow_model_still_finds_the_pose_of_its_image_and_the_memory_is_bounded():
    made = history(*[stamped(NOW + each * 5 * MS, float(each)) for each in range(poses.HISTORY + 100)])
    assert made.find(NOW + 1000 * 5 * MS + 1 * MS, 0.0).matrix[0, 3] == pytest.approx(1000.2)
    assert "got the oldest" in refusal(made.find, NOW + 50 * 5 * MS, 0.0)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (stamped(NOW, frame_id="odom"), "target_frame 'map', got 'odom'"),
        (stamped(NOW, frame_id=""), "target_frame 'map', got ''"),
        (stamped(NOW, x=math.nan), "got [nan, 0.0, 0.0] m"),
        (stamped(NOW, x=math.inf), "got [inf, 0.0, 0.0] m"),
        (stamped(NOW, z=0.0, w=0.0), "[0.0, 0.0, 0.0, 0.0]"),
        (stamped(NOW, w=math.nan), "nan]"),
        (stamped(0), "camera_pose: expected the stamp of its moment, got 0"),
    ],
)
def test_a_pose_that_cannot_be_used_is_refused_by_what_came(message, says):
    made = history(message)
    assert says in refusal(made.find, NOW, 0.0)
    made.add(stamped(NOW, 1.0))
    assert made.find(NOW, 0.0).matrix[0, 3] == 1.0
    made.add(message)  # what is good stays so
    assert made.find(NOW, 0.0).matrix[0, 3] == 1.0
    assert says in refusal(made.find, NOW + MS, 0.0)
    made.add(stamped(NOW + 20 * NS, 1.0))
    assert says not in refusal(made.find, NOW + 30 * NS, 0.0)  # it was long ago


@pytest.mark.parametrize("stamp", [0, -1])
def test_an_image_without_a_stamp_has_no_pose(stamp):
    assert f"image: expected the stamp of its moment, got {stamp}" in refusal(history().find, stamp, 0.0)


def test_all_that_is_kept_is_given_in_order_of_stamps():
    buffer = StampBuffer()
    for stamp in (3, 1, 2):
        buffer.add(stamp, str(stamp))
    assert buffer.ordered(3) == [(1, "1"), (2, "2"), (3, "3")]


class FakeNode:
    """Only what a pose source asks of its node."""

    def __init__(self, publishers=1):
        self.publishers, self.subscriptions, self.destroyed = publishers, {}, []

    def resolve_topic_name(self, name):
        return f"/ns/{name}"

    def count_publishers(self, topic):
        return self.publishers if topic == "/ns/camera_pose" else 0

    def create_subscription(self, kind, topic, callback, qos):
        self.subscriptions[topic] = kind, callback, qos
        return topic

    def destroy_subscription(self, subscription):
        del self.subscriptions[subscription]

    def destroy_service(self, service):
        self.destroyed.append(service)


def test_the_topic_is_heard_while_the_source_is_open():
    kind = pytest.importorskip("geometry_msgs.msg", reason="needs ROS 2").PoseStamped
    node = FakeNode()
    source = TopicSource(node, "map", 0.05)
    assert "got none" in refusal(source.find, NOW, "camera")
    source.open()
    heard, callback, depth = node.subscriptions["camera_pose"]
    assert (heard, depth) == (kind, 10)  # a plain depth is reliable and volatile
    callback(stamped(NOW, 4.0))
    assert source.find(NOW, "camera").matrix[0, 3] == 4.0
    source.close()
    assert not node.subscriptions
    source.close()
    source.open()
    assert "got none" in refusal(source.find, NOW, "camera")  # nothing from before


def test_a_topic_that_nobody_publishes_is_not_waited_for():
    start = time.monotonic()
    refusal(TopicSource(FakeNode(publishers=0), "map", PATIENCE).find, NOW, "camera")
    assert time.monotonic() - start < PATIENCE / 2
    start = time.monotonic()
    refusal(TopicSource(FakeNode(publishers=1), "map", 0.1).find, NOW, "camera")
    assert time.monotonic() - start >= 0.1


# tf2, whose buffer here says what a script lets it say


class TransformException(Exception):
    """As tf2's."""


def transform(x=1.0):
    motion = stamped(NOW, x).pose
    header = SimpleNamespace(frame_id="map")
    return SimpleNamespace(
        header=header, transform=SimpleNamespace(translation=motion.position, rotation=motion.orientation)
    )


class Tf2(ModuleType):
    """A module ``tf2_ros``: ``answers`` are given one by one, the last for ever; ``asked`` is what it was asked."""

    TransformException = TransformException

    def __init__(self, *answers):
        super().__init__("tf2_ros")
        self.answers, self.asked, self.listeners, self.jumps = list(answers), [], [], []

    def Buffer(self, node):
        return SimpleNamespace(
            srv="tf2_frames",
            jump_handle=SimpleNamespace(unregister=lambda: self.jumps.append("unregistered")),
            lookup_transform=self.look_up,
            clear=lambda: self.asked.append("cleared"),
        )

    def TransformListener(self, buffer, node, *, spin_thread):
        assert not spin_thread
        self.listeners.append(buffer)
        return SimpleNamespace(unregister=lambda: self.listeners.remove(buffer))

    def look_up(self, target_frame, source_frame, stamp, timeout=None):
        assert timeout is None  # tf2's clock may stand still
        self.asked.append((target_frame, source_frame, stamp.nanoseconds))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


MISSING = TransformException('"map" passed to lookupTransform argument target_frame does not exist. \nsecond line')


@pytest.fixture
def tf(monkeypatch):
    """Makes an open TfSource on a scripted tf2: ``source, tf2 = tf(answers...)``."""
    pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")
    opened = []

    def make(*answers, wait=0.0):
        tf2 = Tf2(*answers)
        monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
        source = TfSource(FakeNode(), "map", wait)
        source.open()
        opened.append(source)
        return source, tf2

    yield make
    for source in opened:
        source.close()


def test_tf2_is_asked_for_the_camera_in_the_target_frame_at_exactly_the_images_stamp(tf):
    source, tf2 = tf(transform(2.0))
    found = source.find(NOW + 1, "camera")
    assert (found.frame_id, found.matrix[0, 3]) == ("map", 2.0)
    assert tf2.asked == [("map", "camera", NOW + 1)]


def test_the_latest_transform_is_never_asked_for(tf):
    source, tf2 = tf(MISSING, wait=0.05)
    refusal(source.find, NOW, "camera")
    assert set(tf2.asked) == {("map", "camera", NOW)}
    tf2.asked.clear()
    assert "expected the stamp of its moment, got 0" in refusal(source.find, 0, "camera")
    assert not tf2.asked


def test_a_transform_that_comes_a_little_later_is_waited_for(tf):
    source, tf2 = tf(MISSING, MISSING, MISSING, transform(5.0), wait=PATIENCE)
    assert source.find(NOW, "camera").matrix[0, 3] == 5.0
    assert len(tf2.asked) == 4


def test_a_recording_that_begins_anew_finds_tf2_without_the_last_run(tf):
    source, tf2 = tf(transform())
    for stamp in (NOW + 60 * NS, NOW + 60 * NS - poses.JUMP_NS, NOW, NOW + MS):
        source.find(stamp, "camera")
    asked = [each if each == "cleared" else each[2] - NOW for each in tf2.asked]
    assert asked == [60 * NS, 59 * NS, "cleared", 0, MS]


@pytest.mark.parametrize("wait", [0.0, 0.1])
def test_waiting_for_tf_is_bounded_and_gives_tf2s_own_words(tf, wait):
    source, tf2 = tf(MISSING, wait=wait)
    start = time.monotonic()
    line = refusal(source.find, NOW, "camera")
    assert wait <= time.monotonic() - start < PATIENCE / 2
    assert line == (
        "tf: expected where 'camera' is in 'map' at the image's stamp, "
        'got from tf2: "map" passed to lookupTransform argument target_frame does not exist.'
    )
    assert len(tf2.asked) <= 2 + wait / poses.POLL  # it polls, it does not spin


def test_an_exception_without_words_has_at_least_a_name(tf):
    assert refusal(tf(TransformException())[0].find, NOW, "camera").endswith("got from tf2: TransformException")


def test_what_is_no_matter_of_tf_is_not_hidden(tf):
    with pytest.raises(TypeError):
        tf(TypeError("a mistake"))[0].find(NOW, "camera")


def test_the_target_frames_own_camera_stands_at_its_origin_and_tf_is_not_asked(tf):
    source, tf2 = tf(MISSING)
    found = source.find(0, "map")
    assert found.frame_id == "map" and (found.matrix == np.eye(4)).all() and not tf2.asked


def test_an_image_without_a_frame_is_told_so(tf):
    source, tf2 = tf(MISSING)
    assert "image: expected a frame_id" in refusal(source.find, NOW, "") and not tf2.asked


def test_closing_ends_the_waiting_and_takes_everything_off_the_node(tf):
    source, tf2 = tf(MISSING, wait=PATIENCE)
    start = time.monotonic()
    threading.Timer(0.05, source.close).start()
    assert "does not exist" in refusal(source.find, NOW, "camera")
    assert time.monotonic() - start < PATIENCE / 2
    assert (tf2.listeners, source._node.destroyed, tf2.jumps) == ([], ["tf2_frames"], ["unregistered"])
    assert "closed" in refusal(source.find, NOW, "camera")
    source.close()
    source.open()
    assert len(tf2.listeners) == 1


def test_humbles_buffer_has_no_jump_handle(tf, monkeypatch):
    source, tf2 = tf(MISSING)
    source.close()
    monkeypatch.setattr(tf2, "Buffer", lambda node: SimpleNamespace(lookup_transform=tf2.look_up))
    source.open()
    source.close()
    assert not tf2.listeners


def test_without_tf2_there_is_one_line_that_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    with pytest.raises(ConfigError, match=r"apt install ros-jazzy-tf2-ros-py, or set pose_source to topic") as error:
        pose_sources(FakeNode(), Config(target_frame="map"), [""])
    assert "\n" not in str(error.value)
    monkeypatch.delenv("ROS_DISTRO")
    with pytest.raises(ConfigError, match="ros-<distro>-tf2-ros-py"):
        TfSource(FakeNode(), "map", 0.05)


def test_the_parameters_choose_the_source(tf):
    tf(MISSING)
    topic, cameras = Config(target_frame="map", pose_source="topic"), ("front/", "left/")
    assert pose_sources(FakeNode(), Config(), cameras) == [None, None]
    assert pose_sources(FakeNode(), Config(pose_source="topic"), [""]) == [None]
    front, left = pose_sources(FakeNode(), Config(target_frame="map"), cameras)
    assert isinstance(front, TfSource) and front is left  # tf is listened to once
    front, left = pose_sources(FakeNode(), topic, cameras)
    assert isinstance(front, TopicSource) and front is not left

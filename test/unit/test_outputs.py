"""Nothing is computed or encoded for a topic that nobody subscribes to."""

import dataclasses
import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from gem_ros.config import Config
from gem_ros.data import Grounding, Pose, Query, Target
from gem_ros.messages import cdr
from gem_ros.ros.outputs import Outputs, offered
from gem_ros.ros.views import Asked, View

ASKED = Asked(3, (Query("ball"),), Config(target_frame="map"))
AHEAD = Pose("map", np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1], [0, 0, 0, 1.0]]))  # a metre above the ground
RGB = np.zeros((8, 12, 3), np.uint8)


class Publisher:
    def __init__(self, topic):
        self.topic_name, self.subscribers, self.sent = topic, 0, []

    def get_subscription_count(self):
        return self.subscribers

    def publish(self, message):
        self.sent.append(message)


@pytest.fixture
def topics():
    """Outputs, its publishers by topic, and its complaints; nobody listens yet."""
    made, complaints = {}, []

    def create(kind, topic, qos_profile, event_callbacks):
        return made.setdefault(topic.removeprefix("~/"), Publisher(topic))

    def who(topic):
        return [SimpleNamespace(endpoint_gid=[1])] * made[topic.removeprefix("~/")].subscribers

    node = SimpleNamespace(create_lifecycle_publisher=create, get_subscriptions_info_by_topic=who)
    outputs = Outputs(node, complaints.append)
    return SimpleNamespace(outputs=outputs, publishers=made, complaints=complaints)


def grounding(upsampled, point=(2.0, 0.0, 1.0)):
    def upsample(maps):
        upsampled.append(len(maps))
        return np.zeros((len(maps), 8, 12), np.float32)

    where = None if point is None else np.array(point)
    target = Target("ball", 0, True, 0.9, 0.5, "ok", (1.0, 2.0), np.ones((8, 12), bool), None, where, np.eye(3))
    return Grounding((Query("ball"),), (target,), (8, 12), np.zeros((1, 2, 3), np.float32), upsample)


def published(outputs, seen, asked=ASKED):
    outputs.publish(View(RGB, 5, "camera", 0.0, pose=AHEAD), seen, asked, 0.01)


def test_nobody_listens_nothing_is_made(topics):
    outputs, publishers = topics.outputs, topics.publishers
    upsampled = []
    assert not outputs.wanted()
    published(outputs, grounding(upsampled))
    assert upsampled == [] and not any(each.sent for each in publishers.values())


def test_the_map_is_not_upsampled_for_those_who_want_the_result(topics):
    outputs, publishers = topics.outputs, topics.publishers
    upsampled = []
    publishers["result"].subscribers = 1
    assert outputs.wanted()
    published(outputs, grounding(upsampled))
    assert upsampled == [] and [name for name, each in publishers.items() if each.sent] == ["result"]


@pytest.mark.parametrize("name", offered())
def test_every_topic_is_made_for_its_listener_alone(topics, name):
    outputs, publishers = topics.outputs, topics.publishers
    publishers[name].subscribers = 1
    published(outputs, grounding([]))
    assert [each for each, publisher in publishers.items() if publisher.sent] == [name]


def test_small_messages_are_sent_before_pictures_are_made(topics):
    outputs, publishers = topics.outputs, topics.publishers
    sent, pictures = [], {"heatmap", "segmentation", "overlay", "overlay/compressed"}
    for name, publisher in publishers.items():
        publisher.subscribers, publisher.publish = 1, lambda message, name=name: sent.append(name)
    seen = grounding([])
    published(outputs, dataclasses.replace(seen, upsample=lambda maps: sent.append("made") or seen.upsample(maps)))
    small = set(publishers) - pictures
    assert set(sent[: len(small)]) == small and "made" in sent and set(sent[len(small) :]) == pictures | {"made"}


def test_without_a_point_there_is_no_target(topics):
    outputs, publishers = topics.outputs, topics.publishers
    publishers["target"].subscribers = 1
    published(outputs, grounding([], point=None))
    assert publishers["target"].sent == []


def test_each_topic_has_the_frame_of_its_content(topics):
    frames = {
        "heatmap": "camera",
        "overlay": "camera",
        "rays": "camera",
        "target": "map",
        "targets": "map",
        "goal": "map",
    }
    for name in frames:
        topics.publishers[name].subscribers = 1
    published(topics.outputs, grounding([]))
    sent = {name: topics.publishers[name].sent[0] for name in frames}
    read = {name: cdr.stamped(each, name) if isinstance(each, bytes) else each for name, each in sent.items()}
    assert {name: each.header.frame_id for name, each in read.items()} == frames
    goal = topics.publishers["goal"].sent[0].pose.position
    assert (goal.x, goal.y, goal.z) == pytest.approx((1.2, 0.0, 0.0))


def test_a_goal_is_sent_once(topics):
    topics.publishers["goal"].subscribers = 1
    published(topics.outputs, grounding([]))
    published(topics.outputs, grounding([]))
    assert len(topics.publishers["goal"].sent) == 1 and topics.complaints == []


def test_without_a_target_frame_there_is_no_ground_to_stand_on_and_that_is_said(topics):
    topics.publishers["goal"].subscribers = 1
    published(topics.outputs, grounding([]), Asked(3, (Query("ball"),), Config()))
    assert topics.publishers["goal"].sent == [] and "target_frame" in topics.complaints[0]


@pytest.mark.parametrize("installed", [False, True])
def test_detections_are_offered_where_vision_msgs_is_installed(monkeypatch, installed):
    found = importlib.util.find_spec("json") if installed else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    assert ("detections" in offered(), "detections_3d" in offered()) == (installed, installed)
    assert "target" in offered()

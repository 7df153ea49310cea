"""Nothing is computed or encoded for a topic that nobody subscribes to."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from gem_ros.config import Config
from gem_ros.data import Grounding, Query, Target
from gem_ros.ros.outputs import TOPICS, Outputs
from gem_ros.ros.worker import Asked, View

ASKED = Asked(3, (Query("ball"),), Config())
RGB = np.zeros((8, 12, 3), np.uint8)


class Publisher:
    def __init__(self):
        self.subscribers, self.sent = 0, []

    def get_subscription_count(self):
        return self.subscribers

    def publish(self, message):
        self.sent.append(message)


@pytest.fixture
def topics():
    """Outputs, and its publishers by topic; nobody listens yet."""
    made = {}

    def create(kind, topic, qos):
        return made.setdefault(topic.removeprefix("~/"), Publisher())

    return Outputs(SimpleNamespace(create_lifecycle_publisher=create)), made


def grounding(upsampled, point=(0.0, 0.0, 1.0)):
    def upsample(maps):
        upsampled.append(len(maps))
        return np.zeros((len(maps), 8, 12), np.float32)

    where = None if point is None else np.array(point)
    target = Target("ball", 0, True, 0.9, 0.5, "ok", (1.0, 2.0), np.ones((8, 12), bool), None, where, np.eye(3))
    return Grounding((Query("ball"),), (target,), (8, 12), np.zeros((1, 2, 3), np.float32), upsample)


def published(outputs, seen):
    for publish in outputs.encode(View(RGB, 5, "camera", 0.0), seen, ASKED, 0.01):
        publish()


def test_nobody_listens_nothing_is_made(topics):
    outputs, publishers = topics
    upsampled = []
    assert not outputs.wanted()
    published(outputs, grounding(upsampled))
    assert upsampled == [] and not any(each.sent for each in publishers.values())


def test_the_map_is_not_upsampled_for_those_who_want_the_result(topics):
    outputs, publishers = topics
    upsampled = []
    publishers["result"].subscribers = 1
    assert outputs.wanted()
    published(outputs, grounding(upsampled))
    assert upsampled == [] and [name for name, each in publishers.items() if each.sent] == ["result"]


@pytest.mark.parametrize("name", TOPICS)
def test_every_topic_is_made_for_its_listener_alone(topics, name):
    outputs, publishers = topics
    publishers[name].subscribers = 1
    published(outputs, grounding([]))
    assert [each for each, publisher in publishers.items() if publisher.sent] == [name]


def test_without_a_point_there_is_no_target(topics):
    outputs, publishers = topics
    publishers["target"].subscribers = 1
    published(outputs, grounding([], point=None))
    assert publishers["target"].sent == []

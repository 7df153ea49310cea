"""Quality of service: which it is here, and who cannot be talked to because of his."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible

INPUT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)  # takes from every publisher, the newest
OUTPUT = QoSProfile(depth=1)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# By default every publisher and subscription has two events in the executor's wait set, which rclpy builds anew for
# each message: half of what a message costs. :func:`mismatches` says more, once a second.
NO_PUBLISHER_EVENTS = {"event_callbacks": PublisherEventCallbacks(use_default_callbacks=False)}
NO_SUBSCRIPTION_EVENTS = {"event_callbacks": SubscriptionEventCallbacks(use_default_callbacks=False)}


def mismatches(node: Node, publishers: Iterable[Any], subscriptions: Iterable[Any]) -> Iterator[str]:
    """A line for each other side that gets or gives nothing: the topic, the policy, both sides."""
    for own in publishers:
        topic = own.topic_name
        if node.count_subscribers(topic) != own.get_subscription_count():
            for other in node.get_subscriptions_info_by_topic(topic):
                yield from _line(topic, "subscriber", other, own.qos_profile, other.qos_profile)
    for own in subscriptions:
        topic = own.topic_name
        if node.count_publishers(topic) != own.get_publisher_count():
            for other in node.get_publishers_info_by_topic(topic):
                yield from _line(topic, "publisher", other, other.qos_profile, own.qos_profile)


def _line(topic: str, role: str, other: Any, offered: QoSProfile, requested: QoSProfile) -> Iterator[str]:
    compatibility, reason = qos_check_compatible(offered, requested)
    if compatibility == QoSCompatibility.ERROR:
        name = f"{other.node_namespace.rstrip('/')}/{other.node_name}"
        why = reason.replace("ERROR: ", "").strip(" ;")
        yield f"{topic}: expected a {role} of compatible quality of service, got {name} ({why}); change it there"

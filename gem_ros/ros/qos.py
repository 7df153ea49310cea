"""Quality of service: which it is here, and who cannot be talked to because of his."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

INPUT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)  # takes from every publisher, the newest
OUTPUT = QoSProfile(depth=1)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# By default every publisher and subscription has two events in the executor's wait set, which rclpy builds anew for
# each message: half of what a message costs. :func:`mismatches` says more, once a second.
NO_PUBLISHER_EVENTS = {"event_callbacks": PublisherEventCallbacks(use_default_callbacks=False)}
NO_SUBSCRIPTION_EVENTS = {"event_callbacks": SubscriptionEventCallbacks(use_default_callbacks=False)}


def mismatches(node: Node, publishers: Iterable[Any], subscribed: Iterable[str]) -> Iterator[str]:
    """A line for each other side that gets or gives nothing: the topic, the policy, both sides.

    ``subscribed`` are names of topics that this node takes reliably; :data:`INPUT` takes from everybody.
    """
    for own in publishers:
        if node.count_subscribers(own.topic_name) != own.get_subscription_count():
            yield from _lines(node, own.topic_name, "subscriber")
    for topic in subscribed:
        yield from _lines(node, topic, "publisher")


def unheard(node: Node, topic: str, kind: type) -> str:
    """Why no message of ``kind`` may come from ``topic`` (full name) although it is published; empty: nobody does."""
    wanted = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        return ""
    fitting = [each for each in publishers if each.topic_type == wanted]
    if not fitting:
        expected = f"{topic}: expected {wanted}, got {publishers[0].topic_type} from {_name(publishers[0])}"
        return f"{expected}; remap it to a topic of that type, or set its transport parameter"
    sends = f"{_name(fitting[0])} publishes {topic} but nothing arrives"
    return f"{sends}; see that it runs, and give its process a large shared-memory segment (config/fastdds.xml)"


def _name(end: Any) -> str:
    """Full name of a topic endpoint's node."""
    return f"{end.node_namespace.rstrip('/')}/{end.node_name}"


def _lines(node: Node, topic: str, other: str) -> Iterator[str]:
    """What does not fit between this node and each ``other`` (publisher or subscriber) of ``topic``.

    This node's profile is taken from the graph, too: rclpy's own leaves open what there is spelt out.
    """
    ends = node.get_publishers_info_by_topic(topic), node.get_subscriptions_info_by_topic(topic)
    for publisher, subscriber in product(*ends):
        here, there = (publisher, subscriber) if other == "subscriber" else (subscriber, publisher)
        if (here.node_namespace, here.node_name) != (node.get_namespace(), node.get_name()):
            continue
        if there.topic_type != here.topic_type:
            yield f"{topic}: expected a {other} of {here.topic_type}, got {_name(there)} ({there.topic_type}); remap it"
            continue
        compatibility, reason = qos_check_compatible(publisher.qos_profile, subscriber.qos_profile)
        if compatibility == QoSCompatibility.ERROR:
            why = reason.replace("ERROR: ", "").strip(" ;")
            expected = f"{topic}: expected a {other} of compatible quality of service"
            yield f"{expected}, got {_name(there)} ({why}); change it there"

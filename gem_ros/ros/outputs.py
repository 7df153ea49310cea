"""The node's topics: each message is made only if somebody subscribes to it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile

from gem_ros.data import Grounding
from gem_ros.messages.encode import Encoder
from gem_ros.ros.worker import Asked, View

TOPICS = {
    "heatmap": "sensor_msgs/msg/Image",
    "segmentation": "sensor_msgs/msg/Image",
    "overlay": "sensor_msgs/msg/Image",
    "overlay/compressed": "sensor_msgs/msg/CompressedImage",
    "target": "geometry_msgs/msg/PointStamped",
    "targets": "sensor_msgs/msg/PointCloud2",
    "rays": "sensor_msgs/msg/PointCloud2",
    "result": "std_msgs/msg/String",
    "markers": "visualization_msgs/msg/MarkerArray",
}


def message_class(name: str) -> Any:
    """``std_msgs/msg/String`` -> rclpy's class."""
    package, _, kind = name.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


class Outputs:
    """Publishers that are silent while the node is inactive; :meth:`encode` and the rest run in the worker."""

    def __init__(self, node: LifecycleNode) -> None:
        self._encoder = Encoder(message_class)
        create = node.create_lifecycle_publisher
        newest = QoSProfile(depth=1)
        self._publishers = {name: create(message_class(kind), f"~/{name}", newest) for name, kind in TOPICS.items()}
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._queries = create(message_class("std_msgs/msg/String"), "~/queries", latched)

    def wanted(self) -> bool:
        """Whether anybody subscribes to anything."""
        return any(each.get_subscription_count() for each in self._publishers.values())

    def announce(self, asked: Asked) -> None:
        """Say what is looked for, also to those who come later."""
        self._queries.publish(self._encoder.queries(asked.queries, asked.config.presence_threshold, asked.epoch))

    def encode(self, view: View, grounding: Grounding, asked: Asked, latency: float) -> list[Callable[[], None]]:
        """What is to be published, ready but not sent; ``latency`` in s goes into ``~/result``."""
        encode = self._encoder
        header = encode.header(view.stamp, view.frame_id)
        makers: dict[str, Callable[[], Any]] = {
            "heatmap": lambda: encode.heatmap(header, grounding),
            "segmentation": lambda: encode.segmentation(header, grounding),
            "overlay": lambda: encode.overlay(header, view.rgb, grounding, asked.config.overlay_alpha),
            "overlay/compressed": lambda: encode.overlay_compressed(
                header, view.rgb, grounding, asked.config.overlay_alpha
            ),
            "target": lambda: encode.target(header, grounding),
            "targets": lambda: encode.targets(header, grounding, asked.epoch),
            "rays": lambda: encode.rays(header, grounding, asked.epoch),
            "result": lambda: encode.result(header, grounding, asked.epoch, latency * 1e3),
            "markers": lambda: encode.markers(header, grounding),
        }
        ready: list[Callable[[], None]] = []
        for name, publisher in self._publishers.items():
            if publisher.get_subscription_count() and (message := makers[name]()) is not None:
                ready.append(partial(publisher.publish, message))
        return ready

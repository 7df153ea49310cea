"""What goes out: each message is made only if somebody subscribes to it, and those for planners before pictures."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt
from rclpy.lifecycle import LifecycleNode

from gem_ros.data import Grounding
from gem_ros.messages import cdr
from gem_ros.messages.build import stamp_of
from gem_ros.messages.encode import Encoder
from gem_ros.ros.goals import Goals, listeners
from gem_ros.ros.qos import LATCHED, NO_PUBLISHER_EVENTS, OUTPUT
from gem_ros.ros.views import Asked, View

TOPICS = {  # in the order in which they are sent
    "target": "geometry_msgs/msg/PointStamped",
    "targets": "sensor_msgs/msg/PointCloud2",
    "rays": "sensor_msgs/msg/PointCloud2",
    "result": "std_msgs/msg/String",
    "markers": "visualization_msgs/msg/MarkerArray",
    "goal": "geometry_msgs/msg/PoseStamped",
    "detections": "vision_msgs/msg/Detection2DArray",
    "detections_3d": "vision_msgs/msg/Detection3DArray",
    "heatmap": "sensor_msgs/msg/Image",
    "segmentation": "sensor_msgs/msg/Image",
    "overlay": "sensor_msgs/msg/Image",
    "overlay/compressed": "sensor_msgs/msg/CompressedImage",
}
EXTRA = "vision_msgs"  # part of a full ROS 2, not of the wheels


@cache
def message_class(name: str) -> Any:
    """``std_msgs/msg/String`` -> rclpy's class."""
    package, _, kind = name.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


def offered() -> dict[str, str]:
    """:data:`TOPICS` without those whose message package is not installed."""
    there = importlib.util.find_spec(EXTRA) is not None
    return {name: kind for name, kind in TOPICS.items() if there or not kind.startswith(EXTRA)}


class WireEncoder(Encoder):
    """Makes rclpy's messages; pictures and the target, which go out with every image, serialized already: publishers
    take both, and rclpy's way costs more.
    """

    def image(self, header: Any, pixels: npt.NDArray[Any], encoding: str) -> bytes:
        """Serialized sensor_msgs/Image of (H, W) or (H, W, C) pixels."""
        pixels = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
        size = pixels.shape[0], pixels.shape[1]
        return cdr.serialize_image(
            stamp_of(header), header.frame_id, size, encoding, pixels.reshape(-1).view(np.uint8).data
        )

    def point_stamped(self, header: Any, xyz: npt.ArrayLike) -> bytes:
        """Serialized geometry_msgs/PointStamped of (3,) m."""
        x, y, z = np.asarray(xyz).tolist()
        return cdr.serialize_point(stamp_of(header), header.frame_id, (x, y, z))


class Announcement:
    """The topic ``~/queries``, of all cameras together."""

    def __init__(self, node: LifecycleNode) -> None:
        self._encoder = Encoder(message_class)
        kind = message_class("std_msgs/msg/String")
        self.publisher = node.create_lifecycle_publisher(kind, "~/queries", LATCHED, **NO_PUBLISHER_EVENTS)

    def announce(self, asked: Asked) -> None:
        """Say what is looked for, also to those who come later."""
        self.publisher.publish(self._encoder.queries(asked.queries, asked.config.presence_threshold, asked.epoch))


class Outputs:
    """A camera's publishers, silent while the node is inactive; :meth:`publish` runs in the worker.

    ``complain`` gets a line about what is subscribed to and cannot be made; ``prefix`` comes before the topics'
    names, like ``front/``.
    """

    def __init__(self, node: LifecycleNode, complain: Callable[[str], None], prefix: str = "") -> None:
        self._node, self._complain = node, complain
        self._encoder = WireEncoder(message_class)
        self._goals = Goals()
        create = partial(node.create_lifecycle_publisher, qos_profile=OUTPUT, **NO_PUBLISHER_EVENTS)
        self.publishers = {name: create(message_class(kind), f"~/{prefix}{name}") for name, kind in offered().items()}

    def wanted(self) -> bool:
        """Whether anybody subscribes to anything."""
        return any(each.get_subscription_count() for each in self.publishers.values())

    def publish(self, view: View, grounding: Grounding, asked: Asked, latency: float) -> None:
        """Make and send each message that somebody waits for; ``latency`` in s goes into ``~/result``."""
        encode, config = self._encoder, asked.config
        image = encode.header(view.stamp, view.frame_id)
        placed = encode.header(view.stamp, config.target_frame or view.frame_id)
        picture = (
            view.rgb,
            grounding,
            config.overlay_alpha,
            np.zeros(3) if view.pose is None else view.pose.matrix[:3, 3],
        )
        makers: dict[str, Callable[[], Any]] = {
            "heatmap": lambda: encode.heatmap(image, grounding),
            "segmentation": lambda: encode.segmentation(image, grounding),
            "overlay": lambda: encode.overlay(image, *picture),
            "overlay/compressed": lambda: encode.overlay_compressed(image, *picture),
            "target": lambda: encode.target(placed, grounding),
            "targets": lambda: encode.targets(placed, grounding, asked.epoch),
            "rays": lambda: encode.rays(image, grounding, asked.epoch),
            "result": lambda: encode.result(
                placed, grounding, asked.epoch, latency * 1e3, image_frame_id=view.frame_id
            ),
            "markers": lambda: encode.markers(placed, image, grounding, z_up=bool(config.target_frame)),
            "goal": lambda: self._goal(placed, view, grounding, asked),
            "detections": lambda: encode.detections(image, grounding),
            "detections_3d": lambda: encode.detections_3d(placed, grounding),
        }
        for name, publisher in self.publishers.items():
            if publisher.get_subscription_count() and (message := makers[name]()) is not None:
                publisher.publish(message)

    def _goal(self, header: Any, view: View, grounding: Grounding, asked: Asked) -> Any | None:
        """The next goal, if there is one to send."""
        if not asked.config.target_frame:
            self._complain("~/goal: expected a target_frame whose z points up, like map, got none; set the parameter")
            return None
        to = listeners(self._node, self.publishers["goal"].topic_name)
        goal = self._goals.next(grounding, view.pose, asked.epoch, to, asked.config)
        return None if goal is None else self._encoder.goal(header, goal)

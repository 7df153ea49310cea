"""The node's camera topics: open while it is active, closed otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from gem_ros.config import Config
from gem_ros.data import Pose
from gem_ros.errors import GeometryError
from gem_ros.messages import decode
from gem_ros.ros.diagnostics import Health
from gem_ros.ros.partners import Partner, Partners, find_partners
from gem_ros.ros.poses import pose_source
from gem_ros.ros.worker import View

NEWEST = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class Inputs:
    """Subscribes ``image``, ``depth``, ``camera_info`` and the camera's pose, and finds what belongs together."""

    def __init__(self, node: Node, config: Config, health: Health) -> None:
        self._node, self._slop, self._health = node, config.sync_slop, health
        raw_image, raw_depth = config.image_transport == "raw", config.depth_transport == "raw"
        self._read = decode.image if raw_image else decode.compressed_image
        self._read_depth = decode.depth if raw_depth else decode.compressed_depth
        self._image = (Image, "image") if raw_image else (CompressedImage, self._transport("image", "compressed"))
        self._depth = (Image, "depth") if raw_depth else (CompressedImage, self._transport("depth", "compressedDepth"))
        named = decode.is_rectified(node.resolve_topic_name("image"))
        rectified = named if config.rectified == "auto" else config.rectified == "yes"
        self._read_info = partial(decode.camera_info, rectified=rectified)
        self._pose = pose_source(node, config)
        self._subscriptions: list[Any] = []
        self._partners: tuple[Partner, Partner] | None = None

    def open(self, put: Callable[[Any], None]) -> None:
        """Subscribe; images go to ``put``."""
        self._subscribe(*self._image, put)
        depth = self._partner(*self._depth, self._read_depth)
        info = self._partner(CameraInfo, "camera_info", self._read_info)
        self._partners = depth, info
        if self._pose:
            self._pose.open()

    def close(self) -> None:
        """Unsubscribe and forget; nobody waits for a partner any more."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        for partner in self._partners or ():
            partner.close()
        if self._pose:
            self._pose.close()

    def read(self, message: Any) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB; :class:`DecodeError` where the message holds no picture (called by the worker)."""
        return self._read(message)

    def find_partners(self, view: View) -> Partners:
        """Depth and camera of an image (called by the worker)."""
        if self._partners is None:
            return Partners()
        depth, info = self._partners
        return find_partners(
            view.stamp, view.frame_id, depth=depth, info=info, slop=self._slop, complain=self._complain
        )

    def find_pose(self, view: View) -> Pose:
        """Where the camera was when the image was taken; raises :class:`GeometryError` (called by the worker)."""
        if self._pose is None:
            raise GeometryError("pose: expected a target_frame, got none")
        return self._pose.find(view.stamp, view.frame_id)

    def _partner(self, kind: type, topic: str, read: Callable[[Any], Any]) -> Partner:
        name = self._node.resolve_topic_name(topic)
        partner = Partner(read, lambda: self._node.count_publishers(name) > 0)
        self._subscribe(kind, topic, partner.add)
        return partner

    def _subscribe(self, kind: type, topic: str, callback: Callable[[Any], None]) -> None:
        self._subscriptions.append(self._node.create_subscription(kind, topic, callback, NEWEST))

    def _transport(self, base: str, name: str) -> str:
        """As image_transport does: remapping ``image`` remaps ``image/compressed`` with it."""
        return f"{self._node.resolve_topic_name(base)}/{name}"

    def _complain(self, error: Exception) -> None:
        self._health.problem(str(error))

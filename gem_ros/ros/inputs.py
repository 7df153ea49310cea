"""A camera's topics: open while the node is active, closed otherwise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from gem_ros.config import Config
from gem_ros.data import CameraIntrinsics, Pose
from gem_ros.errors import DecodeError, GemError, GeometryError
from gem_ros.messages import cdr, decode
from gem_ros.ros.health import Health
from gem_ros.ros.partners import Partner, Partners, find_partners
from gem_ros.ros.poses import PoseSource
from gem_ros.ros.qos import INPUT
from gem_ros.ros.receiving import Receiver
from gem_ros.ros.views import View


class Stream(NamedTuple):
    """A topic, what its messages are parsed with when they come, and read with when they are needed."""

    kind: type
    topic: str
    parse: Callable[[Any], Any]
    read: Callable[[Any], Any]


class Inputs:
    """Subscribes one camera's ``image``, ``depth`` and ``camera_info``, and finds what belongs together.

    ``prefix`` comes before the topics' names, like ``front/``; ``pose`` is where the camera's pose comes from.
    """

    def __init__(self, node: Node, config: Config, health: Health, prefix: str, pose: PoseSource | None) -> None:
        self._node, self._slop, self._health, self._pose = node, config.sync_slop, health, pose
        named = decode.is_rectified(node.resolve_topic_name(f"{prefix}image"))
        rectified = named if config.rectified == "auto" else config.rectified == "yes"
        raw = config.image_transport == "raw", config.depth_transport == "raw"
        self._image = (
            Stream(Image, f"{prefix}image", cdr.image, decode.image)
            if raw[0]
            else Stream(
                CompressedImage, self._transport(f"{prefix}image", "compressed"), _as_is, decode.compressed_image
            )
        )
        self._depth = (
            Stream(Image, f"{prefix}depth", cdr.image, decode.depth)
            if raw[1]
            else Stream(
                CompressedImage, self._transport(f"{prefix}depth", "compressedDepth"), _as_is, decode.compressed_depth
            )
        )
        self._info = Stream(
            CameraInfo, f"{prefix}camera_info", partial(cdr.stamped, name="camera_info"), CameraReader(rectified)
        )
        by_topic = bool(config.target_frame) and config.pose_source == "topic"
        self.reliable = [node.resolve_topic_name(f"{prefix}camera_pose")] if by_topic else []  # topics, not best effort
        self._receiver: Receiver | None = None  # there while open
        self._partners: tuple[Partner, Partner] | None = None

    @property
    def topics(self) -> dict[str, tuple[str, type]]:
        """Full name and type of the subscribed ``image``, ``depth`` and ``camera_info``."""
        streams = {"image": self._image, "depth": self._depth, "camera_info": self._info}
        return {name: (self._node.resolve_topic_name(each.topic), each.kind) for name, each in streams.items()}

    def open(self, put: Callable[[Any], None]) -> None:
        """Subscribe; images go to ``put``."""
        self._receiver = receiver = Receiver(self._node, self._health.problem)
        self._partners = (
            self._partner(receiver, "depth", self._depth),
            self._partner(receiver, "camera_info", self._info),
        )
        _subscribe(receiver, self._image, put)
        if self._pose:
            self._pose.open()
        receiver.start()

    def close(self) -> None:
        """Unsubscribe and forget; nobody waits for a partner any more."""
        if self._receiver:
            self._receiver.close()
            self._receiver = None
        for partner in self._partners or ():
            partner.close()
        if self._pose:
            self._pose.close()

    def read(self, message: Any, arrival: float) -> View:
        """The picture; :class:`DecodeError` where the message holds none (called by the worker)."""
        parsed = self._image.parse(message)
        stamp, frame_id = decode.stamp_ns(parsed.header.stamp), parsed.header.frame_id
        if not frame_id:
            self._health.problem("image: expected a frame_id, got none; set it in the camera's driver")
        return View(self._image.read(parsed), stamp, frame_id, arrival)

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

    def rewind(self, stamp: int) -> None:
        """Time jumped back to ``stamp`` (ns): forget the partners and poses of the time before."""
        for partner in self._partners or ():
            partner.rewind(stamp)
        if self._pose:
            self._pose.rewind(stamp)

    def _partner(self, receiver: Receiver, name: str, stream: Stream) -> Partner:
        topic = self._node.resolve_topic_name(stream.topic)
        partner = Partner(stream.read, lambda: self._node.count_publishers(topic) > 0)

        def add(message: Any) -> None:
            self._health.heard(name)
            try:
                partner.add(stream.parse(message))
            except GemError as error:
                self._complain(error)

        _subscribe(receiver, stream, add)
        return partner

    def _transport(self, base: str, name: str) -> str:
        """As image_transport does: remapping ``image`` remaps ``image/compressed`` with it."""
        return f"{self._node.resolve_topic_name(base)}/{name}"

    def _complain(self, error: Exception) -> None:
        self._health.problem(str(error))


class CameraReader:
    """Reads serialized CameraInfo; what says the same as the last one is not read again."""

    def __init__(self, rectified: bool) -> None:
        self._rectified = rectified
        self._known: tuple[bytes, CameraIntrinsics] | None = None

    def __call__(self, message: cdr.Stamped) -> CameraIntrinsics:
        """:class:`DecodeError` where there is no calibrated camera in it."""
        if self._known is None or self._known[0] != message.rest:
            try:
                info = deserialize_message(message.data, CameraInfo)
            except Exception as error:  # rclpy's differ by version
                raise DecodeError(f"camera_info: expected a CameraInfo, got {len(message.data)} bytes") from error
            self._known = message.rest, decode.camera_info(info, self._rectified)
        return self._known[1]


def _subscribe(receiver: Receiver, stream: Stream, callback: Callable[[Any], None]) -> None:
    raw = stream.kind is not CompressedImage  # as bytes, without rclpy's copies
    receiver.subscribe(stream.kind, stream.topic, callback, INPUT, raw=raw)


def _as_is(message: Any) -> Any:
    return message

"""Where the camera is in ``target_frame`` when an image is taken: from tf2, or from a topic.

Nothing older or newer than the image is put in its pose's place: no pose at its stamp, no 3D in that frame.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from gem_ros.config import Config
from gem_ros.data import Pose
from gem_ros.errors import ConfigError, GemError, GeometryError
from gem_ros.geometry.frames import pose_at
from gem_ros.messages import decode
from gem_ros.ros.buffers import JUMP_NS, StampBuffer, check_stamp

if TYPE_CHECKING:
    from rclpy.node import Node

POLL = 0.005  # s between questions to tf2
HISTORY = 2000  # poses: 10 s at 200 Hz, as far back as tf2 remembers and a slow model's image is old


class PoseSource(Protocol):
    """Where poses come from. Opened and closed with the node's topics, asked by the worker's thread."""

    def open(self) -> None:
        """Subscribe."""

    def close(self) -> None:
        """Unsubscribe; who waits is told that there is none."""

    def find(self, stamp: int, frame_id: str) -> Pose:
        """Where the optical frame ``frame_id`` is at ``stamp`` (ns), within a bounded wait; :class:`GeometryError`."""

    def rewind(self, stamp: int) -> None:
        """Time jumped back to ``stamp``: forget the poses of the time before."""


def pose_sources(node: Node, config: Config, prefixes: Sequence[str]) -> list[PoseSource | None]:
    """What ``config`` names, for each camera: tf for all of them, or a topic each, ``prefix`` before its name.

    None where results stay in the camera's frame. :class:`ConfigError` without tf2_ros.
    """
    if not config.target_frame or config.pose_source == "none":
        return [None] * len(prefixes)
    if config.pose_source == "topic":
        return [TopicSource(node, config.target_frame, config.sync_slop, prefix) for prefix in prefixes]
    return [TfSource(node, config.target_frame, config.sync_slop)] * len(prefixes)


class TfSource:
    """Asks tf2 at exactly the image's stamp, for at most ``wait`` s. The node's executor feeds it meanwhile."""

    def __init__(self, node: Node, target_frame: str, wait: float) -> None:
        try:
            import tf2_ros
            from rclpy.time import Time
        except ImportError as error:
            distro = os.environ.get("ROS_DISTRO", "<distro>")
            raise ConfigError(
                f"target_frame by pose_source 'tf': expected tf2_ros, which is not installed here ({error}); "
                f"apt install ros-{distro}-tf2-ros-py, or set pose_source to topic"
            ) from error
        self._tf2, self._time = tf2_ros, Time
        self._node, self._target_frame, self._wait = node, target_frame, wait
        self._closed = threading.Event()
        self._buffer: Any = None
        self._listener: Any = None
        self._asked = 0  # stamp of the last image, ns

    def open(self) -> None:
        """Listen to tf, once for all cameras."""
        if self._buffer is not None:
            return
        self._closed = threading.Event()
        self._buffer = self._tf2.Buffer(node=self._node)
        self._listener = self._tf2.TransformListener(self._buffer, self._node, spin_thread=False)

    def close(self) -> None:
        """Stop listening, and take along what tf2's buffer has put on the node."""
        self._closed.set()
        buffer, listener, self._buffer, self._listener = self._buffer, self._listener, None, None
        if buffer is None:
            return
        listener.unregister()
        if hasattr(buffer, "srv"):
            self._node.destroy_service(buffer.srv)
        if hasattr(buffer, "jump_handle"):  # since Jazzy
            buffer.jump_handle.unregister()

    def find(self, stamp: int, frame_id: str) -> Pose:
        """See :class:`PoseSource`; the image's own frame needs no tf."""
        if not frame_id:
            raise GeometryError("image: expected a frame_id that tf knows, got none; set it in the camera's driver")
        if frame_id == self._target_frame:
            return Pose(frame_id, np.eye(4))
        check_stamp(stamp)
        closed, buffer = self._closed, self._buffer
        expected = f"tf: expected where {frame_id!r} is in {self._target_frame!r} at the image's stamp"
        if buffer is None:
            raise GeometryError(f"{expected}, got asked while closed")
        self.rewind(stamp)
        at = self._time(nanoseconds=stamp)
        # Not tf2's own timeout: its clock stands still with use_sim_time and no clock.
        deadline = time.monotonic() + self._wait
        while True:
            try:
                found = decode.transform(buffer.lookup_transform(self._target_frame, frame_id, at))
                return Pose(self._target_frame, found.matrix)
            except self._tf2.TransformException as error:
                left = deadline - time.monotonic()
                if left <= 0 or closed.wait(min(POLL, left)):
                    raise GeometryError(f"{expected}, got from tf2: {_first_line(error)}") from error

    def rewind(self, stamp: int) -> None:
        """See :class:`PoseSource`: tf2 refuses what is 10 s older than its newest. Static frames stay."""
        buffer = self._buffer
        if buffer is not None and stamp < self._asked - JUMP_NS:
            buffer.clear()
        self._asked = stamp


class PoseHistory:
    """A camera's last poses in one frame; one thread adds, another looks up."""

    def __init__(self, target_frame: str, slop: float) -> None:
        self._target_frame, self._slop = target_frame, slop
        self._poses: StampBuffer[Pose] = StampBuffer(HISTORY)
        self._refused = ""  # why the last one was, if it was

    def add(self, message: Any) -> None:
        """Keep a PoseStamped; one that cannot be used is told when its place is looked for and empty."""
        try:
            stamp, pose = decode.stamp_ns(message.header.stamp), decode.pose(message)
            if pose.frame_id != self._target_frame:
                expected = f"camera_pose: expected poses in target_frame {self._target_frame!r}"
                raise GeometryError(f"{expected}, got {pose.frame_id!r}; change the one or the other")
            check_stamp(stamp, "camera_pose")
        except GemError as error:
            self._refused = str(error)
        else:
            self._refused = ""
            self._poses.add(stamp, pose)

    def find(self, stamp: int, wait: float) -> Pose:
        """The pose at ``stamp``, interpolated; up to ``wait`` s are given to one as new. :class:`GeometryError`."""
        check_stamp(stamp)
        kept = self._poses.ordered(stamp, wait)
        stamps, matrices = [each for each, _ in kept], [pose.matrix for _, pose in kept]
        try:
            return Pose(self._target_frame, pose_at(stamp, stamps, matrices, self._slop))
        except GeometryError as error:
            raise GeometryError(self._refused or str(error)) from error

    def rewind(self, stamp: int) -> None:
        """See :class:`PoseSource`."""
        self._poses.rewind(stamp)

    def close(self) -> None:
        """Forget everything, and let nobody wait any more."""
        self._poses.close()


class TopicSource:
    """Interpolates between the poses of the topic ``camera_pose``; see :class:`PoseHistory`."""

    def __init__(self, node: Node, target_frame: str, slop: float, prefix: str = "") -> None:
        self._node, self._target_frame, self._slop = node, target_frame, slop
        self._topic = f"{prefix}camera_pose"
        self._history = PoseHistory(target_frame, slop)
        self._subscription: Any = None

    def open(self) -> None:
        """Subscribe, with nothing kept from before."""
        from geometry_msgs.msg import PoseStamped

        self._history = PoseHistory(self._target_frame, self._slop)
        self._subscription = self._node.create_subscription(PoseStamped, self._topic, self._history.add, 10)

    def close(self) -> None:
        """Unsubscribe and forget."""
        self._history.close()
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def find(self, stamp: int, frame_id: str) -> Pose:
        """See :class:`PoseSource`; a newer pose is waited for only while somebody publishes them."""
        is_live = self._node.count_publishers(self._node.resolve_topic_name(self._topic)) > 0
        return self._history.find(stamp, self._slop if is_live else 0.0)

    def rewind(self, stamp: int) -> None:
        """See :class:`PoseSource`."""
        self._history.rewind(stamp)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].strip()

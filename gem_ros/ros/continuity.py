"""Whether an image goes on from the last one: what was remembered of another time, frame or size is wrong now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node

from gem_ros.ros.buffers import JUMP_NS
from gem_ros.ros.views import View


class Continuity:
    """Watches one camera's images in the order they are answered."""

    def __init__(self) -> None:
        self._last: View | None = None

    def broken_by(self, view: View) -> str:
        """Why what was remembered of earlier images no longer holds, in one line; empty where it does.

        Stamps that go back by up to :data:`~gem_ros.ros.buffers.JUMP_NS` are images out of order. An image without a
        stamp has no place in time.
        """
        last, self._last = self._last, view
        if last is None or last is view:
            return ""
        if view.frame_id != last.frame_id:
            return f"image: expected frame {last.frame_id!r} as before, got {view.frame_id!r}; tracks start anew"
        if view.rgb.shape != last.rgb.shape:
            return f"image: expected {_size(last)} px as before, got {_size(view)}; tracks start anew"
        if 0 < view.stamp < last.stamp - JUMP_NS:
            return jumped_back((last.stamp - view.stamp) / 1e9, "the images' stamps")
        return ""

    def forget(self) -> None:
        """The next image is the first one."""
        self._last = None


def jumped_back(seconds: float, whose: str) -> str:
    """The line about a recording that began anew, or a simulation or clock that was set back."""
    return f"time: expected to go on, got {whose} {seconds:.1f} s back; tracks, goals, poses and partners start anew"


def watch_clock(node: Node, jumped: Callable[[str, int], None]) -> Any:
    """Have ``jumped`` called with a line and the new time (ns) when ROS time jumps back; keep what is returned."""

    def told(jump: Any) -> None:
        jumped(jumped_back(-jump.delta.nanoseconds / 1e9, "ROS time"), node.get_clock().now().nanoseconds)

    threshold = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-JUMP_NS), on_clock_change=False)
    return node.get_clock().create_jump_callback(threshold, post_callback=told)


def silent_clock(node: Node) -> str:
    """A line where ``use_sim_time`` is set and no time has come; else empty."""
    if node.get_parameter("use_sim_time").value and not node.get_clock().now().nanoseconds:
        return "time: expected /clock because of use_sim_time, got none; publish it, or set use_sim_time to false"
    return ""


def _size(view: View) -> str:
    return f"{view.rgb.shape[1]}x{view.rgb.shape[0]}"

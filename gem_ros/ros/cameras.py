"""The node's cameras: one that has no name, or as many as the parameter ``cameras`` names."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from rclpy.lifecycle import LifecycleNode

from gem_ros.config import Config
from gem_ros.geometry.tracking import Tracker
from gem_ros.ros.health import Health
from gem_ros.ros.inputs import Inputs
from gem_ros.ros.outputs import Outputs
from gem_ros.ros.poses import pose_sources
from gem_ros.ros.views import Camera


class Seat(NamedTuple):
    """A camera and, by their own types, the parts of it that the node itself deals with."""

    camera: Camera
    inputs: Inputs
    outputs: Outputs
    health: Health

    @property
    def name(self) -> str:
        """The camera's, empty where there is only one."""
        return self.camera.name


def make_seats(node: LifecycleNode, config: Config) -> list[Seat]:
    """One for each camera, with the topics below its name."""
    names = config.cameras or ("",)
    prefixes = [f"{name}/" if name else "" for name in names]
    seats = []
    for name, prefix, pose in zip(names, prefixes, pose_sources(node, config, prefixes), strict=True):
        health = Health(
            partial(_warn, node, f"{name}: " if name else ""), ros_clock=lambda: node.get_clock().now().nanoseconds
        )
        inputs, outputs = Inputs(node, config, health, prefix, pose), Outputs(node, health.problem, prefix)
        seats.append(Seat(Camera(name, inputs, outputs, health, Tracker()), inputs, outputs, health))
    return seats


def _warn(node: LifecycleNode, whose: str, line: str) -> None:
    node.get_logger().warning(f"{whose}{line}")

"""The executable ``grounding_node``."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gem_ros.config import Config
from gem_ros.errors import GemError
from gem_ros.process import keep_freed_memory, share_cores
from gem_ros.resources import dds_environment

if TYPE_CHECKING:
    from gem_ros.pipeline import Grounder

POLL = 0.2  # s between looks at signals
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_interrupted: list[int] = []  # by which


def main(args: list[str] | None = None, load: Callable[[Config], Grounder] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; 0 then, 2 with one line where it cannot start.

    ``load`` replaces what makes the grounder.
    """
    # Before all that takes time. Not rclpy's handlers: they end the context under the worker's feet, and SIGTERM
    # would wait for a loading model.
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        return _run(args, load)
    except KeyboardInterrupt:
        return 0
    finally:
        gc.freeze()  # Python's last collection would go through all of PyTorch, for a second or so


def _run(args: list[str] | None, load: Callable[[Config], Grounder] | None) -> int:
    os.environ.update(dds_environment())
    keep_freed_memory()
    share_cores()
    try:
        import rclpy
    except ImportError as error:
        hint = "source your ROS 2 (/opt/ros/<distro>/setup.bash) or pip install 'gem_ros[ros]'"
        print(f"grounding_node: expected ROS 2's rclpy, got: {error}; {hint}", file=sys.stderr)
        return 2
    from rclpy.signals import SignalHandlerOptions

    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except (RuntimeError, UnicodeError) as error:  # arguments or a parameter file that rcl cannot read
        print(f"grounding_node: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    try:
        return _spin(load)
    finally:
        rclpy.try_shutdown()


def _spin(load: Callable[[Config], Grounder] | None) -> int:
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.impl.implementation_singleton import rclpy_implementation
    from rclpy.logging import get_logger

    from gem_ros.ros.node import GroundingNode

    try:
        node = GroundingNode(load) if load else GroundingNode()
    except (GemError, rclpy_implementation.RCLError) as error:  # RCLError: where security denies it a topic, too
        get_logger("grounding").error(str(error).splitlines()[0])
        return 2
    executor = SingleThreadedExecutor()  # rclpy's EventsExecutor hangs with a thread that publishes
    executor.add_node(node)
    try:
        while executor.context.ok() and not _interrupted:
            try:
                executor.spin_once(timeout_sec=POLL)
            except Exception as error:  # rclpy's own services raise for requests that they cannot read, too
                node.get_logger().error(f"a request or message was left out: {type(error).__name__}: {error}")
        return 0
    finally:
        executor.remove_node(node)
        node.destroy_node()
        executor.shutdown()


def _interrupt(number: int, frame: Any) -> None:
    """Once: what comes while the node ends is ignored."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    _interrupted.append(number)  # an exception in a destructor or a C library's callback is lost
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

"""The executable ``grounding_node``."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gem_ros.config import Config
from gem_ros.errors import GemError
from gem_ros.process import keep_freed_memory, share_cores
from gem_ros.resources import dds_environment

if TYPE_CHECKING:
    from gem_ros.pipeline import Grounder

POLL = 0.2  # s between looks at signals
GRACE = 15.0  # s to end after a signal: a forward that runs is finished, and with a large model that takes a while
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_interrupted: list[int] = []  # by which
_breaking: list[bool] = []  # not empty: a signal breaks off what is done


def main(args: list[str] | None = None, load: Callable[[Config], Grounder] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; 0 then, 2 with one line where it cannot start, 1 with the stacks of its
    threads where it does not come to its end.

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
        with _broken_off():
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

    with _broken_off():
        from gem_ros.ros.node import GroundingNode, load_grounder

    def loaded(config: Config) -> Grounder:
        with _broken_off():
            if _interrupted:
                raise KeyboardInterrupt
            return (load or load_grounder)(config)

    try:
        node = GroundingNode(loaded)
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
    faulthandler.dump_traceback_later(GRACE, exit=True, file=2)
    if _breaking:
        raise KeyboardInterrupt


@contextmanager
def _broken_off() -> Iterator[None]:
    """What takes seconds, and is not waited for after a signal. Elsewhere a signal is only noted: an exception between
    the taking of a lock and its release leaves it taken, and whoever waits for it hangs.
    """
    _breaking.append(True)
    try:
        yield
    finally:
        _breaking.clear()


if __name__ == "__main__":
    sys.exit(main())

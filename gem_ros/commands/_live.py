"""The live side of demo and evaluation: processes that are always ended, and one listener on the node's topics."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from gem_ros.errors import GemError
from gem_ros.replay.session import Pass

NODE = "/grounding"
UNCONFIGURED, ACTIVE = 1, 3  # lifecycle_msgs/msg/State.PRIMARY_STATE_...
LAST_LINES = 8
GRACE = 5.0  # s a process gets to end by itself after SIGINT


class Running:
    """A started process whose output goes to ``log``."""

    def __init__(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        self.name, self.log = name, log
        with log.open("wb") as output:
            # In a session of its own, so that Ctrl-C reaches it once, from us, and in order.
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=dict(env), start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def ended(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    def failure(self, what: str) -> GemError:
        """One clear line, and the last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_LINES:]
        return GemError("\n".join([f"{self.name}: {what}; its last lines ({self.log}):", *(f"  {x}" for x in lines)]))

    def check(self) -> None:
        """Raise :class:`GemError` if it has ended."""
        if self.ended is not None:
            raise self.failure(f"expected it to run, but it ended with status {self.ended}")

    def stop(self) -> None:
        """SIGINT, and if that is not heard, SIGKILL; no second Ctrl-C comes between."""
        with uninterrupted():
            self._stop()

    def _stop(self) -> None:
        if self.ended is None:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE)
        if self.ended is None:
            self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def running(name: str, command: Sequence[str], log: Path, env: Mapping[str, str] = os.environ) -> Iterator[Running]:
    """Start ``command`` and end it when the block is left, however it is left."""
    process = None
    try:
        with uninterrupted():  # else what was just started would have nobody to end it
            process = Running(name, command, log, env)
        yield process
    finally:
        if process is not None:
            process.stop()


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """SIGINT and SIGTERM that come within the block count when it is left; the main thread is where Python has them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = signal.SIGINT, signal.SIGTERM
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for received in came[:1]:
            signal.raise_signal(received)


class Listener:
    """A small ROS node that asks, and notes what comes back and when.

    ``image_type`` and ``image_topic`` are those of the played image: it is received here as the
    grounding node receives it, so that latency is what any other subscriber would see. ``overlays`` are only drawn
    by the node, and kept here, where they are wanted.
    """

    def __init__(self, image_topic: str, image_type: str, overlays: bool = True) -> None:
        import rclpy
        from lifecycle_msgs.srv import GetState
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from rclpy.signals import SignalHandlerOptions
        from sensor_msgs.msg import CompressedImage, Image
        from std_msgs.msg import String

        self.heard = Pass("", ())
        self.queries = ""
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("gem_ros_demo", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._query = self._node.create_publisher(String, "/query", 10)
        self._state = self._node.create_client(GetState, f"{NODE}/get_state")
        self._request = GetState.Request()
        self._answer: Any = None
        self.refusals = 0  # how often the node said that it is not configured: while starting, or because it cannot be
        image_class = CompressedImage if image_type.endswith("CompressedImage") else Image
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        subscribe = self._node.create_subscription
        subscribe(image_class, image_topic, self._on_image, 10, raw=True)
        subscribe(String, f"{NODE}/result", self._on_result, 50)
        if overlays:
            subscribe(CompressedImage, f"{NODE}/overlay/compressed", self._on_overlay, 10)
        subscribe(String, f"{NODE}/queries", self._on_queries, latched)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def __enter__(self) -> Listener:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        self._thread.join(GRACE)
        self._node.destroy_node()
        self._context.try_shutdown()

    def is_active(self) -> bool:
        """Whether the grounding node says that it is active; asks again while it does not."""
        if not self._state.service_is_ready():
            return False
        if self._answer is None:
            self._answer = self._state.call_async(self._request)
        if not self._answer.done():
            return False
        answer, self._answer = self._answer.result(), None
        self.refusals += answer.current_state.id == UNCONFIGURED
        return bool(answer.current_state.id == ACTIVE)

    def can_ask(self) -> bool:
        """Whether the grounding node listens to queries."""
        return bool(self._query.get_subscription_count() > 0)

    def ask(self, queries: Sequence[str]) -> None:
        """Send ``queries``."""
        from std_msgs.msg import String

        self._query.publish(String(data="; ".join(queries)))

    def is_asked(self, queries: Sequence[str]) -> bool:
        """Whether the grounding node says that it looks for exactly ``queries``."""
        return sorted(_texts(self.queries)) == sorted(queries)

    def collect(self, title: str, queries: tuple[str, ...]) -> Pass:
        """Collect anew, into the returned pass."""
        self.heard = Pass(title, queries)
        return self.heard

    # Times are those of DDS, when a message was received: Python may come to it later.

    def _on_image(self, data: bytes, info: dict[str, int]) -> None:
        seconds, nanoseconds = struct.unpack_from("<iI", data, 4)  # CDR of a message that starts with a header
        self.heard.images.setdefault(seconds * 1_000_000_000 + nanoseconds, info["received_timestamp"])

    def _on_result(self, message: Any, info: dict[str, int]) -> None:
        self.heard.results.append((info["received_timestamp"], json.loads(message.data)))

    def _on_overlay(self, message: Any) -> None:
        stamp = message.header.stamp
        self.heard.overlays[stamp.sec * 1_000_000_000 + stamp.nanosec] = bytes(message.data)

    def _on_queries(self, message: Any) -> None:
        self.queries = message.data


def _texts(queries: str) -> list[str]:
    """The texts in a ``~/queries`` message."""
    values = json.loads(queries or "{}").get("queries", [])
    return [each["query"] for each in values]


def wait_until(true: Callable[[], bool], seconds: float, watched: Running, what: str, *, poll: float = 0.1) -> None:
    """Ask every ``poll`` s until ``true()``; :class:`GemError` with its last lines when it dies or takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        watched.check()
        if time.monotonic() > deadline:
            raise watched.failure(f"expected {what} within {seconds:g} s")
        time.sleep(poll)

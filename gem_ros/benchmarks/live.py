"""A camera and ears in this process, the node in another, and DDS between them.

Times are DDS's: an image counts from right before it is handed over, an answer when it was received, whatever
Python does then.
"""

from __future__ import annotations

import array
import json
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.benchmarks.timing import Progress
from gem_ros.commands._live import NODE, Running, running, wait_until
from gem_ros.data import Observation

START_UP = 180.0  # s for the node to load and warm up its model
PATIENCE = 20.0  # s for processes to find each other
SETTLE = 1.0  # s of images before any counts
DRAIN = 20.0  # s after the last image in which answers still come
STUB = ("-m", "gem_ros.benchmarks.stub")
REAL = ("-m", "gem_ros.ros.main")
FRAME = "camera_optical"
ERROR = b"\x02"  # diagnostic_msgs/msg/DiagnosticStatus.ERROR
NS = 1_000_000_000
Stamp = int
Heard = dict[Stamp, int]  # stamp of an image (ns) -> when it was first answered (ns)


class Robot:
    """Publishes observations as raw messages and notes when answers to them come; use as a context manager.

    ``topics`` are the node's that are listened to, and hence made: ``result``, ``target``, ``targets``, ``heatmap``,
    ``overlay``.
    """

    def __init__(self, scenes: Sequence[Observation], topics: Sequence[str]) -> None:
        import rclpy
        from diagnostic_msgs.msg import DiagnosticArray
        from geometry_msgs.msg import PointStamped
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import DurabilityPolicy, QoSProfile
        from rclpy.signals import SignalHandlerOptions
        from sensor_msgs.msg import CameraInfo, Image, PointCloud2
        from std_msgs.msg import String

        self.heard: dict[str, Heard] = {topic: {} for topic in topics}
        self.sent: dict[Stamp, int] = {}  # when each image was handed over (ns)
        self.active = 0  # when the node said what it looks for (ns), 0: not yet
        self.refusal = ""  # why the node cannot be configured, as it says
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("gem_ros_bench", context=self._context, start_parameter_services=False)
        create = self._node.create_publisher
        self._publishers = {"depth": create(Image, "/depth", 2), "camera_info": create(CameraInfo, "/camera_info", 2)}
        self._publishers["image"] = create(Image, "/image", 2)  # last: its partners are there when it comes
        self._scenes = [_serialized(each) for each in scenes]
        self._shown = 0
        self._query = create(String, "/query", 10)
        kinds = {"result": String, "target": PointStamped, "targets": PointCloud2, "heatmap": Image, "overlay": Image}
        for topic in topics:
            hear = self._on_result if topic == "result" else self._on_stamped(self.heard[topic])
            self._node.create_subscription(kinds[topic], f"{NODE}/{topic}", hear, 10, raw=True)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._node.create_subscription(String, f"{NODE}/queries", self._on_queries, latched, raw=True)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def __enter__(self) -> Robot:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown()
        self._thread.join(PATIENCE)
        self._node.destroy_node()
        self._context.try_shutdown()

    def await_node(self, process: Running, poll: float = 0.1) -> None:
        """Until the node is active and listens to all the camera's topics; :class:`GemError` where it never will."""

        def listens() -> bool:
            if self.refusal:
                raise process.failure(f"expected it to become active, but it says: {self.refusal}")
            return bool(self.active and all(each.get_subscription_count() for each in self._publishers.values()))

        wait_until(listens, START_UP, process, "it to become active and to listen to the camera", poll=poll)

    def sees_node(self) -> bool:
        """Whether the node is in the graph."""
        return NODE.removeprefix("/") in self._node.get_node_names()

    def ask(self, text: str) -> None:
        """Send a query."""
        from std_msgs.msg import String

        self._query.publish(String(data=text))

    def show(self) -> Stamp:
        """Publish the next observation; its stamp (ns)."""
        messages = self._scenes[self._shown % len(self._scenes)]
        self._shown += 1
        stamp = time.time_ns()
        for topic, publisher in self._publishers.items():
            struct.pack_into("<iI", messages[topic], 4, *divmod(stamp, NS))  # CDR of a message with a header
            data, self.sent[stamp] = bytes(messages[topic]), time.time_ns()  # the image's is the last one
            publisher.publish(data)
        return stamp

    def film(self, rate: float, seconds: float, progress: Progress = lambda share: None) -> list[Stamp]:
        """Show ``rate`` observations per second for ``seconds``; their stamps."""
        start, stamps = time.monotonic(), []
        while (now := time.monotonic()) < start + seconds:
            progress((now - start) / seconds)
            stamps.append(self.show())
            time.sleep(max(0.0, start + len(stamps) / rate - time.monotonic()))
        return stamps

    def _on_stamped(self, heard: Heard) -> Callable[[bytes, Mapping[str, int]], None]:
        def hear(data: bytes, info: Mapping[str, int]) -> None:
            seconds, nanoseconds = struct.unpack_from("<iI", data, 4)
            heard.setdefault(seconds * NS + nanoseconds, info["received_timestamp"])

        return hear

    def _on_result(self, data: bytes, info: Mapping[str, int]) -> None:
        (length,) = struct.unpack_from("<I", data, 4)  # of the text with its final 0
        result = json.loads(data[8 : 8 + length - 1])
        if result["targets"]:  # not what was said before anything was asked
            self.heard["result"].setdefault(result["stamp"], info["received_timestamp"])

    def _on_diagnostics(self, message: Any) -> None:
        self.refusal = next((each.message for each in message.status if each.level == ERROR), self.refusal)

    def _on_queries(self, data: bytes, info: Mapping[str, int]) -> None:
        self.active = self.active or info["received_timestamp"]


@contextmanager
def node(module: Sequence[str], parameters: Mapping[str, Any], log: Path, robot: Robot) -> Iterator[Running]:
    """The node started, active and listening to ``robot``, with ``parameters``; ended when the block is left."""
    with running("grounding_node", command(module, parameters), log) as process:
        robot.await_node(process)
        yield process


def command(module: Sequence[str], parameters: Mapping[str, Any]) -> list[str]:
    """How to start the node of this environment."""
    settings = [part for name, value in parameters.items() for part in ("-p", f"{name}:={json.dumps(value)}")]
    return [sys.executable, *module, "--ros-args", *settings]


def latencies(
    robot: Robot, topics: Sequence[str], stamps: Sequence[Stamp], process: Running
) -> npt.NDArray[np.float64]:
    """ms from each image in ``stamps`` to the last of its answers, of those answered on all ``topics`` (n,).

    :class:`GemError` with the log's last lines where there are none.
    """
    heard = [robot.heard[topic] for topic in topics]
    deadline = time.monotonic() + DRAIN
    while time.monotonic() < deadline and not all(stamps[-1] in answers for answers in heard):
        process.check()
        time.sleep(0.05)
    complete = [each for each in stamps if all(each in answers for answers in heard)]
    if not complete:
        raise process.failure(f"expected answers to {len(stamps)} images, got none")
    return np.array([(max(answers[each] for answers in heard) - robot.sent[each]) * 1e-6 for each in complete])


def per_second(robot: Robot, topic: str, stamps: Sequence[Stamp]) -> float:
    """Answers to ``stamps`` per second, from the first image handed over to the last answer."""
    heard = robot.heard[topic]
    times = [heard[each] for each in stamps if each in heard]
    return len(times) / (max(times) - robot.sent[stamps[0]]) * NS


def _serialized(scene: Observation) -> dict[str, bytearray]:
    """Image, depth (mm) and camera_info of an observation as CDR."""
    from rclpy.serialization import serialize_message
    from sensor_msgs.msg import CameraInfo, Image

    assert scene.depth is not None and scene.camera is not None, "the sample recording has both"
    height, width = scene.image.shape[:2]
    image = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    image.data = array.array("B", scene.image.tobytes())
    depth = Image(height=height, width=width, encoding="16UC1", step=2 * width)
    depth.data = array.array("B", np.nan_to_num(scene.depth * 1e3).astype(np.uint16).tobytes())
    camera = scene.camera
    info = CameraInfo(height=height, width=width, distortion_model="plumb_bob")
    info.k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    messages = {"image": image, "depth": depth, "camera_info": info}
    for each in messages.values():
        each.header.frame_id = FRAME
    return {topic: bytearray(serialize_message(message)) for topic, message in messages.items()}

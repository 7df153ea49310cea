"""Listens to what a running grounding node listens to, and asks it: what :mod:`gem_ros.ros.graph_doctor` judges."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import QoSCompatibility, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.signals import SignalHandlerOptions

from gem_ros.errors import GemError
from gem_ros.messages import cdr, decode
from gem_ros.ros.graph_doctor import ROLES, Camera, Sample, Snapshot, Topic
from gem_ros.ros.outputs import message_class

EAR = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
PATIENCE = 2.0  # s for an answer of the node
DISCOVERY = 5.0  # s for those who publish: on a busy machine one is seen seconds after the other
KEPT = 300  # messages of a topic
READ = 3  # of them are decoded, the newest: that takes longer than to receive them
PARAMETERS = ("use_sim_time", "target_frame", "pose_source", "sync_slop")
OTHERS = ("std_msgs/msg/String", "geometry_msgs/msg/PointStamped", "geometry_msgs/msg/PoseStamped")
RAW = "sensor_msgs/msg/Image"
CameraInputs = dict[str, tuple[str, str]]  # role -> (topic, type)


class Probe:
    """A ROS node for a short while."""

    def __init__(self, node: Any, executor: SingleThreadedExecutor) -> None:
        self._node, self._executor = node, executor
        self._statuses: dict[str, Any] = {}
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def find(self, seconds: float, wanted: str = "") -> list[str]:
        """Full names of the grounding nodes, or the ``wanted`` one; looked for until one is there."""
        self._spin(seconds, lambda: any(wanted in ("", each) for each in self._nodes()))
        return sorted(each for each in self._nodes() if wanted in ("", each))

    def look(self, node: str, seconds: float) -> Snapshot:
        """Ask ``node``, then listen for ``seconds``."""
        state = self._call(GetState, f"{node}/get_state")
        values = self._parameters(node)
        sim = bool(values.get("use_sim_time"))
        self._node.set_parameters([Parameter("use_sim_time", value=sim)])

        def known() -> list[str]:
            return [each for each in self._statuses if each.partition(": ")[0] == node]

        label = "" if state is None else state.current_state.label
        if label == "active":
            self._spin(max(seconds, PATIENCE), known)
        cameras = {name: _topics(self._statuses[name]) for name in sorted(known())} if label == "active" else {}
        inputs = {topic for each in cameras.values() for topic in each.values()}
        self._spin(DISCOVERY, lambda: all(self._node.count_publishers(topic) for topic, _ in inputs))
        with self._listening(inputs) as heard:
            tf = self._tf_listener(values) if cameras else None
            self._spin(seconds)
        topics = {
            name: {role: self._topic(node, *each, heard[each], seconds) for role, each in roles.items()}
            for name, roles in cameras.items()
        }
        return Snapshot(
            node=node,
            lifecycle=label,
            cameras=[self._camera(name, each) for name, each in topics.items()],
            others=[self._topic(node, *each) for each in self._others(node)],
            use_sim_time=sim,
            clocks=self._node.count_publishers("/clock"),
            sync_slop=float(values.get("sync_slop") or 0.05),
            target_frame=str(values.get("target_frame") or ""),
            tf=None if tf is None else tf([each["image"] for each in topics.values() if "image" in each]),
            seconds=seconds,
        )

    def _nodes(self) -> Iterator[str]:
        for name, namespace in self._node.get_node_names_and_namespaces():
            full = f"{namespace.rstrip('/')}/{name}"
            try:
                services = dict(self._node.get_service_names_and_types_by_node(name, namespace))
            except RuntimeError:  # it has just gone
                continue
            if {f"{full}/enable", f"{full}/clear"} <= services.keys():
                yield full

    def _on_diagnostics(self, message: Any) -> None:
        for status in message.status:
            self._statuses[status.name] = status

    def _spin(self, seconds: float, until: Callable[[], Any] = lambda: False) -> None:
        deadline = time.monotonic() + seconds
        while not until() and time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.05)

    def _call(self, kind: Any, service: str, **fields: Any) -> Any:
        """The answer, or None."""
        client = self._node.create_client(kind, service)
        try:
            self._spin(PATIENCE, client.service_is_ready)
            if not client.service_is_ready():
                return None
            future = client.call_async(kind.Request(**fields))
            self._spin(PATIENCE, future.done)
            return future.result() if future.done() else None
        finally:
            self._node.destroy_client(client)

    def _parameters(self, node: str) -> dict[str, Any]:
        answer = self._call(GetParameters, f"{node}/get_parameters", names=list(PARAMETERS))
        values = [] if answer is None else map(parameter_value_to_python, answer.values)
        return dict(zip(PARAMETERS, values, strict=False))

    @contextmanager
    def _listening(self, topics: set[tuple[str, str]]) -> Iterator[dict[tuple[str, str], list[tuple[int, float, Any]]]]:
        """What comes meanwhile on (topic, type): its arrival in ns of the node's clock and in steady s, the message."""
        heard: dict[tuple[str, str], list[tuple[int, float, Any]]] = {each: [] for each in topics}

        def add(message: Any, kept: list[tuple[int, float, Any]]) -> None:
            kept.append((self._node.get_clock().now().nanoseconds, time.monotonic(), message))
            del kept[:-KEPT]

        ears = [
            self._node.create_subscription(
                message_class(kind), topic, lambda message, kept=kept: add(message, kept), EAR, raw=kind == RAW
            )
            for (topic, kind), kept in heard.items()
        ]
        yield heard
        for ear in ears:
            self._node.destroy_subscription(ear)

    def _topic(self, node: str, topic: str, kind: str, heard: Any = (), seconds: float = 1.0) -> Topic:
        own = [each for each in self._node.get_subscriptions_info_by_topic(topic) if _name(each) == node]
        publishers = []
        for each in self._node.get_publishers_info_by_topic(topic):
            checks = [qos_check_compatible(each.qos_profile, ear.qos_profile) for ear in own]
            why = next((why for fits, why in checks if fits == QoSCompatibility.ERROR), "")
            publishers.append((_name(each), each.topic_type, why.replace("ERROR: ", "").strip(" ;")))
        read = len(heard) - READ
        samples = tuple(_sample(kind, now, message, index >= read) for index, (now, _, message) in enumerate(heard))
        span = heard[-1][1] - heard[0][1] if len(heard) > 1 else 0.0
        rate = (len(heard) - 1) / span if span else len(heard) / seconds
        return Topic(topic, kind, tuple(publishers), samples, rate)

    def _camera(self, name: str, topics: dict[str, Topic]) -> Camera:
        status = self._statuses[name]
        also = [each.value for each in status.values if each.key.startswith("also_")]
        return Camera(name.partition(": ")[2], topics, status.level[0], (status.message, *also))

    def _others(self, node: str) -> Iterator[tuple[str, str]]:
        """Topics of the node that no camera has: queries in words, pixels, with ``pose_source: topic`` the poses."""
        namespace, _, name = node.rpartition("/")
        for topic, kinds in self._node.get_subscriber_names_and_types_by_node(name, namespace or "/"):
            if kinds[0] in OTHERS:
                yield topic, kinds[0]

    def _tf_listener(self, values: dict[str, Any]) -> Callable[[list[Topic]], str] | None:
        """Listens to tf from now on, where the node needs it and tf2 is there; says what is missing for images."""
        target = values.get("target_frame")
        if not target or values.get("pose_source") != "tf":
            return None
        try:
            import tf2_ros
            from rclpy.time import Time
        except ImportError:
            return None
        buffer = tf2_ros.Buffer(node=self._node)
        listener = tf2_ros.TransformListener(buffer, self._node, spin_thread=False)

        def missing(images: list[Topic]) -> str:
            listener.unregister()
            for image in images:
                for sample in image.samples[len(image.samples) // 2 :][:1]:  # tf had time to come
                    try:
                        buffer.lookup_transform(target, sample.frame_id, Time(nanoseconds=sample.stamp))
                    except tf2_ros.TransformException as error:
                        return (str(error).splitlines() or ["unknown"])[0]
            return ""

        return missing


@contextmanager
def probe() -> Iterator[Probe]:
    """A node of its own context; :class:`GemError` where ROS 2 cannot start."""
    context = rclpy.Context()
    try:
        rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
        node = rclpy.create_node("gem_ros_doctor", context=context, start_parameter_services=False)
    except RuntimeError as error:
        raise GemError(f"ROS 2: expected it to start, got: {str(error).splitlines()[0]}") from error
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        yield Probe(node, executor)
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()


def _topics(status: Any) -> CameraInputs:
    """What a status of the node says it subscribes to."""
    values = {each.key: each.value for each in status.values}
    kinds = {"camera_info": "sensor_msgs/msg/CameraInfo"}
    found: CameraInputs = {}
    for role in ROLES:
        if topic := values.get(f"{role}_topic"):
            compressed = topic.endswith(("/compressed", "/compressedDepth"))
            found[role] = topic, kinds.get(role, "sensor_msgs/msg/CompressedImage" if compressed else RAW)
    return found


def _sample(kind: str, now: int, message: Any, read: bool) -> Sample:
    length, error, size, metres = len(message) if kind == RAW else 0, "", (0, 0), float("nan")
    try:
        parsed = cdr.image(message) if kind == RAW else message
    except GemError as broken:
        return Sample(now, now, "?", length=length, error=str(broken))
    stamp, encoding = decode.stamp_ns(parsed.header.stamp), str(getattr(parsed, "encoding", ""))
    if hasattr(parsed, "width"):
        size = int(parsed.width), int(parsed.height)
    if read:
        try:
            metres, size = _read(kind, parsed, encoding)
        except GemError as broken:
            error = str(broken)
    return Sample(now or stamp, stamp, parsed.header.frame_id, size, encoding, length, metres, error)


def _read(kind: str, message: Any, encoding: str) -> tuple[float, tuple[int, int]]:
    """Median of a depth image's valid metres, NaN of anything else; (width, height). :class:`GemError`."""
    if kind.endswith("CameraInfo"):
        decode.camera_info(message)
        return float("nan"), (int(message.width), int(message.height))
    if encoding in DEPTH or "compressedDepth" in getattr(message, "format", ""):
        metres = decode.depth(message) if kind == RAW else decode.compressed_depth(message)
        valid = metres[np.isfinite(metres)]
        return float(np.median(valid)) if valid.size else float("nan"), (metres.shape[1], metres.shape[0])
    picture = decode.image(message) if kind == RAW else decode.compressed_image(message)
    return float("nan"), (picture.shape[1], picture.shape[0])


DEPTH = ("16UC1", "mono16", "32FC1")


def _name(end: Any) -> str:
    return f"{end.node_namespace.rstrip('/')}/{end.node_name}"

"""A recording played to real topics at its own pace, as its bytes: nothing is decoded on the way."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gem_ros.errors import BagError
from gem_ros.replay import bag
from gem_ros.replay.bag import NS, Record

if TYPE_CHECKING:
    from rclpy.node import Node
    from rclpy.publisher import Publisher

CLOCK_STEP = 0.01  # s of wall time between two /clock messages
SETTLE = 1.0  # s without a new subscription before playing: a node's subscriptions are found one by one
DEPTH = 5  # messages a slow reliable subscriber may lag; best-effort ones match a reliable publisher too


@dataclass(frozen=True)
class Playback:
    """What to play and how.

    ``rate`` 2.0 is twice as fast; ``loop`` starts over for ever; ``clock`` publishes ``/clock`` from
    the recording's time; ``restamp`` moves header stamps to now, keeping equal stamps equal;
    ``remaps`` renames topics; ``wait`` is the longest time in s to wait for ``listeners`` subscribers of
    ``wait_topic`` (recorded name; None: of any topic), 0 for not at all.
    """

    path: Path
    rate: float = 1.0
    loop: bool = False
    clock: bool = False
    restamp: bool = False
    remaps: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    wait_topic: str | None = None
    listeners: int = 1

    def __post_init__(self) -> None:
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise BagError(f"rate: expected a number above 0, got {self.rate:g}")
        if self.listeners < 1:
            raise BagError(f"listeners: expected at least 1, got {self.listeners}")


def parse_remaps(texts: list[str]) -> dict[str, str]:
    """``["/camera/image:=/image"]`` -> ``{"/camera/image": "/image"}``."""
    remaps = dict(text.partition(":=")[::2] for text in texts)
    bad = [text for text in texts if not all(text.partition(":=")[::2])]
    if bad:
        raise BagError(f"remap: expected recorded:=new, got {bad[0]!r}")
    return remaps


def play(playback: Playback, progress: Callable[[float], None] = lambda share: None) -> int:
    """Play until the end (or until interrupted) and return how many messages were published.

    ``progress`` is told the share of the recording played, in [0, 1]. :class:`BagError` where the
    recording cannot be read, none of its types is installed here, or nobody subscribes within ``wait``.
    """
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    # A context of its own: without our arguments, for rcl would read its own into them, and without rclpy's
    # signal handlers, so that Ctrl-C arrives as KeyboardInterrupt, between messages.
    context = rclpy.Context()
    rclpy.init(args=[], context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("gem_ros_player", context=context, start_parameter_services=False)
    try:
        publishers = _publishers(node, playback)
        clock = _clock(node) if playback.clock else None
        _await_subscriber(publishers, playback)
        count = _play_once(playback, publishers, clock, progress)
        while playback.loop:
            count += _play_once(playback, publishers, clock, progress)
        _await_delivery(publishers.values())
        return count
    finally:
        node.destroy_node()
        context.try_shutdown()


def _publishers(node: Node, playback: Playback) -> dict[str, Publisher]:
    from rclpy.qos import DurabilityPolicy, QoSProfile

    types, latched = bag.topics(playback.path), bag.latched(playback.path)
    unknown = sorted(set(playback.remaps) - set(types))
    if unknown:
        raise BagError(f"remap: expected a topic of the recording ({', '.join(sorted(types))}), got {unknown[0]}")
    publishers, missing = {}, []
    for topic, kind in types.items():
        durability = DurabilityPolicy.TRANSIENT_LOCAL if topic in latched else DurabilityPolicy.VOLATILE
        try:
            message_type = _message_type(kind)
        except (ImportError, AttributeError):
            missing.append(f"{topic} ({kind})")
            continue
        profile = QoSProfile(depth=DEPTH, durability=durability)
        publishers[topic] = node.create_publisher(message_type, playback.remaps.get(topic, topic), profile)
    if not publishers:
        raise BagError(f"{playback.path}: expected topics of types installed here, got {', '.join(missing) or 'none'}")
    if missing:
        node.get_logger().warning(f"not played, because their types are not installed: {', '.join(missing)}")
    return publishers


def _message_type(kind: str) -> type:
    package, _, name = kind.partition("/msg/")
    found: type = getattr(importlib.import_module(f"{package}.msg"), name)
    return found


def _clock(node: Node) -> Callable[[int], None]:
    from builtin_interfaces.msg import Time
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from rosgraph_msgs.msg import Clock

    publisher = node.create_publisher(Clock, "/clock", QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE))

    def publish(now: int) -> None:
        seconds, nanoseconds = divmod(now, NS)
        publisher.publish(Clock(clock=Time(sec=seconds, nanosec=nanoseconds)))

    return publish


def _await_subscriber(publishers: Mapping[str, Publisher], playback: Playback) -> None:
    """Wait until all listen who are waited for, so that the first images are not played into the void."""
    watched = [publishers[playback.wait_topic]] if playback.wait_topic else list(publishers.values())
    deadline = time.monotonic() + playback.wait
    while playback.wait > 0 and (found := max(map(_listeners, watched))) < playback.listeners:
        if time.monotonic() > deadline:
            names = ", ".join(each.topic_name for each in watched)
            expected = "a subscriber" if playback.listeners == 1 else f"{playback.listeners} subscribers"
            raise BagError(f"play: expected {expected} of {names} within {playback.wait:g} s, got {found or 'none'}")
        time.sleep(0.02)
    counts, since = [-1], time.monotonic()
    while playback.wait > 0 and time.monotonic() < since + SETTLE:
        now = list(map(_listeners, publishers.values()))
        counts, since = now, time.monotonic() if now != counts else since
        time.sleep(0.02)


def _listeners(publisher: Publisher) -> int:
    return int(publisher.get_subscription_count())


def _play_once(
    playback: Playback,
    publishers: Mapping[str, Publisher],
    clock: Callable[[int], None] | None,
    progress: Callable[[float], None],
) -> int:
    first, last = bag.time_range(playback.path)
    start, start_wall = time.monotonic(), time.time_ns()
    count = 0
    for record in bag.messages(playback.path, publishers.keys()):
        due = start + (record.time - first) / 1e9 / playback.rate
        for now in _until(due):
            if clock:
                clock(first + int((now - start) * 1e9 * playback.rate))
        data = record.data
        if playback.restamp:
            data = _restamped(record, lambda stamp: start_wall + int((stamp - first) / playback.rate))
        publishers[record.topic].publish(data)
        count += 1
        progress((record.time - first) / max(last - first, 1))
    return count


def _until(due: float) -> Iterator[float]:
    """Steps of wall time up to ``due``; a late message is played at once, and the next is on time again."""
    now = time.monotonic()
    yield now
    while now < due:
        time.sleep(min(CLOCK_STEP, due - now))
        now = time.monotonic()
        yield now


def _restamped(record: Record, move: Callable[[int], int]) -> bytes:
    if record.has_header:
        return record.with_stamp(move(record.stamp))
    if record.type != "tf2_msgs/msg/TFMessage":
        return record.data
    message: Any = record.decode()
    for transform in message.transforms:
        stamp = transform.header.stamp
        stamp.sec, stamp.nanosec = divmod(move(stamp.sec * NS + stamp.nanosec), NS)
    return bytes(record.types.serialize_cdr(message, record.type))


def _await_delivery(publishers: Any) -> None:
    """Reliable subscribers get the last messages before the publishers go."""
    from rclpy.duration import Duration

    for publisher in publishers:
        publisher.wait_for_all_acked(Duration(seconds=0.5))

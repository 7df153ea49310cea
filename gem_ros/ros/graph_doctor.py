"""What is wrong around a running grounding node, and how to mend it: pure rules over what
:mod:`gem_ros.ros.graph_probe` saw.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "problem"]
FUTURE, OLD = 0.5, 2.0  # s that stamps may be ahead of the clock, and behind it
DAY = 86400.0  # s
LARGE = 400_000  # bytes; with what goes around it, Fast DDS's segment of 512 KiB holds no more
LOST = 0.5  # share of camera_info's rate below which images are lost on the way
NEAR = 0.1  # m; depth whose median is less was taken for another unit
ROLES = ("image", "depth", "camera_info")


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and the way to mend it (empty: nothing to mend).

    A ``note`` is something that only some need; a ``problem`` is in everybody's way.
    """

    name: str
    state: State
    found: str
    fix: str = ""


@dataclass(frozen=True)
class Sample:
    """One message: when it came and its stamp, ns of the node's kind of clock; what it says of itself.

    ``metres``: median of valid depth, NaN where there is none; ``error``: why it cannot be read.
    """

    arrival: int
    stamp: int
    frame_id: str = ""
    size: tuple[int, int] = (0, 0)  # (width, height)
    encoding: str = ""
    length: int = 0  # bytes
    metres: float = math.nan
    error: str = ""


@dataclass(frozen=True)
class Topic:
    """A topic that the node subscribes to; ``publishers`` are (node, type, why its quality of service does not fit)."""

    name: str
    type: str
    publishers: tuple[tuple[str, str, str], ...] = ()
    samples: tuple[Sample, ...] = ()
    rate: float = 0.0  # Hz


@dataclass(frozen=True)
class Camera:
    """One camera's topics by role, and what the node says of it in /diagnostics: level (0 to 3) and messages."""

    name: str
    topics: Mapping[str, Topic]
    level: int = 0
    messages: Sequence[str] = ()


@dataclass(frozen=True)
class Snapshot:
    """A grounding node and what is around it. ``lifecycle``: its state, empty where it did not answer.

    ``others``: topics without a camera's message, like query; ``tf``: why the last image's frame is not known in
    ``target_frame`` at its stamp (empty: it is, None: not looked at).
    """

    node: str
    lifecycle: str = "active"
    cameras: Sequence[Camera] = ()
    others: Sequence[Topic] = ()
    use_sim_time: bool = False
    clocks: int = 0  # publishers of /clock
    sync_slop: float = 0.05
    target_frame: str = ""
    tf: str | None = None
    seconds: float = 3.0  # that were listened


def examine(snapshot: Snapshot) -> Iterator[Finding]:
    """Everything that can be said, from the node to the topics."""
    yield from _lifecycle(snapshot)
    yield from _clock(snapshot)
    for topic in snapshot.others:
        yield from _misfits(topic)
    for camera in snapshot.cameras:
        yield from _camera(snapshot, camera)
    yield from _tf(snapshot)


def _lifecycle(snapshot: Snapshot) -> Iterator[Finding]:
    node, state = snapshot.node, snapshot.lifecycle
    wanted = {"unconfigured": "configure", "inactive": "activate"}.get(state)
    if not state:
        fix = "restart it; it may be loading the model, then wait"
        yield Finding(node, "problem", "does not answer the service get_state", fix)
    elif state != "active":
        fix = f"ros2 lifecycle set {node} {wanted}; its log says why it is not" if wanted else "restart it"
        yield Finding(node, "problem", f"is {state}, not active", fix)
    elif not snapshot.cameras:
        yield Finding(node, "problem", f"is active, but without /diagnostics for {snapshot.seconds:g} s", "restart it")
    else:
        yield Finding(node, "ok", "active")


def _clock(snapshot: Snapshot) -> Iterator[Finding]:
    if snapshot.use_sim_time and not snapshot.clocks:
        fix = "publish it (gem-ros play --clock, ros2 bag play --clock, the simulator), or set use_sim_time to false"
        yield Finding("/clock", "problem", f"{snapshot.node} has use_sim_time, and nobody publishes the time", fix)
    elif snapshot.clocks and not snapshot.use_sim_time:
        fix = f"ros2 param set {snapshot.node} use_sim_time true"
        yield Finding("/clock", "problem", f"is published, and {snapshot.node} does not use it", fix)
    elif snapshot.clocks > 1:
        yield Finding("/clock", "problem", f"{snapshot.clocks} nodes publish it", "end all but one")


def _camera(snapshot: Snapshot, camera: Camera) -> Iterator[Finding]:
    image = camera.topics.get("image")
    found: list[Finding] = []
    for role in ROLES:
        topic = camera.topics.get(role)
        if topic is None:
            continue
        said = [*_nobody(topic, role), *_misfits(topic), *_arrival(topic, camera.topics.get("camera_info"))]
        said += [*_stamps(topic), *_contents(topic, role)]
        if image is not None and role != "image":
            said += _fit(image, topic, role, snapshot.sync_slop)
        if topic.samples and not any(each.state == "problem" for each in said):
            said.append(Finding(topic.name, "ok", _described(topic)))
        found += said
    yield from _told(snapshot, camera, {each.name for each in found if each.state == "problem"})
    yield from found


def _told(snapshot: Snapshot, camera: Camera, known: set[str]) -> Iterator[Finding]:
    """What the node says itself, without what is ``known`` of a topic better."""
    name = snapshot.node + (f": {camera.name}" if camera.name else "")
    for message in camera.messages:
        if camera.level == 0:
            yield Finding(name, "ok", f"says: {message}")
        elif not any(topic in message for topic in known):
            found, _, fix = message.rpartition("; ")
            yield Finding(name, "problem", f"says: {found or message}", fix if found else "")


def _nobody(topic: Topic, role: str) -> Iterator[Finding]:
    if topic.publishers:
        return
    fix = "start its driver, or remap it to the topic that is there (ros2 topic list)"
    if role == "image":
        yield Finding(topic.name, "problem", f"nobody publishes {topic.type}", fix)
    else:
        yield Finding(topic.name, "note", f"nobody publishes {topic.type}: no 3D", f"where 3D is wanted: {fix}")


def _misfits(topic: Topic) -> Iterator[Finding]:
    for node, kind, mismatch in topic.publishers:
        if kind != topic.type:
            found = f"{node} publishes {kind}, {topic.type} is expected"
            yield Finding(topic.name, "problem", found, "remap to a topic of that type, or set the transport parameter")
        elif mismatch:
            found = f"{node} cannot be heard ({mismatch})"
            yield Finding(topic.name, "problem", found, "change its quality of service there")


def _arrival(topic: Topic, info: Topic | None) -> Iterator[Finding]:
    """Whether what is sent arrives; a camera_info that does shows that its images are lost on the way."""
    fitting = [node for node, kind, mismatch in topic.publishers if kind == topic.type and not mismatch]
    if not fitting:
        return
    small = info is not None and info is not topic and bool(info.samples)
    large = max((each.length for each in topic.samples), default=LARGE) >= LARGE
    profile = (
        f"start {fitting[0]} with FASTDDS_DEFAULT_PROFILES_FILE (Jazzy and before: FASTRTPS_...) set to gem_ros's "
        "config/fastdds.xml: its shared-memory segment is too small for images"
    )
    if not topic.samples:
        fix = profile if small else f"see that {fitting[0]} sends, and that a firewall or another RMW is not between"
        also = ", though camera_info does" if small else ""
        yield Finding(topic.name, "problem", f"{fitting[0]} publishes it and nothing arrives{also}", fix)
    elif small and info is not None and large and topic.rate < LOST * info.rate:
        found = f"arrives at {topic.rate:.1f} Hz, its camera_info at {info.rate:.1f} Hz"
        yield Finding(topic.name, "problem", found, profile)


def _stamps(topic: Topic) -> Iterator[Finding]:
    if not topic.samples:
        return
    if any(each.stamp <= 0 for each in topic.samples):
        fix = "set the stamp in its driver: depth, pose and tf are found by it"
        yield Finding(topic.name, "problem", "comes without stamps (0)", fix)
        return
    behind = statistics.median((each.arrival - each.stamp) / 1e9 for each in topic.samples)
    if behind < -FUTURE:
        fix = "synchronise the clocks (chrony), or set use_sim_time alike on both sides"
        yield Finding(topic.name, "problem", f"is stamped {-behind:.1f} s in the future", fix)
    elif behind > OLD:
        fix = "a recording: play it with --clock and use_sim_time, or --restamp; a robot: synchronise the clocks"
        ago = f"{behind:.1f} s" if behind < DAY else f"{behind / DAY:.0f} days"
        yield Finding(topic.name, "note", f"is stamped {ago} ago", fix)
    pairs = zip(topic.samples, topic.samples[1:], strict=False)
    if any(second.stamp < first.stamp for first, second in pairs):
        fix = "is it published by two nodes, or a recording that began anew? else look at its driver's clock"
        yield Finding(topic.name, "problem", "has stamps that go back", fix)


def _contents(topic: Topic, role: str) -> Iterator[Finding]:
    if not topic.samples:
        return
    last = topic.samples[-1]
    if last.error:
        found, _, fix = last.error.rpartition("; ")
        yield Finding(topic.name, "problem", f"cannot be read: {found or last.error}", fix)
    if not last.frame_id:
        fix = "set frame_id to the camera's optical frame in its driver"
        yield Finding(topic.name, "problem" if role == "image" else "note", "comes without a frame_id", fix)
    sizes = sorted({"{}x{}".format(*each.size) for each in topic.samples if 0 not in each.size})
    if len(sizes) > 1:
        fix = "is it published by two nodes?"
        yield Finding(topic.name, "problem", f"changes its size ({', '.join(sizes)})", fix)
    if role != "depth" or last.error:
        return
    if math.isnan(last.metres):
        yield Finding(topic.name, "problem", "has no valid depth at all", "look at the sensor: covered, too near, off?")
    elif last.metres < NEAR:
        unit = "16UC1 is millimetres: does it send metres?" if last.encoding != "32FC1" else "32FC1 is metres"
        yield Finding(topic.name, "problem", f"is {last.metres:.3f} m away in the median", f"check its unit: {unit}")
    elif last.metres > 100:
        fix = "check its unit: 32FC1 is metres, does it send millimetres? Then convert it, or publish 16UC1"
        yield Finding(topic.name, "problem", f"is {last.metres:.0f} m away in the median", fix)


def _fit(image: Topic, topic: Topic, role: str, slop: float) -> Iterator[Finding]:
    """Whether depth or camera_info belong to the image: frame, size and stamps."""
    if not image.samples or not topic.samples:
        return
    ours, theirs = image.samples[-1], topic.samples[-1]
    if ours.frame_id and theirs.frame_id and ours.frame_id != theirs.frame_id:
        fix = "subscribe the depth that is registered to the image (aligned_depth_to_color, depth_registered)"
        fix = fix if role == "depth" else "subscribe the camera_info of this camera"
        yield Finding(topic.name, "problem", f"is in frame {theirs.frame_id!r}, the image in {ours.frame_id!r}", fix)
    if 0 not in (*ours.size, *theirs.size) and not _same_aspect(ours.size, theirs.size):
        sizes = "{}x{}, the image {}x{}".format(*theirs.size, *ours.size)
        fix = "subscribe the depth that is registered to it" if role == "depth" else "subscribe its own camera_info"
        yield Finding(topic.name, "problem", f"is {sizes}", fix)
    if any(each.stamp <= 0 for each in (*image.samples, *topic.samples)):
        return
    stamps = [each.stamp for each in topic.samples]
    within = [each for each in image.samples if stamps[0] <= each.stamp <= stamps[-1]] or image.samples
    away = statistics.median(min(abs(each.stamp - stamp) for stamp in stamps) for each in within) / 1e9
    if away > slop:
        fix = f"synchronise the two, or raise sync_slop ({slop:g} s)"
        yield Finding(topic.name, "problem", f"has no stamp nearer than {away:.3f} s to the image's", fix)


def _tf(snapshot: Snapshot) -> Iterator[Finding]:
    if snapshot.tf is None:
        return
    if snapshot.tf:
        fix = f"publish the chain of frames to {snapshot.target_frame!r} (ros2 run tf2_tools view_frames shows it)"
        yield Finding("/tf", "problem", snapshot.tf, fix)
    else:
        yield Finding("/tf", "ok", f"the image's frame is known in {snapshot.target_frame!r} at its stamp")


def _same_aspect(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return abs(a[0] * b[1] - b[0] * a[1]) <= max(*a, *b)


def _described(topic: Topic) -> str:
    last = topic.samples[-1]
    size = "" if 0 in last.size else "{}x{}".format(*last.size)
    parts = [f"{topic.rate:.1f} Hz", size, last.encoding, f"frame {last.frame_id!r}"]
    depth = "" if math.isnan(last.metres) else f"median {last.metres:.2f} m"
    return ", ".join(each for each in (*parts, depth) if each)

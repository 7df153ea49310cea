"""From a recording's messages to Observations: which stamps belong together, and what is missing."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.data import CameraIntrinsics, Observation, Pose, Reason
from gem_ros.errors import BagError, DecodeError, GemError, GeometryError
from gem_ros.geometry.frames import pose_at
from gem_ros.messages import decode
from gem_ros.replay import bag
from gem_ros.replay.bag import Record
from gem_ros.replay.storage import Tell
from gem_ros.replay.tf import TransformBuffer
from gem_ros.replay.topics import IMAGE, POSE, TF, CameraTopics, camera_topics, find_topics, node_inputs

__all__ = ["IMAGE", "CameraTopics", "camera_topics", "find_topics", "node_inputs", "read_observations", "world_frame"]

SLOP = 0.05  # s, as the parameter sync_slop
LOOK_AHEAD = 1_000_000_000  # ns of arrival in which an image's partners are expected
KEEP = 3 * LOOK_AHEAD
FIRST_IMAGES = 50  # in which a recording with tf is expected to say where the camera is


def read_observations(
    path: Path | str,
    topics: CameraTopics | None = None,
    slop: float = SLOP,
    *,
    target_frame: str = "",
    problems: Tell | None = None,
) -> Iterator[Observation]:
    """Every image of a recording with depth, camera_info and pose of the same moment (within ``slop`` s).

    ``topics`` are found (:func:`camera_topics`) where not given. A missing partner leaves its field empty; of depth
    and camera ``missing`` says so. The pose is interpolated between the recorded ones around the image, those that
    are no pose left out; from tf it is in ``target_frame``, by default the root of the camera's tree as it is known
    a second after the first image that has one. No more than the messages of a few seconds is kept in memory.

    Raises :class:`BagError` for what cannot be read and :class:`~gem_ros.errors.DecodeError` for a picture that is
    none. With ``problems`` these are left out instead, and ``problems`` gets one line for each kind of thing, at the
    end: how many, when first, why.
    """
    problems = cache(problems) if problems else None  # a recording is opened several times, its damage said once
    chosen = topics or camera_topics(path, problems=problems)
    _check(Path(path), chosen, bag.topics(path, problems))
    findings = Findings(problems)
    partners = _Partners(chosen, slop, findings, target_frame=target_frame)
    for record in bag.messages(path, set(_static(chosen)), problems) if chosen.tf else ():
        partners.add(record)  # those that were latched before the recording began may come at any time
    waiting: deque[Record] = deque()
    wanted = {each for each in (chosen.image, chosen.depth, chosen.camera_info, chosen.pose, *chosen.tf) if each}
    try:
        for record in bag.messages(path, wanted - set(_static(chosen)), problems):
            while waiting and record.time > waiting[0].time + LOOK_AHEAD:
                yield from partners.observation(waiting.popleft())
            if record.topic == chosen.image:
                waiting.append(record)
            else:
                partners.add(record)
        for image in waiting:
            yield from partners.observation(image)
    finally:
        findings.tell()


def world_frame(path: Path | str, topics: CameraTopics, slop: float = SLOP) -> str:
    """The frame that the camera's poses are in, of the first images where it is from tf; empty without any."""
    if topics.pose:
        return next((record.frame_id for record in bag.messages(path, {topics.pose}, _said_elsewhere)), "")
    first = islice(read_observations(path, topics, slop, problems=_said_elsewhere), FIRST_IMAGES) if topics.tf else ()
    return next((each.pose.frame_id for each in first if each.pose is not None), "")


def _said_elsewhere(line: str) -> None:
    """What is wrong with the recording itself is said where its messages are read."""


def _check(path: Path, chosen: CameraTopics, types: dict[str, str]) -> None:
    if chosen.image not in types:
        raise BagError(f"{path}: expected an image topic {chosen.image}, got {', '.join(sorted(types))}")
    for topic, kind in ((chosen.pose, POSE), *((each, TF) for each in chosen.tf)):
        if topic and types.get(topic, kind) != kind:
            raise BagError(f"{path}: expected {topic} of type {kind}, got {types[topic]}")


def _static(topics: CameraTopics) -> list[str]:
    return [each for each in topics.tf if each.endswith("static")]


@dataclass
class Findings:
    """What was left out while reading, counted by kind; without ``listener`` it is an error instead."""

    listener: Tell | None
    counts: dict[str, int] = field(default_factory=dict)
    firsts: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, stamp: int, error: GemError) -> None:
        """One more of ``kind``, with the stamp (ns) of its message."""
        if self.listener is None:
            raise error
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.firsts.setdefault(kind, f"the first at {stamp}: {error}")

    def tell(self) -> None:
        """A line for each kind."""
        if self.listener:
            for kind, count in self.counts.items():
                self.listener(f"{kind}: {count}, {self.firsts[kind]}")


@dataclass
class _Partners:
    """The latest depth, camera_info and pose messages, looked up by stamp within ``slop`` s."""

    topics: CameraTopics
    slop: float
    findings: Findings
    target_frame: str = ""
    kept: dict[str, deque[tuple[int, int, Record]]] = field(default_factory=dict)  # after arrival and stamp, ns
    poses: deque[tuple[int, int, Pose]] = field(default_factory=deque)  # after the same
    transforms: TransformBuffer = field(default_factory=TransformBuffer)

    def add(self, record: Record) -> None:
        if record.topic in self.topics.tf:
            message = self._decoded("tf messages left out", record, record.time, Record.decode)
            if message is not None:
                self.transforms.add(message, record.time, static=record.topic in _static(self.topics))
            return
        stamp = self._decoded("messages left out", record, record.time, _stamp)
        if record.topic == self.topics.pose:
            with contextlib.suppress(DecodeError):  # of a localiser that does not know yet where it is
                message = self._decoded("poses left out", record, record.time, Record.decode)
                self._keep(self.poses, record.time, stamp, decode.pose(message) if message else None)
        else:
            self._keep(self.kept.setdefault(record.topic, deque()), record.time, stamp, record)

    def _keep(self, kept: deque[tuple[int, int, Any]], time: int, stamp: int | None, value: Any) -> None:
        if stamp is not None and value is not None:
            kept.append((time, stamp, value))
        while kept and kept[0][0] < time - KEEP:
            kept.popleft()

    def nearest(self, topic: str | None, stamp: int) -> Record | None:
        found = min(self.kept.get(topic or "", ()), key=lambda each: abs(each[1] - stamp), default=None)
        return found[2] if found is not None and abs(found[1] - stamp) <= self.slop * 1e9 else None

    def observation(self, image: Record) -> Iterator[Observation]:
        """The image with its partners; nothing where it is none."""
        decoded = self._decoded("images left out", image, image.time, _image)
        if decoded is None:
            return
        rgb, stamp, frame_id = decoded
        depth, info = (self.nearest(topic, stamp) for topic in (self.topics.depth, self.topics.camera_info))
        metres = self._decoded("depth images left out", depth, stamp, _depth)
        rectified = decode.is_rectified(image.topic)
        camera = self._decoded(
            "camera_info left out", info, stamp, lambda record: decode.camera_info(record.decode(), rectified)
        )
        missing = _missing(rgb.shape[:2], metres, camera)
        yield Observation(rgb, stamp, frame_id, metres, camera, missing, self.pose(stamp, frame_id))

    def _decoded(self, kind: str, record: Record | None, stamp: int, decoder: Callable[[Record], Any]) -> Any:
        if record is None:
            return None
        try:
            return decoder(record)
        except (BagError, DecodeError) as error:
            self.findings.add(kind, stamp, error)
            return None

    def pose(self, stamp: int, frame_id: str) -> Pose | None:
        """Where the camera was, or None; why is told, and no error: an image without a pose is one, too."""
        try:
            return self._from_tf(stamp, frame_id) if self.topics.tf else self._from_topic(stamp)
        except GeometryError as error:
            if self.findings.listener:
                self.findings.add("images without a pose", stamp, error)
            return None

    def _from_tf(self, stamp: int, frame_id: str) -> Pose | None:
        target = self.target_frame = self.target_frame or self.transforms.root(frame_id) or ""
        if not target:
            raise GeometryError(f"tf: expected transforms of the camera's frame {frame_id}, got none so far")
        return Pose(target, self.transforms.lookup(target, frame_id, stamp))

    def _from_topic(self, stamp: int) -> Pose | None:
        """Interpolated between those in the frame of the nearest one."""
        ordered = sorted(((each, pose) for _, each, pose in self.poses), key=lambda each: each[0])
        if not self.topics.pose:
            return None
        frame_id = min(ordered, key=lambda each: abs(each[0] - stamp))[1].frame_id if ordered else ""
        ordered = [each for each in ordered if each[1].frame_id == frame_id]
        stamps, matrices = [each for each, _ in ordered], [pose.matrix for _, pose in ordered]
        return Pose(frame_id, pose_at(stamp, stamps, matrices, self.slop))


def _stamp(record: Record) -> int:
    return record.stamp


def _image(record: Record) -> tuple[npt.NDArray[np.uint8], int, str]:
    message = record.decode()
    rgb = decode.image(message) if record.type == IMAGE else decode.compressed_image(message)
    return rgb, decode.stamp_ns(message.header.stamp), str(message.header.frame_id)


def _depth(record: Record) -> npt.NDArray[np.float32]:
    message = record.decode()
    return decode.depth(message) if record.type == IMAGE else decode.compressed_depth(message)


def _missing(
    size: tuple[int, ...], depth: npt.NDArray[np.float32] | None, camera: CameraIntrinsics | None
) -> Reason | None:
    """Why there can be no 3D for an image of ``size`` (H, W); depth of another size may have its aspect."""
    if depth is None:
        return "no_depth_message"
    if camera is None:
        return "no_camera_info"
    (rows, columns), (height, width) = depth.shape, size
    same_aspect = rows * width == columns * height  # as geometry.registration has it
    return None if same_aspect and (camera.height, camera.width) == size else "misaligned"

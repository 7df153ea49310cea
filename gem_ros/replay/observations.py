"""From a recording's messages to Observations: which topics belong together, which stamps do."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gem_ros.data import CameraIntrinsics, Observation, Pose, Reason
from gem_ros.errors import BagError, DecodeError, GeometryError
from gem_ros.geometry.frames import pose_at
from gem_ros.messages import decode
from gem_ros.replay import bag
from gem_ros.replay.bag import Record

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POSE = "geometry_msgs/msg/PoseStamped"
SLOP = 0.05  # s, as the parameter sync_slop
LOOK_AHEAD = 1_000_000_000  # ns of arrival in which an image's partners are expected


@dataclass(frozen=True)
class CameraTopics:
    """The topics of one RGB-D camera; None where the recording has none."""

    image: str
    depth: str | None = None
    camera_info: str | None = None
    pose: str | None = None


def find_topics(types: Mapping[str, str]) -> CameraTopics:
    """Choose a camera's topics among ``types`` (topic -> type), by type and by name.

    Raw before compressed, colour before anything else, depth that says it is aligned before depth
    that does not, the camera_info and pose nearest in name. :class:`BagError` where there is no
    colour image.
    """
    pictures = sorted(topic for topic, kind in types.items() if kind in (IMAGE, COMPRESSED))
    depths = [topic for topic in pictures if "depth" in topic.lower()]
    images = [topic for topic in pictures if topic not in depths]
    if not images:
        known = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(types.items())) or "none"
        raise BagError(f"recording: expected a colour image topic, got topics: {known}; name one")

    def best(candidates: list[str], words: tuple[str, ...]) -> str | None:
        def rank(topic: str) -> tuple[bool, bool]:
            return not any(word in topic.lower() for word in words), types[topic] != IMAGE

        return min(candidates, key=rank, default=None)

    image = best(images, ("color", "colour", "rgb")) or images[0]
    return CameraTopics(
        image=image,
        depth=best(depths, ("align", "regist")),
        camera_info=_nearest(image, types, CAMERA_INFO),
        pose=_nearest(image, types, POSE),
    )


def node_inputs(topics: CameraTopics, types: Mapping[str, str]) -> dict[str, str]:
    """Recorded topic -> the name under which the grounding node listens to it (the contract's names)."""
    names = {topics.camera_info: "/camera_info", topics.pose: "/camera_pose"}
    names[topics.image] = "/image" if types[topics.image] == IMAGE else "/image/compressed"
    if topics.depth:
        names[topics.depth] = "/depth" if types[topics.depth] == IMAGE else "/depth/compressedDepth"
    return {recorded: played for recorded, played in names.items() if recorded}


def _nearest(topic: str, types: Mapping[str, str], kind: str) -> str | None:
    """The topic of ``kind`` that shares the longest beginning with ``topic``."""
    candidates = sorted(each for each, found in types.items() if found == kind)
    return max(candidates, key=lambda each: len(os.path.commonpath([each, topic])), default=None)


def read_observations(
    path: Path | str, topics: CameraTopics | None = None, slop: float = SLOP
) -> Iterator[Observation]:
    """Every image of a recording with depth, camera_info and pose of the same moment (within ``slop`` s).

    ``topics`` are found by type where not given. A missing partner leaves its field empty; of depth and
    camera ``missing`` says so. The pose is interpolated between the recorded ones around the image, those
    that are no pose left out. Raises :class:`BagError` for what cannot be read and
    :class:`~gem_ros.errors.DecodeError` for a picture that is none.
    """
    types = bag.topics(path)
    chosen = topics or find_topics(types)
    if chosen.image not in types:
        raise BagError(f"{path}: expected an image topic {chosen.image}, got {', '.join(sorted(types))}")
    if chosen.pose and types.get(chosen.pose, POSE) != POSE:
        raise BagError(f"{path}: expected {chosen.pose} of type {POSE}, got {types[chosen.pose]}")
    partners = _Partners(chosen, slop)
    waiting: deque[Record] = deque()
    wanted = {each for each in (chosen.image, chosen.depth, chosen.camera_info, chosen.pose) if each}
    for record in bag.messages(path, wanted):
        while waiting and record.time > waiting[0].time + LOOK_AHEAD:
            yield partners.observation(waiting.popleft())
        if record.topic == chosen.image:
            waiting.append(record)
        else:
            partners.add(record)
    for image in waiting:
        yield partners.observation(image)


@dataclass
class _Partners:
    """The latest depth, camera_info and pose messages, looked up by stamp within ``slop`` s."""

    topics: CameraTopics
    slop: float
    kept: dict[str, deque[Record]] = field(default_factory=dict)
    poses: deque[tuple[int, int, Pose]] = field(default_factory=deque)  # with arrival and stamp, ns

    def add(self, record: Record) -> None:
        oldest = record.time - 3 * LOOK_AHEAD
        if record.topic == self.topics.pose:
            with contextlib.suppress(DecodeError):  # of a localiser that does not know yet where it is
                self.poses.append((record.time, record.stamp, decode.pose(record.decode())))
            while self.poses and self.poses[0][0] < oldest:
                self.poses.popleft()
            return
        records = self.kept.setdefault(record.topic, deque())
        records.append(record)
        while records[0].time < oldest:
            records.popleft()

    def nearest(self, topic: str | None, stamp: int) -> Record | None:
        records = self.kept.get(topic or "", deque())
        found = min(records, key=lambda record: abs(record.stamp - stamp), default=None)
        return found if found is not None and abs(found.stamp - stamp) <= self.slop * 1e9 else None

    def pose(self, stamp: int) -> Pose | None:
        """Interpolated between those in the frame of the nearest one."""
        ordered = sorted(((each, pose) for _, each, pose in self.poses), key=lambda each: each[0])
        if not ordered:
            return None
        frame_id = min(ordered, key=lambda each: abs(each[0] - stamp))[1].frame_id
        ordered = [each for each in ordered if each[1].frame_id == frame_id]
        stamps, matrices = [each for each, _ in ordered], [pose.matrix for _, pose in ordered]
        try:
            return Pose(frame_id, pose_at(stamp, stamps, matrices, self.slop))
        except GeometryError:
            return None

    def observation(self, image: Record) -> Observation:
        message = image.decode()
        rgb = decode.image(message) if image.type == IMAGE else decode.compressed_image(message)
        depth, info = (self.nearest(topic, image.stamp) for topic in (self.topics.depth, self.topics.camera_info))
        metres = _depth(depth) if depth else None
        camera = decode.camera_info(info.decode(), decode.is_rectified(image.topic)) if info else None
        missing = _missing(rgb.shape[:2], metres, camera)
        return Observation(rgb, image.stamp, message.header.frame_id, metres, camera, missing, self.pose(image.stamp))


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

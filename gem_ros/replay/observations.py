"""From a recording's messages to Observations: which topics belong together, which stamps do."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gem_ros.data import CameraIntrinsics, Observation, Reason
from gem_ros.errors import BagError
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
    """Every image of a recording with depth and camera_info of the same moment (within ``slop`` s).

    ``topics`` are found by type where not given. A missing partner leaves its field empty and says so
    in ``missing``. Raises :class:`BagError` for what cannot be read and
    :class:`~gem_ros.errors.DecodeError` for a picture that is none.
    """
    types = bag.topics(path)
    chosen = topics or find_topics(types)
    if chosen.image not in types:
        raise BagError(f"{path}: expected an image topic {chosen.image}, got {', '.join(sorted(types))}")
    partners = _Partners(chosen, int(slop * 1e9))
    waiting: deque[Record] = deque()
    wanted = {each for each in (chosen.image, chosen.depth, chosen.camera_info) if each}
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
    """The latest depth and camera_info messages, looked up by stamp."""

    topics: CameraTopics
    slop: int
    kept: dict[str, deque[Record]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        records = self.kept.setdefault(record.topic, deque())
        records.append(record)
        while records[0].time < record.time - 3 * LOOK_AHEAD:
            records.popleft()

    def nearest(self, topic: str | None, stamp: int) -> Record | None:
        records = self.kept.get(topic or "", deque())
        found = min(records, key=lambda record: abs(record.stamp - stamp), default=None)
        return found if found is not None and abs(found.stamp - stamp) <= self.slop else None

    def observation(self, image: Record) -> Observation:
        message = image.decode()
        rgb = decode.image(message) if image.type == IMAGE else decode.compressed_image(message)
        depth, info = (self.nearest(topic, image.stamp) for topic in (self.topics.depth, self.topics.camera_info))
        metres = _depth(depth) if depth else None
        camera: CameraIntrinsics | None = decode.camera_info(info.decode()) if info else None
        missing: Reason | None = None
        if metres is None:
            missing = "no_depth_message"
        elif camera is None:
            missing = "no_camera_info"
        elif metres.shape != rgb.shape[:2] or (camera.height, camera.width) != rgb.shape[:2]:
            missing = "misaligned"
        return Observation(rgb, image.stamp, message.header.frame_id, metres, camera, missing)


def _depth(record: Record) -> Any:
    message = record.decode()
    return decode.depth(message) if record.type == IMAGE else decode.compressed_depth(message)

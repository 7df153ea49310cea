"""Which of a recording's topics belong to one RGB-D camera: by type, by frame, by name, or as they are named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from gem_ros.errors import BagError
from gem_ros.replay import bag
from gem_ros.replay.storage import Tell

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
POSE = "geometry_msgs/msg/PoseStamped"
TF = "tf2_msgs/msg/TFMessage"
PEEK = 5_000_000_000  # ns of arrival in which every topic's frame is looked for
FROM_TF = "tf"  # as the name of a pose topic: the pose from tf, whatever pose topics there are
_COLOUR = ("color", "colour", "rgb")
_REGISTERED = ("align", "regist")
# Pictures that are not what a camera sees in colour, or that someone has drawn on.
_OTHERS = ("infra", "thermal", "overlay", "heatmap", "segmentation", "mask", "disparity", "debug", "annotated")
_CAMERA_WORD = re.compile(r"(camera|cam|optical)\d*")
_WISHED = {"goal", "target", "waypoint", "setpoint", "desired", "command", "cmd", "initial", "initialpose"}


@dataclass(frozen=True)
class CameraTopics:
    """The topics of one RGB-D camera; None where the recording has none.

    ``tf``: the topics that give the pose where no pose topic does. ``notes``: what was left aside, and why.
    """

    image: str
    depth: str | None = None
    camera_info: str | None = None
    pose: str | None = None
    tf: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    def describe(self) -> str:
        """One line that says what was chosen, and what was not."""
        pose = self.pose or (f"from {', '.join(self.tf)}" if self.tf else "none")
        depth, camera_info = self.depth or "none", self.camera_info or "none"
        chosen = f"image {self.image}, depth {depth}, camera_info {camera_info}, pose {pose}"
        return "; ".join((chosen, *self.notes))


def camera_topics(
    path: Path | str,
    *,
    image: str | None = None,
    depth: str | None = None,
    camera_info: str | None = None,
    pose: str | None = None,
    problems: Tell | None = None,
) -> CameraTopics:
    """:func:`find_topics` in a recording, by the frames of its first messages, too."""
    problems = cache(problems) if problems else None  # the recording is opened twice, its damage said once
    types = bag.topics(path, problems)
    wanted = {topic for topic, kind in types.items() if kind in (IMAGE, COMPRESSED, CAMERA_INFO, POSE)}
    frames: dict[str, str] = {}
    first: int | None = None
    for record in bag.messages(path, wanted, problems):
        first = record.time if first is None else first
        if record.time > first + PEEK:
            break
        try:
            frames.setdefault(record.topic, record.frame_id)
        except BagError:
            continue  # what is wrong with it is said where it is read
        if len(frames) == len(wanted):
            break
    try:
        return find_topics(types, frames, image=image, depth=depth, camera_info=camera_info, pose=pose)
    except BagError as error:
        raise BagError(f"{path}: {error}") from error


def find_topics(
    types: Mapping[str, str],
    frames: Mapping[str, str] | None = None,
    *,
    image: str | None = None,
    depth: str | None = None,
    camera_info: str | None = None,
    pose: str | None = None,
) -> CameraTopics:
    """Choose a camera's topics among ``types`` (topic -> type), those aside that are named.

    ``frames`` (topic -> frame_id of its first message) may be empty. Image: one with messages, not drawn on nor
    infrared, colour by its name, raw, the first by name. Depth: in the image's frame, or named as registered or
    aligned; of those the nearest in name, raw first. camera_info: beside the image, else in its frame. Pose: a topic
    with camera or optical in its name, or beside the image, that is not a goal or the like nor in the image's own
    frame; else tf. :class:`BagError` where there is no colour image, or what is named is not there.
    """
    find = _Finder(types, frames or {})
    chosen = find.named(image, (IMAGE, COMPRESSED), "image") or find.image()
    tf = tuple(sorted(topic for topic, kind in types.items() if kind == TF))
    found_pose = None
    if pose != FROM_TF and types.get(pose or "") != TF:
        found_pose = find.named(pose, (POSE,), "pose") or find.pose(chosen)
    return CameraTopics(
        image=chosen,
        depth=find.named(depth, (IMAGE, COMPRESSED), "depth") or find.depth(chosen),
        camera_info=find.named(camera_info, (CAMERA_INFO,), "camera_info") or find.camera_info(chosen),
        pose=found_pose,
        tf=() if found_pose else tf,
        notes=tuple(find.notes),
    )


def node_inputs(topics: CameraTopics, types: Mapping[str, str]) -> dict[str, str]:
    """Recorded topic -> the name under which the grounding node listens to it (the contract's names)."""
    names = {topics.camera_info: "/camera_info", topics.pose: "/camera_pose"}
    names[topics.image] = "/image" if types[topics.image] == IMAGE else "/image/compressed"
    if topics.depth:
        names[topics.depth] = "/depth" if types[topics.depth] == IMAGE else "/depth/compressedDepth"
    return {recorded: played for recorded, played in names.items() if recorded}


@dataclass
class _Finder:
    types: Mapping[str, str]
    frames: Mapping[str, str]
    notes: list[str] = field(default_factory=list)

    def of(self, *kinds: str) -> list[str]:
        return sorted(topic for topic, kind in self.types.items() if kind in kinds)

    def named(self, name: str | None, kinds: tuple[str, ...], role: str) -> str | None:
        if name is None or self.types.get(name) in kinds:
            return name
        got = f"{name} of type {self.types[name]}" if name in self.types else name
        fit = ", ".join(self.of(*kinds)) or "none there"
        raise BagError(f"{role} topic: expected one of type {' or '.join(kinds)} ({fit}), got {got}")

    def image(self) -> str:
        pictures = [topic for topic in self.of(IMAGE, COMPRESSED) if not _is_depth(topic)]
        if not pictures:
            known = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(self.types.items())) or "none"
            raise BagError(f"recording: expected a colour image topic, got topics: {known}; name one")

        def rank(topic: str) -> tuple[bool, ...]:
            name = topic.lower()
            silent = bool(self.frames) and topic not in self.frames
            return silent, _has(name, _OTHERS), not _has(name, _COLOUR), self.types[topic] != IMAGE

        chosen = min(pictures, key=rank)
        others = [topic for topic in pictures if _base(topic) != _base(chosen)]
        if others:
            self.notes.append(f"other images: {', '.join(others)}")
        return chosen

    def depth(self, image: str) -> str | None:
        depths = [topic for topic in self.of(IMAGE, COMPRESSED) if _is_depth(topic) and topic != image]
        fit = [topic for topic in depths if self.same_frame(topic, image) or _has(topic.lower(), _REGISTERED)]
        if depths and not fit:
            frames = ", ".join(f"{topic} (frame {self.frames.get(topic)})" for topic in depths)
            self.notes.append(f"not taken: depth {frames}, for the image's is {self.frames.get(image)}")

        def rank(topic: str) -> tuple[bool, bool, int, bool]:
            own = self.same_frame(topic, image)
            raw = self.types[topic] == IMAGE
            return not own, not _has(topic.lower(), _REGISTERED), -_shared(topic, image), not raw

        return min(fit, key=rank, default=None)

    def camera_info(self, image: str) -> str | None:
        def rank(topic: str) -> tuple[bool, bool, int]:
            return not _beside(topic, image), not self.same_frame(topic, image), -_shared(topic, image)

        infos = self.of(CAMERA_INFO)
        fit = [topic for topic in infos if _beside(topic, image) or self.same_frame(topic, image)]
        if infos and not fit:
            self.notes.append(f"not taken: camera_info {', '.join(infos)}, in other frames than the image")
        return min(fit, key=rank, default=None)

    def pose(self, image: str) -> str | None:
        poses = self.of(POSE)
        fit = [topic for topic in poses if self._is_camera_pose(topic, image)]
        aside = [topic for topic in poses if topic not in fit]
        if aside and not fit:
            reason = "no name says that it is the camera's"
            self.notes.append(f"not taken: pose {', '.join(aside)} ({reason}; name the one that is)")
        return min(fit, key=lambda topic: -_shared(topic, image), default=None)

    def _is_camera_pose(self, topic: str, image: str) -> bool:
        words = re.split(r"[/_]+", topic.lower())
        if _WISHED.intersection(words) or (topic in self.frames and self.frames[topic] == self.frames.get(image)):
            return False
        return _beside(topic, image) or any(_CAMERA_WORD.fullmatch(word) for word in words)

    def same_frame(self, topic: str, image: str) -> bool:
        """Whether two topics are in the same frame, as far as it is known."""
        frames = self.frames.get(topic), self.frames.get(image)
        return None in frames or frames[0] == frames[1]


def _is_depth(topic: str) -> bool:
    return "depth" in topic.lower()


def _has(name: str, words: tuple[str, ...]) -> bool:
    return any(word in name for word in words)


def _base(topic: str) -> str:
    """The topic without its transport: ``/a/image`` of ``/a/image/compressed``."""
    return re.sub(r"/compressed(Depth)?$", "", topic)


def _beside(topic: str, image: str) -> bool:
    """Whether ``topic`` is in the image's namespace, as its camera_info is by image_transport's convention."""
    return topic.rpartition("/")[0] == _base(image).rpartition("/")[0]


def _shared(topic: str, other: str) -> int:
    """How many names from the beginning two topics have in common."""
    count = 0
    for one, two in zip(topic.split("/"), other.split("/"), strict=False):
        if one != two:
            break
        count += 1
    return count

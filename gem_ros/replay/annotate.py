"""A recording with the answers in it: a new bag that Foxglove and RViz open, and a video of its overlays.

The topics of the answers are the node's, so the same layouts show a robot and a recording.
"""

from __future__ import annotations

import contextlib
import math
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from gem_ros.config import Config
from gem_ros.data import Grounding, Observation, Pose
from gem_ros.errors import BagError
from gem_ros.messages.encode import Encoder
from gem_ros.messages.overlay import CAMERA
from gem_ros.replay import bag, pictures
from gem_ros.replay.engine import Job
from gem_ros.replay.evaluate import Evaluated, evaluate_bag, prepare
from gem_ros.replay.settings import Settings
from gem_ros.replay.topics import TF, CameraTopics

NODE = "/grounding"
PICTURE = "sensor_msgs/msg/CompressedImage"
OVERLAY = f"{NODE}/overlay/compressed"
QUALITY = 85  # JPEG
UNFINISHED = ".unfinished"  # folder in which a bag lies until it is complete


class Annotation:
    """Writes the bag ``output``: image, camera_info, poses and tf of ``source`` as they are, and what was found.

    A context manager; :meth:`add` gets each image with its answers, in any order. ``config`` is what they were made
    with: points are in ``config.target_frame``, else in the camera's frame. An older ``output`` is replaced once the
    new one is complete, and stays where an error comes before. Raises :class:`BagError` for what cannot be read or
    written.
    """

    def __init__(self, source: Path, output: Path, topics: CameraTopics, config: Config) -> None:
        if output.exists() and not (output / "metadata.yaml").is_file():
            raise BagError(f"{output}: expected a new folder or an older recording, got something else; remove it")
        self._source, self._output, self._topics, self._config = source, output, topics, config
        self._staged = output.parent / UNFINISHED / output.name
        self._encode = Encoder(bag.message_class)
        self._arrivals: dict[int, int] = {}  # stamp of each image -> when it was recorded, ns
        self._has_tf = False

    def __enter__(self) -> Annotation:
        shutil.rmtree(self._staged, ignore_errors=True)
        try:
            self._staged.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BagError(f"{self._output}: expected a place that can be written, got: {error.strerror}") from error
        self._writer = bag.BagWriter(self._staged).__enter__()
        try:
            self._copy()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)
        if kind is None:
            shutil.rmtree(self._output, ignore_errors=True)
            self._staged.rename(self._output)
        shutil.rmtree(self._staged, ignore_errors=True)
        with contextlib.suppress(OSError):  # another bag is being written beside it
            self._staged.parent.rmdir()

    def _copy(self) -> None:
        """What the views need of the source, byte for byte."""
        of, types = self._topics, bag.topics(self._source, _said_already)
        tf = {topic for topic, kind in types.items() if kind == TF}
        latched = {topic for topic in tf if topic.endswith("static")}
        wanted = {topic for topic in (of.image, of.camera_info, of.pose, *tf) if topic}
        for record in bag.messages(self._source, wanted, _said_already):
            self._has_tf |= record.topic in tf - latched
            if record.topic == of.image:
                with contextlib.suppress(struct.error):  # too short to be one
                    self._arrivals[record.stamp] = record.time
            self._writer.copy(record, latched=record.topic in latched)

    def add(self, observation: Observation, grounding: Grounding) -> None:
        """Write what was found in one image, at the time at which the image was recorded."""
        encode, stamp = self._encode, observation.stamp
        image = encode.header(stamp, observation.frame_id)
        placed = encode.header(stamp, self._config.target_frame or observation.frame_id)
        camera = observation.pose.matrix[:3, 3] if observation.pose and self._config.target_frame else CAMERA
        alpha = self._config.overlay_alpha
        messages: dict[str, tuple[str, Any]] = {
            "overlay/compressed": (
                PICTURE,
                encode.overlay_compressed(image, observation.image, grounding, alpha, camera, quality=QUALITY),
            ),
            "heatmap/compressed": (PICTURE, self._heatmap(image, grounding)),
            "markers": (
                "visualization_msgs/msg/MarkerArray",
                encode.markers(placed, image, grounding, z_up=bool(self._config.target_frame)),
            ),
            "targets": ("sensor_msgs/msg/PointCloud2", encode.targets(placed, grounding, 0)),
            "target": ("geometry_msgs/msg/PointStamped", encode.target(placed, grounding)),
            "result": (
                "std_msgs/msg/String",
                encode.result(placed, grounding, 0, math.nan, image_frame_id=observation.frame_id),
            ),
        }
        time = self._arrivals.get(stamp, stamp)
        if observation.pose is not None and not self._has_tf:
            self._writer.write("/tf", TF, time, self._transform(observation, observation.pose))
        for name, (kind, message) in messages.items():
            if message is not None:
                self._writer.write(f"{NODE}/{name}", kind, time, message)

    def _heatmap(self, header: Any, grounding: Grounding) -> Any:
        """The first query's relevancy as a gray PNG, 255 is 1: as 32FC1 it would be larger than the recording."""
        gray = np.rint(255 * grounding.upsample(grounding.patch_relevancy[:1])[0]).astype(np.uint8)
        data = self._encode.octets(np.asarray(cv2.imencode(".png", gray)[1]))
        return self._encode.make(PICTURE, header=header, format="mono8; png compressed mono8", data=data)

    def _transform(self, observation: Observation, pose: Pose) -> Any:
        """The camera's pose as tf, for views that know nothing else."""
        placed = self._encode.pose(pose.matrix[:3, 3], pose.matrix[:3, :3])
        moved = self._encode.make(
            "geometry_msgs/msg/Transform",
            translation=self._encode.vector(pose.matrix[:3, 3]),
            rotation=placed.orientation,
        )
        transform = self._encode.make(
            "geometry_msgs/msg/TransformStamped",
            header=self._encode.header(observation.stamp, pose.frame_id),
            child_frame_id=observation.frame_id,
            transform=moved,
        )
        return self._encode.make(TF, transforms=[transform])


def annotated_path(folder: Path, job: Job) -> Path:
    """Where in ``folder`` the annotated bag of a recording lies; its video has the same name."""
    return folder / job.name.replace(".", "_")  # a folder called .mcap would be taken for a file


def evaluate_annotated(
    job: Job, settings: Settings, progress: Callable[[int, float], None], *, folder: Path, video: bool
) -> Evaluated:
    """:func:`evaluate_bag`, with an annotated bag in ``folder`` on the way, and a video of it."""
    task, output = prepare(job.path, settings), annotated_path(folder, job)
    with Annotation(job.path, output, task.topics, task.config) as annotation:
        found = evaluate_bag(job.path, settings, job.name, sha256=job.sha256, watch=annotation.add, progress=progress)
    if video and found.rows:
        write_video(output, output.with_name(f"{output.name}.mp4"))
    return found


def write_video(annotated: Path, target: Path) -> Path:
    """The overlays of an annotated bag as a video at the recording's pace; returns the file's path.

    Raises :class:`BagError` where there are none.
    """
    times = [record.time for record in bag.messages(annotated, {OVERLAY})]
    if not times:
        raise BagError(f"{annotated}: expected {OVERLAY}, got none; evaluate the recording again")
    seconds = (max(times) - min(times)) / bag.NS
    return pictures.write_video(target, _overlays(annotated), fps=(len(times) - 1) / seconds if seconds else 1.0)


def _overlays(annotated: Path) -> Iterator[pictures.Picture]:
    """Pictures with even sides, as videos want them."""
    for record in bag.messages(annotated, {OVERLAY}):
        picture = pictures.read_jpeg(bytes(record.decode().data))
        height, width = (side - side % 2 for side in picture.shape[:2])
        yield picture[:height, :width]


def _said_already(line: str) -> None:
    """What cannot be read of the source is in the evaluation's problems."""

"""What the node's threads hand to each other, and whom they talk to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gem_ros.config import Config
from gem_ros.data import Grounding, PatchFeatures, Pose, Query
from gem_ros.geometry.tracking import Tracker
from gem_ros.ros.partners import Partners


@dataclass(frozen=True)
class Asked:
    """What is looked for, exchanged as a whole: ``epoch`` grows with every change of the queries."""

    epoch: int
    queries: tuple[Query, ...]
    config: Config

    @property
    def told(self) -> tuple[int, float]:
        """What ``~/queries`` says besides the queries, which change with the epoch."""
        return self.epoch, self.config.presence_threshold


@dataclass(eq=False)
class View:
    """An image and what is already known of it. ``arrival`` is monotonic s, ``stamp`` ns.

    ``pose`` is the camera's in ``target_frame``, looked up once something has a 3D point. ``inference`` is how long
    the model took for the features, s.
    """

    rgb: npt.NDArray[np.uint8]
    stamp: int
    frame_id: str
    arrival: float
    features: PatchFeatures | None = None
    partners: Partners | None = None
    pose: Pose | None = None
    inference: float = float("nan")


@dataclass(frozen=True, eq=False)
class Answer:
    """A published result: of what, and when (monotonic s) it was due, was begun, and was done."""

    view: View
    grounding: Grounding
    due: float
    began: float
    done: float


class Inputs(Protocol):
    """Where pictures and what belongs to them come from; see :class:`gem_ros.ros.inputs.Inputs`."""

    def read(self, message: Any, arrival: float) -> View:
        """The picture of an image message; :class:`DecodeError`."""

    def find_partners(self, view: View) -> Partners:
        """Depth and camera of an image."""

    def find_pose(self, view: View) -> Pose:
        """Where the camera was in ``target_frame``; :class:`GemError` says why that is not known."""

    def rewind(self, stamp: int) -> None:
        """Time jumped back to ``stamp``: forget what is kept of the time before."""


class Outputs(Protocol):
    """Where results go; see :class:`gem_ros.ros.outputs.Outputs`."""

    def wanted(self) -> bool:
        """Whether anybody subscribes to anything."""

    def publish(self, view: View, grounding: Grounding, asked: Asked, latency: float) -> None:
        """Send what there is to say of a view to those who wait for it."""


class Observer(Protocol):
    """Who keeps count; see :class:`gem_ros.ros.health.Health`."""

    def image(self, now: float) -> None:
        """An image came."""

    def result(self, answer: Answer) -> None:
        """A result was published."""

    def problem(self, line: str, *, lost: bool = False) -> None:
        """Something could not be used; ``lost``: and there will be no result of an image."""


@dataclass(frozen=True, eq=False)
class Camera:
    """All that belongs to one camera; ``name`` is empty where there is only one."""

    name: str
    inputs: Inputs
    outputs: Outputs
    observer: Observer
    tracker: Tracker

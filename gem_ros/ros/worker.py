"""The one thread that thinks: newest image in, grounding out, never an old label on a new question."""

from __future__ import annotations

import dataclasses
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from gem_ros.config import Config
from gem_ros.data import Grounding, PatchFeatures, Pose, Query
from gem_ros.errors import GemError
from gem_ros.geometry.frames import in_frame
from gem_ros.geometry.tracking import Tracker
from gem_ros.messages import decode
from gem_ros.ros.mailbox import Mailbox, Pace, Work
from gem_ros.ros.partners import Partners

if TYPE_CHECKING:
    from gem_ros.pipeline import Grounder


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
    """The newest image and what is already known of it. ``arrival`` is monotonic s, ``stamp`` ns.

    ``pose`` is the camera's in ``target_frame``, looked up once something has a 3D point.
    """

    rgb: npt.NDArray[np.uint8]
    stamp: int
    frame_id: str
    arrival: float
    features: PatchFeatures | None = None
    partners: Partners | None = None
    pose: Pose | None = None


class Inputs(Protocol):
    """Where pictures and what belongs to them come from; see :class:`gem_ros.ros.inputs.Inputs`."""

    def read(self, message: Any) -> npt.NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB of an image message."""

    def find_partners(self, view: View) -> Partners:
        """Depth and camera of an image."""

    def find_pose(self, view: View) -> Pose:
        """Where the camera was in ``target_frame``; :class:`GemError` says why that is not known."""


class Outputs(Protocol):
    """Where results go; see :class:`gem_ros.ros.outputs.Outputs`."""

    def wanted(self) -> bool:
        """Whether anybody subscribes to anything."""

    def encode(self, view: View, grounding: Grounding, asked: Asked, latency: float) -> list[Callable[[], None]]:
        """What is to be published, ready but not sent."""

    def announce(self, asked: Asked) -> None:
        """Say what is looked for."""


class Observer(Protocol):
    """Who keeps count; see :class:`gem_ros.ros.diagnostics.Health`."""

    def image(self, now: float) -> None:
        """An image came."""

    def result(self, now: float, latency: float, grounding: Grounding) -> None:
        """A result was published."""

    def problem(self, line: str) -> None:
        """Something could not be used."""


class Worker:
    """Runs ``grounder`` on what :meth:`put` brings, for what :meth:`ask` asked last; made anew per activation."""

    def __init__(
        self,
        grounder: Grounder,
        asked: Asked,
        *,
        outputs: Outputs,
        observer: Observer,
        inputs: Inputs,
        tracker: Tracker,
    ) -> None:
        self.enabled = True
        self._grounder, self._outputs, self._observer = grounder, outputs, observer
        self._inputs, self._tracker = inputs, tracker
        self._asked = asked
        self._tracked = -1  # epoch of what is being tracked
        self._speaking = threading.Lock()  # held while publishing: after ~/queries no answer to older ones is sent
        self._mailbox: Mailbox[Any] = Mailbox()
        self._pace = Pace()
        self._view: View | None = None
        self._idle: tuple[Any, float] | None = None  # message and arrival of the newest image, while nobody listens
        self._thread = threading.Thread(target=self._run, name="grounding")
        self._outputs.announce(asked)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Images that a newer one replaced before their turn."""
        return self._mailbox.dropped

    def put(self, message: Any) -> None:
        """A new image message; an older one that still waits is dropped."""
        now = time.monotonic()
        self._observer.image(now)
        if self.enabled and self._pace.admits(now, self._asked.config.max_rate):
            self._mailbox.put(message, now)

    def ask(self, asked: Asked) -> None:
        """From now on look for this, at once on the newest image."""
        with self._speaking:
            if asked.told != self._asked.told:
                self._outputs.announce(asked)
            self._asked = asked
        if self.enabled:
            self._mailbox.nudge(time.monotonic())

    def stop(self) -> None:
        """Finish the image at hand and end the thread."""
        self._mailbox.close()
        self._thread.join()

    def _run(self) -> None:
        while (work := self._mailbox.take()) is not None:
            try:
                self._work(work)
            except GemError as error:
                self._observer.problem(str(error))
            except Exception as error:  # a thread that dies takes the robot's eyes with it: say it and go on
                self._observer.problem(f"{type(error).__name__}: {error}\n{traceback.format_exc()}".rstrip())

    def _work(self, work: Work[Any]) -> None:
        if work.item is not None:
            self._idle, self._view = (work.item, work.since), None
        if not self._outputs.wanted():
            return
        if self._idle:
            (message, arrival), self._idle = self._idle, None
            stamp = decode.stamp_ns(message.header.stamp)
            self._view = View(self._inputs.read(message), stamp, message.header.frame_id, arrival)
        fresh = self._view is not None and work.since - self._view.arrival <= self._asked.config.max_age
        if self._view and (work.item is not None or fresh):
            self._answer(self._view, work.since)

    def _answer(self, view: View, since: float) -> None:
        asked = self._asked
        if asked.queries and view.features is None:
            view.features = self._grounder.encode_image(view.rgb, config=asked.config)
            asked = self._asked  # a question that came meanwhile is answered, not the old one
        grounding = self._ground(view, asked)
        messages = self._outputs.encode(view, grounding, asked, time.monotonic() - since)
        with self._speaking:
            if asked.epoch != self._asked.epoch:
                return  # the new question has already nudged
            for publish in messages:
                publish()
        now = time.monotonic()
        self._observer.result(now, now - since, grounding)

    def _ground(self, view: View, asked: Asked) -> Grounding:
        if asked.epoch != self._tracked:
            self._tracker.reset()
            self._tracked = asked.epoch
        if not asked.queries or view.features is None:
            return _nothing_asked(view)
        view.partners = known = view.partners or self._inputs.find_partners(view)
        grounding = self._grounder.ground(
            view.features,
            self._tracker.asked(asked.queries, asked.config),
            image=view.rgb,
            depth=known.depth,
            camera=known.camera,
            missing=known.missing,
            config=asked.config,
        )
        for line in grounding.problems:
            self._observer.problem(line)
        if asked.config.target_frame:
            grounding = self._in_target_frame(view, grounding)
        return self._tracker.update(grounding, view.stamp, asked.queries, asked.config)

    def _in_target_frame(self, view: View, grounding: Grounding) -> Grounding:
        """The pose is only waited for where there is something to place with it."""
        if view.pose is None and any(target.point is not None for target in grounding.targets):
            try:
                view.pose = self._inputs.find_pose(view)
            except GemError as error:
                self._observer.problem(str(error))
        return dataclasses.replace(grounding, targets=tuple(in_frame(each, view.pose) for each in grounding.targets))


def _nothing_asked(view: View) -> Grounding:
    size = view.rgb.shape[0], view.rgb.shape[1]
    return Grounding((), (), size, np.zeros((0, 1, 1), np.float32), lambda maps: np.zeros((0, *size), np.float32))

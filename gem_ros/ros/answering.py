"""The second thread's work: what is in a view, where that is, whether it was seen before; and the word goes out."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from gem_ros.data import Grounding
from gem_ros.errors import GemError
from gem_ros.geometry.frames import in_frame
from gem_ros.ros.continuity import Continuity
from gem_ros.ros.views import Answer, Asked, Camera, View

if TYPE_CHECKING:
    from gem_ros.pipeline import Grounder


class Speech:
    """What is asked, told to everybody before any answer to it, and after it none to an older question.

    An answer that is being made is finished first, and the newest question that came meanwhile is told then: if it
    were thrown away instead, questions that come faster than answers are made would leave none.
    """

    def __init__(self, asked: Asked, announce: Callable[[Asked], None]) -> None:
        self._announce = announce
        self._lock = threading.Lock()  # held while announcing
        self._answering = False
        self._told = self.newest = asked
        announce(asked)

    def ask(self, asked: Asked) -> None:
        """From now on, or from the end of the answer that is being made, this is asked."""
        with self._lock:
            self.newest = asked
            if not self._answering:
                self._tell()

    @contextmanager
    def turn(self) -> Iterator[Asked]:
        """To answer what is asked, and publish it, before anything else is."""
        with self._lock:
            self._answering, asked = True, self._told
        try:
            yield asked
        finally:
            with self._lock:
                self._answering = False
                self._tell()

    def _tell(self) -> None:
        before, self._told = self._told, self.newest
        if self._told.told != before.told:
            self._announce(self._told)


class Answerer:
    """Answers for one camera, on views with features."""

    def __init__(self, grounder: Grounder, camera: Camera, speech: Speech) -> None:
        self._grounder, self._camera, self._speech = grounder, camera, speech
        self._tracked = -1  # epoch of what is being tracked
        self._view: View | None = None
        self._continuity = Continuity()
        self._time_jumped = False  # set by another thread

    def forget(self) -> None:
        """Time jumped back: the next image is the first one. (Any thread.)"""
        self._time_jumped = True

    def answer(self, view: View | None, since: float) -> None:
        """Answer what is asked on ``view``, or anew on the last one if that is not too old. ``since`` is when an
        answer was due (monotonic s).
        """
        with self._speech.turn() as asked:
            self._answer(view, since, asked)

    def _answer(self, view: View | None, since: float, asked: Asked) -> None:
        began = time.monotonic()
        if self._time_jumped:
            self._time_jumped, self._view, self._tracked = False, None, -1
            self._continuity.forget()
        if view is None and (self._view is None or since - self._view.arrival > asked.config.max_age):
            return
        self._view = view = view or self._view
        if view is None or (asked.queries and view.features is None) or not self._camera.outputs.wanted():
            return  # without features: it comes again with them
        grounding = self._ground(view, asked)
        self._camera.outputs.publish(view, grounding, asked, time.monotonic() - since)
        self._camera.observer.result(Answer(view, grounding, due=since, began=began, done=time.monotonic()))

    def _ground(self, view: View, asked: Asked) -> Grounding:
        tracker = self._camera.tracker
        if line := self._continuity.broken_by(view):
            self._camera.observer.problem(line)
            self._camera.inputs.rewind(view.stamp)
            self._tracked = -1
        if asked.epoch != self._tracked:
            tracker.reset()
            self._tracked = asked.epoch
        if not asked.queries or view.features is None:
            return _nothing_asked(view)
        view.partners = known = view.partners or self._camera.inputs.find_partners(view)
        grounding = self._grounder.ground(
            view.features,
            tracker.asked(asked.queries, asked.config),
            image=view.rgb,
            depth=known.depth,
            camera=known.camera,
            missing=known.missing,
            config=asked.config,
        )
        for line in grounding.problems:
            self._camera.observer.problem(line)
        if asked.config.target_frame:
            grounding = self._in_target_frame(view, grounding)
        return tracker.update(grounding, view.stamp, asked.queries, asked.config)

    def _in_target_frame(self, view: View, grounding: Grounding) -> Grounding:
        """The pose is only waited for where there is something to place with it."""
        if view.pose is None and any(target.point is not None for target in grounding.targets):
            try:
                view.pose = self._camera.inputs.find_pose(view)
            except GemError as error:
                self._camera.observer.problem(str(error))
        return dataclasses.replace(grounding, targets=tuple(in_frame(each, view.pose) for each in grounding.targets))


def _nothing_asked(view: View) -> Grounding:
    size = view.rgb.shape[0], view.rgb.shape[1]
    return Grounding((), (), size, np.zeros((0, 1, 1), np.float32), lambda maps: np.zeros((0, *size), np.float32))

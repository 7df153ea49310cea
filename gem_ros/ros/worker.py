"""Threads that think: while one looks at an image, or a few do, another answers on the last; never an old label on a
new question.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gem_ros.errors import GemError
from gem_ros.ros.answering import Answerer, Speech
from gem_ros.ros.looking import Looker, Seen
from gem_ros.ros.mailbox import Mailbox, Pace, Work
from gem_ros.ros.views import Asked, Camera, Observer, View

if TYPE_CHECKING:
    from gem_ros.pipeline import Grounder


LESSONS = 4  # examples that may wait; a newer one pushes out the oldest
Turn = tuple[threading.Event, threading.Event]  # set when what was taken before has been handed over; when this has
Lesson = tuple[str, npt.NDArray[np.uint8], Callable[[], None]]  # an example, and whom to tell when it is known


class Worker:
    """Runs ``grounder`` on what :meth:`put` brings, for what :meth:`ask` asked last; made anew per activation.

    ``announce`` tells what is looked for. The first threads, ``images_at_once`` of them, run the vision tower only, so
    that a GPU never waits for Python; they hand over in the order in which they took, and wait when the last thread
    is slower, so that every image they looked at is answered.
    """

    def __init__(
        self, grounder: Grounder, asked: Asked, cameras: Sequence[Camera], announce: Callable[[Asked], None]
    ) -> None:
        self.enabled = True
        self._cameras = {camera.name: camera for camera in cameras}
        self._paces = {name: Pace() for name in self._cameras}
        self._speech = Speech(asked, announce)
        self._looker = Looker(grounder, cameras)
        self._answerers = {camera.name: Answerer(grounder, camera, self._speech) for camera in cameras}
        self._lessons: deque[Lesson] = deque(maxlen=LESSONS)
        self._images: Mailbox[Any] = Mailbox(self._cameras)
        self._views: Mailbox[View] = Mailbox(self._cameras)
        self._taking, self._last_turn = threading.Lock(), threading.Event()
        self._last_turn.set()
        self._looking = [
            threading.Thread(target=self._look, name="looking") for _ in range(asked.config.images_at_once)
        ]
        self._answering = threading.Thread(target=self._answer, name="answering")
        for thread in (*self._looking, self._answering):
            thread.start()

    @property
    def dropped(self) -> dict[str, int]:
        """Images of each camera that a newer one replaced before their turn."""
        return dict(self._images.dropped)

    @property
    def degraded(self) -> str:
        """What has been given up for want of memory; empty: nothing."""
        return self._looker.degraded(self._speech.newest.config)

    def put(self, camera: str, message: Any) -> None:
        """A new image message; an older one that still waits is dropped."""
        now = time.monotonic()
        self._cameras[camera].observer.image(now)
        if self.enabled and self._paces[camera].admits(now, self._speech.newest.config.max_rate):
            self._images.put(camera, message, now)

    def ask(self, asked: Asked) -> None:
        """From now on look for this, at once on the newest images."""
        self._speech.ask(asked)
        if self.enabled:
            now = time.monotonic()
            self._views.nudge(now)
            self._images.nudge(now)

    def forget(self) -> None:
        """Time jumped back: nothing is tracked on from before, and no question answered on what was seen then."""
        for answerer in self._answerers.values():
            answerer.forget()

    def learn(self, name: str, rgb: npt.NDArray[np.uint8], learnt: Callable[[], None]) -> None:
        """Take in an example beside the images; ``learnt`` is called, by the worker, when it can be asked for."""
        self._lessons.append((name, rgb, learnt))
        self._images.nudge(time.monotonic())

    def stop(self) -> None:
        """Finish the images at hand and end the threads."""
        for mailbox, threads in ((self._images, self._looking), (self._views, [self._answering])):
            mailbox.close()
            for thread in threads:
                thread.join()

    def _look(self) -> None:
        while (taken := self._take()) is not None:
            works, seen, (before, done) = taken
            with self._telling(works):
                for eye, view, since in seen:
                    before.wait()
                    self._views.hand(eye.camera.name, view, since)
            before.wait()
            done.set()

    def _take(self) -> tuple[list[Work[Any]], Iterator[Seen], Turn] | None:
        """What is to be looked at next, and whose turn it is to be handed over; None: nothing any more."""
        with self._taking:
            works = self._images.take()
            if works is None:
                return None
            while self._lessons:
                with _told(camera.observer for camera in self._cameras.values()):
                    name, rgb, learnt = self._lessons.popleft()
                    self._looker.learn(name, rgb)
                    learnt()
            seen: Iterator[Seen] = iter(())
            with self._telling(works):
                seen = self._looker.look(works, self._speech.newest)
            before, self._last_turn = self._last_turn, threading.Event()
            return works, seen, (before, self._last_turn)

    def _telling(self, works: Iterable[Work[Any]]) -> AbstractContextManager[None]:
        return _told([self._cameras[work.camera].observer for work in works])

    def _answer(self) -> None:
        while (works := self._views.take()) is not None:
            for work in works:
                with _told([self._cameras[work.camera].observer]):
                    self._answerers[work.camera].answer(work.item, work.since)


@contextmanager
def _told(observers: Iterable[Observer]) -> Iterator[None]:
    """What goes wrong is said, and the thread goes on: one that dies takes the robot's eyes with it."""
    try:
        yield
    except GemError as error:
        line = str(error)
    except Exception as error:
        line = f"{type(error).__name__}: {error}\n{traceback.format_exc()}".rstrip()
    else:
        return
    for observer in observers:
        observer.problem(line, lost=True)

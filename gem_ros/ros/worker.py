"""Threads that think: while one looks at an image, or a few do, another answers on the last; never an old label on a
new question.
"""

from __future__ import annotations

import math
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from gem_ros.config import Config
from gem_ros.errors import GemError
from gem_ros.ros.answering import Answerer, Speech
from gem_ros.ros.looking import Looker, Seen
from gem_ros.ros.mailbox import Mailbox, Pace
from gem_ros.ros.remembered import Remembered
from gem_ros.ros.views import Asked, Camera, Observer, View

if TYPE_CHECKING:
    from gem_ros.pipeline import Grounder


QUICK = 0.005  # s; an image that comes meanwhile is looked at so much later
LESSONS = 4  # examples that may wait; a newer one pushes out the oldest
Turn = tuple[threading.Event, threading.Event]  # set when what was taken before has been handed over; when this has
Lesson = Callable[[Looker, Config], None]  # what is to be learnt, by whom, with which parameters


class Worker:
    """Runs ``grounder`` on what :meth:`put` brings, for what :meth:`ask` asked last; made anew per activation.

    ``announce`` tells what is looked for. The first threads, ``images_at_once`` of them, look; they hand over in the
    order in which they took, and wait when the last thread is slower, so that every image they looked at is answered.
    What is quick they answer themselves while no image waits; else the last thread does, so that a GPU need not wait.
    :meth:`stop` waits for all of them; daemons, as nobody could stop some where not all can be started.
    """

    def __init__(
        self, grounder: Grounder, asked: Asked, cameras: Sequence[Camera], announce: Callable[[Asked], None]
    ) -> None:
        self.enabled = True
        self._cameras = {camera.name: camera for camera in cameras}
        self._paces = {name: Pace() for name in self._cameras}
        self._speech = Speech(asked, announce)
        self._looker = Looker(grounder, cameras)
        self.remembered = Remembered(self._cameras)
        self._answerers = {camera.name: Answerer(grounder, camera, self._speech) for camera in cameras}
        self._lessons: deque[Lesson] = deque(maxlen=LESSONS)
        self._images: Mailbox[Any] = Mailbox(self._cameras)
        self._views: Mailbox[View] = Mailbox(self._cameras)
        self._taking, self._learning, self._last_turn = threading.Lock(), threading.Lock(), threading.Event()
        self._last_turn.set()
        self._speaking, self._took = threading.Lock(), math.inf  # the last answer took so long, s
        self._looking = [
            threading.Thread(target=self._look, name="looking", daemon=True) for _ in range(asked.config.images_at_once)
        ]
        self._answering = threading.Thread(target=self._answer, name="answering", daemon=True)
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
        self.remembered.forget()
        for answerer in self._answerers.values():
            answerer.forget()

    def learn(self, lesson: Lesson) -> None:
        """Take in an example beside the images; the thread that looks calls ``lesson``."""
        self._lessons.append(lesson)
        self._images.nudge(time.monotonic())

    def stop(self) -> None:
        """Finish the images at hand and end the threads."""
        for mailbox, threads in ((self._images, self._looking), (self._views, [self._answering])):
            mailbox.close()
            for thread in threads:
                thread.join()

    def _look(self) -> None:
        while (taken := self._take()) is not None:
            cameras, seen, (before, done) = taken
            with self._telling(cameras):
                for eye, view, since in seen:
                    before.wait()
                    self.remembered.keep(eye.camera.name, view)
                    self._views.hand(eye.camera.name, view, since)
                    self._pass_on()
            before.wait()
            done.set()
            with self._learning:  # afterwards: somebody may point at what was looked at just now
                while self._lessons:
                    with self._telling(self._cameras):
                        self._lessons.popleft()(self._looker, self._speech.newest.config)

    def _take(self) -> tuple[list[str], Iterator[Seen], Turn] | None:
        """The cameras of what is to be looked at next, it, and its turn to be handed over; None: nothing any more."""
        with self._taking:
            if not self._images.wait():
                return None
            works = self._images.take()
            cameras, seen = [work.camera for work in works], iter(list[Seen]())
            with self._telling(cameras):
                seen = self._looker.look(works, self._speech.newest)
            before, self._last_turn = self._last_turn, threading.Event()
            return cameras, seen, (before, self._last_turn)

    def _telling(self, cameras: Iterable[str]) -> AbstractContextManager[None]:
        return _told([self._cameras[name].observer for name in cameras])

    def _pass_on(self) -> None:
        """Have what was looked at answered: here, if that is quick and nobody else is at it, as another thread's start
        takes a tenth of a millisecond or two; but not while an image waits to be looked at.
        """
        if self._images.empty and self._took <= QUICK and self._speaking.acquire(blocking=False):
            try:
                self._speak()
            finally:
                self._speaking.release()
        else:
            self._views.wake()

    def _answer(self) -> None:
        while self._views.wait():
            with self._speaking:
                self._speak()

    def _speak(self) -> None:
        """Answer on all that is there; whoever calls it holds ``_speaking``, so that answers stay in order."""
        for work in self._views.take():
            began = time.monotonic()
            with _told([self._cameras[work.camera].observer]):
                self._answerers[work.camera].answer(work.item, work.since)
            self._took = time.monotonic() - began


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

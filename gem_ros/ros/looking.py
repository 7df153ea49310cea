"""The first threads' work: images in, views with features out; images that wait together in one pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gem_ros.config import Config, replace
from gem_ros.core.degradation import Degradation
from gem_ros.errors import GemError, OutOfMemoryError
from gem_ros.ros.mailbox import Work
from gem_ros.ros.remembered import Remembered, Spot
from gem_ros.ros.views import Asked, Camera, View

if TYPE_CHECKING:
    from gem_ros.pipeline import Grounder


@dataclass
class Eye:
    """A camera's newest image: a message while nobody listens, else what was seen in it. ``arrival`` monotonic s.

    ``unasked``: it was handed over without features, for want of a question.
    """

    camera: Camera
    message: Any = None
    arrival: float = 0.0
    view: View | None = None
    unasked: bool = False


Seen = tuple[Eye, View, float]  # whose, what, and since when an answer is due (monotonic s)


class Looker:
    """Keeps each camera's newest image and gives it features, once, as soon as there is a question and a listener."""

    def __init__(self, grounder: Grounder, cameras: Iterable[Camera]) -> None:
        self._grounder = grounder
        self._eyes = {camera.name: Eye(camera) for camera in cameras}
        self._degradation, self._degrading = Degradation(), threading.Lock()

    def degraded(self, config: Config) -> str:
        """What has been given up for want of memory; empty: nothing. (Read by other threads.)"""
        return self._degradation.described(self._grounder.image_size(config))

    def learn(self, name: str, rgb: npt.NDArray[np.uint8]) -> None:
        """Take in an example, at the scale of the newest images."""
        sizes = [view.rgb.shape for eye in self._eyes.values() if (view := eye.view)]
        self._grounder.add_example(name, rgb, **({"of": sizes[0][:2]} if sizes else {}))

    def learn_at(self, name: str, spot: Spot, remembered: Remembered, config: Config) -> None:
        """Take in what somebody pointed at as an example."""
        camera = remembered.camera(spot.frame_id)
        eye = self._eyes[camera]
        if (message := eye.message) is not None:  # it came while nobody listened
            remembered.keep(camera, eye.camera.inputs.read(message, eye.arrival))
        view = remembered.find(camera, spot.stamp)
        if view.features is None and not self._encode([(eye, view, eye.arrival)], config):
            raise OutOfMemoryError("expected memory for one image, got less")
        assert view.features is not None
        self._grounder.add_example_at(name, view.features, spot.pixel)

    def look(self, works: Sequence[Work[Any]], asked: Asked) -> Iterator[Seen]:
        """Views to answer on, of all the cameras in ``works``; what fails is that camera's problem alone.

        The images are taken in at once, by one thread at a time; any may look for their features, later.
        """
        seen: list[Seen] = []
        for work in works:
            eye = self._eyes[work.camera]
            try:
                if view := _view(eye, work, asked):
                    seen.append((eye, view, work.since))
            except GemError as error:
                eye.camera.observer.problem(str(error), lost=True)
        for eye, _, _ in seen:
            eye.unasked = not asked.queries
        return self._with_features(seen, asked.config) if asked.queries else iter(seen)

    def _with_features(self, seen: Sequence[Seen], config: Config) -> Iterator[Seen]:
        while seen:
            most = self._degradation.batch
            now, seen = seen[:most], seen[most:]
            if self._encode(now, config):
                yield from now

    def _encode(self, seen: Sequence[Seen], config: Config) -> bool:
        """Whether memory sufficed for one pass; if not, its images are skipped and the next pass is smaller."""
        wanted = self._grounder.image_size(config)
        if self._degradation.degraded:
            config = replace(config, {"image_size": self._degradation.image_size(wanted)})
        start = time.monotonic()
        try:
            features = self._grounder.encode_images([view.rgb for _, view, _ in seen], config=config)
        except OutOfMemoryError:
            with self._degrading:
                line = self._degradation.step_down(len(seen), wanted)
            self._tell(seen, line, lost=True)
            return False
        took = time.monotonic() - start
        for (_, view, _), each in zip(seen, features, strict=True):
            view.features, view.inference = each, took
        with self._degrading:
            better = self._degradation.good(wanted, len(seen))
        if better:
            self._tell(seen, better)
        return True

    def _tell(self, seen: Sequence[Seen], line: str, lost: bool = False) -> None:
        for eye, _, _ in seen:
            eye.camera.observer.problem(line, lost=lost)


def _view(eye: Eye, work: Work[Any], asked: Asked) -> View | None:
    """What is to be looked at now, if anything."""
    if work.item is not None:
        eye.message, eye.arrival, eye.view, eye.unasked = work.item, work.since, None, False
    elif work.since - eye.arrival > asked.config.max_age:
        return None
    if not eye.camera.outputs.wanted():
        return None
    if eye.message is not None:
        message, eye.message = eye.message, None
        eye.view = eye.camera.inputs.read(message, eye.arrival)
        return eye.view
    return eye.view if eye.unasked and asked.queries else None

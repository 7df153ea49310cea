"""The first thread's work: images in, views with features out; images that wait together in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gem_ros.errors import GemError
from gem_ros.ros.mailbox import Work
from gem_ros.ros.views import Asked, Camera, View

if TYPE_CHECKING:
    from gem_ros.pipeline import Grounder


@dataclass
class Eye:
    """A camera's newest image: a message while nobody listens, else what was seen in it. ``arrival`` monotonic s."""

    camera: Camera
    message: Any = None
    arrival: float = 0.0
    view: View | None = None


Seen = tuple[Eye, View, float]  # whose, what, and since when an answer is due (monotonic s)


class Looker:
    """Keeps each camera's newest image and gives it features, once, as soon as there is a question and a listener."""

    def __init__(self, grounder: Grounder, cameras: Iterable[Camera]) -> None:
        self._grounder = grounder
        self._eyes = {camera.name: Eye(camera) for camera in cameras}

    def look(self, works: Sequence[Work[Any]], asked: Asked) -> Iterator[Seen]:
        """Views to answer on, of all the cameras in ``works``; what fails is that camera's problem alone."""
        seen = []
        for work in works:
            eye = self._eyes[work.camera]
            try:
                if view := _view(eye, work, asked):
                    seen.append((eye, view, work.since))
            except GemError as error:
                eye.camera.observer.problem(str(error))
        if seen and asked.queries:
            features = self._grounder.encode_images([view.rgb for _, view, _ in seen], config=asked.config)
            for (_, view, _), each in zip(seen, features, strict=True):
                view.features = each
        yield from seen


def _view(eye: Eye, work: Work[Any], asked: Asked) -> View | None:
    """What is to be looked at now, if anything."""
    if work.item is not None:
        eye.message, eye.arrival, eye.view = work.item, work.since, None
    elif work.since - eye.arrival > asked.config.max_age:
        return None
    if not eye.camera.outputs.wanted():
        return None
    if eye.message is not None:
        message, eye.message = eye.message, None
        eye.view = eye.camera.inputs.read(message, eye.arrival)
        return eye.view
    # a question that came when it had been handed over without features, for want of one
    return eye.view if eye.view and eye.view.features is None and asked.queries else None

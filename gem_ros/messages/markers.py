"""What was found as visualization_msgs/MarkerArray, for RViz and Foxglove."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from gem_ros.data import Box, Grounding, Target, Track
from gem_ros.messages.build import NS, UPRIGHT, Builder, Numbers, stamp_of
from gem_ros.messages.overlay import colour

MARKER = "visualization_msgs/msg/Marker"
_ARROW, _CUBE, _SPHERE, _TEXT, _DELETE_ALL = 0, 1, 2, 9, 3  # visualization_msgs/Marker's constants
_BALL, _LETTER, _BEARING = 0.06, 0.05, 1.0  # m: a marker's diameter, its text's height, an arrow's length
_FAINT = 0.3  # opacity of what is not seen now, and of boxes
_THIN = 1e-3  # m; RViz refuses a scale of zero
_IMAGE_UP, _Z_UP = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])


def marker_array(build: Builder, header: Any, image_header: Any, grounding: Grounding, *, z_up: bool) -> Any:
    """Spheres, boxes and texts in the points' frame (``header``), arrows to what is only a bearing in the image's.

    ``z_up`` says whether z points up in the points' frame; if not it is a camera optical frame, where -y does.
    """
    up = _Z_UP if z_up else _IMAGE_UP
    markers = [build.make(MARKER, header=header, action=_DELETE_ALL)]
    for number, target in enumerate(target for target in grounding.targets if target.found):
        if target.point is not None:
            markers += _Group(build, header, number, target.query_index).thing(target, target.point, up)
        elif target.ray is not None:
            markers += _Group(build, image_header, number, target.query_index).bearing(target, target.ray)
    # In a camera's own frame what is out of view would move along with the camera.
    for number, track in enumerate(grounding.remembered if z_up else ()):
        if track.position is not None:
            markers += _Group(build, header, number, track.query_index).remembered(track, track.position, up)
    return build.make("visualization_msgs/msg/MarkerArray", markers=markers)


class _Group:
    """The markers of one thing: same header, ``number`` as their id, its query's colour."""

    def __init__(self, build: Builder, header: Any, number: int, query_index: int) -> None:
        self._build, self._common = build, {"header": header, "id": number}
        self._colour = tuple(channel / 255 for channel in reversed(colour(query_index)))  # R, G, B

    def thing(self, target: Target, point: Numbers, up: Numbers) -> Iterator[Any]:
        """A ball at the point, what is known of the extent, and the name above both."""
        top = float(point @ up) + _BALL / 2
        yield self._solid("targets", _SPHERE, point, np.full(3, _BALL))
        if target.box is not None:
            top = max(top, _top(target.box, up))
            centre, size, turned = target.box.centre, np.maximum(target.box.size, _THIN), target.box.rotation
            yield self._solid("boxes", _CUBE, centre, size, alpha=_FAINT, rotation=turned)
        yield self._text("texts", point + up * (top - point @ up), up, _label(target))

    def bearing(self, target: Target, ray: Numbers) -> Iterator[Any]:
        """An arrow from the camera with the name at its tip."""
        ends = [self._build.point(np.zeros(3)), self._build.point(ray * _BEARING)]
        shape = np.array([0.01, 0.03, 0.05])  # m: diameters of shaft and head, length of the head
        yield self._solid("bearings", _ARROW, np.zeros(3), shape, points=ends)
        yield self._text("texts", ray * _BEARING + _IMAGE_UP * _BALL / 2, _IMAGE_UP, _label(target))

    def remembered(self, track: Track, position: Numbers, up: Numbers) -> Iterator[Any]:
        """A faint ball where a thing was, and for how long it has been out of view."""
        yield self._solid("last_seen", _SPHERE, position, np.full(3, _BALL), alpha=_FAINT)
        age = (stamp_of(self._common["header"]) - track.seen) / NS
        yield self._text("last_seen_texts", position + up * _BALL / 2, up, f"{track.query}, {age:.0f} s ago")

    def _solid(
        self,
        space: str,
        kind: int,
        at: Numbers,
        size: Numbers,
        *,
        alpha: float = 1.0,
        rotation: Numbers = UPRIGHT,
        **more: Any,
    ) -> Any:
        pose, scale = self._build.pose(at, rotation), self._build.vector(size)
        colour = self._rgba(self._colour, alpha)
        return self._build.make(
            MARKER, ns=space, type=kind, pose=pose, scale=scale, color=colour, **self._common, **more
        )

    def _text(self, space: str, below: Numbers, up: Numbers, text: str) -> Any:
        """White letters that stand on the point ``below``."""
        white, scale = self._rgba((1.0, 1.0, 1.0), 1.0), self._build.vector([0.0, 0.0, _LETTER])
        pose = self._build.pose(below + up * _LETTER)
        fields = {"type": _TEXT, "pose": pose, "scale": scale, "color": white, "text": text}
        return self._build.make(MARKER, ns=space, **fields, **self._common)

    def _rgba(self, channels: tuple[float, ...], alpha: float) -> Any:
        red, green, blue = channels
        return self._build.make("std_msgs/msg/ColorRGBA", r=red, g=green, b=blue, a=alpha)


def _label(target: Target) -> str:
    number = "" if target.track is None else f" #{target.track.id}"
    return f"{target.query} {target.score:.2f}{number}"


def _top(box: Box, up: Numbers) -> float:
    """How far a box reaches along ``up``, from the frame's origin."""
    return float(box.centre @ up + np.abs(up @ box.rotation) @ box.size / 2)

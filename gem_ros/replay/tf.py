"""A camera's pose out of recorded tf: the chain of transforms between two frames at one moment.

As tf2 has it: interpolated between the transforms around the moment, and nothing extrapolated; static ones hold always.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.errors import DecodeError, GeometryError
from gem_ros.geometry.frames import pose_at
from gem_ros.messages import decode

Matrix = npt.NDArray[np.float64]
KEEP = 3_000_000_000  # ns of arrival


@dataclass
class _Link:
    """How a frame lies in its parent: ``static``, or ``moments``, (stamp, arrival, T_parent_child) by stamp (ns)."""

    parent: str
    static: Matrix | None = None
    moments: list[tuple[int, int, Matrix]] = field(default_factory=list)

    def add(self, stamp: int, arrival: int, matrix: Matrix) -> None:
        at = bisect_left(self.moments, stamp, key=itemgetter(0))
        same = at < len(self.moments) and self.moments[at][0] == stamp
        self.moments[at : at + same] = [(stamp, arrival, matrix)]
        # One older than all that is asked for stays: a slow link needs it to interpolate from.
        while len(self.moments) > 2 and self.moments[1][1] < arrival - KEEP:
            del self.moments[0]

    def at(self, stamp: int) -> Matrix:
        if self.static is not None:
            return self.static
        stamps, matrices = [each[0] for each in self.moments], [each[2] for each in self.moments]
        return pose_at(stamp, stamps, matrices, math.inf)


class TransformBuffer:
    """The transforms of the last seconds; frame names without a leading slash, which ROS 1 allows."""

    def __init__(self) -> None:
        self._links: dict[str, _Link] = {}

    def add(self, message: Any, arrival: int, *, static: bool) -> None:
        """A tf2_msgs/TFMessage that arrived at ``arrival`` ns; what is no rigid motion in it is left out."""
        for each in message.transforms:
            try:
                pose, stamp = decode.transform(each), decode.stamp_ns(each.header.stamp)
            except DecodeError:  # of a localiser that does not know yet where it is
                continue
            child, parent = plain(each.child_frame_id), plain(pose.frame_id)
            link = self._links.get(child)
            if link is None or link.parent != parent:  # as in tf2 the newest parent holds
                link = self._links[child] = _Link(parent)
            if static:
                link.static = pose.matrix
            else:
                link.add(stamp, arrival, pose.matrix)

    def root(self, frame: str) -> str | None:
        """The frame from which all of ``frame``'s tree hangs; None while ``frame`` is in no transform."""
        way = self._way(plain(frame))
        return way[-1] if len(way) > 1 else None

    def lookup(self, target: str, source: str, stamp: int) -> Matrix:
        """T_target_source (4, 4) at ``stamp`` ns; :class:`GeometryError` says in one line why there is none."""
        up, down = self._way(plain(source)), self._way(plain(target))
        common = next((frame for frame in up if frame in down), None)
        for frame, way in ((source, up), (target, down)):
            if common is None and len(way) == 1 and way[0] not in self._frames():
                known = ", ".join(sorted(self._frames())) or "none"
                raise GeometryError(f"tf: expected a frame {frame or repr(frame)}, got frames: {known}")
        if common is None:
            raise GeometryError(f"tf: expected one tree, got {source} below {up[-1]} and {target} below {down[-1]}")
        common_source = self._chain(up[: up.index(common)], stamp)
        common_target = self._chain(down[: down.index(common)], stamp)
        return np.asarray(np.linalg.solve(common_target, common_source), np.float64)

    def _frames(self) -> set[str]:
        return set(self._links) | {link.parent for link in self._links.values()}

    def _way(self, frame: str) -> list[str]:
        """``frame``, its parent, and so on to the root."""
        way = [frame]
        while (link := self._links.get(way[-1])) is not None:
            if link.parent in way:
                raise GeometryError(f"tf: expected a tree, got a circle: {' -> '.join((*way, link.parent))}")
            way.append(link.parent)
        return way

    def _chain(self, frames: list[str], stamp: int) -> Matrix:
        """The product of the motions of ``frames`` in their parents, the last one's first."""
        result = np.eye(4)
        for frame in frames:
            link = self._links[frame]
            try:
                result = link.at(stamp) @ result
            except GeometryError as error:
                raise GeometryError(f"tf {link.parent} -> {frame}: {error}") from error
        return result


def plain(frame: str) -> str:
    """A frame's name without ROS 1's leading slash."""
    return frame.removeprefix("/")

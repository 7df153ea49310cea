"""Where to stand in front of a thing: a pose on the ground for a planner."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gem_ros.data import Box

Numbers = npt.NDArray[np.float64]

CLEARANCE = 0.05  # m that the goal keeps from the nearest corner of the box
ABOVE = 0.01  # m on the ground: a camera nearer than this is straight above the thing
VERTICAL = 0.01  # sine of the angle to the vertical below which a camera looks straight down, or up


class Goal(NamedTuple):
    """A pose on the ground (z = 0): ``x``, ``y`` m, ``yaw`` rad in [-pi, pi] from x to y."""

    x: float
    y: float
    yaw: float


def standoff_goal(point: Numbers, camera: Numbers, standoff: float, box: Box | None = None) -> Goal | None:
    """``standoff`` m (>= 0) in front of ``point`` (3,) m on the way to the camera, facing the point.

    All in a frame whose z points up, with the ground at z = 0; ``camera`` (4, 4) is T_frame_camera of the
    optical frame. Distances are on the ground. Where a corner of ``box`` comes nearer to the goal than
    :data:`CLEARANCE`, the goal stands back until it does not. A camera straight above the thing stands
    where it looks from; None where it looks straight down too, and for numbers that are not finite.
    """
    given = [point, camera, np.array(standoff)] + ([] if box is None else [box.centre, box.size, box.rotation])
    if not all(np.isfinite(each).all() for each in given):
        return None
    towards = _towards_camera(point, camera)
    if towards is None:
        return None
    reach = -math.inf if box is None else float(((_corners(box)[:, :2] - point[:2]) @ towards).max())
    distance = max(standoff, reach + CLEARANCE)
    x, y = point[:2] + distance * towards
    return Goal(float(x), float(y), math.atan2(-towards[1], -towards[0]))


def turn(one: float, other: float) -> float:
    """The smaller angle between two headings, rad in [0, pi]."""
    return abs(math.remainder(one - other, math.tau))


def _towards_camera(point: Numbers, camera: Numbers) -> Numbers | None:
    """Unit vector (2,) on the ground from the thing to the camera."""
    way, shortest = camera[:2, 3] - point[:2], ABOVE
    if math.hypot(*way) < ABOVE:
        way, shortest = -camera[:2, 2], VERTICAL  # the optical axis is z
    length = math.hypot(*way)
    return None if length < shortest else np.asarray(way / length)


def _corners(box: Box) -> Numbers:
    """(8, 3) m."""
    signs = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    return np.asarray(box.centre + (signs * box.size) @ box.rotation.T)

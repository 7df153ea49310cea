"""Whether neighbouring images agree, without anybody's truth: targets brought together by pose and depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gem_ros.data import Grounding, Observation
from gem_ros.geometry.camera import back_project, project
from gem_ros.replay.masks import Mask

Matrix = npt.NDArray[np.float64]
MOST = 4000  # pixels of a region that are looked up in the other image: 1 % of the overlap is 40 of them


@dataclass(frozen=True)
class Agreement:
    """``overlap`` (Dice, [0, 1]) of the regions, ``moved`` m between the best targets' points; None: cannot be said."""

    overlap: float | None = None
    moved: float | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """One image and what was found in it: ``regions`` (H, W) by query index; ``points`` m in its camera's frame."""

    observation: Observation
    regions: Mapping[int, Mask]
    points: Mapping[int, npt.NDArray[np.float64]]


def seen(observation: Observation, grounding: Grounding) -> Seen:
    """What ``grounding``, with points in the camera's frame, found in ``observation``."""
    regions: dict[int, Mask] = {}
    points: dict[int, npt.NDArray[np.float64]] = {}
    for target in grounding.targets:
        if target.found and target.region is not None:
            before = regions.get(target.query_index)
            regions[target.query_index] = target.region if before is None else before | target.region
        if target.found and target.point is not None:
            points.setdefault(target.query_index, target.point)  # the best comes first
    return Seen(observation, regions, points)


def agreement(before: Seen | None, now: Seen, query_index: int) -> Agreement:
    """How far the two agree about a query that both found."""
    motion = None if before is None else _motion(before.observation, now.observation)
    if before is None or motion is None:
        return Agreement()
    overlap = moved = None
    if query_index in before.points and query_index in now.points:
        placed = motion[:3, :3] @ before.points[query_index] + motion[:3, 3]
        moved = float(np.linalg.norm(placed - now.points[query_index]))
    if query_index in before.regions and query_index in now.regions:
        overlap = _overlap(before, now, motion, query_index)
    return Agreement(overlap, moved)


def _motion(before: Observation, now: Observation) -> Matrix | None:
    """T_now_before of the cameras."""
    if before.pose is None or now.pose is None or before.pose.frame_id != now.pose.frame_id:
        return None
    return np.asarray(np.linalg.solve(now.pose.matrix, before.pose.matrix), np.float64)


def _overlap(before: Seen, now: Seen, motion: Matrix, query_index: int) -> float | None:
    """Dice over the pixels of both regions whose surface lies in the other image; what hides there is not looked at."""
    one, two = before.regions[query_index], now.regions[query_index]
    there = _looked_up(before.observation, one, now.observation, two, motion)
    back = _looked_up(now.observation, two, before.observation, one, np.asarray(np.linalg.inv(motion), np.float64))
    found = [each for each in (there, back) if each is not None]
    weights = [each[1] for each in found]
    return None if not found else float(np.average([each[0] for each in found], weights=weights))


def _looked_up(
    source: Observation, region: Mask, target: Observation, wanted: Mask, motion: Matrix
) -> tuple[float, int] | None:
    """(share of ``region``'s surface that falls on ``wanted``, pixels of the region); None where none can be said."""
    if source.depth is None or source.camera is None or target.camera is None or source.depth.shape != region.shape:
        return None
    rows, columns = np.nonzero(region & np.isfinite(source.depth))
    step = max(rows.size // MOST, 1)
    rows, columns = rows[::step], columns[::step]
    pixels = np.stack([columns, rows], axis=1).astype(np.float64)
    points = back_project(source.camera, pixels, source.depth[rows, columns]) @ motion[:3, :3].T + motion[:3, 3]
    points = points[points[:, 2] > 0]
    u, v = np.floor(project(target.camera, points) + 0.5).astype(np.int64).T
    height, width = wanted.shape
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    if not inside.any():
        return None
    return float(wanted[v[inside], u[inside]].mean()), int(np.count_nonzero(region))

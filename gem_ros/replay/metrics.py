"""How good an answer is: pure functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gem_ros.data import CameraIntrinsics
from gem_ros.geometry.camera import back_project


@dataclass(frozen=True)
class Summary:
    """``count`` values, their ``median`` and 90th and 95th percentile; NaN where there is none."""

    count: int
    median: float
    p90: float
    p95: float
    worst: float


def summary(values: Iterable[float]) -> Summary:
    """Describe the finite ones of ``values`` (linear interpolation between ranks)."""
    finite = np.array([value for value in values if math.isfinite(value)], np.float64)
    if not finite.size:
        return Summary(0, math.nan, math.nan, math.nan, math.nan)
    median, p90, p95, worst = np.percentile(finite, (50, 90, 95, 100)).tolist()
    return Summary(int(finite.size), median, p90, p95, worst)


def rate(hits: Iterable[bool]) -> float:
    """The share of true ones in [0, 1]; NaN of nothing."""
    collected = list(hits)
    return sum(collected) / len(collected) if collected else math.nan


def pointing_hit(pixel: Sequence[float] | None, mask: npt.NDArray[np.bool_]) -> bool:
    """Whether pixel (u, v) (integers are pixel centres) lies on the (H, W) mask; no pixel is a miss.

    The pointing game of Zhang et al., "Top-down Neural Attention by Excitation Backprop" (2016),
    without its tolerance.
    """
    if pixel is None:
        return False
    column, row = (math.floor(value + 0.5) for value in pixel)
    height, width = mask.shape
    return bool(0 <= column < width and 0 <= row < height and mask[row, column])


def surface_error(
    point: Sequence[float] | None,
    depth: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    camera: CameraIntrinsics,
) -> float:
    """Distance in m from ``point`` to the nearest visible surface point of the object.

    ``point`` (3,) m in the camera optical frame; ``depth`` (H, W) m, NaN invalid; ``mask`` (H, W) is
    where the object is seen. NaN without a point or without a pixel of valid depth.
    """
    rows, columns = np.nonzero(mask & np.isfinite(depth))
    if point is None or not rows.size:
        return math.nan
    surface = back_project(camera, np.stack([columns, rows], axis=1).astype(np.float64), depth[rows, columns])
    return float(np.linalg.norm(surface - np.asarray(point, np.float64), axis=1).min())

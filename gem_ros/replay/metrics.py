"""How good an answer is: pure functions of arrays."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gem_ros.data import CameraIntrinsics
from gem_ros.geometry.camera import back_project
from gem_ros.replay import weighted

Mask = npt.NDArray[np.bool_]


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


def pointing_hit(pixel: Sequence[float] | None, mask: Mask) -> bool:
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
    mask: Mask,
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


def iou(answered: Mask, mask: Mask) -> float:
    """Pixels in both (H, W) masks over those in either, in [0, 1]; NaN of two empty ones."""
    either = int(np.count_nonzero(answered | mask))
    return int(np.count_nonzero(answered & mask)) / either if either else math.nan


def best_iou(relevancy: npt.NDArray[np.float32], mask: Mask) -> float:
    """The highest :func:`iou` that any of 256 even thresholds on (H, W) ``relevancy`` in [0, 1] reaches; NaN without
    a mask: how well the map separates the object, wherever the threshold for regions may lie."""
    if not mask.any():
        return math.nan
    levels = np.clip(relevancy * 255, 0, 255).astype(np.uint8)
    every, inside = (np.bincount(each.ravel(), minlength=256)[::-1].cumsum() for each in (levels, levels[mask]))
    return float((inside / (every + np.count_nonzero(mask) - inside)).max())


@dataclass(frozen=True)
class OperatingPoint:
    """What a score ``threshold`` does: ``precision``: share of the found that is present; ``recall``: share of the
    present that is found; ``false_found``: share of the absent that is found. NaN where that is a share of nothing.
    """

    threshold: float
    precision: float
    recall: float
    false_found: float


@dataclass(frozen=True)
class ReliabilityBin:
    """``count`` answers with scores in [``low``, ``high``) (the last bin: up to 1): their ``mean`` score and the
    ``share`` that is present, which are equal where scores are probabilities; NaN without any."""

    low: float
    high: float
    count: int
    mean: float
    share: float


def auroc(present: npt.ArrayLike, absent: npt.ArrayLike) -> float:
    """Probability that a random one of ``present`` exceeds a random one of ``absent``, ties counting half.

    The area under the ROC curve (Mann and Whitney, 1947); NaN where either is empty.
    """
    above, below = np.ravel(present), np.ravel(absent)
    is_above = np.arange(above.size + below.size) < above.size
    return float(weighted.auroc(np.concatenate([above, below]), is_above, np.ones((1, is_above.size)))[0])


def operating_point(scores: npt.ArrayLike, present: npt.ArrayLike, threshold: float) -> OperatingPoint:
    """What ``threshold`` does to ``scores`` (N,) of what is ``present`` (N,) bool or not."""
    found, truth = np.asarray(scores) >= threshold, np.asarray(present, bool)
    return OperatingPoint(threshold, _share(truth[found]), _share(found[truth]), _share(found[~truth]))


def precision_recall(
    scores: npt.ArrayLike, present: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(precision, recall), (n,) each, at every score that occurs as the threshold, highest first; nothing of nothing
    present."""
    values, truth = np.asarray(scores, np.float64), np.asarray(present, bool)
    order = np.argsort(-values, kind="stable")
    last = np.append(np.diff(values[order]) != 0, True)[: values.size]  # equal scores are found together
    hits, found = np.cumsum(truth[order])[last], np.flatnonzero(last) + 1
    if not truth.any():
        return np.zeros(0), np.zeros(0)
    return hits / found, hits / truth.sum()


def reliability(scores: npt.ArrayLike, present: npt.ArrayLike, bins: int = 10) -> list[ReliabilityBin]:
    """``scores`` (N,) in [0, 1] in ``bins`` of the same width, held against what is ``present`` (N,) bool."""
    values, truth = np.asarray(scores, np.float64), np.asarray(present, bool)
    edges = np.linspace(0.0, 1.0, bins + 1)
    of = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, bins - 1)
    found = []
    for index, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)):
        inside = of == index
        mean = float(values[inside].mean()) if inside.any() else math.nan
        found.append(ReliabilityBin(low, high, int(inside.sum()), mean, _share(truth[inside])))
    return found


def calibration_error(bins: Iterable[ReliabilityBin]) -> float:
    """Mean of |mean score − share present| over the answers in ``bins``: the expected calibration error.

    Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (2015).
    """
    filled = [each for each in bins if each.count]
    count = sum(each.count for each in filled)
    return sum(each.count * abs(each.mean - each.share) for each in filled) / count if count else math.nan


def brier_score(scores: npt.ArrayLike, present: npt.ArrayLike) -> float:
    """Mean squared difference of ``scores`` from 1 where ``present``, from 0 elsewhere (Brier, 1950); 0 is best."""
    differences = np.asarray(scores, np.float64) - np.asarray(present, np.float64)
    return float(np.mean(differences**2)) if differences.size else math.nan


def _share(flags: Mask) -> float:
    return float(flags.mean()) if flags.size else math.nan

"""The metrics of an evaluation: each with its name, what it says, and its definition over rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gem_ros.replay import weighted
from gem_ros.replay.columns import Columns, Flags, Values


@dataclass(frozen=True)
class Metric:
    """A number over rows: ``of`` gives it for each of B resamples, whose ``weights`` (B, N) say how often rows count.

    ``higher`` is better, or lower, or neither (None). Without ``resampled`` there is no interval, as ``of`` does not
    heed the weights.
    """

    name: str
    help: str
    of: Callable[[Columns, Values], Values]
    higher: bool | None = True
    unit: str = ""
    resampled: bool = True


def _share(of: Callable[[Columns], Flags], among: Callable[[Columns], Flags]) -> Callable[[Columns, Values], Values]:
    def share(rows: Columns, weights: Values) -> Values:
        chosen = among(rows)
        return weighted.mean(of(rows)[chosen], weights[:, chosen])

    return share


def _of_values(
    name: str, among: Callable[[Columns], Flags], quantile: float | None = None
) -> Callable[[Columns, Values], Values]:
    """Mean, or a quantile, of a measured value over rows where it is known."""

    def of(rows: Columns, weights: Values) -> Values:
        values = rows.values[name]
        chosen = among(rows) & np.isfinite(values)
        if quantile is None:
            return weighted.mean(values[chosen], weights[:, chosen])
        return weighted.quantile(values[chosen], weights[:, chosen], quantile)

    return of


def _known(rows: Columns) -> Flags:
    return rows.present | rows.absent


def _seen(rows: Columns) -> Flags:
    return rows.present & rows.found


def _f1(rows: Columns, weights: Values) -> Values:
    right = (weights[:, _seen(rows)]).sum(axis=1)
    claimed, there = (weights[:, each].sum(axis=1) for each in (rows.found & _known(rows), rows.present))
    return weighted.divided(2 * right, np.where(there > 0, claimed + there, 0.0))


def _auroc(rows: Columns, weights: Values) -> Values:
    known = _known(rows)
    return weighted.auroc(rows.score[known], rows.present[known], weights[:, known])


def _switches(rows: Columns, weights: Values) -> Values:
    total: Values = weights[:, rows.switched].sum(axis=1)
    return total if rows.present.any() else np.full(len(weights), np.nan)


def _jitter(rows: Columns, weights: Values) -> Values:
    known = np.isfinite(rows.step2)
    return np.asarray(np.sqrt(weighted.mean(rows.step2[known], weights[:, known]) / 2))


def _flips(rows: Columns, weights: Values) -> Values:
    known = np.isfinite(rows.flipped)
    return weighted.mean(rows.flipped[known], weights[:, known])


def _first_hit(rows: Columns, weights: Values) -> Values:
    return np.full(len(weights), np.median(rows.first_hits) if rows.first_hits.size else np.nan)


def _never(rows: Columns, weights: Values) -> Values:
    return np.full(len(weights), rows.never_hit if rows.first_hits.size else np.nan)


METRICS = (
    Metric("found_recall", "found, of the images that show it", _share(lambda c: c.found, lambda c: c.present)),
    Metric(
        "found_precision",
        "really in view, of the images in which it was found",
        _share(lambda c: c.present, lambda c: c.found & _known(c)),
    ),
    Metric("found_f1", "harmonic mean of found_recall and found_precision", _f1),
    Metric("presence_auroc", "a random image that shows it scores higher than one that does not", _auroc),
    Metric(
        "absent_rate", "not found, of the images that do not show it", _share(lambda c: ~c.found, lambda c: c.absent)
    ),
    Metric(
        "pointing_accuracy",
        "found with its pixel on the thing, of the images that show it",
        _share(lambda c: c.pointed, lambda c: c.present),
    ),
    Metric("pointing_when_found", "pixel on the thing, where found and in view", _share(lambda c: c.pointed, _seen)),
    Metric(
        "iou",
        "overlap of the found regions with the true mask, 0 where not found",
        _of_values("iou", lambda c: c.present),
    ),
    Metric(
        "best_iou",
        "the same of the relevancy map, cut at each image's best threshold",
        _of_values("best_iou", lambda c: c.present),
    ),
    Metric(
        "error_median_m",
        "3D distance to the visible surface, where found",
        _of_values("error_m", _seen, 0.5),
        False,
        "m",
    ),
    Metric("error_p90_m", "the same, 90 % are within", _of_values("error_m", _seen, 0.9), False, "m"),
    Metric("first_hit_s", "from first in view to first pointed at, median", _first_hit, False, "s", resampled=False),
    Metric("never_hit", "things never pointed at", _never, False, resampled=False),
    Metric("id_switches", "times a thing was pointed at under another track", _switches, False),
    Metric("jitter_m", "movement of tracks against the truth, from image to image", _jitter, False, "m"),
    Metric(
        "found_rate", "found, of the images not known to lack it", _share(lambda c: c.found, lambda c: ~c.absent), None
    ),
    Metric("located_rate", "with a 3D point, where found", _share(lambda c: c.point, lambda c: c.found)),
    Metric(
        "depth_valid", "region's pixels with valid depth, where found", _of_values("depth_valid", lambda c: c.found)
    ),
    Metric(
        "stability_overlap",
        "overlap of the regions of neighbouring images, brought together by pose and depth",
        _of_values("overlap", lambda c: c.found),
    ),
    Metric(
        "stability_m", "distance of their points, median", _of_values("moved_m", lambda c: c.found, 0.5), False, "m"
    ),
    Metric("flip_rate", "neighbouring images that disagree on found", _flips, False),
)
BY_NAME = {each.name: each for each in METRICS}

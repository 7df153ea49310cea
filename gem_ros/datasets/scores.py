"""Counts of pixels and points, and the numbers made of them. Pure functions.

IoU of a class = both / (predicted + true − both), counted over all images together; mIoU is the mean over the classes
that occur. For points the same is counted over points (p-mIoU; OpenImages V7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gem_ros.datasets.samples import IGNORED, Labels, Points

Array = npt.NDArray[np.int64]


@dataclass
class Counts:
    """Per label (C,): where prediction and truth are both it, where the prediction is, where the truth is."""

    both: Array
    predicted: Array
    true: Array

    @classmethod
    def zeros(cls, labels: int) -> Counts:
        """Nothing counted yet."""
        return cls(*(np.zeros(labels, np.int64) for _ in range(3)))

    def __iadd__(self, other: Counts) -> Counts:
        self.both += other.both
        self.predicted += other.predicted
        self.true += other.true
        return self

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """(C,) in [0, 1]; NaN where a label is neither predicted nor true."""
        union = self.predicted + self.true - self.both
        iou: npt.NDArray[np.float64] = np.divide(self.both, union, out=np.full(len(union), np.nan), where=union > 0)
        return iou

    @property
    def mean_iou(self) -> float:
        """Mean over the labels that occur; NaN where none does."""
        known = self.iou[np.isfinite(self.iou)]
        return float(known.mean()) if known.size else float("nan")


def count_pixels(predicted: npt.NDArray[np.integer], truth: Labels, labels: int) -> Counts:
    """(H, W) labels from 0 against the truth; what is :data:`IGNORED` there does not count at all."""
    valid = truth != IGNORED
    guess, known = predicted[valid], truth[valid]
    bins = {"minlength": labels}
    return Counts(np.bincount(known[guess == known], **bins), np.bincount(guess, **bins), np.bincount(known, **bins))


def count_points(shown: npt.NDArray[np.bool_], points: Points, classes: int) -> Counts:
    """``shown`` (n,): whether the prediction says that the point shows its class."""
    bins = {"minlength": classes}
    return Counts(
        np.bincount(points.classes[shown & points.positive], **bins),
        np.bincount(points.classes[shown], **bins),
        np.bincount(points.classes[points.positive], **bins),
    )


@dataclass
class Tally:
    """What has been counted of a data set so far: by threshold, and how often a peak lay on its class."""

    labels: int
    by_threshold: dict[float, Counts] = field(default_factory=dict)
    hits: int = 0
    tries: int = 0
    images: int = 0

    def add(self, counts: Mapping[float, Counts], hits: int, tries: int) -> None:
        """One more image."""
        for threshold, each in counts.items():
            self.by_threshold.setdefault(threshold, Counts.zeros(self.labels)).__iadd__(each)
        self.hits, self.tries, self.images = self.hits + hits, self.tries + tries, self.images + 1

    @property
    def pointing(self) -> float:
        """Share of the classes in view whose map peaks on them (pointing game); NaN where none is."""
        return self.hits / self.tries if self.tries else float("nan")


def pointing(peaks: Array, truth: Labels, first: int) -> tuple[int, int]:
    """(hits, tries) over the classes in view: ``peaks`` (C, 2) are (u, v), ``first`` the label of class 0."""
    present = [label for label in np.unique(truth).tolist() if label >= first]
    hits = sum(int(truth[peaks[label - first, 1], peaks[label - first, 0]] == label) for label in present)
    return hits, len(present)


def best_threshold(by_threshold: Mapping[float, Counts]) -> float:
    """The threshold with the highest mean IoU: chosen on the images it is reported for."""
    return max(by_threshold, key=lambda each: _or_below(by_threshold[each].mean_iou))


def _or_below(value: float) -> float:
    return value if np.isfinite(value) else -1.0

"""What one variant gave on the scenes, and by how much it moves when other scenes had been drawn."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gem_ros.replay import weighted

MEASURES = ("pointing", "miou", "auroc")


@dataclass(frozen=True, eq=False)
class Found:
    """Of each thing in view (N,): its scene, 1 where the peak lies on it, and IoU (N, T) at every threshold; of each
    question (M,): its scene, whether it is in view, and the map's peak."""

    thing_scene: np.ndarray
    hits: np.ndarray
    overlaps: np.ndarray
    scene: np.ndarray
    present: np.ndarray
    peaks: np.ndarray


@dataclass(frozen=True)
class Draws:
    """How often each of ``scenes`` was drawn, with replacement, in each of ``count`` draws; the first has each once."""

    scenes: int
    count: int = 2000

    @cached_property
    def weights(self) -> np.ndarray:
        """(1 + count, scenes)"""
        drawn = np.random.default_rng(0).multinomial(self.scenes, [1 / self.scenes] * self.scenes, self.count)
        return np.concatenate([np.ones((1, self.scenes), int), drawn])

    def means(self, values: np.ndarray, scene: np.ndarray) -> np.ndarray:
        """(N, ...) values and their scenes -> (1 + count, ...) means."""
        sums = np.zeros((self.scenes, *values.shape[1:]))
        np.add.at(sums, scene, values)
        counts = self.weights @ np.bincount(scene, minlength=self.scenes)
        with np.errstate(invalid="ignore"):  # a draw of nothing: NaN
            return self.weights @ sums / counts.reshape(-1, *[1] * (values.ndim - 1))

    def measures(self, found: Found) -> dict[str, np.ndarray]:
        """By :data:`MEASURES` (1 + count,); mIoU is at the best common threshold of each draw."""
        return {
            "pointing": self.means(found.hits, found.thing_scene),
            "miou": self.means(found.overlaps, found.thing_scene).max(axis=1),
            "auroc": weighted.auroc(found.peaks, found.present, self.weights[:, found.scene].astype(float)),
        }


def interval(draws: np.ndarray) -> list[float]:
    """(1 + count,) -> value, and the 95 % interval around it."""
    low, high = np.nanquantile(draws[1:], (0.025, 0.975)) if len(draws) > 1 else (draws[0], draws[0])
    return [round(float(each), 4) for each in (draws[0], low, high)]


def median_interval(values: np.ndarray, count: int = 2000) -> list[float]:
    """Median of rounds (n,), and its 95 % interval."""
    drawn = np.random.default_rng(0).integers(0, len(values), (count, len(values)))
    return interval(np.concatenate([[np.median(values)], np.median(values[drawn], axis=1)]))


def direction(low: float, high: float) -> int:
    """1: more for certain, -1: less for certain, 0: within chance."""
    return int(low > 0) - int(high < 0)


def agrees(paper: float, low: float, high: float) -> str:
    """Whether a difference here, of an interval, goes the way of the paper's."""
    here = direction(low, high)
    return "within chance" if not here else "agrees" if here == np.sign(paper) else "**differs**"

"""Where a thing is and how surely: measurements of it, and a constant-position Kalman filter that fuses them.

The filter assumes nothing about how a thing moves, only how far it may wander in a second: what is looked for
mostly stands still, and a velocity learned from a few jumpy peaks would carry a track away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gem_ros.data import Target

Numbers = npt.NDArray[np.float64]
Rows = Sequence[Sequence[float]]

# A position or a deviation outside of these is a broken measurement: no camera knows a point to 10 µm, no map
# is larger than the Earth, and a deviation of 1 km says nothing. They also keep every matrix here invertible.
LARGEST_POSITION = 1e8  # m
DEVIATIONS = 1e-5, 1e3  # m
LARGEST_CONDITION = 1e12  # ratio of all variances together to the smallest
ROUNDING = 1e-6  # what is exactly at a limit is within it

UNKNOWN_REGION = 0.05  # deviation of a pixel without a region, share of the image's width: about a patch and a half
SMALLEST_PIXEL = 1.0  # deviation in px; a region of a few pixels does not make a peak more certain than that

_EYE = np.eye(3)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """A place in 3D: ``mean`` (3,) m and ``covariance`` (3, 3) m², symmetric positive definite."""

    mean: Numbers
    covariance: Numbers


@dataclass(frozen=True)
class Pixel:
    """A place in the image, as sure in every direction: (u, v) px and a ``variance`` in px²."""

    u: float
    v: float
    variance: float

    def predicted(self, noise: float, seconds: float) -> Pixel:
        """After ``seconds`` of a random walk of ``noise`` px/√s."""
        return Pixel(self.u, self.v, self.variance + noise * noise * seconds)

    def fused(self, measured: Pixel) -> Pixel:
        """After a measurement: what :func:`fuse` does, with one number for each matrix."""
        gain = self.variance / (self.variance + measured.variance)
        u, v = self.u + gain * (measured.u - self.u), self.v + gain * (measured.v - self.v)
        return Pixel(u, v, gain * measured.variance)

    def distance(self, measured: Pixel) -> float:
        """Squared Mahalanobis distance to a measurement."""
        u, v = measured.u - self.u, measured.v - self.v
        return (u * u + v * v) / (self.variance + measured.variance)


def point_of(target: Target) -> Gaussian | None:
    """The target's 3D measurement, or None where it has none that can be computed with.

    Its covariance is that of the measured surface point, plus that of which of the thing's points was measured:
    uniform over the box, so size²/12 along each of the box's axes.
    """
    if target.point is None or target.covariance is None:
        return None
    mean, covariance = np.asarray(target.point, np.float64), np.asarray(target.covariance, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
        if target.box is not None:
            turn = np.asarray(target.box.rotation, np.float64)
            covariance = covariance + (turn * np.asarray(target.box.size, np.float64) ** 2 / 12) @ turn.T
        covariance = (covariance + covariance.T) / 2
    near = all(abs(each) <= LARGEST_POSITION for each in mean.tolist())  # false for NaN, as below
    return Gaussian(mean, covariance) if near and _is_deviation(covariance.tolist()) else None


def _is_deviation(covariance: Rows) -> bool:
    """Whether a symmetric (3, 3) is one: finite, and its variance positive enough in every direction."""
    if not all(abs(each) <= DEVIATIONS[1] ** 2 for row in covariance for each in row):
        return False
    (a, b, c), (_, d, e), (_, _, f) = covariance
    least = (1 - ROUNDING) * max(DEVIATIONS[0] ** 2, (a + d + f) / LARGEST_CONDITION)
    return _cholesky([[a - least, b, c], [b, d - least, e], [c, e, f - least]]) is not None


def pixel_of(target: Target, width: int) -> Pixel | None:
    """The target's pixel in an image of ``width`` px, or None where it has none.

    As in 3D, the peak may be anywhere on the thing: uniform over a square of the region's area, so area/12.
    """
    if target.pixel is None or not all(map(math.isfinite, target.pixel)):
        return None
    area = 0 if target.region is None else int(np.count_nonzero(target.region))
    variance = area / 12 if area else (UNKNOWN_REGION * width) ** 2
    return Pixel(*target.pixel, max(variance, SMALLEST_PIXEL**2))


def predict(state: Gaussian, noise: float, seconds: float) -> Gaussian:
    """``state`` after ``seconds`` of a random walk of ``noise`` m/√s: P + q² dt I."""
    return Gaussian(state.mean, state.covariance + noise**2 * seconds * _EYE)


def fuse(state: Gaussian, measured: Gaussian) -> Gaussian:
    """``state`` after a measurement of all of it (H = I), in Joseph's form.

    (I − K) P (I − K)ᵀ + K R Kᵀ is a sum of squares: rounding cannot make it indefinite, as it can (I − K) P.
    """
    p, r = state.covariance, measured.covariance
    gain = _divided(p, p + r)
    rest = _EYE - gain
    updated = rest @ p @ rest.T + gain @ r @ gain.T
    return Gaussian(state.mean + gain @ (measured.mean - state.mean), (updated + updated.T) / 2)


def distance(state: Gaussian, measured: Gaussian) -> float:
    """Squared Mahalanobis distance of a state to its measurement: |L⁻¹ (z − x)|² with L Lᵀ = P + R."""
    lower = _cholesky((state.covariance + measured.covariance).tolist())
    if lower is None:
        return math.inf
    (a, b, c, d, e, f), (x, y, z) = lower, (measured.mean - state.mean).tolist()
    x = x / a
    y = (y - b * x) / c
    z = (z - d * x - e * y) / f
    return float(x * x + y * y + z * z)


def _cholesky(matrix: Rows) -> tuple[float, float, float, float, float, float] | None:
    """L with L Lᵀ = ``matrix`` (3, 3), symmetric, row by row; None where that is not positive definite.

    In plain numbers: on matrices this small each of numpy's calls takes several times as long.
    """
    (a, _, _), (b, c, _), (d, e, f) = matrix
    if not a > 0:
        return None
    a = math.sqrt(a)
    b, d = b / a, d / a
    if not (c := c - b * b) > 0:
        return None
    c = math.sqrt(c)
    e = (e - d * b) / c
    if not (f := f - d * d - e * e) > 0:
        return None
    return a, b, c, d, e, math.sqrt(f)


def _divided(p: Numbers, s: Numbers) -> Numbers:
    """P S⁻¹ of symmetric (3, 3), S positive definite: each of its rows k solves L Lᵀ k = that row of P."""
    lower = _cholesky(s.tolist())
    assert lower is not None, "the variances of what is known are limited"
    a, b, c, d, e, f = lower
    rows = []
    for row in p.tolist():
        x = row[0] / a
        y = (row[1] - b * x) / c
        z = (row[2] - d * x - e * y) / f / f
        y = (y - e * z) / c
        rows.append(((x - b * y - d * z) / a, y, z))
    return np.array(rows)

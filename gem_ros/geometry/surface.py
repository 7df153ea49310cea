"""Which of the surfaces in a patch of depth is the thing: what stands out, the nearest of it, and all of it."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

EDGE = 0.04  # relative depth jump between neighbouring pixels that is an edge; a grazed floor has less

HYPOTHESES = 48  # planes tried: with half of the pixels on the plane one in eight holds only such pixels
ON_PLANE = 0.012  # relative distance from a plane within which a depth is on it
PLANE_SUPPORT = 0.3  # share of the pixels that must be on a plane for it to be the background
STAND_OUT = 0.015  # relative distance in front of the background that makes a pixel part of a thing
CLEAR = 3.0  # standard deviations of the sensor's noise that it must be in front as well
THING_SUPPORT = 0.05  # share of the weight that must stand out for there to be a thing

BIN = 0.01  # depth histogram, relative: 1 cm at 1 m
SMOOTH = 1.5  # bins, standard deviation
_REACH = 6  # bins, four of them
_GAUSSIAN = np.exp(-((np.arange(-_REACH, _REACH + 1) / SMOOTH) ** 2) / 2)
_GAUSSIAN /= _GAUSSIAN.sum()
VALLEY = 0.6  # two modes are two surfaces if the density between them falls below this share of the lower
MODE_SUPPORT = 0.4  # share of the weight that makes a nearer surface the thing; with 0.25 what hides its rim won


def depth_noise(depth: Numbers) -> Numbers:
    """Standard deviation in m of a measured depth in m, of any shape: 1.2 mm + 1.9 mm/m² (z − 0.4 m)².

    Measured for structured light by Nguyen, Izadi and Lovell (3DIMPVT 2012), assumed for every camera here.
    """
    return np.asarray(0.0012 + 0.0019 * (depth - 0.4) ** 2)


def flying(depth: npt.NDArray[np.float32]) -> Mask:
    """(H, W) true for pixels between two surfaces: one neighbour jumps nearer and another one farther.

    ``depth`` m, NaN invalid. Sensors average over an object's edge; the edge's own pixels are good.
    """
    kernel, invalid, edge = np.ones((3, 3), np.uint8), np.isnan(depth), EDGE * depth
    nearest = cv2.erode(np.where(invalid, np.float32(1e6), depth), kernel)
    farthest = cv2.dilate(np.where(invalid, np.float32(0), depth), kernel)
    return np.asarray((depth - nearest > edge) & (farthest - depth > edge))


def background_plane(pixels: Numbers, depth: Numbers) -> Numbers | None:
    """The plane that most of ``pixels`` (N, 2), ``depth`` (N,) m lie on, or None where there is none.

    A plane is linear in inverse depth: 1/z = a·u + b·v + c, returned as (3,). Found by random sample
    consensus (Fischler and Bolles 1981) with a fixed seed, refined by least squares.
    """
    if len(depth) < 10:
        return None
    design, inverse = np.column_stack([pixels, np.ones(len(depth))]), 1 / depth
    triples = _triples(len(depth))
    triples = triples[np.abs(np.linalg.det(design[triples])) > 1]  # twice the triangle's area, px²
    if not len(triples):
        return None
    planes = np.linalg.solve(design[triples], inverse[triples][..., None])[..., 0]
    on_plane = np.abs(planes @ design.T - inverse) * depth < ON_PLANE
    best = on_plane[on_plane.sum(axis=1).argmax()]
    if best.mean() < PLANE_SUPPORT:
        return None
    return np.asarray(np.linalg.lstsq(design[best], inverse[best], rcond=None)[0])


@lru_cache(maxsize=1024)
def _triples(count: int) -> npt.NDArray[np.int64]:
    """(HYPOTHESES, 3) indices below ``count``, always the same."""
    return np.random.default_rng(0).integers(count, size=(HYPOTHESES, 3))


def standing_out(pixels: Numbers, depth: Numbers, weights: Numbers, plane: Numbers | None) -> Mask:
    """(N,) true for what is in front of the plane; all of it where too little is."""
    everything = np.ones(len(depth), dtype=bool)
    if plane is None:
        return everything
    front = 1 - (pixels @ plane[:2] + plane[2]) * depth > np.maximum(STAND_OUT, CLEAR * depth_noise(depth) / depth)
    return np.asarray(front if weights[front].sum() > THING_SUPPORT * weights.sum() else everything)


def nearest_surface(depth: Numbers, weights: Numbers) -> Mask:
    """(N,) true for the nearest well-supported mode of the weighted histogram of ``depth`` (N,) m.

    Bins are logarithmic: sensor noise and what a patch covers both grow with distance.
    """
    tail = 4  # empty bins for the smoothing to run out into
    index = ((np.log(depth) - np.log(depth.min())) / BIN).astype(np.int64) + tail
    counts = np.bincount(index, weights, minlength=int(index.max()) + 1 + tail)
    density = np.convolve(counts, _GAUSSIAN)[_REACH:-_REACH]
    cuts = _valleys(density)
    shares = np.add.reduceat(density, cuts) / density.sum()
    chosen = int(np.argmax(shares >= min(MODE_SUPPORT, float(shares.max()))))
    end = cuts[chosen + 1] if chosen + 1 < len(cuts) else len(density)
    return np.asarray((index >= cuts[chosen]) & (index < end))


def unbroken(depth: Numbers, surface: Mask) -> Mask:
    """(N,) true for all of the thing that ``surface`` (N,) is a part of: what no jump in depth parts from it.

    A mug's far wall is behind its near one, but its sides lead there; what stands behind the mug begins
    with a jump. Only depths count, not where the pixels are, so holes in the depth image do no harm.
    """
    order = np.sort(depth)
    ends = np.flatnonzero(np.diff(order) > EDGE * order[:-1])  # the last of each run without a jump
    near, far = depth[surface].min(), depth[surface].max()
    first = order[np.append(0, ends + 1)]
    last = order[np.append(ends, len(order) - 1)]
    return np.asarray((depth >= first[first <= near].max()) & (depth <= last[last >= far].min()))


def _valleys(density: Numbers) -> list[int]:
    """The bins at which a density's modes begin, the first at 0."""
    starts, peak, valley, at = [0], 0.0, np.inf, 0
    for index, value in enumerate(density.tolist()):
        if valley < VALLEY * min(peak, value):
            starts.append(at)
            peak, valley = value, np.inf
        elif value >= peak:
            peak, valley = value, np.inf
        elif value < valley:
            valley, at = value, index
    return starts

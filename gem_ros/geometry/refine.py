"""Larger and sharper relevancy maps: a map that is known per patch, along the edges of the image or of its depth.

The engine is the fast guided filter (He and Sun, arXiv 1505.00996; He, Sun and Tang, ECCV 2010): within
a patch's distance the map becomes a linear function of the guide, so that it has edges where the guide
has some. PAMR (:mod:`gem_ros.geometry.pamr`), which the field publishes with, takes its place where it is asked
for. ``python -m gem_ros.sim.refinement`` measures both and others.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gem_ros.errors import GemError, GeometryError
from gem_ros.geometry.pamr import pamr
from gem_ros.geometry.surface import STAND_OUT, background_plane

Map = npt.NDArray[np.float32]

WORKING_PATCH = 8.0  # px of a patch in which the filter's coefficients are computed; more costs, and gains nothing
SURROUNDINGS = 1.0  # patches around what is high that an edge may move
FAINT = 0.25  # of the map's range: where it is lower, and far from what is higher, nothing is sharpened
COLOUR_NOISE = 2.5  # of 255: what is less is no edge
RELIEF_NOISE = 0.05  # of 1
CONTRAST = 4.0  # times the noise: a guide that varies as much is half trusted
SAMPLES = 400  # pixels that the background plane is found with
HOLE = 5  # px: smaller holes in depth are closed
TOO_NEAR = 1e-3  # m: no camera measures that
NEAREST = 3.0  # times the median nearness; what is nearer is no more of an edge


def upsample(maps: Map, size: tuple[int, int]) -> Map:
    """Patch maps (Q, h, w) -> (Q, H, W) float32, bilinear; pixel and patch centres as in PatchFeatures.

    The same as :func:`gem_ros.core.similarity.upsample` to 1e-5 of the map's range, in a tenth of its time.
    """
    fine = np.empty((len(maps), *size), np.float32)
    for each, into in zip(maps, fine, strict=True):
        cv2.resize(each, size[::-1], dst=into, interpolation=cv2.INTER_LINEAR)
    return fine


def refine(relevancy: Map, guide: npt.NDArray[Any], patch: float, engine: str = "guided") -> Map:
    """``relevancy`` (H, W) in [0, 1], upsampled from patches of ``patch`` px, with the edges of ``guide``.

    ``guide`` is (H, W, 3) uint8 RGB, or (H, W) float depth in m, invalid where it is not finite or not
    positive; the engine ``pamr`` takes an image only. Returns a new (H, W) float32 map, nowhere above the maximum
    of ``relevancy``. Where the guide has no edges, or the image is smaller than a patch, the guided map stays what
    it was. Raises :class:`GeometryError` where guide and map differ in size, and :class:`GemError` where OpenCV
    lacks the filter.
    """
    if engine == "guided":
        check()
    refined = np.array(relevancy, np.float32)
    colours = guide.dtype == np.uint8 and guide.shape == (*refined.shape, 3)
    metres = engine == "guided" and guide.dtype.kind == "f" and guide.shape == refined.shape
    if not colours and not metres:
        size, got = "x".join(map(str, refined.shape[::-1])), f"{guide.dtype} {guide.shape}"
        wanted = "an RGB image or depth in metres" if engine == "guided" else "an RGB image"
        raise GeometryError(f"refinement: expected {wanted} of {size} px, got {got}")
    part = window(refined, patch)
    if part is None:
        return refined
    seen, coarse = guide[part], refined[part]
    if engine == "pamr":
        refined[part] = np.minimum(_stretched(pamr(coarse[None], seen)[0], coarse), coarse.max())
        return refined
    edges = seen / np.float32(COLOUR_NOISE) if colours else _relief(seen, coarse) / np.float32(RELIEF_NOISE)
    refined[part] = _guided(coarse, edges, patch)
    return refined


def check() -> None:
    """Raise :class:`GemError` unless this OpenCV has the fast guided filter (opencv-contrib, 4.10)."""
    version = tuple(int(number) for number in cv2.__version__.split(".")[:2])
    there = hasattr(getattr(cv2, "ximgproc", None), "guidedFilter")
    if version < (4, 10) or not there:
        got = f"{cv2.__version__} {'with' if there else 'without'} it"
        raise GemError(
            f"refinement: expected OpenCV with ximgproc, 4.10 or newer, got {got}; "
            "pip install opencv-contrib-python-headless"
        )


def window(relevancy: Map, patch: float) -> tuple[slice, slice] | None:
    """Rows and columns of what is high in a map, and of its surroundings; None where there is nothing to sharpen."""
    if not relevancy.size or min(relevancy.shape) < patch:
        return None
    low, high = cv2.minMaxLoc(relevancy)[:2]
    if not low < high:
        return None
    left, top, columns, rows = cv2.boundingRect((relevancy > low + FAINT * (high - low)).view(np.uint8))
    around = max(round(SURROUNDINGS * patch), 1)
    return slice(max(top - around, 0), top + rows + around), slice(max(left - around, 0), left + columns + around)


def _guided(relevancy: Map, guide: Map, patch: float) -> Map:
    """The guided filter of a window, as far as the guide (h, w, channels) says anything there.

    The guide is in units of its noise: of smaller numbers OpenCV cannot invert the covariance.
    """
    scale = min(WORKING_PATCH / patch, 1.0)
    radius = max(round(scale * patch), 1)
    filtered = cv2.ximgproc.guidedFilter(guide, relevancy, radius, 1.0, scale=scale)
    filtered = _stretched(np.asarray(filtered, np.float32), relevancy)
    trust = _contrast(guide, radius, scale)
    return np.asarray(np.clip(relevancy + trust * (filtered - relevancy), 0.0, relevancy.max()), np.float32)


def _stretched(filtered: Map, relevancy: Map) -> Map:
    """``filtered`` as high as ``relevancy`` was: averaging lowers the peaks, of small things most."""
    (low, high), top = cv2.minMaxLoc(relevancy)[:2], float(filtered.max())
    return low + (filtered - low) * ((high - low) / (top - low)) if top > low else filtered


def _contrast(guide: Map, radius: int, scale: float) -> Map:
    """How much of an edge is near, (h, w) in [0, 1): local variance v of the guide as v / (v + CONTRAST²)."""
    height, width = guide.shape[:2]
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(guide, size, interpolation=cv2.INTER_AREA)
    box = 2 * radius + 1, 2 * radius + 1
    variances = np.maximum(cv2.sqrBoxFilter(small, -1, box) - cv2.blur(small, box) ** 2, 0.0)
    variance = cv2.transform(variances, np.ones((1, variances.shape[2]), np.float32))  # their sum
    return np.asarray(cv2.resize(variance / (variance + CONTRAST**2), (width, height), interpolation=cv2.INTER_LINEAR))


def _relief(depth: Map, relevancy: Map) -> Map:
    """(h, w, 2) float32: in front of (1) or behind (−1) the background's plane, and nearness.

    A thing that stands on a table has no depth edge at its foot, but it leaves the table's plane. What is
    relevant is no background: else a large thing would be its own. What has no depth counts as infinitely far;
    holes of a few pixels are closed first. Without any depth all is zero.
    """
    valid = np.isfinite(depth) & (depth > TOO_NEAR)
    nearness = np.zeros(depth.shape, np.float32)
    np.divide(1.0, depth, out=nearness, where=valid)
    if not valid.any():
        return np.zeros((*depth.shape, 2), np.float32)
    nearness = np.minimum(nearness / np.median(nearness[valid]), np.float32(NEAREST))
    nearness = np.asarray(cv2.morphologyEx(nearness, cv2.MORPH_CLOSE, np.ones((HOLE, HOLE), np.uint8)))
    around = relevancy < (relevancy.min() + relevancy.max()) / 2
    return np.asarray(cv2.merge([_height(nearness, around), nearness]))


def _height(nearness: Map, around: npt.NDArray[np.bool_]) -> Map:
    """(h, w) in (−1, 1): distance from the plane of what is ``around``, relative to the nearer; 0 without one."""
    step = max(round((nearness.size / SAMPLES) ** 0.5), 1)
    rows, columns = np.nonzero(nearness[::step, ::step] * around[::step, ::step])
    at = rows * step, columns * step
    plane = background_plane(np.column_stack([at[1], at[0]]).astype(np.float64), 1 / nearness[at].astype(np.float64))
    if plane is None:
        return np.zeros_like(nearness)
    v, u = (np.arange(length, dtype=np.float32) for length in nearness.shape)
    a, b, c = plane.astype(np.float32)
    background = np.maximum(a * u + (b * v + c)[:, None], np.finfo(np.float32).tiny)  # the horizon is far away
    nearer = np.maximum(nearness, background)
    return np.asarray(np.tanh((nearness - background) / (2 * STAND_OUT * nearer)))

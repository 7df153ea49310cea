"""From a relevancy map and depth to things in 3D: regions, their peaks, a robust surface point.

A patch of the vision transformer covers 20-30 px of a 640-wide image, so a region bleeds over the
object's edge onto what stands beside and behind it. :func:`measure` therefore looks for the object's
surface among the surfaces in the region instead of averaging them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from gem_ros.data import CameraIntrinsics
from gem_ros.errors import GeometryError
from gem_ros.geometry.camera import back_project

FloatMap = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

BIN = 0.01  # depth histogram, relative: 1 cm at 1 m
SMOOTH = 1.5  # bins
VALLEY = 0.6  # two depth modes are two surfaces if the density between them falls below this share of the lower
SUPPORT = 0.25  # share of the weight near the peak that makes a nearer surface the object
EDGE = 0.04  # relative depth jump between neighbouring pixels that is an edge; a grazed floor has less
LOCAL = 49  # pixels of the surface around the peak that the point is the median of


@dataclass(frozen=True, eq=False)
class Region:
    """One place where a query was found.

    ``pixel`` (u, v) float; ``mask`` (H, W) bool, true at the pixel; ``strength`` of its peak;
    ``patch`` the size in image px of what the model saw as one patch.
    """

    pixel: tuple[float, float]
    mask: Mask
    strength: float
    patch: float


@dataclass(frozen=True, eq=False)
class Measurement:
    """``point`` (3,) m and ``covariance`` (3, 3) m² in the camera optical frame, or None with the reason."""

    point: npt.NDArray[np.float64] | None
    covariance: npt.NDArray[np.float64] | None
    reason: Literal["ok", "no_depth", "out_of_range"]


def find_regions(
    relevancy: FloatMap, strength: FloatMap, threshold: float, max_regions: int, patch: float
) -> list[Region]:
    """Connected places of ``relevancy`` >= ``threshold``, strongest peak first, at least one.

    ``relevancy`` (H, W); ``strength`` (H, W), or (h, w) per patch, says where the peaks are; ``patch``
    px. The first region holds the strongest pixel of all: where that does not reach the threshold, it is
    the half patch around it. Other regions smaller than a quarter of a patch are noise.
    """
    height, width = relevancy.shape
    if strength.shape != relevancy.shape:
        strength = cv2.resize(np.asarray(strength, np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    _, labels, stats, _ = cv2.connectedComponentsWithStats((relevancy >= threshold).view(np.uint8), connectivity=8)
    peak = np.unravel_index(int(np.nanargmax(strength)), strength.shape)
    regions = []
    for label in range(1, len(stats)):
        left, top, columns, rows, area = (int(value) for value in stats[label])
        if area < patch * patch / 4 and label != labels[peak]:
            continue
        window = slice(top, top + rows), slice(left, left + columns)
        inside = labels[window] == label
        mask = np.zeros(relevancy.shape, dtype=bool)
        mask[window] = inside
        row, column = np.unravel_index(int(np.where(inside, strength[window], -np.inf).argmax()), inside.shape)
        regions.append(_region(mask, strength, (int(row) + top, int(column) + left), patch))
    regions.sort(key=lambda region: -region.strength)
    if labels[peak] == 0:
        mask = np.zeros(relevancy.shape, dtype=bool)
        half = max(int(patch / 2), 1)
        mask[max(peak[0] - half, 0) : peak[0] + half + 1, max(peak[1] - half, 0) : peak[1] + half + 1] = True
        regions.insert(0, _region(mask, strength, (int(peak[0]), int(peak[1])), patch))
    return regions[: max(max_regions, 1)]


def _region(mask: Mask, strength: FloatMap, peak: tuple[int, int], patch: float) -> Region:
    """A region with its peak refined below the patch grid: the centroid of what is strong around it."""
    radius = max(round(patch), 1)
    top, left = max(peak[0] - radius, 0), max(peak[1] - radius, 0)
    window = slice(top, peak[0] + radius + 1), slice(left, peak[1] + radius + 1)
    near = strength[window].astype(np.float64)
    weights = np.where(mask[window], near - near.min(), 0.0) ** 2
    total = weights.sum()
    u, v = float(peak[1]), float(peak[0])
    if total > 0:
        rows, columns = np.indices(near.shape)
        centre = left + float((weights * columns).sum() / total), top + float((weights * rows).sum() / total)
        if mask[round(centre[1]), round(centre[0])]:  # the centroid of a ring is not on the ring
            u, v = centre
    return Region((u, v), mask, float(strength[peak]), patch)


def measure(
    region: Region, depth: FloatMap, camera: CameraIntrinsics, min_depth: float, max_depth: float
) -> Measurement:
    """The surface point of the thing in ``region``; ``depth`` (H, W) m, NaN where invalid.

    The nearest surface with enough support around the peak is the object; the point is the median of its
    pixels nearest to the peak. Raises :class:`GeometryError` where depth and region differ in size.
    """
    if depth.shape != region.mask.shape:
        raise GeometryError(
            f"depth: expected the image's size {region.mask.shape[::-1]}, got {depth.shape[::-1]}; register it first"
        )
    left, top, columns, rows = cv2.boundingRect(region.mask.view(np.uint8))
    window = slice(top, top + rows), slice(left, left + columns)
    z, inside = depth[window], region.mask[window]
    valid = inside & (z > 0) & np.isfinite(z)
    if not valid.any():
        return Measurement(None, None, "no_depth")
    usable = valid & (z >= min_depth) & (z <= max_depth)
    if not usable.any():
        return Measurement(None, None, "out_of_range")
    core = usable & ~_edges(np.where(usable, z, np.nan))
    v, u = np.nonzero(core if core.any() else usable)  # a thin object is nothing but edges
    z = z[v, u].astype(np.float64)
    squared = (u + left - region.pixel[0]) ** 2 + (v + top - region.pixel[1]) ** 2
    weights = np.exp(-squared / (2 * region.patch**2)) + 1e-9
    low, high = nearest_surface(z, weights)
    members = np.flatnonzero((z >= low) & (z <= high))
    if len(members) > LOCAL:
        members = members[np.argpartition(squared[members], LOCAL)[:LOCAL]]
    pixels = np.column_stack([u[members] + left, v[members] + top])
    return _surface_point(camera, pixels, z[members], region.patch)


def nearest_surface(depth: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Depth interval of the nearest well-supported mode of a weighted depth histogram.

    ``depth`` (N,) m, ``weights`` (N,). Bins are logarithmic, since both sensor noise and the size of what
    fills a patch grow with distance.
    """
    first = float(np.log(depth.min()))
    index = ((np.log(depth) - first) / BIN).astype(np.int64) + 4  # room for the smoothing's tails
    density = gaussian_filter1d(np.bincount(index, weights, minlength=int(index.max()) + 5), SMOOTH, mode="constant")
    cuts = _valleys(density)
    shares = np.add.reduceat(density, cuts[:-1]) / density.sum()
    chosen = int(np.argmax(shares >= min(SUPPORT, float(shares.max()))))
    low, high = cuts[chosen] - 4, cuts[chosen + 1] - 4
    return float(np.exp(first + low * BIN)), float(np.exp(first + high * BIN))


def _valleys(density: npt.NDArray[np.float64]) -> list[int]:
    """Bins at which a density falls apart into its modes: [0, cut, ..., len]."""
    cuts, peak, valley, at = [0], 0.0, np.inf, 0
    for index, value in enumerate(density.tolist()):
        if valley < VALLEY * min(peak, value):
            cuts.append(at)
            peak, valley = value, np.inf
        if value >= peak:
            peak, valley = value, np.inf
        elif value < valley:
            valley, at = value, index
    return [*cuts, len(density)]


def _edges(depth: FloatMap) -> Mask:
    """(H, W) true where depth jumps by more than :data:`EDGE` between a pixel and one of its neighbours."""
    nearest = cv2.erode(np.nan_to_num(depth, nan=np.inf), np.ones((3, 3), np.uint8))
    farthest = cv2.dilate(np.nan_to_num(depth, nan=-np.inf), np.ones((3, 3), np.uint8))
    return np.asarray(farthest - nearest > EDGE * depth)


def _surface_point(
    camera: CameraIntrinsics, pixels: npt.NDArray[np.int64], depth: npt.NDArray[np.float64], patch: float
) -> Measurement:
    """Median of the back-projected pixels (N, 2), with what is uncertain about it.

    Depth noise: 1.2 mm + 1.9 mm/m² (z − 0.4 m)², measured for structured light by Nguyen, Izadi and Lovell
    (3DIMPVT 2012) and assumed for every camera here, plus the spread of the surface; across the ray: a
    peak is known to a patch (uniform: patch/√12).
    """
    points = back_project(camera, pixels, depth)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):  # pixels that the lens model cannot undo
        return Measurement(None, None, "no_depth")
    point = np.median(points, axis=0)
    z = point[2]
    spread = 1.4826 * np.median(np.abs(points[:, 2] - z))  # MAD of a normal distribution
    along = point / z
    across = patch / np.sqrt(12) * z * np.diag([1 / camera.fx, 1 / camera.fy, 0.0])
    variance = (0.0012 + 0.0019 * (z - 0.4) ** 2) ** 2 + spread**2
    covariance = across @ across + variance * np.outer(along, along)
    return Measurement(point, covariance, "ok")

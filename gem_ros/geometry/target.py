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

from gem_ros.data import CameraIntrinsics
from gem_ros.errors import GeometryError
from gem_ros.geometry.camera import back_project
from gem_ros.geometry.surface import background_plane, flying, nearest_surface, standing_out

Map = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]

SURFACE_PIXELS = 49  # of the surface around the peak, which the point is the median of
SURROUNDINGS = 2.5  # patches to each side of the peak in which the background is looked for
ENOUGH = 20_000  # pixels of a region that are looked at
SAMPLES = 400  # pixels of the surroundings that are looked at


@dataclass(frozen=True, eq=False)
class Region:
    """One place where a query was found.

    ``pixel`` (u, v) float; ``mask`` (H, W) bool, true at the pixel; ``strength`` of its strongest patch;
    ``patch`` the size in image px of one patch.
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


def find_regions(relevancy: Map, strength: Map, threshold: float, max_regions: int, patch: float) -> list[Region]:
    """Connected places of ``relevancy`` (H, W) >= ``threshold``, strongest first, at least one.

    ``strength`` (h, w), one value per patch of ``patch`` px, says where the peaks are; at the image's size
    it is reduced to patches first. The first region holds the strongest patch of all; where that does not
    reach the threshold, it is the patch itself. Specks that hold no patch's centre are no regions.
    """
    height, width = relevancy.shape
    if strength.shape == relevancy.shape and patch > 1:
        grid = max(round(width / patch), 1), max(round(height / patch), 1)
        strength = np.asarray(cv2.resize(strength, grid, interpolation=cv2.INTER_AREA), np.float32)
    labels = _label(relevancy >= threshold)
    rows, columns = _centres(height, strength.shape[0]), _centres(width, strength.shape[1])
    of_patch = labels[np.ix_(rows.round().astype(int), columns.round().astype(int))]
    order = np.argsort(-strength, axis=None)
    found, first = np.unique(of_patch.ravel()[order], return_index=True)
    # Each component's strongest patch, strongest first; below the threshold only if it is the strongest of all.
    peaks = order[np.sort(first[(found > 0) | (first == 0)])]
    regions = []
    for peak in peaks[: max(max_regions, 1)]:
        row, column = divmod(int(peak), len(columns))
        label, centre = of_patch[row, column], (float(columns[column]), float(rows[row]))
        mask = labels == label if label else _square(relevancy.shape, centre, patch)
        near = slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2)
        pixel = _centroid(strength[near], of_patch[near] == label, rows[near[0]], columns[near[1]])
        if not mask[round(pixel[1]), round(pixel[0])]:  # the centroid of a ring is not on the ring
            pixel = centre
        regions.append(Region(pixel, mask, float(strength[row, column]), patch))
    return regions


def _label(above: Mask) -> npt.NDArray[np.int32]:
    """Connected components numbered from 1; only their bounding box is searched."""
    labels = np.zeros(above.shape, np.int32)
    left, top, columns, rows = cv2.boundingRect(above.view(np.uint8))
    if columns:
        window = slice(top, top + rows), slice(left, left + columns)
        labels[window] = cv2.connectedComponents(np.ascontiguousarray(above[window]).view(np.uint8))[1]
    return labels


def _centres(pixels: int, patches: int) -> Numbers:
    """Where the patches' centres are along one side of an image, px."""
    return np.asarray((np.arange(patches) + 0.5) * pixels / patches - 0.5)


def _square(shape: tuple[int, ...], centre: tuple[float, float], side: float) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    (u, v), half = map(round, centre), int(side / 2)
    mask[max(v - half, 0) : v + half + 1, max(u - half, 0) : u + half + 1] = True
    return mask


def _centroid(strength: Map, inside: Mask, rows: Numbers, columns: Numbers) -> tuple[float, float]:
    """(u, v) of a strongest patch and its neighbours weighted with the square of what stands out."""
    weights = (strength - strength.min()) ** 2 * inside + np.finfo(np.float32).tiny * inside
    weights = weights / weights.sum()
    return float(weights.sum(axis=0) @ columns), float(weights.sum(axis=1) @ rows)


def measure(region: Region, depth: Map, camera: CameraIntrinsics, min_depth: float, max_depth: float) -> Measurement:
    """The surface point of the thing in ``region``; ``depth`` (H, W) m, NaN where invalid.

    What stands out from its background is the thing, else the nearest surface with enough support around
    the peak; the point is the median of its pixels nearest to the peak. Raises :class:`GeometryError`
    where depth and region differ in size, or the camera cannot be computed with.
    """
    if depth.shape != region.mask.shape:
        raise GeometryError(
            f"depth: expected the image's size {region.mask.shape[::-1]}, got {depth.shape[::-1]}; register it first"
        )
    left, top, columns, rows = cv2.boundingRect(region.mask.view(np.uint8))
    window = slice(max(top - 1, 0), top + rows + 1), slice(max(left - 1, 0), left + columns + 1)
    z, measured = depth[window], np.isfinite(depth[window]) & (depth[window] > 0)
    valid = region.mask[window] & measured
    if not valid.any():
        return Measurement(None, None, "no_depth")
    usable = valid & (z >= min_depth) & (z <= max_depth)
    if not usable.any():
        return Measurement(None, None, "out_of_range")
    core = usable & ~flying(np.where(measured, z, np.nan))
    v, u = np.nonzero(core if core.any() else usable)  # never nothing because all is noise
    step = len(u) // ENOUGH + 1  # a floor fills the image
    u, v = u[::step], v[::step]
    distances: Numbers = z[v, u].astype(np.float64)
    offsets: Numbers = np.column_stack([u + window[1].start, v + window[0].start]) - np.array(region.pixel)
    squared = (offsets**2).sum(axis=1)
    weights = np.exp(-squared / (2 * region.patch**2)) + np.finfo(np.float32).tiny
    thing = standing_out(offsets, distances, weights, _background(region, depth, min_depth, max_depth))
    members = np.flatnonzero(thing)
    members = members[nearest_surface(distances[members], weights[members])]
    if len(members) > SURFACE_PIXELS:
        members = members[np.argpartition(squared[members], SURFACE_PIXELS)[:SURFACE_PIXELS]]
    return _surface_point(camera, offsets[members] + np.array(region.pixel), distances[members], region.patch)


def _background(region: Region, depth: Map, min_depth: float, max_depth: float) -> Numbers | None:
    """The plane around a region's peak (what it stands on or hangs at), in pixels relative to the peak."""
    reach = round(SURROUNDINGS * region.patch)
    u, v = map(round, region.pixel)
    left, top = max(u - reach, 0), max(v - reach, 0)
    around = depth[top : v + reach + 1, left : u + reach + 1]
    step = max(round((around.size / SAMPLES) ** 0.5), 1)
    around = around[::step, ::step]
    rows, columns = np.nonzero((around >= max(min_depth, 1e-3)) & (around <= max_depth))  # NaN is neither
    pixels = np.column_stack([columns * step + left, rows * step + top]) - region.pixel
    return background_plane(pixels, around[rows, columns].astype(np.float64))


def _surface_point(camera: CameraIntrinsics, pixels: Numbers, depth: Numbers, patch: float) -> Measurement:
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
    spread = 1.4826 * np.median(np.abs(points[:, 2] - z))  # from the median deviation to a normal's sigma
    along = point / z
    across = max(patch, 1.0) / np.sqrt(12) * z * np.diag([1 / camera.fx, 1 / camera.fy, 0.0])
    variance = (0.0012 + 0.0019 * (z - 0.4) ** 2) ** 2 + spread**2
    return Measurement(point, across @ across + variance * np.outer(along, along), "ok")

"""From a relevancy map and depth to things in 3D: regions, their peaks, a robust surface point, a box.

A patch of the vision transformer covers 20-30 px of a 640-wide image, so a region bleeds over the
object's edge onto what stands beside and behind it. :func:`measure` therefore looks for the object's
surface among the surfaces in the region instead of averaging them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from gem_ros.data import Box, CameraIntrinsics
from gem_ros.errors import GeometryError
from gem_ros.geometry.camera import back_project
from gem_ros.geometry.surface import background_plane, depth_noise, flying, nearest_surface, standing_out, unbroken

Map = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

APART = 1.5  # patches between two peaks: neighbours (at most √2) are one thing, with a patch between them they are two

SURFACE_PIXELS = 49  # of the surface around the peak, which the point is the median of
SURROUNDINGS = 1.0  # patches around a region in which its background is looked for
ENOUGH = 20_000  # pixels of a region that are looked at
SAMPLES = 400  # pixels of the surroundings that are looked at
THING_SAMPLES = 1000  # pixels of the thing that its box and covariance are of: undoing a lens takes µs for each

SMALLEST = 0.001  # m, side of a box
CHI_SQUARE_95 = 7.815  # of three degrees of freedom

# Chosen on the sample recording and random scenes (seed 2 000 001) for about 95 % within the 95 % ellipsoid.
EXTENT = 0.06  # of the covariance of a thing's surface is the point's
MIDDLE = 0.15  # of the squared distance to the surface's middle; from 1/7.8 on that middle lies in the ellipsoid


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

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, columns, rows) px of the mask's bounding box."""
        left, top, columns, rows = cv2.boundingRect(self.mask.view(np.uint8))
        return left, top, columns, rows


@dataclass(frozen=True, eq=False)
class Measurement:
    """``point`` (3,) m, ``covariance`` (3, 3) m² and ``box`` in the camera optical frame, or None with the reason.

    The covariance is that of the point as the middle (component-wise median) of the thing's visible surface.
    """

    point: npt.NDArray[np.float64] | None
    covariance: npt.NDArray[np.float64] | None
    reason: Literal["ok", "no_depth", "out_of_range"]
    box: Box | None = None


def find_regions(relevancy: Map, strength: Map, threshold: float, max_regions: int, patch: float) -> list[Region]:
    """Connected places of ``relevancy`` (H, W) >= ``threshold``, strongest first, at least one.

    ``strength`` (h, w), one value per patch of ``patch`` px, says where the peaks are; at the image's size
    it is reduced to patches first. The first region holds the strongest patch of all; where that does not
    reach the threshold, it is the patch itself. Specks that hold no patch's centre are no regions, and of
    two peaks less than :data:`APART` patches from each other only the stronger one is.
    """
    height, width = relevancy.shape
    if strength.shape == relevancy.shape and patch > 1:
        grid = max(round(width / patch), 1), max(round(height / patch), 1)
        strength = np.asarray(cv2.resize(strength, grid, interpolation=cv2.INTER_AREA), np.float32)
    (top, left), labels = _label(relevancy >= threshold)
    rows, columns = _centres(height, strength.shape[0]), _centres(width, strength.shape[1])
    of_patch = _at(labels, rows.round().astype(int) - top, columns.round().astype(int) - left)
    # Each component's strongest patch, strongest first; below the threshold only if it is the strongest of all.
    inside = np.flatnonzero(of_patch)
    order = inside[np.argsort(-strength.ravel()[inside], kind="stable")]
    peaks = order[np.sort(np.unique(of_patch.ravel()[order], return_index=True)[1])].tolist()
    strongest = int(strength.argmax())
    if not of_patch.flat[strongest]:
        peaks.insert(0, strongest)
    regions: list[Region] = []
    for peak in peaks:
        row, column = divmod(peak, len(columns))
        label, centre = of_patch[row, column], (float(columns[column]), float(rows[row]))
        near = slice(max(row - 1, 0), row + 2), slice(max(column - 1, 0), column + 2)
        pixel = _centroid(strength[near], of_patch[near] == label, rows[near[0]], columns[near[1]])
        if any(np.hypot(pixel[0] - u, pixel[1] - v) < APART * patch for u, v in (each.pixel for each in regions)):
            continue
        mask = np.zeros(relevancy.shape, dtype=bool)
        if label:
            mask[top : top + labels.shape[0], left : left + labels.shape[1]] = labels == label
        else:
            _fill_square(mask, centre, patch)
        if not mask[round(pixel[1]), round(pixel[0])]:  # the centroid of a ring is not on the ring
            pixel = centre
        regions.append(Region(pixel, mask, float(strength[row, column]), patch))
        if len(regions) >= max_regions:
            break
    return regions


def _label(above: Mask) -> tuple[tuple[int, int], npt.NDArray[np.int32]]:
    """Connected components numbered from 1 in the bounding box of all that is true, and its (top, left)."""
    left, top, columns, rows = cv2.boundingRect(above.view(np.uint8))
    window = np.ascontiguousarray(above[top : top + rows, left : left + columns])
    if not columns:
        return (0, 0), np.zeros((0, 0), np.int32)
    return (top, left), np.asarray(cv2.connectedComponents(window.view(np.uint8))[1])


def _at(labels: npt.NDArray[np.int32], rows: Indices, columns: Indices) -> npt.NDArray[np.int32]:
    """``labels`` (h, w) at each of ``rows`` (n,) and ``columns`` (m,), ascending -> (n, m); 0 outside of them."""
    found = np.zeros((len(rows), len(columns)), np.int32)
    down, across = (
        slice(*np.searchsorted(at, (0, side))) for at, side in zip((rows, columns), labels.shape, strict=True)
    )
    found[down, across] = labels[rows[down]][:, columns[across]]
    return found


@lru_cache(maxsize=64)
def _centres(pixels: int, patches: int) -> Numbers:
    """Where the patches' centres are along one side of an image, px."""
    return np.asarray((np.arange(patches) + 0.5) * pixels / patches - 0.5)


def _fill_square(mask: Mask, centre: tuple[float, float], side: float) -> None:
    (u, v), half = map(round, centre), int(side / 2)
    mask[max(v - half, 0) : v + half + 1, max(u - half, 0) : u + half + 1] = True


def _centroid(strength: Map, inside: Mask, rows: Numbers, columns: Numbers) -> tuple[float, float]:
    """(u, v) of a strongest patch and its neighbours weighted with the square of what stands out."""
    weights = (strength - strength.min()) ** 2 * inside + np.finfo(np.float32).tiny * inside
    weights = weights / weights.sum()
    return float(weights.sum(axis=0) @ columns), float(weights.sum(axis=1) @ rows)


def measure(region: Region, depth: Map, camera: CameraIntrinsics, min_depth: float, max_depth: float) -> Measurement:
    """The surface point of the thing in ``region``, and its box; ``depth`` (H, W) m, NaN where invalid.

    What stands out from its background is the thing, else the nearest surface with enough support around
    the peak; the point is the median of its pixels nearest to the peak. Raises :class:`GeometryError`
    where depth and region differ in size, or the camera cannot be computed with.
    """
    if depth.shape != region.mask.shape:
        raise GeometryError(
            f"depth: expected the image's size {region.mask.shape[::-1]}, got {depth.shape[::-1]}; register it first"
        )
    pixels, distances, reason = _usable(region, depth, min_depth, max_depth)
    if reason != "ok":
        return Measurement(None, None, reason)
    offsets = pixels - np.array(region.pixel)
    squared = offsets[:, 0] ** 2 + offsets[:, 1] ** 2
    weights = np.exp(-squared / (2 * region.patch**2)) + np.finfo(np.float32).tiny
    front = standing_out(offsets, distances, weights, _background(region, depth, min_depth, max_depth))
    thing = np.flatnonzero(front)
    nearest = nearest_surface(distances[thing], weights[thing])
    surface = thing[nearest]
    # Without a background to stand out from, everything would hang together.
    thing = surface if front.all() else thing[unbroken(distances[thing], nearest)]
    if len(surface) > SURFACE_PIXELS:
        surface = surface[np.argpartition(squared[surface], SURFACE_PIXELS)[:SURFACE_PIXELS]]
    if len(thing) > THING_SAMPLES:  # at random: every n-th pixel of a rectangle may be one column
        thing = np.random.default_rng(0).choice(thing, THING_SAMPLES, replace=False, shuffle=False)
    each = np.concatenate([surface, thing])
    points, seen = _points(camera, pixels[each], distances[each], len(surface))
    if not len(points):  # pixels that the lens model cannot undo
        return Measurement(None, None, "no_depth")
    return _measurement(camera, points, seen if len(seen) else points)


def _usable(
    region: Region, depth: Map, min_depth: float, max_depth: float
) -> tuple[Numbers, Numbers, Literal["ok", "no_depth", "out_of_range"]]:
    """Pixels (N, 2) of a region and their depths (N,) m within range, those between two surfaces left out."""
    left, top, columns, rows = region.box
    left, top, right, bottom = max(left - 1, 0), max(top - 1, 0), left + columns + 1, top + rows + 1
    z = depth[top:bottom, left:right]
    measured = (z > 0) & (z < np.inf)  # NaN is neither
    valid = region.mask[top:bottom, left:right] & measured
    usable = valid & (z >= min_depth) & (z <= max_depth)
    if not usable.any():
        return np.empty((0, 2)), np.empty(0), "out_of_range" if valid.any() else "no_depth"
    core = usable & ~flying(np.where(measured, z, np.nan))
    core = core if core.any() else usable  # never nothing because all is noise
    uv = cv2.findNonZero(core.view(np.uint8))[:, 0]
    step = len(uv) // ENOUGH + 1  # a floor fills the image
    u, v = np.asarray(uv[::step].T, np.float64, order="C")
    # each column in one piece: numpy's loops over pairs take five times as long
    return np.stack([u + left, v + top]).T, z[core][::step].astype(np.float64), "ok"


def _background(region: Region, depth: Map, min_depth: float, max_depth: float) -> Numbers | None:
    """The plane around a region (what the thing stands on or hangs at), in pixels relative to the peak.

    Only what is outside of the region counts: else a large thing would be its own background.
    """
    left, top, columns, rows = region.box
    reach = round(SURROUNDINGS * region.patch)
    bottom, right = top + rows + reach, left + columns + reach
    left, top = max(left - reach, 0), max(top - reach, 0)
    around, inside = depth[top:bottom, left:right], region.mask[top:bottom, left:right]
    step = max(round((around.size / SAMPLES) ** 0.5), 1)
    around, inside = around[::step, ::step], inside[::step, ::step]
    # NaN is neither
    v, u = np.nonzero(~inside & (around >= max(min_depth, 1e-3)) & (around <= max_depth))
    pixels = np.column_stack([u * step + left, v * step + top]) - region.pixel
    return background_plane(pixels, around[v, u].astype(np.float64))


def _points(camera: CameraIntrinsics, pixels: Numbers, depth: Numbers, first: int) -> tuple[Numbers, Numbers]:
    """Back-projected (M, 3) m, the ``first`` pixels and the rest, without those that the lens model cannot undo."""
    points = back_project(camera, pixels, depth)
    near, rest = (part[np.isfinite(part).all(axis=1)] for part in (points[:first], points[first:]))
    return near, rest


def _measurement(camera: CameraIntrinsics, points: Numbers, seen: Numbers) -> Measurement:
    """Median of the surface's ``points`` (N, 3) m around the peak; box and covariance of all that is ``seen`` (M, 3).

    The box holds the 2nd to the 98th percentile of each axis: a few stray pixels do not matter. The
    covariance is the sum of

    - the sensor's depth noise along the ray;
    - a pixel across the ray: how well depth is registered to the image;
    - how far the point may be from the thing's middle: a part of the covariance of what is seen (the region
      may hold more or less than the thing) and of the square of the point's distance to its median.

    ``python -m gem_ros.sim.covariances`` measures how often the truth lies within that ellipsoid.
    """
    (point,) = _quantiles(points, (0.5,))
    low, middle, high = _quantiles(seen, (0.02, 0.5, 0.98))
    seen = np.clip(seen, low, high)
    deviation, shift = seen - seen.mean(axis=0), middle - point
    extent = EXTENT * deviation.T @ deviation / len(seen) + MIDDLE * np.outer(shift, shift)
    z = point[2]
    along = point / z
    across = z * np.array([1 / camera.fx, 1 / camera.fy, 0.0])
    noise = depth_noise(z) ** 2 * np.outer(along, along)
    box = Box((low + high) / 2, np.maximum(high - low, SMALLEST), np.eye(3))
    return Measurement(point, noise + np.diag(across**2) + (extent + extent.T) / 2, "ok", box)


def _quantiles(points: Numbers, shares: tuple[float, ...]) -> Iterator[Numbers]:
    """np.percentile of each column of ``points`` (N, 3) for shares in [0, 1], (3,) each, in a third of its time."""
    order = np.sort(points, axis=0)
    for share in shares:
        at = share * (len(order) - 1)
        below, above = order[int(at)], order[min(int(at) + 1, len(order) - 1)]
        yield below + (above - below) * (at - int(at))

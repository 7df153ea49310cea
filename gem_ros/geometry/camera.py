"""CameraInfo's camera: points to pixels, pixels to bearings, pixels with depth to points.

Pixels (N, 2) are (u, v) with integers at pixel centres; points and bearings (N, 3) are in the camera
optical frame (x right, y down, z forward; REP-103). What has no answer is NaN: a point that is not in
front of the camera, a pixel beyond the range in which the lens model can be inverted.

Models: ``plumb_bob`` (4 or 5 coefficients) and ``rational_polynomial`` (8, with thin prism and tilt 12 or
14) are OpenCV's pinhole model, ``equidistant`` (4) its fisheye model; no coefficients: rectified image.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from gem_ros.data import CameraIntrinsics
from gem_ros.errors import GeometryError

Points = npt.NDArray[np.float64]

COEFFICIENTS = {"plumb_bob": (4, 5), "rational_polynomial": (4, 5, 8, 12, 14), "equidistant": (4,), "none": (), "": ()}
# OpenCV's five fixed-point steps leave 0.1 px of error at the corners of an ordinary wide lens (f = 0.66 W).
_CONVERGED = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 100, 1e-12)
LARGEST = 1e9  # of any number of a camera, and the inverse of the smallest focal length: beyond it squares overflow
STEEPEST = 1e6  # x/z or y/z of a bearing; beyond it it is at right angles to the optical axis
_LARGEST_RESIDUAL = 0.05  # px between a pixel and its own undistorted and distorted again


def check(camera: CameraIntrinsics) -> None:
    """Raise :class:`GeometryError` unless the camera can be computed with."""
    if camera.width < 1 or camera.height < 1:
        raise GeometryError(f"camera: expected a size of at least 1x1 px, got {camera.width}x{camera.height}")
    if not all(1 / LARGEST <= focal <= LARGEST for focal in (camera.fx, camera.fy)):
        raise GeometryError(
            f"camera: expected positive focal lengths, got fx={camera.fx:g}, fy={camera.fy:g}; is it calibrated?"
        )
    if not all(abs(each) <= LARGEST for each in (camera.cx, camera.cy, *camera.d)):
        raise GeometryError(
            f"camera: expected finite numbers, got cx={camera.cx:g}, cy={camera.cy:g}, d={tuple(camera.d)}"
        )
    allowed = COEFFICIENTS.get(camera.distortion_model)
    if allowed is None:
        known = ", ".join(filter(None, COEFFICIENTS))
        raise GeometryError(f"camera: expected a distortion model of {known}; got {camera.distortion_model!r}")
    if _is_distorted(camera) and len(camera.d) not in allowed:
        expected = " or ".join(map(str, allowed)) or "no"
        name = camera.distortion_model or "none"
        raise GeometryError(f"camera: expected {expected} coefficients of model {name!r}, got {len(camera.d)}")


def project(camera: CameraIntrinsics, points: npt.ArrayLike) -> Points:
    """Points (N, 3) m -> pixels (N, 2) float64; NaN for points with z <= 0 and non-finite ones."""
    check(camera)
    points = _rows(points, 3, "points")
    seen = np.isfinite(points).all(axis=1) & (points[:, 2] > 0)
    pixels = np.full((len(points), 2), np.nan)
    pixels[seen] = _distort(camera, points[seen, :2] / points[seen, 2:])
    return pixels


def back_project(camera: CameraIntrinsics, pixels: npt.ArrayLike, depth: npt.ArrayLike) -> Points:
    """Pixels (N, 2) with depth (N,) m along the optical axis -> points (N, 3) float64 m; inverse of project."""
    pixels = _rows(pixels, 2, "pixels")
    z = np.asarray(depth, dtype=np.float64).reshape(-1)
    if len(z) != len(pixels):
        raise GeometryError(f"back_project: expected one depth per pixel, got {len(z)} for {len(pixels)} pixels")
    return np.column_stack([normalised(camera, pixels) * z[:, None], z])


def rays(camera: CameraIntrinsics, pixels: npt.ArrayLike) -> Points:
    """Pixels (N, 2) -> unit bearings (N, 3) float64."""
    plane = normalised(camera, pixels)
    bearings = np.column_stack([plane, np.ones(len(plane))])
    return np.asarray(bearings / np.linalg.norm(bearings, axis=1, keepdims=True))


def normalised(camera: CameraIntrinsics, pixels: npt.ArrayLike) -> Points:
    """Pixels (N, 2) -> (x/z, y/z) (N, 2) of the undistorted ray."""
    check(camera)
    pixels = _rows(pixels, 2, "pixels")
    result = plane = (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    if _is_distorted(camera) and len(plane):
        finite = np.isfinite(plane).all(axis=1)
        result = np.full_like(plane, np.nan)
        result[finite] = _undistort(camera, plane[finite])
        # Outside the lens model's monotonic range the iteration ends anywhere: say so rather than return it.
        with np.errstate(over="ignore", invalid="ignore"):
            residual = np.linalg.norm(_distort(camera, result) - pixels, axis=1)
        result[~(residual < _LARGEST_RESIDUAL)] = np.nan
    result[(np.abs(result) > STEEPEST).any(axis=1)] = np.nan
    return np.asarray(result)


def _is_distorted(camera: CameraIntrinsics) -> bool:
    # A fisheye with zero coefficients is still a fisheye: r = f·theta.
    return bool(camera.d) if camera.distortion_model == "equidistant" else any(camera.d)


def _distort(camera: CameraIntrinsics, plane: Points) -> Points:
    """(x/z, y/z) (N, 2) -> pixels (N, 2)."""
    if not len(plane):
        return plane
    distorted = plane
    if _is_distorted(camera):
        coefficients, still = np.array(camera.d, dtype=np.float64), np.zeros(3)
        points = np.column_stack([plane, np.ones(len(plane))])[:, None]
        model = cv2.fisheye if camera.distortion_model == "equidistant" else cv2
        distorted = model.projectPoints(points, still, still, np.eye(3), coefficients)[0].reshape(-1, 2)
    return np.asarray(distorted * (camera.fx, camera.fy) + (camera.cx, camera.cy))


def _undistort(camera: CameraIntrinsics, plane: Points) -> Points:
    """Distorted (x/z, y/z) (N, 2) -> undistorted (N, 2)."""
    if not len(plane):
        return plane
    coefficients, eye = np.array(camera.d, dtype=np.float64), np.eye(3)
    if camera.distortion_model == "equidistant":
        found = cv2.fisheye.undistortPoints(plane[:, None], eye, coefficients, None, eye, None, _CONVERGED)
    else:
        found = cv2.undistortPointsIter(plane[:, None], eye, coefficients, eye, eye, _CONVERGED)
    return np.asarray(found, dtype=np.float64).reshape(-1, 2)


def _rows(values: npt.ArrayLike, columns: int, name: str) -> Points:
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != columns:
        raise GeometryError(f"{name}: expected an array of shape (N, {columns}), got {rows.shape}")
    return rows

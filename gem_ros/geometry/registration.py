"""Whether depth and camera belong to an image, what is done where they nearly do, and where things are by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gem_ros.data import CameraIntrinsics, Reason
from gem_ros.errors import GeometryError
from gem_ros.geometry.camera import check, project, rays
from gem_ros.geometry.target import Region, measure

Depth = npt.NDArray[np.float32]

FARTHEST = 200.0  # m, median depth above which the unit is wrong: no depth camera sees that far
NEAREST = 0.02  # m, median depth below which it is: none sees what is so near
LOOKED_AT = 5_000  # pixels that the median is of


@dataclass(frozen=True, eq=False)
class Registered:
    """What can be used beside an image of (H, W): ``depth`` (H, W) m, ``camera`` of that size.

    ``reason`` says why there can be no 3D point (None: nothing is missing), ``problems`` are lines for people.
    """

    depth: Depth | None
    camera: CameraIntrinsics | None
    reason: Reason | None
    problems: tuple[str, ...] = ()


def register(
    size: tuple[int, int], depth: Depth | None, camera: CameraIntrinsics | None, missing: Reason | None
) -> Registered:
    """Hold depth (h, w) m and camera against an image of ``size`` (H, W); ``missing`` is a reason known before.

    Depth of another size but the same aspect is scaled to the image, what does not fit is left out, with
    the reason and a line in ``problems``. :class:`GeometryError` only for depth that is not floating point.
    """
    if depth is not None and not np.issubdtype(depth.dtype, np.floating):
        raise GeometryError(f"depth: expected float metres, got {depth.dtype}; divide millimetres by 1000")
    problems: list[str] = []
    reason = missing
    if camera is not None:
        refused = _refused(camera, size, problems)
        camera, reason = None if refused else camera, reason or refused
    if depth is None:
        reason = reason or "no_depth_message"
    else:
        depth = _scaled(depth, size, problems)
        reason = reason or ("misaligned" if depth is None else None)
        reason = reason or ("no_camera_info" if camera is None else None)
    return Registered(depth, camera, reason, tuple(problems))


def _refused(camera: CameraIntrinsics, size: tuple[int, int], problems: list[str]) -> Reason | None:
    """Why a camera cannot be used for an image of ``size`` (H, W)."""
    try:
        check(camera)
    except GeometryError as error:
        problems.append(str(error))
        return "no_camera_info"
    if (camera.height, camera.width) == size:
        return None
    expected, got = _of(size), _of((camera.height, camera.width))
    problems.append(f"camera_info: expected the image's size {expected}, got {got}; take the one of the same topic")
    return "misaligned"


def _scaled(depth: Depth, size: tuple[int, int], problems: list[str]) -> Depth | None:
    """Depth at ``size`` (H, W): as it is, or of the nearest pixel, never mixed across an edge; None: another aspect."""
    if depth.ndim != 2 or not depth.size or depth.shape[0] * size[1] != depth.shape[1] * size[0]:
        problems.append(
            f"depth: expected the image's size {_of(size)} or its aspect, got {_of(depth.shape)}; "
            "register it to the image"
        )
        return None
    _check_unit(depth, problems)
    if depth.shape == size:
        return depth
    contiguous = np.require(depth, np.float32, ["C"])
    return np.asarray(cv2.resize(contiguous, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT))


def _check_unit(depth: Depth, problems: list[str]) -> None:
    step = int((depth.size / LOOKED_AT) ** 0.5) + 1 | 1  # odd: every second row of some depth images is empty
    some = depth[::step, ::step]
    valid = some[(some > 0) & (some < np.inf)]  # NaN is neither
    if not valid.size:
        return
    median = float(np.median(valid))
    if median > FARTHEST:
        problems.append(f"depth: expected metres, got a median of {median:.0f}; is it millimetres in a 32FC1 image?")
    if median < NEAREST:
        problems.append(f"depth: expected metres, got a median of {median:.3f}; is it metres in a 16UC1 image?")


def _of(size: tuple[int, ...]) -> str:
    return "x".join(map(str, size[::-1]))


def locate(region: Region, beside: Registered, min_depth: float, max_depth: float) -> dict[str, Any]:
    """Where a region is, as the fields of a :class:`~gem_ros.data.Target`: 2D always, 3D where depth and camera allow.

    A peak lies beside a thin thing more often than the surface that was measured there, so where there is one
    the pixel is that point's.
    """
    known: dict[str, Any] = {"pixel": region.pixel, "region": region.mask, "reason": beside.reason}
    if beside.camera is None:
        return known
    if beside.reason is None and beside.depth is not None:
        found = measure(region, beside.depth, beside.camera, min_depth, max_depth)
        known |= {"point": found.point, "covariance": found.covariance, "box": found.box, "reason": found.reason}
        if found.point is not None:
            u, v = project(beside.camera, found.point[None])[0].tolist()
            known["pixel"] = (u, v)
    ray = rays(beside.camera, [known["pixel"]])[0]
    known["ray"] = ray if np.isfinite(ray).all() else None  # a pixel that the lens model cannot undo
    return known

"""Rigid motions: points, covariances and whole targets in another coordinate frame.

``T_target_source`` (4, 4) takes points of ``source`` to ``target``: p_target = R p_source + t.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation, Slerp

from gem_ros.data import Box, Pose, Target
from gem_ros.errors import GeometryError

Matrix = npt.NDArray[np.float64]


def matrix(position: Sequence[float], quaternion: Sequence[float]) -> Matrix:
    """(4, 4) of a position (3,) m and a quaternion (x, y, z, w) of any length but zero; :class:`GeometryError`."""
    values = np.array([*position, *quaternion], np.float64)
    norm = float(np.linalg.norm(values[3:]))
    if not np.isfinite(values).all() or norm < 1e-6:
        raise GeometryError(
            f"pose: expected a finite position and a quaternion of length 1, got {values.tolist()}; check its publisher"
        )
    result = np.eye(4)
    result[:3, :3], result[:3, 3] = Rotation.from_quat(values[3:] / norm).as_matrix(), values[:3]
    return result


def interpolate(before: Matrix, after: Matrix, share: float) -> Matrix:
    """The motion at ``share`` in [0, 1] of the way: linear in position, spherical linear in rotation."""
    result = np.eye(4)
    turn = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack([before[:3, :3], after[:3, :3]])))
    result[:3, :3] = turn(share).as_matrix()
    result[:3, 3] = (1 - share) * before[:3, 3] + share * after[:3, 3]
    return result


def in_frame(target: Target, pose: Pose | None) -> Target:
    """``target`` with point, covariance and box in the pose's frame; without a pose none, ``no_transform``.

    A target without a point stays as it is; its ray stays in the camera optical frame.
    """
    if target.point is None:
        return target
    if pose is None:
        return dataclasses.replace(target, point=None, covariance=None, box=None, reason="no_transform")
    rotation, shift = pose.matrix[:3, :3], pose.matrix[:3, 3]
    covariance, box = target.covariance, target.box
    return dataclasses.replace(
        target,
        point=rotation @ target.point + shift,
        covariance=None if covariance is None else rotation @ covariance @ rotation.T,
        box=None if box is None else Box(rotation @ box.centre + shift, box.size, rotation @ box.rotation),
    )

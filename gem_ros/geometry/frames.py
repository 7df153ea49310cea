"""Rigid motions: points, covariances and whole targets in another coordinate frame.

``T_target_source`` (4, 4) takes points of ``source`` to ``target``: p_target = R p_source + t.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gem_ros.data import Box, Pose, Target
from gem_ros.errors import GeometryError

Matrix = npt.NDArray[np.float64]


def pose_at(stamp: int, stamps: Sequence[int], matrices: Sequence[Matrix], slop: float) -> Matrix:
    """The motion at ``stamp`` (ns) between the two of ascending ``stamps`` around it; an exact one stands alone.

    The nearer of the two must be at most ``slop`` s away. :class:`GeometryError` where there are no such two:
    nothing is extrapolated.
    """
    after = bisect_right(stamps, stamp)
    if after and stamps[after - 1] == stamp:
        return matrices[after - 1]
    expected = "camera pose: expected poses before and after the image's stamp"
    if not stamps:
        raise GeometryError(f"{expected}, got none")
    if after == len(stamps):
        raise GeometryError(f"{expected}, got the newest {(stamp - stamps[-1]) / 1e9:.3f} s before it")
    if after == 0:
        raise GeometryError(f"{expected}, got the oldest {(stamps[0] - stamp) / 1e9:.3f} s after it")
    first, second = stamps[after - 1], stamps[after]
    away = min(stamp - first, second - stamp)
    if away > slop * 1e9:
        expected = f"camera pose: expected one at most {slop:g} s from the image's stamp"
        raise GeometryError(f"{expected}, got the nearest {away / 1e9:.3f} s from it; publish it more often")
    return interpolate(matrices[after - 1], matrices[after], (stamp - first) / (second - first))


def interpolate(before: Matrix, after: Matrix, share: float) -> Matrix:
    """The motion at ``share`` in [0, 1] of the way: linear in position, spherical linear in rotation."""
    result = np.eye(4)
    from scipy.spatial.transform import Rotation, Slerp  # here: slow to import, and only needed with a target_frame

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

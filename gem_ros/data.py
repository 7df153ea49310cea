"""The records that travel through the house: what was seen, and what was found.

Arrays are (rows, columns[, channels]); a pixel is ``(u, v)`` = (column, row) with integers at pixel
centres; lengths are metres, stamps integer nanoseconds. Points are in the camera optical frame
(x right, y down, z forward; REP-103).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

FloatArray = npt.NDArray[np.floating]
Reason = Literal[
    "ok",
    "absent",
    "unknown_word",
    "no_depth",
    "no_depth_message",
    "misaligned",
    "no_camera_info",
    "no_transform",
    "out_of_range",
    "unconfirmed",
]


@dataclass(frozen=True)
class CameraIntrinsics:
    """A pinhole camera with distortion, as in sensor_msgs/CameraInfo after ROI and binning.

    ``width``, ``height`` in px; ``fx, fy, cx, cy`` in px with integer pixel centres (the centre of a
    640-wide image is cx = 319.5); ``d`` are the coefficients of ``distortion_model`` (``plumb_bob``,
    ``rational_polynomial`` or ``equidistant``), empty for a rectified image.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    distortion_model: str = "plumb_bob"
    d: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a camera is: ``matrix`` (4, 4), ``T_frame_camera``, takes points of its optical frame to ``frame_id``."""

    frame_id: str
    matrix: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Box:
    """An oriented box: ``centre`` (3,) m; ``size`` (3,) m along its own axes, the columns of ``rotation`` (3, 3)."""

    centre: npt.NDArray[np.float64]
    size: npt.NDArray[np.float64]
    rotation: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Observation:
    """One sensor sample: an image with whatever belongs to the same moment.

    ``image`` (H, W, 3) uint8 RGB; ``depth`` (H, W) float32 metres along the optical axis, NaN where
    invalid, registered to the image; ``stamp`` in ns of the image; ``missing`` says why ``depth`` or
    ``camera`` cannot be used (``no_depth_message``, ``no_camera_info``, ``misaligned``).
    """

    image: npt.NDArray[np.uint8]
    stamp: int = 0
    frame_id: str = ""
    depth: npt.NDArray[np.float32] | None = None
    camera: CameraIntrinsics | None = None
    missing: Reason | None = None
    pose: Pose | None = None


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Dense features of one image: ``tokens`` (h, w, D) unit norm, CLS excluded, on the model's device.

    ``cls`` (D,), unit norm, is the embedding of the whole, where ``feature_surgery`` needs it.

    ``image_size`` is (H, W) of the image they came from. Patch (row i, column j) has its centre at
    pixel u = (j + 0.5)·W/w − 0.5, v = (i + 0.5)·H/h − 0.5.
    """

    tokens: torch.Tensor
    image_size: tuple[int, int]
    cls: torch.Tensor | None = None


@dataclass(frozen=True)
class Query:
    """A text to look for; ``threshold`` overrides ``presence_threshold`` where it is set."""

    text: str
    threshold: float | None = None


@dataclass(frozen=True, eq=False)
class Track:
    """One thing over time, the same ``id`` whenever it is seen.

    ``since`` and ``seen`` are the stamps (ns) of the first and the last image that showed it, ``hits`` their
    number; ``score`` and ``pixel`` are of the last one. ``position`` (3,) m and ``covariance`` (3, 3) m² are
    filtered over time, in the frame of the targets' points, or None where there was never a 3D point.
    """

    id: int
    query: str
    query_index: int
    since: int
    seen: int
    hits: int
    score: float
    pixel: tuple[float, float]
    position: npt.NDArray[np.float64] | None = None
    covariance: npt.NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Target:
    """One thing found for a query, or the statement that it was not.

    ``score`` in [0, 1] is the calibrated probability that the queried thing is in view; ``found``
    says whether it reached ``threshold``. ``pixel`` (u, v) is the peak; ``region`` a (H, W) bool mask
    at the image's size; ``ray`` (3,) the unit bearing of the pixel; ``point`` (3,) metres and
    ``covariance`` (3, 3) m² of this image's measurement, both camera optical frame, or None with
    ``reason`` saying why; ``box`` around what is visible of the thing; ``track`` the thing over time,
    where it is tracked. :func:`gem_ros.geometry.frames.in_frame` takes points to another frame.
    """

    query: str
    query_index: int
    found: bool
    score: float
    threshold: float
    reason: Reason
    pixel: tuple[float, float] | None = None
    region: npt.NDArray[np.bool_] | None = None
    ray: npt.NDArray[np.float64] | None = None
    point: npt.NDArray[np.float64] | None = None
    covariance: npt.NDArray[np.float64] | None = None
    box: Box | None = None
    track: Track | None = None


@dataclass(frozen=True, eq=False)
class Grounding:
    """Where each query is in one image: ``targets`` by query, then found first, then by score, at least one each.

    ``patch_relevancy`` (Q, h, w) float32 in [0, 1], absolute; ``relevancy`` the same at the image's
    size, computed when first asked for. ``problems`` are lines about what could not be used and why;
    ``remembered`` are tracks of things that are out of view now.
    """

    queries: tuple[Query, ...]
    targets: tuple[Target, ...]
    image_size: tuple[int, int]
    patch_relevancy: npt.NDArray[np.float32]
    upsample: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] = field(repr=False)
    problems: tuple[str, ...] = ()
    remembered: tuple[Track, ...] = ()
    _fine: dict[int, npt.NDArray[np.float32]] = field(default_factory=dict, init=False, repr=False)

    def relevancy_of(self, query_index: int) -> npt.NDArray[np.float32]:
        """(H, W) float32 in [0, 1] of one query, computed when first asked for: shared, not to be written to."""
        if query_index not in self._fine:
            self._fine[query_index] = self.upsample(self.patch_relevancy[query_index : query_index + 1])[0]
        return self._fine[query_index]

    @cached_property
    def relevancy(self) -> npt.NDArray[np.float32]:
        """(Q, H, W) float32 in [0, 1]."""
        return self.upsample(self.patch_relevancy)

    def best(self, query_index: int) -> Target:
        """The first target of a query: a found one before any other, the highest score among them."""
        return next(target for target in self.targets if target.query_index == query_index)

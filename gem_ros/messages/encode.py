"""Groundings -> standard ROS messages, of rclpy's classes or of a rosbags typestore's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gem_ros.data import Grounding, Query, Target
from gem_ros.messages.build import Builder, stamp_of
from gem_ros.messages.detections import detections_2d, detections_3d
from gem_ros.messages.markers import marker_array
from gem_ros.messages.overlay import CAMERA, draw
from gem_ros.messages.result import result

# One point of ~/targets and ~/rays; 7 is PointField's FLOAT32, 6 its UINT32.
POINT = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "u", "v", "score")]
    + [(name, "<u4") for name in ("query", "epoch", "id")]
)
JPEG_SIDE = 65_500  # px that OpenCV's libjpeg writes
_FLOAT32, _UINT32 = 7, 6


class Encoder(Builder):
    """Makes the node's messages.

    ``header`` arguments are messages made by :meth:`header`: with the frame of the points (``target_frame``
    where it is set) for what is in 3D, with the image's frame for pictures, rays and 2D detections.
    """

    def image(self, header: Any, pixels: npt.NDArray[Any], encoding: str) -> Any:
        """sensor_msgs/Image of (H, W) or (H, W, C) pixels, little-endian and without padding."""
        pixels = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
        return self.make(
            "sensor_msgs/msg/Image",
            header=header,
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=pixels.nbytes // pixels.shape[0],
            data=self.octets(pixels),
        )

    def heatmap(self, header: Any, grounding: Grounding) -> Any:
        """~/heatmap: 32FC1 relevancy in [0, 1] of the first query, zeros where there is none."""
        some = len(grounding.patch_relevancy) > 0
        return self.image(
            header, grounding.relevancy_of(0) if some else np.zeros(grounding.image_size, np.float32), "32FC1"
        )

    def segmentation(self, header: Any, grounding: Grounding) -> Any:
        """~/segmentation: mono8, 0 nothing, i where the i-th query was found; the higher score wins a pixel."""
        labels = np.zeros(grounding.image_size, np.uint8)
        for target in sorted(_found(grounding), key=lambda target: target.score):
            if target.region is not None:
                labels[target.region] = target.query_index + 1
        return self.image(header, labels, "mono8")

    def overlay(
        self,
        header: Any,
        rgb: npt.NDArray[np.uint8],
        grounding: Grounding,
        alpha: float = 0.5,
        camera: npt.ArrayLike = CAMERA,
    ) -> Any:
        """~/overlay: bgr8 of the image (H, W, 3) with what :func:`gem_ros.messages.overlay.draw` draws on it."""
        return self.image(header, draw(rgb, grounding, alpha, camera), "bgr8")

    def overlay_compressed(
        self,
        header: Any,
        rgb: npt.NDArray[np.uint8],
        grounding: Grounding,
        alpha: float = 0.5,
        camera: npt.ArrayLike = CAMERA,
        *,
        quality: int = 90,
    ) -> Any | None:
        """~/overlay/compressed: the same as a JPEG of ``quality`` 0-100, None where a side is longer than one's."""
        if max(rgb.shape) > JPEG_SIDE:
            return None
        _, data = cv2.imencode(".jpg", draw(rgb, grounding, alpha, camera), [cv2.IMWRITE_JPEG_QUALITY, quality])
        name = "sensor_msgs/msg/CompressedImage"
        return self.make(name, header=header, format="bgr8; jpeg compressed bgr8", data=self.octets(data))

    def target(self, header: Any, grounding: Grounding) -> Any | None:
        """~/target: geometry_msgs/PointStamped of the first query's best 3D target, None without one."""
        for target in _found(grounding):
            if target.query_index == 0 and target.point is not None:
                return self.point_stamped(header, target.point)
        return None

    def goal(self, header: Any, goal: tuple[float, float, float]) -> Any:
        """~/goal: geometry_msgs/PoseStamped of (x, y, yaw): m on the ground, rad from x to y."""
        x, y, yaw = goal
        cos, sin = math.cos(yaw), math.sin(yaw)
        turned = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return self.make("geometry_msgs/msg/PoseStamped", header=header, pose=self.pose([x, y, 0.0], turned))

    def targets(self, header: Any, grounding: Grounding, epoch: int) -> Any:
        """~/targets: PointCloud2, one point per found target; fields as in :data:`POINT`, NaN without 3D."""
        return self._cloud(header, grounding, epoch, lambda target: target.point)

    def rays(self, header: Any, grounding: Grounding, epoch: int) -> Any:
        """~/rays: the same with unit bearings in the camera optical frame as x, y, z; NaN without a camera."""
        return self._cloud(header, grounding, epoch, lambda target: target.ray)

    def detections(self, header: Any, grounding: Grounding) -> Any:
        """~/detections: vision_msgs/Detection2DArray; ``header`` is the image's."""
        return detections_2d(self, header, grounding)

    def detections_3d(self, header: Any, grounding: Grounding) -> Any:
        """~/detections_3d: vision_msgs/Detection3DArray of what has a point; ``header`` has the points' frame."""
        return detections_3d(self, header, grounding)

    def markers(self, header: Any, image_header: Any, grounding: Grounding, *, z_up: bool = False) -> Any:
        """~/markers: visualization_msgs/MarkerArray, see :func:`gem_ros.messages.markers.marker_array`."""
        return marker_array(self, header, image_header, grounding, z_up=z_up)

    def result(
        self, header: Any, grounding: Grounding, epoch: int, latency_ms: float, *, image_frame_id: str | None = None
    ) -> Any:
        """~/result: std_msgs/String of :func:`gem_ros.messages.result.result`; ``header`` has the points' frame."""
        said = result(grounding, stamp_of(header), header.frame_id, epoch, latency_ms, image_frame_id=image_frame_id)
        return self.json(said)

    def queries(self, queries: Sequence[Query], threshold: float, epoch: int) -> Any:
        """~/queries: std_msgs/String; ``threshold`` is that of queries without their own."""
        listed = [
            {"query": each.text, "threshold": threshold if each.threshold is None else each.threshold}
            for each in queries
        ]
        return self.json({"epoch": epoch, "queries": listed})

    @cached_property
    def _point_fields(self) -> list[Any]:
        """sensor_msgs/PointField of each field of :data:`POINT`."""
        return [
            self.make(
                "sensor_msgs/msg/PointField",
                name=name,
                offset=POINT.fields[name][1],  # type: ignore[index]
                datatype=_FLOAT32 if POINT[name].kind == "f" else _UINT32,
                count=1,
            )
            for name in POINT.names or ()
        ]

    def _cloud(
        self, header: Any, grounding: Grounding, epoch: int, xyz: Callable[[Target], npt.NDArray[Any] | None]
    ) -> Any:
        found = _found(grounding)
        points = np.zeros(len(found), POINT)
        for row, target in zip(points, found, strict=True):
            position, pixel = xyz(target), target.pixel
            row["x"], row["y"], row["z"] = (math.nan,) * 3 if position is None else position
            row["u"], row["v"] = (math.nan,) * 2 if pixel is None else pixel
            row["score"], row["query"], row["epoch"] = target.score, target.query_index, epoch % 2**32
            row["id"] = 0 if target.track is None else target.track.id % 2**32
        return self.make(
            "sensor_msgs/msg/PointCloud2",
            header=header,
            height=1,
            width=len(points),
            fields=self._point_fields,
            is_bigendian=False,
            point_step=POINT.itemsize,
            row_step=points.nbytes,
            data=self.octets(points),
            is_dense=not np.isnan(points["x"]).any(),
        )


def _found(grounding: Grounding) -> list[Target]:
    return [target for target in grounding.targets if target.found]

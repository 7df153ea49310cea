"""Groundings -> standard ROS messages, of rclpy's classes or of a rosbags typestore's."""

from __future__ import annotations

import array
import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gem_ros.data import Grounding, Query, Target
from gem_ros.messages.overlay import colour, draw

NS = 1_000_000_000
# One point of ~/targets and ~/rays; 7 is PointField's FLOAT32, 6 its UINT32.
POINT = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z", "u", "v", "score")]
    + [(name, "<u4") for name in ("query", "epoch", "id")]
)
_FLOAT32, _UINT32 = 7, 6
_ARROW, _SPHERE, _TEXT, _DELETE_ALL = 0, 2, 9, 3  # visualization_msgs/Marker's constants
_BALL, _LETTER, _BEARING = 0.06, 0.05, 1.0  # m: a marker's diameter, its text's height, an arrow's length


class Encoder:
    """Makes messages of the classes that ``message_class("sensor_msgs/msg/Image")`` and the like give.

    ``header`` arguments are messages made by :meth:`header`; points are in the header's frame.
    """

    def __init__(self, message_class: Callable[[str], type]) -> None:
        self._class = message_class

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """std_msgs/Header."""
        stamp = self._make("builtin_interfaces/msg/Time", sec=stamp_ns // NS, nanosec=stamp_ns % NS)
        return self._make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)

    def image(self, header: Any, pixels: npt.NDArray[Any], encoding: str) -> Any:
        """sensor_msgs/Image of (H, W) or (H, W, C) pixels, little-endian and without padding."""
        pixels = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
        return self._make(
            "sensor_msgs/msg/Image",
            header=header,
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding=encoding,
            is_bigendian=0,
            step=pixels.nbytes // pixels.shape[0],
            data=self._octets(pixels),
        )

    def heatmap(self, header: Any, grounding: Grounding) -> Any:
        """~/heatmap: 32FC1 relevancy in [0, 1] of the first query, zeros where there is none."""
        first = grounding.upsample(grounding.patch_relevancy[:1])
        return self.image(header, first[0] if len(first) else np.zeros(grounding.image_size, np.float32), "32FC1")

    def segmentation(self, header: Any, grounding: Grounding) -> Any:
        """~/segmentation: mono8, 0 nothing, i where the i-th query was found; the higher score wins a pixel."""
        labels = np.zeros(grounding.image_size, np.uint8)
        for target in sorted(_found(grounding), key=lambda target: target.score):
            if target.region is not None:
                labels[target.region] = target.query_index + 1
        return self.image(header, labels, "mono8")

    def overlay(self, header: Any, rgb: npt.NDArray[np.uint8], grounding: Grounding, alpha: float = 0.5) -> Any:
        """~/overlay: bgr8 of the image (H, W, 3) with what :func:`gem_ros.messages.overlay.draw` draws on it."""
        return self.image(header, draw(rgb, grounding, alpha), "bgr8")

    def overlay_compressed(
        self, header: Any, rgb: npt.NDArray[np.uint8], grounding: Grounding, alpha: float = 0.5, quality: int = 90
    ) -> Any:
        """~/overlay/compressed: the same as a JPEG of ``quality`` 0-100."""
        _, data = cv2.imencode(".jpg", draw(rgb, grounding, alpha), [cv2.IMWRITE_JPEG_QUALITY, quality])
        name = "sensor_msgs/msg/CompressedImage"
        return self._make(name, header=header, format="bgr8; jpeg compressed bgr8", data=self._octets(data))

    def target(self, header: Any, grounding: Grounding) -> Any | None:
        """~/target: geometry_msgs/PointStamped of the first query's best 3D target, None without one."""
        for target in _found(grounding):
            if target.query_index == 0 and target.point is not None:
                return self._make("geometry_msgs/msg/PointStamped", header=header, point=self._point(target.point))
        return None

    def targets(self, header: Any, grounding: Grounding, epoch: int) -> Any:
        """~/targets: PointCloud2, one point per found target; fields as in :data:`POINT`, NaN without 3D."""
        return self._cloud(header, grounding, epoch, lambda target: target.point)

    def rays(self, header: Any, grounding: Grounding, epoch: int) -> Any:
        """~/rays: the same with unit bearings in the camera optical frame as x, y, z; NaN without a camera."""
        return self._cloud(header, grounding, epoch, lambda target: target.ray)

    def result(self, header: Any, grounding: Grounding, epoch: int, latency_ms: float) -> Any:
        """~/result: std_msgs/String of :func:`result`."""
        stamp = header.stamp.sec * NS + header.stamp.nanosec
        return self._json(result(grounding, stamp, header.frame_id, epoch, latency_ms))

    def queries(self, queries: Sequence[Query], threshold: float, epoch: int) -> Any:
        """~/queries: std_msgs/String; ``threshold`` is that of queries without their own."""
        listed = [
            {"query": each.text, "threshold": threshold if each.threshold is None else each.threshold}
            for each in queries
        ]
        return self._json({"epoch": epoch, "queries": listed})

    def markers(self, header: Any, grounding: Grounding) -> Any:
        """~/markers: what was found as spheres with text, as arrows where only the bearing is known."""
        markers = [self._make("visualization_msgs/msg/Marker", header=header, action=_DELETE_ALL)]
        for number, target in enumerate(_found(grounding)):
            markers += self._markers(header, number, target)
        return self._make("visualization_msgs/msg/MarkerArray", markers=markers)

    def _markers(self, header: Any, number: int, target: Target) -> Iterator[Any]:
        at = target.point if target.point is not None else target.ray
        if at is None:
            return
        blue, green, red = (channel / 255 for channel in colour(target.query_index))
        common = {"header": header, "id": number, "color": self._colour(red, green, blue)}
        if target.point is not None:
            yield self._marker(common, "targets", _SPHERE, at, (_BALL, _BALL, _BALL))
        else:
            ends = [self._point(np.zeros(3)), self._point(at * _BEARING)]
            yield self._marker(common, "bearings", _ARROW, np.zeros(3), (0.01, 0.03, 0.05), points=ends)
        above = at - np.array([0, _BALL / 2 + _LETTER, 0])  # y points down
        label = f"{target.query} {target.score:.2f}"
        white = common | {"color": self._colour(1.0, 1.0, 1.0)}
        yield self._marker(white, "texts", _TEXT, above, (0.0, 0.0, _LETTER), text=label)

    def _marker(
        self, common: dict[str, Any], ns: str, kind: int, at: npt.NDArray[Any], size: tuple[float, ...], **more: Any
    ) -> Any:
        rotation = self._make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
        pose = self._make("geometry_msgs/msg/Pose", position=self._point(at), orientation=rotation)
        scale = self._make("geometry_msgs/msg/Vector3", x=size[0], y=size[1], z=size[2])
        return self._make("visualization_msgs/msg/Marker", ns=ns, type=kind, pose=pose, scale=scale, **common, **more)

    def _point(self, xyz: npt.NDArray[Any]) -> Any:
        x, y, z = (float(value) for value in xyz)
        return self._make("geometry_msgs/msg/Point", x=x, y=y, z=z)

    def _colour(self, red: float, green: float, blue: float) -> Any:
        return self._make("std_msgs/msg/ColorRGBA", r=red, g=green, b=blue, a=1.0)

    def _json(self, value: dict[str, Any]) -> Any:
        return self._make("std_msgs/msg/String", data=json.dumps(value, ensure_ascii=False, allow_nan=False))

    def _cloud(
        self, header: Any, grounding: Grounding, epoch: int, xyz: Callable[[Target], npt.NDArray[Any] | None]
    ) -> Any:
        found = list(_found(grounding))
        points = np.zeros(len(found), POINT)
        for row, target in zip(points, found, strict=True):
            position, pixel = xyz(target), target.pixel
            row["x"], row["y"], row["z"] = (math.nan,) * 3 if position is None else position
            row["u"], row["v"] = (math.nan,) * 2 if pixel is None else pixel
            row["score"], row["query"], row["epoch"] = target.score, target.query_index, epoch % 2**32
        fields = [
            self._make(
                "sensor_msgs/msg/PointField",
                name=name,
                offset=POINT.fields[name][1],  # type: ignore[index]
                datatype=_FLOAT32 if POINT[name].kind == "f" else _UINT32,
                count=1,
            )
            for name in POINT.names or ()
        ]
        return self._make(
            "sensor_msgs/msg/PointCloud2",
            header=header,
            height=1,
            width=len(points),
            fields=fields,
            is_bigendian=False,
            point_step=POINT.itemsize,
            row_step=points.nbytes,
            data=self._octets(points),
            is_dense=not np.isnan(points["x"]).any(),
        )

    def _octets(self, values: npt.NDArray[Any]) -> Any:
        """The bytes of an array as a message's uint8[] wants them: rosbags ndarray, rclpy array.array.

        rclpy checks an ndarray byte by byte (50-90 ms for 640x480x3); an array.array passes at once.
        """
        flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        if dataclasses.is_dataclass(self._class("sensor_msgs/msg/Image")):
            return flat
        octets = array.array("B")
        octets.frombytes(flat.data)
        return octets

    def _make(self, kind: str, /, **fields: Any) -> Any:
        """A message with ``fields`` set and everything else zero."""
        made = self._class(kind)
        if dataclasses.is_dataclass(made):  # rosbags' classes know no defaults
            for each in dataclasses.fields(made):
                if each.name not in fields and each.default is dataclasses.MISSING:  # constants have one
                    fields[each.name] = self._zero(str(each.type))
            return made(**fields)
        message = made()
        for field, value in fields.items():
            setattr(message, field, value)
        return message

    def _zero(self, kind: str) -> Any:
        """The zero value of a rosbags field, by its annotation."""
        plain: dict[str, Any] = {"int": 0, "float": 0.0, "bool": False, "str": ""}
        if kind in plain:
            return plain[kind]
        if kind.startswith("list"):
            return []
        if kind.startswith("np.ndarray"):
            return np.empty(0, np.uint8)
        return self._make(kind.replace("__", "/"))


def result(grounding: Grounding, stamp_ns: int, frame_id: str, epoch: int, latency_ms: float) -> dict[str, Any]:
    """A grounding as JSON values: the contract of ~/result. ``id`` (the track) is null until things are tracked."""
    return {
        "stamp": stamp_ns,
        "frame_id": frame_id,
        "epoch": epoch,
        "latency_ms": round(latency_ms, 3),
        "targets": [_target(each) for each in grounding.targets],
    }


def _target(target: Target) -> dict[str, Any]:
    return {
        "query": target.query,
        "query_index": target.query_index,
        "found": target.found,
        "score": target.score,
        "threshold": target.threshold,
        "id": None,
        "pixel": None if target.pixel is None else [float(value) for value in target.pixel],
        "point": None if target.point is None else target.point.tolist(),
        "covariance": None if target.covariance is None else target.covariance.tolist(),
        "reason": target.reason,
    }


def _found(grounding: Grounding) -> Iterator[Target]:
    return (target for target in grounding.targets if target.found)

"""Messages of classes that come in as an argument: the parts that every encoder needs."""

from __future__ import annotations

import array
import dataclasses
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

NS = 1_000_000_000
Numbers = npt.NDArray[np.float64]
UPRIGHT = np.eye(3)  # of what has no rotation of its own


class Builder:
    """Makes messages of the classes that ``message_class("sensor_msgs/msg/Image")`` and the like give.

    The classes may be rclpy's or those of a rosbags typestore.
    """

    def __init__(self, message_class: Callable[[str], type]) -> None:
        self._class = message_class

    def make(self, kind: str, /, **fields: Any) -> Any:
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

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """std_msgs/Header."""
        stamp = self.make("builtin_interfaces/msg/Time", sec=stamp_ns // NS, nanosec=stamp_ns % NS)
        return self.make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)

    def point(self, xyz: npt.ArrayLike) -> Any:
        """geometry_msgs/Point of (3,) m."""
        x, y, z = (float(value) for value in np.asarray(xyz))
        return self.make("geometry_msgs/msg/Point", x=x, y=y, z=z)

    def point_stamped(self, header: Any, xyz: npt.ArrayLike) -> Any:
        """geometry_msgs/PointStamped of (3,) m."""
        return self.make("geometry_msgs/msg/PointStamped", header=header, point=self.point(xyz))

    def vector(self, xyz: npt.ArrayLike) -> Any:
        """geometry_msgs/Vector3 of (3,)."""
        x, y, z = (float(value) for value in np.asarray(xyz))
        return self.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)

    def pose(self, position: npt.ArrayLike, rotation: Numbers = UPRIGHT) -> Any:
        """geometry_msgs/Pose of a position (3,) m and a rotation (3, 3)."""
        x, y, z, w = quaternion(rotation)
        turned = self.make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)
        return self.make("geometry_msgs/msg/Pose", position=self.point(position), orientation=turned)

    def json(self, value: dict[str, Any]) -> Any:
        """std_msgs/String of a JSON object; ValueError for NaN and infinity, which JSON does not know."""
        return self.make("std_msgs/msg/String", data=json.dumps(value, ensure_ascii=False, allow_nan=False))

    def octets(self, values: npt.NDArray[Any]) -> Any:
        """The bytes of an array as a message's uint8[] wants them: rosbags ndarray, rclpy array.array.

        rclpy checks an ndarray byte by byte (50-90 ms for 640x480x3); an array.array passes at once.
        """
        flat = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        if dataclasses.is_dataclass(self._class("sensor_msgs/msg/Image")):
            return flat
        octets = array.array("B")
        octets.frombytes(flat.data)
        return octets

    def _zero(self, kind: str) -> Any:
        """The zero value of a rosbags field, by its annotation."""
        plain: dict[str, Any] = {"int": 0, "float": 0.0, "bool": False, "str": ""}
        if kind in plain:
            return plain[kind]
        if kind.startswith("list"):
            return []
        if kind.startswith("np.ndarray"):
            return np.empty(0, np.uint8)
        return self.make(kind.replace("__", "/"))


def stamp_of(header: Any) -> int:
    """The stamp (ns) of a std_msgs/Header."""
    return int(header.stamp.sec) * NS + int(header.stamp.nanosec)


def quaternion(rotation: Numbers) -> Sequence[float]:
    """The unit quaternion (x, y, z, w), w >= 0, of a rotation (3, 3).

    Of the four rows 4·q_i·q the longest is taken, so that nothing is divided by nearly zero (Shepperd 1978).
    """
    (a, b, c), (d, e, f), (g, h, i) = rotation
    rows = np.array(
        [
            [1 + a - e - i, b + d, c + g, h - f],
            [b + d, 1 - a + e - i, f + h, c - g],
            [c + g, f + h, 1 - a - e + i, d - b],
            [h - f, c - g, d - b, 1 + a + e + i],
        ]
    )
    longest = rows[rows.diagonal().argmax()]
    unit: list[float] = (longest / np.linalg.norm(longest) * (-1 if longest[3] < 0 else 1)).tolist()
    return unit

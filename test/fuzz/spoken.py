"""What every message that the node publishes must keep to, whatever it was given."""

import json
import math
from collections import Counter, defaultdict

import numpy as np
from geometry_msgs.msg import PointStamped
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image

from gem_ros.messages.encode import POINT

PICTURES = ("heatmap", "segmentation", "overlay")
IN_3D = ("target", "targets", "markers", "goal", "result", "detections_3d")
NAN_IS_DOCUMENTED = ("x", "y", "z", "u", "v")  # of ~/targets and ~/rays
NS = 1_000_000_000


def strict(text):
    """JSON as RFC 8259 has it: Python alone would take NaN and Infinity."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(word):
    raise AssertionError(f"{word} in JSON")


def numbers_of(message, where=""):
    """Every float of a message with its name, those of messages in it among them; bytes are not looked into."""
    for name, kind in message.get_fields_and_field_types().items():
        value, path = getattr(message, name), f"{where}.{name}"
        if "/" in kind:
            for each in value if kind.startswith("sequence") or kind.endswith("]") else [value]:
                yield from numbers_of(each, path)
        elif "float" in kind or "double" in kind:
            numbers = [value] if isinstance(value, float) else value
            yield from ((path, float(each)) for each in numbers)


class Listener:
    """Subscribes to all; :attr:`given` are the stamps (ns) of the images that came in, by camera."""

    def __init__(self, target_frame=""):
        self._target_frame = target_frame
        self.given = defaultdict(dict)  # camera -> stamp -> frames
        self.heard = Counter()

    def show(self, camera, stamp, frame):
        """An image is given."""
        self.given[camera].setdefault(stamp, set()).add(frame)

    def hear(self, camera, topic, message):
        self.heard[topic] += 1
        if isinstance(message, bytes):
            message = deserialize_message(message, PointStamped if topic == "target" else Image)
        else:
            serialize_message(message)  # what Python's classes let pass, the wire may not
        for where, number in numbers_of(message):
            assert math.isfinite(number), f"{topic}{where} is {number}"
        if topic not in ("queries", "diagnostics"):
            self._stamped(camera, topic, message)
        check = getattr(self, f"_{topic.replace('/', '_')}", None)
        if check:
            check(message)

    def _stamped(self, camera, topic, message):
        for each in message.markers if topic == "markers" else [message]:
            if topic == "result":
                said = strict(each.data)
                stamp, frame = said["stamp"], said["frame_id"]
                assert said["image_frame_id"] in self.given[camera][stamp]
            else:
                header = each.header
                stamp, frame = header.stamp.sec * NS + header.stamp.nanosec, header.frame_id
                assert header.stamp.nanosec < NS
            assert stamp in self.given[camera], f"{topic}: no image of {stamp} came in"
            frames = self.given[camera][stamp]
            assert frame in frames or (topic in IN_3D and frame == self._target_frame), f"{topic}: frame {frame!r}"

    def _pixels(self, message, dtype, channels):
        size = np.dtype(dtype).itemsize * channels
        assert message.step == message.width * size and message.step * message.height == len(message.data)
        return np.frombuffer(message.data, dtype)

    def _heatmap(self, message):
        assert message.encoding == "32FC1"
        pixels = self._pixels(message, "<f4", 1)
        assert np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1

    def _segmentation(self, message):
        assert message.encoding == "mono8"
        self._pixels(message, "u1", 1)

    def _overlay(self, message):
        assert message.encoding == "bgr8"
        self._pixels(message, "u1", 3)

    def _overlay_compressed(self, message):
        assert bytes(message.data[:2]) == b"\xff\xd8" and bytes(message.data[-2:]) == b"\xff\xd9"

    def _cloud(self, message):
        assert message.row_step * message.height == len(message.data)
        assert message.width * message.point_step == message.row_step and message.point_step == POINT.itemsize
        points = np.frombuffer(message.data, POINT)
        for name in POINT.names:
            if POINT[name].kind == "f":
                allowed = np.isnan(points[name]) if name in NAN_IS_DOCUMENTED else False
                assert (np.isfinite(points[name]) | allowed).all(), f"{name}: {points[name]}"
        xyz = np.stack([points[name] for name in "xyz"])
        assert (np.isnan(xyz).all(axis=0) | np.isfinite(xyz).all(axis=0)).all()
        assert message.is_dense == bool(np.isfinite(xyz).all())
        assert ((points["score"] >= 0) & (points["score"] <= 1)).all()
        return xyz

    def _targets(self, message):
        self._cloud(message)

    def _rays(self, message):
        lengths = np.linalg.norm(self._cloud(message), axis=0)
        np.testing.assert_allclose(lengths[np.isfinite(lengths)], 1, rtol=1e-5)

    def _result(self, message):
        for each in strict(message.data)["targets"]:
            assert 0 <= each["score"] <= 1 and 0 <= each["threshold"] <= 1
            assert (each["point"] is None) == (each["covariance"] is None)
            if each["covariance"] is not None:
                matrix = np.array(each["covariance"])
                assert np.allclose(matrix, matrix.T) and (np.linalg.eigvalsh(matrix) >= -1e-6 * matrix.max()).all()
            assert each["found"] or each["point"] is None or each["reason"] == "unconfirmed"

    def _goal(self, message):
        turn = message.pose.orientation
        assert math.isclose(math.hypot(turn.x, turn.y, turn.z, turn.w), 1)

    def _queries(self, message):
        said = strict(message.data)
        assert all(0 <= each["threshold"] <= 1 and each["query"] for each in said["queries"])

"""What is fuzzed byte by byte: each takes bytes of any kind, and may raise nothing but a GemError of one line.

``python targets.py NAME [CORPUS] [libFuzzer's options]`` lets atheris choose the bytes by what they reach in the code;
``NAME`` is one of :data:`TARGETS`. ``scripts/fuzz.sh`` runs them all.
"""

import json
import math
import struct
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from seeds import seeds

from gem_ros.errors import BagError, GemError
from gem_ros.messages import cdr, decode
from gem_ros.messages.compressed import rvl
from gem_ros.queries import format_query, parse_queries
from gem_ros.replay import recovery
from gem_ros.replay.truth import load_truth

NAMES = [*decode.FORMATS, *decode.PLANAR, "32FC1", "16UC1", "64FC1"]
COMPRESSED = ["jpeg", "png", "16UC1; compressedDepth png", "32FC1; compressedDepth png", "16UC1; compressedDepth rvl"]
_FOLDER = tempfile.TemporaryDirectory()


def _one_line(error):
    assert str(error) and "\n" not in str(error), repr(str(error))


def _is_rgb(rgb):
    assert rgb.dtype == np.uint8 and rgb.ndim == 3 and rgb.shape[2] == 3 and rgb.size


def _is_depth(depth):
    assert depth.dtype == np.float32 and depth.ndim == 2
    assert ((depth > 0) & np.isfinite(depth) | np.isnan(depth)).all()


def image(data):
    """A serialized sensor_msgs/Image, as picture and as depth."""
    try:
        message = cdr.image(data)
        stamp = decode.stamp_ns(message.header.stamp)
        again = cdr.serialize_image(stamp, message.header.frame_id, (1, 1), "mono8", memoryview(b"x"))
        assert cdr.image(again).header == message.header
        if message.width * message.height < 1 << 20:
            for read, check in ((decode.image, _is_rgb), (decode.depth, _is_depth)):
                try:
                    check(read(message))
                except GemError as error:
                    _one_line(error)
    except GemError as error:
        _one_line(error)


def point(data):
    """A serialized geometry_msgs/PointStamped."""
    try:
        header, pixel = cdr.point(data, "pixel_query")
        assert isinstance(decode.stamp_ns(header.stamp), int) and len(pixel) == 2
    except GemError as error:
        _one_line(error)


def pixels(data):
    """Pixels that nearly fit what the message says of them: a byte each for encoding, width, height, step, order."""
    if len(data) < 5:
        return
    encoding, width, height, step, order = NAMES[data[0] % len(NAMES)], data[1] % 20, data[2] % 20, data[3], data[4]
    bits, channels, _ = decode.FORMATS.get(encoding, (32, 1, None))
    row = step if order & 2 else width * channels * bits // 8
    rows = height * 3 // 2 if encoding in decode.PLANAR else height
    body = data[5:] if order & 4 else (data[5:] * (row * rows))[: row * rows]
    message = SimpleNamespace(
        encoding=encoding, width=width, height=height, step=row, is_bigendian=order & 1, data=body
    )
    for read, check in ((decode.image, _is_rgb), (decode.depth, _is_depth)):
        try:
            check(read(message))
        except GemError as error:
            _one_line(error)


def compressed(data):
    """A sensor_msgs/CompressedImage; the first byte chooses its format."""
    if not data:
        return
    message = SimpleNamespace(format=COMPRESSED[data[0] % len(COMPRESSED)], data=data[1:])
    if not _is_small(data):
        return
    for read, check in ((decode.compressed_image, _is_rgb), (decode.compressed_depth, _is_depth)):
        try:
            check(read(message))
        except GemError as error:
            _one_line(error)


def _is_small(data):
    """A declared size is believed up to MAX_PIXELS, which takes a second each: here only what is soon done."""
    for at, order in ((13, "<II"), (17, ">II"), (29, ">II")):
        if len(data) >= at + 8 and 1 << 22 < math.prod(struct.unpack_from(order, data, at)) < 1 << 27:
            return False
    return True


def rvl_stream(data):
    """RVL with a small size before it, so that the stream is what is looked at."""
    if len(data) < 2:
        return
    try:
        found = rvl(np.frombuffer(struct.pack("<II", data[0] % 40, data[1] % 40) + data[2:], np.uint8))
        assert found.shape == (data[1] % 40, data[0] % 40) and found.dtype == np.uint16
    except GemError as error:
        _one_line(error)


def camera_info(data):
    """All numbers of a sensor_msgs/CameraInfo, and what is computed with it."""
    from gem_ros.geometry.camera import back_project, check, project

    if len(data) < 200:
        data = data + bytes(200 - len(data))
    sizes = struct.unpack_from("<8I", data)
    k, p = struct.unpack_from("<9d", data, 32), struct.unpack_from("<12d", data, 104)
    count = (len(data) - 200) // 8
    roi = SimpleNamespace(x_offset=sizes[2], y_offset=sizes[3], width=sizes[4], height=sizes[5])
    model = ("plumb_bob", "rational_polynomial", "equidistant", "", "fisheye")[data[0] % 5]
    message = SimpleNamespace(width=sizes[0], height=sizes[1], roi=roi, binning_x=sizes[6], binning_y=sizes[7])
    message.k, message.p, message.d = k, p, struct.unpack_from(f"<{count}d", data, 200)
    message.distortion_model = model
    for rectified in (False, True):
        try:
            camera = decode.camera_info(message, rectified)
            check(camera)
            points = back_project(camera, [[0.0, 0.0], [camera.width, camera.height]], [0.1, 1000.0])
            sound = np.isfinite(points).all(axis=1)
            project(camera, points[sound])
        except GemError as error:
            _one_line(error)


def queries(data):
    """Text that people type; what is understood is understood the same when it is written out."""
    text = data.decode(errors="surrogateescape" if data[:1] == b"\0" else "replace")
    try:
        found = parse_queries(text, 16)
    except GemError as error:
        _one_line(error)
        return
    assert all(each.threshold is None or 0 <= each.threshold <= 1 for each in found)
    try:
        assert parse_queries([format_query(each) for each in found], 16) == found
    except GemError as error:  # written out it may be longer than it may be
        assert "expected at most 512 bytes" in str(error)


def _in_file(name, data):
    path = Path(_FOLDER.name) / name
    path.write_bytes(data)
    return path


HOSTILE = [None, True, -1, 0.5, 1e308, 10**400, 2**70, "", "a" * 99, "\ud800", "34A", "~" * 60, [], [[]], [1e9] * 4, {}]


def _places(value):
    """Every container in a JSON value with each of its keys."""
    for key, each in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield value, key
        yield from _places(each)


def truth(data):
    """A truth.json as it is, or a good one in which the bytes, two and two, choose a place and what is put there."""
    if not data.startswith(b"{"):
        values = json.loads(seeds()["truth"][len(data) % 2])
        for place, what in zip(data[:8:2], data[1:8:2], strict=False):
            places = list(_places(values))
            holder, key = places[place % len(places)]
            holder[key] = HOSTILE[what % len(HOSTILE)]
            if not what & 128 or not places:
                break
        data = json.dumps(values).encode()
    try:
        found = load_truth(_in_file("truth.json", data))
    except BagError as error:
        _one_line(error)
        return
    for seen in found.frames.values():
        for each in seen:
            assert math.isfinite(each.visible_fraction) and all(map(math.isfinite, each.bbox))


def _scan(suffix):
    def scan(data):
        said = []
        for count, (channel, time, content) in enumerate(
            recovery.SCANS[suffix](_in_file("x" + suffix, data), said.append)
        ):
            assert isinstance(channel.topic, str) and isinstance(time, int) and isinstance(content, bytes)
            if count > 10_000:
                break
        for line in said:
            assert line and "\n" not in line, line

    return scan


TARGETS = {
    "image": image,
    "point": point,
    "pixels": pixels,
    "compressed": compressed,
    "rvl": rvl_stream,
    "camera_info": camera_info,
    "queries": queries,
    "truth": truth,
    "mcap": _scan(".mcap"),
    "ros1": _scan(".bag"),
    "sqlite": _scan(".db3"),
}

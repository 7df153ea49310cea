"""ROS messages -> arrays and records; whatever a message declares is checked before it is believed.

Every function takes rclpy's message or rosbags' dataclass of the same type and raises
:class:`~gem_ros.errors.DecodeError` with one line where the message does not hold what it declares.
"""

from __future__ import annotations

import importlib
import math
import re
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gem_ros.data import CameraIntrinsics, Pose
from gem_ros.errors import DecodeError
from gem_ros.messages.compressed import MAX_PIXELS, invert_depth, picture, rvl

Image = npt.NDArray[np.uint8]
Depth = npt.NDArray[np.float32]

NS = 1_000_000_000
MILLIMETRES = ("16UC1", "mono16")
LARGEST_POSITION = 1e8  # m; no map is larger than the Earth, and beyond it 32 bits do not hold what is made of it
SMALLEST_QUATERNION = 1e-6  # its largest number: below, a direction is noise
_GRAY, _FROM_BGR = cv2.COLOR_GRAY2RGB, cv2.COLOR_BGR2RGB
# encoding -> (bits per channel, channels, OpenCV's conversion to RGB). 8UCn are OpenCV's own: BGR order.
# OpenCV names a Bayer pattern by its second row's second and third pixel: RGGB is its BG.
FORMATS: dict[str, tuple[int, int, int | None]] = {
    "rgb8": (8, 3, None),
    "bgr8": (8, 3, _FROM_BGR),
    "rgba8": (8, 4, cv2.COLOR_RGBA2RGB),
    "bgra8": (8, 4, cv2.COLOR_BGRA2RGB),
    "mono8": (8, 1, _GRAY),
    "mono16": (16, 1, _GRAY),
    "8UC1": (8, 1, _GRAY),
    "8UC3": (8, 3, _FROM_BGR),
    "8UC4": (8, 4, cv2.COLOR_BGRA2RGB),
    **{
        f"bayer_{pattern}{bits}": (bits, 1, code)
        for bits in (8, 16)
        for pattern, code in (
            ("rggb", cv2.COLOR_BayerBG2RGB),
            ("bggr", cv2.COLOR_BayerRG2RGB),
            ("gbrg", cv2.COLOR_BayerGR2RGB),
            ("grbg", cv2.COLOR_BayerGB2RGB),
        )
    },
    **dict.fromkeys(("yuv422", "uyvy"), (8, 2, cv2.COLOR_YUV2RGB_UYVY)),
    **dict.fromkeys(("yuv422_yuy2", "yuyv"), (8, 2, cv2.COLOR_YUV2RGB_YUY2)),
}
PLANAR = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}  # a half-high plane of u and v below y


def stamp_ns(stamp: Any) -> int:
    """builtin_interfaces/Time -> ns."""
    if stamp.nanosec >= NS:  # what is made of it would be another stamp, or none that fits into 32 bits of seconds
        raise DecodeError(f"stamp: expected less than {NS} nanoseconds, got {stamp.nanosec}; see its publisher")
    return int(stamp.sec) * NS + int(stamp.nanosec)


def image(msg: Any) -> Image:
    """sensor_msgs/Image -> (H, W, 3) uint8 RGB; rgb8 without padding is a view of the message's bytes.

    16-bit images are scaled to 8 (65535 -> 255). Encodings not listed here go through cv_bridge where a
    working one is installed; for those listed both make the same array, which tests hold where it is there.
    """
    if msg.encoding in PLANAR:
        if msg.width % 2 or msg.height % 2:
            raise DecodeError(f"image: expected even sides for {msg.encoding}, got {msg.width}x{msg.height}")
        return _convert(_raster(msg, msg.width, msg.height * 3 // 2), PLANAR[msg.encoding])
    if msg.encoding not in FORMATS:
        return _by_cv_bridge(msg)
    bits, channels, code = FORMATS[msg.encoding]
    if channels == 2 and msg.width % 2:
        raise DecodeError(f"image: expected an even width for {msg.encoding}, got {msg.width}")
    pixels = _pixels(msg, f"u{bits // 8}", channels)
    rgb = pixels if code is None else _convert(pixels, code)
    return cv2.convertScaleAbs(rgb, alpha=1 / 257).view(np.uint8) if bits == 16 else np.ascontiguousarray(rgb)


def compressed_image(msg: Any) -> Image:
    """sensor_msgs/CompressedImage (JPEG or PNG, whatever ``format`` says) -> (H, W, 3) uint8 RGB."""
    if "compressedDepth" in msg.format:
        raise DecodeError(f"compressed image: expected a colour picture, got {msg.format!r}; subscribe it as depth")
    return _convert(picture(_bytes(msg), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), _FROM_BGR)


def depth(msg: Any) -> Depth:
    """sensor_msgs/Image of depth (REP-118) -> (H, W) float32 m, NaN where invalid.

    16UC1 and mono16: millimetres, 0 invalid; 32FC1: metres, what is not finite and positive is invalid.
    """
    if msg.encoding in MILLIMETRES:
        return _metres(_pixels(msg, "u2", 1))
    if msg.encoding == "32FC1":
        return _positive(_pixels(msg, "f4", 1))
    raise DecodeError(f"depth: expected encoding 16UC1, mono16 or 32FC1, got {msg.encoding!r}")


def compressed_depth(msg: Any) -> Depth:
    """sensor_msgs/CompressedImage of compressed_depth_image_transport -> (H, W) float32 m, NaN invalid.

    ``format`` is ``<encoding>; compressedDepth [png|rvl]``; a 12-byte header (codec, two quantisation
    numbers of 32FC1) comes before the picture.
    """
    encoding, _, transport = (part.strip() for part in msg.format.partition(";"))
    if not transport.startswith("compressedDepth") or encoding not in (*MILLIMETRES, "32FC1"):
        expected = "'16UC1; compressedDepth' or '32FC1; compressedDepth'"
        raise DecodeError(f"compressed depth: expected format {expected}, got {msg.format!r}")
    data = _bytes(msg)
    if len(data) <= 12:
        raise DecodeError(f"compressed depth: expected a 12-byte header and a picture, got {len(data)} bytes")
    raw = rvl(data[12:]) if transport.endswith("rvl") else picture(data[12:], cv2.IMREAD_UNCHANGED)
    if raw.dtype != np.uint16 or raw.ndim != 2:
        raise DecodeError(f"compressed depth: expected 16-bit gray, got {raw.dtype} of shape {raw.shape}")
    values = raw.astype(np.uint16, copy=False)
    return _positive(invert_depth(values, data[4:12])) if encoding == "32FC1" else _metres(values)


def camera_info(msg: Any, rectified: bool = False) -> CameraIntrinsics:
    """sensor_msgs/CameraInfo -> the camera of the raw image it came with, or of the rectified one.

    Raw: K and D. Rectified: the left three columns of P and no distortion; points are then of this camera's
    own optical frame, whatever stereo baseline P's fourth column tells. Both are of the calibrated size;
    region of interest and binning (REP-104) are applied, so that integers stay pixel centres:
    cx' = (cx − x_offset + ½)/binning − ½. Zero binning means none, an empty region the whole image.
    """
    k, d = [float(each) for each in msg.k], tuple(float(each) for each in msg.d)
    expected, cure = "a calibrated camera", "calibrate it"
    if rectified:
        k, d = [float(msg.p[row + column]) for row in (0, 4, 8) for column in range(3)], ()
        expected, cure = "the projection P of a rectified image", "calibrate it, or set rectified to no"
    for name, numbers in (("P" if rectified else "K", k), ("D", d)):
        if not all(map(math.isfinite, numbers)):
            raise DecodeError(f"camera_info: expected finite numbers in {name}, got {list(numbers)}; {cure}")
    if not (k[0] > 0 and k[4] > 0):
        raise DecodeError(f"camera_info: expected {expected}, got fx={k[0]:g}, fy={k[4]:g}; {cure}")
    if k[1]:
        raise DecodeError(f"camera_info: expected no skew, got {'P' if rectified else 'K'}[0, 1]={k[1]:g}")
    across, down = max(int(msg.binning_x), 1), max(int(msg.binning_y), 1)
    width, height = (int(msg.roi.width) or int(msg.width)) // across, (int(msg.roi.height) or int(msg.height)) // down
    if width < 1 or height < 1:
        raise DecodeError(f"camera_info: expected an image of at least 1x1 px, got {width}x{height}")
    return CameraIntrinsics(
        width=width,
        height=height,
        fx=k[0] / across,
        fy=k[4] / down,
        cx=(k[2] - int(msg.roi.x_offset) + 0.5) / across - 0.5,
        cy=(k[5] - int(msg.roi.y_offset) + 0.5) / down - 0.5,
        distortion_model="plumb_bob" if rectified else str(msg.distortion_model),
        d=d,
    )


def is_rectified(topic: str) -> bool:
    """Whether an image topic is named as image_proc names rectified ones: ``image_rect_color``, ``rect/image``."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", topic)
    return any(each.lower() in ("rect", "rectified") for each in words)


def pose(msg: Any) -> Pose:
    """geometry_msgs/PoseStamped of a camera's optical frame -> where it is in the message's frame."""
    return Pose(str(msg.header.frame_id), _motion(msg.pose.position, msg.pose.orientation))


def transform(msg: Any) -> Pose:
    """geometry_msgs/TransformStamped -> where the child frame is in the message's frame."""
    return Pose(str(msg.header.frame_id), _motion(msg.transform.translation, msg.transform.rotation))


def _motion(position: Any, rotation: Any) -> npt.NDArray[np.float64]:
    """(4, 4) of a message's x, y, z in m and a quaternion x, y, z, w of any length but zero.

    With q = (v, w) of length 1 and [v]× the matrix of the cross product: R = I + 2w[v]× + 2[v]×[v]× (Rodrigues).
    """
    shift = np.array([position.x, position.y, position.z], np.float64)
    quaternion = np.array([rotation.x, rotation.y, rotation.z, rotation.w], np.float64)
    largest = float(np.abs(quaternion).max())  # first out of the squares' way, which overflow
    near = bool((np.abs(shift) <= LARGEST_POSITION).all())  # false for NaN
    if not (near and np.isfinite(largest) and largest >= SMALLEST_QUATERNION):
        got = f"{shift.tolist()} m, {quaternion.tolist()}"
        raise DecodeError(
            f"pose: expected a position within {LARGEST_POSITION:g} m and a quaternion of length 1, got {got}; "
            "see its publisher"
        )
    quaternion /= largest
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    result = np.eye(4)
    result[:3, :3] += 2 * w * cross + 2 * cross @ cross
    result[:3, 3] = shift
    return result


def _bytes(msg: Any) -> Image:
    """A message's data as (n,) uint8 without a copy: array.array, bytes and ndarray alike."""
    return np.frombuffer(msg.data, dtype=np.uint8) if len(msg.data) else np.empty(0, np.uint8)


def _raster(msg: Any, row_bytes: int, rows: int) -> Image:
    """(rows, row_bytes) uint8 view of a message's data, padding cut off."""
    if not 0 < msg.width * msg.height <= MAX_PIXELS:
        raise DecodeError(f"image: expected 1 to {MAX_PIXELS} pixels, got {msg.width}x{msg.height}")
    if msg.step < row_bytes:
        raise DecodeError(
            f"image: expected a step of at least {row_bytes} bytes for {msg.width} px of {msg.encoding}, got {msg.step}"
        )
    if len(msg.data) != msg.step * rows:
        raise DecodeError(f"image: expected {msg.step * rows} bytes ({rows} rows of {msg.step}), got {len(msg.data)}")
    return _bytes(msg).reshape(rows, msg.step)[:, :row_bytes]


def _pixels(msg: Any, kind: str, channels: int) -> npt.NDArray[Any]:
    """(H, W[, channels]) of a dtype like ``u2`` in the machine's byte order."""
    dtype = np.dtype(kind).newbyteorder(">" if msg.is_bigendian else "<")
    raster = _raster(msg, int(msg.width) * channels * dtype.itemsize, int(msg.height))
    pixels: npt.NDArray[Any] = raster.view(dtype).astype(dtype.newbyteorder("="), copy=False)
    return pixels if channels == 1 else pixels.reshape(len(raster), int(msg.width), channels)


def _convert(pixels: npt.NDArray[Any], code: int) -> Image:
    try:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(pixels), code))
    except cv2.error as error:  # a Bayer pattern needs more than one pixel
        raise DecodeError(f"image: cannot convert {pixels.shape[1]}x{pixels.shape[0]} px to RGB") from error


def _metres(millimetres: npt.NDArray[np.uint16]) -> Depth:
    metres: Depth = np.divide(millimetres, np.float32(1000), dtype=np.float32)  # in one pass, block by block
    if not millimetres.min():
        metres[millimetres == 0] = np.nan
    return metres


def _positive(metres: Depth) -> Depth:
    valid = np.isfinite(metres) & (metres > 0)
    return metres if valid.all() else np.where(valid, metres, np.float32(np.nan))


def _by_cv_bridge(msg: Any) -> Image:
    """What only cv_bridge knows to convert."""
    try:
        bridge = importlib.import_module("cv_bridge").CvBridge()
    except Exception as error:  # missing, of ROS 1, or built for another numpy: each breaks in its own way
        known = ", ".join((*FORMATS, *PLANAR))
        raise DecodeError(f"image: expected encoding {known}, got {msg.encoding!r} and no cv_bridge") from error
    _raster(msg, 1, int(msg.height))
    try:
        return np.asarray(bridge.imgmsg_to_cv2(msg, desired_encoding="rgb8"), dtype=np.uint8)
    except Exception as error:  # CvBridgeError, cv2.error, KeyError, RuntimeError from its C++
        raise DecodeError(f"image: cv_bridge cannot convert encoding {msg.encoding!r} to rgb8 ({error})") from error

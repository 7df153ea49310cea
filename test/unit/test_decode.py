"""Messages made byte by byte, of rosbags' and of rclpy's classes, and what must come out of them."""

from __future__ import annotations

import array
import contextlib
import importlib
import importlib.util
import struct
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from gem_ros.errors import DecodeError
from gem_ros.messages import decode
from gem_ros.messages.compressed import MAX_PIXELS, rvl

HAS_RCLPY = importlib.util.find_spec("rclpy") is not None
TYPES = {name: get_typestore(Stores[name]).types for name in ("ROS2_HUMBLE", "ROS2_JAZZY", "ROS2_KILTED")}
ORIGINS = [
    "plain",
    *TYPES,
    pytest.param("rclpy", marks=pytest.mark.skipif(not HAS_RCLPY, reason="rclpy is not installed")),
]


def make_image(
    origin: str, encoding: str, size: tuple[int, int], data: bytes, step: int, *, is_bigendian: int = 0
) -> Any:
    """A sensor_msgs/Image of some origin; ``size`` is (width, height)."""
    width, height = size
    fields = {
        "height": height,
        "width": width,
        "encoding": encoding,
        "is_bigendian": is_bigendian,
        "step": step,
    }
    if origin == "plain":
        return SimpleNamespace(data=data, **fields)
    if origin == "rclpy":
        message = importlib.import_module("sensor_msgs.msg").Image(**fields)
        message.data = array.array("B", data)
        return message
    types = TYPES[origin]
    stamp = types["builtin_interfaces/msg/Time"](sec=1, nanosec=2)
    header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="camera")
    return types["sensor_msgs/msg/Image"](header=header, data=np.frombuffer(data, np.uint8), **fields)


def plain(encoding: str, size: tuple[int, int], data: bytes, step: int, is_bigendian: int = 0) -> Any:
    return make_image("plain", encoding, size, data, step, is_bigendian=is_bigendian)


# Images. Two pixels wide, two high, one padding byte (0xEE) at the end of every row.

RED, GREEN, BLUE, WHITE = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]
SCENE = [[RED, GREEN], [BLUE, WHITE]]
COLOURED = {
    "rgb8": "ff0000 00ff00 ee 0000ff ffffff ee",
    "bgr8": "0000ff 00ff00 ee ff0000 ffffff ee",
    "8UC3": "0000ff 00ff00 ee ff0000 ffffff ee",
    "rgba8": "ff000011 00ff0022 ee 0000ff33 ffffff44 ee",
    "bgra8": "0000ff11 00ff0022 ee ff000033 ffffff44 ee",
    "8UC4": "0000ff11 00ff0022 ee ff000033 ffffff44 ee",
}


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("encoding", COLOURED)
def test_colours_come_out_as_rgb_without_the_padding(origin: str, encoding: str) -> None:
    data = bytes.fromhex(COLOURED[encoding])
    rgb = decode.image(make_image(origin, encoding, (2, 2), data, len(data) // 2))
    assert rgb.dtype == np.uint8
    assert rgb.tolist() == SCENE
    assert rgb.flags.c_contiguous


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_gray_is_three_times_the_same(encoding: str) -> None:
    rgb = decode.image(plain(encoding, (2, 2), bytes.fromhex("0010ee 80ffee"), 3))
    assert rgb.tolist() == [[[0] * 3, [16] * 3], [[128] * 3, [255] * 3]]


@pytest.mark.parametrize(("is_bigendian", "data"), [(0, "0000 ffff ee 0180 0101 ee"), (1, "0000 ffff ee 8001 0101 ee")])
def test_sixteen_bits_are_scaled_to_eight_in_either_byte_order(is_bigendian: int, data: str) -> None:
    rgb = decode.image(plain("mono16", (2, 2), bytes.fromhex(data), 5, is_bigendian))
    assert rgb[..., 0].tolist() == [[0, 255], [128, 1]]
    assert (rgb == rgb[..., :1]).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_bayer_pattern_of_one_colour_is_that_colour(pattern: str, bits: int) -> None:
    colour = {"r": 200, "g": 100, "b": 50}
    tile = np.array([[colour[pattern[0]], colour[pattern[1]]], [colour[pattern[2]], colour[pattern[3]]]])
    raw = np.tile(tile, (4, 5)).astype(np.uint8 if bits == 8 else np.uint16) * (1 if bits == 8 else 257)
    rows = np.pad(raw.view(np.uint8), ((0, 0), (0, 3)), constant_values=0xEE)
    rgb = decode.image(plain(f"bayer_{pattern}{bits}", (10, 8), rows.tobytes(), rows.shape[1]))
    assert rgb[1:-1, 1:-1].reshape(-1, 3).tolist() == [[200, 100, 50]] * 48


def near(rgb: Any, expected: list[int]) -> bool:
    return bool((np.abs(rgb.astype(int) - expected) <= 2).all())


# ITU-R BT.601 studio range: Y = 16 + 65.481 R + 128.553 G + 24.966 B and so on, red is (81, 90, 240).
@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"])
def test_yuv422(encoding: str) -> None:
    row = "5a51f051 5a51f051" if encoding in ("yuv422", "uyvy") else "515a51f0 515a51f0"
    rgb = decode.image(plain(encoding, (4, 2), bytes.fromhex(f"{row} eeee" * 2), 10))
    assert rgb.shape == (2, 4, 3)
    assert near(rgb, RED)


@pytest.mark.parametrize(("encoding", "chroma"), [("nv12", "5af05af0"), ("nv21", "f05af05a")])
def test_nv12_and_nv21(encoding: str, chroma: str) -> None:
    rgb = decode.image(plain(encoding, (4, 2), bytes.fromhex("51515151 ee" * 2 + chroma + "ee"), 5))
    assert rgb.shape == (2, 4, 3)
    assert near(rgb, RED)


def test_rgb8_is_not_copied() -> None:
    data = np.zeros(12, np.uint8)
    rgb = decode.image(SimpleNamespace(encoding="rgb8", width=2, height=2, step=6, is_bigendian=0, data=data))
    assert np.shares_memory(rgb, data)


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (plain("rgb8", (2, 2), bytes(12), 5), "step of at least 6 bytes for 2 px of rgb8, got 5"),
        (plain("rgb8", (2, 2), bytes(11), 6), r"12 bytes \(2 rows of 6\), got 11"),
        (plain("rgb8", (2, 2), bytes(13), 6), r"12 bytes \(2 rows of 6\), got 13"),
        (plain("rgb8", (0, 2), b"", 0), "got 0x2"),
        (plain("rgb8", (2, 0), b"", 6), "got 2x0"),
        (plain("rgb8", (2**31, 2**31), b"", 2**32 - 1), f"1 to {MAX_PIXELS} pixels"),
        (plain("yuv422", (3, 2), bytes(12), 6), "even width for yuv422, got 3"),
        (plain("nv12", (2, 3), bytes(8), 2), "even sides for nv12, got 2x3"),
        (plain("nv12", (2, 2), bytes(4), 2), r"6 bytes \(3 rows of 2\), got 4"),
        (plain("mono16", (2, 2), bytes(4), 2), "step of at least 4"),
        (plain("", (2, 2), bytes(4), 2), "expected encoding rgb8, bgr8, .*, got ''"),
        (plain("32FC1", (2, 2), bytes(16), 8), "got '32FC1'"),
    ],
)
def test_an_image_that_is_not_what_it_says_is_refused_in_one_line(message: Any, says: str) -> None:
    with pytest.raises(DecodeError, match=says) as error:
        decode.image(message)
    assert "\n" not in str(error.value)


@settings(deadline=None, max_examples=60)
@given(
    encoding=st.sampled_from([*decode.FORMATS, *decode.PLANAR, "16UC1", "32FC1", "nonsense"]),
    width=st.integers(0, 9),
    height=st.integers(0, 9),
    step=st.integers(0, 40),
    data=st.binary(max_size=200),
)
def test_any_bytes_give_an_image_or_a_decode_error(
    encoding: str, width: int, height: int, step: int, data: bytes
) -> None:
    message = plain(encoding, (width, height), data, step)
    for function in (decode.image, decode.depth):
        try:
            result = function(message)
        except DecodeError:
            continue
        assert result.shape[:2] == (height, width)


@pytest.mark.parametrize(
    "encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8", "bayer_rggb8", "yuv422", "yuv422_yuy2"]
)
def test_cv_bridge_says_the_same(encoding: str) -> None:
    bridge = pytest.importorskip("cv_bridge", reason="cv_bridge is not installed").CvBridge()
    bits, channels, _ = decode.FORMATS[encoding]
    data = np.random.default_rng(0).integers(0, 256, 8 * 10 * channels * bits // 8).astype(np.uint8).tobytes()
    message = make_image("rclpy", encoding, (10, 8), data, 10 * channels * bits // 8)
    np.testing.assert_array_equal(decode.image(message), bridge.imgmsg_to_cv2(message, "rgb8"))


def test_other_encodings_go_through_cv_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bridge:
        def imgmsg_to_cv2(self, message: Any, desired_encoding: str) -> Any:
            assert desired_encoding == "rgb8"
            if message.encoding == "broken":
                raise RuntimeError("no such conversion")
            return np.full((message.height, message.width, 3), 7, np.uint8)

    fake = SimpleNamespace(CvBridge=Bridge)
    monkeypatch.setattr(importlib, "import_module", lambda name: fake if name == "cv_bridge" else None)
    assert decode.image(plain("rgb16", (2, 2), bytes(24), 12)).tolist() == [[[7] * 3] * 2] * 2
    with pytest.raises(DecodeError, match=r"cannot convert encoding 'broken' to rgb8 \(no such conversion\)"):
        decode.image(plain("broken", (2, 2), bytes(24), 12))
    with pytest.raises(DecodeError, match="got 23"):
        decode.image(plain("rgb16", (2, 2), bytes(23), 12))


# Depth


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("encoding", ["16UC1", "mono16"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_millimetres(origin: str, encoding: str, order: str) -> None:
    data = b"".join(struct.pack(f"{order}HHB", *row, 0xEE) for row in [(0, 1), (1500, 65535)])
    metres = decode.depth(make_image(origin, encoding, (2, 2), data, 5, is_bigendian=order == ">"))
    assert metres.dtype == np.float32
    np.testing.assert_array_equal(metres, np.array([[np.nan, 0.001], [1.5, 65.535]], np.float32))


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_metres(origin: str, order: str) -> None:
    rows = [(1.5, float("nan"), float("inf")), (0.0, -1.0, 0.25)]
    data = b"".join(struct.pack(f"{order}fffBB", *row, 0xEE, 0xEE) for row in rows)
    metres = decode.depth(make_image(origin, "32FC1", (3, 2), data, 14, is_bigendian=order == ">"))
    assert metres.dtype == np.float32
    np.testing.assert_array_equal(metres, np.array([[1.5, np.nan, np.nan], [np.nan, np.nan, 0.25]], np.float32))


def test_a_message_is_never_written_to() -> None:
    data = np.array([0.0, 1.0], np.float32).view(np.uint8)
    before = data.copy()
    decode.depth(SimpleNamespace(encoding="32FC1", width=2, height=1, step=8, is_bigendian=0, data=data))
    assert (data == before).all()


def test_depth_of_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(DecodeError, match="16UC1, mono16 or 32FC1, got 'rgb8'"):
        decode.depth(plain("rgb8", (2, 2), bytes(12), 6))


# Compressed


def png(array_: Any) -> bytes:
    return bytes(cv2.imencode(".png", array_)[1])


def compressed(form: str, data: bytes) -> Any:
    return SimpleNamespace(format=form, data=array.array("B", data))


def gradient() -> Any:
    rows, columns = np.indices((48, 64))
    return np.stack([rows * 5, columns * 4 - 1, 255 - rows], axis=-1).astype(np.uint8)


def test_png_and_jpeg_are_rgb() -> None:
    rgb = gradient()
    assert (decode.compressed_image(compressed("png", png(rgb[..., ::-1]))) == rgb).all()
    jpeg = bytes(cv2.imencode(".jpg", cv2.GaussianBlur(rgb, (9, 9), 3)[..., ::-1])[1])
    difference = decode.compressed_image(compressed("rgb8; jpeg compressed bgr8", jpeg)).astype(int) - rgb
    assert np.abs(difference[5:-5, 5:-5]).mean() < 6
    gray = bytes(cv2.imencode(".jpg", rgb[..., 0])[1])
    assert decode.compressed_image(compressed("jpeg", gray)).shape == (48, 64, 3)


@pytest.mark.parametrize("kind", [".png", ".jpg"])
def test_a_damaged_picture_is_refused(kind: str) -> None:
    whole = bytes(cv2.imencode(kind, gradient())[1])
    for length in (0, 1, 8, 20, len(whole) // 2, len(whole) - 20):
        with pytest.raises(DecodeError) as error:
            decode.compressed_image(compressed("jpeg", whole[:length]))
        assert "\n" not in str(error.value)
    with pytest.raises(DecodeError, match="end too early"):  # some OpenCV versions fill the rest with gray
        decode.compressed_image(compressed("jpeg", whole[:-20]))
    with pytest.raises(DecodeError, match="JPEG or PNG"):
        decode.compressed_image(compressed("jpeg", b"nothing of the kind"))


def test_a_picture_that_declares_a_monstrous_size_is_not_unpacked() -> None:
    whole = bytearray(png(gradient()))
    whole[16:24] = struct.pack(">II", 60000, 60000)
    with pytest.raises(DecodeError, match="got 60000x60000"):
        decode.compressed_image(compressed("png", bytes(whole)))
    jpeg = bytearray(cv2.imencode(".jpg", gradient())[1].tobytes())
    frame = jpeg.index(b"\xff\xc0")
    jpeg[frame + 5 : frame + 9] = struct.pack(">HH", 60000, 60001)
    with pytest.raises(DecodeError, match="got 60001x60000"):
        decode.compressed_image(compressed("jpeg", bytes(jpeg)))


def test_depth_is_not_a_picture() -> None:
    with pytest.raises(DecodeError, match="subscribe it as depth"):
        decode.compressed_image(compressed("16UC1; compressedDepth png", png(gradient())))


MILLIMETRES = np.array([[0, 1, 1500], [65535, 700, 701]], np.uint16)
METRES = np.array([[np.nan, 0.001, 1.5], [65.535, 0.7, 0.701]], np.float32)
HEADER = struct.pack("<iff", 0, 0.0, 0.0)


def rvl_compress(depth: Any) -> bytes:
    """An RVL stream written naively after the paper's description, to read back."""
    nibbles: list[int] = []

    def put(value: int) -> None:
        while True:
            value, low = value >> 3, value & 7
            nibbles.append(low | (8 if value else 0))
            if not value:
                return

    flat, at, previous = depth.ravel().tolist(), 0, 0
    while at < len(flat):
        zeros = next((i for i, value in enumerate(flat[at:]) if value), len(flat) - at)
        at += zeros
        values = next((i for i, value in enumerate(flat[at:]) if not value), len(flat) - at)
        put(zeros)
        put(values)
        for value in flat[at : at + values]:
            delta, previous = value - previous, value
            put(2 * delta if delta >= 0 else -2 * delta - 1)
        at += values
    nibbles += [0] * (-len(nibbles) % 8)
    words = [sum(n << (28 - 4 * i) for i, n in enumerate(nibbles[j : j + 8])) for j in range(0, len(nibbles), 8)]
    return struct.pack("<II", depth.shape[1], depth.shape[0]) + struct.pack(f"<{len(words)}I", *words)


@pytest.mark.parametrize("form", ["16UC1; compressedDepth", "16UC1; compressedDepth png", "mono16; compressedDepth"])
def test_compressed_millimetres(form: str) -> None:
    metres = decode.compressed_depth(compressed(form, HEADER + png(MILLIMETRES)))
    np.testing.assert_array_equal(metres, METRES)


def test_rvl_by_hand() -> None:
    # 2x2 pixels 0 0 5 4: two zeros, two values, +5 -> 10 = 2 + 8·1, −1 -> 1. Nibbles 2 2 a 1 1.
    data = struct.pack("<II", 2, 2) + struct.pack("<I", 0x22A11000)
    assert rvl(np.frombuffer(data, np.uint8)).tolist() == [[0, 0], [5, 4]]
    metres = decode.compressed_depth(compressed("16UC1; compressedDepth rvl", HEADER + data))
    np.testing.assert_array_equal(metres, np.array([[np.nan, np.nan], [0.005, 0.004]], np.float32))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 1), width=st.integers(1, 20), height=st.integers(1, 20))
def test_rvl_round_trip(seed: int, share: float, width: int, height: int) -> None:
    rng = np.random.default_rng(seed)
    depth = rng.integers(1, 65536, (height, width)).astype(np.uint16)
    depth[rng.random(depth.shape) < share] = 0
    np.testing.assert_array_equal(rvl(np.frombuffer(rvl_compress(depth), np.uint8)), depth)


@settings(deadline=None, max_examples=60)
@given(data=st.binary(max_size=60))
def test_any_bytes_are_a_stream_or_a_decode_error(data: bytes) -> None:
    for stream in (data, struct.pack("<II", 5, 4) + data):
        with contextlib.suppress(DecodeError):
            assert rvl(np.frombuffer(stream, np.uint8)).dtype == np.uint16


def test_a_truncated_rvl_stream_is_refused() -> None:
    data = rvl_compress(np.arange(1, 401, dtype=np.uint16).reshape(20, 20))
    for length in (4, 8, 12, len(data) // 2):
        with pytest.raises(DecodeError):
            rvl(np.frombuffer(data[:length], np.uint8))


def test_an_rvl_stream_of_more_pixels_than_declared_is_refused() -> None:
    data = rvl_compress(np.arange(1, 401, dtype=np.uint16).reshape(20, 20))
    with pytest.raises(DecodeError, match="expected 20x19 pixels"):
        rvl(np.frombuffer(struct.pack("<II", 20, 19) + data[8:], np.uint8))


@pytest.mark.parametrize("codec", ["png", "rvl"])
def test_quantised_inverse_depth(codec: str) -> None:
    a, b = 100.0, -20.0
    header = struct.pack("<iff", 1, a, b)
    values = np.array([[0, 30], [180, 1]], np.uint16)
    payload = png(values) if codec == "png" else rvl_compress(values)
    metres = decode.compressed_depth(compressed(f"32FC1; compressedDepth {codec}", header + payload))
    np.testing.assert_allclose(metres, [[np.nan, 100 / 50], [100 / 200, 100 / 21]], rtol=1e-6)


@pytest.mark.parametrize(
    ("form", "data", "says"),
    [
        ("jpeg", HEADER, "'16UC1; compressedDepth'"),
        ("8UC1; compressedDepth png", HEADER + png(MILLIMETRES), "got '8UC1; compressedDepth png'"),
        ("16UC1; compressedDepth png", HEADER, "got 12 bytes"),
        ("16UC1; compressedDepth png", HEADER + png(gradient()), "16-bit gray, got uint8"),
        ("16UC1; compressedDepth rvl", HEADER + struct.pack("<II", 2**31, 2**31), "pixels, got"),
    ],
)
def test_compressed_depth_that_is_none(form: str, data: bytes, says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        decode.compressed_depth(compressed(form, data))


# camera_info


def info(**changes: Any) -> Any:
    roi = SimpleNamespace(x_offset=0, y_offset=0, width=0, height=0, do_rectify=False)
    fields: dict[str, Any] = {
        "width": 640,
        "height": 480,
        "distortion_model": "plumb_bob",
        "d": [0.1, 0.2, 0.0, 0.0, 0.0],
        "k": np.array([525.0, 0, 319.5, 0, 520.0, 239.5, 0, 0, 1]),
        "p": np.array([500.0, 0, 300.5, -25.0, 0, 510.0, 250.5, 0, 0, 0, 1, 0]),
        "binning_x": 0,
        "binning_y": 0,
        "roi": roi,
    }
    return SimpleNamespace(**(fields | changes))


def test_camera_info() -> None:
    camera = decode.camera_info(info())
    assert (camera.width, camera.height) == (640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (525.0, 520.0, 319.5, 239.5)
    assert (camera.distortion_model, camera.d) == ("plumb_bob", (0.1, 0.2, 0.0, 0.0, 0.0))


def test_binning_keeps_the_centre_in_the_centre() -> None:
    camera = decode.camera_info(info(binning_x=2, binning_y=4))
    assert (camera.width, camera.height) == (320, 120)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (262.5, 130.0, 159.5, 59.5)


def test_a_region_of_interest_moves_the_centre() -> None:
    roi = SimpleNamespace(x_offset=100, y_offset=40, width=200, height=100, do_rectify=False)
    camera = decode.camera_info(info(roi=roi))
    assert (camera.width, camera.height, camera.cx, camera.cy) == (200, 100, 219.5, 199.5)
    binned = decode.camera_info(info(roi=roi, binning_x=2, binning_y=2))
    assert (binned.width, binned.height, binned.cx, binned.cy) == (100, 50, 109.5, 99.5)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"k": [0.0] * 9}, "expected a calibrated camera, got fx=0, fy=0"),
        ({"k": [float("nan")] * 9}, "finite numbers in K"),
        ({"d": [float("inf")]}, "finite numbers in D"),
        ({"k": [525.0, 3.0, 319.5, 0, 520.0, 239.5, 0, 0, 1]}, "no skew"),
        ({"width": 0}, "got 0x480"),
        ({"binning_x": 1000}, "got 0x480"),
    ],
)
def test_an_uncalibrated_camera_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DecodeError, match=says):
        decode.camera_info(info(**changes))


def test_a_rectified_image_has_the_camera_of_p_and_no_distortion() -> None:
    camera = decode.camera_info(info(d=[float("nan")] * 8, distortion_model="rational_polynomial"), rectified=True)
    assert (camera.width, camera.height) == (640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500.0, 510.0, 300.5, 250.5)
    assert camera.d == () and camera.distortion_model == "plumb_bob"


def test_region_and_binning_of_a_rectified_image() -> None:
    roi = SimpleNamespace(x_offset=100, y_offset=40, width=200, height=100, do_rectify=True)
    camera = decode.camera_info(info(roi=roi, binning_x=2, binning_y=4), rectified=True)
    assert (camera.width, camera.height) == (100, 25)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (250.0, 127.5, 100.0, 52.25)


@pytest.mark.parametrize(
    ("p", "says"),
    [
        ([0.0] * 12, "projection P of a rectified image, got fx=0, fy=0; calibrate it, or set rectified to no"),
        ([500.0, 0, 300, 0, 0, 0, 250, 0, 0, 0, 1, 0], "got fx=500, fy=0"),
        ([float("nan")] * 12, "finite numbers in P"),
        ([500.0, 2.0, 300, 0, 0, 500, 250, 0, 0, 0, 1, 0], r"no skew, got P\[0, 1\]=2"),
    ],
)
def test_a_rectified_image_without_a_projection_is_refused_in_one_line(p: list[float], says: str) -> None:
    with pytest.raises(DecodeError, match=says) as error:
        decode.camera_info(info(p=p), rectified=True)
    assert "\n" not in str(error.value)
    assert decode.camera_info(info(p=p)).fx == 525.0  # the raw one needs none


@pytest.mark.parametrize(
    "topic",
    [
        *(
            "/image_rect",
            "image_rect_color",
            "/camera/color/image_rect_raw",
            "/cam/rect/image",
            "/zed/rgb/color/rect/image",
        ),
        *(
            "/camera/color_rectified",
            "/left/image_rect/compressed",
            "/cam0/Image_Rect",
            "/cam/imageRect",
            "/image_rect2",
        ),
    ],
)
def test_image_procs_names_are_of_rectified_images(topic: str) -> None:
    assert decode.is_rectified(topic)


@pytest.mark.parametrize(
    "topic",
    [
        *("", "/", "/image_raw", "/camera/color/image_raw", "/direct/image", "/image_direct", "/rectangle/image"),
        *("/unrectified/image", "/correct_image", "/rectifier/image_raw", "/imagerect", "/directRectangle"),
    ],
)
def test_other_names_are_not(topic: str) -> None:
    assert not decode.is_rectified(topic)


# Poses


def make_pose(origin: str, position: Any, rotation: Any, kind: str = "PoseStamped") -> Any:
    """A PoseStamped or TransformStamped in map; ``rotation`` is x, y, z, w."""
    names, parts = ("x", "y", "z", "w"), ("translation", "rotation") if "Trans" in kind else ("position", "orientation")
    inner, first = ("Transform", "Vector3") if "Trans" in kind else ("Pose", "Point")
    fields = dict(zip(names, position, strict=False)), dict(zip(names, rotation, strict=True))
    if origin == "plain":
        value = dict(zip(parts, (SimpleNamespace(**each) for each in fields), strict=True))
        header = SimpleNamespace(frame_id="map")
        return SimpleNamespace(header=header, **{inner.lower(): SimpleNamespace(**value)})
    if origin == "rclpy":
        messages = importlib.import_module("geometry_msgs.msg")
        made = getattr(messages, first)(**fields[0]), messages.Quaternion(**fields[1])
        message = getattr(messages, kind)()
        message.header.frame_id = "map"
        setattr(message, inner.lower(), getattr(messages, inner)(**dict(zip(parts, made, strict=True))))
        return message
    types = TYPES[origin]
    made = types[f"geometry_msgs/msg/{first}"](**fields[0]), types["geometry_msgs/msg/Quaternion"](**fields[1])
    stamp = types["builtin_interfaces/msg/Time"](sec=1, nanosec=2)
    values = {
        "header": types["std_msgs/msg/Header"](stamp=stamp, frame_id="map"),
        inner.lower(): types[f"geometry_msgs/msg/{inner}"](**dict(zip(parts, made, strict=True))),
    }
    extra = {"child_frame_id": "camera"} if "Trans" in kind else {}
    return types[f"geometry_msgs/msg/{kind}"](**values, **extra)


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize(("read", "kind"), [(decode.pose, "PoseStamped"), (decode.transform, "TransformStamped")])
def test_a_camera_that_looks_along_x_of_the_map(origin: str, read: Any, kind: str) -> None:
    found = read(make_pose(origin, (2.0, 3.0, 1.0), (-0.5, 0.5, -0.5, 0.5), kind))  # REP-103's optical frame
    assert found.frame_id == "map"
    assert found.matrix == pytest.approx(np.array([[0.0, 0, 1, 2], [-1, 0, 0, 3], [0, -1, 0, 1], [0, 0, 0, 1]]))


def test_half_a_turn_and_none() -> None:
    assert decode.pose(make_pose("plain", (0.0, 0, 0), (0.0, 0, 0, 1))).matrix == pytest.approx(np.eye(4))
    turned = decode.pose(make_pose("plain", (0.0, 0, 0), (0.0, 1, 0, 0))).matrix
    assert turned == pytest.approx(np.diag([-1.0, 1, -1, 1]))


@settings(deadline=None, max_examples=60)
@given(
    rotation=st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: max(map(abs, q)) > 1e-2),
    scale=st.sampled_from([1e-3, 1.0, 1e200, -7.0]),
)
def test_scipy_turns_by_the_same_quaternion_of_any_length(rotation: Any, scale: float) -> None:
    matrix = decode.pose(make_pose("plain", (0.0, 0, 0), [scale * each for each in rotation])).matrix
    assert matrix[:3, :3] == pytest.approx(Rotation.from_quat(rotation).as_matrix(), abs=1e-12)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", range(7))
def test_a_pose_of_bad_numbers_is_refused_in_one_line(place: int, bad: float) -> None:
    values = [1.0, 2, 3, 0, 0, 0, 1]
    values[place] = bad
    with pytest.raises(
        DecodeError, match=r"pose: expected a position within 1e\+08 m and a quaternion of length 1, got"
    ) as error:
        decode.pose(make_pose("plain", values[:3], values[3:]))
    assert "\n" not in str(error.value) and str(bad) in str(error.value)


@pytest.mark.parametrize("length", [0.0, 1e-9])
def test_a_quaternion_of_no_length_turns_nowhere(length: float) -> None:
    with pytest.raises(DecodeError, match="quaternion"):
        decode.transform(make_pose("plain", (0.0, 0, 0), (0.0, length, 0, 0), "TransformStamped"))


def test_stamps_are_nanoseconds() -> None:
    assert decode.stamp_ns(SimpleNamespace(sec=1_700_000_000, nanosec=5)) == 1_700_000_000_000_000_005


@pytest.mark.parametrize(
    "make", [bytes, bytearray, lambda data: array.array("B", data), lambda d: np.frombuffer(d, np.uint8)]
)
def test_every_kind_of_byte_sequence_is_read(make: Callable[[bytes], Any]) -> None:
    message = plain("rgb8", (2, 2), b"", 6)
    message.data = make(bytes(range(12)))
    assert decode.image(message).ravel().tolist() == list(range(12))

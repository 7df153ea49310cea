"""Images as they come over the wire: the same as deserialized, and hostile bytes are refused in one line."""

import struct

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from gem_ros.errors import DecodeError
from gem_ros.messages import cdr, decode

STORE = get_typestore(Stores.ROS2_HUMBLE)
NAME = "sensor_msgs/msg/Image"


def serialized(pixels, encoding="rgb8", frame="camera", little=True):
    stamp = STORE.types["builtin_interfaces/msg/Time"](sec=12, nanosec=345)
    header = STORE.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame)
    height, width = pixels.shape[:2]
    data = pixels.reshape(-1).view(np.uint8)
    image = STORE.types[NAME](header, height, width, encoding, 0, pixels.nbytes // height, data)
    return bytes(STORE.serialize_cdr(image, NAME, little_endian=little))


def text(data, little=True):
    order, kind = ("<", b"\0\1") if little else (">", b"\0\0")
    return kind + b"\0\0" + struct.pack(f"{order}I", len(data) + 1) + data + b"\0"


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("said", ["", "red cup", "红色的杯子", "nul\0inside"])
def test_text_is_read_whole(said, little):
    assert cdr.string(text(said.encode(), little), "query") == said


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", "query: expected a message in CDR, got one that starts with nothing"),
        (b"\x07\x09\0\0", "query: expected a message in CDR"),
        (b"\0\1\0\0", "query: expected a whole std_msgs/String, got 4 bytes"),
        (text(b"red cup")[:-3], "query: expected a whole std_msgs/String"),
        (b"\0\1\0\0\xff\xff\xff\xff", "query: expected a whole std_msgs/String"),
        (text(b"red \xff cup"), "query: expected UTF-8, got invalid start byte at byte 4"),
        (text(b"\xed\xa0\x80"), "query: expected UTF-8"),
    ],
)
def test_what_is_no_text_is_refused_in_one_line(data, line):
    with pytest.raises(DecodeError, match=r"^query: ") as caught:
        cdr.string(data, "query")
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("frame", ["", "c", "ca", "cam", "came", "caméra"])
@pytest.mark.parametrize("encoding", ["rgb8", "8UC3"])
def test_every_field_is_read_whatever_the_padding_and_the_byte_order(frame, encoding, little):
    image = cdr.image(serialized(PIXELS, encoding, frame, little))
    assert (image.header.stamp.sec, image.header.stamp.nanosec, image.header.frame_id) == (12, 345, frame)
    assert (image.height, image.width, image.encoding, image.is_bigendian, image.step) == (2, 3, encoding, 0, 9)
    assert decode.stamp_ns(image.header.stamp) == 12_000_000_345
    assert bytes(image.data) == PIXELS.tobytes()


def test_pixels_are_a_view():
    data = serialized(PIXELS)
    rgb = decode.image(cdr.image(data))
    assert (rgb == PIXELS).all() and np.shares_memory(rgb, np.frombuffer(data, np.uint8))


def test_depth_is_read_the_same_way():
    depth = np.array([[0, 1500, 65535]], np.uint16)
    metres = decode.depth(cdr.image(serialized(depth, "16UC1")))
    np.testing.assert_allclose(metres, [[np.nan, 1.5, 65.535]])


@pytest.mark.parametrize("frame", ["", "c", "ca", "cam", "came", "caméra"])
@pytest.mark.parametrize("encoding", ["rgb8", "8UC3"])
def test_what_is_serialized_here_is_what_others_serialize(frame, encoding):
    made = cdr.serialize_image(12_000_000_345, frame, (2, 3), encoding, PIXELS.reshape(-1).data)
    assert made == serialized(PIXELS, encoding, frame)[: len(made)]
    image = STORE.deserialize_cdr(made, NAME)
    assert (image.encoding, image.step, image.header.frame_id) == (encoding, 9, frame)
    assert (image.data.reshape(PIXELS.shape) == PIXELS).all()


@pytest.mark.parametrize("frame", ["", "c", "ca", "cam", "came", "camer", "camera", "cameras", "caméra"])
def test_a_point_serialized_here_is_what_others_serialize(frame):
    message = STORE.types["geometry_msgs/msg/PointStamped"]
    header = STORE.types["std_msgs/msg/Header"](
        stamp=STORE.types["builtin_interfaces/msg/Time"](sec=12, nanosec=345), frame_id=frame
    )
    point = STORE.types["geometry_msgs/msg/Point"](x=1.5, y=-2.0, z=1e-3)
    expected = STORE.serialize_cdr(message(header=header, point=point), "geometry_msgs/msg/PointStamped")
    assert cdr.serialize_point(12_000_000_345, frame, (1.5, -2.0, 1e-3)) == bytes(expected)


def test_every_truncation_is_refused_in_one_line():
    data = serialized(PIXELS)
    for length in range(len(data)):
        with pytest.raises(DecodeError) as raised:
            cdr.image(data[:length])
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("at", "value"),
    [(0, b"\x00\x07"), (12, b"\xff\xff\xff\xff"), (12, b"\x00\x00\x00\x00"), (16, b"\xff\xfe")],
    ids=["XCDR2", "a text without end", "a text without its 0", "not UTF-8"],
)
def test_lies_are_refused(at, value):
    data = bytearray(serialized(PIXELS))
    data[at : at + len(value)] = value
    with pytest.raises(DecodeError):
        decode.image(cdr.image(bytes(data)))


def test_lengths_beyond_the_end_are_refused():
    data = bytearray(serialized(PIXELS))
    start = len(data) - PIXELS.nbytes - 4
    data[start : start + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(DecodeError, match="4294967295 bytes of pixels"):
        cdr.image(bytes(data))


@pytest.mark.parametrize("little", [True, False])
def test_any_message_that_begins_with_a_header_has_a_stamp_and_a_rest(little):
    data = serialized(PIXELS, little=little)
    message = cdr.stamped(data, "camera_info")
    assert (message.header.stamp.sec, message.header.stamp.nanosec, message.header.frame_id) == (12, 345, "camera")
    assert message.data is data and message.rest == data[12:]


@pytest.mark.parametrize("data", [b"", b"\x00\x01\x00\x00" + bytes(7), b"\x00\x01\x00\x00" + b"\xff" * 20])
def test_what_has_no_header_is_refused_by_its_topics_name(data):
    with pytest.raises(DecodeError, match=r"^camera_info: expected"):
        cdr.stamped(data, "camera_info")


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("frame", ["", "c", "ca", "cam", "came", "camera", "camera_", "caméra"])
def test_a_point_is_read_whatever_the_padding_and_the_byte_order(frame, little):
    made = STORE.types["std_msgs/msg/Header"](STORE.types["builtin_interfaces/msg/Time"](sec=-3, nanosec=7), frame)
    place = STORE.types["geometry_msgs/msg/Point"](1.25, -2.5, 9.0)
    message = STORE.types["geometry_msgs/msg/PointStamped"](made, place)
    data = bytes(STORE.serialize_cdr(message, "geometry_msgs/msg/PointStamped", little_endian=little))
    header, pixel = cdr.point(data, "pixel_query")
    assert (header.stamp.sec, header.stamp.nanosec, header.frame_id, pixel) == (-3, 7, frame, (1.25, -2.5))
    for cut in (data[:-1], data[:9], data[:4], b""):
        with pytest.raises(DecodeError, match=r"^pixel_query: expected a"):
            cdr.point(cut, "pixel_query")

"""Messages as they go over the wire, where rclpy's way is costly or silent.

It copies the pixels of an Image three times on their way to an array, and spends as long on a camera_info that never
changes. It ends a String at its first NUL, puts other characters in the place of bytes that are no UTF-8, and says
nothing at all of one that is cut off.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from gem_ros.errors import DecodeError

# The first two of the four bytes before a message in CDR (DDSI-RTPS, 10.2): its byte order.
ORDERS = {b"\x00\x00": ">", b"\x00\x01": "<"}
LITTLE = b"\x00\x01\x00\x00"
START = len(LITTLE)
NS = 1_000_000_000


@dataclass(frozen=True)
class Stamp:
    """builtin_interfaces/Time."""

    sec: int
    nanosec: int


@dataclass(frozen=True)
class Header:
    """std_msgs/Header."""

    stamp: Stamp
    frame_id: str


@dataclass(frozen=True, eq=False)
class Image:
    """As much of sensor_msgs/Image as :mod:`gem_ros.messages.decode` reads; ``data`` is a view."""

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


@dataclass(frozen=True, eq=False)
class Stamped:
    """Any message that begins with a header; ``data`` is all of it, serialized."""

    header: Header
    data: bytes

    @property
    def rest(self) -> bytes:
        """All but the stamp: the same for what has not changed."""
        return self.data[START + 8 :]


def stamped(data: bytes, name: str) -> Stamped:
    """The header of a serialized message; :class:`DecodeError` where it has none. ``name`` is the topic's."""
    order = _order(data, name)
    try:
        return Stamped(_header(data, order)[0], data)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise DecodeError(f"{name}: expected a message with a header, got {len(data)} bytes ({error})") from error


def image(data: bytes) -> Image:
    """A serialized sensor_msgs/Image without a copy; :class:`DecodeError` where it is none."""
    order = _order(data, "image")
    try:
        header, at = _header(data, order)
        height, width = struct.unpack_from(f"{order}II", data, at := _aligned(at))
        encoding, at = _name(data, at + 8, order)
        step, length = struct.unpack_from(f"{order}II", data, at_step := _aligned(at + 1))
        pixels = memoryview(data)[at_step + 8 : at_step + 8 + length]
        if len(pixels) < length:
            raise DecodeError(f"image: expected {length} bytes of pixels, got {len(pixels)}")
        return Image(header, height, width, encoding, data[at], step, pixels)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise DecodeError(f"image: expected a whole sensor_msgs/Image, got {len(data)} bytes ({error})") from error


def point(data: bytes, name: str) -> tuple[Header, tuple[float, float]]:
    """Header, x and y of a serialized geometry_msgs/PointStamped; :class:`DecodeError` that begins with ``name``."""
    order = _order(data, name)
    try:
        header, at = _header(data, order)
        at += -(at - START) % 8
        x, y, _ = struct.unpack_from(f"{order}ddd", data, at)
        return header, (x, y)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise DecodeError(f"{name}: expected a whole PointStamped, got {len(data)} bytes ({error})") from error


def string(data: bytes, name: str) -> str:
    """The text of a serialized std_msgs/String; :class:`DecodeError` that begins with ``name`` where it is none."""
    order = _order(data, name)
    try:
        return _text(data, START, order)[0].decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"{name}: expected UTF-8, got {error.reason} at byte {error.start} of the text") from error
    except (struct.error, IndexError) as error:
        raise DecodeError(f"{name}: expected a whole std_msgs/String, got {len(data)} bytes ({error})") from error


def serialize_image(stamp_ns: int, frame_id: str, size: tuple[int, int], encoding: str, pixels: memoryview) -> bytes:
    """A sensor_msgs/Image of (H, W), its ``pixels`` bytes, little-endian, rows without padding."""
    height, width = size
    start = _padded(LITTLE + struct.pack("<iI", *divmod(stamp_ns, NS)) + _counted(frame_id))
    start += struct.pack("<II", height, width) + _counted(encoding) + b"\0"  # is_bigendian
    return b"".join((_padded(start), struct.pack("<II", len(pixels) // max(height, 1), len(pixels)), pixels))


def serialize_point(stamp_ns: int, frame_id: str, xyz: tuple[float, float, float]) -> bytes:
    """A geometry_msgs/PointStamped, little-endian."""
    header = struct.pack("<iI", *divmod(stamp_ns, NS)) + _counted(frame_id)
    return LITTLE + header + bytes(-len(header) % 8) + struct.pack("<ddd", *xyz)


def _counted(text: str) -> bytes:
    encoded = text.encode() + b"\0"
    return struct.pack("<I", len(encoded)) + encoded


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _order(data: bytes, name: str) -> str:
    """The byte order, as :mod:`struct` writes it."""
    order = ORDERS.get(data[:2])
    if order is None:
        raise DecodeError(f"{name}: expected a message in CDR, got one that starts with {data[:2].hex() or 'nothing'}")
    return order


def _header(data: bytes, order: str) -> tuple[Header, int]:
    """The header, and where it ends."""
    sec, nanosec = struct.unpack_from(f"{order}iI", data, START)
    frame_id, at = _name(data, START + 8, order)
    return Header(Stamp(sec, nanosec), frame_id), at


def _name(data: bytes, at: int, order: str) -> tuple[str, int]:
    """A frame's or encoding's name, and where it ends; as in C it is over at its first 0."""
    text, end = _text(data, at, order)
    return text.partition(b"\0")[0].decode(), end


def _text(data: bytes, at: int, order: str) -> tuple[bytes, int]:
    """A string's bytes (its length counts the final 0), and where it ends."""
    (length,) = struct.unpack_from(f"{order}I", data, at := _aligned(at))
    end = at + 4 + length
    if end > len(data):
        raise IndexError(f"a text of {length} bytes")
    return data[at + 4 : end].removesuffix(b"\0"), end


def _aligned(at: int) -> int:
    """The next multiple of 4, counted from :data:`START`, itself one."""
    return (at + 3) & ~3

"""Compressed pictures, bounded before they are unpacked: JPEG, PNG and RVL."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import numpy.typing as npt

from gem_ros.errors import DecodeError

Bytes = npt.NDArray[np.uint8]

MAX_PIXELS = 100_000_000  # ten times a camera's; beyond it a size is an error, not an image
DENSEST = 8 * 1032  # pixels in a byte of a file: deflate's limit, with a bit for a pixel; JPEG's is lower
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_LONGEST_CODE = 11  # nibbles of 3 bits that a 32-bit number takes


def picture(data: Bytes, flags: int) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """A whole JPEG or PNG file -> what ``cv2.imdecode`` makes of it."""
    raw = data.tobytes()
    width, height = _declared_size(raw)
    if not 0 < width * height <= min(MAX_PIXELS, DENSEST * len(raw)):
        expected = f"picture: expected 1 to {MAX_PIXELS} pixels, and at most {DENSEST} for a byte of the file"
        raise DecodeError(f"{expected}, got {width}x{height} in {len(raw)} bytes")
    try:
        decoded = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise DecodeError(f"picture: expected a JPEG or PNG, got {len(raw)} damaged bytes") from error
    if decoded is None:
        raise DecodeError(f"picture: expected a JPEG or PNG, got {len(raw)} damaged bytes")
    return decoded  # type: ignore[return-value]


def _declared_size(raw: bytes) -> tuple[int, int]:
    """(width, height) that a complete JPEG or PNG declares; decoders fill a cut-off one with gray."""
    try:
        if raw.startswith(_PNG):
            width, height = struct.unpack_from(">II", raw, 16)
            complete = _has_all_chunks(raw)
        elif raw.startswith(_JPEG):
            height, width, after = _jpeg_frame(raw)
            complete = raw.rfind(b"\xff\xd9") > after
        else:
            raise DecodeError(f"picture: expected a JPEG or PNG, got {len(raw)} bytes that begin with {raw[:4].hex()}")
    except struct.error as error:
        raise DecodeError(f"picture: expected a whole JPEG or PNG, got {len(raw)} bytes that end too early") from error
    if not complete:
        raise DecodeError(f"picture: expected a whole JPEG or PNG, got {len(raw)} bytes that end too early")
    return int(width), int(height)


def _has_all_chunks(raw: bytes) -> bool:
    """Whether a PNG's chunks (ISO/IEC 15948, 5.3) follow each other, pixels among them, up to the last one's end.

    OpenCV looks for pixels beyond that end, too, and allocates what a chunk's length says, up to 2 GB, before it
    looks whether there is as much.
    """
    offset, pixels = len(_PNG), False
    while (kind := raw[offset + 4 : offset + 8]) != b"IEND":
        (length,) = struct.unpack_from(">I", raw, offset)
        offset, pixels = offset + 12 + length, pixels or kind == b"IDAT"
    return pixels and offset + 12 <= len(raw)


def _jpeg_frame(raw: bytes) -> tuple[int, int, int]:
    """(height, width, offset) of a JPEG's start-of-frame segment (ITU-T T.81, B.1.1.4 and B.2.2)."""
    offset = 2
    while True:
        (marker, length) = struct.unpack_from(">HH", raw, offset)
        if 0xFFC0 <= marker <= 0xFFCF and marker not in (0xFFC4, 0xFFC8, 0xFFCC):
            height, width = struct.unpack_from(">HH", raw, offset + 5)
            return height, width, offset
        if marker >> 8 != 0xFF:
            raise DecodeError(f"picture: expected a JPEG, got no marker at byte {offset}")
        offset += 1 if marker == 0xFFFF else 2 + length


def invert_depth(quantised: npt.NDArray[np.uint16], parameters: Bytes) -> npt.NDArray[np.float32]:
    """Quantised inverse depth of compressed_depth_image_transport -> m: A/(value − B), 0 -> NaN."""
    a, b = struct.unpack("<ff", parameters.tobytes())
    with np.errstate(divide="ignore", invalid="ignore"):
        metres = np.float32(a) / (quantised.astype(np.float32) - np.float32(b))
    metres[quantised == 0] = np.nan
    return np.asarray(metres, np.float32)


def rvl(data: Bytes) -> npt.NDArray[np.uint16]:
    """Width and height (uint32 each) and an RVL stream -> (H, W) uint16.

    RVL (A. D. Wilson, Fast Lossless Depth Image Compression, ISS 2017): numbers in nibbles of three bits,
    lowest first, the fourth bit says that more follow; the nibbles fill 32-bit words from the top. Runs of
    pixels alternate: how many are zero, how many are not, then each one's zigzag-coded difference to the last.
    """
    if len(data) < 8:
        raise DecodeError(f"rvl: expected width and height, got {len(data)} bytes")
    width, height = struct.unpack("<II", data[:8].tobytes())
    count = width * height
    if not 0 < count <= MAX_PIXELS:
        raise DecodeError(f"rvl: expected 1 to {MAX_PIXELS} pixels, got {width}x{height}")
    codes = _variable_length(data[8:])
    differences, seen = np.zeros(count, np.int32), np.zeros(count, bool)
    signed = ((codes >> 1) ^ -(codes & 1)).astype(np.int32)
    at = pixel = 0
    while pixel < count:
        zeros, values = (int(code) for code in codes[at : at + 2]) if at + 2 <= len(codes) else (count, 1)
        start, at = pixel + zeros, at + 2
        pixel = start + values
        if pixel > count or at + values > len(codes) or zeros + values == 0:
            raise DecodeError(f"rvl: expected {width}x{height} pixels, got a stream that does not hold them")
        differences[start:pixel] = signed[at : at + values]
        seen[start:pixel] = True
        at += values
    return np.where(seen, np.cumsum(differences, dtype=np.int32), 0).astype(np.uint16).reshape(height, width)


def _variable_length(data: Bytes) -> npt.NDArray[np.int64]:
    """All numbers of an RVL stream (its last word may be padding)."""
    words = np.frombuffer(data.tobytes() + bytes(-len(data) % 4), "<u4")
    nibbles = ((words[:, None] >> np.arange(28, -4, -4, dtype=np.uint32)) & 15).ravel().astype(np.int64)
    ends = np.flatnonzero(nibbles < 8)
    if not len(ends):
        return np.empty(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() >= _LONGEST_CODE:
        raise DecodeError("rvl: expected 32-bit numbers, got a longer one; the data is damaged")
    place = np.arange(ends[-1] + 1) - np.repeat(starts, ends - starts + 1)
    return np.asarray(np.add.reduceat((nibbles[: ends[-1] + 1] & 7) << (3 * place), starts))

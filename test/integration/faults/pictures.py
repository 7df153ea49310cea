"""Pictures in every encoding that is read, made from RGB without the code under test."""

import cv2
import numpy as np
from harness import pixels_message

PLANES = {"nv12": (0, 1), "nv21": (1, 0)}  # order of u and v
PACKED = {"yuv422": (1, 0), "uyvy": (1, 0), "yuv422_yuy2": (0, 1), "yuyv": (0, 1)}  # place of y and of u or v
BAYER = {"rggb": (0, 1, 1, 2), "bggr": (2, 1, 1, 0), "gbrg": (1, 2, 0, 1), "grbg": (1, 0, 2, 1)}  # of 2x2 px, by row
BY_CHANNELS = {
    "rgb8": (0, 1, 2),
    "bgr8": (2, 1, 0),
    "rgba8": (0, 1, 2, 3),
    "bgra8": (2, 1, 0, 3),
    "8UC3": (2, 1, 0),
    "8UC4": (2, 1, 0, 3),
}
GRAY = ("mono8", "8UC1", "mono16")
ENCODINGS = (
    *BY_CHANNELS,
    *GRAY,
    *(f"bayer_{pattern}{bits}" for pattern in BAYER for bits in (8, 16)),
    *PACKED,
    *PLANES,
)
WIDE = [name for name in ENCODINGS if name.endswith("16")]  # two bytes per number, in either order


def encoded(stamp, rgb, encoding, big_endian=False, padding=0):
    """An Image of (H, W, 3) ``rgb``; ``padding`` bytes follow each row."""
    height, width = rgb.shape[:2]
    pixels = _pixels(rgb, encoding)
    if encoding.endswith("16"):
        pixels = (pixels.astype(np.uint16) * 257).astype(">u2" if big_endian else "<u2")
    rows = np.ascontiguousarray(pixels).reshape(len(pixels), -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    return pixels_message(stamp, rows, encoding, height=height, width=width, is_bigendian=int(big_endian))


def _pixels(rgb, encoding):
    if encoding in BY_CHANNELS:
        return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])[..., BY_CHANNELS[encoding]]
    if encoding in GRAY:
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    if encoding.startswith("bayer"):
        mosaic, channels = rgb[..., 0].copy(), BAYER[encoding[6:10]]
        for index, channel in enumerate(channels):
            place = np.s_[index // 2 :: 2, index % 2 :: 2]
            mosaic[place] = rgb[(*place, channel)]
        return mosaic
    height, width = rgb.shape[:2]
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).reshape(-1)
    luma, (u, v) = planes[: height * width], planes[height * width :].reshape(2, height // 2, width // 2)
    if encoding in PLANES:
        chroma = np.stack([(u, v)[index] for index in PLANES[encoding]], axis=-1)
        return np.concatenate([luma, chroma.reshape(-1)]).reshape(-1, width)
    packed = np.empty((height, width, 2), np.uint8)
    y_at, chroma_at = PACKED[encoding]
    packed[..., y_at] = luma.reshape(height, width)
    packed[:, 0::2, chroma_at], packed[:, 1::2, chroma_at] = u.repeat(2, axis=0), v.repeat(2, axis=0)
    return packed

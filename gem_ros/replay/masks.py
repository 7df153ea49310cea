"""Masks as COCO writes them: run lengths, and polygons.

Runs are of zeros and ones in turn, zeros first, counted down the columns
(https://github.com/cocodataset/cocoapi, ``maskApi.h``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.errors import BagError
from gem_ros.messages.compressed import MAX_PIXELS

Mask = npt.NDArray[np.bool_]
_FAR = 1e9  # px; outside of every image


@dataclass(frozen=True, eq=False)
class Runs:
    """A mask of ``size`` (H, W), packed: ``counts`` (n,) runs that fill it."""

    size: tuple[int, int]
    counts: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        height, width = self.size
        if height < 0 or width < 0 or (self.counts < 0).any() or self.counts.sum() != height * width:
            got = int(self.counts.sum())
            raise BagError(f"mask: expected runs that fill {height} x {width} pixels, got {got}")

    @classmethod
    def of(cls, mask: Mask) -> Runs:
        """Pack (H, W) bool."""
        flat = np.asarray(mask, bool).ravel(order="F")
        changes = np.flatnonzero(np.diff(flat)) + 1
        counts = np.diff(np.concatenate(([0], changes, [flat.size])))
        if flat.size and flat[0]:  # the first run counts zeros, and there are none
            counts = np.concatenate(([0], counts))
        height, width = mask.shape
        return cls((int(height), int(width)), counts.astype(np.int64))

    def mask(self) -> Mask:
        """(H, W) bool."""
        flat = np.repeat(np.arange(self.counts.size) % 2 == 1, self.counts)
        return flat.reshape(self.size, order="F")


def encode_mask(mask: Mask) -> dict[str, list[int]]:
    """(H, W) bool -> ``{"size": [H, W], "counts": [...]}``."""
    return encode_runs(Runs.of(mask))


def encode_runs(runs: Runs) -> dict[str, list[int]]:
    """Packed -> ``{"size": [H, W], "counts": [...]}``."""
    return {"size": list(runs.size), "counts": runs.counts.tolist()}


def decode_mask(encoded: Mapping[str, Any]) -> Mask:
    """``{"size": [H, W], "counts": [...]}`` -> (H, W) bool; :class:`BagError` where they do not fit."""
    return decode_runs(encoded).mask()


def decode_runs(encoded: Any) -> Runs:
    """``{"size": [H, W], "counts": [...]}``, or counts as COCO's text, packed; :class:`BagError` as above."""
    if not isinstance(encoded, Mapping):
        raise BagError(f"mask: expected size and counts, got {str(encoded)[:60]!r}")
    size = _integers(encoded.get("size"), "size")
    if len(size) != 2 or size[0] * size[1] > MAX_PIXELS:
        raise BagError(f"mask: expected a size of [height, width], at most {MAX_PIXELS} pixels, got {str(size)[:60]}")
    counts = encoded.get("counts")
    listed = counts_of_text(counts) if isinstance(counts, str) else _integers(counts, "counts")
    return Runs((size[0], size[1]), np.array(listed, np.int64))


def _integers(values: Any, name: str) -> list[int]:
    if not isinstance(values, list) or not all(type(each) is int and abs(each) < 1 << 40 for each in values):
        raise BagError(f"mask: expected {name} as a list of integers, got {str(values)[:60]}")
    return values


def counts_of_text(text: str) -> list[int]:
    """Counts out of COCO's compressed run lengths (``rleFrString``).

    Each character holds 6 bits above 48: five of the number, lowest first, and 32 where more follow; the last one's
    16 is the sign. From the third number on it is the difference to the one two before.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 35:
            raise BagError(f"mask: expected COCO's compressed counts, got {text[:20]!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise BagError(f"mask: expected COCO's compressed counts, got a number that does not end: {text[-20:]!r}")
    return counts


def polygons_mask(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> Mask:
    """COCO's polygons ``[u0, v0, u1, v1, …]`` px, filled by the even-odd rule -> (H, W) bool.

    In them a pixel reaches from its integer to the next; it counts where its centre is inside. (pycocotools draws the
    outline on a grid five times as fine, and may differ along it.)
    """
    height, width = size
    mask = np.zeros(size, bool)
    for polygon in polygons:
        corners = np.clip(np.asarray(polygon, np.float64).reshape(-1, 2), -_FAR, _FAR)
        crossings = np.zeros((height, width + 1), np.int64)  # by the first pixel behind them in their row
        for ends in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            (x0, y0), (x1, y1) = sorted(ends, key=lambda end: float(end[1]))
            rows = np.arange(max(0, math.ceil(y0 - 0.5)), min(height, math.ceil(y1 - 0.5)))
            if rows.size:
                x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
                np.add.at(crossings, (rows, np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)), 1)
        mask |= np.cumsum(crossings[:, :width], axis=1) % 2 == 1
    return mask


def box_mask(box: Sequence[float], size: tuple[int, ...]) -> Mask:
    """(u0, v0, u1, v1) px, half-open, filled by the same rule -> (H, W) bool."""
    u0, v0, u1, v1 = (max(0, math.ceil(each - 0.5)) for each in box)
    mask = np.zeros(size, bool)
    mask[v0:v1, u0:u1] = True
    return mask


def bounds(mask: Mask) -> tuple[int, int, int, int]:
    """(u0, v0, u1, v1) px, half-open, around a mask with something in it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

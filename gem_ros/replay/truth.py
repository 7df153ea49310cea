"""What a recording really shows: ``truth.json`` beside a bag, in the contract's format.

Masks are COCO's uncompressed run lengths: runs of zeros and ones in turn, zeros first, counted down the
columns (https://github.com/cocodataset/cocoapi, ``maskApi.h``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.errors import BagError

FILE = "truth.json"
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sighting:
    """One object in one image.

    ``visible_fraction`` of the image in [0, 1]; ``bbox`` (u0, v0, u1, v1) px, half-open; ``mask``
    (H, W); ``position`` body centre and ``surface`` median visible point, both (3,) m in the camera
    optical frame.
    """

    id: int | str
    query: str
    visible_fraction: float
    bbox: tuple[float, float, float, float]
    mask: Mask
    position: npt.NDArray[np.float64]
    surface: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """``queries`` of the objects, each once; ``frames`` by the image's stamp in ns; ``absent_queries``."""

    queries: tuple[str, ...]
    frames: Mapping[int, tuple[Sighting, ...]]
    absent_queries: tuple[str, ...]

    def visible(self, stamp: int, query: str) -> tuple[Sighting, ...]:
        """What ``query`` means in the image of ``stamp``; several where objects share their query."""
        return tuple(each for each in self.frames[stamp] if each.query == query)


def encode_mask(mask: Mask) -> dict[str, list[int]]:
    """(H, W) bool -> ``{"size": [H, W], "counts": [...]}``."""
    flat = np.asarray(mask, bool).ravel(order="F")
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate(([0], changes, [flat.size]))).tolist()
    if flat.size and flat[0]:  # the first run counts zeros, and there are none
        counts.insert(0, 0)
    height, width = mask.shape
    return {"size": [int(height), int(width)], "counts": [int(count) for count in counts]}


def decode_mask(encoded: Mapping[str, Any]) -> Mask:
    """``{"size": [H, W], "counts": [...]}`` -> (H, W) bool; :class:`BagError` where they do not fit."""
    height, width = (_integer(each, "size") for each in _list(encoded, "size", length=2))
    counts = np.array([_integer(each, "counts") for each in _list(encoded, "counts")], np.int64)
    if (counts < 0).any() or counts.sum() != height * width:
        raise BagError(f"mask: expected runs that fill {height} x {width} pixels, got {int(counts.sum())}")
    flat = np.repeat(np.arange(counts.size) % 2 == 1, counts)
    return flat.reshape((height, width), order="F")


def load_truth(path: Path | str) -> Truth:
    """Read ``truth.json`` (or the folder that holds it); :class:`BagError` says what does not fit, and where."""
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BagError(f"{file}: expected the recording's truth, got: {error.strerror or error}") from error
    except ValueError as error:
        raise BagError(f"{file}: expected JSON, got: {error}; write it again") from error
    try:
        return _truth(values)
    except BagError as error:
        raise BagError(f"{file}: {error}") from error


def _truth(values: Any) -> Truth:
    objects = {_get(each, "id"): _text(each, "query") for each in _list(values, "objects")}
    absent = _list(values, "absent_queries")
    if not all(isinstance(each, str) for each in absent):
        raise BagError(f"absent_queries: expected texts, got {absent!r}")
    frames: dict[int, tuple[Sighting, ...]] = {}
    for index, frame in enumerate(_list(values, "frames")):
        stamp = _integer(_get(frame, "stamp"), "stamp")
        if stamp in frames:
            raise BagError(f"frames[{index}]: expected each stamp once, got {stamp} again")
        try:
            frames[stamp] = tuple(_sighting(each, objects) for each in _list(frame, "objects"))
        except BagError as error:
            raise BagError(f"frames[{index}]: {error}") from error
    return Truth(tuple(dict.fromkeys(objects.values())), frames, tuple(absent))


def _sighting(values: Any, objects: Mapping[Any, str]) -> Sighting:
    name = _get(values, "id")
    if name not in objects:
        raise BagError(f"id: expected one of {', '.join(map(str, objects))}; got {name!r}")
    fraction = _numbers([_get(values, "visible_fraction")], "visible_fraction")[0]
    if not 0.0 <= fraction <= 1.0:
        raise BagError(f"visible_fraction: expected a value in [0, 1], got {fraction:g}")
    u0, v0, u1, v1 = _numbers(_list(values, "bbox", length=4), "bbox")
    return Sighting(
        id=name,
        query=objects[name],
        visible_fraction=float(fraction),
        bbox=(float(u0), float(v0), float(u1), float(v1)),
        mask=decode_mask(_get(values, "mask")),
        position=_numbers(_list(values, "position", length=3), "position"),
        surface=_numbers(_list(values, "surface", length=3), "surface"),
    )


def _get(values: Any, key: str) -> Any:
    if not isinstance(values, Mapping) or key not in values:
        raise BagError(f"{key}: expected in an object, got {str(values)[:60]!r}")
    return values[key]


def _list(values: Any, key: str, length: int | None = None) -> list[Any]:
    found = _get(values, key)
    if not isinstance(found, list) or (length is not None and len(found) != length):
        size = "" if length is None else f" of {length}"
        raise BagError(f"{key}: expected a list{size}, got {str(found)[:60]}")
    return found


def _text(values: Any, key: str) -> str:
    found = _get(values, key)
    if not isinstance(found, str) or not found:
        raise BagError(f"{key}: expected a text, got {found!r}")
    return found


def _integer(value: Any, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BagError(f"{key}: expected an integer, got {value!r}")
    return value


def _numbers(values: list[Any], key: str) -> npt.NDArray[np.float64]:
    if not all(isinstance(each, int | float) and math.isfinite(each) for each in values):
        raise BagError(f"{key}: expected finite numbers, got {values!r}")
    return np.array(values, np.float64)

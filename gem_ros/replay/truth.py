"""What a recording really shows: ``truth.json`` beside a bag, as docs/truth.md has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.errors import BagError
from gem_ros.replay.fields import get, integer, items, numbers, read_json, text
from gem_ros.replay.masks import Mask, Runs, box_mask, decode_runs, encode_runs

FILE = "truth.json"
Point = npt.NDArray[np.float64]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Sighting:
    """One object in one image.

    ``visible_fraction`` of the image in [0, 1]; ``bbox`` (u0, v0, u1, v1) px, half-open; ``runs`` its mask, packed:
    the truth of a long recording does not fit into memory otherwise; ``position`` body centre and ``surface`` median
    visible point, both (3,) m in the camera optical frame. Of what is only known by boxes the last three are None.
    """

    id: int | str
    query: str
    visible_fraction: float
    bbox: Box
    runs: Runs | None = None
    position: Point | None = None
    surface: Point | None = None

    @property
    def mask(self) -> Mask | None:
        """(H, W) bool, unpacked anew each time; None where only the box is known."""
        return None if self.runs is None else self.runs.mask()

    def region(self, shape: tuple[int, ...]) -> Mask:
        """Where the object is in an image of ``shape`` (H, W): the mask, or else the box, whose pixels' centres count.

        :class:`BagError` where the mask is of another size.
        """
        if self.runs is not None:
            if self.runs.size != tuple(shape):
                expected, got = ("x".join(map(str, each)) for each in (shape, self.runs.size))
                raise BagError(f"truth: expected masks of the images' size {expected}, got {got}")
            return self.runs.mask()
        return box_mask(self.bbox, shape)


@dataclass(frozen=True)
class Truth:
    """``queries`` of the objects, each once; ``frames`` by the image's stamp in ns; ``absent_queries``."""

    queries: tuple[str, ...]
    frames: Mapping[int, tuple[Sighting, ...]]
    absent_queries: tuple[str, ...]

    def visible(self, stamp: int, query: str) -> tuple[Sighting, ...]:
        """What ``query`` means in the image of ``stamp``; several where objects share their query."""
        return tuple(each for each in self.frames[stamp] if each.query == query)


def load_truth(path: Path | str) -> Truth:
    """Read ``truth.json`` (or the folder that holds it); :class:`BagError` says what does not fit, and where."""
    file = Path(path) / FILE if Path(path).is_dir() else Path(path)
    values = read_json(file, "the recording's truth")
    try:
        return _truth(values)
    except BagError as error:
        raise BagError(f"{file}: {error}") from error


def write_truth(path: Path | str, truth: Truth) -> None:
    """Write what :func:`load_truth` reads; :class:`BagError` where that cannot be written."""
    things = dict.fromkeys((each.id, each.query) for seen in truth.frames.values() for each in seen)
    unseen = [query for query in truth.queries if query not in {query for _, query in things}]
    values = {
        "objects": [{"id": name, "query": query} for name, query in (*things, *zip(unseen, unseen, strict=True))],
        "frames": [
            {"stamp": stamp, "objects": [_written(each) for each in seen]} for stamp, seen in truth.frames.items()
        ],
        "absent_queries": list(truth.absent_queries),
    }
    try:
        Path(path).write_text(json.dumps(values, separators=(",", ":")) + "\n", encoding="utf-8")
    except OSError as error:
        raise BagError(f"{path}: expected a place that can be written, got: {error.strerror or error}") from error


def _written(sighting: Sighting) -> dict[str, Any]:
    optional = {
        "mask": None if sighting.runs is None else encode_runs(sighting.runs),
        "position": None if sighting.position is None else sighting.position.tolist(),
        "surface": None if sighting.surface is None else sighting.surface.tolist(),
    }
    known = {name: value for name, value in optional.items() if value is not None}
    return {"id": sighting.id, "visible_fraction": sighting.visible_fraction, "bbox": list(sighting.bbox), **known}


def _truth(values: Any) -> Truth:
    objects: dict[int | str, str] = {}
    for index, each in enumerate(items(values, "objects")):
        name = _name(get(each, "id"))
        if name in objects:
            raise BagError(f"objects[{index}]: expected each id once, got {name!r} again")
        objects[name] = text(each, "query")
    absent = items(values, "absent_queries")
    for query in absent:
        if not isinstance(query, str) or not query:
            raise BagError(f"absent_queries: expected texts, got {query!r}")
        if query in objects.values():
            raise BagError(f"absent_queries: expected queries of no object, got {query!r}")
    frames: dict[int, tuple[Sighting, ...]] = {}
    for index, frame in enumerate(items(values, "frames")):
        stamp = integer(get(frame, "stamp"), "stamp")
        if stamp in frames:
            raise BagError(f"frames[{index}]: expected each stamp once, got {stamp} again")
        try:
            frames[stamp] = tuple(_sighting(each, objects) for each in items(frame, "objects"))
        except BagError as error:
            raise BagError(f"frames[{index}]: {error}") from error
    return Truth(tuple(dict.fromkeys(objects.values())), frames, tuple(absent))


def _sighting(values: Any, objects: Mapping[Any, str]) -> Sighting:
    name = _name(get(values, "id"))
    if name not in objects:
        raise BagError(f"id: expected one of {', '.join(map(str, objects))}; got {name!r}")
    fraction = float(numbers([get(values, "visible_fraction")], "visible_fraction")[0])
    if not 0.0 <= fraction <= 1.0:
        raise BagError(f"visible_fraction: expected a value in [0, 1], got {fraction:g}")
    u0, v0, u1, v1 = numbers(items(values, "bbox", length=4), "bbox").tolist()
    if u0 > u1 or v0 > v1:
        raise BagError(f"bbox: expected u0 <= u1 and v0 <= v1, got {values['bbox']}")
    mask = values.get("mask")
    runs = None if mask is None else decode_runs(mask)
    places = (_point(values, each) for each in ("position", "surface"))
    return Sighting(name, objects[name], fraction, (u0, v0, u1, v1), runs, *places)


def _point(values: Mapping[str, Any], key: str) -> Point | None:
    return None if values.get(key) is None else numbers(items(values, key, length=3), key)


def _name(value: Any) -> int | str:
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise BagError(f"id: expected a number or a text, got {value!r}")
    return value

"""Images with the truth about what they show: a recording with ``truth.json``, or a folder of pictures.

A folder's truth is simple enough to write by hand: ``{"frames": [{"image": "kitchen.jpg", "present":
["red mug", "door"]}], "absent_queries": ["violin"]}``. Every query that occurs anywhere is asked of every
image; what is not listed as present is absent there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gem_ros.errors import BagError, DecodeError, QueryError
from gem_ros.messages import decode
from gem_ros.queries import parse_query
from gem_ros.replay import bag
from gem_ros.replay.observations import IMAGE, find_topics
from gem_ros.replay.truth import FILE, Truth, load_truth

MIN_VISIBLE = 0.003  # share of the image from which a thing counts as in view; less is neither in view nor absent
RECORDINGS = (".mcap", ".db3", ".bag")
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """``rgb`` (H, W, 3); the queries ``present`` in it, and those of which too little is visible to say."""

    name: str
    rgb: Picture
    present: frozenset[str]
    unclear: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """``count`` images that :attr:`read` yields one by one, and the ``queries`` to ask of each."""

    queries: tuple[str, ...]
    count: int
    read: Callable[[], Iterator[LabelledImage]]


def open_labelled(path: Path, truth: Path | None, absent: Sequence[str], most: int) -> LabelledImages:
    """At most ``most`` images of the recording or folder at ``path``, evenly spaced, with more ``absent`` queries.

    ``truth`` is the file that says what they show (default: ``truth.json`` there). Whatever can be wrong but
    the pictures themselves is found here: :class:`BagError`, :class:`QueryError`.
    """
    if most < 1:
        raise BagError(f"--max-images: expected at least 1, got {most}")
    if not path.exists() or (path.is_file() and path.suffix not in RECORDINGS):
        raise BagError(
            f"{path}: expected a recording or a folder of images, got {'a file' if path.exists() else 'none'}"
        )
    file = truth or (path if path.is_dir() else path.parent) / FILE
    if not file.is_file():
        raise BagError(f"{file}: expected the truth about the images, found none; write one, or name it with --truth")
    return (_recording if _is_recording(path) else _folder)(path, file, _texts(absent, "--query"), most)


def _is_recording(path: Path) -> bool:
    if path.is_file():
        return True
    return (path / "metadata.yaml").is_file() or any(each.suffix in RECORDINGS for each in path.iterdir())


def evenly(count: int, most: int) -> list[int]:
    """At most ``most`` of the indices 0 … ``count`` − 1, evenly spaced, the first and the last among them."""
    return list(range(count)) if count <= most else np.linspace(0, count - 1, most).round().astype(int).tolist()


def _recording(path: Path, file: Path, absent: Sequence[str], most: int) -> LabelledImages:
    truth = load_truth(file)
    types = bag.topics(path)
    topic = find_topics(types).image
    stamps = [each.stamp for each in bag.messages(path, {topic})]
    known = sorted(stamp for stamp in set(stamps) if stamp in truth.frames)
    if not known:
        raise BagError(f"{path}: expected images on {topic} with stamps of {file}, got {len(stamps)} with others")
    chosen = {known[index] for index in evenly(len(known), most)}
    decoder = decode.image if types[topic] == IMAGE else decode.compressed_image

    def read() -> Iterator[LabelledImage]:
        waiting = set(chosen)
        for record in bag.messages(path, {topic}):
            if record.stamp in waiting:
                waiting.remove(record.stamp)
                yield LabelledImage(str(record.stamp), decoder(record.decode()), *_visible(truth, record.stamp))

    return LabelledImages(_unique([*truth.queries, *truth.absent_queries, *absent]), len(chosen), read)


def _visible(truth: Truth, stamp: int) -> tuple[frozenset[str], frozenset[str]]:
    """What is in view at ``stamp``, and what is a little."""
    shares: dict[str, float] = {}
    for each in truth.frames[stamp]:
        shares[each.query] = shares.get(each.query, 0.0) + each.visible_fraction
    present = frozenset(query for query, share in shares.items() if share >= MIN_VISIBLE)
    return present, frozenset(query for query, share in shares.items() if share > 0) - present


def _folder(path: Path, file: Path, absent: Sequence[str], most: int) -> LabelledImages:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BagError(f"{file}: expected the truth about the images, got: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise BagError(f"{file}: expected JSON, got: {error}; correct it") from error
    try:
        frames = [_frame(each, f"frames[{index}]") for index, each in enumerate(_list(values, "frames"))]
        listed = _texts(_list(values, "absent_queries", optional=True), "absent_queries")
    except (BagError, QueryError) as error:
        raise BagError(f"{file}: {error}") from error
    names = [name for name, _ in frames]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise BagError(f"{file}: expected every image once, got {twice} several times")
    for name in names:
        if not (path / name).is_file():
            raise BagError(f"{file}: expected images of the folder {path}, got {name!r}, which is not there")
    if not frames:
        raise BagError(f"{file}: expected images in 'frames', got none")
    chosen = [frames[index] for index in evenly(len(frames), most)]

    def read() -> Iterator[LabelledImage]:
        for name, present in chosen:
            yield LabelledImage(name, read_picture(path / name), present)

    everything = [*(query for _, present in frames for query in sorted(present)), *listed, *absent]
    return LabelledImages(_unique(everything), len(chosen), read)


def read_picture(path: Path) -> Picture:
    """A picture file -> (H, W, 3) uint8 RGB, turned as its camera was held; :class:`DecodeError` says why not."""
    return np.asarray(cv2.cvtColor(decode_picture(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def decode_picture(path: Path, flags: int) -> npt.NDArray[Any]:
    """A picture file as OpenCV decodes it; cv2.imread itself would only warn, and not open every path."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DecodeError(f"{path}: expected a picture, got: {error.strerror}") from error
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:  # sizes that OpenCV refuses
        picture = None
    if picture is None:
        raise DecodeError(f"{path}: expected a picture such as JPEG or PNG, got something else or a damaged file")
    return np.asarray(picture)


def _frame(values: Any, where: str) -> tuple[str, frozenset[str]]:
    name = values.get("image") if isinstance(values, Mapping) else None
    if not isinstance(name, str) or not name or "\0" in name:
        raise BagError(f"{where}.image: expected the name of a picture, got {name!r}")
    try:
        return name, frozenset(_texts(_list(values, "present"), "present"))
    except (BagError, QueryError) as error:
        raise BagError(f"{where}.{error}") from error


def _list(values: Any, key: str, *, optional: bool = False) -> list[Any]:
    found = values.get(key) if isinstance(values, Mapping) else None
    if found is None and optional and isinstance(values, Mapping):
        return []
    if not isinstance(found, list):
        raise BagError(f"{key}: expected a list, got {str(found)[:60]!r}")
    return found


def _texts(values: Sequence[Any], name: str) -> list[str]:
    """Queries as users type them, without thresholds."""
    for each in values:
        if not isinstance(each, str):
            raise BagError(f"{name}: expected texts, got {str(each)[:60]!r}")
    return [parse_query(each).text for each in values]


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))

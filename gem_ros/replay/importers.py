"""Annotations that exist already: COCO's instances, and folders of masks, read image by image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from gem_ros.errors import BagError
from gem_ros.messages.compressed import MAX_PIXELS
from gem_ros.replay.fields import get, integer, items, numbers, read_json, text
from gem_ros.replay.masks import Mask, decode_runs, polygons_mask
from gem_ros.replay.storage import natural

OBJECTS = "objects.json"


@dataclass(frozen=True, eq=False)
class Annotation:
    """One thing in one image: its ``mask`` (H, W), or only its ``bbox`` (u0, v0, u1, v1) px, half-open."""

    id: int | str
    query: str
    mask: Mask | None = None
    bbox: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Annotated:
    """What one image shows: ``name`` is its file's, ``size`` (H, W); ``read`` makes the annotations when asked."""

    name: str
    size: tuple[int, int]
    read: Callable[[], list[Annotation]]


def coco(file: Path) -> list[Annotated]:
    """A COCO instances file, by file name; category names become queries.

    Segmentations are polygons, or run lengths as a list or compressed; an annotation without one is known by its box
    only. A thing is the same over several images where its annotations have the same ``track_id`` or
    ``instance_id`` (also in ``attributes``); else all of a category count as one.
    """
    values = read_json(file, "COCO annotations")
    try:
        categories = {integer(get(each, "id"), "id"): text(each, "name") for each in items(values, "categories")}
        sizes = {integer(get(each, "id"), "id"): _image(each) for each in items(values, "images")}
        by_image: dict[int, list[Any]] = {number: [] for number in sizes}
        for index, each in enumerate(items(values, "annotations")):
            number, category = (integer(get(each, key), key) for key in ("image_id", "category_id"))
            if number not in by_image or category not in categories:
                raise BagError(f"annotations[{index}]: expected a known image and category, got {number}, {category}")
            _annotation(each, categories, sizes[number][1], f"annotations[{index}]")  # what is wrong is said now
            by_image[number].append((index, each))
    except BagError as error:
        raise BagError(f"{file}: {error}") from error

    def reader(number: int) -> Callable[[], list[Annotation]]:
        size = sizes[number][1]
        return lambda: [_annotation(each, categories, size, f"annotations[{at}]") for at, each in by_image[number]]

    found = [Annotated(name, size, reader(number)) for number, (name, size) in sizes.items()]
    return sorted(found, key=lambda each: natural(Path(each.name)))


def _image(values: Any) -> tuple[str, tuple[int, int]]:
    height, width = (integer(get(values, each), each) for each in ("height", "width"))
    if height < 1 or width < 1 or height * width > MAX_PIXELS:
        raise BagError(f"images: expected 1 to {MAX_PIXELS} pixels, got {width}x{height}")
    return text(values, "file_name"), (height, width)


def _annotation(values: Any, categories: Mapping[int, str], size: tuple[int, int], where: str) -> Annotation:
    try:
        query = categories[values["category_id"]]
        more = values.get("attributes")
        names = {**(more if isinstance(more, Mapping) else {}), **values}
        thing = names.get("track_id", names.get("instance_id"))
        name = query if thing is None else f"{query} {thing}"
        segmentation = values.get("segmentation")
        if not segmentation:
            u, v, width, height = numbers(items(values, "bbox", length=4), "bbox").tolist()
            return Annotation(name, query, bbox=(u, v, u + width, v + height))
        return Annotation(name, query, _segmentation(segmentation, size))
    except BagError as error:
        raise BagError(f"{where}: {error}") from error


def _segmentation(values: Any, size: tuple[int, int]) -> Mask:
    if not isinstance(values, list):
        runs = decode_runs(values)
        if runs.size != size:
            raise BagError(f"segmentation: expected the image's size {list(size)}, got {list(runs.size)}")
        return runs.mask()
    for each in values:
        if not isinstance(each, list) or len(each) % 2 or len(each) < 6:
            raise BagError(f"segmentation: expected polygons of at least three u, v, got {str(each)[:60]}")
        numbers(each, "segmentation")
    return polygons_mask(values, size)


def masks(folder: Path) -> list[Annotated]:
    """A folder of PNG masks, by file name.

    Either ``objects.json`` ``{"1": "red ball", …}`` and one PNG an image, whose pixels are the things' numbers, 0
    nothing; or a folder for each query, in it a PNG for each image that shows the thing, not 0 where it is.
    """
    if (folder / OBJECTS).is_file():
        return [_numbered(file, _objects(folder / OBJECTS)) for file in _pictures(folder)]
    by_name: dict[str, list[Path]] = {}
    for query in sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else ():
        for file in _pictures(query):
            by_name.setdefault(file.name, []).append(file)
    if not by_name:
        layouts = f"{OBJECTS} and PNGs, or a folder of PNGs for each query"
        raise BagError(f"{folder}: expected {layouts}, found neither")
    return [_separate(by_name[name]) for name in sorted(by_name, key=lambda each: natural(Path(each)))]


def _objects(file: Path) -> dict[int, str]:
    values = read_json(file, "the things' numbers and queries")
    if not isinstance(values, Mapping) or not all(key.isdecimal() and int(key) > 0 for key in values):
        raise BagError(f'{file}: expected {{"1": "red ball", …}}, got {str(values)[:60]}')
    return {int(key): text(values, key) for key in values}


def _pictures(folder: Path) -> Iterator[Path]:
    return iter(sorted((each for each in folder.iterdir() if each.suffix.lower() == ".png"), key=natural))


def _numbered(file: Path, objects: Mapping[int, str]) -> Annotated:
    def read() -> list[Annotation]:
        pixels = _pixels(file)
        strange = sorted(set(np.unique(pixels).tolist()) - {0, *objects})
        if strange:
            raise BagError(f"{file}: expected numbers of {OBJECTS} ({', '.join(map(str, objects))}), got {strange[0]}")
        return [Annotation(number, query, pixels == number) for number, query in objects.items()]

    return Annotated(file.name, _size(file), read)


def _separate(files: list[Path]) -> Annotated:
    def read() -> list[Annotation]:
        return [Annotation(file.parent.name, file.parent.name, _pixels(file) != 0) for file in files]

    sizes = {_size(file) for file in files}
    if len(sizes) > 1:
        raise BagError(f"{files[0].name}: expected masks of one size, got {' and '.join(map(str, sorted(sizes)))}")
    return Annotated(files[0].name, sizes.pop(), read)


def _size(file: Path) -> tuple[int, int]:
    with _open(file) as picture:
        return picture.height, picture.width


def _pixels(file: Path) -> npt.NDArray[np.int64]:
    """(H, W) numbers of a gray PNG, or of a palette's indices."""
    with _open(file) as picture:
        if picture.mode not in ("1", "L", "P", "I", "I;16"):
            raise BagError(f"{file}: expected a gray or palette PNG, got mode {picture.mode}")
        try:
            return np.asarray(picture).astype(np.int64)
        except OSError as error:
            raise BagError(f"{file}: expected a whole PNG, got: {error}") from error


def _open(file: Path) -> Image.Image:
    try:
        return Image.open(file, formats=["PNG"])
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise BagError(f"{file}: expected a PNG, got something else or a damaged file") from error

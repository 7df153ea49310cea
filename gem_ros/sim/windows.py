"""Training windows: crops of rendered frames with the truth of every patch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gem_ros.sim.dataset import MAX_OBJECTS
from gem_ros.sim.prompts import BACKGROUND_COLUMNS
from gem_ros.sim.vocabulary import COLOURS

COLUMNS = MAX_OBJECTS + BACKGROUND_COLUMNS
FIRST_BACKGROUND = 250


@dataclass(frozen=True, eq=False)
class Batch:
    """``pixels`` (B, h, w, 3) uint8; ``coverage`` (B, patches, 11) float32 share of each patch by object
    and background; ``classes`` (B, 6) int64 kind·12 + colour, −1: none; ``seen`` (B, 6): 1 clearly in the
    window, 0 not in it, −1 hardly (neither true nor false)."""

    pixels: npt.NDArray[np.uint8]
    coverage: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    seen: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """Windows of ``size`` (h, w) px in patches of ``patch`` px.

    A window spans 1/zoom of the frame's width, ``zoom`` in (low, high), and mostly fits a randomly chosen object.
    """

    size: tuple[int, int]
    zoom: tuple[float, float]
    patch: int


@dataclass(frozen=True, eq=False)
class Labelled:
    """A rendered frame: ``rgb``, ``instances``, ``objects`` as in a shard; ``pixels`` (6,) of each object;
    ``boxes`` (6, 4) their top, left, bottom, right, half-open."""

    rgb: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint8]
    objects: npt.NDArray[np.int8]
    pixels: npt.NDArray[np.int64]
    boxes: npt.NDArray[np.int64]


def labelled(rgb: npt.NDArray[np.uint8], instances: npt.NDArray[np.uint8], objects: npt.NDArray[np.int8]) -> Labelled:
    """Count and box every object once; windows are cut from the frame many times."""
    pixels = np.bincount(instances.ravel(), minlength=MAX_OBJECTS)[:MAX_OBJECTS]
    boxes = np.zeros((MAX_OBJECTS, 4), np.int64)
    for index in np.flatnonzero(pixels):
        mask = instances == index
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        boxes[index] = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    return Labelled(rgb, instances, objects, pixels, boxes)


class Frames:
    """All shards of some folders in memory; ``len`` frames, drawn with equal chance."""

    def __init__(self, folders: list[Path], most: int | None = None) -> None:
        paths = sorted(path for folder in folders for path in folder.glob("????????.npz"))[:most]
        self._frames: list[Labelled] = []
        for path in paths:
            shard = np.load(path)
            self._frames += map(labelled, shard["rgb"], shard["instances"], shard["objects"])

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Labelled:
        return self._frames[index]


def batches(frames: Frames, rng: np.random.Generator, count: int, shape: Shape) -> Iterator[Batch]:
    """Endless batches of ``count`` windows."""
    while True:
        windows = [_window(frames[int(rng.integers(len(frames)))], rng, shape) for _ in range(count)]
        yield Batch(*(np.stack(column) for column in zip(*windows, strict=True)))


def _window(
    frame: Labelled, rng: np.random.Generator, shape: Shape
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    size, patch = shape.size, shape.patch
    top, left, high, wide = _choose(frame, rng, size, shape.zoom)
    crop = frame.rgb[top : top + high, left : left + wide]
    labels = frame.instances[top : top + high, left : left + wide]
    shrink = high > size[0]
    pixels: Any = cv2.resize(crop, size[::-1], interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)
    labels = np.asarray(cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
    if rng.random() < 0.5:
        pixels, labels = pixels[:, ::-1], labels[:, ::-1]
    coverage = patch_coverage(labels, patch)
    patches = coverage[:, :MAX_OBJECTS].sum(0)
    inside = patches * (patch**2 * high * wide / labels.size)  # in the frame's pixels
    seen = np.where((patches >= 0.35) & (inside >= 0.35 * frame.pixels), 1, np.where(inside > 0, -1, 0))
    kind, colour = frame.objects.astype(np.int64).T
    return _photometric(pixels, rng), coverage, np.where(kind < 0, -1, kind * len(COLOURS) + colour), seen


def _choose(
    frame: Labelled, rng: np.random.Generator, size: tuple[int, int], zoom: tuple[float, float]
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a crop with the window's aspect: around an object, or anywhere."""
    frame_h, frame_w = frame.instances.shape
    aspect = size[1] / size[0]
    wide = frame_w / np.exp(rng.uniform(*np.log(zoom)))
    centre = rng.uniform(0, 1, 2) * (frame_h, frame_w)
    visible = np.flatnonzero(frame.pixels)
    if len(visible) and rng.random() < 0.85:
        box = frame.boxes[rng.choice(visible)]
        extent = box[2:] - box[:2]
        centre = box[:2] + extent / 2
        if rng.random() < 0.75:  # as large as the object, up to a few patches around it
            wide = max(extent) * aspect * rng.uniform(1.1, 1.2 + max(size) / 32)
            wide = np.clip(wide, frame_w / zoom[1], frame_w / zoom[0])
        centre = centre + rng.normal(0, 0.15, 2) * (wide / aspect, wide)
    wide = min(wide, frame_w, frame_h * aspect)
    high = wide / aspect
    top = int(np.clip(centre[0] - high / 2, 0, frame_h - high))
    left = int(np.clip(centre[1] - wide / 2, 0, frame_w - wide))
    return top, left, int(high), int(wide)


def patch_coverage(labels: npt.NDArray[np.uint8], patch: int) -> npt.NDArray[np.float32]:
    """(H, W) labels -> (h·w, 11): the share of every patch that each object or background covers."""
    h, w = labels.shape[0] // patch, labels.shape[1] // patch
    column = np.where(labels < MAX_OBJECTS, labels, labels.astype(np.int64) - FIRST_BACKGROUND + MAX_OBJECTS)
    cells = column.reshape(h, patch, w, patch).transpose(0, 2, 1, 3).reshape(h * w, -1)
    flat = (np.arange(h * w)[:, None] * COLUMNS + cells).ravel()
    counts = np.bincount(flat, minlength=h * w * COLUMNS).reshape(h * w, COLUMNS)
    return (counts / patch**2).astype(np.float32)


def _photometric(pixels: Any, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Exposure, contrast, white balance, blur and noise; hues stay, for they have names."""
    if rng.random() < 0.25:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.3))
    image = pixels.astype(np.float32)
    if rng.random() < 0.6:
        contrast, gain = rng.uniform(0.8, 1.15), rng.uniform(0.75, 1.2) * rng.uniform(0.95, 1.05, 3)
        image = image * (contrast * gain).astype(np.float32) + ((1 - contrast) * 128 * gain).astype(np.float32)
    if rng.random() < 0.4:
        image += rng.normal(0, rng.uniform(1, 7), image.shape).astype(np.float32)
    return np.asarray(np.clip(image, 0, 255), np.uint8)

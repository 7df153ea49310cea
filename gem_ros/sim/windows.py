"""Training windows: crops of rendered frames with the truth of every patch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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


class Frames:
    """All shards of some folders in memory; ``len`` frames, drawn with equal chance."""

    def __init__(self, folders: list[Path], most: int | None = None) -> None:
        paths = sorted(path for folder in folders for path in folder.glob("????????.npz"))[:most]
        self._shards = [dict(np.load(path)) for path in paths]
        self._ends = np.cumsum([len(shard["rgb"]) for shard in self._shards])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.int8]]:
        number = int(np.searchsorted(self._ends, index, side="right"))
        shard = self._shards[number]
        row = index - int(self._ends[number])
        return shard["rgb"][row], shard["instances"][row], shard["objects"][row]


def batches(
    frames: Frames, rng: np.random.Generator, count: int, size: tuple[int, int], zoom: tuple[float, float], patch: int
) -> Iterator[Batch]:
    """Endless batches of ``count`` windows of ``size`` (h, w) px.

    A window spans 1/zoom of the frame's width, zoom log-uniform in its range, and mostly holds a
    randomly chosen object.
    """
    while True:
        windows = [_window(frames[rng.integers(len(frames))], rng, size, zoom, patch) for _ in range(count)]
        yield Batch(*(np.stack(column) for column in zip(*windows, strict=True)))


def _window(
    frame: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.int8]],
    rng: np.random.Generator,
    size: tuple[int, int],
    zoom: tuple[float, float],
    patch: int,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    rgb, instances, objects = frame
    top, left, high, wide = _choose(instances, rng, size, zoom)
    crop = rgb[top : top + high, left : left + wide]
    labels = instances[top : top + high, left : left + wide]
    shrink = high > size[0]
    pixels = cv2.resize(crop, size[::-1], interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)
    labels = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        pixels, labels = pixels[:, ::-1], labels[:, ::-1]
    coverage = patch_coverage(labels, patch)
    inside = np.array([np.count_nonzero(labels == j) for j in range(MAX_OBJECTS)]) * (high * wide / labels.size)
    whole = np.array([np.count_nonzero(instances == j) for j in range(MAX_OBJECTS)])
    patches = coverage[:, :MAX_OBJECTS].sum(0)
    seen = np.where((patches >= 0.35) & (inside >= 0.35 * whole), 1, np.where(inside > 0, -1, 0))
    classes = np.where(objects[:, 0] < 0, -1, objects[:, 0].astype(np.int64) * len(COLOURS) + objects[:, 1])
    return _photometric(pixels, rng), coverage, classes, seen.astype(np.int64)


def _choose(
    instances: npt.NDArray[np.uint8], rng: np.random.Generator, size: tuple[int, int], zoom: tuple[float, float]
) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a crop with the window's aspect."""
    frame_h, frame_w = instances.shape
    wide = frame_w / np.exp(rng.uniform(*np.log(zoom))) * min(1.0, size[1] / size[0] / (frame_w / frame_h))
    wide = min(wide, frame_w, frame_h * size[1] / size[0])
    high = wide * size[0] / size[1]
    centre = rng.uniform(0, 1, 2) * (frame_h, frame_w)
    visible = np.unique(instances[instances < MAX_OBJECTS])
    if len(visible) and rng.random() < 0.8:
        rows, columns = np.nonzero(instances == rng.choice(visible))
        pick = rng.integers(len(rows))
        centre = np.array([rows[pick], columns[pick]]) + rng.normal(0, 0.22, 2) * (high, wide)
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


def _photometric(pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Exposure, contrast, white balance, blur and noise; hues stay, for they have names."""
    if rng.random() < 0.25:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.3))
    image = pixels.astype(np.float32)
    if rng.random() < 0.6:
        gain = rng.uniform(0.75, 1.2) * rng.uniform(0.95, 1.05, 3)
        image = (image - 128) * rng.uniform(0.8, 1.15) + 128
        image = image * gain.astype(np.float32)
    if rng.random() < 0.4:
        image = image + rng.normal(0, rng.uniform(1, 7), image.shape).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)

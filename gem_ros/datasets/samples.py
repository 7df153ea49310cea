"""What every data set gives: classes, and images with the truth about their pixels or points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from gem_ros.errors import BagError
from gem_ros.replay.labelled import Picture

Labels = npt.NDArray[np.int16]
IGNORED = -1  # a pixel that nobody labelled, or as nothing that is asked for


@dataclass(frozen=True, eq=False)
class Points:
    """Labelled points of one image: pixels ``u``, ``v`` (n,), their class (n,), and whether they show it (n,)."""

    u: npt.NDArray[np.int64]
    v: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    positive: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sample:
    """One image, read when asked: ``rgb`` (H, W, 3), ``truth`` labels (H, W) from 0 or :data:`IGNORED`, or points."""

    name: str
    rgb: Callable[[], Picture]
    truth: Callable[[tuple[int, int]], Labels | Points]


@dataclass(frozen=True, eq=False)
class Dataset:
    """``classes`` are the texts asked for. With ``background`` label 0 is none of them, and they count from 1."""

    name: str
    classes: tuple[str, ...]
    samples: Sequence[Sample]
    background: bool = False
    points: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels, in order."""
        return ("background", *self.classes) if self.background else self.classes


def read_labels(path: Path, size: tuple[int, int], table: npt.NDArray[np.int16]) -> Labels:
    """A gray or palette PNG of label numbers, translated by ``table`` (256,), of the image's ``size`` (H, W)."""
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.mode not in ("L", "P"):
                raise BagError(f"{path}: expected a gray or palette PNG of 8 bits, got mode {picture.mode}")
            numbers = np.asarray(picture)
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise BagError(f"{path}: expected a PNG of labels, got: {error}") from error
    if numbers.shape != size:
        got, expected = ("x".join(map(str, each)) for each in (numbers.shape, size))
        raise BagError(f"{path}: expected labels of the image's size {expected}, got {got}")
    labels: Labels = table[numbers]
    return labels


def table(numbers: dict[int, int]) -> npt.NDArray[np.int16]:
    """``{number in the file: label}`` -> (256,), everything else :data:`IGNORED`."""
    made = np.full(256, IGNORED, np.int16)
    for number, label in numbers.items():
        made[number] = label
    return made

"""OpenImages V7: points that people said do or do not show a class."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from gem_ros.datasets.samples import Dataset, Points, Sample
from gem_ros.errors import BagError
from gem_ros.replay.labelled import read_picture

POINTS = "oidv7-val-annotations-point-labels.csv"
NAMES = "oidv7-class-descriptions.csv"
IMAGES = "validation"
COLUMNS = ("LabelName", "DisplayName")
ANSWERS = {"yes": True, "no": False}  # what else is there ("unsure") does not count
Labelled = tuple[float, float, int, bool]  # x, y in [0, 1], class, whether it shows it


def openimages(root: Path) -> Dataset:
    """The validation points of OpenImages V7 whose images lie in ``validation/``; classes by their display name.

    A class counts where there are both points that show it and points that do not, as p-mIoU needs them.
    """
    names = {row["LabelName"]: row["DisplayName"] for row in _rows(root / NAMES, COLUMNS, header="LabelName")}
    images = {each.stem: each for each in sorted((root / IMAGES).glob("*.jpg"))}
    if not images:
        raise BagError(f"{root / IMAGES}: expected JPEG images, found none")
    found: dict[str, list[tuple[float, float, str, bool]]] = {}
    answers: dict[str, set[bool]] = {}
    for row in _rows(root / POINTS, ("ImageId", "X", "Y", "Label", "EstimatedYesNo")):
        answer = ANSWERS.get(row["EstimatedYesNo"].lower())
        if answer is None or row["ImageId"] not in images or row["Label"] not in names:
            continue
        x, y = (_share(row, axis, root / POINTS) for axis in ("X", "Y"))
        found.setdefault(row["ImageId"], []).append((x, y, row["Label"], answer))
        answers.setdefault(row["Label"], set()).add(answer)
    kept = sorted(label for label, both in answers.items() if len(both) == 2)
    number = {label: index for index, label in enumerate(kept)}
    samples = []
    for image, rows in sorted(found.items()):
        points = [(x, y, number[label], answer) for x, y, label, answer in rows if label in number]
        if points:
            samples.append(Sample(image, partial(read_picture, images[image]), partial(_points, points)))
    return Dataset("openimages-points", tuple(names[label].lower() for label in kept), samples, points=True)


def _points(rows: list[Labelled], size: tuple[int, int]) -> Points:
    """Shares of the image -> the pixels that they lie in."""
    x, y, classes, positive = zip(*rows, strict=True)
    height, width = size
    u, v = (
        np.minimum((np.array(share) * side).astype(np.int64), side - 1) for share, side in ((x, width), (y, height))
    )
    return Points(u, v, np.array(classes, np.int64), np.array(positive, bool))


def _rows(file: Path, wanted: tuple[str, ...], header: str = "") -> Iterator[dict[str, str]]:
    """Rows of a CSV file by column; without a first line that begins with ``header`` they are ``wanted`` in order."""
    try:
        with file.open(encoding="utf-8", newline="") as stream:
            has_header = stream.readline().startswith(header)
            stream.seek(0)
            reader = csv.DictReader(stream, fieldnames=None if has_header else wanted)
            missing = [each for each in wanted if each not in (reader.fieldnames or ())]
            if missing:
                raise BagError(f"{file}: expected a column {missing[0]}, got {', '.join(reader.fieldnames or ())[:80]}")
            for row in reader:
                if any(row[each] is None for each in wanted):
                    raise BagError(f"{file}: expected {len(wanted)} columns in line {reader.line_num}, got fewer")
                yield row
    except OSError as error:
        raise BagError(f"{file}: expected a table, got: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BagError(f"{file}: expected CSV, got: {error}") from error


def _share(row: dict[str, str], axis: str, file: Path) -> float:
    try:
        value = float(row[axis])
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise BagError(f"{file}: expected {axis} of {row['ImageId']} in [0, 1], got {row[axis]!r}")
    return value

"""A data set through a model: image by image, each written down at once, so that an interrupted run goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gem_ros.core.similarity import min_max, upsample
from gem_ros.datasets.protocol import Protocol, best, class_maps, peak
from gem_ros.datasets.samples import Dataset, Labels, Points, Sample
from gem_ros.datasets.scores import Counts, Tally, count_pixels, count_points, pointing
from gem_ros.errors import BagError
from gem_ros.pipeline import Grounder

THRESHOLDS = (
    *(round(0.05 * step, 2) for step in range(20)),
    0.99,
    0.999,
    0.9999,
)  # of what is background, or no point's class
SEPARATORS = (",", ":")


@dataclass(frozen=True)
class Measured:
    """``tally`` of all images; ``seconds`` of each one's forward and cosines, of those measured in this run."""

    tally: Tally
    seconds: tuple[float, ...]


def measure(
    grounder: Grounder,
    dataset: Dataset,
    protocol: Protocol,
    *,
    file: Path,
    settings: Mapping[str, Any],
    progress: Callable[[float], None],
) -> Measured:
    """Ask every image of ``dataset`` for its classes; counts go to ``file``, one line an image.

    What is in the file already is not asked again; :class:`BagError` where it was made with other ``settings``.
    """
    labels = len(dataset.labels)
    tally, seconds = Tally(labels), []
    done = _read(file, settings, labels)
    whole = file.with_suffix(".part")
    with whole.open("w", encoding="utf-8") as stream:
        _write(stream, {"settings": dict(settings)})
        for name, kept in done.items():
            _write(stream, {"name": name, **kept})
    whole.replace(file)  # nothing of an earlier run is lost, whenever this one is interrupted
    with file.open("a", encoding="utf-8") as stream:
        for number, sample in enumerate(dataset.samples):
            if sample.name not in done:
                row, taken = _look(grounder, dataset, sample, protocol)
                seconds.append(taken)
                _write(stream, {"name": sample.name, **row})
                done[sample.name] = row
            tally.add(*_counts(done[sample.name], labels))
            progress((number + 1) / len(dataset.samples))
    return Measured(tally, tuple(seconds))


@torch.inference_mode()
def _look(grounder: Grounder, dataset: Dataset, sample: Sample, protocol: Protocol) -> tuple[dict[str, Any], float]:
    """What is counted of one image, and the seconds of its forward and cosines."""
    rgb = sample.rgb()
    size = rgb.shape[0], rgb.shape[1]
    truth = sample.truth(size)
    start = time.perf_counter()
    maps = class_maps(grounder, rgb, dataset.classes, protocol)
    if grounder.device.type == "cuda":
        torch.cuda.synchronize(grounder.device)
    taken = time.perf_counter() - start
    labels = len(dataset.labels)
    if isinstance(truth, Points):
        return {"counts": {str(at): _sparse(each) for at, each in _of_points(maps, truth, size, labels)}}, taken
    counts = {str(at): _sparse(each) for at, each in _of_pixels(maps, truth, size, dataset)}
    hits, tries = pointing(peak(maps, size), truth, int(dataset.background))
    return {"counts": counts, "hits": hits, "tries": tries}, taken


def _of_pixels(maps: Tensor, truth: Labels, size: tuple[int, int], dataset: Dataset) -> Iterator[tuple[float, Counts]]:
    """At every threshold below which a pixel is background; at 0 only where there is no background."""
    label, probability = best(maps, size)
    if not dataset.background:
        yield 0.0, count_pixels(label, truth, len(dataset.labels))
        return
    for threshold in THRESHOLDS:
        yield threshold, count_pixels(np.where(probability < threshold, 0, label + 1), truth, len(dataset.labels))


def _of_points(maps: Tensor, points: Points, size: tuple[int, int], classes: int) -> Iterator[tuple[float, Counts]]:
    """At every threshold of each class's own map, stretched to [0, 1] as GEM's published code does."""
    values = np.zeros(len(points.classes), np.float32)
    for each in np.unique(points.classes).tolist():
        mine = points.classes == each
        picture = min_max(upsample(maps[each : each + 1].float(), size))[0].cpu().numpy()
        values[mine] = picture[points.v[mine], points.u[mine]]
    for threshold in THRESHOLDS:
        yield threshold, count_points(values >= threshold, points, classes)


def _sparse(counts: Counts) -> list[list[int]]:
    """Rows (label, both, predicted, true) of the labels that occur."""
    some = np.flatnonzero(counts.predicted + counts.true)
    return np.stack([some, counts.both[some], counts.predicted[some], counts.true[some]], axis=1).tolist()  # type: ignore[no-any-return]


def _counts(row: Mapping[str, Any], labels: int) -> tuple[dict[float, Counts], int, int]:
    found = {}
    for threshold, rows in row["counts"].items():
        table = np.array(rows, np.int64).reshape(-1, 4)
        found[float(threshold)] = counts = Counts.zeros(labels)
        counts.both[table[:, 0]], counts.predicted[table[:, 0]], counts.true[table[:, 0]] = table[:, 1:].T
    return found, int(row.get("hits", 0)), int(row.get("tries", 0))


def _write(stream: Any, values: Mapping[str, Any]) -> None:
    stream.write(json.dumps(values, separators=SEPARATORS) + "\n")
    stream.flush()


def _read(file: Path, settings: Mapping[str, Any], labels: int) -> dict[str, dict[str, Any]]:
    """Rows of an earlier run with the same settings; a last line that was cut off is left out."""
    if not file.is_file():
        return {}
    rows: list[Any] = []
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    if not rows:
        return {}
    before, now = rows[0].get("settings") if isinstance(rows[0], dict) else None, json.loads(json.dumps(dict(settings)))
    if before != now:
        raise BagError(
            f"{file}: expected an earlier run with these settings, got {_others(before, now)}; choose another --output"
        )
    try:
        kept = {str(row.pop("name")): row for row in rows[1:]}
        for row in kept.values():
            _counts(row, labels)
    except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise BagError(f"{file}: expected counts of an earlier run, got something else; delete it") from error
    return kept


def _others(before: Any, now: Mapping[str, Any]) -> str:
    """Which settings an earlier run had otherwise, ``other image_size 96, not 0``; of long ones the name alone."""
    if not isinstance(before, dict):
        return "something else"
    named = []
    for name in sorted({*before, *now}):
        was, is_now = before.get(name), now.get(name)
        if was != is_now:
            pair = f" {was!r}, not {is_now!r}"
            named.append(f"other {name}{pair if len(pair) <= 60 else ''}")
    return ", ".join(named)

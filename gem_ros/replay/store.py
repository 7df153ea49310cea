"""An evaluation on disk: its numbers, and the rows of each recording, which need not be made twice.

``metrics.json``, ``metrics.csv``, ``timing.json``; ``rows/NAME.csv`` (and ``.parquet``) with ``rows/NAME.json``, which
is written last and says what the rows were made of.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gem_ros.errors import BagError, GemError
from gem_ros.replay.evaluate import Evaluated
from gem_ros.replay.evaluation import SCHEMA, Evaluation, Input, finite, to_json
from gem_ros.replay.rows import Row, can_write_parquet, read_csv, write_csv, write_parquet

METRICS, ROWS = "metrics.json", "rows"


def make_folder(path: Path) -> None:
    """``path`` with its ``rows``, or :class:`GemError`."""
    try:
        (path / ROWS).mkdir(parents=True, exist_ok=True)
        _written(path / ROWS / ".probe", lambda probe: probe.touch())
        (path / ROWS / ".probe").unlink()
    except OSError as error:
        raise GemError(f"--report {path}: expected a folder that can be written, got: {error.strerror}") from error


def save_rows(folder: Path, key: str, found: Evaluated) -> None:
    """Keep the rows of one recording, made of what ``key`` stands for."""
    base = folder / ROWS / found.input.name
    _written(base.with_name(f"{base.name}.csv"), lambda path: write_csv(path, found.rows))
    if can_write_parquet():
        _written(base.with_name(f"{base.name}.parquet"), lambda path: write_parquet(path, found.rows))
    values = {"schema": SCHEMA, "key": key, "input": dataclasses.asdict(found.input), "timing": found.timing}
    _written(base.with_name(f"{base.name}.json"), lambda path: _write_json(path, values))


def load_rows(folder: Path, name: str, key: str) -> Evaluated | None:
    """What :func:`save_rows` kept for ``key``; None where there is nothing, something older or half of it."""
    base = folder / ROWS / name
    try:
        values = json.loads(base.with_name(f"{name}.json").read_text(encoding="utf-8"))
        if values["schema"] != SCHEMA or values["key"] != key:
            return None
        given = values["input"]
        known = Input(**{**given, "problems": tuple(given["problems"])})
        return Evaluated(known, read_csv(base.with_name(f"{name}.csv")), values["timing"])
    except (OSError, ValueError, KeyError, TypeError, BagError):  # to be made again, whatever it is
        return None


def save(folder: Path, evaluation: Evaluation) -> list[Path]:
    """Write the numbers; the paths that were written."""
    paths = [folder / METRICS, folder / "metrics.csv", folder / "timing.json"]
    texts = to_json(evaluation), None, {**evaluation.timing, "latencies_ms": list(evaluation.latencies_ms)}
    _written(paths[0], lambda path: path.write_text(texts[0], encoding="utf-8"))
    _written(paths[1], lambda path: _write_numbers(path, evaluation))
    _written(paths[2], lambda path: _write_json(path, texts[2]))
    return [*paths, folder / ROWS]


@dataclasses.dataclass(frozen=True, eq=False)
class Saved:
    """An evaluation read back: its name, rows, and what its ``metrics.json`` holds."""

    name: str
    rows: list[Row]
    values: Mapping[str, Any]


def load(path: Path) -> Saved:
    """Read ``metrics.json`` (or the folder that holds it) and the rows beside it; :class:`BagError`."""
    file = path / METRICS if path.is_dir() else path
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        names = [(each["name"], each["sha256"])[0] for each in values["inputs"]]
        schema, _ = values["schema"], float(values["settings"]["min_visible"])
    except OSError as error:
        raise BagError(f"{file}: expected metrics of gem-ros evaluate, got: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BagError(f"{file}: expected metrics of gem-ros evaluate, got something else ({error!r})") from error
    if schema != SCHEMA:
        raise BagError(f"{file}: expected schema {SCHEMA}, got {schema}; evaluate again")
    rows = [row for name in names for row in read_csv(file.parent / ROWS / f"{name}.csv")]
    return Saved(str(path), rows, values)


def _write_numbers(path: Path, evaluation: Evaluation) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("query", "metric", "value", "low", "high"))
        for name, value in evaluation.metrics.items():
            query, _, metric = name.rpartition("/")
            low, high = evaluation.intervals.get(name, ("", ""))
            table.writerow((query, metric, value if math.isfinite(value) else "", low, high))


def _write_json(path: Path, values: Any) -> None:
    path.write_text(json.dumps(finite(values), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _written(path: Path, write: Callable[[Path], Any]) -> None:
    """Whole or not at all: another process may look, and this one may be killed."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(part)
        part.replace(path)
    except OSError as error:
        raise GemError(f"{path}: expected a place that can be written, got: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)

"""Measured numbers, their file, and how two of them differ."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gem_ros.errors import GemError

FORMAT = 1
Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Measurement:
    """One number: dotted ``name`` (its part first), ``value`` in ``unit``, which way is better, and what it is."""

    name: str
    value: float
    unit: str
    better: Better
    what: str


@dataclass(frozen=True)
class Results:
    """Everything one run of the bench says; ``notes`` are lines that a reader of the numbers must know."""

    date: str
    revision: str
    hardware: Mapping[str, str]
    versions: Mapping[str, str]
    settings: Mapping[str, str]
    notes: Sequence[str]
    measurements: Sequence[Measurement]

    def value(self, name: str) -> float:
        """A measured number by its name; NaN where it was not measured."""
        return next((each.value for each in self.measurements if each.name == name), math.nan)


@dataclass(frozen=True)
class Change:
    """A number then and now; ``worse`` is by which share of the old value, negative where it got better.

    It is NaN where neither way is better, and where a share of nothing cannot be said.
    """

    now: Measurement
    before: float
    worse: float


def write(results: Results, path: Path) -> None:
    """As JSON; :class:`GemError` where that is not possible."""
    text = json.dumps({"format": FORMAT, **dataclasses.asdict(results)}, indent=1, ensure_ascii=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise GemError(f"{path}: expected a writable file, got: {error.strerror}") from error


def read(path: Path) -> Results:
    """What :func:`write` wrote; :class:`GemError` for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GemError(f"{path}: expected results of gem-ros bench, got: {error.strerror}") from error
    except ValueError as error:  # no text, or no JSON
        raise GemError(f"{path}: expected results of gem-ros bench in JSON, got something else") from error
    if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
        raise GemError(f"{path}: expected results of gem-ros bench in format {FORMAT}, got others; measure again")
    try:
        return _results(found)
    except (TypeError, ValueError) as error:
        raise GemError(f"{path}: expected results of gem-ros bench, got a damaged file ({error})") from error


def compare(before: Results, now: Results) -> list[Change]:
    """How what was measured both times has changed, in the order of ``now``."""
    known = {each.name: each.value for each in before.measurements}
    return [
        Change(each, known[each.name], _worse(each, known[each.name]))
        for each in now.measurements
        if each.name in known
    ]


def reservations(before: Results, now: Results) -> list[str]:
    """Why the two should not be compared number by number: a line for each setting, machine part or version."""
    kinds = ("hardware", "settings", "versions")
    found = []
    for kind in kinds:
        old, new = getattr(before, kind), getattr(now, kind)
        for name in dict.fromkeys([*old, *new]):
            if old.get(name) != new.get(name):
                found.append(f"{kind}: {name} was {old.get(name, 'unknown')}, now {new.get(name, 'unknown')}")
    return found


def _worse(now: Measurement, before: float) -> float:
    if now.better == "neither" or not before:
        return math.nan
    grown = (now.value - before) / abs(before)
    return grown if now.better == "lower" else -grown


def _results(found: dict[str, Any]) -> Results:
    measurements = [Measurement(**each) for each in found.pop("measurements", ())]
    for each in measurements:
        if isinstance(each.value, bool) or not isinstance(each.value, int | float):
            raise ValueError(f"{each.name}: expected a number, got {each.value!r}")
        if each.better not in ("lower", "higher", "neither"):
            raise ValueError(f"{each.name}: expected lower, higher or neither, got {each.better!r}")
    results = Results(measurements=measurements, **found)
    for kind in ("hardware", "versions", "settings"):
        if not isinstance(getattr(results, kind), dict):
            raise ValueError(f"{kind}: expected names and values")
    return results

"""What an evaluation says: rows, numbers with their intervals, and where they come from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gem_ros.replay.rows import Row

SCHEMA = 1


@dataclass(frozen=True)
class Input:
    """One evaluated recording.

    ``name`` is unique among the recordings of an evaluation (:attr:`Row.bag`); ``path`` as given; ``sha256`` of its
    files and of the truth's; ``topics`` says which were chosen; ``images`` evaluated of those it holds; ``start`` and
    ``end``, ns, are the stamps of the first and last; ``problems`` are lines about what could not be read.
    """

    name: str
    path: str
    sha256: str
    topics: str = ""
    images: int = 0
    start: int = 0
    end: int = 0
    problems: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Length of what was evaluated, in the recording's time."""
        return (self.end - self.start) / 1e9


@dataclass(frozen=True)
class Bin:
    """Rows of things in view with a value in [``low``, ``high``): their number and metrics by name."""

    low: float
    high: float
    count: int
    metrics: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Everything a report needs.

    ``metrics`` by documented name, over everything (``found_recall``) and per query (``red ball/found_recall``);
    what could not be measured is NaN. ``intervals`` (low, high): 95 % of those that have one. ``bins``:
    ``distance_m`` and ``visible``. ``timing`` is what depends on the machine; ``latencies_ms`` of the answers in live
    mode. ``min_visible``: share of the image from which a thing counts as in view.
    """

    rows: Sequence[Row]
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    bins: Mapping[str, Sequence[Bin]]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    inputs: Sequence[Input]
    min_visible: float
    timing: Mapping[str, float] = field(default_factory=dict)
    latencies_ms: Sequence[float] = ()

    @property
    def queries(self) -> tuple[str, ...]:
        """What was asked, in order."""
        return tuple(dict.fromkeys(row.query for row in self.rows))

    def of(self, query: str) -> dict[str, float]:
        """The metrics of one query, by their names alone."""
        own = f"{query}/"
        return {name[len(own) :]: value for name, value in self.metrics.items() if name.startswith(own)}


def to_json(evaluation: Evaluation) -> str:
    """``metrics.json``: the same text for the same numbers; no times in it. What was not measured is null."""
    values = {
        "schema": SCHEMA,
        "metrics": {name: value for name, value in evaluation.metrics.items() if "/" not in name},
        "per_query": {query: evaluation.of(query) for query in evaluation.queries},
        "intervals": evaluation.intervals,
        "bins": {
            name: [{"low": each.low, "high": each.high, "count": each.count, "metrics": each.metrics} for each in group]
            for name, group in evaluation.bins.items()
        },
        "settings": evaluation.settings,
        "versions": evaluation.versions,
        "inputs": [
            {
                **{"name": each.name, "sha256": each.sha256, "topics": each.topics, "images": each.images},
                **{"start": each.start, "end": each.end, "problems": list(each.problems)},
            }
            for each in evaluation.inputs
        ],
    }
    return json.dumps(finite(values), indent=2, ensure_ascii=False) + "\n"


def finite(value: Any) -> Any:
    """JSON values with null for what is not a finite number."""
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

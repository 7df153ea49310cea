"""Two evaluations of the same images: what differs, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gem_ros.errors import BagError
from gem_ros.replay.columns import Values, ordered
from gem_ros.replay.measures import METRICS
from gem_ros.replay.rows import Row
from gem_ros.replay.store import Saved
from gem_ros.replay.summary import grouped, interval, once, resamples

SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """Of one metric: ``before`` and ``after``, the 95 % interval of after − before, and ``p``, the probability of a
    difference at least as large if there were none; None where it cannot be resampled."""

    name: str
    before: float
    after: float
    interval: tuple[float, float] | None
    p: float | None

    @property
    def significant(self) -> bool:
        """Whether chance explains it in less than one of 20 cases."""
        return self.p is not None and self.p < SIGNIFICANT


@dataclass(frozen=True, eq=False)
class Comparison:
    """``differences`` over the ``images`` and ``queries`` that both have; ``notes`` say what only one has."""

    differences: tuple[Difference, ...]
    images: int
    queries: tuple[str, ...]
    notes: tuple[str, ...]


def compare(before: Saved, after: Saved, *, seed: int = 0) -> Comparison:
    """Metrics of both over the images and queries that both have, resampled together (paired block bootstrap).

    The p-value is twice the smaller share of resamples on either side of zero (Efron and Tibshirani 1993, ch. 16);
    it is not corrected for how many metrics are looked at. :class:`BagError` where nothing is common.
    """
    rows = [{(row.bag, row.stamp, row.query): row for row in each.rows} for each in (before, after)]
    common = rows[0].keys() & rows[1].keys()
    if not common:
        raise BagError(
            f"--compare: expected rows of the same recordings and queries, got {_held(before)} and {_held(after)}"
        )
    notes = [*_notes(before, len(common)), *_notes(after, len(common))]
    if _hashes(before, common) != _hashes(after, common):
        notes.append("recordings of the same name differ in their files or their truth")
    pair = [ordered([each[key] for key in common]) for each in rows]
    return Comparison(
        differences=tuple(_differences(pair, _min_visible(before, after), seed)),
        images=len({key[:2] for key in common}),
        queries=tuple(dict.fromkeys(row.query for row in pair[0])),
        notes=tuple(notes),
    )


def _differences(pair: Sequence[Sequence[Row]], min_visible: float, seed: int) -> list[Difference]:
    before, after = (grouped(each, min_visible) for each in pair)
    drawn: dict[str, list[Values]] = {}
    if before[""].blocks > 1:
        for counts in resamples(before[""], seed):
            for group, rows in before.items():
                weights = counts[:, rows.block]  # of the same images in both
                for each in METRICS:
                    if each.resampled:
                        change = each.of(after[group], weights) - each.of(rows, weights)
                        drawn.setdefault(f"{group}{each.name}", []).append(change)
    found = []
    for group, rows in before.items():
        for each in METRICS:
            name = f"{group}{each.name}"
            changes = np.concatenate(drawn[name]) if name in drawn else np.zeros(0)
            one, two = (float(each.of(columns, once(columns))[0]) for columns in (rows, after[group]))
            found.append(Difference(name, one, two, interval(changes), _p(changes)))
    return found


def _p(changes: Values) -> float | None:
    known = changes[np.isfinite(changes)]
    if 2 * known.size <= changes.size or not known.size:
        return None
    either = min(int(np.count_nonzero(known <= 0)), int(np.count_nonzero(known >= 0)))
    return min(2 * (either + 1) / (known.size + 1), 1.0)


def _min_visible(before: Saved, after: Saved) -> float:
    given = {float(each.values["settings"]["min_visible"]) for each in (before, after)}
    if len(given) > 1:
        raise BagError(f"--compare: expected the same --min-visible, got {' and '.join(map(str, sorted(given)))}")
    return given.pop()


def _hashes(saved: Saved, common: set[tuple[str, int, str]]) -> set[tuple[str, str]]:
    names = {key[0] for key in common}
    return {(each["name"], each["sha256"]) for each in saved.values["inputs"] if each["name"] in names}


def _notes(saved: Saved, common: int) -> list[str]:
    left = len(saved.rows) - common
    return [f"{saved.name}: {left} of {len(saved.rows)} rows are not in the other, and left out"] if left else []


def _held(saved: Saved) -> str:
    bags = ", ".join(sorted({row.bag for row in saved.rows})) or "none"
    return f"{bags} in {saved.name}"

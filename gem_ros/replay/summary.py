"""Rows summed up: every metric over all and per query, with its interval, and by distance and size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from gem_ros.replay.columns import Columns, Values, columns, number_blocks, ordered
from gem_ros.replay.evaluation import Bin, Evaluation, Input
from gem_ros.replay.measures import BY_NAME, METRICS
from gem_ros.replay.rows import Row

RESAMPLES = 1000
CONFIDENCE = 0.95
WORK = 2_000_000  # weights at a time: resamples × rows
DISTANCES = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, math.inf)  # m
SIZES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 1.01)  # share of the image
BINNED = ("found_recall", "pointing_accuracy", "iou", "error_median_m", "error_p90_m")
Groups = Mapping[str, Columns]


def summarise(
    rows: Sequence[Row],
    inputs: Sequence[Input] = (),
    *,
    min_visible: float,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
    timing: Mapping[str, float] | None = None,
    latencies_ms: Sequence[float] = (),
) -> Evaluation:
    """All metrics over ``rows`` and per query, with bootstrap intervals seeded by ``seed``, and by distance and size.

    A thing counts as in view from ``min_visible``, a share of the image.
    """
    rows = ordered(rows)
    groups = grouped(rows, min_visible)
    metrics = {f"{group}{each.name}": float(each.of(c, once(c))[0]) for group, c in groups.items() for each in METRICS}
    return Evaluation(
        rows=rows,
        metrics=metrics,
        intervals=_intervals(groups, seed),
        bins={"distance_m": _bins(groups[""], "distance_m", DISTANCES), "visible": _bins(groups[""], "visible", SIZES)},
        settings=settings or {},
        versions=versions or {},
        inputs=inputs,
        min_visible=min_visible,
        timing=timing or {},
        latencies_ms=latencies_ms,
    )


def grouped(rows: Sequence[Row], min_visible: float) -> dict[str, Columns]:
    """Prefix of a metric's name -> its rows: '' all, 'red ball/' those of a query; blocks numbered alike in all."""
    blocks = number_blocks(rows)
    chosen: dict[str, list[Row]] = {"": list(rows)}
    for row in rows:
        chosen.setdefault(f"{row.query}/", []).append(row)
    return {prefix: columns(mine, min_visible, blocks) for prefix, mine in chosen.items()}


def resamples(rows: Columns, seed: int) -> Iterator[Values]:
    """(b, K) at a time, how often each block counts: K blocks are drawn with replacement, :data:`RESAMPLES` times.

    Images of one second resemble each other: drawing them singly would make intervals too narrow (block bootstrap,
    Carlstein 1986).
    """
    random, blocks = np.random.default_rng(seed), rows.blocks
    step = max(WORK // max(rows.block.size, 1), 1)
    for done in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - done)
        yield random.multinomial(blocks, np.full(blocks, 1 / blocks), size=size).astype(np.float64)


def _intervals(groups: Groups, seed: int) -> dict[str, tuple[float, float]]:
    """Percentile intervals (Efron 1979); of less than two blocks, or mostly unmeasurable resamples, none."""
    if groups[""].blocks < 2:
        return {}
    drawn: dict[str, list[Values]] = {}
    for counts in resamples(groups[""], seed):
        for group, rows in groups.items():
            weights = counts[:, rows.block]
            for each in METRICS:
                if each.resampled:
                    drawn.setdefault(f"{group}{each.name}", []).append(each.of(rows, weights))
    return {name: found for name, parts in drawn.items() if (found := interval(np.concatenate(parts))) is not None}


def interval(values: Values) -> tuple[float, float] | None:
    """The middle 95 % of ``values``; None where half of them could not be measured."""
    known = values[np.isfinite(values)]
    if 2 * known.size <= values.size:
        return None
    low, high = np.quantile(known, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)).tolist()
    return low, high


def _bins(rows: Columns, name: str, edges: Sequence[float]) -> list[Bin]:
    """What is in view, by a measured value; empty bins are left out."""
    found, values = [], rows.values[name]
    for low, high in pairwise(edges):
        inside = rows.present & (values >= low) & (values < high)
        if inside.any():
            weights = inside[None].astype(np.float64)
            metrics = {each: float(BY_NAME[each].of(rows, weights)[0]) for each in BINNED}
            found.append(Bin(low, high, int(inside.sum()), metrics))
    return found


def once(rows: Columns) -> Values:
    """Weights (1, N) with which every row counts once."""
    return np.ones((1, rows.block.size))

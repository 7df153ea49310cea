"""Rows as arrays, in one order, with what only neighbouring rows tell."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.replay.rows import Row

Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]
BLOCK = 1_000_000_000  # ns; images less than this apart say much the same


@dataclass(frozen=True, eq=False)
class Columns:
    """N rows; what is not known is NaN in ``values``.

    ``block``: rows of the same recording and second have the same number. ``present`` and ``absent``: known to be in
    view, known not to be. ``pointed``: found, and the pixel lies on the thing. Compared with the row of the image
    before: ``switched``, the same thing has another track; ``flipped``, found changed (NaN for a first image);
    ``step2``, squared change of the track's offset from the truth, m².
    """

    block: npt.NDArray[np.int64]
    present: Flags
    absent: Flags
    found: Flags
    pointed: Flags
    switched: Flags
    flipped: Values
    step2: Values
    score: Values
    point: Flags
    values: dict[str, Values]
    first_hits: Values
    never_hit: int

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return len(np.unique(self.block))


MEASURED = ("visible", "distance_m", "iou", "best_iou", "error_m", "depth_valid", "overlap", "moved_m")


def columns(rows: Sequence[Row], min_visible: float, blocks: dict[tuple[str, int], int]) -> Columns:
    """Arrays of ``rows`` in the order of :func:`ordered`; ``blocks`` from :func:`number_blocks` of all rows."""
    present = [row.present(min_visible) for row in rows]
    switched, flipped, step2 = [], [], []
    hits: list[float] = []
    never = 0
    for _, group in groupby(rows, key=lambda row: (row.bag, row.query)):
        mine = list(group)
        switched += list(_switches(mine))
        flipped += [math.nan, *(float(one.found != two.found) for one, two in pairwise(mine))]
        step2 += [math.nan, *(_step2(one, two) for one, two in pairwise(mine))]
        seconds, hit = _first_hit(mine, min_visible)
        hits += [seconds] * math.isfinite(seconds)
        never += not hit
    return Columns(
        block=np.array([blocks[row.bag, row.stamp] for row in rows], np.int64),
        present=np.array([each is True for each in present], bool),
        absent=np.array([each is False for each in present], bool),
        found=np.array([row.found for row in rows], bool),
        pointed=np.array([row.found and row.hit is True for row in rows], bool),
        switched=np.array(switched, bool),
        flipped=np.array(flipped, np.float64),
        step2=np.array(step2, np.float64),
        score=np.array([row.score for row in rows], np.float64),
        point=np.array([row.x is not None for row in rows], bool),
        values={name: np.array([_number(getattr(row, name)) for row in rows], np.float64) for name in MEASURED},
        first_hits=np.array(hits, np.float64),
        never_hit=never,
    )


def ordered(rows: Sequence[Row]) -> list[Row]:
    """By recording, query and stamp: the order in which rows came changes no number."""
    return sorted(rows, key=lambda row: (row.bag, row.query, row.stamp))


def number_blocks(rows: Sequence[Row]) -> dict[tuple[str, int], int]:
    """(recording, stamp) -> number of its block, 0 … K − 1: seconds since the recording's first image."""
    first: dict[str, int] = {}
    for row in rows:
        first[row.bag] = min(row.stamp, first.get(row.bag, row.stamp))
    images = sorted({(row.bag, row.stamp) for row in rows})
    numbers: dict[tuple[str, int], int] = {}
    return {
        (name, stamp): numbers.setdefault((name, (stamp - first[name]) // BLOCK), len(numbers))
        for name, stamp in images
    }


def _switches(rows: Sequence[Row]) -> Iterator[bool]:
    """Where a true thing is pointed at under another track than the last time: MOTA's identity switches.

    Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance: The CLEAR MOT Metrics" (2008).
    """
    last: dict[str, int] = {}
    for row in rows:
        known = row.found and row.thing is not None and row.id is not None
        yield known and last.get(row.thing or "", row.id) != row.id
        if known:
            last[row.thing or ""] = row.id or 0


def _step2(one: Row, two: Row) -> float:
    if one.dx_m is None or two.dx_m is None or (one.thing, one.id) != (two.thing, two.id):
        return math.nan
    before, after = (one.dx_m, one.dy_m, one.dz_m), (two.dx_m, two.dy_m, two.dz_m)
    return sum((_number(b) - _number(a)) ** 2 for a, b in zip(before, after, strict=True))


def _first_hit(rows: Sequence[Row], min_visible: float) -> tuple[float, bool]:
    """Seconds from the first image in view to the first hit, and whether there was one; without one to the last image
    in view. (NaN, True) for what is never in view."""
    stamps = [row.stamp for row in rows if row.present(min_visible)]
    hits = [row.stamp for row in rows if row.found and row.hit and row.stamp >= min(stamps, default=row.stamp)]
    if not stamps:
        return math.nan, True
    return (min(hits, default=max(stamps)) - stamps[0]) / 1e9, bool(hits)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)

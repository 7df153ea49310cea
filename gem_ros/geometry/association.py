"""Which of the things that were seen before is which of those seen now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from gem_ros.data import Target
from gem_ros.geometry.filter import Gaussian, Pixel, distance

# 0.99 quantiles of chi²: one true sighting in a hundred is refused.
GATE_POINT = 11.345  # 3 degrees of freedom
GATE_PIXEL = 9.210  # 2 degrees of freedom

# In gates. Mahalanobis distance favours what is uncertain, and what is out of view gets ever more uncertain: so it
# comes after whatever was just there.
OUT_OF_VIEW = 1.0
# A pair that does not match is a thing that went and another that came, each as unlikely as a sighting at its gate.
UNMATCHED = 2.0


@dataclass(eq=False)
class Thing:
    """The state of one track, changed in place; ``point`` (m) and ``image`` (px) are filtered, ``pixel`` is not.

    ``in_view``: the last image showed it; ``held``: the last image counted it as found.
    """

    id: int
    query: str
    query_index: int
    since: int
    seen: int
    hits: int
    score: float
    pixel: tuple[float, float]
    image: Pixel
    point: Gaussian | None
    in_view: bool = True
    held: bool = False


@dataclass(frozen=True, eq=False)
class Sighting:
    """One target of this image with what is known of its place, and the two thresholds of its query."""

    target: Target
    pixel: tuple[float, float]
    image: Pixel
    point: Gaussian | None
    enter: float
    leave: float

    def counts_for(self, thing: Thing | None) -> bool:
        """Whether the score suffices, for a thing that is held or for another, or a new one."""
        return self.target.score >= self.threshold(thing)

    def threshold(self, thing: Thing | None) -> float:
        """The score from which this is a sighting of ``thing`` (None: a new one)."""
        return self.leave if thing is not None and thing.held else self.enter


@dataclass(frozen=True)
class Reach:
    """By what a thing can be recognised now: by its place in 3D, by its pixel."""

    point: bool
    pixel: bool


def associate(things: Sequence[Thing], sightings: Sequence[Sighting], reach: Sequence[Reach]) -> dict[int, Thing]:
    """The thing of each sighting (by its index) that has one; each thing once, only within its query and gate.

    The pairs with the least sum of costs: squared Mahalanobis distance over its gate, in 3D where both sides
    have a place, in pixels otherwise. Queries share one matrix: pairs across them cost what no match costs, so
    they change nothing.
    """
    costs = {
        (row, column): gates + (0.0 if things[row].in_view else OUT_OF_VIEW)
        for (row, column), gates in _in_gates(things, sightings, reach).items()
        if gates <= 1
    }
    # A match at exactly both limits costs as much as none; it is none.
    return {column: things[row] for row, column in cheapest(costs) if costs[row, column] < UNMATCHED}


def cheapest(costs: dict[tuple[int, int], float]) -> Iterable[tuple[int, int]]:
    """Of the pairs (thing, sighting) those that cost least together, each thing and each sighting at most once."""
    rows, columns = ({pair[side] for pair in costs} for side in (0, 1))
    if len(rows) == len(costs) == len(columns):
        return costs  # nobody competes, as almost always
    from scipy.optimize import linear_sum_assignment  # here: it takes as long as all that the node starts with

    matrix = np.full((1 + max(rows), 1 + max(columns)), UNMATCHED)
    for pair, cost in costs.items():
        matrix[pair] = cost
    matched = zip(*map(np.ndarray.tolist, linear_sum_assignment(matrix)), strict=True)
    return [pair for pair in matched if pair in costs]


def _in_gates(
    things: Sequence[Thing], sightings: Sequence[Sighting], reach: Sequence[Reach]
) -> dict[tuple[int, int], float]:
    """Squared distance over its gate of each pair (thing, sighting) that can be compared."""
    of_query = defaultdict(list)
    for column, sighting in enumerate(sightings):
        of_query[sighting.target.query_index].append((column, sighting))
    found: dict[tuple[int, int], float] = {}
    for row, (thing, can) in enumerate(zip(things, reach, strict=True)):
        for column, sighting in of_query[thing.query_index]:
            if not sighting.counts_for(thing):
                continue  # too weak for this one: it must not take it from a stronger sighting
            if thing.point is not None and sighting.point is not None:
                if can.point:
                    found[row, column] = distance(thing.point, sighting.point) / GATE_POINT
            elif can.pixel:
                found[row, column] = thing.image.distance(sighting.image) / GATE_PIXEL
    return found

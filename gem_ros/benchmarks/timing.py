"""Wall and CPU time of pieces of work, taken in turns, so that a machine's moods hit all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LEAST, MOST = 5, 2000  # repeats, whatever the time
Work = Callable[[], object]
Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Times:
    """``wall`` and ``cpu`` (all threads of this process) of each repeat, (n,) s."""

    wall: npt.NDArray[np.float64]
    cpu: npt.NDArray[np.float64]

    def wall_ms(self, percentile: float) -> float:
        """A percentile of the wall time in ms."""
        return float(np.percentile(self.wall, percentile)) * 1e3

    @property
    def cpu_ms(self) -> float:
        """The median CPU time in ms."""
        return float(np.median(self.cpu)) * 1e3


def in_turns(
    works: Mapping[str, Work],
    seconds: float,
    *,
    finish: Work = lambda: None,
    progress: Progress = lambda share: None,
) -> dict[str, Times]:
    """Run every work in rounds for ``seconds``, at least five rounds; the times of each by its name.

    Every other round goes backwards. ``finish`` is part of each run: what waits for a GPU.
    """
    for work in works.values():  # warm up
        _timed(work, finish)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    start, rounds = time.monotonic(), 0
    while rounds < LEAST or (time.monotonic() - start < seconds and rounds < MOST):
        for name in list(works)[:: -1 if rounds % 2 else 1]:
            taken[name].append(_timed(works[name], finish))
        rounds += 1
        progress(min(1.0, max(rounds / MOST, (time.monotonic() - start) / seconds)))
    return {name: Times(*np.array(each).T) for name, each in taken.items()}


def ratio(slow: Times, fast: Times, *, cpu: bool) -> float:
    """How many times ``fast`` is faster: the median over the rounds of slow/fast, by CPU or by wall time."""
    pair = (slow.cpu, fast.cpu) if cpu else (slow.wall, fast.wall)
    return float(np.median(pair[0] / pair[1]))


def _timed(work: Work, finish: Work) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    finish()
    return time.perf_counter() - wall, time.process_time() - cpu

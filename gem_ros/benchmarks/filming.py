"""One film shown to one node: what every part that watches a running node has in common."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros import process
from gem_ros.benchmarks.live import SETTLE, Robot, latencies, node, per_second
from gem_ros.benchmarks.timing import Progress
from gem_ros.data import Observation


@dataclass(frozen=True, eq=False)
class Film:
    """``shown`` images; ``latency`` (n,) ms from each that was answered on all topics to the last of its answers.

    ``rate``: answers per s on the first topic; ``cpu``: the node's, % of one core; ``grown`` and ``peak``: MiB of its
    memory, that it took more meanwhile and held at most.
    """

    shown: int
    latency: npt.NDArray[np.float64]
    rate: float
    cpu: float
    grown: float
    peak: float


def film(
    scenes: Sequence[Observation],
    topics: Sequence[str],
    command: Sequence[str],
    parameters: Mapping[str, Any],
    *,
    log: Path,
    rate: float,
    seconds: float,
    progress: Progress = lambda share: None,
) -> Film:
    """Start the node that ``command`` names with ``parameters``, show it ``rate`` images per s for ``seconds``."""
    with Robot(scenes, topics) as robot, node(command, parameters, log, robot) as running:
        robot.film(rate, SETTLE)
        before = process.cpu_seconds(running.pid), process.memory(running.pid)
        stamps = robot.film(rate, seconds, progress)
        after = process.cpu_seconds(running.pid), process.memory(running.pid)
        return Film(
            shown=len(stamps),
            latency=latencies(robot, topics, stamps, running),
            rate=per_second(robot, topics[0], stamps),
            cpu=100 * (after[0] - before[0]) / seconds,
            grown=after[1] - before[1],
            peak=process.memory(running.pid, peak=True),
        )


def pooled(films: Sequence[Film]) -> Film:
    """As many films of one length as one: all their images, means of what the node used, and the highest peak."""
    return Film(
        shown=sum(each.shown for each in films),
        latency=np.concatenate([each.latency for each in films]),
        rate=statistics.fmean(each.rate for each in films),
        cpu=statistics.fmean(each.cpu for each in films),
        grown=statistics.fmean(each.grown for each in films),
        peak=max(each.peak for each in films),
    )

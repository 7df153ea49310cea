"""Part ``age``: how old results get when the camera is four times faster than the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gem_ros.benchmarks.filming import film
from gem_ros.benchmarks.live import STUB
from gem_ros.benchmarks.results import Measurement
from gem_ros.benchmarks.timing import Progress
from gem_ros.data import Observation

INFERENCE = 0.05  # s, of the stub
TOPICS = ("result",)
RATE = 4 / INFERENCE  # images per s


def measure(scenes: Sequence[Observation], logs: Path, seconds: float, progress: Progress) -> Iterator[Measurement]:
    """Age of a result: from its image's publication to its arrival, both in the camera's process."""
    slow = (*STUB, "--inference", str(INFERENCE))
    asked = {"model": "bundled", "queries": ["red ball"]}
    seen = film(scenes, TOPICS, slow, asked, log=logs / "age.log", rate=RATE, seconds=seconds, progress=progress)
    for percentile in (50, 95, 99, 100):
        name = "age.worst" if percentile == 100 else f"age.p{percentile}"
        what = f"age of results, a model of {1e3 * INFERENCE:g} ms, {RATE:g} images per second"
        yield Measurement(name, float(np.percentile(seen.latency, percentile)), "ms", "lower", what)
    yield Measurement("age.rate", seen.rate, "results/s", "higher", "results per second meanwhile")
    yield Measurement("age.memory", seen.grown, "MiB", "neither", f"by which the node's memory grew in {seconds:g} s")

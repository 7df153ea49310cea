"""Part ``ros``: message in, message out, with a model that takes no time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gem_ros import process
from gem_ros.benchmarks.live import SETTLE, STUB, Robot, latencies, node
from gem_ros.benchmarks.results import Measurement
from gem_ros.benchmarks.timing import Progress
from gem_ros.data import Observation

RATE = 30.0  # images per s
TOPICS = ("result", "target", "heatmap")


def measure(scenes: Sequence[Observation], logs: Path, seconds: float, progress: Progress) -> Iterator[Measurement]:
    """From a camera's process to the node's and back, at 30 images per second."""
    parameters = {"model": "bundled", "queries": ["red ball"]}
    with Robot(scenes, TOPICS) as robot, node(STUB, parameters, logs / "ros.log", robot) as stub:
        robot.film(RATE, SETTLE)
        before = process.cpu_seconds(stub.pid)
        stamps = robot.film(RATE, seconds, progress)
        used = process.cpu_seconds(stub.pid) - before
        taken = latencies(robot, TOPICS, stamps, stub)
    size = "x".join(map(str, scenes[0].image.shape[1::-1]))
    for percentile in (50, 95, 99):
        what = f"image in to target, result and heatmap out, {size}, between processes"
        yield Measurement(f"ros.overhead.p{percentile}", float(np.percentile(taken, percentile)), "ms", "lower", what)
    yield Measurement("ros.cpu", 100 * used / seconds, "%", "lower", f"of one core, at {RATE:g} images per second")
    answered = 100 * len(taken) / len(stamps)
    yield Measurement("ros.answered", answered, "%", "higher", "of the images, answered on all three topics")

"""Part ``ros``: message in, message out, with a model that takes no time; and a plain node of rclpy beside it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from gem_ros.benchmarks.filming import Film, film, pooled
from gem_ros.benchmarks.live import STUB
from gem_ros.benchmarks.results import Measurement
from gem_ros.benchmarks.timing import Progress
from gem_ros.data import Observation

RATE = 30.0  # images per s
PLAIN = ("-m", "gem_ros.benchmarks.plain")
TOPICS = ("result", "target", "heatmap")
TURNS = 3  # of the plain node and ours: where the system places the threads of one start changes a tenth


def measure(scenes: Sequence[Observation], logs: Path, seconds: float, progress: Progress) -> Iterator[Measurement]:
    """From a camera's process to the node's and back, at 30 images per second; ``seconds`` for each of the nodes."""
    nodes = {"plain": (PLAIN, {}), "ros": (STUB, {"model": "bundled", "queries": ["red ball"]})}
    films: dict[str, list[Film]] = {name: [] for name in nodes}
    for count, (turn, name) in enumerate(itertools.product(range(TURNS), nodes)):
        progress(count / (TURNS * len(nodes)))
        show = partial(film, scenes, TOPICS, *nodes[name], log=logs / f"{name}{turn}.log")
        films[name].append(show(rate=RATE, seconds=seconds / TURNS))
    plain, seen = pooled(films["plain"]), pooled(films["ros"])
    size = "x".join(map(str, scenes[0].image.shape[1::-1]))
    for percentile in (50, 95, 99):
        what = f"image in to target, result and heatmap out, {size}, between processes"
        taken = float(np.percentile(seen.latency, percentile))
        yield Measurement(f"ros.overhead.p{percentile}", taken, "ms", "lower", what)
    yield Measurement("ros.cpu", seen.cpu, "%", "lower", f"of one core, at {RATE:g} images per second")
    answered = 100 * len(seen.latency) / seen.shown
    yield Measurement("ros.answered", answered, "%", "higher", "of the images, answered on all three topics")
    what = "the same of a plain rclpy node whose answers are always the same"
    yield Measurement("ros.plain.p50", float(np.median(plain.latency)), "ms", "neither", what)
    yield Measurement("ros.plain.cpu", plain.cpu, "%", "neither", f"of one core, {what}")
    ratio = float(np.median(seen.latency) / np.median(plain.latency))
    yield Measurement("ros.ratio", ratio, "x", "lower", "the node's median, in times of the plain node's")
    what = "the node's share of a core, in times of the plain node's"
    yield Measurement("ros.ratio.cpu", seen.cpu / plain.cpu if plain.cpu else math.nan, "x", "lower", what)

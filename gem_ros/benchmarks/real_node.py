"""Parts ``node`` and ``startup``: the real node with the real model, from outside."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gem_ros import process
from gem_ros.benchmarks.live import PATIENCE, REAL, SETTLE, START_UP, Robot, command, latencies, node, per_second
from gem_ros.benchmarks.results import Measurement
from gem_ros.benchmarks.timing import Progress
from gem_ros.commands._live import running, wait_until
from gem_ros.data import Observation

RATE = 30.0  # images per s
STARTS = 3  # times that the node is started
POLL = 0.01  # s between looks at the graph


def measure(
    scenes: Sequence[Observation], parameters: Mapping[str, Any], logs: Path, seconds: float, progress: Progress
) -> Iterator[Measurement]:
    """Results per second, latency and memory with colour, depth and camera_info at 30 images per second."""
    with Robot(scenes, ("result", "target")) as robot, node(REAL, parameters, logs / "node.log", robot) as real:
        robot.film(RATE, SETTLE)
        before = process.cpu_seconds(real.pid)
        stamps = robot.film(RATE, seconds, progress)
        used = process.cpu_seconds(real.pid) - before
        taken = latencies(robot, ("result",), stamps, real)
        rate = per_second(robot, "result", stamps)
        peak = process.memory(real.pid, peak=True)
    size, asked = "x".join(map(str, scenes[0].image.shape[1::-1])), len(parameters["queries"])
    what = f"results per second, {asked} queries, {size} at {RATE:g} images per second with depth"
    yield Measurement("node.rate", rate, "results/s", "higher", what)
    for percentile in (50, 95):
        what = "image in to result out, its target before it, between processes"
        yield Measurement(f"node.latency.p{percentile}", float(np.percentile(taken, percentile)), "ms", "lower", what)
    yield Measurement("node.cpu", 100 * used / seconds, "%", "neither", "of one core")
    yield Measurement("node.memory", peak, "MiB", "lower", "most memory of the node's process")


def measure_start(
    scenes: Sequence[Observation], parameters: Mapping[str, Any], logs: Path, progress: Progress
) -> Iterator[Measurement]:
    """From the start of the process until it is seen, until it is active, until it answers; medians."""
    taken = []
    for number in range(STARTS):
        progress(number / STARTS)
        taken.append(_start(scenes, parameters, logs / f"start{number}.log"))
    seen, active, first, cpu = np.median(taken, axis=0)
    yield Measurement("startup.graph", seen, "s", "lower", "start of the process to the node in the graph")
    yield Measurement("startup.active", active, "s", "lower", "start to active, its model loaded and warmed up")
    yield Measurement("startup.first_result", first, "s", "lower", "start to the first result")
    yield Measurement("startup.cpu", cpu, "s", "lower", "CPU time of the process until then")


def _start(scenes: Sequence[Observation], parameters: Mapping[str, Any], log: Path) -> tuple[float, ...]:
    """(seen, active, first result, CPU time) of one start, s."""
    with Robot(scenes, ("result",)) as robot:
        start = time.time_ns()
        with running("grounding_node", command(REAL, parameters), log) as real:
            wait_until(robot.sees_node, PATIENCE, real, "it to appear in the graph", poll=POLL)
            graph = time.time_ns()
            robot.await_node(real, poll=POLL)
            answers = robot.heard["result"]

            def answered() -> bool:
                robot.show()
                return bool(answers)

            wait_until(answered, START_UP, real, "a first result", poll=1 / RATE)
            cpu = process.cpu_seconds(real.pid)
            seen, active, first = ((each - start) / 1e9 for each in (graph, robot.active, min(answers.values())))
            return seen, active, first, cpu

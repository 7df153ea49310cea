"""Parts ``node`` and ``startup``: the real node with the real model, from outside."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gem_ros import process
from gem_ros.benchmarks.filming import film
from gem_ros.benchmarks.live import PATIENCE, REAL, START_UP, Robot, command
from gem_ros.benchmarks.results import Measurement
from gem_ros.benchmarks.timing import Progress
from gem_ros.commands._live import running, wait_until
from gem_ros.data import Observation
from gem_ros.errors import GemError
from gem_ros.models import BUNDLED
from gem_ros.resources import resource

RATE = 30.0  # images per s
STARTS = 3  # times that the node is started
POLL = 0.01  # s between looks at the graph
IMPORTS = (sys.executable, "-c", "import torch, open_clip, rclpy")


def measure(
    scenes: Sequence[Observation], parameters: Mapping[str, Any], logs: Path, seconds: float, progress: Progress
) -> Iterator[Measurement]:
    """Results per second, latency and memory with colour, depth and camera_info at 30 images per second.

    The bundled model is watched a second time as the demo runs it: that is what its promise is about.
    """
    show = partial(film, scenes, ("result", "target"), rate=RATE, seconds=seconds)
    seen = show(REAL, parameters, log=logs / "node.log", progress=lambda share: progress(share / 2))
    size, asked = "x".join(map(str, scenes[0].image.shape[1::-1])), len(parameters["queries"])
    camera = f"{size} at {RATE:g} images per second with depth"
    yield Measurement("node.rate", seen.rate, "results/s", "higher", f"results per second, {asked} queries, {camera}")
    for percentile in (50, 95):
        what = "image in to result out, its target before it, between processes"
        taken = float(np.percentile(seen.latency, percentile))
        yield Measurement(f"node.latency.p{percentile}", taken, "ms", "lower", what)
    yield Measurement("node.cpu", seen.cpu, "%", "neither", "of one core")
    yield Measurement("node.memory", seen.peak, "MiB", "lower", "most memory of the node's process")
    if parameters["model"] == BUNDLED:
        demo = (*REAL, "--ros-args", "--params-file", str(resource("config/demo.yaml")))
        device = {"device": parameters["device"]}
        seen = show(demo, device, log=logs / "demo.log", progress=lambda share: progress((1 + share) / 2))
        what = f"results per second with config/demo.yaml, one query, {camera}"
        yield Measurement("node.demo.rate", seen.rate, "results/s", "higher", what)


def measure_start(
    scenes: Sequence[Observation], parameters: Mapping[str, Any], logs: Path, progress: Progress
) -> Iterator[Measurement]:
    """From the start of the process until it is seen, until it is active, until it answers; medians."""
    taken = []
    for number in range(STARTS):
        progress(number / STARTS)
        imports = _imports()  # in turns with the node, so that what else runs hits both alike
        seen, active, first, cpu = _start(scenes, parameters, logs / f"start{number}.log")
        taken.append((seen, active, first, cpu, imports, first - imports))
    seen, active, first, cpu, imports, after = np.median(taken, axis=0)
    yield Measurement("startup.graph", seen, "s", "lower", "start of the process to the node in the graph")
    yield Measurement("startup.active", active, "s", "lower", "start to active, its model loaded and warmed up")
    yield Measurement("startup.first_result", first, "s", "lower", "start to the first result")
    what = "start of a process that only imports torch, open_clip and rclpy, to its end"
    yield Measurement("startup.imports", imports, "s", "neither", what)
    yield Measurement("startup.after_imports", after, "s", "lower", "start to the first result, less the imports")
    yield Measurement("startup.cpu", cpu, "s", "lower", "CPU time of the process until then")


def _imports() -> float:
    """What Python takes to load, and to leave again, what every such node needs, s."""
    start = time.monotonic()
    try:
        subprocess.run(IMPORTS, check=True, timeout=START_UP, capture_output=True)
    except subprocess.SubprocessError as error:
        raise GemError(f"startup: expected torch, open_clip and rclpy to be importable, got: {error}") from error
    return time.monotonic() - start


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

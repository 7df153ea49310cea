"""Evaluation of the real node: the recording played into it over DDS, its own answers held against the truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gem_ros.commands._session import Say, interruptible, open_session, perform, use_own_network
from gem_ros.config import Config, parameters, value_of
from gem_ros.queries import format_query
from gem_ros.replay import bag
from gem_ros.replay.evaluate import Evaluated, Task, describe, inputs_hash, prepare
from gem_ros.replay.observations import read_observations
from gem_ros.replay.scoring import aligned, best_answers, row
from gem_ros.replay.session import Pass, timing

if TYPE_CHECKING:
    from gem_ros.replay.engine import Job
    from gem_ros.replay.settings import Settings

OWN = ("queries", "target_frame", "pose_source", "image_transport", "depth_transport")  # the session sets them


def evaluate_live(job: Job, settings: Settings, logs: Path, say: Say) -> tuple[Evaluated, Pass]:
    """Rows of the node's own answers, and what was heard; ``logs`` is a folder for what the processes say."""
    task = prepare(job.path, settings)
    params = logs / "node.yaml"
    params.write_text(parameter_file(task.config, len(task.queries)), encoding="utf-8")
    images = sum(1 for _ in bag.messages(job.path, {task.topics.image}, task.note))
    session = open_session(
        job.path, task.topics, params=params, logs=logs, rate=settings.rate, images=images, clock=True, overlays=False
    )
    use_own_network()
    with interruptible():
        heard = perform(session, [(job.name, tuple(map(format_query, task.queries)))], say)[0]
    return _scored(job, settings, task, heard), heard


def parameter_file(config: Config, queries: int) -> str:
    """``config`` for the node, with room for so many queries; JSON is YAML."""
    values = {
        each.name: value_of(config, each.name)
        for each in parameters()
        if each.name not in OWN and value_of(config, each.name) != each.default
    }
    values["max_queries"] = max(config.max_queries, queries)
    listed = {name: list(each) if isinstance(each, tuple) else each for name, each in values.items()}
    return json.dumps({"/**": {"ros__parameters": listed}}, indent=1) + "\n"


def _scored(job: Job, settings: Settings, task: Task, heard: Pass) -> Evaluated:
    answers = {result["stamp"]: best_answers(result) for _, result in heard.answered()}
    rows, stamps = [], []
    for observation in map(
        aligned, read_observations(task.path, task.topics, task.config.sync_slop, problems=task.note)
    ):
        if observation.stamp in answers:
            mine = answers.pop(observation.stamp)
            rows += [row(job.name, answer, observation, task.truth, absent=task.absent) for answer in mine]
            stamps.append(observation.stamp)
    return Evaluated(describe(task, job.name, job.sha256 or inputs_hash(job.path, settings), stamps), rows)


def live_timing(passes: Sequence[Pass]) -> tuple[dict[str, float], list[float]]:
    """How timely the answers were and what the node used, by documented names; and every latency in ms."""
    latencies = [latency for each in passes for latency in each.latencies()]
    timed = timing(passes)
    p50, p95, p99 = np.percentile(latencies, (50, 95, 99)).tolist()
    used: dict[str, list[float]] = {}
    for each in passes:
        for name, value in each.usage.items():
            used.setdefault(name, []).append(value)
    return {
        **{"latency_p50_ms": p50, "latency_p95_ms": p95, "latency_p99_ms": p99},
        **{"drop_rate": 1 - timed.answers / timed.images, "results_per_s": timed.rate},
        **{name: max(values) for name, values in used.items()},
    }, latencies

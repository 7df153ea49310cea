"""One run of the bench: every part that was asked for, on the same model and the same machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from functools import partial
from itertools import islice
from pathlib import Path

from gem_ros.benchmarks import machine, overhead, overload, real_node, subject
from gem_ros.benchmarks.plan import Plan
from gem_ros.benchmarks.results import Measurement, Results
from gem_ros.benchmarks.timing import Progress
from gem_ros.config import Config, replace
from gem_ros.data import Observation
from gem_ros.models import BUNDLED, default_config
from gem_ros.process import keep_freed_memory

Say = Callable[[str, float], None]


def perform(plan: Plan, say: Say) -> Results:
    """Measure; :class:`~gem_ros.errors.GemError` where something of it cannot run here."""
    load, hardware = os.getloadavg()[0], machine.hardware()
    notes = list(machine.load_note(load, int(hardware["cores"])))
    settings = _settings(plan)
    if subject.is_random(plan.model, plan.pretrained):
        notes.append("random weights: the speed is that of real ones, what is found means nothing")
    say("reading the sample recording", 0.0)
    scenes = subject.scenes()
    with subject.weights(plan.model, plan.pretrained) as weights:
        config = replace(default_config(plan.model), plan.values | {"pretrained": weights})
        measurements = _from_outside(plan, config, scenes, say)
        if {"model", "queries"} & set(plan.parts):
            measurements += _inside(plan, config, scenes, settings=settings, notes=notes, say=say)
        if settings.get("compile", "").startswith("eager"):
            notes.append(f"the model ran {settings['compile']}")
    return Results(
        date=datetime.now(timezone.utc).date().isoformat(),
        revision=machine.revision(),
        hardware=hardware,
        versions=machine.versions(),
        settings=settings,
        notes=notes,
        measurements=measurements,
    )


def _settings(plan: Plan) -> dict[str, str]:
    from gem_ros.core.runtime import select_device

    return {
        "model": plan.model,
        "pretrained": "unused" if plan.model == BUNDLED else plan.pretrained,
        "device": str(select_device(plan.values["device"])),
        "precision": plan.values["precision"],
        "image_size": str(plan.values["image_size"] or "the model's size"),
        "queries": str(plan.queries),
        **{name: value for name, value in plan.values.items() if name == "method" and value != "gem"},
        "seconds": f"{plan.seconds:g}",
    }


def _from_outside(plan: Plan, config: Config, scenes: Sequence[Observation], say: Say) -> list[Measurement]:
    """The parts that start a node; its logs stay behind where that fails."""
    if not set(plan.parts) & {"ros", "age", "node", "startup"}:
        return []
    logs = Path(tempfile.mkdtemp(prefix="gem_ros_bench_"))
    parameters = {name: getattr(config, name) for name in ("model", "pretrained", "device", "precision", "image_size")}
    texts = list(islice(subject.texts(), plan.queries))
    if subject.is_random(plan.model, plan.pretrained):  # the first is found, the others are not
        texts = [f"{text}:{1.0 if index else 0.0}" for index, text in enumerate(texts)]
    parameters |= {"queries": texts, "max_queries": max(16, plan.queries)}
    measures: dict[str, tuple[str, Callable[[Progress], Iterator[Measurement]]]] = {
        "ros": ("what ROS costs", partial(overhead.measure, scenes, logs, plan.seconds)),
        "age": ("a camera that is too fast", partial(overload.measure, scenes, logs, plan.seconds)),
        "node": ("the whole node", partial(real_node.measure, scenes, parameters, logs, plan.seconds)),
        "startup": ("starting the node", partial(real_node.measure_start, scenes, parameters, logs)),
    }
    found = [
        each
        for name, (title, measure) in measures.items()
        if name in plan.parts
        for each in measure(partial(say, title))
    ]
    shutil.rmtree(logs)
    return found


def _inside(
    plan: Plan,
    config: Config,
    scenes: Sequence[Observation],
    *,
    settings: dict[str, str],
    notes: list[str],
    say: Say,
) -> list[Measurement]:
    """The parts that use the model as a library; what was chosen for this machine goes into ``settings``, what could
    not be measured into ``notes``."""
    from gem_ros.benchmarks import grounding, inference
    from gem_ros.pipeline import Grounder

    keep_freed_memory()  # as the node does
    say("loading the model", 0.0)
    grounder = Grounder.load(config=config)
    found: list[Measurement] = []
    batches = plan.batches or ((1, 8, 32) if grounder.device.type == "cuda" else (1, 4))
    if "model" in plan.parts:
        images, texts = [each.image for each in scenes], list(islice(subject.texts(), plan.queries))
        progress = partial(say, "the model beside the published one")
        found += inference.measure(grounder, images, texts, batches, plan.seconds, progress=progress, note=notes.append)
    if "queries" in plan.parts:
        say("queries", 0.0)
        found += grounding.measure(grounder, scenes[0], plan.queries, plan.seconds, partial(say, "queries"))
    settings |= {"image_size": str(grounder.image_size(grounder.config)), **grounder.status}
    return found

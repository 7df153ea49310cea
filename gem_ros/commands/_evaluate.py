"""From recordings to an evaluation: which are made anew, by whom, and how far that is."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gem_ros.errors import BagError, GemError, ModelError
from gem_ros.replay import annotate, engine, store
from gem_ros.replay.engine import Job, Outcome
from gem_ros.replay.evaluate import Evaluated, inputs_hash
from gem_ros.replay.evaluation import Evaluation, Input
from gem_ros.replay.settings import Settings, versions
from gem_ros.replay.summary import summarise

if TYPE_CHECKING:
    from gem_ros.replay.session import Pass

ANNOTATED = "annotated"
MARKS = ("", "+annotated", "+video")  # of a key: what was made beside the rows, each with what stands before it
Progress = Callable[[int, int, float], None]  # number of the recording, images and share of it done


@dataclass(eq=False)
class Results:
    """What came of the recordings: rows, those that could not be evaluated and why, and in live mode what was heard."""

    evaluated: dict[int, Evaluated] = field(default_factory=dict)
    failed: dict[int, tuple[Job, GemError]] = field(default_factory=dict)
    heard: list[Pass] = field(default_factory=list)
    seconds: float = 0.0


def evaluate(args: argparse.Namespace, settings: Settings, jobs: Sequence[Job]) -> Results:
    """Rows of every recording; those that ``--report`` has already are not made again."""
    begin, results = time.monotonic(), Results()
    with progress(len(jobs)) as tell:
        for job, outcome in _outcomes(args, settings, jobs, results, tell):
            if isinstance(outcome, ModelError):
                raise outcome  # it is the same for all recordings
            if isinstance(outcome, GemError):
                results.failed[job.index] = job, outcome
            else:
                results.evaluated[job.index] = outcome
            tell(job.index, 0, 1.0)
    results.seconds = time.monotonic() - begin
    return results


def _outcomes(
    args: argparse.Namespace, settings: Settings, jobs: Sequence[Job], results: Results, tell: Progress
) -> Iterator[tuple[Job, Outcome]]:
    if settings.mode == "live":
        yield from _live(args, settings, jobs, results, tell)
        return
    left, keys = list(jobs), {}
    if args.report:
        left = []
        for job, key in _keyed(settings, jobs):
            done = _finished(args, job, key)
            if done is None:
                left.append(job)
                keys[job.index] = key + MARKS[_wanted(args)]
            else:
                yield job, done
    work = engine.evaluate_job
    if _wanted(args):
        work = partial(annotate.evaluate_annotated, folder=args.report / ANNOTATED, video=args.video)
    for job, outcome in engine.run(
        left, settings, workers=args.workers, engine=args.engine, progress=tell, evaluate=work
    ):
        if args.report and not isinstance(outcome, GemError):
            store.save_rows(args.report, keys[job.index], outcome)
        yield job, outcome


def _wanted(args: argparse.Namespace) -> int:
    """Which of :data:`MARKS` the rows of a recording must have at least."""
    return 2 if args.video else int(args.annotate)


def _finished(args: argparse.Namespace, job: Job, key: str) -> Evaluated | None:
    """The rows that there are already, with everything that is wanted beside them."""
    wanted = _wanted(args)
    if wanted and not annotate.annotated_path(args.report / ANNOTATED, job).is_dir():
        return None
    found = (store.load_rows(args.report, job.name, key + mark) for mark in MARKS[wanted:])
    return next((each for each in found if each is not None), None)


def _keyed(settings: Settings, jobs: Sequence[Job]) -> Iterator[tuple[Job, str]]:
    """Each job with its hash, and the key of its rows."""
    for job in jobs:
        sha256 = inputs_hash(job.path, settings)
        yield dataclasses.replace(job, sha256=sha256), settings.key(sha256)


def _live(
    args: argparse.Namespace, settings: Settings, jobs: Sequence[Job], results: Results, tell: Progress
) -> Iterator[tuple[Job, Outcome]]:
    from gem_ros.commands._evaluate_live import evaluate_live

    with tempfile.TemporaryDirectory() as temporary:
        logs = args.report or Path(temporary)
        for job in jobs:
            try:
                done, heard = evaluate_live(job, settings, logs, partial(_tell_share, tell, job))
            except BagError as error:
                yield job, error
                continue
            results.heard.append(heard)
            if args.report:
                store.save_rows(args.report, "live", done)
            yield job, done


def summed_up(settings: Settings, jobs: Sequence[Job], results: Results) -> Evaluation:
    """All numbers; recordings that could not be evaluated are listed with the reason."""
    images = sum(each.input.images for each in results.evaluated.values())
    timing: dict[str, float] = {"seconds": results.seconds, "images_per_s": images / max(results.seconds, 1e-9)}
    latencies: list[float] = []
    if results.heard:
        from gem_ros.commands._evaluate_live import live_timing

        timing, latencies = live_timing(results.heard)
    return summarise(
        [row for _, each in sorted(results.evaluated.items()) for row in each.rows],
        [
            results.evaluated[job.index].input
            if job.index in results.evaluated
            else Input(job.name, str(job.path), "", problems=(str(results.failed[job.index][1]),))
            for job in jobs
        ],
        min_visible=settings.min_visible,
        seed=settings.seed,
        settings=settings.values(),
        versions=versions(),
        timing=timing,
        latencies_ms=latencies,
    )


def _tell_share(tell: Progress, job: Job, what: str, share: float) -> None:
    tell(job.index, 0, share)


@contextmanager
def progress(recordings: int) -> Iterator[Progress]:
    """A bar over all recordings, with rate and the time left, on the terminal's error stream."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    begin = time.monotonic()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("evaluating", total=recordings)
        images: dict[int, int] = {}
        shares: dict[int, float] = {}

        def tell(index: int, done: int, share: float) -> None:
            images[index] = max(images.get(index, 0), done)
            shares[index] = share
            total = sum(images.values())
            rate = f", {total} images, {total / (time.monotonic() - begin):.1f} per second" if total else ""
            finished = sum(each >= 1 for each in shares.values())
            bar.update(
                task,
                completed=sum(shares.values()),
                description=f"{finished} of {recordings} recordings{rate}",
            )

        yield tell

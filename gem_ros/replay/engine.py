"""Many recordings at once: worker processes here, or a Ray cluster, running the same function."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from gem_ros.errors import GemError

if TYPE_CHECKING:  # a worker loads torch once it knows that it has one thread
    from gem_ros.replay.evaluate import Evaluated
    from gem_ros.replay.settings import Settings

ENGINES = ("local", "ray")
ATTEMPTS = 3  # of a recording whose worker dies
POLL = 0.5  # s between two looks at how far the workers are
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
Outcome: TypeAlias = "Evaluated | GemError"
Progress = Callable[[int, int, float], None]  # number of the job, images done, share of the recording done

_counters: Any = None  # in a worker: images and share done of each job, shared with the process that started it


def jobs_of(paths: Sequence[Path]) -> list[Job]:
    """A job for each recording, called by as much of its path as tells it from the others."""
    resolved = [path.resolve() for path in paths]

    def called(path: Path) -> str:
        for count in range(1, len(path.parts)):
            name = "_".join(path.parts[-count:])
            if sum("_".join(other.parts[-count:]) == name for other in resolved) == 1:
                return name
        return "_".join(path.parts[1:])

    return [Job(index, path, called(path)) for index, path in enumerate(resolved)]


@dataclass(frozen=True)
class Job:
    """A recording to evaluate: its number, where it lies, what it is called, and its hash where it is known."""

    index: int
    path: Path
    name: str
    sha256: str = ""


def evaluate_job(job: Job, settings: Settings, progress: Callable[[int, float], None]) -> Evaluated:
    """What a worker does."""
    from gem_ros.replay.evaluate import evaluate_bag

    return evaluate_bag(job.path, settings, job.name, sha256=job.sha256, progress=progress)


Evaluate: TypeAlias = "Callable[[Job, Settings, Callable[[int, float], None]], Evaluated]"


def run(
    jobs: Sequence[Job],
    settings: Settings,
    *,
    workers: int,
    engine: str,
    progress: Progress,
    evaluate: Evaluate = evaluate_job,
) -> Iterator[tuple[Job, Outcome]]:
    """Each job with its rows, or why there are none, as they are done.

    A single worker is this process. Others have one torch thread each; a recording whose worker dies is given to
    another one.
    """
    if engine == "ray":
        yield from _on_ray(jobs, settings, workers, evaluate)
    elif workers == 1 or len(jobs) < 2:
        for job in jobs:
            yield job, _outcome(evaluate, job, settings, partial(progress, job.index))
    else:
        submit = partial(_work, evaluate, settings=settings)
        yield from _in_processes(jobs, submit, min(workers, len(jobs)), progress)


def _outcome(evaluate: Evaluate, job: Job, settings: Settings, progress: Callable[[int, float], None]) -> Outcome:
    try:
        return evaluate(job, settings, progress)
    except GemError as error:
        return error


def _in_processes(
    jobs: Sequence[Job], work: Callable[[Job], Outcome], workers: int, progress: Progress
) -> Iterator[tuple[Job, Outcome]]:
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    counters = context.Array("d", 2 * (max(job.index for job in jobs) + 1), lock=False)
    attempts: dict[int, int] = {}
    left = {job.index: job for job in jobs}
    while left:
        counters[:] = [-1] * len(counters)  # not begun
        suspect = next((job for job in left.values() if job.index in attempts), None)  # alone: others are not to blame
        chosen = list(left.values()) if suspect is None else [suspect]
        count = min(workers, len(chosen))
        pool = ProcessPoolExecutor(count, mp_context=context, initializer=_start_worker, initargs=(counters,))
        try:
            futures = {pool.submit(work, job): job for job in chosen}
            for job, outcome in _collected(futures, counters, progress):
                del left[job.index]
                yield job, outcome
        except BrokenProcessPool:
            for job in [job for job in left.values() if counters[2 * job.index] >= 0]:
                attempts[job.index] = attempts.get(job.index, 0) + 1
                if attempts[job.index] == ATTEMPTS:
                    yield left.pop(job.index), _died(job)
        finally:
            for process in multiprocessing.active_children():
                process.terminate()
            pool.shutdown(cancel_futures=True)


def _collected(futures: dict[Future[Outcome], Job], counters: Any, progress: Progress) -> Iterator[tuple[Job, Outcome]]:
    """What is done, as it is; raises :class:`BrokenProcessPool` once all that was done has been handed on."""
    broken: BrokenProcessPool | None = None
    while futures:
        done, _ = wait(futures, POLL, FIRST_COMPLETED)
        for job in futures.values():
            images, share = counters[2 * job.index : 2 * job.index + 2]
            if images > 0:
                progress(job.index, int(images), share)
        for future in done:
            job = futures.pop(future)
            try:
                yield job, future.result()
            except BrokenProcessPool as error:
                broken = error
    if broken:
        raise broken


def _start_worker(counters: Any) -> None:
    global _counters  # noqa: PLW0603  # what a pool's initializer is for
    _counters = counters
    os.environ.update(ONE_THREAD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one


def _work(evaluate: Evaluate, job: Job, settings: Settings) -> Outcome:
    def progress(images: int, share: float) -> None:
        _counters[2 * job.index : 2 * job.index + 2] = images, share

    progress(0, 0.0)
    return _outcome(evaluate, job, settings, progress)


def _died(job: Job) -> GemError:
    return GemError(f"{job.path}: its worker died {ATTEMPTS} times; is memory short? try fewer --workers")


def _on_ray(jobs: Sequence[Job], settings: Settings, workers: int, evaluate: Evaluate) -> Iterator[tuple[Job, Outcome]]:
    """On the cluster of ``RAY_ADDRESS``, whose machines see the recordings under the same paths; else on one here."""
    try:
        import ray
    except ImportError as error:
        raise GemError("--engine ray: expected ray, which is not installed; pip install 'gem_ros[ray]'") from error
    here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
    ray.init(ignore_reinit_error=True, log_to_driver=False, logging_level="error", **here)
    try:
        remote = ray.remote(num_cpus=1, max_retries=ATTEMPTS - 1)(_on_ray_worker)
        waiting = {remote.remote(evaluate, job, settings): job for job in jobs}
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(done[0])
            try:
                yield job, ray.get(done[0])
            except ray.exceptions.WorkerCrashedError:
                yield job, _died(job)
    finally:
        ray.shutdown()


def _on_ray_worker(evaluate: Evaluate, job: Job, settings: Settings) -> Outcome:
    os.environ.update(ONE_THREAD)
    return _outcome(evaluate, job, settings, lambda images, share: None)

"""Many recordings at once: every one is done once, whatever happens to a worker."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from gem_ros.errors import BagError
from gem_ros.replay.engine import Job, jobs_of, run


def number(job, settings, progress):
    """Stands for the evaluation of a recording."""
    progress(1, 1.0)
    return job.index, os.environ.get("OMP_NUM_THREADS"), os.getpid()


def die_once(job, settings, progress):
    """The worker of the first recording is killed in the middle of it, once; ``settings`` is a folder for marks."""
    progress(1, 0.5)
    mark = Path(settings) / "died"
    if job.index == 0 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number(job, settings, progress)


def poison(job, settings, progress):
    """The first recording kills every worker that touches it; the second takes as long as that takes."""
    progress(1, 0.5)
    if job.index == 0:
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.3)
    return number(job, settings, progress)


def refuse(job, settings, progress):
    raise BagError(f"{job.name}: expected a recording")


def outcomes(evaluate, count, workers=2, settings=None, engine="local"):
    jobs = [Job(index, Path(f"/bag{index}"), f"bag{index}") for index in range(count)]
    heard = []
    found = run(
        jobs, settings, workers=workers, engine=engine, progress=lambda *each: heard.append(each), evaluate=evaluate
    )
    return {job.index: outcome for job, outcome in found}, heard


def test_one_worker_is_this_process():
    found, heard = outcomes(number, 2, workers=1)
    assert {each[2] for each in found.values()} == {os.getpid()} and heard == [(0, 1, 1.0), (1, 1, 1.0)]


def test_a_worker_killed_in_the_middle_loses_nothing(tmp_path):
    found, _ = outcomes(die_once, 4, settings=tmp_path)
    assert {index: each[:2] for index, each in found.items()} == {index: (index, "1") for index in range(4)}
    assert os.getpid() not in {each[2] for each in found.values()}


def test_a_recording_that_kills_its_workers_is_said_and_takes_no_other_with_it():
    found, _ = outcomes(poison, 3)
    assert "died 3 times" in str(found[0]) and [found[index][0] for index in (1, 2)] == [1, 2]


def test_a_recording_that_cannot_be_read_does_not_stop_the_others():
    found, _ = outcomes(refuse, 2)
    assert [str(found[index]) for index in (0, 1)] == [f"bag{index}: expected a recording" for index in (0, 1)]


def test_recordings_have_names_of_their_own():
    names = [job.name for job in jobs_of([Path("/a/run/bag"), Path("/b/run/bag"), Path("/b/other.mcap")])]
    assert names == ["a_run_bag", "b_run_bag", "other.mcap"]


@pytest.mark.slow
def test_ray_gives_the_same(monkeypatch):
    pytest.importorskip("ray", reason="needs gem_ros[ray]")
    known = [str(Path(__file__).parent), *sys.path]  # for its workers, as a cluster's machines have gem_ros installed
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(known))
    found, _ = outcomes(number, 3, engine="ray")
    assert {index: each[:2] for index, each in found.items()} == {index: (index, "1") for index in range(3)}

"""A soak's judgement on made-up runs: what grows or stops is found, what only moves is not."""

import dataclasses
import itertools

import numpy as np
import pytest

from gem_ros.benchmarks import soak, steadiness, subject
from gem_ros.benchmarks.steadiness import Sample, growth, judge
from gem_ros.errors import GemError


def run(minutes=40, slope=0.0, seed=0, **changed):
    """A sample every six seconds: 20 MB of settling in the first ten minutes, noise, ``slope`` MB/h; ``changed`` are
    functions of the minute."""
    random, times = np.random.default_rng(seed), np.arange(0.1, minutes, 0.1)
    steady = Sample(0.0, 0.0, 0.0, 600.0, 26, 23, 35.0, 3.0, 200.0, 400.0)
    memory = [1000 + 2 * min(each, 10) + slope * each / 60 + random.exponential(0.1) for each in times]
    return [
        dataclasses.replace(
            steady,
            minute=float(minute),
            rss_mb=mb + 20,
            least_mb=mb,
            **{name: of(minute) for name, of in changed.items()},
        )
        for minute, mb in zip(times, memory, strict=True)
    ]


def test_a_node_that_stays_as_it_is_is_steady():
    verdict = judge(run(), warm_up=10)
    assert verdict.steady and abs(verdict.slope) < 0.4 and verdict.low < 0 < verdict.high
    assert verdict.text.endswith("over 30 min after 10 min, 1020 MB, 26 threads, 23 files: steady")


@pytest.mark.parametrize("slope", [1.5, 20.0, 500.0])
def test_memory_that_grows_is_found(slope):
    verdict = judge(run(slope=slope), warm_up=10)
    assert verdict.slope == pytest.approx(slope, rel=0.01, abs=0.4) and verdict.low > 0
    assert [each.startswith("memory grows by") for each in verdict.problems] == [True]


def test_half_the_limit_is_no_problem():
    assert judge(run(slope=0.5), warm_up=10).steady


def test_a_moment_of_much_memory_decides_nothing():
    samples = run()
    for index in range(200, 206):
        samples[index] = dataclasses.replace(samples[index], rss_mb=3000.0, least_mb=2900.0)
    assert judge(samples, warm_up=10).steady


def test_nor_do_moments_that_become_more():
    samples = run()
    for index in range(220, len(samples), 10):  # one in a minute
        samples[index] = dataclasses.replace(samples[index], least_mb=1100.0)
    assert judge(samples, warm_up=10).steady


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"threads": lambda minute: 26 + int(minute > 20)}, "threads grow from 26 to 27"),
        ({"files": lambda minute: 23 + int(minute)}, "files grow from 38 to 58"),
        ({"results_hz": lambda minute: 3.0 * (minute < 25)}, "results per second fall from 3.0 to 0.0"),
        ({"results_hz": lambda minute: 0.0}, "results per second fall from 0.0 to 0.0"),
    ],
)
def test_what_else_grows_or_stops_is_found(changed, says):
    verdict = judge(run(**changed), warm_up=10)
    assert verdict.problems == (says,) and says in verdict.text


def test_a_machine_that_is_busy_for_a_while_is_no_problem():
    slow = {"results_hz": lambda minute: 2.0 if minute > 30 else 3.0, "threads": lambda minute: 26 - int(minute > 20)}
    assert judge(run(**slow), warm_up=10).steady


def test_a_short_run_is_refused():
    with pytest.raises(GemError, match="expected at least 9 samples after the warm-up, got 4"):
        judge(run(minutes=1.5), warm_up=1)


def test_slopes_interval_holds_the_truth_most_of_the_time():
    found = [growth(run(slope=2.0, seed=seed)[100:]) for seed in range(40)]
    assert sum(low <= 2.0 <= high for _, low, high in found) >= 34


def test_numbers_and_picture_are_written(tmp_path):
    samples, path = run(minutes=15), tmp_path / "new" / "soak.csv"
    samples[3] = dataclasses.replace(samples[3], latency_p50_ms=float("nan"))
    steadiness.write_csv(samples, path, "2026-01-01, a machine")
    assert path.read_text().startswith("# 2026-01-01, a machine\nminute,rss_mb,least_mb,anonymous_mb,threads,files,")
    back = steadiness.read_csv(path)
    assert len(back) == len(samples) and np.isnan(back[3].latency_p50_ms)
    assert back[9].rss_mb == pytest.approx(samples[9].rss_mb, rel=1e-4) and back[9].threads == 26
    steadiness.write_plot(samples, judge(samples, 5), path.with_suffix(".png"), "2026-01-01")
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    for write in (
        lambda: steadiness.write_csv(samples, path / "below", ""),
        lambda: steadiness.write_plot(samples, judge(samples, 5), path / "below", ""),
    ):
        with pytest.raises(GemError, match="expected a writable file"):
            write()


def test_questions_change_and_fill_the_nodes_memory_of_texts_while_it_warms_up():
    asked = list(itertools.islice(soak.questions(), int(soak.WARM_UP * 60 / soak.EVERY)))
    texts = [text.partition(":")[0] for each in asked for text in each.split("; ")]
    assert len(set(texts)) == soak.TEXTS > 1024 and all(one != two for one, two in itertools.pairwise(asked))
    assert max(len(each.split("; ")) for each in asked) == soak.AT_A_TIME


class Ears:
    def __init__(self):
        self.sent = {1: 6, 2: 7, 3: 8}
        self.heard = {"result": {1: 1_000_006, 3: 4_000_008}, "overlay": {1: 5}}


def test_what_was_counted_is_forgotten():
    ears = Ears()
    assert soak._latencies(ears, [1, 2]) == ((pytest.approx(1.0), pytest.approx(1.0)), 0.5)
    assert ears.sent == {3: 8} and ears.heard == {"result": {3: 4_000_008}, "overlay": {}}
    (median, slow), share = soak._latencies(Ears(), [2])
    assert np.isnan(median) and np.isnan(slow) and share == 0


@pytest.mark.parametrize("arguments", [["1"], ["nan"], ["30", "--rate", "0"]])
def test_bad_input_is_one_line(arguments, capsys, monkeypatch):
    monkeypatch.setattr(subject, "scenes", lambda: pytest.fail("started"))
    assert soak.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "expected" in said


@pytest.mark.parametrize(("slope", "status"), [(0.0, 0), (5.0, 1)])
def test_exit_status_is_the_verdict(slope, status, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(soak, "soak", lambda *_: judge(run(slope=slope), 10))
    monkeypatch.setattr(soak, "use_own_network", lambda: None)
    assert soak.main(["30", "--output", str(tmp_path / "soak.csv")]) == status
    assert "MB/h" in capsys.readouterr().out

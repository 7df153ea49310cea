"""The bench's own arithmetic: times in turns, results and their file, promises, tables, the command's refusals."""

import dataclasses
import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest

from gem_ros import cli
from gem_ros.benchmarks import machine, results, tables, timing
from gem_ros.benchmarks.results import Measurement, Results
from gem_ros.benchmarks.targets import TARGETS, target_of
from gem_ros.commands import bench
from gem_ros.errors import GemError

ROOT = Path(__file__).parents[2]
HARDWARE = {"cpu": "a CPU", "vector units": "avx2", "cores": "2", "memory": "8 GiB", "gpu": "none"}
SETTINGS = {"model": "bundled", "pretrained": "openai", "device": "cpu", "precision": "fp32", "image_size": "384"}


def made(**values) -> Results:
    """Results with measurements ``name=(value, better)``, dots written as double underscores."""
    listed = [
        Measurement(name.replace("__", "."), value, "ms", better, f"what {name} is")
        for name, (value, better) in values.items()
    ]
    return Results("2026-01-01", "abc", HARDWARE, {"torch": "2"}, SETTINGS, ["a note"], listed)


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only when a test says so: ``clock(wall, cpu)`` in s."""
    now = {"wall": 0.0, "cpu": 0.0}
    monkeypatch.setattr(timing.time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: now["wall"])
    monkeypatch.setattr(timing.time, "process_time", lambda: now["cpu"])

    def advance(wall, cpu):
        now["wall"] += wall
        now["cpu"] += cpu

    return advance


def test_works_take_turns_back_and_forth(clock):
    order, shares = [], []

    def work(name, wall, cpu):
        order.append(name)
        clock(wall, cpu)

    works = {"slow": lambda: work("s", 0.3, 0.6), "fast": lambda: work("f", 0.1, 0.15)}
    times = timing.in_turns(works, 4.0, finish=lambda: clock(0.1, 0.0), progress=shares.append)
    assert "".join(order[:8]) == "sf" + "sffssf"  # the first two warm up
    assert len(times["slow"].wall) == len(times["fast"].wall) == 7  # 0.6 s a round, the last one begun before 4 s
    assert times["slow"].wall_ms(50) == pytest.approx(400) and times["slow"].cpu_ms == pytest.approx(600)
    assert timing.ratio(times["slow"], times["fast"], cpu=True) == pytest.approx(4)
    assert timing.ratio(times["slow"], times["fast"], cpu=False) == pytest.approx(2)
    assert shares == sorted(shares) and shares[-1] == 1.0


def test_at_least_five_rounds(clock):
    times = timing.in_turns({"": lambda: clock(100.0, 1.0)}, 1.0)[""]
    assert len(times.wall) == timing.LEAST


def test_the_ratio_is_of_pairs():
    """A mood that doubles both of a pair leaves the ratio alone."""
    mood = np.array([1.0, 2.0, 8.0])
    slow, fast = timing.Times(3 * mood, mood), timing.Times(mood, mood)
    assert timing.ratio(slow, fast, cpu=False) == 3.0


def test_results_survive_their_file(tmp_path):
    written = made(model__latency__p50=(1.5, "lower"))
    results.write(written, tmp_path / "new" / "results.json")
    assert results.read(tmp_path / "new" / "results.json") == written


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "JSON"),
        ("[]", "format"),
        ("{}", "format"),
        ('{"format": 2}', "format"),
        ('{"format": 1}', "damaged"),
        ("\x00\xff", "JSON"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, capsys, text, said):
    (tmp_path / "old.json").write_text(text, encoding="latin-1")
    assert cli.main(["bench", "--compare", str(tmp_path / "old.json")]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1 and said in captured.err


@pytest.mark.parametrize(
    ("field", "value"),
    [("value", "fast"), ("value", True), ("value", None), ("better", "cheaper"), ("unknown", 1)],
)
def test_a_bad_number_is_refused(tmp_path, field, value):
    path = tmp_path / "old.json"
    results.write(made(a=(1.0, "lower")), path)
    found = json.loads(path.read_text())
    found["measurements"][0][field] = value
    path.write_text(json.dumps(found))
    with pytest.raises(GemError, match="damaged"):
        results.read(path)


def test_worse_is_by_direction():
    before = made(a=(10.0, "lower"), b=(10.0, "higher"), c=(10.0, "neither"), d=(0.0, "lower"), gone=(1.0, "lower"))
    now = made(a=(12.0, "lower"), b=(12.0, "higher"), c=(12.0, "neither"), d=(1.0, "lower"), new=(1.0, "lower"))
    changes = {each.now.name: each.worse for each in results.compare(before, now)}
    assert list(changes) == ["a", "b", "c", "d"]
    assert changes["a"] == pytest.approx(0.2) and changes["b"] == pytest.approx(-0.2)
    assert math.isnan(changes["c"]) and math.isnan(changes["d"])


def test_other_machines_and_settings_are_named():
    before = made()
    assert results.reservations(before, made()) == []
    now = dataclasses.replace(made(), hardware=HARDWARE | {"gpu": "a GPU"}, settings=SETTINGS | {"seconds": "5"})
    assert results.reservations(before, now) == [
        "hardware: gpu was none, now a GPU",
        "settings: seconds was unknown, now 5",
    ]


def test_promises_hold_where_they_were_given():
    vit = dataclasses.replace(made(), settings=SETTINGS | {"model": "ViT-B-16-quickgelu", "device": "cuda:0"})
    measured = [Measurement(each.name, each.bound, "ms", "lower", "") for each in TARGETS]
    on_gpu = dataclasses.replace(vit, measurements=measured)
    on_cpu = dataclasses.replace(made(), measurements=measured)
    assert target_of("model.latency.p50", on_gpu).bound == 2
    assert target_of("model.speedup.fp32", on_gpu).bound == 10
    assert target_of("model.latency.p50", on_cpu) is None and target_of("model.speedup.fp32", on_cpu) is None
    assert target_of("node.demo.rate", on_cpu).bound == 15 and target_of("node.demo.rate", on_gpu) is None
    assert target_of("ros.cpu", made()) is None  # not measured
    assert all(each.met(each.bound) for each in TARGETS)
    most, least = target_of("ros.cpu", on_cpu), target_of("node.demo.rate", on_cpu)
    assert most.met(14) and not most.met(16) and least.met(16) and not least.met(14)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (1234.4, "images/s", "1 234 images/s"),
        (99.96, "ms", "100 ms"),
        (12.34, "ms", "12.3 ms"),
        (0.01234, "ms", "0.0123 ms"),
        (0.0, "ms", "0 ms"),
        (-3.21, "%", "-3.21 %"),
        (0.99987, "", "0.9999"),
    ],
)
def test_numbers_have_three_digits(value, unit, shown):
    assert tables.number(value, unit) == shown


def test_a_missed_promise_is_shown():
    rows = {row.name: row for row in tables.rows(made(node__demo__rate=(14.0, "higher"), ros__cpu=(14.0, "lower")))}
    assert rows["node.demo.rate"].met is False and rows["node.demo.rate"].target == "≥ 15"
    assert rows["ros.cpu"].met is True
    page = tables.markdown(made(node__demo__rate=(14.0, "higher"), ros__cpu=(14.0, "lower")))
    assert "| what node__demo__rate is (`node.demo.rate`) | 14.0 ms | ≥ 15 **missed** |" in page
    assert "| 14.0 ms | ≤ 15 |" in page and "Note: a note." in page and "a CPU" in page


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--parts", "modle"], "--parts"),
        (["--parts", ","], "--parts"),
        (["--batch", "1,x"], "--batch"),
        (["--batch", "0"], "--batch"),
        (["--queries", "0"], "--queries"),
        (["--queries", "256"], "--queries"),
        (["--seconds", "0"], "--seconds"),
        (["--seconds", "nan"], "--seconds"),
        (["--image-size", "-1"], "image_size"),
        (["--precision", "fp8"], "precision"),
        (["--plot"], "--output"),
        (["--fail-above", "10%"], "--compare"),
        (["--fail-above", "much", "--compare", "old.json"], "--fail-above"),
        (["--fail-above=-1%", "--compare", "old.json"], "--fail-above"),
        (["--compare", "missing.json"], "missing.json"),
        (["--output", "/dev/null/results.json"], "--output"),
        (["--parts", "model", "--device", "cuda:99"], "device"),
        (["--parts", "model", "--model", "ViT-Z-99"], "ViT-Z-99"),
        (["--parts", "model", "--model", "ViT-Z-99", "--pretrained", "random"], "ViT-Z-99"),
    ],
)
def test_bench_says_one_line(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["bench", *arguments]) == 2
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 1 and error[0].startswith("gem-ros bench: ") and said in error[0]


@pytest.mark.parametrize(("now", "status"), [(10.9, 0), (11.1, 1), (5.0, 0)])
def test_fail_above(tmp_path, monkeypatch, capsys, now, status):
    results.write(made(age__p50=(10.0, "lower")), tmp_path / "old.json")
    monkeypatch.setattr(bench, "_measure", lambda plan: made(age__p50=(now, "lower")))
    arguments = ["bench", "--compare", str(tmp_path / "old.json"), "--output", str(tmp_path / "new.json"), "--plot"]
    assert cli.main([*arguments, "--fail-above", "10%"]) == status
    assert cli.main(arguments) == 0
    assert ("worse" in capsys.readouterr().out.split("worse: by")[0]) == bool(status)
    assert results.read(tmp_path / "new.json").value("age.p50") == now
    assert (tmp_path / "new.png").stat().st_size > 1000


def test_other_hardware_is_said(tmp_path, monkeypatch, capsys):
    results.write(made(ros__cpu=(10.0, "lower")), tmp_path / "old.json")
    other = dataclasses.replace(made(ros__cpu=(10.0, "lower")), hardware=HARDWARE | {"cpu": "another CPU"})
    monkeypatch.setattr(bench, "_measure", lambda plan: other)
    assert cli.main(["bench", "--compare", str(tmp_path / "old.json")]) == 0
    assert "cpu was a CPU, now another CPU" in capsys.readouterr().out


def test_the_machine_is_described():
    found = machine.hardware()
    assert found["cpu"] and int(found["cores"]) >= 1 and found["gpu"]
    assert machine.versions()["torch"] != "none"
    assert machine.load_note(0.2, 2) == () and "busy" in machine.load_note(1.5, 2)[0]


def test_the_page_shows_the_committed_results():
    spec = importlib.util.spec_from_file_location("make_performance", ROOT / "docs" / "make_performance.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = script.PAGE.read_text(encoding="utf-8")
    assert script.BEGIN in text and script.END in text
    assert script.page(text) == text, "run python docs/make_performance.py"

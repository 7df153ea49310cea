"""``gem-ros evaluate`` on small recordings: the same numbers again, nothing done twice, and one line for bad input."""

import csv
import json
import os
import subprocess
import sys
import time
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import recorded

from gem_ros import cli
from gem_ros.commands._config import read_config
from gem_ros.data import Grounding, Query, Target
from gem_ros.models import default_config
from gem_ros.replay import engine
from gem_ros.replay.evaluate import evaluate_bag, prepare, reproducible, steps
from gem_ros.replay.settings import Settings


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return recorded.make(tmp_path_factory.mktemp("recordings") / "bag")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Parameters that make an image cheap."""
    path = tmp_path_factory.mktemp("small") / "small.yaml"
    path.write_text("/**: {ros__parameters: {image_size: 96}}")
    return path


def evaluate(*arguments):
    return cli.main(["evaluate", *map(str, arguments)])


def numbers(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_two_runs_give_the_same_bytes_and_the_second_makes_no_row(small, recording, tmp_path, monkeypatch, capsys):
    assert evaluate(recording, "--params-file", small, "--report", tmp_path / "a") == 0
    printed = capsys.readouterr().out
    assert "found_recall" in printed and "red ball" in printed and "/camera/color" in printed
    assert evaluate(recording, "--params-file", small, "--report", tmp_path / "b") == 0
    texts = {(tmp_path / each / "metrics.json").read_bytes() for each in "ab"}
    assert len(texts) == 1
    monkeypatch.setattr("gem_ros.replay.evaluate.evaluate_bag", None)
    assert evaluate(recording, "--params-file", small, "--report", tmp_path / "a", "--min-visible", 0.02) == 0
    assert numbers(tmp_path / "a")["settings"]["min_visible"] == 0.02
    with pytest.raises(TypeError):  # other settings: made again
        evaluate(recording, "--params-file", small, "--report", tmp_path / "a", "--every", 2)


def test_the_files_say_what_was_measured(small, recording, tmp_path):
    assert evaluate(recording, "--params-file", small, "--report", tmp_path, "--every", 2) == 0
    values = numbers(tmp_path)
    assert values["schema"] == 1 and set(values["per_query"]) == {"red ball", "blue cube", "green chair"}
    assert values["inputs"][0]["images"] == 4 and len(values["inputs"][0]["sha256"]) == 64
    assert values["settings"]["every"] == 2 and values["settings"]["model"] == "bundled"
    assert values["metrics"]["absent_rate"] is not None and "images_per_s" not in json.dumps(values)
    with (tmp_path / "rows" / "bag.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 3 and {row["query"] for row in rows} == set(values["per_query"])
    with (tmp_path / "metrics.csv").open() as file:
        assert {"query": "red ball", "metric": "found_recall"}.items() <= next(
            row for row in csv.DictReader(file) if row["query"] == "red ball"
        ).items()


def test_without_truth_what_was_asked_is_evaluated(small, recording, tmp_path, capsys):
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in recording.iterdir():
        if file.name != "truth.json":
            (bare / file.name).symlink_to(file)
    assert evaluate(bare) == 2
    assert "--queries" in capsys.readouterr().err
    assert (
        evaluate(
            bare,
            "--params-file",
            small,
            "--queries",
            "red ball:0.1; blue cube",
            "--absent",
            "violin",
            "--report",
            tmp_path,
        )
        == 0
    )
    values = numbers(tmp_path)
    assert values["metrics"]["found_recall"] is None and values["metrics"]["found_rate"] is not None
    assert values["per_query"]["violin"]["absent_rate"] == 1.0
    assert values["settings"]["queries"] == ["red ball:0.1", "blue cube"]


def test_a_limit_that_is_missed_is_exit_1(small, recording, capsys):
    assert (
        evaluate(
            recording,
            "--params-file",
            small,
            "--every",
            4,
            "--fail-under",
            "found_recall=0",
            "--fail-over",
            "never_hit=99",
        )
        == 0
    )
    assert (
        evaluate(
            recording,
            "--params-file",
            small,
            "--every",
            4,
            "--fail-under",
            "absent_rate=0",
            "--fail-under",
            "found_f1=1.1",
        )
        == 1
    )
    printed = capsys.readouterr().out
    assert "FAILED: found_f1" in printed and "kept: absent_rate" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "at least one recording"),
        (["nowhere"], "nowhere"),
        (["{bag}", "--truth", "nowhere.json"], "nowhere.json"),
        (["{bag}", "--fail-under", "found_recal=0.9"], "found_recall"),
        (["{bag}", "--fail-under", "red bal/iou=0.9"], "red ball/iou"),
        (["{bag}", "--fail-over", "latency_p95_ms=9"], "--mode live"),
        (["{bag}", "--every", "0"], "--every"),
        (["{bag}", "--workers", "0"], "--workers"),
        (["{bag}", "--min-visible", "0"], "--min-visible"),
        (["{bag}", "--mode", "live", "--every", "2"], "--every"),
        (["{bag}", "--queries", "ball:7"], "threshold"),
        (["{bag}", "--image-topic", "/nothing"], "/nothing"),
        (["{bag}", "--model", "ViT-Z-99"], "ViT-Z-99"),
        (["{bag}", "--params-file", "nowhere.yaml"], "nowhere.yaml"),
        (["{bag}", "--report", "/proc/nothing"], "/proc/nothing"),
        (["{bag}", "--compare", "a", "b"], "--compare"),
        (["--compare", "nowhere.json", "b.json"], "nowhere.json"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(recording, capsys, arguments, said):
    assert evaluate(*(each.format(bag=recording) for each in arguments)) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gem-ros evaluate: ")]
    assert len(lines) == 1 and said in lines[0]


def test_one_bad_recording_of_two_is_said_and_the_other_evaluated(small, recording, tmp_path, capsys):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "damaged.mcap").write_bytes(b"no recording")
    assert (
        evaluate(
            recording, damaged / "damaged.mcap", "--params-file", small, "--every", 4, "--report", tmp_path / "out"
        )
        == 2
    )
    assert "damaged.mcap" in capsys.readouterr().err
    inputs = numbers(tmp_path / "out")["inputs"]
    assert [each["images"] for each in inputs] == [2, 0] and inputs[1]["problems"]


def test_two_evaluations_are_compared(recording, tmp_path, capsys):
    for name, threshold in (("a", 0.5), ("b", 0.05)):
        params = tmp_path / f"{name}.yaml"
        params.write_text(json.dumps({"/**": {"ros__parameters": {"presence_threshold": threshold, "image_size": 96}}}))
        assert evaluate(recording, "--params-file", params, "--every", 2, "--report", tmp_path / name) == 0
    capsys.readouterr()
    assert evaluate("--compare", tmp_path / "a", tmp_path / "b" / "metrics.json") == 0
    printed = capsys.readouterr().out
    assert "4 images, 3 queries" in printed and "found_recall" in printed and "bootstrap" in printed
    (tmp_path / "a" / "rows" / "bag.csv").unlink()
    assert evaluate("--compare", tmp_path / "a", tmp_path / "b") == 2


class Stub:
    """Finds the whole image."""

    def encode_image(self, rgb, config):
        return rgb

    def ground(self, rgb, queries, **known):
        size = rgb.shape[:2]
        target = Target(queries[0].text, 0, True, 0.9, 0.5, "ok", (1.0, 1.0), np.ones(size, bool))
        return Grounding(queries, (target,), size, np.ones((1, 2, 2), np.float32), lambda maps: maps)


def test_memory_stays_flat_over_a_long_recording(tmp_path):
    peaks = []
    for count in (10, 200):
        path = recorded.make(tmp_path / str(count), count=count)
        task = prepare(path, Settings(default_config("bundled"), queries=(Query("red ball"),)))
        for _ in steps(Stub(), task):
            pass
        tracemalloc.start()
        seen = sum(1 for _ in steps(Stub(), task))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert seen == count
    assert peaks[1] < 1.3 * peaks[0] + 4e6  # messages of three seconds are kept: ten images fill only one of them


@pytest.mark.slow
def test_two_workers_are_faster_than_one(tmp_path):
    """On two cores that nothing else uses; each worker has one thread, so one worker of this kind is the baseline."""
    if (os.cpu_count() or 1) < 2 or os.getloadavg()[0] > 0.7:
        pytest.skip("needs two idle cores")
    paths = [recorded.make(tmp_path / f"bag{index}", count=60) for index in range(4)]
    settings = Settings(default_config("bundled"))
    walls = {}
    for workers in (1, 2):
        begin = time.monotonic()
        jobs = engine.jobs_of(paths)
        work = partial(engine._work, engine.evaluate_job, settings=settings)
        done = dict(engine._in_processes(jobs, work, workers, lambda *each: None))
        walls[workers] = time.monotonic() - begin
        assert len(done) == 4
    assert walls[1] / walls[2] >= 1.6


def test_the_rows_are_the_same_in_any_process(small, recording):
    settings = reproducible(Settings(read_config(small, {"device": "cpu"}), every=4))
    assert settings.config.precision == "fp32" and reproducible(settings) == settings
    one, two = (evaluate_bag(recording, settings, "bag") for _ in range(2))
    assert one.rows == two.rows and one.input == two.input


LIVE = """
import sys
from gem_ros import cli
from gem_ros.commands import _session
_session.PATIENCE = 40.0
_session.node_command = lambda session: [sys.executable, {stub!r}, "right"]
sys.exit(cli.main(["evaluate", "--mode", "live", *sys.argv[1:]]))
""".format(stub=str(Path(__file__).parent / "stub_node.py"))


@pytest.mark.dds
def test_live_mode_measures_the_nodes_own_answers(recording, tmp_path):
    pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "ROS_DOMAIN_ID": str(20 + os.getpid() % 80), "PYTHONPATH": path}
    limits = "--fail-under", "found_recall=0.99", "--fail-over", "latency_p99_ms=60000"
    command = [sys.executable, "-c", LIVE, recording, "--report", tmp_path, "--rate", "0.5", *limits]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    values, timing = numbers(tmp_path), json.loads((tmp_path / "timing.json").read_text())
    assert values["metrics"]["pointing_accuracy"] == 1.0 and values["metrics"]["error_p90_m"] < 0.01
    assert values["settings"]["mode"] == "live" and values["settings"]["rate"] == 0.5
    assert 0 < timing["latency_p50_ms"] <= timing["latency_p95_ms"] <= timing["latency_p99_ms"]
    assert 0 <= timing["drop_rate"] < 1 and timing["memory_mb"] > 10 and timing["cpu_percent"] > 0
    assert len(timing["latencies_ms"]) == values["inputs"][0]["images"]

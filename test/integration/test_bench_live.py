"""The bench's parts that start nodes, over DDS: every number is there; how small it is depends on the machine."""

import os
import tempfile
import threading
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from gem_ros import cli, process
from gem_ros.benchmarks import overhead, results

pytestmark = pytest.mark.dds


def measured(tmp_path, *arguments):
    output = tmp_path / "results.json"
    assert cli.main(["bench", "--output", str(output), *arguments]) == 0
    found = results.read(output)
    return {each.name: each.value for each in found.measurements}


def test_what_ros_costs(tmp_path, monkeypatch):
    monkeypatch.setattr(overhead, "TURNS", 1)
    found = measured(tmp_path, "--parts", "ros,age", "--seconds", "1")
    assert 0 < found["ros.overhead.p50"] <= found["ros.overhead.p99"]
    assert 0 < found["ros.answered"] <= 100 and found["ros.cpu"] > 0
    assert found["ros.ratio"] == pytest.approx(found["ros.overhead.p50"] / found["ros.plain.p50"])
    assert found["ros.ratio.cpu"] == pytest.approx(found["ros.cpu"] / found["ros.plain.cpu"])
    assert 50 < found["age.p50"] <= found["age.worst"]  # the stub's 50 ms are in it
    assert 0 < found["age.rate"] < 20


@pytest.mark.slow
def test_the_real_node_and_its_start(tmp_path):
    found = measured(tmp_path, "--parts", "node,startup", "--seconds", "3")
    assert found["node.rate"] > 0 and found["node.demo.rate"] > 0 and found["node.memory"] > 100
    assert 0 < found["startup.graph"] < found["startup.active"] < found["startup.first_result"]
    assert found["startup.imports"] > 0 and found["startup.after_imports"] < found["startup.first_result"]


@pytest.mark.slow
def test_a_node_that_cannot_be_configured_ends_the_bench(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # the log stays behind
    assert cli.main(["bench", "--parts", "node", "--model", "ViT-B-16", "--pretrained", str(tmp_path)]) == 2
    assert "not configured" in capsys.readouterr().err
    assert list(tmp_path.glob("gem_ros_bench_*/node.log"))


def test_cpu_time_and_memory_of_a_process():
    before = process.cpu_seconds(os.getpid())
    end = time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert 0.05 < process.cpu_seconds(os.getpid()) - before < 5
    assert 0 < process.memory(os.getpid()) <= process.memory(os.getpid(), peak=True) + 1
    assert 0 < process.own_memory(os.getpid()) < process.memory(os.getpid())


def test_threads_and_open_files_of_a_process(tmp_path):
    pid, go = os.getpid(), threading.Event()
    threads, files = process.threads(pid), process.open_files(pid)
    other = threading.Thread(target=go.wait)
    other.start()
    with (tmp_path / "file").open("w"):
        assert process.open_files(pid) == files + 1
    assert process.threads(pid) == threads + 1
    go.set()
    other.join()
    with pytest.raises(OSError, match="No such file"):
        process.threads(2**22 + 1)

"""A minute and a half of a node that leaks: the soak says so."""

import os
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from gem_ros.benchmarks import soak, steadiness

pytestmark = [pytest.mark.dds, pytest.mark.slow]
LEAKY = """
import sys
from gem_ros.benchmarks.stub import StubGrounder
from gem_ros.ros.main import main

class Leaky(StubGrounder):
    kept = []
    def encode_images(self, images, *, config=None):
        self.kept.append((bytearray(b"x" * 100_000), open(__file__)))
        return super().encode_images(images, config=config)

sys.exit(main(load=lambda config: Leaky(0.0)))
"""


def test_a_leak_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    )
    (tmp_path / "leaky.py").write_text(LEAKY)
    output = tmp_path / "soak.csv"
    assert soak.main(["1.6", "--rate", "10", "--output", str(output)], module=[str(tmp_path / "leaky.py")]) == 1
    said = capsys.readouterr().out
    assert "memory grows by" in said and "files grow from" in said and "threads grow" not in said
    samples = steadiness.read_csv(output)
    assert all(each.results_hz > 0 for each in samples) and samples[-1].cpu_percent > 0
    assert output.with_suffix(".png").exists()

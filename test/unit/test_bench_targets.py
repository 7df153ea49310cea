"""The speed that is promised, measured: minutes, and only on a machine that does nothing else."""

import pytest
import torch

from gem_ros import cli
from gem_ros.benchmarks import results, tables

VIT = ["--model", "ViT-B-16-quickgelu", "--pretrained", "random", "--image-size", "448"]


def missed(path, *arguments):
    assert cli.main(["bench", "--output", str(path), *arguments]) == 0
    rows = list(tables.rows(results.read(path)))
    assert any(row.target for row in rows)
    return [f"{row.name}: {row.value}, promised {row.target}" for row in rows if row.met is False]


@pytest.mark.slow
def test_on_a_cpu(tmp_path):
    arguments = ("--device", "cpu", "--parts", "model,queries", "--batch", "1")
    assert missed(tmp_path / "vit.json", *VIT, *arguments) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu(tmp_path):
    pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")
    assert missed(tmp_path / "gpu.json", *VIT, "--device", "cuda", "--batch", "1,8,32") == []

"""Two steps of the bundled model's training on made-up frames: it learns, stops, goes on, and can be exported."""

import sys

import numpy as np
import pytest
import torch

from gem_ros.sim import train
from gem_ros.sim.dataset import MAX_OBJECTS
from gem_ros.sim.export import averaged_clip
from gem_ros.sim.muon import Muon
from gem_ros.sim.windows import FIRST_BACKGROUND, Frames, Shape, batches

SIZE = (96, 128)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One shard of four frames: a square that is a thing, on a floor, and one frame of floor alone."""
    where, random = tmp_path_factory.mktemp("frames"), np.random.default_rng(0)
    rgb = random.integers(0, 256, (4, *SIZE, 3), np.uint8)
    instances = np.full((4, *SIZE), FIRST_BACKGROUND, np.uint8)
    instances[:3, 20:60, 30:70] = 0
    objects = np.full((4, MAX_OBJECTS, 2), -1, np.int8)
    objects[:3, 0] = 0
    np.savez(where / "00000000.npz", rgb=rgb, instances=instances, objects=objects)
    return where


def test_windows_say_what_is_in_them(folder):
    frames, shape = Frames([folder]), Shape((64, 64), (1.0, 2.0), 16)
    assert len(frames) == 4 and frames[0].boxes[0].tolist() == [20, 30, 60, 70] and frames[3].pixels.sum() == 0
    batch = next(batches(frames, np.random.default_rng(1), 40, shape))
    assert batch.pixels.shape == (40, 64, 64, 3) and batch.pixels.dtype == np.uint8
    np.testing.assert_allclose(batch.coverage.sum(-1), 1.0, atol=1e-6)
    assert set(np.unique(batch.seen)) == {-1, 0, 1} and (batch.seen[:, 1:] == 0).all()
    again = next(batches(frames, np.random.default_rng(1), 40, shape))
    np.testing.assert_array_equal(batch.pixels, again.pixels)


def test_training_learns_stops_goes_on_and_is_exported(folder, tmp_path, monkeypatch, capsys):
    def command(stage):
        given = ["--frames", str(folder), "--run", str(tmp_path), "--stage", stage]
        monkeypatch.setattr(sys, "argv", ["train", *given])
        train.main()
        return torch.load(tmp_path / "checkpoint.pt", weights_only=True)

    first = command("64x64:1:2:1.0:2.0")
    second = command("64x64:2:2:1.0:2.0")
    assert (first["step"], second["step"]) == (1, 2) and "resumed at step 1" in capsys.readouterr().out
    changed = [name for name, value in first["clip"].items() if not torch.equal(value, second["clip"][name])]
    assert len(changed) > 0.9 * len(first["clip"])
    clip, rows, scale = averaged_clip(tmp_path / "checkpoint.pt")
    table = clip.token_embedding.weight
    assert len(rows) < len(table) and table[rows].abs().sum() > 0 and scale > 1
    assert table.abs().sum(1).count_nonzero() <= len(rows)


def test_the_rate_rises_and_falls():
    rates = [train.schedule(step, 1000) for step in range(1000)]
    assert rates[0] < 0.01 and max(rates) > 0.9 and rates[-1] < 0.02 and np.argmax(rates) == 149


def test_muon_goes_down_hill():
    torch.manual_seed(0)
    matrix, still = torch.nn.Parameter(torch.randn(6, 4)), torch.nn.Parameter(torch.ones(2, 2))
    optimiser = Muon([matrix, still], lr=0.2)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = matrix.square().sum()
        loss.backward()
        losses.append(float(loss.detach()))
        optimiser.step()
    assert losses[-1] < 0.1 * losses[0] and torch.equal(still, torch.ones(2, 2))

"""What the measuring of covariances makes of a made-up view."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.table import Table

from gem_ros.config import Config
from gem_ros.data import CameraIntrinsics, PatchFeatures
from gem_ros.geometry.target import Measurement
from gem_ros.sim.covariances import Sample, View, _sample, add_rows, by_masks

CAMERA = CameraIntrinsics(320, 240, 300.0, 300.0, 159.5, 119.5)
ROWS, COLUMNS = np.indices((240, 320))


def view():
    """Two squares of 21 px at 1 m and 2 m before a wall at 3 m, both "red cube"."""
    depth = np.full((240, 320), 3.0, np.float32)
    masks = [(np.abs(COLUMNS - u) <= 10) & (np.abs(ROWS - 120) <= 10) for u in (80, 240)]
    depth[masks[0]], depth[masks[1]] = 1.0, 2.0
    return View(PatchFeatures(torch.zeros(15, 20, 1), (240, 320)), depth, CAMERA, {"red cube": masks})


def on_square(u, z, right=0.0, behind=0.0):
    return np.array([(u - 159.5) / 300 * z + right, 0.5 / 300 * z, z + behind])


def sample(point, sigma=0.01, peak=(80.0, 120.0)):
    made_up = view()
    return _sample(made_up, made_up.things["red cube"], peak, Measurement(point, np.eye(3) * sigma**2, "ok"))


def test_errors_and_sigmas_are_metres():
    found = sample(on_square(80, 1.0, behind=0.02))
    assert found.error == pytest.approx(0.02, abs=1e-4)
    assert (found.sigma, found.largest) == pytest.approx((0.01, 0.01))
    assert found.peak
    assert found.pixel


def test_a_point_is_held_against_the_nearest_object_that_is_meant():
    assert sample(on_square(80, 1.0, behind=0.0279)).inside  # √7.815 = 2.796 sigmas
    assert not sample(on_square(80, 1.0, behind=0.0281)).inside
    assert not sample(on_square(80, 1.0, right=0.03)).inside
    assert sample(on_square(240, 2.0)).inside


def test_a_point_beside_all_objects_is_told_apart():
    lost = sample(on_square(160, 3.0), peak=(240.0, 120.0))
    assert (lost.peak, lost.pixel, lost.inside) == (True, False, False)
    assert lost.error > 0.5


def test_the_geometry_alone_finds_every_object():
    grounder = SimpleNamespace(config=Config())
    first, second = by_masks(grounder, view(), view().depth)
    for found in (first, second):
        assert found.peak
        assert found.pixel
        assert found.inside
        assert found.error == pytest.approx(0.0, abs=1e-6)
    assert second.sigma > first.sigma  # twice as far away


def test_the_table_counts_what_is_on_its_object_apart():
    table = Table(*map(str, range(12)))
    found = [Sample(True, True, True, 0.01, 0.02, 0.001)] * 3 + [Sample(False, False, False, 0.01, 0.02, 0.201)]
    add_rows(table, "made up", {"model, clean": found})
    cells = [next(iter(column.cells)) for column in table.columns]
    shares, lengths = ["75.0", "75.0", "100.0", "75.0"], ["1.0", "2.0", "0.10", "17.10", "0.10"]
    assert cells == ["made up", "model, clean", "4", *shares, *lengths]

"""Metrics against numbers worked out by hand, and their properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gem_ros.data import CameraIntrinsics
from gem_ros.replay.metrics import pointing_hit, rate, summary, surface_error

CAMERA = CameraIntrinsics(width=4, height=3, fx=2.0, fy=2.0, cx=1.5, cy=1.0)
MASK = np.zeros((3, 4), bool)
MASK[1, 2:] = True  # pixels (2, 1) and (3, 1)
finite = st.floats(-1e6, 1e6)


@pytest.mark.parametrize(
    ("pixel", "hit"),
    [((2, 1), True), ((1.5, 0.5), True), ((1.49, 1), False), ((3.49, 1.49), True), ((3.5, 1), False), ((2, -1), False)],
)
def test_an_integer_is_a_pixels_centre(pixel, hit):
    assert pointing_hit(pixel, MASK) is hit


def test_no_pixel_is_a_miss():
    assert pointing_hit(None, np.ones((3, 4), bool)) is False


def test_surface_error_is_to_the_nearest_visible_point():
    depth = np.full((3, 4), 2.0, np.float32)  # at z = 2, f = 2: x = u - 1.5, y = v - 1
    assert surface_error((0.5, 0.0, 2.0), depth, MASK, CAMERA) == pytest.approx(0.0)
    assert surface_error((1.5, 0.0, 2.3), depth, MASK, CAMERA) == pytest.approx(0.3)
    assert surface_error((0.5, 0.3, 2.4), depth, MASK, CAMERA) == pytest.approx(0.5)
    assert surface_error((-0.5, 0.0, 2.0), depth, MASK, CAMERA) == pytest.approx(1.0)  # pixel (1, 1) is not the object


def test_surface_without_depth_does_not_count():
    depth = np.full((3, 4), 2.0, np.float32)
    depth[1, 2] = np.nan
    assert surface_error((0.5, 0.0, 2.0), depth, MASK, CAMERA) == pytest.approx(1.0)
    depth[1, 3] = np.nan
    assert math.isnan(surface_error((0.5, 0.0, 2.0), depth, MASK, CAMERA))
    assert math.isnan(surface_error(None, np.ones_like(depth), MASK, CAMERA))


def test_summary_by_hand():
    found = summary([4.0, 1.0, math.nan, 3.0, 2.0, 5.0])
    assert (found.count, found.median, found.worst) == (5, 3.0, 5.0)
    assert (found.p90, found.p95) == (pytest.approx(4.6), pytest.approx(4.8))
    assert summary([math.nan]).count == 0 and math.isnan(summary([]).median)


@given(st.lists(finite, min_size=1))
def test_summary_is_ordered_and_bounded(values):
    found = summary(values)
    assert min(values) <= found.median <= found.p90 <= found.p95 <= found.worst == max(values)


def test_rate():
    assert rate([True, False, True, True]) == 0.75
    assert math.isnan(rate([]))

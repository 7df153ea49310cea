"""Regions of made-up maps, and the 3D point of made-up depth scenes."""

from __future__ import annotations

import time
import warnings

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from gem_ros.data import CameraIntrinsics
from gem_ros.errors import GeometryError
from gem_ros.geometry import surface, target
from gem_ros.geometry.camera import project
from gem_ros.geometry.surface import background_plane, depth_noise, flying, nearest_surface, unbroken
from gem_ros.geometry.target import CHI_SQUARE_95, EXTENT, MIDDLE, Measurement, Region, find_regions, measure

CAMERA = CameraIntrinsics(640, 480, 525.0, 525.0, 319.5, 239.5)
PATCH = 20.0
ROWS, COLUMNS = np.indices((480, 640))
BEARINGS = np.stack([(COLUMNS - 319.5) / 525, (ROWS - 239.5) / 525, np.ones((480, 640))], axis=-1)
Depth = npt.NDArray[np.float32]


def disc(u: float, v: float, radius: float) -> npt.NDArray[np.bool_]:
    return (COLUMNS - u) ** 2 + (ROWS - v) ** 2 <= radius**2


def region(u: float = 320.0, v: float = 240.0, radius: float = 50.0) -> Region:
    return Region((u, v), disc(u, v, radius), 0.9, PATCH)


def look(depth: Depth, at: Region, low: float = 0.1, high: float = 10.0) -> Measurement:
    return measure(at, depth, CAMERA, low, high)


def wall(z: float) -> Depth:
    return np.full((480, 640), z, np.float32)


def ball_on_table(u: float = 320.0) -> tuple[Depth, npt.NDArray[np.bool_]]:
    """A ball of 4 cm radius on a table, seen from 0.5 m above at 35 degrees: depth, and where the ball is."""
    up = np.array([0.0, -np.cos(np.deg2rad(35)), -np.sin(np.deg2rad(35))])
    down = BEARINGS @ up
    table = np.where(down < -1e-6, -0.5 / np.minimum(down, -1e-6), np.inf)
    foot = BEARINGS[260, round(u)] * table[260, round(u)]
    centre = foot + up * 0.04
    along, square = BEARINGS @ centre, (BEARINGS**2).sum(axis=-1)
    inside = along**2 - square * (centre @ centre - 0.04**2)
    ball = np.where(inside > 0, (along - np.sqrt(np.maximum(inside, 0))) / square, np.inf)
    return np.minimum(np.minimum(table, ball), 5.0).astype(np.float32), ball < table


def miss(measured: Measurement, depth: Depth, thing: npt.NDArray[np.bool_]) -> float:
    """Distance from the point to the nearest visible surface point of the thing, m."""
    assert measured.point is not None
    surface = (BEARINGS * depth[..., None])[thing]
    return float(np.linalg.norm(surface - measured.point, axis=1).min())


# Regions


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 60), share=st.floats(0, 1))
def test_quantiles_are_numpys(seed: int, count: int, share: float) -> None:
    points = np.random.default_rng(seed).normal(size=(count, 3))
    low, middle = target._quantiles(points, (share, 0.5))
    np.testing.assert_allclose(low, np.percentile(points, 100 * share, axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(middle, np.median(points, axis=0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("window", [(0, 0, 7, 9), (7, 8, 12, 16), (30, 40, 2, 2), (0, 0, 0, 0)])
def test_labels_of_a_window_are_zero_elsewhere(window: tuple[int, int, int, int]) -> None:
    top, left, height, width = window
    everywhere = np.zeros((60, 80), np.int32)
    labels = np.arange(1, height * width + 1, dtype=np.int32).reshape(height, width)
    everywhere[top : top + height, left : left + width] = labels
    rows, columns = np.arange(2, 60, 5), np.arange(1, 80, 7)
    np.testing.assert_array_equal(target._at(labels, rows - top, columns - left), everywhere[np.ix_(rows, columns)])


def maps(patches: dict[tuple[int, int], float]) -> tuple[Depth, Depth]:
    """Relevancy at the image's size and strength per patch (12 x 16 patches of 40 px), 0.1 elsewhere."""
    strength = np.full((12, 16), 0.1, np.float32)
    for (row, column), value in patches.items():
        strength[row, column] = value
    return np.kron(strength, np.ones((40, 40), np.float32)), strength


def test_one_patch_is_one_region_with_its_centre_as_the_peak() -> None:
    (found,) = find_regions(*maps({(3, 5): 0.9}), 0.5, 3, 40.0)
    assert found.pixel == pytest.approx((5.5 * 40 - 0.5, 3.5 * 40 - 0.5))
    assert found.mask.sum() == 1600
    assert found.mask[120:160, 200:240].all()
    assert found.strength == pytest.approx(0.9)


def test_the_peak_moves_towards_the_stronger_neighbour_but_stays_inside() -> None:
    (found,) = find_regions(*maps({(3, 5): 0.9, (3, 6): 0.8}), 0.5, 3, 40.0)
    assert 219.5 < found.pixel[0] < 239.5
    assert found.pixel[1] == pytest.approx(139.5)


def test_the_peak_of_a_ring_is_on_the_ring() -> None:
    ring = {(row, column): 0.8 for row in (4, 5, 6) for column in (6, 7, 8) if (row, column) != (5, 7)}
    for strongest in ring:
        (found,) = find_regions(*maps({**ring, strongest: 0.81}), 0.5, 3, 40.0)
        assert found.mask[round(found.pixel[1]), round(found.pixel[0])]


def test_regions_are_ordered_by_strength_and_limited() -> None:
    patches = {(1, 1): 0.6, (1, 9): 0.9, (8, 4): 0.7, (10, 14): 0.8}
    strengths = [found.strength for found in find_regions(*maps(patches), 0.5, 3, 40.0)]
    assert strengths == pytest.approx([0.9, 0.8, 0.7])


def test_below_the_threshold_the_strongest_patch_alone_is_the_region() -> None:
    (found,) = find_regions(*maps({(3, 5): 0.3}), 0.5, 3, 40.0)
    assert found.pixel == pytest.approx((219.5, 139.5))
    assert 1600 <= found.mask.sum() <= 42**2
    assert found.strength == pytest.approx(0.3)


def test_the_strongest_patch_comes_first_even_where_relevancy_is_low() -> None:
    relevancy, strength = maps({(1, 1): 0.9})
    strength[8, 4] = 2.0
    first, second = find_regions(relevancy, strength, 0.5, 3, 40.0)
    assert first.strength == 2.0
    assert first.mask[round(first.pixel[1]), round(first.pixel[0])]
    assert second.strength == pytest.approx(0.9)


def test_a_strength_map_of_the_images_size_gives_the_same_regions() -> None:
    relevancy, strength = maps({(1, 1): 0.6, (1, 9): 0.9})
    per_patch = find_regions(relevancy, strength, 0.5, 3, 40.0)
    per_pixel = find_regions(relevancy, relevancy, 0.5, 3, 40.0)
    np.testing.assert_allclose([each.pixel for each in per_patch], [each.pixel for each in per_pixel])


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10**6), threshold=st.floats(0, 1))
def test_every_region_holds_its_own_peak_and_no_pixel_of_another(seed: int, threshold: float) -> None:
    strength = np.random.default_rng(seed).random((9, 13), np.float32)
    relevancy = np.kron(strength, np.ones((16, 16), np.float32))
    regions = find_regions(relevancy, strength, threshold, 5, 16.0)
    assert 1 <= len(regions) <= 5
    assert sum(each.mask for each in regions).max() == 1  # type: ignore[union-attr]
    for each in regions:
        assert each.mask[round(each.pixel[1]), round(each.pixel[0])]
    row, column = np.unravel_index(strength.argmax(), strength.shape)
    assert regions[0].mask[row * 16 + 8, column * 16 + 8]


def test_of_two_peaks_without_a_patch_between_them_only_the_stronger_stays() -> None:
    relevancy, strength = maps({(3, 5): 0.8, (3, 6): 0.9, (8, 5): 0.7, (8, 7): 0.6})
    relevancy[:, 239:241] = 0.1  # the two are regions of their own
    found = find_regions(relevancy, strength, 0.5, 4, 40.0)
    assert [each.strength for each in found] == pytest.approx([0.9, 0.7, 0.6])
    assert [each.strength for each in find_regions(relevancy, strength, 0.5, 2, 40.0)] == pytest.approx([0.9, 0.7])


def test_neighbours_across_a_corner_are_one_thing() -> None:
    relevancy, strength = maps({(3, 5): 0.9, (4, 6): 0.8})
    relevancy[155:165, 235:245] = 0.1
    (found,) = find_regions(relevancy, strength, 0.5, 3, 40.0)
    assert found.strength == pytest.approx(0.9)


@pytest.mark.parametrize("patch", [(0, 0), (0, 15), (11, 0), (11, 15), (0, 7), (5, 15)])
def test_a_peak_at_the_border_is_in_the_image(patch: tuple[int, int]) -> None:
    (found,) = find_regions(*maps({patch: 0.9}), 0.5, 3, 40.0)
    assert found.pixel == pytest.approx((patch[1] * 40 + 19.5, patch[0] * 40 + 19.5))
    assert found.mask.sum() == 1600
    (alone,) = find_regions(*maps({patch: 0.3}), 0.5, 3, 40.0)
    assert alone.mask[round(alone.pixel[1]), round(alone.pixel[0])]


@pytest.mark.parametrize(("size", "patch"), [((16, 16), 16.0), ((1, 1), 1.0), ((3, 5), 4.0)])
@pytest.mark.parametrize("relevance", [0.0, 0.9])
def test_an_image_of_one_patch_has_one_region(size: tuple[int, int], patch: float, relevance: float) -> None:
    relevancy, strength = np.full(size, relevance, np.float32), np.full((1, 1), relevance, np.float32)
    (found,) = find_regions(relevancy, strength, 0.5, 3, patch)
    assert found.pixel == ((size[1] - 1) / 2, (size[0] - 1) / 2)
    assert found.mask.all() or relevance == 0.0
    assert found.mask[round(found.pixel[1]), round(found.pixel[0])]


# Measurements


def test_an_object_before_a_wall_is_measured_without_the_wall() -> None:
    depth = wall(3.0)
    depth[disc(320, 240, 25)] = 1.0  # a quarter of the region
    measured = look(depth, region())
    assert measured.reason == "ok"
    np.testing.assert_allclose(measured.point, [0.5 / 525, 0.5 / 525, 1.0], atol=2e-3)


def test_a_peak_beside_the_object_still_finds_the_object() -> None:
    depth = wall(3.0)
    depth[disc(350, 240, 25)] = 1.0
    measured = look(depth, region())
    assert measured.point is not None
    assert measured.point[2] == pytest.approx(1.0)
    assert disc(350, 240, 25)[tuple(project(CAMERA, measured.point[None])[0, ::-1].round().astype(int))]


@pytest.mark.parametrize("offset", [(0, 0), (25, 0), (-25, 5), (0, -30), (10, 25)])
def test_a_ball_on_a_table_is_not_mixed_with_the_table(offset: tuple[int, int]) -> None:
    depth, ball = ball_on_table()
    rows, columns = np.nonzero(ball)
    at = region(columns.mean() + offset[0], rows.mean() + offset[1])
    assert miss(look(depth, at), depth, ball) < 0.003


def test_noise_of_the_sensor_does_not_matter_much() -> None:
    truth, ball = ball_on_table()
    rng = np.random.default_rng(3)
    depth = (truth + rng.normal(scale=0.004, size=truth.shape)).astype(np.float32)
    depth[rng.random(depth.shape) < 0.3] = np.nan
    rows, columns = np.nonzero(ball)
    assert miss(look(depth, region(columns.mean(), rows.mean())), truth, ball) < 0.005


def test_the_table_itself_is_measured_at_the_peak() -> None:
    depth, ball = ball_on_table(u=500.0)
    measured = look(depth, region(250.0, 300.0))
    assert not ball[disc(250.0, 300.0, 50)].any()
    expected = BEARINGS[300, 250] * depth[300, 250]
    assert measured.point is not None
    assert np.linalg.norm(measured.point - expected) < 0.005


def test_a_far_object_keeps_its_depth_where_something_nearer_only_grazes_the_region() -> None:
    depth = wall(4.0)
    depth[disc(320, 240, 30)] = 2.0
    depth[:, 366:] = 0.6  # a door frame at the region's rim
    measured = look(depth, region())
    assert measured.point is not None
    assert measured.point[2] == pytest.approx(2.0)


def test_half_of_the_object_without_depth() -> None:
    depth = wall(3.0)
    depth[disc(320, 240, 30)] = 1.0
    depth[:, :320] = np.nan
    measured = look(depth, region())
    assert measured.point is not None
    assert measured.point[2] == pytest.approx(1.0)
    assert 0 <= measured.point[0] < 0.02


def test_a_thin_object_is_not_lost() -> None:
    depth = wall(3.0)
    depth[:, 318:322] = 1.0
    measured = look(depth, region())
    assert measured.point is not None
    assert measured.point[2] == pytest.approx(1.0)


def test_pixels_between_object_and_background_are_dropped() -> None:
    depth = wall(3.0)
    depth[disc(320, 240, 12)] = 1.0
    mixed = cv2.blur(depth, (3, 3))  # as a sensor averages over an edge
    between = (mixed > 1.2) & (mixed < 2.8)
    assert (flying(mixed) & between).sum() > 0.8 * between.sum() > 0
    assert not flying(mixed)[disc(320, 240, 9)].any()
    assert not flying(mixed)[~disc(320, 240, 15)].any()
    ramp = np.broadcast_to(np.linspace(1, 3, 200, dtype=np.float32), (200, 200))  # a grazed floor
    assert not flying(np.ascontiguousarray(ramp)).any()


def test_stripes_of_nan() -> None:
    depth, ball = ball_on_table()
    depth[::3] = np.nan
    depth[:, ::2] = np.nan
    rows, columns = np.nonzero(ball)
    truth = ball_on_table()[0]
    assert miss(look(depth, region(columns.mean(), rows.mean())), truth, ball) < 0.003


@pytest.mark.parametrize(
    ("depth", "reason"),
    [
        (wall(np.nan), "no_depth"),
        (wall(0.0), "no_depth"),
        (wall(np.inf), "no_depth"),
        (wall(-1.0), "no_depth"),
        (wall(20.0), "out_of_range"),
        (wall(0.05), "out_of_range"),
        (np.where(disc(320, 240, 60), np.nan, wall(1.0)).astype(np.float32), "no_depth"),
        (np.where(disc(320, 240, 60), 30, wall(1.0)).astype(np.float32), "out_of_range"),
    ],
)
def test_no_point_has_a_reason(depth: Depth, reason: str) -> None:
    measured = look(depth, region())
    assert measured.reason == reason
    assert (measured.point, measured.covariance, measured.box) == (None, None, None)


def test_what_is_out_of_range_does_not_hide_what_is_in_range() -> None:
    depth = wall(3.0)
    depth[:, :300] = 0.05
    measured = look(depth, region())
    assert measured.point is not None
    assert measured.point[2] == pytest.approx(3.0)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), u=st.floats(0, 639), v=st.floats(0, 479), z=st.floats(0.2, 9.0))
def test_covariance_is_symmetric_positive_definite_and_the_point_is_on_the_surface(
    seed: int, u: float, v: float, z: float
) -> None:
    rng = np.random.default_rng(seed)
    depth = (wall(z) + rng.normal(scale=0.001 * z, size=(480, 640))).astype(np.float32)
    depth[rng.random(depth.shape) < 0.2] = np.nan
    measured = look(depth, region(u, v))
    assert measured.point is not None
    assert measured.covariance is not None
    assert (measured.covariance == measured.covariance.T).all()
    assert (np.linalg.eigvalsh(measured.covariance) > 0).all()
    assert measured.point[2] == pytest.approx(z, rel=0.005)
    assert np.abs(project(CAMERA, measured.point[None])[0] - (u, v)).max() < 12
    # Across the ray at least a pixel's uncertainty, along it the sensor's noise.
    assert measured.covariance[1, 1] >= (measured.point[2] / 525) ** 2 * 0.999
    assert measured.covariance[2, 2] >= (0.0012 + 0.0019 * (measured.point[2] - 0.4) ** 2) ** 2 * 0.999


def test_a_depth_image_of_another_size_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"\(640, 480\), got \(320, 240\)"):
        look(np.ones((240, 320), np.float32), region())


def test_a_region_at_the_images_corner() -> None:
    measured = look(wall(2.0), region(0.0, 479.0))
    assert measured.point is not None
    assert measured.point[2] == pytest.approx(2.0)


def test_planes_are_found_among_outliers_and_not_where_there_are_none() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.uniform(-50, 50, (400, 2))
    inverse = 0.5 + 0.001 * pixels[:, 0] - 0.002 * pixels[:, 1]
    inverse[:150] += 0.3
    np.testing.assert_allclose(background_plane(pixels, 1 / inverse), [0.001, -0.002, 0.5], atol=1e-6)
    assert background_plane(pixels, rng.uniform(0.5, 5, 400)) is None
    assert background_plane(np.zeros((50, 2)), np.ones(50)) is None


@pytest.mark.parametrize("length", [1, 5, 13, 200])
def test_a_histogram_is_smoothed_as_scipy_does(length: int) -> None:
    counts = np.random.default_rng(0).random(length)
    smoothed = np.convolve(counts, surface._GAUSSIAN)[surface._REACH : -surface._REACH]
    np.testing.assert_allclose(smoothed, gaussian_filter1d(counts, surface.SMOOTH, mode="constant"), rtol=1e-12)


def test_the_nearest_surface_needs_support() -> None:
    depth = np.concatenate([np.full(100, 1.0), np.full(300, 2.0), np.full(200, 3.0)])
    weights = np.ones(600)
    assert nearest_surface(depth, weights).sum() == 300
    weights[:100] = 2.0  # two sevenths: an arm before the thing
    assert nearest_surface(depth, weights).sum() == 300
    weights[:100] = 4.0
    assert np.flatnonzero(nearest_surface(depth, weights)).tolist() == list(range(100))


def test_measuring_is_quick() -> None:
    depth, _ = ball_on_table()
    at = region(320.0, 250.0)
    times = []
    for _ in range(20):
        start = time.perf_counter()
        look(depth, at)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.010  # about 2 ms on a busy core; the rest is room for a loaded machine


def test_a_peak_on_an_edge_is_measured_on_a_surface_and_not_between() -> None:
    depth = wall(3.0)
    depth[:, :318] = 1.0
    depth[:, 318:322] = (1.4, 1.8, 2.2, 2.6)
    measured = look(depth, region(320.0, 240.0, radius=2))
    assert measured.point is not None
    assert measured.point[2] == pytest.approx(3.0)


# Boxes and covariances


def rectangle(u: int, v: int, columns: int, rows: int) -> npt.NDArray[np.bool_]:
    """``columns`` by ``rows`` px (odd numbers) around (u, v)."""
    return (np.abs(COLUMNS - u) <= columns // 2) & (np.abs(ROWS - v) <= rows // 2)


PIXEL = 2.0 / 525  # m at 2 m


def test_box_and_covariance_of_a_flat_rectangle_by_hand() -> None:
    # 41x21 px of a wall at 2 m, the peak in the middle, which is half a pixel from the optical axis.
    measured = look(wall(2.0), Region((320.0, 240.0), rectangle(320, 240, 41, 21), 0.9, PATCH))
    assert measured.box is not None
    np.testing.assert_allclose(measured.point, [0.5 * PIXEL, 0.5 * PIXEL, 2.0])
    np.testing.assert_allclose(measured.box.centre, [0.5 * PIXEL, 0.5 * PIXEL, 2.0])
    np.testing.assert_allclose(measured.box.size, [40 * PIXEL, 20 * PIXEL, 0.001])
    assert (measured.box.rotation == np.eye(3)).all()
    # n equally spaced values have the variance (n² − 1)/12; depth is registered to a pixel.
    noise = (0.0012 + 0.0019 * 1.6**2) ** 2
    across = PIXEL**2 * (EXTENT * np.array([140.0, 440 / 12]) + 1) + noise * (0.5 / 525) ** 2
    assert measured.covariance is not None
    np.testing.assert_allclose(np.diag(measured.covariance), [*across, noise], rtol=1e-9)
    np.testing.assert_allclose(measured.covariance[0, 2], noise * 0.5 / 525)


def test_a_peak_beside_the_middle_adds_its_distance_to_the_covariance() -> None:
    mask = rectangle(320, 240, 41, 21)
    centred, beside = (look(wall(2.0), Region((u, 240.0), mask, 0.9, PATCH)) for u in (320.0, 304.0))
    assert centred.covariance is not None
    assert beside.covariance is not None
    np.testing.assert_allclose(beside.point, [-15.5 * PIXEL, 0.5 * PIXEL, 2.0])
    np.testing.assert_allclose(
        beside.covariance[0, 0] - centred.covariance[0, 0], MIDDLE * (16 * PIXEL) ** 2, rtol=1e-3
    )
    assert beside.covariance[1, 1] == pytest.approx(centred.covariance[1, 1])


def from_the_middle(seed: int, u: float, v: float) -> float:
    """Squared Mahalanobis distance of a tilted rectangle's median from the point that is measured near (u, v)."""
    rng = np.random.default_rng(seed)
    depth, mask = wall(3.0), rectangle(320, 240, 2 * rng.integers(5, 120) + 1, 2 * rng.integers(5, 90) + 1)
    depth[mask] = (1.0 + COLUMNS * rng.uniform(-1e-3, 1e-3) + ROWS * rng.uniform(-1e-3, 1e-3))[mask]
    rows, columns = np.nonzero(mask)
    peak = float(np.clip(u, columns.min(), columns.max())), float(np.clip(v, rows.min(), rows.max()))
    measured = look(depth, Region(peak, mask, 0.9, PATCH))
    assert measured.point is not None
    assert measured.covariance is not None
    away = measured.point - np.median((BEARINGS * depth[..., None])[mask], axis=0)
    return float(away @ np.linalg.solve(measured.covariance, away))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), u=st.floats(200, 440), v=st.floats(150, 330))
def test_the_middle_of_what_is_seen_lies_within_the_ellipsoid(seed: int, u: float, v: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(target, "THING_SAMPLES", 10**6)  # the bound is that of all pixels
        assert from_the_middle(seed, u, v) < CHI_SQUARE_95


def test_a_sample_of_the_pixels_says_nearly_the_same_of_the_middle() -> None:
    away = [from_the_middle(seed, 200.0 + 8 * seed, 330.0 - 6 * seed) for seed in range(30)]
    assert np.quantile(away, 0.9) < CHI_SQUARE_95
    assert max(away) < 1.3 * CHI_SQUARE_95


def test_a_box_holds_all_of_the_thing_and_nothing_behind_it() -> None:
    depth = wall(3.0)
    depth[rectangle(320, 220, 41, 41)] = 1.0  # a near wall, a slope, a far wall: a mug from above
    for row in range(241, 261):
        depth[row, 300:341] = 1.0 + 0.01 * (row - 240)
    depth[rectangle(320, 270, 41, 19)] = 1.2
    depth[rectangle(358, 240, 15, 60)] = 1.3  # beside it and 8 cm behind: a jump
    measured = look(depth, region(radius=60.0))
    assert measured.point is not None
    assert measured.box is not None
    assert measured.point[2] == pytest.approx(1.0)
    low, high = measured.box.centre - measured.box.size / 2, measured.box.centre + measured.box.size / 2
    np.testing.assert_allclose((low[2], high[2]), (1.0, 1.2), atol=1e-6)
    assert high[0] < 21 / 525 * 1.2 + 0.002
    assert low[1] == pytest.approx((200 - 239.5) / 525, abs=0.002)


def test_a_box_is_not_widened_by_stray_pixels() -> None:
    depth = wall(3.0)
    depth[rectangle(320, 240, 41, 41)] = 1.0
    depth[240, 280:290] = depth[200:205, 360] = 1.0
    depth[235:240, 318:322] = 1.03
    measured = look(depth, region(radius=60.0))
    assert measured.box is not None
    np.testing.assert_allclose(measured.box.size, [40 / 525, 40 / 525, 0.001], atol=0.003)


def test_what_hangs_together_in_depth() -> None:
    depth = np.array([1.00, 1.02, 1.05, 1.20, 1.23, 0.90])
    nearest = np.array([True, False, False, False, False, False])
    assert unbroken(depth, nearest).tolist() == [True, True, True, False, False, False]
    assert unbroken(depth, depth > 1.1).tolist() == [False, False, False, True, True, False]
    assert unbroken(depth, np.ones(6, dtype=bool)).all()
    assert unbroken(depth[:1], nearest[:1]).tolist() == [True]


def test_a_thing_that_fills_its_surroundings_is_not_its_own_background() -> None:
    depth = wall(3.0)
    depth[disc(320, 240, 52)] = 1.0
    depth[:, 350:366] = 0.8  # in front of its rim
    measured = look(depth, region())
    assert measured.point is not None
    assert measured.point[2] == pytest.approx(1.0)


@pytest.mark.parametrize("z", [1.0, 4.0, 8.0])
def test_a_noisy_wall_is_measured_without_bias(z: float) -> None:
    rng = np.random.default_rng(7)
    sigma = float(depth_noise(np.array(z)))
    errors = []
    for u in range(200, 440, 20):
        depth = (wall(z) + rng.normal(scale=sigma, size=(480, 640))).astype(np.float32)
        measured = look(depth, region(float(u)))
        assert measured.point is not None
        errors.append(measured.point[2] - z)
    assert abs(np.mean(errors)) < 0.25 * sigma


def test_noise_of_the_sensor_by_hand() -> None:
    np.testing.assert_allclose(depth_noise(np.array([0.4, 1.4, 2.4])), [0.0012, 0.0031, 0.0088])


def test_a_lens_that_cannot_be_undone_there_gives_no_point() -> None:
    barrel = CameraIntrinsics(640, 480, 200.0, 200.0, 319.5, 239.5, "plumb_bob", (-0.3, 0.0, 0.0, 0.0, 0.0))
    measured = measure(region(600.0, 240.0, radius=20.0), wall(1.0), barrel, 0.1, 10.0)
    assert (measured.point, measured.box, measured.reason) == (None, None, "no_depth")
    assert measure(region(), wall(1.0), barrel, 0.1, 10.0).reason == "ok"


@pytest.mark.parametrize(
    ("value", "reason"),
    [(np.nan, "no_depth"), (0.0, "no_depth"), (-2.0, "no_depth"), (np.inf, "no_depth"), (-np.inf, "no_depth")],
)
def test_an_image_of_one_pixel(value: float, reason: str) -> None:
    camera = CameraIntrinsics(1, 1, 1.0, 1.0, 0.0, 0.0)
    one = Region((0.0, 0.0), np.ones((1, 1), dtype=bool), 1.0, 1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert measure(one, np.full((1, 1), value, np.float32), camera, 0.1, 10.0).reason == reason
        measured = measure(one, np.full((1, 1), 2.0, np.float32), camera, 0.1, 10.0)
    assert measured.box is not None
    np.testing.assert_allclose(measured.point, [0, 0, 2])
    np.testing.assert_allclose(measured.box.size, 0.001)


def test_nonsense_around_the_thing_does_not_matter() -> None:
    depth = wall(np.inf)
    depth[::2] = -np.inf
    depth[:, ::3] = np.nan
    depth[::5] = 0.0
    depth[disc(320, 240, 20)] = 1.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measured = look(depth, region())
    assert measured.point is not None
    assert measured.point[2] == pytest.approx(1.5)

"""A Kalman filter of places in 3D and in the image, by hand-computed numbers."""

import dataclasses

import numpy as np
import pytest
from film import FIXED, SIZE, Film, seen
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from gem_ros.data import Box
from gem_ros.geometry import association
from gem_ros.geometry.filter import Gaussian, Pixel, distance, fuse, pixel_of, point_of, predict


def test_predict_adds_the_variance_of_a_random_walk():
    state = predict(Gaussian(np.array([1.0, 2.0, 3.0]), np.diag([1.0, 2.0, 3.0])), noise=0.5, seconds=4.0)
    assert state.mean.tolist() == [1, 2, 3]
    assert state.covariance.tolist() == np.diag([2.0, 3.0, 4.0]).tolist()  # 0.5² · 4 = 1


def test_fuse_weighs_each_axis_by_its_variances():
    # K = P / (P + R) = 1/2, 1/4, 3/4; the variance becomes (1 − K) P = 1/2, 3/4, 3/4
    before = Gaussian(np.array([0.0, 0.0, 0.0]), np.diag([1.0, 1.0, 3.0]))
    after = fuse(before, Gaussian(np.array([2.0, 4.0, -4.0]), np.diag([1.0, 3.0, 1.0])))
    np.testing.assert_allclose(after.mean, [1, 1, -3], atol=1e-12)
    np.testing.assert_allclose(after.covariance, np.diag([0.5, 0.75, 0.75]), atol=1e-12)


def test_fuse_adds_information():
    generator = np.random.default_rng(1)
    a, b = (each @ each.T + np.eye(3) for each in generator.normal(size=(2, 3, 3)))
    x, z = generator.normal(size=(2, 3))
    after = fuse(Gaussian(x, a), Gaussian(z, b))
    information = np.linalg.inv(a) + np.linalg.inv(b)
    np.testing.assert_allclose(np.linalg.inv(after.covariance), information, rtol=1e-9)
    expected = np.linalg.solve(information, np.linalg.solve(a, x) + np.linalg.solve(b, z))
    np.testing.assert_allclose(after.mean, expected, rtol=1e-9)


@pytest.mark.parametrize("precise", [1e-5, 1e3])
def test_covariance_stays_positive_definite_through_extreme_measurements(precise):
    flat = np.diag([precise**2, 1e-10, 1e-2])
    turned = Rotation.from_euler("xyz", [0.3, 1.0, -2.0]).as_matrix()
    state = Gaussian(np.zeros(3), np.eye(3))
    for index in range(300):
        measured = turned @ flat @ turned.T if index % 2 else flat
        state = fuse(predict(state, 0.05, 0.1), Gaussian(np.ones(3), (measured + measured.T) / 2))
        np.testing.assert_array_equal(state.covariance, state.covariance.T)
        assert np.linalg.eigvalsh(state.covariance)[0] > 0
    np.testing.assert_allclose(state.mean, 1, atol=0.05)


def test_distance_is_mahalanobis_with_both_covariances():
    state = Gaussian(np.zeros(3), np.diag([3.0, 1.0, 2.0]))
    measured = Gaussian(np.array([2.0, 2.0, 3.0]), np.diag([1.0, 1.0, 1.0]))
    assert distance(state, measured) == pytest.approx(4 / 4 + 4 / 2 + 9 / 3)


def test_distance_is_that_of_a_solved_system():
    generator = np.random.default_rng(5)
    for scale in (1e-5, 1.0, 1e3):
        a, b = (scale**2 * (each @ each.T + 1e-9 * np.eye(3)) for each in generator.normal(size=(2, 3, 3)))
        x, z = scale * generator.normal(size=(2, 3))
        expected = (z - x) @ np.linalg.solve(a + b, z - x)
        assert distance(Gaussian(x, a), Gaussian(z, b)) == pytest.approx(expected, rel=1e-6)


def test_a_pixel_is_filtered_as_a_place_with_one_variance():
    # K = 3 / (3 + 1); a random walk of 0.5 px/√s for 4 s adds 1 px²; (4² + 8²) / (3 + 1)
    state, measured = Pixel(10.0, 20.0, 2.0).predicted(0.5, 4.0), Pixel(14.0, 12.0, 1.0)
    assert state == Pixel(10.0, 20.0, 3.0)
    assert state.fused(measured) == Pixel(13.0, 14.0, 0.75)
    assert state.distance(measured) == 20
    places = [Gaussian(np.array([each.u, each.v, 0]), each.variance * np.eye(3)) for each in (state, measured)]
    assert fuse(*places).mean.tolist() == pytest.approx([13, 14, 0])


def test_gates_are_chi_squared_quantiles():
    assert pytest.approx(chi2.ppf(0.99, 3), abs=1e-3) == association.GATE_POINT
    assert pytest.approx(chi2.ppf(0.99, 2), abs=1e-3) == association.GATE_PIXEL


def test_the_box_adds_which_point_of_it_was_measured():
    quarter = Rotation.from_euler("z", 90, degrees=True).as_matrix()  # the box's x is the frame's y
    box = Box(np.zeros(3), np.array([0.6, 0.0, 0.12]), quarter)
    measured = point_of(seen(0.0, sigma=0.1, box=box))
    np.testing.assert_allclose(measured.covariance, np.diag([0.01, 0.01 + 0.03, 0.01 + 0.0012]), atol=1e-12)


def test_a_box_that_leans_spreads_along_its_own_axis():
    # A stick of 1.2 m along (cos 30, sin 30, 0): 0.12 m² times the outer product of that direction.
    leaning = Rotation.from_euler("z", 30, degrees=True).as_matrix()
    measured = point_of(seen(0.0, sigma=0.1, box=Box(np.zeros(3), np.array([1.2, 0.0, 0.0]), leaning)))
    outer = np.array([[0.75, 0.4330127, 0.0], [0.4330127, 0.25, 0.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(measured.covariance, 0.01 * np.eye(3) + 0.12 * outer, atol=1e-8)


@pytest.mark.parametrize(
    ("region", "variance"),
    [
        (np.ones(SIZE, bool), 48 * 64 / 12),
        (np.eye(48, 64, dtype=bool), 48 / 12),
        (np.arange(48 * 64).reshape(SIZE) == 70, 1.0),  # one pixel
        (np.zeros(SIZE, bool), (0.05 * 64) ** 2),
        (None, (0.05 * 64) ** 2),
    ],
)
def test_a_pixel_is_known_to_its_region(region, variance):
    assert pixel_of(seen(region=region), SIZE[1]) == Pixel(32, 24, pytest.approx(variance))


NO_POINT = {
    "nan": np.diag([np.nan, 1, 1]),
    "infinite": np.diag([np.inf, 1, 1]),
    "zero": np.zeros((3, 3)),
    "singular": np.diag([1.0, 1.0, 0.0]),
    "negative": np.diag([1.0, 1.0, -1.0]),
    "huge": np.eye(3) * 1e300,
    "tiny": np.eye(3) * 1e-300,
    "needle": np.diag([1e5, 1e-9, 1.0]),
}


@pytest.mark.parametrize("covariance", NO_POINT.values(), ids=NO_POINT)
def test_a_covariance_that_says_nothing_counts_as_no_3d(covariance):
    broken = dataclasses.replace(seen(0.0), covariance=covariance)
    assert point_of(broken) is None
    film = Film(FIXED)
    film.show(seen(1.0))
    result = film.show(dataclasses.replace(seen(1.0), covariance=covariance)).targets[0]
    assert (result.track.id, result.track.hits, result.found) == (1, 2, True)
    assert result.track.position.tolist() == [1, 0, 1]
    assert np.linalg.eigvalsh(result.track.covariance)[0] > 0
    assert film.show(seen(1.0)).targets[0].track.hits == 3


@pytest.mark.parametrize("box", [np.full(3, np.nan), np.full(3, 1e200), np.full(3, np.inf)])
def test_a_broken_box_counts_as_no_3d(box):
    assert point_of(seen(0.0, box=Box(np.zeros(3), box, np.eye(3)))) is None


@pytest.mark.parametrize("point", [np.array([np.nan, 0, 1]), np.array([np.inf, 0, 1]), np.array([1e300, 0, 1])])
def test_a_point_that_is_nowhere_counts_as_no_3d(point):
    assert point_of(seen(0.0, point=point)) is None


def test_a_point_without_covariance_counts_as_no_3d():
    assert point_of(seen(0.0, covariance=None)) is None


@pytest.mark.parametrize(("deviation", "fits"), [(1e-5, True), (0.999e-5, False), (1e3, True), (1.001e3, False)])
def test_a_deviation_at_a_limit_is_within_it(deviation, fits):
    turn = Rotation.from_euler("xyz", [0.3, 1.0, -2.0]).as_matrix()
    variances = np.diag([deviation**2, min(deviation, 0.5) ** 2, min(deviation, 0.5) ** 2])
    for covariance in (variances, variances[::-1, ::-1]):
        assert (point_of(seen(0.0, covariance=covariance)) is not None) == fits
    if deviation < 1:
        turned = turn @ (deviation**2 * np.eye(3)) @ turn.T
        assert (point_of(seen(0.0, covariance=turned)) is not None) == fits

"""The camera model against numbers worked out by hand, and as its own inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gem_ros.data import CameraIntrinsics
from gem_ros.errors import GeometryError
from gem_ros.geometry.camera import back_project, project, rays

PINHOLE = CameraIntrinsics(640, 480, 500.0, 400.0, 319.5, 239.5)
DISTORTED = {
    "plumb_bob": (-0.28, 0.07, 0.0002, -0.0003, 0.0),
    "rational_polynomial": (0.6, -2.1, 0.0003, -0.0002, 1.3, 0.5, -1.9, 1.2),
    "equidistant": (-0.01, 0.02, -0.015, 0.004),
}


def camera_of(model: str) -> CameraIntrinsics:
    return CameraIntrinsics(640, 480, 425.0, 426.0, 321.3, 236.9, model, DISTORTED.get(model, ()))


def test_hand_computed_pixels() -> None:
    points = [[0.0, 0.0, 2.0], [0.5, -0.25, 2.0], [-1.278, 0.0, 2.0]]
    assert project(PINHOLE, points).tolist() == [[319.5, 239.5], [444.5, 189.5], [0.0, 239.5]]
    # The centre of a 640-wide image lies between pixels 319 and 320.
    left, right = rays(PINHOLE, [[319.0, 239.5], [320.0, 239.5]])
    np.testing.assert_allclose(left * (-1, 1, 1), right)


def test_hand_computed_points_are_exact() -> None:
    points = back_project(PINHOLE, [[319.5, 239.5], [819.5, 239.5], [319.5, -160.5]], [1.5, 2.0, 3.0])
    assert points.tolist() == [[0.0, 0.0, 1.5], [2.0, 0.0, 2.0], [0.0, -3.0, 3.0]]
    np.testing.assert_allclose(rays(PINHOLE, [[819.5, 239.5]]), [[math.sqrt(0.5), 0, math.sqrt(0.5)]])


def test_hand_computed_plumb_bob() -> None:
    camera = CameraIntrinsics(640, 480, 500.0, 500.0, 319.5, 239.5, "plumb_bob", (-0.2, 0.1, 0.0, 0.0, 0.0))
    # x/z = 0.5: r² = 0.25, factor 1 − 0.2·0.25 + 0.1·0.0625 = 0.95625
    np.testing.assert_allclose(project(camera, [[1.0, 0.0, 2.0]]), [[319.5 + 500 * 0.5 * 0.95625, 239.5]])


def test_an_equidistant_lens_without_coefficients_to_speak_of_is_still_a_fisheye() -> None:
    camera = CameraIntrinsics(640, 480, 300.0, 300.0, 319.5, 239.5, "equidistant", (0.0, 0.0, 0.0, 0.0))
    np.testing.assert_allclose(project(camera, [[1.0, 0.0, 1.0]]), [[319.5 + 300 * math.pi / 4, 239.5]])
    np.testing.assert_allclose(
        rays(camera, [[319.5 + 300 * math.pi / 4, 239.5]]), [[math.sqrt(0.5), 0, math.sqrt(0.5)]]
    )


@pytest.mark.parametrize("model", ["none", *DISTORTED])
@given(u=st.floats(0, 639), v=st.floats(0, 479), depth=st.floats(0.05, 50))
def test_project_undoes_back_project(model: str, u: float, v: float, depth: float) -> None:
    camera = camera_of(model)
    np.testing.assert_allclose(project(camera, back_project(camera, [[u, v]], [depth])), [[u, v]], atol=2e-4)


@pytest.mark.parametrize("model", ["none", *DISTORTED])
def test_bearings_are_unit_and_along_the_points(model: str) -> None:
    camera = camera_of(model)
    pixels = np.stack(np.meshgrid(np.linspace(0, 639, 33), np.linspace(0, 479, 25)), axis=-1).reshape(-1, 2)
    bearings, points = rays(camera, pixels), back_project(camera, pixels, np.full(len(pixels), 2.5))
    np.testing.assert_allclose(np.linalg.norm(bearings, axis=1), 1.0, atol=1e-12)
    np.testing.assert_allclose(bearings * 2.5 / bearings[:, 2:], points, atol=1e-12)
    assert (points[:, 2] == 2.5).all()


def test_what_has_no_answer_is_nan() -> None:
    points = [[0, 0, -1.0], [0, 0, 0.0], [np.nan, 0, 1], [0, 0, 1]]
    assert np.isnan(project(PINHOLE, points)).all(axis=1).tolist() == [True, True, True, False]
    barrel = CameraIntrinsics(640, 480, 200.0, 200.0, 319.5, 239.5, "plumb_bob", (-0.3, 0.0, 0.0, 0.0, 0.0))
    # r(1 − 0.3r²) never exceeds 0.7027: 200 px from the centre lies outside what this lens can show.
    assert np.isnan(rays(barrel, [[519.5, 239.5]])).all()
    assert np.isfinite(rays(barrel, [[419.5, 239.5]])).all()
    assert np.isnan(back_project(PINHOLE, [[1, 2]], [np.nan])).all()


@pytest.mark.parametrize("model", ["none", *DISTORTED])
def test_no_points_give_no_pixels(model: str) -> None:
    camera = camera_of(model)
    assert project(camera, np.empty((0, 3))).shape == rays(camera, np.empty((0, 2)))[:, :2].shape == (0, 2)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fx": 0.0}, "positive focal"),
        ({"fy": math.nan}, "positive focal"),
        ({"fx": -5.0}, "positive focal"),
        ({"cx": math.inf}, "finite"),
        ({"width": 0}, "0x480"),
        ({"distortion_model": "kannala"}, "'kannala'"),
        ({"distortion_model": "plumb_bob", "d": (0.1, 0.2)}, "4 or 5 coefficients"),
        ({"distortion_model": "none", "d": (0.1,)}, "no coefficients"),
        ({"distortion_model": "equidistant", "d": (0.1,) * 5}, "4 coefficients"),
        ({"d": (0.1, math.nan, 0, 0, 0)}, "finite"),
    ],
)
def test_a_camera_that_cannot_be_computed_with_is_refused_in_one_line(changes: dict[str, object], says: str) -> None:
    values = {"width": 640, "height": 480, "fx": 500.0, "fy": 500.0, "cx": 319.5, "cy": 239.5} | changes
    with pytest.raises(GeometryError, match=says) as error:
        rays(CameraIntrinsics(**values), [[1.0, 2.0]])  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(GeometryError, match=r"\(N, 2\), got \(2,\)"):
        rays(PINHOLE, [1.0, 2.0])
    with pytest.raises(GeometryError, match="one depth per pixel, got 3 for 2"):
        back_project(PINHOLE, [[1, 2], [3, 4]], [1, 2, 3])

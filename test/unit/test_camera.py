"""The camera model against numbers worked out by hand, and as its own inverse."""

from __future__ import annotations

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gem_ros.data import CameraIntrinsics
from gem_ros.errors import GeometryError
from gem_ros.geometry.camera import back_project, project, rays
from gem_ros.messages import decode

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


def distorted_by_hand(model: str, x: float, y: float) -> tuple[float, float]:
    """Where (x/z, y/z) is on the normalised image plane: the formulas of OpenCV's documentation, one by one."""
    d = DISTORTED[model]
    if model == "equidistant":  # theta_d = theta(1 + k1 theta^2 + k2 theta^4 + k3 theta^6 + k4 theta^8)
        r = math.hypot(x, y)
        theta = math.atan(r)
        bent = theta * (1 + sum(k * theta ** (2 * n + 2) for n, k in enumerate(d)))
        return bent / r * x, bent / r * y
    k1, k2, p1, p2, k3, k4, k5, k6 = (*d, 0.0, 0.0, 0.0, 0.0)[:8]
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    return (
        x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


@pytest.mark.parametrize("model", DISTORTED)
def test_every_model_agrees_with_its_formula_and_with_opencv(model: str) -> None:
    camera = camera_of(model)
    points = np.array([[0.3, -0.2, 1.0], [-0.9, 0.5, 2.0], [0.05, 0.6, 1.2], [-0.6, -0.4, 1.1]])
    plane = np.array([distorted_by_hand(model, x / z, y / z) for x, y, z in points])
    by_hand = plane * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1.0]])
    library = cv2.fisheye if model == "equidistant" else cv2
    by_opencv = library.projectPoints(points[:, None], np.zeros(3), np.zeros(3), matrix, np.array(camera.d))[0]
    pixels = project(camera, points)
    np.testing.assert_allclose(pixels, by_hand, atol=1e-9)
    np.testing.assert_allclose(pixels, by_opencv.reshape(-1, 2), atol=1e-9)
    np.testing.assert_allclose(back_project(camera, by_hand, points[:, 2]), points, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "d", "point", "plane"),
    [
        # x = 0.5, y = 0.25: r² = 0.3125; 2·p1·xy + p2·(r² + 2x²) = 0.0025 + 0.01625, and 0.004375 + 0.005 for y
        ("plumb_bob", (0.0, 0.0, 0.01, 0.02), (0.5, 0.25), (0.51875, 0.259375)),
        # x = 0.5: r² = 0.25; (1 + 0.1·0.25) / (1 + 0.2·0.25) = 1.025 / 1.05
        ("rational_polynomial", (0.1, 0.0, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0), (0.5, 0.0), (0.5 * 1.025 / 1.05, 0.0)),
        # thin prism: s1·r² + s2·r⁴ for x, s3·r² + s4·r⁴ for y
        (
            "rational_polynomial",
            (0.0,) * 8 + (0.1, 0.2, 0.3, 0.4),
            (0.5, 0.0),
            (0.5 + 0.1 * 0.25 + 0.2 * 0.0625, 0.3 * 0.25 + 0.4 * 0.0625),
        ),
        # x = 1: theta = π/4
        ("equidistant", (0.1, 0.0, 0.0, 0.0), (1.0, 0.0), (math.pi / 4 * (1 + 0.1 * math.pi**2 / 16), 0.0)),
    ],
)
def test_hand_computed_distortion(
    model: str, d: tuple[float, ...], point: tuple[float, float], plane: tuple[float, float]
) -> None:
    camera = CameraIntrinsics(640, 480, 500.0, 400.0, 319.5, 239.5, model, d)
    expected = [[319.5 + 500 * plane[0], 239.5 + 400 * plane[1]]]
    np.testing.assert_allclose(project(camera, [[2 * point[0], 2 * point[1], 2.0]]), expected)
    np.testing.assert_allclose(back_project(camera, expected, [2.0])[0, :2], [2 * point[0], 2 * point[1]], atol=1e-6)


def camera_info(model: str, binning: tuple[int, int] = (1, 1), roi: tuple[int, int, int, int] = (0, 0, 0, 0)) -> object:
    """A message of :func:`camera_of`; ``roi`` is x, y, width, height in px of the full image."""
    camera = camera_of(model)
    return SimpleNamespace(
        width=640,
        height=480,
        distortion_model=camera.distortion_model,
        d=list(camera.d),
        k=[camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1],
        binning_x=binning[0],
        binning_y=binning[1],
        roi=SimpleNamespace(x_offset=roi[0], y_offset=roi[1], width=roi[2], height=roi[3], do_rectify=False),
    )


@pytest.mark.parametrize("model", DISTORTED)
@pytest.mark.parametrize(
    ("binning", "roi"), [((1, 1), (100, 40, 200, 160)), ((2, 4), (0, 0, 0, 0)), ((2, 2), (100, 40, 200, 160))]
)
def test_a_cut_out_and_binned_camera_sees_the_rays_of_the_full_one(
    model: str, binning: tuple[int, int], roi: tuple[int, int, int, int]
) -> None:
    full, part = decode.camera_info(camera_info(model)), decode.camera_info(camera_info(model, binning, roi))
    across, down = binning
    rows, columns = np.indices((part.height, part.width))[:, ::7, ::7].reshape(2, -1)
    # A binned pixel is the mean of a block of full ones: its centre is that of the block.
    centres = [
        [roi[0] + np.mean(range(across * u, across * u + across)), roi[1] + np.mean(range(down * v, down * v + down))]
        for u, v in zip(columns, rows, strict=True)
    ]
    mine = rays(part, np.column_stack([columns, rows]))
    assert np.isfinite(mine).all()
    np.testing.assert_allclose(mine, rays(full, centres), atol=1e-9)


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
        ({"distortion_model": "equidistant", "d": (0.0,) * 5}, "4 coefficients"),
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

"""Rendered scenes against geometry worked by hand; needs EGL or OSMesa."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gem_ros.data import CameraIntrinsics
from gem_ros.errors import SimulationError
from gem_ros.geometry.camera import back_project
from gem_ros.sim.render import Frame, Renderer
from gem_ros.sim.scene import BACKGROUND_ID, Light, Scene, SceneObject, Surface, look_at

EYE = np.array([0.0, -2.0, 0.5])
BALL = SceneObject("ball", "red", (0.9, 0.05, 0.05), (0.0, 0.0, 0.25), 0.5)  # radius 0.25 m, centre at z = 0.5


@pytest.fixture(scope="module")
def rendered() -> tuple[Frame, CameraIntrinsics]:
    floor = Surface("floor", (0, 0, -0.05), (4, 4, 0.05), (0.5, 0.5, 0.5))
    scene = Scene((BALL,), (floor,), (Light((0, -2, 3), (0, 0.6, -0.8), 0.6),), fovy=50.0)
    try:
        with Renderer(161, 121) as renderer:
            renderer.load(scene)
            return renderer.render(look_at(EYE, np.array([0.0, 0.0, 0.5]))), renderer.intrinsics(scene)
    except SimulationError as error:
        pytest.skip(str(error))


def test_depth_is_metric_along_the_optical_axis(rendered: tuple[Frame, CameraIntrinsics]) -> None:
    frame, _ = rendered
    assert frame.depth[60, 80] == pytest.approx(2.0 - 0.25, abs=2e-3)


def test_masks_name_what_is_there(rendered: tuple[Frame, CameraIntrinsics]) -> None:
    frame, camera = rendered
    assert frame.instances[60, 80] == 0 and frame.instances[115, 80] == BACKGROUND_ID["floor"]
    assert frame.instances[2, 80] == BACKGROUND_ID["sky"] and np.isinf(frame.depth[2, 80])
    # a sphere of radius r at distance d covers pi (f r / sqrt(d^2 - r^2))^2 pixels
    area = np.pi * (camera.fx * 0.25 / np.sqrt(4 - 0.0625)) ** 2
    assert np.count_nonzero(frame.instances == 0) == pytest.approx(area, rel=0.03)


def test_back_projected_ball_is_a_ball(rendered: tuple[Frame, CameraIntrinsics]) -> None:
    frame, camera = rendered
    rows, columns = np.nonzero(frame.instances == 0)
    points = back_project(camera, np.stack([columns, rows], 1).astype(float), frame.depth[rows, columns].astype(float))
    radius = np.linalg.norm(points - [0.0, 0.0, 2.0], axis=1)
    assert np.median(np.abs(radius - 0.25)) < 2e-3


def test_colour_is_the_objects(rendered: tuple[Frame, CameraIntrinsics]) -> None:
    red, green, blue = rendered[0].rgb[60, 80].astype(int)
    assert red > 2 * green and red > 2 * blue


def test_no_renderer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def blocked(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("mujoco"):
            raise ImportError("blocked")
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", blocked)
    with pytest.raises(SimulationError, match=r"expected MuJoCo, got blocked; install it with"):
        Renderer(32, 32)


@pytest.mark.slow
def test_sample_bag_is_made_again(tmp_path: Path) -> None:
    from gem_ros.replay.truth import load_truth
    from gem_ros.sim.tabletop import record

    try:
        record(tmp_path / "tabletop")
    except SimulationError as error:
        pytest.skip(str(error))
    made, shipped = load_truth(tmp_path / "tabletop"), load_truth(Path(__file__).parents[2] / "data" / "tabletop")
    assert made.frames.keys() == shipped.frames.keys()
    for stamp, sightings in made.frames.items():
        for mine, theirs in zip(sightings, shipped.frames[stamp], strict=True):
            assert np.linalg.norm(mine.surface - theirs.surface) < 5e-3

"""Scenes without rendering: shapes, colours, poses, reproducibility."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from gem_ros.sim.random_scene import random_scene
from gem_ros.sim.scene import look_at
from gem_ros.sim.shapes import SHAPES
from gem_ros.sim.textures import random_texture
from gem_ros.sim.vocabulary import COLOURS, KINDS, sample_colour


def test_every_kind_has_a_shape() -> None:
    assert set(SHAPES) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_meshes_are_closed_and_face_outwards(kind: str) -> None:
    for part in SHAPES[kind](np.random.default_rng(3)):
        if part.vertices is None or part.faces is None:
            assert all(size > 0 for size in part.size)
            continue
        corners = part.vertices[part.faces]
        volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
        assert volume > 0, "faces point inwards"


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_stand_on_the_ground(kind: str) -> None:
    lowest = []
    for part in SHAPES[kind](np.random.default_rng(5)):
        if part.vertices is not None:
            lowest.append(part.vertices[:, 2].min())
        else:
            lowest.append(part.position[2] - part.size[{"sphere": 0, "cylinder": 1, "box": 2}[part.geom]])
    assert min(lowest) == pytest.approx(0.0, abs=1e-9)


def test_colours_do_not_overlap() -> None:
    """Red is never orange, yellow never green: hues of the chromatic names keep apart."""
    rng = np.random.default_rng(0)
    hues = {name: [colorsys.rgb_to_hsv(*sample_colour(name, rng))[0] * 360 for _ in range(200)] for name in COLOURS}
    for first, second in (("orange", "yellow"), ("yellow", "green"), ("green", "cyan"), ("cyan", "blue")):
        assert max(hues[first]) < min(hues[second])
    values = {name: [max(sample_colour(name, rng)) for _ in range(200)] for name in ("black", "gray", "white")}
    assert max(values["black"]) < min(values["gray"]) and max(values["gray"]) < min(values["white"])


def test_look_at_points_the_optical_axis_and_keeps_down_down() -> None:
    pose = look_at(np.array([1.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.0]))
    np.testing.assert_allclose(pose[:3, 2], np.array([-1.0, 0.0, -1.0]) / np.sqrt(2), atol=1e-12)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1.0)
    assert pose[2, 1] < 0, "the image's y axis points down in the world"


def test_random_scenes_repeat_by_seed_and_differ_between_seeds() -> None:
    first, again, other = (random_scene(np.random.default_rng(seed)) for seed in (7, 7, 8))
    assert first.objects == again.objects
    np.testing.assert_array_equal(first.cameras[0], again.cameras[0])
    assert first.objects != other.objects


def test_random_scenes_cover_what_they_promise() -> None:
    rng = np.random.default_rng(1)
    scenes = [random_scene(rng) for _ in range(300)]
    assert {thing.kind for scene in scenes for thing in scene.objects} == set(KINDS)
    assert {thing.colour for scene in scenes for thing in scene.objects} == set(COLOURS)
    assert {len(scene.objects) for scene in scenes} == set(range(1, 7))
    twins = [len({thing.colour for thing in scene.objects}) < len(scene.objects) for scene in scenes]
    assert 0.2 < np.mean(twins) < 0.9


def test_textures_are_valid_pictures() -> None:
    rng = np.random.default_rng(2)
    for _ in range(30):
        colour, texture, repeat = random_texture(rng)
        assert all(0 <= channel <= 1 for channel in colour) and repeat > 0
        assert texture is None or (texture.shape == (128, 128, 3) and texture.dtype == np.uint8)

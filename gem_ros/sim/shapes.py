"""Kinds of objects as lists of parts: boxes, spheres, cylinders, and surfaces of revolution as meshes.

Every shape stands on z = 0, is centred on the z axis, about one unit tall or wide, and is scaled by
the scene. Proportions vary with the random generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
SEGMENTS = 28


@dataclass(frozen=True, eq=False)
class Part:
    """``geom`` is box, sphere, cylinder (with MuJoCo's half ``size``) or mesh (with vertices, faces)."""

    geom: str
    size: tuple[float, ...] = ()
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    vertices: Array | None = None
    faces: npt.NDArray[np.int32] | None = None
    shade: float = 1.0


def revolve(profile: list[tuple[float, float]], segments: int = SEGMENTS) -> Part:
    """The surface swept by a closed (radius, z) polygon around z; counter-clockwise profile faces out."""
    ring, count = np.array(profile), len(profile)
    angles = np.linspace(0.0, 2 * np.pi, segments, endpoint=False)
    vertices = np.stack(
        [
            np.outer(np.cos(angles), ring[:, 0]),
            np.outer(np.sin(angles), ring[:, 0]),
            np.tile(ring[:, 1], (segments, 1)),
        ],
        axis=-1,
    ).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(segments), np.arange(count), indexing="ij")
    here, up = i * count + j, i * count + (j + 1) % count
    right, diagonal = (i + 1) % segments * count + j, (i + 1) % segments * count + (j + 1) % count
    faces = np.concatenate([np.stack([here, right, diagonal], -1), np.stack([here, diagonal, up], -1)])
    return _mesh(vertices, faces.reshape(-1, 3))


def _mesh(vertices: Array, faces: npt.NDArray[Any]) -> Part:
    """Drop degenerate faces (points on the axis)."""
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return Part("mesh", vertices=vertices, faces=faces[area > 1e-9].astype(np.int32))


def _prism(vertices: list[tuple[float, float, float]], faces: list[tuple[int, int, int]]) -> Part:
    return _mesh(np.array(vertices), np.array(faces))


def _torus(radius: float, tube: float, squash: float = 1.0) -> list[tuple[float, float]]:
    angles = np.linspace(0.0, 2 * np.pi, 16, endpoint=False)
    return [(radius + tube * np.cos(a), squash * tube * (1 + np.sin(a))) for a in angles]


def cube(rng: np.random.Generator) -> list[Part]:
    x, y, z = 0.5 * rng.uniform(0.85, 1.15, 3)
    return [Part("box", (x, y, z), (0, 0, z))]


def ball(rng: np.random.Generator) -> list[Part]:
    return [Part("sphere", (0.5,), (0, 0, 0.5))]


def cylinder(rng: np.random.Generator) -> list[Part]:
    radius, half = rng.uniform(0.22, 0.42), rng.uniform(0.35, 0.6)
    return [Part("cylinder", (radius, half), (0, 0, half))]


def cone(rng: np.random.Generator) -> list[Part]:
    return [revolve([(0.0, 0.0), (rng.uniform(0.32, 0.55), 0.0), (0.0, rng.uniform(0.85, 1.25))])]


def pyramid(rng: np.random.Generator) -> list[Part]:
    a, height = rng.uniform(0.42, 0.62), rng.uniform(0.75, 1.15)
    corners = [(-a, -a, 0.0), (a, -a, 0.0), (a, a, 0.0), (-a, a, 0.0), (0.0, 0.0, height)]
    return [_prism(corners, [(0, 2, 1), (0, 3, 2), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)])]


def ring(rng: np.random.Generator) -> list[Part]:
    return [revolve(_torus(0.5, rng.uniform(0.1, 0.2), rng.uniform(0.8, 1.1)))]


def mug(rng: np.random.Generator) -> list[Part]:
    radius, height, wall = rng.uniform(0.34, 0.46), rng.uniform(0.8, 1.05), 0.05
    cup = revolve(
        [
            (0.0, 0.0),
            (radius * rng.uniform(0.75, 1.0), 0.0),
            (radius, height),
            (radius - wall, height),
            (radius - wall, 0.08),
            (0.0, 0.08),
        ]
    )
    return [cup, _handle(radius, height, rng.uniform(0.22, 0.32), rng.uniform(0.045, 0.075))]


def _handle(radius: float, height: float, reach: float, tube: float) -> Part:
    """Half a ring in the x-z plane on the side of a cup."""
    arc, around = np.linspace(-np.pi / 2, np.pi / 2, 9), np.linspace(0, 2 * np.pi, 8, endpoint=False)
    a, b = np.meshgrid(arc, around, indexing="ij")
    x = radius * 0.92 + (reach + tube * np.cos(b)) * np.cos(a)
    z = height / 2 + (reach + tube * np.cos(b)) * np.sin(a)
    vertices = np.stack([x, tube * np.sin(b), z], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
    here, side, ahead, diagonal = i * 8 + j, i * 8 + (j + 1) % 8, (i + 1) * 8 + j, (i + 1) * 8 + (j + 1) % 8
    faces = np.concatenate([np.stack([here, side, diagonal], -1), np.stack([here, diagonal, ahead], -1)])
    return _mesh(vertices, faces.reshape(-1, 3))


def bottle(rng: np.random.Generator) -> list[Part]:
    radius, neck = rng.uniform(0.16, 0.24), rng.uniform(0.05, 0.085)
    shoulder, top = rng.uniform(0.55, 0.75), rng.uniform(0.95, 1.2)
    body = revolve([(0, 0), (radius, 0), (radius, shoulder), (neck, shoulder + 0.17), (neck, top), (0, top)])
    cap = Part("cylinder", (neck * 1.25, 0.04), (0, 0, top + 0.02), shade=rng.uniform(0.5, 1.0))
    return [body, cap]


def table(rng: np.random.Generator) -> list[Part]:
    half, height, thickness = rng.uniform(0.45, 0.7), rng.uniform(0.6, 0.9), rng.uniform(0.03, 0.06)
    depth = half * rng.uniform(0.6, 1.0)
    if rng.random() < 0.3:
        top = Part("cylinder", (half, thickness), (0, 0, height - thickness))
        return [
            top,
            Part("cylinder", (0.06, height / 2), (0, 0, height / 2)),
            Part("cylinder", (half * 0.5, 0.02), (0, 0, 0.02)),
        ]
    top = Part("box", (half, depth, thickness), (0, 0, height - thickness))
    return [top, *_legs(half * 0.88, depth * 0.88, height - thickness, rng.uniform(0.03, 0.06))]


def chair(rng: np.random.Generator) -> list[Part]:
    half, seat, back = rng.uniform(0.24, 0.32), rng.uniform(0.42, 0.5), rng.uniform(0.45, 0.6)
    parts = [Part("box", (half, half, 0.03), (0, 0, seat))]
    parts += _legs(half * 0.86, half * 0.86, seat, rng.uniform(0.02, 0.04))
    if rng.random() < 0.6:
        return [*parts, Part("box", (half, 0.025, back / 2), (0, -half + 0.025, seat + back / 2))]
    posts = [
        Part("box", (0.025, 0.025, back / 2), (x, -half + 0.025, seat + back / 2)) for x in (-half * 0.9, half * 0.9)
    ]
    slats = [Part("box", (half, 0.02, 0.05), (0, -half + 0.025, seat + back * f)) for f in (0.5, 0.92)]
    return parts + posts + slats


def _legs(x: float, y: float, height: float, half: float) -> list[Part]:
    return [Part("box", (half, half, height / 2), (sx * x, sy * y, height / 2)) for sx in (-1, 1) for sy in (-1, 1)]


SHAPES: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    "cube": cube,
    "ball": ball,
    "cylinder": cylinder,
    "cone": cone,
    "mug": mug,
    "bottle": bottle,
    "chair": chair,
    "table": table,
    "pyramid": pyramid,
    "ring": ring,
}

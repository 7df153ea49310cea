"""Random rooms with random things, randomised widely: what the bundled model is trained and measured on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.sim.scene import Light, Scene, SceneObject, Surface, look_at
from gem_ros.sim.shapes import SHAPES
from gem_ros.sim.textures import random_texture
from gem_ros.sim.vocabulary import COLOURS, KINDS, sample_colour

Array = npt.NDArray[np.float64]


def random_scene(rng: np.random.Generator, *, views: int = 3, same_colour: float = 0.35) -> Scene:
    """A room or an open floor with 1–6 objects, randomised widely; ``views`` cameras that look at objects.

    With probability ``same_colour`` one more object takes the colour (or, less often, the kind) of
    another, so that colour alone does not decide.
    """
    on_table = rng.random() < 0.45
    height = rng.uniform(0.5, 0.9) if on_table else 0.0
    surfaces, room = _random_room(rng, height)
    objects = _random_objects(rng, height, same_colour)
    dark = rng.random() < 0.12
    lights = tuple(_random_light(rng, dark, shadow=index == 0) for index in range(rng.integers(1, 4)))
    sky = tuple(tuple(rng.uniform(0.2, 1.0, 3)) for _ in range(2))
    scene = Scene(
        objects,
        surfaces,
        lights,
        ambient=rng.uniform(0.03, 0.12) if dark else rng.uniform(0.1, 0.5),
        headlight=rng.uniform(0.0, 0.1) if dark else rng.choice([0.0, rng.uniform(0.1, 0.5)]),
        sky=(sky[0], sky[1]),
        fovy=float(np.degrees(2 * np.arctan(0.75 * np.tan(np.radians(rng.uniform(45, 80)) / 2)))),
    )
    return replace(scene, cameras=tuple(_random_camera(rng, objects, height, room) for _ in range(views)))


def _random_room(rng: np.random.Generator, table: float) -> tuple[tuple[Surface, ...], float]:
    room = rng.uniform(1.8, 4.5)
    surfaces = [Surface("floor", (0, 0, -0.05), (room + 4, room + 4, 0.05), *random_texture(rng))]
    if rng.random() < 0.75:
        height = rng.uniform(1.0, 1.6)
        paint, other = random_texture(rng), random_texture(rng)
        same = rng.random() < 0.6
        for axis in range(4):
            along = axis % 2
            sign = 1 if axis < 2 else -1
            centre = (sign * room, 0.0, height) if along == 0 else (0.0, sign * room, height)
            half = (0.05, room, height) if along == 0 else (room, 0.05, height)
            surfaces.append(Surface("wall", centre, half, *(paint if same or along else other)))
        for _ in range(rng.integers(0, 3)):
            surfaces.append(_random_panel(rng, room, height))
    if table:
        wide, deep = rng.uniform(0.5, 0.9, 2)
        surfaces.append(Surface("table top", (0, 0, table - 0.025), (wide, deep, 0.025), *random_texture(rng)))
        legs = sample_colour(rng.choice(COLOURS), rng)
        for sx, sy in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
            centre = (sx * (wide - 0.05), sy * (deep - 0.05), table / 2 - 0.03)
            surfaces.append(Surface("other", centre, (0.03, 0.03, table / 2 - 0.03), legs))
    return tuple(surfaces), room


def _random_panel(rng: np.random.Generator, room: float, height: float) -> Surface:
    """A picture, door or shelf on a wall: something the vocabulary has no word for."""
    half = (rng.uniform(0.1, 0.6), 0.02, rng.uniform(0.1, 0.6))
    centre = (rng.uniform(-room, room) * 0.8, (room - 0.06) * rng.choice([-1, 1]), rng.uniform(0.4, 2 * height - 0.4))
    if rng.random() < 0.5:
        half, centre = (half[1], half[0], half[2]), (centre[1], centre[0], centre[2])
    return Surface("wall", centre, half, *random_texture(rng))


def _random_objects(rng: np.random.Generator, height: float, same_colour: float) -> tuple[SceneObject, ...]:
    count = int(rng.integers(1, 7))
    reach = 0.42 if height else rng.uniform(0.4, 1.1)
    scale = rng.uniform(0.1, 0.24) if height else rng.uniform(0.14, 0.5)
    objects: list[SceneObject] = []
    spots: list[tuple[float, float, float]] = []
    for _ in range(count):
        kind, colour = str(rng.choice(KINDS)), str(rng.choice(COLOURS))
        if objects and rng.random() < same_colour:
            twin = objects[rng.integers(len(objects))]
            kind, colour = (twin.kind, colour) if rng.random() < 0.25 else (kind, twin.colour)
        size = float(scale * rng.uniform(0.7, 1.4) * (1.5 if kind in ("chair", "table") and not height else 1.0))
        for _ in range(20):
            x, y = rng.uniform(-reach, reach, 2)
            if all(np.hypot(x - a, y - b) > 0.55 * (size + s) for a, b, s in spots):
                spots.append((x, y, size))
                objects.append(_place(rng, kind, colour, (x, y, height), size))
                break
    return tuple(objects)


def _place(
    rng: np.random.Generator, kind: str, colour: str, foot: tuple[float, float, float], size: float
) -> SceneObject:
    tilt, lift, seed = 0.0, 0.0, int(rng.integers(2**31))
    lying = {"cylinder": 0.25, "bottle": 0.2, "cone": 0.08, "mug": 0.08}
    if kind in lying and rng.random() < lying[kind]:
        tilt = np.pi / 2
    if kind == "ring" and rng.random() < 0.35:
        tilt = np.pi / 2
    if tilt:  # on its side: lift by the half width so that it does not sink
        corners = [_extent(part) for part in SHAPES[kind](np.random.default_rng(seed))]
        lift = size * max(corners)
    return SceneObject(
        kind,
        colour,
        sample_colour(colour, rng),
        (foot[0], foot[1], foot[2] + lift),
        size,
        yaw=rng.uniform(0, 2 * np.pi),
        tilt=tilt,
        seed=seed,
        shininess=rng.uniform(0.0, 0.8),
    )


def _extent(part: Any) -> float:
    return float(part.vertices[:, 1].max()) if part.vertices is not None else float(part.size[0])


def _random_light(rng: np.random.Generator, dark: bool, shadow: bool) -> Light:
    """At most one lamp casts shadows: each costs a pass of the renderer."""
    x, y = rng.uniform(-2, 2, 2)
    z = rng.uniform(1.5, 3.0)
    aim = np.array([rng.uniform(-0.6, 0.6) - x, rng.uniform(-0.6, 0.6) - y, -z])
    aim /= np.linalg.norm(aim)
    strength = rng.uniform(0.05, 0.2) if dark else rng.uniform(0.25, 0.8)
    return Light((x, y, z), (aim[0], aim[1], aim[2]), strength, rng.random() < 0.4, shadow and rng.random() < 0.7)


def _random_camera(rng: np.random.Generator, objects: tuple[SceneObject, ...], height: float, room: float) -> Array:
    thing = objects[rng.integers(len(objects))]
    centre = np.add(thing.position, (0.0, 0.0, 0.4 * thing.size))
    for _ in range(50):
        distance = float(np.exp(rng.uniform(np.log(0.3), np.log(3.0))))
        distance = max(distance, 1.3 * thing.size)
        azimuth, elevation = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(4, 65))
        eye = centre + distance * np.array(
            [np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)]
        )
        clear = all(np.linalg.norm(eye - np.array(o.position) - [0, 0, o.size / 2]) > 0.9 * o.size for o in objects)
        if clear and np.abs(eye[:2]).max() < room - 0.15 and eye[2] > height + 0.05:
            break
    aim = centre + rng.normal(0.0, 0.14, 3) * distance
    return look_at(eye, aim, rng.normal(0.0, 0.05))

"""Rendered frames on disk for training and for held-out numbers, reproducible by seed.

A folder of shards; each is an ``.npz`` of ``rgb`` (N, H, W, 3) uint8, ``instances`` (N, H, W) uint8
(object index or background id) and ``objects`` (N, 6, 2) int8 (kind, colour indices; −1 where none).
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.sim.random_scene import random_scene
from gem_ros.sim.render import Frame, Renderer
from gem_ros.sim.scene import Scene
from gem_ros.sim.vocabulary import COLOURS, KINDS

WIDTH, HEIGHT = 256, 192
MAX_OBJECTS = 6
SHARD = 480
HELD_OUT_SEED = 1_000_000  # shards from here on are never trained on


def object_table(scene: Scene) -> npt.NDArray[np.int8]:
    """(6, 2) int8 kind and colour indices of the scene's objects, −1 where there is none."""
    table = np.full((MAX_OBJECTS, 2), -1, np.int8)
    for index, thing in enumerate(scene.objects):
        table[index] = KINDS.index(thing.kind), COLOURS.index(thing.colour)
    return table


def random_frames(
    seed: int, count: int, width: int = WIDTH, height: int = HEIGHT, views: int = 4
) -> Iterator[tuple[Scene, Frame]]:
    """``count`` frames of random scenes, ``views`` of each, the same for the same seed."""
    rng = np.random.default_rng(seed)
    with Renderer(width, height, shadow_size=512) as renderer:
        done = 0
        while done < count:
            scene = random_scene(rng, views=views)
            renderer.load(scene)
            for pose in scene.cameras[: count - done]:
                yield scene, renderer.render(pose)
                done += 1


def write_shard(task: tuple[Path, int]) -> Path:
    """Render one shard unless it is there; written under another name first, so that a stop leaves no half."""
    folder, seed = task
    path = folder / f"{seed:08d}.npz"
    if not path.exists():
        pairs = list(random_frames(seed, SHARD))
        arrays: dict[str, Any] = {
            "rgb": np.stack([frame.rgb for _, frame in pairs]),
            "instances": np.stack([frame.instances for _, frame in pairs]),
            "objects": np.stack([object_table(scene) for scene, _ in pairs]),
        }
        half = path.with_suffix(".part.npz")
        np.savez(half, **arrays)
        half.rename(path)
    return path


def render_dataset(folder: Path, frames: int, first_seed: int = 0, workers: int = 2) -> Iterator[Path]:
    """Render at least ``frames`` frames into ``folder``; shards that exist are kept. Yields each shard."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [(folder, first_seed + index) for index in range(-(-frames // SHARD))]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(write_shard, tasks)

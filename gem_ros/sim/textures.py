"""Procedural floor and wall coverings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from gem_ros.sim.vocabulary import COLOURS, sample_colour

RGB = tuple[float, float, float]
SIZE = 128


def random_texture(rng: np.random.Generator) -> tuple[RGB, npt.NDArray[np.uint8] | None, float]:
    """(colour, texture (128, 128, 3) uint8 or None, repeats per metre) of a random covering.

    About a third are plain; colours are muted or, as often, saturated, so that an object's colour may
    be the floor's.
    """
    first, second = _paint(rng), _paint(rng)
    if rng.random() < 0.35:
        return first, None, 1.0
    near = rng.random() < 0.6  # a subtle pattern of one colour rather than two colours
    other = tuple(np.clip(np.array(first) * rng.uniform(0.6, 1.25), 0, 1)) if near else second
    weight = PATTERNS[rng.integers(len(PATTERNS))](rng)[..., None]
    blend = weight * np.array(first) + (1 - weight) * np.array(other)
    blend = blend + rng.normal(0.0, rng.uniform(0.0, 0.04), blend.shape)
    texture = (255 * np.clip(blend, 0, 1)).astype(np.uint8)
    return (1.0, 1.0, 1.0), texture, float(np.exp(rng.uniform(np.log(0.3), np.log(4.0))))


def _paint(rng: np.random.Generator) -> RGB:
    if rng.random() < 0.45:
        return sample_colour(str(rng.choice(COLOURS)), rng)
    base, tint = rng.uniform(0.15, 0.95), rng.normal(0.0, 0.08, 3)
    r, g, b = np.clip(base + tint, 0, 1)
    return (r, g, b)


def _checker(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    cells = int(rng.integers(1, 5)) * 2
    index = np.arange(SIZE) * cells // SIZE
    return ((index[:, None] + index) % 2).astype(float)


def _stripes(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    wave = np.sin(np.arange(SIZE) * 2 * np.pi * rng.integers(1, 9) / SIZE)
    rows = np.tile((wave > rng.uniform(-0.8, 0.8)).astype(float), (SIZE, 1))
    return rows if rng.random() < 0.5 else rows.T


def _noise(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    stretch = rng.choice([1.0, 1.0, 8.0])  # long grains look like wood
    sigma = float(np.exp(rng.uniform(np.log(0.7), np.log(10.0))))
    field = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)), (sigma, sigma * stretch), mode="wrap")
    spread = np.abs(field).max() + 1e-9
    return np.asarray(0.5 + 0.5 * field / spread)


def _tiles(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    cells, joint = int(rng.integers(1, 5)), rng.uniform(0.02, 0.1)
    phase = (np.arange(SIZE) * cells / SIZE) % 1.0
    line = (phase > joint).astype(float)
    shade = rng.uniform(0.7, 1.0, (cells, cells)).repeat(SIZE // cells + 1, 0).repeat(SIZE // cells + 1, 1)
    return np.asarray(np.minimum.outer(line, line) * shade[:SIZE, :SIZE])


PATTERNS = (_checker, _stripes, _noise, _noise, _tiles)

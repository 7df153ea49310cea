"""What the simulated world contains and how it is named; the bundled model knows these words only."""

from __future__ import annotations

import colorsys

import numpy as np

KINDS = ("cube", "ball", "cylinder", "cone", "mug", "bottle", "chair", "table", "pyramid", "ring")
COLOURS = (
    "red",
    "green",
    "blue",
    "yellow",
    "orange",
    "purple",
    "white",
    "black",
    "cyan",
    "pink",
    "brown",
    "gray",
)
BACKGROUNDS = ("floor", "wall", "table top", "sky", "background")
CANONICAL = ("object", "things", "stuff", "texture")
SYNONYMS = {
    "cube": ("box", "block"),
    "ball": ("sphere",),
    "mug": ("cup",),
    "ring": ("torus",),
    "gray": ("grey",),
    "purple": ("violet",),
}

# Hue in degrees (low, high), saturation and value in [0, 1]: what people call by that name.
_HSV = {
    "red": ((-8, 8), (0.8, 1.0), (0.6, 1.0)),
    "orange": ((22, 36), (0.85, 1.0), (0.85, 1.0)),
    "yellow": ((50, 62), (0.75, 1.0), (0.8, 1.0)),
    "green": ((95, 145), (0.6, 1.0), (0.45, 1.0)),
    "cyan": ((175, 190), (0.7, 1.0), (0.75, 1.0)),
    "blue": ((212, 244), (0.75, 1.0), (0.5, 1.0)),
    "purple": ((268, 295), (0.6, 1.0), (0.4, 0.8)),
    "pink": ((312, 348), (0.3, 0.62), (0.9, 1.0)),
    "brown": ((16, 30), (0.55, 0.85), (0.28, 0.52)),
    "white": ((0, 360), (0.0, 0.06), (0.9, 1.0)),
    "gray": ((0, 360), (0.0, 0.06), (0.35, 0.62)),
    "black": ((0, 360), (0.0, 0.3), (0.02, 0.12)),
}


def sample_colour(name: str, rng: np.random.Generator) -> tuple[float, float, float]:
    """A random RGB in [0, 1] that people would call ``name``."""
    hue, saturation, value = (rng.uniform(*limits) for limits in _HSV[name])
    return colorsys.hsv_to_rgb((hue % 360) / 360, saturation, value)

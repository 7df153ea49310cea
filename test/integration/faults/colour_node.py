"""The real node with a grounder that needs no model: it looks for a colour, and the real geometry places it.

``red`` is what is redder than green or blue, ``bright`` whatever is not dark.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from stub_grounding_node import StubGrounder

from gem_ros.data import Grounding, PatchFeatures, Target
from gem_ros.geometry.camera import project, rays
from gem_ros.geometry.registration import register
from gem_ros.geometry.target import find_regions, measure
from gem_ros.ros.main import main

PATCHES = 8  # in a row
GAIN = 2.0  # what half of the full range is counts as certain


class ColourGrounder(StubGrounder):
    def encode_images(self, images, *, config=None):
        return [PatchFeatures(rgb.astype(np.float32) / 255, rgb.shape[:2]) for rgb in images]

    def ground(self, features, queries, *, image, depth=None, camera=None, missing=None, config=None):
        beside = register(features.image_size, depth, camera, missing)
        maps = np.stack([_evidence(query.text, features.tokens) for query in queries])
        targets = []
        for index, (query, evidence) in enumerate(zip(queries, maps, strict=True)):
            threshold = config.presence_threshold if query.threshold is None else query.threshold
            score = float(evidence.max())
            known = _located(evidence, beside, config) if score >= threshold else {"reason": "absent"}
            targets.append(Target(query.text, index, score >= threshold, score, threshold, **known))
        return Grounding(tuple(queries), tuple(targets), features.image_size, maps, lambda maps: maps, beside.problems)


def _evidence(word, rgb):
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    shown = red - np.maximum(green, blue) if word == "red" else 0.299 * red + 0.587 * green + 0.114 * blue
    return np.clip(GAIN * shown, 0, 1).astype(np.float32)


def _located(evidence, beside, config):
    region = find_regions(evidence, evidence, config.region_threshold, 1, evidence.shape[1] / PATCHES)[0]
    known = {"pixel": region.pixel, "region": region.mask, "reason": beside.reason}
    if beside.camera is None:
        return known
    if beside.reason is None:
        found = measure(region, beside.depth, beside.camera, config.min_depth, config.max_depth)
        known |= {"point": found.point, "covariance": found.covariance, "box": found.box, "reason": found.reason}
        if found.point is not None:
            known["pixel"] = tuple(project(beside.camera, found.point[None])[0].tolist())
    return known | {"ray": rays(beside.camera, [known["pixel"]])[0]}


if __name__ == "__main__":
    sys.exit(main(load=lambda config: ColourGrounder()))

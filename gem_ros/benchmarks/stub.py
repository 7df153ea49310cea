"""The real node with a model that thinks nothing: what ROS costs. ``python -m gem_ros.benchmarks.stub --inference S``.

Looking at an image takes ``--inference`` s of sleep; every query is found at the image's centre, at its depth there.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from gem_ros.data import Grounding, PatchFeatures, Query, Target
from gem_ros.ros.main import main

PATCH, SIDE = 16, 448  # px


class StubGrounder:
    """As much of :class:`gem_ros.pipeline.Grounder` as the node uses."""

    device = "cpu"
    status: ClassVar[dict[str, str]] = {}

    def __init__(self, inference: float) -> None:
        self._inference = inference

    def unknown(self, text: str) -> tuple[str, ...]:
        """It knows every word."""
        return ()

    def image_size(self, config: Any = None) -> int:
        """Longer side of what it looks at, px."""
        return SIDE

    def encode_image(self, rgb: Any, *, config: Any = None) -> PatchFeatures:
        """Of one image."""
        return self.encode_images([rgb])[0]

    def encode_images(self, images: Sequence[Any], *, config: Any = None) -> list[PatchFeatures]:
        """Sleep as long as a model would think."""
        if self._inference:
            time.sleep(self._inference)
        return [PatchFeatures(rgb[::PATCH, ::PATCH], rgb.shape[:2]) for rgb in images]

    def ground(self, features: PatchFeatures, queries: tuple[Query, ...], **known: Any) -> Grounding:
        """Everything at the centre."""
        (height, width), depth = features.image_size, known.get("depth")
        z = 1.0 if depth is None else float(depth[height // 2, width // 2])
        centre, point = ((width - 1) / 2, (height - 1) / 2), np.array([0.0, 0.0, z])
        targets = tuple(
            Target(each.text, index, True, 0.7, 0.5, "ok", centre, None, None, point, np.eye(3) * 1e-4)
            for index, each in enumerate(queries)
        )
        maps = np.full((len(queries), height // PATCH, width // PATCH), 0.25, np.float32)
        return Grounding(
            queries, targets, (height, width), maps, lambda maps: np.full((len(maps), height, width), 0.25, np.float32)
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--inference", type=float, default=0.0)
    seconds = parser.parse_known_args()[0].inference
    sys.exit(main(load=lambda config: StubGrounder(seconds)))  # type: ignore[arg-type,return-value]

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
import numpy.typing as npt

from gem_ros.data import Grounding, PatchFeatures, Query, Target
from gem_ros.ros.main import main

PATCH, SIDE = 16, 448  # px
COVARIANCE = np.eye(3) * 1e-4  # m²


class StubGrounder:
    """As much of :class:`gem_ros.pipeline.Grounder` as the node uses."""

    device = "cpu"
    status: ClassVar[dict[str, str]] = {}

    def __init__(self, inference: float) -> None:
        self._inference = inference
        self._maps: dict[tuple[int, ...], npt.NDArray[np.float32]] = {}

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
            Target(each.text, index, True, 0.7, 0.5, "ok", centre, None, None, point, COVARIANCE)
            for index, each in enumerate(queries)
        )
        maps = self._relevancy(len(queries), height // PATCH, width // PATCH)
        return Grounding(
            queries, targets, (height, width), maps, lambda maps: self._relevancy(len(maps), height, width)
        )

    def _relevancy(self, *shape: int) -> npt.NDArray[np.float32]:
        """The same everywhere, and each time the same array: making one is the model's work."""
        if shape not in self._maps:
            self._maps[shape] = np.full(shape, 0.25, np.float32)
        return self._maps[shape]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--inference", type=float, default=0.0)
    seconds = parser.parse_known_args()[0].inference
    sys.exit(main(load=lambda config: StubGrounder(seconds)))  # type: ignore[arg-type,return-value]

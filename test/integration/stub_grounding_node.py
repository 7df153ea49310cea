"""The real node in a process of its own, with a stub for the model.

Everything is found with score 0.7, its point is the depth of the first pixel; to look at an image takes 10 ms,
100 ms while ``slow`` is asked for; ``crash`` breaks it.
"""

import sys
import time

import numpy as np

from gem_ros.data import Grounding, PatchFeatures, Target
from gem_ros.errors import ModelError, QueryError
from gem_ros.ros.main import main


class StubGrounder:
    device = "cpu"
    status = {"precision": "none"}  # noqa: RUF012

    def unknown(self, text):
        return tuple(word for word in text.split() if word == "gleep")

    def knows(self, text):
        return not self.unknown(text)

    def image_size(self, config=None):
        return 64

    def encode_images(self, images, *, config=None):
        time.sleep(0.1 if "slow" in config.queries else 0.01)
        return [PatchFeatures(rgb[::16, ::16], rgb.shape[:2]) for rgb in images]

    def add_example_at(self, name, features, pixel):
        if not 0 <= pixel[0] < features.image_size[1]:
            raise QueryError(f"example {name!r}: expected a pixel of the image, got {pixel[0]:g}")
        self.shown = {**getattr(self, "shown", {}), f"@{name}": pixel}

    def ground(self, features, queries, *, image, depth=None, camera=None, missing=None, config=None):
        targets = []
        for index, query in enumerate(queries):
            if query.text == "crash":
                raise ZeroDivisionError("the stub was told to crash")
            reason = missing or ("no_depth_message" if depth is None else None)
            if reason is None:
                reason = "misaligned" if depth.shape != features.image_size else None
            reason = reason or ("no_camera_info" if camera is None else "ok")
            point = np.array([0.0, 0.0, float(depth[0, 0])]) if reason == "ok" else None
            known = None if point is None else np.eye(3) * 1e-4
            threshold = config.presence_threshold if query.threshold is None else query.threshold
            found = threshold <= 0.7
            if not found:
                reason, point = "absent", None
            where = getattr(self, "shown", {}).get(query.text, (5.0, 7.0)) if found else None
            targets.append(Target(query.text, index, found, 0.7, threshold, reason, where, None, None, point, known))
        maps = np.full((len(queries), 2, 2), 0.25, np.float32)
        size = features.image_size
        return Grounding(
            tuple(queries), tuple(targets), size, maps, lambda maps: np.full((len(maps), *size), 0.25, np.float32)
        )


def load(config):
    if config.model == "missing":
        raise ModelError("model 'missing': expected an architecture of open_clip")
    return StubGrounder()


if __name__ == "__main__":
    sys.exit(main(load=load))

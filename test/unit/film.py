"""Targets by hand, and a tracker that is shown one image after another."""

import numpy as np

from gem_ros.config import Config
from gem_ros.data import Grounding, Query, Target
from gem_ros.geometry.tracking import Tracker

SECOND = 1_000_000_000
SIZE = 48, 64  # a small image: regions are masks of its size
MUG, DOOR = Query("mug"), Query("door")
CAMERA = Config(confirm_frames=1)
FIXED = Config(target_frame="map")


def seen(x=None, score=0.9, query=0, *, pixel=(32.0, 24.0), sigma=0.02, text=None, **more):
    """A found target, at (x, 0, 1) m where x is given."""
    known = {"reason": "no_depth"}
    if x is not None:
        known = {"reason": "ok", "point": np.array([x, 0.0, 1.0]), "covariance": sigma**2 * np.eye(3)}
    known |= more
    return Target(text or ("mug", "door")[query], query, True, score, 0.0, pixel=pixel, **known)


def missing(query=0, score=0.1, reason="absent"):
    return Target(("mug", "door")[query], query, False, score, 0.0, reason)


def grounding(*targets, queries=(MUG,)):
    unanswered = set(range(len(queries))) - {target.query_index for target in targets}
    targets = (*targets, *map(missing, sorted(unanswered)))
    return Grounding(queries, targets, SIZE, np.zeros((len(queries), 1, 1), np.float32), lambda maps: maps)


class Film:
    """A tracker that is shown one image after another, ``step`` s apart."""

    def __init__(self, config=CAMERA, queries=(MUG,), step=0.1):
        self.tracker, self.config, self.queries, self.step = Tracker(), config, queries, step
        self.now = 100 * SECOND

    def show(self, *targets, after=None, config=None):
        self.now += round((self.step if after is None else after) * SECOND)
        config = config or self.config
        image = grounding(*targets, queries=self.tracker.asked(self.queries, config))
        return self.tracker.update(image, self.now, self.queries, config)

    def ids(self, *targets, **more):
        return [target.track.id if target.track else None for target in self.show(*targets, **more).targets]

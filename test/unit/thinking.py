"""A stage for the thinking threads without ROS: a model that can be held up, a camera, and ears for what is said."""

import threading
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np

from gem_ros.config import Config
from gem_ros.data import Grounding, Query, Target
from gem_ros.errors import GeometryError, OutOfMemoryError
from gem_ros.geometry.tracking import Tracker
from gem_ros.ros.partners import Partners
from gem_ros.ros.views import Asked, Camera, View
from gem_ros.ros.worker import Worker

RGB = np.zeros((4, 6, 3), np.uint8)


def message(stamp, frame="camera"):
    return SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=stamp), frame_id=frame))


def asked(epoch, *texts, **config):
    return Asked(epoch, tuple(map(Query, texts)), Config(**config))


class Grounder:
    """Encodes only while ``gate`` is open; grounds into the texts asked for."""

    def __init__(self):
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.batches, self.grounded, self.room = [], [], 10**9
        self.point, self.problems = None, ()

    def image_size(self, config):
        return config.image_size or 448

    @property
    def encoded(self):
        return sum(self.batches)

    def encode_images(self, images, *, config):
        self.entered.set()
        assert self.gate.wait(5)
        self.batches.append(len(images))
        if len(images) * (config.image_size or 448) > self.room:
            raise OutOfMemoryError("out of memory")
        return ["features"] * len(images)

    def add_example(self, name, rgb, of=None):
        if name == "bad":
            raise OutOfMemoryError("out of memory")
        self.examples = [*getattr(self, "examples", []), (name, of)]

    def add_example_at(self, name, features, pixel):
        self.examples = [*getattr(self, "examples", []), (name, features, pixel)]

    def ground(self, features, queries, **known):
        self.grounded.append([query.text for query in queries])
        targets = tuple(self.see(query.text, index) for index, query in enumerate(queries))
        maps = np.zeros((len(queries), 1, 1), np.float32)
        return Grounding(tuple(queries), targets, RGB.shape[:2], maps, lambda maps: maps, self.problems)

    def see(self, text, index):
        if self.point is None:
            return Target(text, index, False, 0.1, 0.5, "absent")
        return Target(text, index, True, 0.9, 0.5, "ok", (1.0, 1.0), None, None, self.point, np.eye(3) * 1e-4)


class Ears:
    """Outputs and observer in one: what was said, in order."""

    def __init__(self):
        self.said, self.problems, self.groundings, self.listening = [], [], [], True
        self.answers, self.lost = [], 0
        self.changed = threading.Condition()

    def wanted(self):
        return self.listening

    def announce(self, asked):
        self._say(("asked", asked.epoch))

    def publish(self, view, grounding, asked, latency):
        texts = [query.text for query in grounding.queries]
        self.groundings.append(grounding)
        self._say((view.stamp, asked.epoch, texts))

    def image(self, now):
        pass

    def result(self, answer):
        self.answers.append(answer)

    def problem(self, line, *, lost=False):
        with self.changed:
            self.lost += lost
            self.problems.append(line)
            self.changed.notify_all()

    def _say(self, what):
        with self.changed:
            self.said.append(what)
            self.changed.notify_all()

    def wait(self, what):
        with self.changed:
            assert self.changed.wait_for(lambda: what in self.said, 5), self.said


class Eyes:
    """Inputs: every message is the same picture; ``pose`` is the camera's, or why there is none."""

    def __init__(self):
        self.pose, self.rewound = GeometryError("pose: expected one, got none"), []

    def read(self, message, arrival):
        return View(RGB, message.header.stamp.nanosec, message.header.frame_id, arrival)

    def find_partners(self, view):
        return Partners()

    def rewind(self, stamp):
        self.rewound.append(stamp)

    def find_pose(self, view):
        if isinstance(self.pose, Exception):
            raise self.pose
        return self.pose


@contextmanager
def open_room():
    """A worker with one camera, and all that it deals with."""
    ears, grounder, eyes = Ears(), Grounder(), Eyes()
    cameras = [Camera("", eyes, ears, ears, Tracker())]
    worker = Worker(grounder, asked(1, "ball"), cameras, ears.announce)
    yield SimpleNamespace(worker=worker, ears=ears, grounder=grounder, eyes=eyes)
    grounder.gate.set()
    worker.stop()

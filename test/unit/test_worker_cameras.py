"""Several cameras and one model: who is looked at, with whom, and whose problem it is."""

from types import SimpleNamespace

import numpy as np
import pytest
from thinking import Ears, Eyes, Grounder, asked, message

from gem_ros.errors import DecodeError
from gem_ros.geometry.tracking import Tracker
from gem_ros.ros.views import Camera
from gem_ros.ros.worker import Worker


@pytest.fixture
def two():
    """Two cameras and one model."""
    grounder, cameras = Grounder(), {name: (Ears(), Eyes()) for name in ("front", "left")}
    seats = [Camera(name, eyes, ears, ears, Tracker()) for name, (ears, eyes) in cameras.items()]
    told = Ears()
    worker = Worker(grounder, asked(1, "ball"), seats, told.announce)
    front, left = (SimpleNamespace(ears=ears, eyes=eyes) for ears, eyes in cameras.values())
    yield SimpleNamespace(worker=worker, grounder=grounder, front=front, left=left, told=told)
    grounder.gate.set()
    worker.stop()


def occupy(two):
    """Let the model look at an image of the front camera until its gate is opened."""
    two.grounder.gate.clear()
    two.grounder.entered.clear()
    two.worker.put("front", message(1))
    assert two.grounder.entered.wait(5)


def test_images_that_wait_together_are_one_pass_and_no_camera_starves(two):
    occupy(two)
    two.worker.put("left", message(5))
    for stamp in range(10, 20):
        two.worker.put("front", message(stamp))
    two.grounder.gate.set()
    two.left.ears.wait((5, 1, ["ball"]))
    two.front.ears.wait((19, 1, ["ball"]))
    assert two.grounder.batches == [1, 2] and two.worker.dropped == {"front": 9, "left": 0}
    assert two.told.said == [("asked", 1)]


def test_what_one_camera_sends_is_not_the_others_problem(two):
    def broken(message, arrival):
        raise DecodeError("image: expected something else")

    two.left.eyes.read = broken
    occupy(two)
    two.worker.put("left", message(5))
    two.worker.put("front", message(6))
    two.grounder.gate.set()
    two.front.ears.wait((6, 1, ["ball"]))
    assert (two.left.ears.problems, two.front.ears.problems) == (["image: expected something else"], [])


def test_where_memory_runs_out_images_are_skipped_and_the_next_pass_is_smaller(two):
    two.grounder.room = 448  # one image
    occupy(two)
    two.worker.put("left", message(5))
    two.worker.put("front", message(6))
    two.grounder.gate.set()
    for side in (two.front, two.left):
        with side.ears.changed:
            assert side.ears.changed.wait_for(lambda side=side: side.ears.problems, 5)
        assert side.ears.problems == [
            "out of memory with 2 images at 448 px: skipped; going on with at most 1 images in one forward at 448 px"
        ]
    occupy(two)
    two.worker.put("left", message(8))
    two.worker.put("front", message(9))
    two.grounder.gate.set()
    two.left.ears.wait((8, 1, ["ball"]))
    two.front.ears.wait((9, 1, ["ball"]))
    assert two.grounder.batches == [1, 2, 1, 1, 1]


def test_a_question_is_answered_for_every_camera_and_each_has_its_own_tracks(two):
    two.grounder.point = np.array([0.0, 0.0, 2.0])
    two.worker.put("front", message(7))
    two.worker.put("left", message(8))
    two.front.ears.wait((7, 1, ["ball"]))
    two.left.ears.wait((8, 1, ["ball"]))
    two.worker.ask(asked(2, "door"))
    two.front.ears.wait((7, 2, ["door"]))
    two.left.ears.wait((8, 2, ["door"]))
    ids = [[each.targets[0].track.id for each in side.ears.groundings] for side in (two.front, two.left)]
    assert ids == [[1, 2], [1, 2]]

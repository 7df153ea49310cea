"""The thinking thread without ROS: whose labels, on which image, and when nothing at all."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from gem_ros.config import Config
from gem_ros.data import Query
from gem_ros.errors import DecodeError
from gem_ros.ros.partners import Partner, Partners, find_partners
from gem_ros.ros.worker import Asked, Worker

RGB = np.zeros((4, 6, 3), np.uint8)


def message(stamp, frame="camera"):
    return SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=stamp), frame_id=frame))


def asked(epoch, *texts):
    return Asked(epoch, tuple(map(Query, texts)), Config())


class Grounder:
    """Encodes only while ``gate`` is open; grounds into the texts asked for."""

    def __init__(self):
        self.gate, self.entered = threading.Event(), threading.Event()
        self.gate.set()
        self.encoded, self.grounded = 0, []

    def encode_image(self, rgb, *, config):
        self.entered.set()
        assert self.gate.wait(5)
        self.encoded += 1
        return "features"

    def ground(self, features, queries, **known):
        self.grounded.append([query.text for query in queries])
        return SimpleNamespace(texts=self.grounded[-1], targets=(), known=known)


class Ears:
    """Outputs and observer in one: what was said, in order."""

    def __init__(self):
        self.said, self.problems, self.listening = [], [], True
        self.changed = threading.Condition()

    def wanted(self):
        return self.listening

    def announce(self, asked):
        self._say(("asked", asked.epoch))

    def encode(self, view, grounding, asked, latency):
        texts = getattr(grounding, "texts", [])
        return [lambda: self._say((view.stamp, asked.epoch, texts))]

    def image(self, now):
        pass

    def result(self, now, latency, grounding):
        pass

    def problem(self, line):
        with self.changed:
            self.problems.append(line)
            self.changed.notify_all()

    def _say(self, what):
        with self.changed:
            self.said.append(what)
            self.changed.notify_all()

    def wait(self, what):
        with self.changed:
            assert self.changed.wait_for(lambda: what in self.said, 5), self.said


@pytest.fixture
def room():
    ears, grounder = Ears(), Grounder()
    worker = Worker(
        grounder,
        asked(1, "ball"),
        outputs=ears,
        observer=ears,
        read=lambda message: RGB,
        find_partners=lambda view: Partners(),
    )
    yield SimpleNamespace(worker=worker, ears=ears, grounder=grounder)
    grounder.gate.set()
    worker.stop()


def test_an_image_is_answered_for_what_is_asked(room):
    room.worker.put(message(7))
    room.ears.wait((7, 1, ["ball"]))
    assert room.ears.said[0] == ("asked", 1)


def test_a_question_that_comes_during_inference_is_the_one_answered(room):
    room.grounder.gate.clear()
    room.worker.put(message(7))
    assert room.grounder.entered.wait(5)
    room.worker.ask(asked(2, "door"))
    room.grounder.gate.set()
    room.ears.wait((7, 2, ["door"]))
    assert ["ball"] not in room.grounder.grounded


def test_a_result_for_older_queries_is_never_published_after_the_new_ones_are_told(room):
    encode = room.ears.encode

    def ask_meanwhile(view, grounding, state, latency):
        if state.epoch == 1:
            room.worker.ask(asked(2, "door"))
        return encode(view, grounding, state, latency)

    room.ears.encode = ask_meanwhile
    room.worker.put(message(7))
    room.ears.wait((7, 2, ["door"]))
    assert (7, 1, ["ball"]) not in room.ears.said


def test_a_new_question_needs_no_second_look(room):
    room.worker.put(message(7))
    room.ears.wait((7, 1, ["ball"]))
    room.worker.ask(asked(2, "door"))
    room.ears.wait((7, 2, ["door"]))
    assert room.grounder.encoded == 1


def test_nothing_is_done_for_nobody_but_a_question_finds_the_newest_image(room):
    room.ears.listening = False
    room.worker.put(message(7))
    time.sleep(0.1)
    assert room.grounder.encoded == 0
    room.ears.listening = True
    room.worker.ask(asked(2, "door"))
    room.ears.wait((7, 2, ["door"]))


def test_without_queries_there_is_an_answer_but_no_inference(room):
    room.worker.ask(asked(2))
    room.worker.put(message(7))
    room.ears.wait((7, 2, []))
    assert room.grounder.encoded == 0
    room.worker.ask(asked(3, "door"))
    room.ears.wait((7, 3, ["door"]))


def test_what_cannot_be_read_is_told_and_the_thread_goes_on(room):
    def broken(message):
        raise DecodeError("image: expected something else")

    room.worker._read = broken
    room.worker.put(message(7))
    with room.ears.changed:
        assert room.ears.changed.wait_for(lambda: room.ears.problems, 5)
    assert room.ears.problems == ["image: expected something else"]
    room.worker._read = lambda message: RGB
    room.worker.put(message(8))
    room.ears.wait((8, 1, ["ball"]))


def test_paused_it_takes_no_images_and_answers_nothing(room):
    room.worker.put(message(7))
    room.ears.wait((7, 1, ["ball"]))
    room.worker.enabled = False
    room.worker.put(message(8))
    room.worker.ask(asked(2, "door"))
    time.sleep(0.1)
    assert room.ears.said == [("asked", 1), (7, 1, ["ball"]), ("asked", 2)]


def partner(*messages, read=lambda message: message, live=True):
    made = Partner(read, lambda: live)
    for each in messages:
        made.add(each)
    return made


def found(depth, info, slop=0.05):
    complaints = []
    partners = find_partners(1000, "camera", depth=depth, info=info, slop=slop, complain=complaints.append)
    return partners, complaints


def test_depth_of_another_frame_is_misaligned_and_says_so():
    partners, complaints = found(partner(message(1000, "other")), partner(message(1000)))
    assert (partners.depth, partners.missing) == (None, "misaligned")
    assert "'camera'" in str(complaints[0]) and "other" in str(complaints[0])


def test_what_cannot_be_read_is_missing_and_complained_about():
    def broken(message):
        raise DecodeError("depth: expected 16UC1")

    info = message(1000)
    partners, complaints = found(partner(message(1000), read=broken), partner(info))
    assert (partners.depth, partners.camera, str(complaints[0])) == (None, info, "depth: expected 16UC1")


def test_a_topic_that_nobody_publishes_is_not_waited_for():
    start = time.monotonic()
    found(partner(live=False), partner(live=False), slop=5.0)
    assert time.monotonic() - start < 1.0

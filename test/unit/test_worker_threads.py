"""Which thread answers, and that images at once are answered in their order."""

import itertools
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from thinking import Ears, Eyes, Grounder, asked, message, open_room

from gem_ros.geometry.tracking import Tracker
from gem_ros.ros import worker
from gem_ros.ros.views import Camera, View
from gem_ros.ros.worker import Worker


@pytest.fixture
def room():
    with open_room() as opened:
        yield opened


@pytest.fixture
def who(room):
    """Which thread answered on an image, by its stamp; each thread takes as long for it as ``pause`` says, s."""
    publish = room.ears.publish
    room.pause, room.who = {"looking": 0.0, "answering": 0.0}, {}

    def noting(view, *what):
        name = threading.current_thread().name
        room.who[view.stamp] = name
        time.sleep(room.pause[name])
        publish(view, *what)

    room.ears.publish = noting
    return room


def until_the_thread_that_looked_answers(who, stamps):
    for stamp in stamps:  # not the first: how long an answer takes is not known before
        who.worker.put("", message(stamp))
        who.ears.wait((stamp, 1, ["ball"]))
        if who.who[stamp] == "looking":
            return stamp
    return pytest.fail(f"nobody but {set(who.who.values())}")


def test_quick_answers_are_made_by_the_thread_that_looked(who, monkeypatch):
    monkeypatch.setattr(worker, "QUICK", 60.0)
    assert until_the_thread_that_looked_answers(who, range(7, 99)) > 7


def test_after_a_slow_answer_the_other_thread_answers(who, monkeypatch):
    monkeypatch.setattr(worker, "QUICK", 0.3)
    who.pause["looking"] = 0.4
    slow = until_the_thread_that_looked_answers(who, range(7, 99))
    who.worker.put("", message(slow + 1))
    who.ears.wait((slow + 1, 1, ["ball"]))
    assert who.who[slow + 1] == "answering"


def test_while_an_image_waits_to_be_looked_at_the_other_thread_answers(who, monkeypatch):
    monkeypatch.setattr(worker, "QUICK", 60.0)
    last = until_the_thread_that_looked_answers(who, range(7, 99))
    who.grounder.gate.clear()
    who.grounder.entered.clear()
    who.worker.put("", message(last + 1))
    assert who.grounder.entered.wait(5)
    who.worker.put("", message(last + 2))
    who.grounder.gate.set()
    who.ears.wait((last + 1, 1, ["ball"]))
    assert who.who[last + 1] == "answering"


@pytest.mark.parametrize("at_once", [1, 2])
def test_whoever_answers_every_image_looked_at_is_answered_and_in_order(at_once, monkeypatch):
    monkeypatch.setattr(worker, "QUICK", 0.001)
    ears, grounder, eyes, looked = Ears(), Grounder(), Eyes(), []
    pauses = itertools.cycle([0.0, 0.0, 0.0, 0.002, 0.0005])
    publish, read = ears.publish, eyes.read

    def slowly(*what):
        time.sleep(next(pauses))
        publish(*what)

    def noting(message, arrival):
        looked.append(message.header.stamp.nanosec)
        return read(message, arrival)

    ears.publish, eyes.read = slowly, noting
    works = Worker(
        grounder, asked(1, "ball", images_at_once=at_once), [Camera("", eyes, ears, ears, Tracker())], ears.announce
    )
    for stamp in range(1, 301):
        works.put("", message(stamp))
        if stamp % 7 == 0:
            works.ask(asked(1, "ball", images_at_once=at_once))
        time.sleep(0.001)
    ears.wait((looked[-1], 1, ["ball"]))
    works.stop()
    stamps = [each[0] for each in ears.said if each[0] != "asked"]
    assert stamps == sorted(stamps) and set(stamps) == set(looked) and not ears.problems


@pytest.fixture
def pair():
    """One camera, two images at once, each of which is looked at for as long as its own gate is closed."""
    ears, eyes = Ears(), Eyes()
    gates = {stamp: threading.Event() for stamp in (7, 8, 9)}
    entered = {stamp: threading.Event() for stamp in gates}
    eyes.read = lambda message, arrival: View(
        np.full((8, 8, 3), message.header.stamp.nanosec, np.uint8), message.header.stamp.nanosec, "camera", arrival
    )
    grounder = Grounder()

    def encode_images(images, *, config):
        stamp = int(images[0][0, 0, 0])
        entered[stamp].set()
        assert gates[stamp].wait(5)
        grounder.batches.append(stamp)
        if stamp == 9:
            raise ValueError("broken")
        return ["features"]

    grounder.encode_images = encode_images
    worker = Worker(
        grounder, asked(1, "ball", images_at_once=2), [Camera("", eyes, ears, ears, Tracker())], ears.announce
    )
    yield SimpleNamespace(worker=worker, ears=ears, grounder=grounder, gates=gates, entered=entered)
    for gate in gates.values():
        gate.set()
    worker.stop()


def show(pair, *stamps):
    for stamp in stamps:
        pair.worker.put("", message(stamp))
        assert pair.entered[stamp].wait(5)


def test_two_images_at_once_are_answered_in_their_order_whichever_is_done_first(pair):
    show(pair, 7, 8)
    pair.gates[8].set()
    while pair.grounder.batches != [8]:
        time.sleep(0.01)
    assert pair.ears.said == [("asked", 1)]
    pair.gates[7].set()
    pair.ears.wait((8, 1, ["ball"]))
    assert pair.ears.said == [("asked", 1), (7, 1, ["ball"]), (8, 1, ["ball"])]


def test_of_two_images_at_once_one_that_fails_does_not_hold_up_the_next(pair):
    show(pair, 9, 8)
    pair.gates[8].set()
    pair.gates[9].set()
    pair.ears.wait((8, 1, ["ball"]))
    assert pair.ears.said == [("asked", 1), (8, 1, ["ball"])]
    assert any("ValueError: broken" in line for line in pair.ears.problems)


def test_a_question_does_not_have_an_image_looked_at_twice_at_once(pair):
    show(pair, 7)
    pair.worker.ask(asked(2, "door", images_at_once=2))
    time.sleep(0.1)  # for the other thread to look, if it would
    pair.gates[7].set()
    pair.ears.wait((7, 2, ["door"]))
    assert pair.grounder.batches == [7]


def test_stopped_it_ends_when_both_images_are_looked_at(pair):
    show(pair, 7, 8)
    stopping = threading.Thread(target=pair.worker.stop)
    stopping.start()
    pair.gates[8].set()
    stopping.join(0.1)
    assert stopping.is_alive()
    pair.gates[7].set()
    stopping.join(5)
    assert not stopping.is_alive() and pair.grounder.batches == [8, 7]

"""The thinking threads without ROS: whose labels, on which image, and when nothing at all."""

import itertools
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from gem_ros.config import Config
from gem_ros.data import Grounding, Pose, Query, Target
from gem_ros.errors import DecodeError, GemError, GeometryError, OutOfMemoryError
from gem_ros.geometry.tracking import Tracker
from gem_ros.ros import worker
from gem_ros.ros.partners import Partners
from gem_ros.ros.remembered import Spot
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


@pytest.fixture
def room():
    ears, grounder, eyes = Ears(), Grounder(), Eyes()
    cameras = [Camera("", eyes, ears, ears, Tracker())]
    worker = Worker(grounder, asked(1, "ball"), cameras, ears.announce)
    yield SimpleNamespace(worker=worker, ears=ears, grounder=grounder, eyes=eyes)
    grounder.gate.set()
    worker.stop()


def test_an_image_is_answered_for_what_is_asked(room):
    room.worker.put("", message(7))
    room.ears.wait((7, 1, ["ball"]))
    assert room.ears.said[0] == ("asked", 1)


def test_the_queries_are_told_again_when_what_is_said_of_them_changes(room):
    room.worker.ask(asked(1, "ball", presence_threshold=0.7))
    room.worker.ask(asked(1, "ball", presence_threshold=0.7, max_targets=1))
    room.worker.ask(asked(2, "cube", presence_threshold=0.7))
    assert [each for each in room.ears.said if each[0] == "asked"] == [("asked", 1), ("asked", 1), ("asked", 2)]


def test_a_question_that_comes_during_inference_is_the_one_answered(room):
    room.grounder.gate.clear()
    room.worker.put("", message(7))
    assert room.grounder.entered.wait(5)
    room.worker.ask(asked(2, "door"))
    room.grounder.gate.set()
    room.ears.wait((7, 2, ["door"]))
    assert ["ball"] not in room.grounder.grounded


def test_a_result_for_older_queries_is_never_published_after_the_new_ones_are_told(room):
    publish = room.ears.publish

    def ask_meanwhile(view, grounding, state, latency):
        if state.epoch == 1:
            room.worker.ask(asked(2, "door"))
        return publish(view, grounding, state, latency)

    room.ears.publish = ask_meanwhile
    room.worker.put("", message(7))
    room.ears.wait((7, 2, ["door"]))
    assert room.ears.said == [("asked", 1), (7, 1, ["ball"]), ("asked", 2), (7, 2, ["door"])]


def test_questions_that_come_faster_than_answers_are_made_leave_none_unmade(room):
    publish, epoch = room.ears.publish, 1

    def ask_meanwhile(*what):
        nonlocal epoch
        for _ in range(3):
            epoch += 1
            room.worker.ask(asked(epoch, "ball"))
        return publish(*what)

    room.ears.publish = ask_meanwhile
    room.worker.put("", message(7))
    room.ears.wait(("asked", 31))
    room.ears.publish = publish
    room.ears.wait((7, 31, ["ball"]))
    told = [each for each in room.ears.said if each[1] <= 31]
    # of three that come during an answer the last is told, and answered before the next
    assert told[1::2] == [(7, 1 + 3 * number, ["ball"]) for number in range(11)]
    assert told[0::2] == [("asked", 1 + 3 * number) for number in range(11)]


def test_a_new_question_needs_no_second_look(room):
    room.worker.put("", message(7))
    room.ears.wait((7, 1, ["ball"]))
    room.worker.ask(asked(2, "door"))
    room.ears.wait((7, 2, ["door"]))
    assert room.grounder.encoded == 1


def test_nothing_is_done_for_nobody_but_a_question_finds_the_newest_image(room):
    room.ears.listening = False
    room.worker.put("", message(7))
    time.sleep(0.1)
    assert room.grounder.encoded == 0
    room.ears.listening = True
    room.worker.ask(asked(2, "door"))
    room.ears.wait((7, 2, ["door"]))


def test_without_queries_there_is_an_answer_but_no_inference(room):
    room.worker.ask(asked(2))
    room.worker.put("", message(7))
    room.ears.wait((7, 2, []))
    assert room.grounder.encoded == 0
    room.worker.ask(asked(3, "door"))
    room.ears.wait((7, 3, ["door"]))


def test_what_cannot_be_read_is_told_and_the_thread_goes_on(room):
    def broken(message, arrival):
        raise DecodeError("image: expected something else")

    room.eyes.read = broken
    room.worker.put("", message(7))
    with room.ears.changed:
        assert room.ears.changed.wait_for(lambda: room.ears.problems, 5)
    assert room.ears.problems == ["image: expected something else"]
    del room.eyes.read
    room.worker.put("", message(8))
    room.ears.wait((8, 1, ["ball"]))


def test_paused_it_takes_no_images_and_answers_nothing(room):
    room.worker.put("", message(7))
    room.ears.wait((7, 1, ["ball"]))
    room.worker.enabled = False
    room.worker.put("", message(8))
    room.worker.ask(asked(2, "door"))
    time.sleep(0.1)
    assert room.ears.said == [("asked", 1), (7, 1, ["ball"]), ("asked", 2)]


def test_a_question_that_comes_during_inference_is_answered_at_once_on_the_image_before(room):
    room.worker.put("", message(7))
    room.ears.wait((7, 1, ["ball"]))
    room.grounder.gate.clear()
    room.grounder.entered.clear()
    room.worker.put("", message(8))
    assert room.grounder.entered.wait(5)
    room.worker.ask(asked(2, "door"))
    room.ears.wait((7, 2, ["door"]))
    room.grounder.gate.set()
    room.ears.wait((8, 2, ["door"]))


def test_every_image_that_was_looked_at_is_answered_although_answering_is_slower(room):
    publish, answering = room.ears.publish, threading.Event()

    def slowly(*what):
        assert answering.wait(5)
        return publish(*what)

    room.ears.publish = slowly
    for stamp in (7, 8, 9):
        room.grounder.entered.clear()
        room.worker.put("", message(stamp))
        assert room.grounder.entered.wait(5)
    answering.set()
    for stamp in (7, 8, 9):
        room.ears.wait((stamp, 1, ["ball"]))


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


def test_where_one_image_is_too_much_it_is_looked_at_smaller(room):
    room.grounder.room = 400
    room.worker.put("", message(7))
    with room.ears.changed:
        assert room.ears.changed.wait_for(lambda: room.ears.problems, 5)
    assert "going on" in room.ears.problems[0] and "336 px" in room.ears.problems[0]
    room.worker.put("", message(8))
    room.ears.wait((8, 1, ["ball"]))
    assert (7, 1, ["ball"]) not in room.ears.said


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


def answers(room, stamp, epoch, *texts):
    """The targets of the answer to ``message(stamp)``."""
    room.ears.wait((stamp, epoch, list(texts)))
    return room.ears.groundings[-1].targets


def test_in_a_target_frame_points_are_placed_by_the_pose_at_the_image(room):
    room.grounder.point = np.array([0.0, 0.0, 2.0])
    matrix = np.array([[0, 0, 1, 5], [-1, 0, 0, 6], [0, -1, 0, 7], [0, 0, 0, 1.0]])
    room.eyes.pose = Pose("map", matrix)
    room.worker.ask(asked(2, "ball", target_frame="map"))
    room.worker.put("", message(7))
    target = answers(room, 7, 2, "ball")[0]
    assert target.point.tolist() == [7, 6, 7] and target.reason == "ok"


def test_without_a_pose_there_is_a_2d_answer_and_the_reason(room):
    room.grounder.point = np.array([0.0, 0.0, 2.0])
    room.worker.ask(asked(2, "ball", target_frame="map"))
    room.worker.put("", message(7))
    target = answers(room, 7, 2, "ball")[0]
    assert (target.found, target.point, target.reason) == (True, None, "no_transform")
    assert room.ears.problems == ["pose: expected one, got none"]


def test_without_a_target_frame_or_a_point_no_pose_is_asked_for(room):
    room.worker.put("", message(7))
    room.worker.ask(asked(2, "ball", target_frame="map"))
    answers(room, 7, 2, "ball")
    room.grounder.point = np.array([0.0, 0.0, 2.0])
    room.worker.ask(asked(3, "ball"))
    assert answers(room, 7, 3, "ball")[0].point.tolist() == [0, 0, 2]
    assert room.ears.problems == []


def test_the_same_thing_keeps_its_id_until_the_question_changes(room):
    room.grounder.point = np.array([0.0, 0.0, 2.0])
    ids = []
    for stamp, epoch in ((7, 1), (8, 1), (9, 2)):
        if epoch == 2:
            room.worker.ask(asked(2, "ball"))
        room.worker.put("", message(stamp))
        ids.append(answers(room, stamp, epoch, "ball")[0].track.id)
    assert ids[0] == ids[1] != ids[2]


def test_another_frame_is_told_and_what_was_of_the_last_one_is_forgotten(room):
    room.grounder.point = np.array([0.0, 0.0, 2.0])
    for stamp, frame in ((1, "camera"), (2, "left"), (3, "left")):
        room.worker.put("", message(stamp, frame))
        room.ears.wait((stamp, 1, ["ball"]))
    before, first, second = [each.targets[0].track.id for each in room.ears.groundings]
    assert before != first == second
    assert room.eyes.rewound == [2] and len(room.ears.problems) == 1
    assert "expected frame 'camera' as before, got 'left'" in room.ears.problems[0]


def test_when_time_jumped_back_nothing_is_tracked_on_and_no_question_answered_on_what_was_seen_then(room):
    room.grounder.point = np.array([0.0, 0.0, 2.0])
    room.worker.put("", message(1))
    room.ears.wait((1, 1, ["ball"]))
    room.worker.forget()
    room.worker.ask(asked(2, "door"))
    room.worker.ask(asked(1, "ball"))
    room.worker.put("", message(2))
    room.ears.wait((2, 1, ["ball"]))
    assert [each for each in room.ears.said if each[0] == 1] == [(1, 1, ["ball"])]
    before, after = [each.targets[0].track.id for each in room.ears.groundings]
    assert before != after and room.ears.problems == []


def test_what_could_not_be_used_is_told(room):
    room.grounder.problems = ("depth: expected 6x4, got 5x4",)
    room.worker.put("", message(7))
    answers(room, 7, 1, "ball")
    assert room.ears.problems == ["depth: expected 6x4, got 5x4"]


def test_an_example_is_learnt_by_the_thread_that_looks_at_the_scale_of_the_images(room):
    learnt, by = threading.Event(), []

    def tell(done):
        by.append(threading.current_thread().name)
        learnt.set()

    room.worker.learn(lambda looker, config: tell(looker.learn("mug", RGB)))
    assert learnt.wait(5)
    room.worker.put("", message(7))
    room.ears.wait((7, 1, ["ball"]))
    learnt.clear()
    room.worker.learn(lambda looker, config: tell(looker.learn("cup", RGB)))
    assert learnt.wait(5)
    assert by == ["looking"] * 2 and room.grounder.examples == [("mug", None), ("cup", (4, 6))]


def point_at(room, frame, stamp=0):
    """What came of pointing at a pixel: nothing, or why not."""
    done, said = threading.Event(), []

    def lesson(looker, config):
        try:
            looker.learn_at("pixel", Spot(frame, stamp, (1.0, 2.0)), room.worker.remembered, config)
        except GemError as error:
            said.append(str(error))
        done.set()

    room.worker.learn(lesson)
    assert done.wait(5)
    return said


def test_a_pixel_is_of_features_that_are_there(room):
    room.worker.put("", message(7))
    room.ears.wait((7, 1, ["ball"]))
    assert point_at(room, "whatever") == point_at(room, "", 7) == []
    assert room.grounder.examples == [("pixel", "features", (1.0, 2.0))] * 2 and room.grounder.encoded == 1


@pytest.mark.parametrize("listening", [True, False])
def test_a_pixel_of_an_image_that_nothing_was_asked_of_costs_one_pass(room, listening):
    room.ears.listening = listening
    room.worker.ask(asked(2))
    room.worker.put("", message(7))
    assert point_at(room, "") == [] and room.grounder.encoded == 1


def test_memory_that_does_not_suffice_for_a_pixel_is_said(room):
    room.worker.ask(asked(2))
    room.worker.put("", message(7))
    room.ears.wait((7, 2, []))
    room.grounder.room = 0
    assert point_at(room, "") == ["expected memory for one image, got less"]


def test_a_pixel_of_the_time_before_a_jump_is_of_no_image(room):
    room.worker.put("", message(7))
    room.ears.wait((7, 1, ["ball"]))
    room.worker.forget()
    assert point_at(room, "", 7) == ["expected an image before it, got none yet"]


def test_an_example_that_fails_is_told_and_the_next_image_is_answered(room):
    room.worker.learn(lambda looker, config: looker.learn("bad", RGB))
    with room.ears.changed:
        assert room.ears.changed.wait_for(lambda: "out of memory" in room.ears.problems, 5)
    room.worker.put("", message(7))
    room.ears.wait((7, 1, ["ball"]))

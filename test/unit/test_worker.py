"""The thinking threads without ROS: whose labels, on which image, and when nothing at all."""

import threading
import time

import numpy as np
import pytest
from thinking import RGB, asked, message, open_room

from gem_ros.data import Pose
from gem_ros.errors import DecodeError, GemError
from gem_ros.ros.remembered import Spot


@pytest.fixture
def room():
    with open_room() as opened:
        yield opened


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


def test_where_one_image_is_too_much_it_is_looked_at_smaller(room):
    room.grounder.room = 400
    room.worker.put("", message(7))
    with room.ears.changed:
        assert room.ears.changed.wait_for(lambda: room.ears.problems, 5)
    assert "going on" in room.ears.problems[0] and "336 px" in room.ears.problems[0]
    room.worker.put("", message(8))
    room.ears.wait((8, 1, ["ball"]))
    assert (7, 1, ["ball"]) not in room.ears.said


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

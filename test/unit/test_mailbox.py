"""The newest wins, a question is answered with it, nothing waits for ever."""

import threading

import pytest

from gem_ros.ros.buffers import StampBuffer
from gem_ros.ros.mailbox import Allowance, Mailbox, Pace, Work

NS = 1_000_000_000


def test_a_newer_item_replaces_the_waiting_one_of_its_camera_and_the_loss_is_counted():
    mailbox = Mailbox(["front", "left"])
    mailbox.put("left", "only", 0.5)
    for number in range(5):
        mailbox.put("front", number, float(number))
    assert set(mailbox.take()) == {Work("front", 4, 4.0), Work("left", "only", 0.5)}
    assert mailbox.dropped == {"front": 4, "left": 0}


def test_what_is_handed_over_waits_for_its_own_slot_and_is_never_dropped():
    mailbox, done = Mailbox(["front", "left"]), threading.Event()
    mailbox.hand("front", 1, 1.0)
    mailbox.hand("left", 1, 1.0)
    hander = threading.Thread(target=lambda: (mailbox.hand("front", 2, 2.0), done.set()))
    hander.start()
    assert not done.wait(0.05)
    assert len(mailbox.take()) == 2 and done.wait(5)
    hander.join(5)
    assert mailbox.take() == [Work("front", 2, 2.0)] and mailbox.dropped == {"front": 0, "left": 0}


def test_a_nudge_is_for_every_camera_without_a_new_item_and_keeps_its_first_time():
    mailbox = Mailbox(["front", "left"])
    mailbox.put("front", "image", 1.0)
    mailbox.nudge(2.0)
    mailbox.nudge(3.0)
    assert mailbox.take() == [Work("front", "image", 1.0), Work("left", None, 2.0)]


def test_closing_wakes_everybody_and_forgets_what_waits():
    mailbox = Mailbox([""])
    taken = []
    taker = threading.Thread(target=lambda: taken.append(mailbox.wait()))
    taker.start()
    mailbox.close()
    taker.join(5)
    assert taken == [False] and not taker.is_alive()
    mailbox.put("", "late", 0.0)
    mailbox.hand("", "later", 0.0)
    assert not mailbox.wait()


@pytest.mark.parametrize(("camera", "rate", "expected"), [(30, 10, 10), (30, 20, 20), (10, 30, 10), (30, 0, 30)])
def test_the_pace_is_kept_on_average(camera, rate, expected):
    pace, jitter = Pace(), (0.0, 0.004, -0.003, 0.002)
    seconds = 10
    times = [100 + number / camera + jitter[number % 4] for number in range(seconds * camera)]
    assert sum(pace.admits(now, rate) for now in times) == pytest.approx(
        expected * seconds, abs=0.05 * expected * seconds
    )


def test_an_allowance_is_a_burst_and_then_one_per_second():
    allowance = Allowance(3)
    assert [allowance.admits(1000.0) for _ in range(5)] == [True, True, True, False, False]
    assert sum(allowance.admits(1000 + number / 100) for number in range(1000)) == 9
    assert [allowance.admits(5000.0) for _ in range(4)] == [True, True, True, False]


def test_a_pause_earns_no_burst():
    pace = Pace()
    assert pace.admits(0.0, 10) and pace.admits(5.0, 10)
    assert not pace.admits(5.01, 10)


def test_the_nearest_stamp_within_the_slop_is_found():
    buffer = StampBuffer()
    for number in range(5):
        buffer.add(number * NS // 10, number)
    assert buffer.find(NS // 5, 0.05) == 2
    assert buffer.find(int(0.23 * NS), 0.05) == 2
    assert buffer.find(int(0.55 * NS), 0.05) is None


def test_only_the_last_ones_are_kept():
    buffer = StampBuffer(10)
    for number in range(11):
        buffer.add(number, number)
    assert buffer.find(0, 0.0) is None and buffer.find(1, 0.0) == 1


def test_the_right_one_is_waited_for_although_another_is_near():
    buffer = StampBuffer()
    buffer.add(NS, "before")
    timer = threading.Timer(0.05, buffer.add, (NS + NS // 100, "same"))
    timer.start()
    assert buffer.find(NS + NS // 100, 0.05, wait=5.0) == "same"


def test_waiting_ends_with_the_time_given_or_with_closing():
    buffer = StampBuffer()
    buffer.add(NS, "before")
    assert buffer.find(NS + NS // 100, 0.05, wait=0.01) == "before"
    threading.Timer(0.05, buffer.close).start()
    assert buffer.find(2 * NS, 0.05, wait=60.0) is None


def test_a_recording_that_begins_anew_is_not_matched_with_its_end():
    buffer = StampBuffer()
    buffer.add(10 * NS, "end")
    buffer.add(NS, "begin")
    assert buffer.find(NS, 0.05) == "begin" and buffer.find(10 * NS, 0.05) is None

"""When what was remembered of earlier images no longer holds."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from gem_ros.ros.buffers import JUMP_NS, StampBuffer
from gem_ros.ros.continuity import Continuity, silent_clock
from gem_ros.ros.views import View

NOW = 1_700_000_000 * 10**9


def view(stamp=NOW, frame="camera", size=(4, 6)):
    return View(np.zeros((*size, 3), np.uint8), stamp, frame, 0.0)


def broken(*views):
    continuity = Continuity()
    return [continuity.broken_by(each) for each in views]


def test_images_that_go_on_are_no_break():
    same = view(NOW + 2)
    assert broken(view(), view(NOW + 1), same, same, view(NOW + 10**12), view(NOW + 10**12 - JUMP_NS)) == [""] * 6


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (view(NOW - JUMP_NS - 1), "time: expected to go on, got the images' stamps 1.0 s back; tracks"),
        (view(NOW, "left"), "image: expected frame 'camera' as before, got 'left'; tracks"),
        (view(NOW, size=(8, 12)), "image: expected 6x4 px as before, got 12x8; tracks"),
    ],
)
def test_another_time_frame_or_size_is_told_once(other, says):
    first, told, again = broken(view(), other, other)
    assert (first, again) == ("", "") and told.startswith(says)


def test_an_image_without_a_stamp_is_no_jump():
    assert broken(view(), view(0), view(NOW + 1)) == ["", "", ""]


def test_after_forgetting_the_next_image_is_the_first():
    continuity = Continuity()
    continuity.broken_by(view())
    continuity.forget()
    assert continuity.broken_by(view(NOW - 10**12)) == ""


def test_going_back_empties_a_buffer_of_the_time_before_only():
    buffer = StampBuffer()
    buffer.add(NOW + 5 * JUMP_NS, "last run")
    buffer.rewind(NOW + 5 * JUMP_NS - 1)
    assert buffer.find(NOW + 5 * JUMP_NS, 0.1) == "last run"
    buffer.rewind(NOW)
    assert buffer.find(NOW + 5 * JUMP_NS, 0.1) is None
    buffer.add(NOW, "this run")
    buffer.rewind(NOW)
    assert buffer.find(NOW, 0.1) == "this run"


@pytest.mark.parametrize(("simulated", "now", "told"), [(True, 0, True), (True, 5, False), (False, 0, False)])
def test_a_clock_that_is_waited_for_in_vain_is_told(simulated, now, told):
    node = SimpleNamespace(
        get_parameter=lambda name: SimpleNamespace(value=simulated and name == "use_sim_time"),
        get_clock=lambda: SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=now)),
    )
    assert bool(silent_clock(node)) == told

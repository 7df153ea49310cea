"""One fault of each kind, in a few seconds: the slow lane has all of them, and holds their diagnostics."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from harness import BUSY, NOTHING, rig, rows, soon
from test_depth_faults import DEPTH, INFO
from test_image_faults import BROKEN
from test_time_faults import STAMPS

pytestmark = pytest.mark.dds
KINDS = (
    *("image-step-too-small", "image-encoding-unknown", "image-message-cut-off", "image-frame-of-another-camera"),
    *("depth-aspect", "camera-info-zeros", "stamp-zero", "stamp-back"),
)
FAULTS = [fault for fault in (*BROKEN, *DEPTH, *INFO, *STAMPS) if fault.id in KINDS]


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    with rig(tmp_path_factory.mktemp("red"), 19) as made:
        yield made


@rows(FAULTS)
def test_a_fault_is_answered_and_told_and_the_next_image_is_good(red, fault):
    said = lambda: fault.says in red.node.log  # noqa: E731  # at once; the diagnostics come once a second
    stamp = red.send(fault.spoil)
    assert red.robot.wait(said), red.node.log
    target = red.answer(stamp, 0.0 if fault.reason is NOTHING else BUSY)
    assert (target and target["reason"]) == fault.reason
    red.recovered(frames=1)
    red.alive()


def test_all_of_them_were_chosen_and_the_diagnostics_tell_of_the_last(red):
    assert len(FAULTS) == len(KINDS)
    assert red.told("time: expected to go on") < soon()

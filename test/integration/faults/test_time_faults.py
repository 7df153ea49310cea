"""Stamps and clocks that are wrong, jump or are missing: what the node answers, says, and how it goes on."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from diagnostic_msgs.msg import DiagnosticArray
from harness import MS, OK, RECOVERED_AFTER, Fault, as_data, is_good, rig, rows, soon
from placed import IN_MAP, S, hear_goals, is_placed, see_from, stand
from robot import header, stamp_of
from rosgraph_msgs.msg import Clock

pytestmark = [pytest.mark.dds, pytest.mark.slow]
START = 1000 * S  # of simulated time
BACK = "time: expected to go on, got the images' stamps"
AHEAD = "s after the node's clock"


def restamp(change, *parts):
    """Breaks a frame by other stamps of its messages."""

    def spoil(frame):
        for part in parts:
            message = getattr(frame, part)
            message.header.stamp = header(change(stamp_of(message))).stamp

    return spoil


ALL = ("image", "depth", "info")
STAMPS = [
    Fault("stamp-zero", restamp(lambda stamp: 0, *ALL), "misaligned", "image: expected the stamp of its moment, got 0"),
    Fault(
        "stamp-zero-of-image",
        restamp(lambda stamp: 0, "image"),
        "misaligned",
        "expected the stamp of its moment, got 0",
    ),
    Fault("stamp-zero-of-depth", restamp(lambda stamp: 0, "depth"), "no_depth_message", "s from the image's stamp"),
    Fault("stamp-zero-of-camera-info", restamp(lambda stamp: 0, "info"), "no_camera_info", "s from the image's stamp"),
    Fault("stamp-in-the-future", restamp(lambda stamp: stamp + 3600 * S, *ALL), OK, AHEAD),
    Fault("stamp-in-the-future-of-image", restamp(lambda stamp: stamp + 3600 * S, "image"), "no_depth_message", AHEAD),
    Fault(
        "stamp-in-the-future-of-depth",
        restamp(lambda stamp: stamp + 3600 * S, "depth"),
        "no_depth_message",
        "depth: expected one at most 0.2 s from the image's stamp, got the nearest",
    ),
    Fault("stamp-back", restamp(lambda stamp: stamp - 3600 * S, *ALL), OK, BACK),
]


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    with rig(tmp_path_factory.mktemp("red"), 14) as made:
        yield made


@rows(STAMPS)
def test_wrong_stamps(red, fault):
    red.check(fault)


def test_images_out_of_order_are_no_jump(red):
    now = stamp_of_now()
    seen = [red.answer(red.send(stamp=now + late * MS)) for late in (0, -600, -300, 300)]
    assert all(map(is_good, seen)) and len({target["id"] for target in seen}) == 1


def stamp_of_now():
    return time.time_ns()


def nearer(frame):
    """Breaks nothing: all distances are half a metre less."""
    millimetres = np.frombuffer(bytes(frame.depth.data), "<u2") - 500
    frame.depth.data = as_data(millimetres)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """In the map, with poses from a topic, and answers to a recording's first moment."""
    with rig(tmp_path_factory.mktemp("map"), 15, *IN_MAP, see=see_from_start) as made:
        yield made


def see_from_start(rig):
    stand(rig, START - 10 * S, 0.0)
    return rig.send(stamp=START - 10 * S)


RUN = [START + index * 300 * MS for index in range(10)]  # stamps


@pytest.mark.parametrize("order", ["partners-first", "image-first"])
def test_a_recording_that_begins_anew_is_not_mixed_with_the_last_run(recorded, order):
    """Same stamps, other poses and other depth: each run is answered by its own."""
    how = {"image_first": order == "image-first"}
    goals, ids = hear_goals(recorded), []
    for x, spoil, near in ((1.0, None, 1.5), (5.0, nearer, 1.0), (1.0, None, 1.5)):
        recorded.robot.health.clear()
        told, seen = recorded.node.log.count("time: expected to go on"), []
        for stamp in RUN:
            seen.append(see_from(recorded, x, stamp, spoil=spoil, **how))
        assert all(is_placed(target, x, near) for target in seen[RECOVERED_AFTER - 1 :]), recorded.node.log
        assert all(target["point"] is None or is_placed(target, x, near) for target in seen)
        assert len({target["id"] for target in seen[RECOVERED_AFTER - 1 :]}) == 1
        ids.append(seen[-1]["id"])
        assert recorded.node.log.count("time: expected to go on") <= told + 1
        assert goals and abs(goals[-1].pose.position.x - (x + near - 0.8)) < 0.3
        goals.clear()  # the next run sends its own
    assert len(set(ids)) == 3
    recorded.alive()


def test_a_recording_that_begins_anew_is_told_and_nothing_is_remembered(recorded):
    see_from(recorded, 1.0, RUN[-1])
    recorded.robot.health.clear()
    absent = lambda frame: frame.image.data.__setitem__(slice(None), frame.image.data[:1] * len(frame.image.data))  # noqa: E731
    see_from(recorded, 1.0, START, spoil=absent)
    assert recorded.robot.result_of(START)["last_seen"] == []
    assert recorded.told(BACK) < soon()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """With use_sim_time, and no clock yet."""
    with rig(tmp_path_factory.mktemp("sim"), 16, "-p", "use_sim_time:=true") as made:
        made.clock = made.robot.node.create_publisher(Clock, "/clock", 10)
        made.heads = []
        made.robot.listen("/diagnostics", DiagnosticArray, lambda message: made.heads.append(stamp_of(message)))
        yield made


def set_clock(rig, now):
    """Time in ns, until the node's diagnostics bear it."""
    rig.heads.clear()
    rig.clock.publish(Clock(clock=header(now).stamp))
    assert rig.robot.wait(lambda: now in rig.heads or rig.clock.publish(Clock(clock=header(now).stamp)))


def test_without_a_clock_it_works_and_says_so(simulated):
    """Runs first: no clock has come."""
    simulated.recovered(lambda: simulated.send(stamp=START))
    assert simulated.told("time: expected /clock because of use_sim_time, got none") < soon()
    simulated.heads.clear()
    assert simulated.robot.wait(lambda: len(simulated.heads) >= 2) and set(simulated.heads) == {0}


def test_stamps_are_ros_time_and_durations_are_not(simulated):
    set_clock(simulated, START)  # and there it stands
    stamp = simulated.send(stamp=START)
    result = simulated.robot.result_of(stamp)
    assert 0 < result["latency_ms"] < 10_000
    time.sleep(1.2)  # max_age is 1 s
    simulated.robot.results.clear()
    simulated.robot.ask("bright")
    simulated.robot.quiet()
    assert simulated.robot.results == []
    simulated.robot.ask("red")


def test_ros_time_that_jumps_back_is_told_once_and_tracks_start_anew(simulated):
    """By less than the images' stamps need to."""
    set_clock(simulated, START + 10 * S)
    before = simulated.answer(simulated.send(stamp=START + 10 * S))
    simulated.robot.health.clear()
    told = simulated.node.log.count("time: expected to go on")
    set_clock(simulated, START + 8500 * MS)
    seen = [simulated.answer(simulated.send(stamp=START + late * MS)) for late in (9200, 9500)]
    assert all(map(is_good, seen)) and seen[0]["id"] == seen[1]["id"] != before["id"]
    assert simulated.told("time: expected to go on, got ROS time 1.5 s back") < soon()
    assert simulated.node.log.count("time: expected to go on") <= told + 1


def test_time_that_jumps_forward_is_no_fault(simulated):
    set_clock(simulated, START + 100 * S)
    told = simulated.node.log.count("time: expected")
    assert is_good(simulated.answer(simulated.send(stamp=START + 100 * S)))
    assert simulated.node.log.count("time: expected") == told

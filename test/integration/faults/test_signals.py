"""SIGINT, SIGTERM and SIGKILL at any moment of the real node with the bundled model.

``GEM_ROS_SIGNALS=100`` gives each moment a fourth of 100 signals; by default each gets one of either kind.
"""

import os
import random
import signal
import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from processes import BUNDLED, FAULTY, Process, busy, recovered, segments

from gem_ros.process import cpu_seconds

pytestmark = [pytest.mark.dds, pytest.mark.slow]
RUNS = int(os.environ.get("GEM_ROS_SIGNALS", "8"))
MOMENTS = ("imports", "configure", "idle", "inference")
LIMIT = 2.0  # s from the signal to the end
READY = 10.0  # s from the start to an answer, on two cores
ASKED = ("-p", "queries:=[red ball]")


def come_to(moment, node, robot, chance):
    """Wait until the node is at some time of ``moment``."""
    deadline = time.monotonic() + 180
    while not node.listens_to_signals and time.monotonic() < deadline:
        time.sleep(0.002)
    if moment == "imports":
        time.sleep(chance.uniform(0, 1.0))
        return
    node.wait_for("loading bundled")
    if moment == "configure":
        time.sleep(chance.uniform(0, 2.0))
        return
    node.wait_for("bundled ready on")
    if moment == "idle":
        time.sleep(chance.uniform(0, 0.5))
        return
    robot.results.clear()
    assert robot.see_until(robot.answered), node.log
    until = time.monotonic() + chance.uniform(0, 0.5)
    while time.monotonic() < until:  # there is always one to look at
        robot.see()


@pytest.mark.parametrize("moment", MOMENTS)
def test_signal_ends_it_with_status_0_within_2_s(moment, tmp_path, robot, record_property):
    chance, took = random.Random(moment), []
    for run in range(max(1, RUNS // len(MOMENTS))):
        number = (signal.SIGINT, signal.SIGTERM)[run % 2]
        with Process(tmp_path, *BUNDLED, *ASKED) as node:
            come_to(moment, node, robot, chance)
            status, seconds = node.seconds_to_end(number)
            took.append(seconds)
            assert status == 0, (run, number, status, node.log)
            assert "Traceback" not in node.log, node.log
    took.sort()
    print(f"{moment}: {len(took)} signals, {took[len(took) // 2]:.2f} s (median), {took[-1]:.2f} s; busy {busy():.1f}")
    record_property("seconds", took)
    assert took[-1] <= LIMIT * busy()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_in_a_long_forward_ends_it_after_that(number, tmp_path, robot, monkeypatch):
    fault = tmp_path / "fault"
    fault.write_text("")
    monkeypatch.setenv("GEM_ROS_FAULT", str(fault))
    with Process(tmp_path, *BUNDLED, *ASKED, script=FAULTY) as node:
        node.wait_for("bundled ready on")
        assert robot.see_until(robot.answered), node.log
        fault.write_text("sleep 5")
        robot.see()
        assert robot.wait(fault.with_suffix(".asleep").exists)
        for _ in range(3):  # whoever is impatient does not break it
            node.process.send_signal(number)
        status, seconds = node.seconds_to_end(number)
        assert (status, "Traceback" in node.log) == (0, False), node.log
        assert 1.0 < seconds < 5.0 + LIMIT * busy()


def test_kill_9_and_respawn_is_ready_within_10_s(tmp_path, robot):
    with Process(tmp_path, *BUNDLED, *ASKED) as node:
        node.wait_for("bundled ready on")
        assert robot.see_until(robot.answered), node.log
        node.kill()
    left = segments()
    took = []
    for _ in range(2):
        start = time.monotonic()
        with Process(tmp_path, *BUNDLED, *ASKED) as node:
            node.wait_for("bundled ready on")
            ready = time.monotonic() - start
            robot.wait(robot.image.get_subscription_count, 5.0)
            assert robot.see_until(robot.answered), node.log
            took.append((ready, time.monotonic() - start))
            used = cpu_seconds(node.pid)
            assert recovered(robot) == 1
            node.kill()
    print(f"ready and answering after {took} s, {used} s of CPU; busy {busy():.1f}; segments {left}, {segments()}")
    assert min(answered for _, answered in took) <= READY * busy()

"""How the node's process begins and ends, with a stub for the model: its status, its log, what others see of it."""

import signal

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from robot import DOMAIN, PATIENCE, STUB, Node, Robot

pytestmark = pytest.mark.dds


@pytest.fixture(scope="module")
def robot():
    robot = Robot(DOMAIN + 6)
    yield robot
    robot.close()


def test_a_model_that_cannot_be_loaded_is_one_line_and_the_node_stays(tmp_path, robot):
    node = Node(tmp_path / "log", DOMAIN + 6, "-r", "__node:=third", "-p", "model:=missing")
    try:
        mine = lambda: [each for each in robot.health if each.name == "/third"]  # noqa: E731
        assert robot.wait(mine) and "not configured: model 'missing'" in mine()[-1].message
        assert mine()[-1].level == b"\2" and node.process.poll() is None
        assert node.end(signal.SIGTERM) == 0
        assert sum("[ERROR]" in line for line in node.log.splitlines()) == 1 and "Traceback" not in node.log
    finally:
        node.kill()


@pytest.mark.parametrize("argument", ["max_depth:=-1", "queries:=[y]", "model:=3", "use_sim_time:=1"])
def test_a_bad_parameter_at_the_start_is_one_line_and_status_2(tmp_path, argument):
    node = Node(tmp_path / "log", DOMAIN + 6, "-p", argument)
    try:
        assert node.process.wait(PATIENCE) == 2
        assert argument.partition(":")[0] in node.log and len(node.log.splitlines()) == 1
    finally:
        node.kill()


def test_others_see_at_once_that_it_has_ended(tmp_path, robot):
    node = Node(tmp_path / "log", DOMAIN + 6, "-r", "__node:=short_lived")
    try:
        assert robot.wait(lambda: "short_lived" in robot.node.get_node_names())
        assert robot.wait(lambda: "ready on" in node.log)
        assert node.end() == 0, node.log
        assert robot.wait(lambda: "short_lived" not in robot.node.get_node_names(), 3.0)
    finally:
        node.kill()


INTERRUPTED = """
import os, runpy, signal, threading
from gem_ros.ros import main, worker
begin = worker.Worker.__init__
def interrupted(self, *given):
    begin(self, *given)
    os.kill(os.getpid(), signal.SIGINT)
    print("went on")
worker.Worker.__init__ = interrupted
"""
STUCK = """
main.GRACE = 1.0
worker.Worker.stop = lambda self: threading.Event().wait()
"""


@pytest.mark.parametrize(("more", "status"), [("", 0), (STUCK, 1)], ids=["it ends", "it would hang"])
def test_a_signal_right_after_the_worker_s_threads_have_begun_ends_it(tmp_path, more, status):
    """It is noted there: after an exception nobody would know the worker, and nobody stop the threads."""
    script = tmp_path / "interrupted.py"
    script.write_text(f"{INTERRUPTED}{more}runpy.run_path({str(STUB)!r}, run_name='__main__')")
    node = Node(tmp_path / "log", DOMAIN + 6, "-r", "__node:=short_lived", script=script)
    try:
        assert node.process.wait(PATIENCE) == status, node.log
        assert "went on" in node.log and "Traceback" not in node.log, node.log
        assert ("in destroy_node" in node.log) == bool(status), node.log
    finally:
        node.kill()

"""The real node with security enforced, by the policy that is shipped: it works, and is closed to whoever has no part.

Skipped where the DDS has no security, as that of the ROS wheels; a ROS 2 of a distribution has it.
"""

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from keystore import EVERYTHING, Keystore
from lifecycle_msgs.msg import Transition
from rcl_interfaces.srv import DescribeParameters, GetParameterTypes, ListParameters
from robot import DOMAIN, STUB, Node, Robot
from std_srvs.srv import SetBool, Trigger

pytestmark = [pytest.mark.dds, pytest.mark.slow, pytest.mark.skipif(not which("openssl"), reason="needs openssl")]
POLICY = Path(__file__).parents[3] / "config" / "sros2_policy.xml"
STRANGER = Path(__file__).with_name("stranger.py")
NONE = "doesn't have the security libraries"  # Fast DDS built without
ARGUMENTS = ("--enclave", "/grounding", "-p", "queries:=[door]")
LISTENED, PATIENCE, SETTLED = 15.0, 60.0, 3.0  # s
PROBE = "import rclpy; rclpy.init(args=['--ros-args', '--enclave', '/robot']); rclpy.create_node('probe')"


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """Two domains' keystores, and why this DDS cannot use them; empty: it can."""
    stores = [Keystore(tmp_path_factory.mktemp("keys") / "keystore", DOMAIN + number) for number in (0, 1)]
    for each in stores:
        each.add(POLICY.read_text())
        each.add(EVERYTHING.format("/robot"))
    told = run("-c", PROBE, **stores[0].environment())
    assert told.returncode == 0 or NONE in told.stderr, told.stderr
    return SimpleNamespace(stores=stores, why=f"this Fast DDS {NONE}" if told.returncode else "")


@pytest.fixture(scope="module")
def keystore(without):
    if without.why:
        pytest.skip(f"needs a DDS with security: {without.why}")
    return without.stores[0]


@pytest.fixture(scope="module")
def elsewhere(keystore, without):
    """The keystore of a domain in which nothing else is."""
    return without.stores[1]


@pytest.fixture(scope="module")
def robot(keystore):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keystore.environment("/robot").items():
            patch.setenv(name, value)
        robot = Robot(DOMAIN)
    yield robot
    robot.close()


def run(*arguments, **environment):
    """A process of Python; what it printed."""
    paths = os.pathsep.join([str(STUB.parent), os.environ.get("PYTHONPATH", "")])
    added = {"PYTHONPATH": paths, "ROS_DOMAIN_ID": str(DOMAIN)} | environment
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=os.environ | added, capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def start(folder, keystore, *arguments):
    """The node with this keystore, while the block lasts."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keystore.environment().items():
            patch.setenv(name, value)
        node = Node(folder / "log", keystore.domain, *ARGUMENTS, *arguments)
    try:
        yield node
    finally:
        node.kill()


def wait(true):
    """Until ``true()``; its value."""
    deadline = time.monotonic() + PATIENCE
    while not (value := true()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return value


@pytest.fixture(scope="module")
def node(tmp_path_factory, keystore, robot):
    with start(tmp_path_factory.mktemp("node"), keystore) as node:
        yield node


def test_it_answers_images_and_queries(node, robot):
    assert robot.see_until(robot.answered), node.log
    assert robot.results[-1][1]["targets"][0]["reason"] == "ok"
    robot.ask("red cube")
    stamp = robot.see_until(robot.answered)
    assert robot.result_of(stamp)["targets"][0]["query"] == "red cube"
    assert robot.wait(lambda: robot.health)


def test_its_services_parameters_and_lifecycle_answer(node, robot):
    assert robot.call(SetBool, "/grounding/enable", data=True).success
    assert robot.call(Trigger, "/grounding/clear").success and robot.get("queries") == []
    assert robot.set("queries", ["door"]) == (True, "") and robot.get("queries") == ["door"]
    assert "model" in robot.call(ListParameters, "/grounding/list_parameters").result.names
    assert robot.call(DescribeParameters, "/grounding/describe_parameters", names=["model"]).descriptors
    assert robot.call(GetParameterTypes, "/grounding/get_parameter_types", names=["model"]).types
    assert robot.transition(Transition.TRANSITION_DEACTIVATE) and robot.state() == "inactive"
    assert robot.transition(Transition.TRANSITION_ACTIVATE) and robot.state() == "active"


@pytest.mark.parametrize("who", ["nobody", "forger", "robot"])
def test_who_has_no_certificate_hears_and_asks_nothing(who, node, robot, keystore, tmp_path):
    assert robot.set("queries", ["door"])[0] and robot.see_until(robot.answered)
    if who == "forger":  # everything as it should be, but of another authority
        other = Keystore(tmp_path / "forged", DOMAIN)
        other.add(EVERYTHING.format("/robot"))
        environment = other.environment("/robot")
    else:
        environment = keystore.environment("/robot") if who == "robot" else {"ROS_SECURITY_ENABLE": "false"}
    done = run(STRANGER, LISTENED, DOMAIN, **environment)
    assert done.returncode == 0, done.stderr
    heard = json.loads(done.stdout.splitlines()[-1])
    if who == "robot":  # else the test would hold whatever is shut
        assert all(heard.values()), heard
        return
    assert not any(heard.values()), heard
    assert robot.get("queries") == ["door"]
    assert robot.see_until(robot.answered), node.log


@pytest.mark.parametrize(
    "settings",
    [
        ("use_sim_time:=true", "image_transport:=compressed", "depth_transport:=compressed"),
        ("target_frame:=map", "pose_source:=topic"),
    ],
)
def test_what_settings_open_is_allowed(settings, elsewhere, tmp_path):
    arguments = [part for each in settings for part in ("-p", each)]
    with start(tmp_path, elsewhere, *arguments) as node:
        assert wait(lambda: "ready on" in node.log)
        time.sleep(SETTLED)  # it is activated
        assert node.process.poll() is None and "rror" not in node.log, node.log


def lesser(folder, domain, way, name):
    """A keystore whose /grounding may not do one thing."""
    policy = ET.fromstring(POLICY.read_text())
    rules = next(each for each in policy.iter() if each.get(way))
    rules.remove(next(each for each in rules if each.text == name))
    made = Keystore(folder / "lesser", domain)
    made.add(ET.tostring(policy, encoding="unicode"))
    return made


@pytest.mark.parametrize(("way", "name"), [("publish", "~/result"), ("reply", "~/set_parameters")])
def test_what_the_policy_does_not_name_is_denied_in_one_line(way, name, elsewhere, tmp_path):
    with start(tmp_path, lesser(tmp_path, elsewhere.domain, way, name)) as node:
        assert node.process.wait(PATIENCE) == 2, node.log
        said = [each for each in node.log.splitlines() if "[grounding]" in each]
        assert len(said) == 1 and f"/grounding{name[1:]}" in said[0] and "Traceback" not in node.log, node.log


def test_an_image_that_the_policy_does_not_name_is_denied_and_told(elsewhere, tmp_path):
    with start(tmp_path, lesser(tmp_path, elsewhere.domain, "subscribe", "image")) as node:
        assert wait(lambda: "rt/image" in node.log), node.log
        assert "error in on_activate" in node.log and node.process.poll() is None


def test_where_there_is_no_security_it_does_not_start_in_the_open(without, tmp_path):
    if not without.why:
        pytest.skip("this DDS has security")
    with start(tmp_path, without.stores[1]) as node:
        assert node.process.wait(PATIENCE) == 2, node.log
        said = [each for each in node.log.splitlines() if "[grounding]" in each]
        assert len(said) == 1 and NONE in said[0] and "Traceback" not in node.log, node.log

"""The lifecycle of the real node in its own process: cycles, Nav2's manager, configurations that fail."""

from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from lifecycle_msgs.msg import Transition
from processes import Process, awake, busy, recovered, told
from robot import STUB
from std_msgs.msg import String

pytestmark = [pytest.mark.dds, pytest.mark.slow]
CYCLES, WARM = 50, 10
GROWTH = 4.0  # MiB of CYCLES - WARM cycles
CONFIGURE, CLEANUP = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_CLEANUP
ACTIVATE, DEACTIVATE = Transition.TRANSITION_ACTIVATE, Transition.TRANSITION_DEACTIVATE
MANAGED = ("-p", "autostart:=false", "-p", "queries:=[red cube]")
TINY = Path(__file__).with_name("tiny_grounding_node.py")


def state_after(robot, transition):
    """As Nav2's lifecycle manager does: change the state, then ask for it."""
    return robot.transition(transition), robot.state()


def held(node, robot):
    """What the node's process and its place in the graph hold."""
    publishers = robot.node.get_publisher_names_and_types_by_node("grounding", "/")
    subscriptions = robot.node.get_subscriber_names_and_types_by_node("grounding", "/")
    maps = Path(f"/proc/{node.pid}/maps").read_text()
    shared = {line.split()[-1] for line in maps.splitlines() if "/dev/shm/" in line}
    return {
        "threads": node.threads,
        "descriptors": node.descriptors,
        "publishers": len(publishers),
        "subscriptions": len(subscriptions),
        "shared": len(shared),
    }


def test_50_cycles_hold_no_more_than_10(tmp_path, robot):
    with Process(tmp_path, *MANAGED, script=STUB) as node:
        awake(robot)
        memory = []
        for cycle in range(CYCLES):
            assert state_after(robot, CONFIGURE) == (True, "inactive")
            assert state_after(robot, ACTIVATE) == (True, "active")
            assert robot.wait(robot.image.get_subscription_count)
            robot.results.clear()
            assert robot.see_until(robot.answered), (cycle, node.log)
            assert state_after(robot, DEACTIVATE) == (True, "inactive")
            assert state_after(robot, CLEANUP) == (True, "unconfigured")
            robot.wait(lambda: not robot.image.get_subscription_count())
            memory.append(node.memory)
            if cycle == WARM - 1:
                before = held(node, robot)
        after = held(node, robot)
        print(f"{CYCLES} cycles: {before} -> {after}, {memory[WARM - 1]:.1f} -> {memory[-1]:.1f} MiB")
        assert after == before
        assert memory[-1] - memory[WARM - 1] < GROWTH
        assert node.end() == 0


def test_nav2s_lifecycle_manager_starts_pauses_resumes_resets_and_shuts_down(tmp_path, robot, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).with_name("fake_bondpy")), prepend=":")
    beats = []
    ears = robot.listen("/bond", String, lambda message: beats.append(message.data))
    with Process(tmp_path, *MANAGED, script=STUB) as node:

        def bonded():
            beats.clear()
            return robot.wait(lambda: "grounding alive" in beats, 4.0 * busy())  # its bond_timeout

        def unbonded():
            assert robot.wait(lambda: "grounding dead" in beats), beats
            beats.clear()
            robot.quiet()
            return not beats

        awake(robot)
        assert robot.state() == "unconfigured"
        for _ in range(2):  # startup, pause, resume, reset
            assert state_after(robot, CONFIGURE) == (True, "inactive")
            assert not robot.wait(lambda: beats, 0.5)
            assert state_after(robot, ACTIVATE) == (True, "active") and bonded()
            assert state_after(robot, DEACTIVATE) == (True, "inactive") and unbonded()
            assert state_after(robot, ACTIVATE) == (True, "active") and bonded()
            assert recovered(robot), node.log
            assert state_after(robot, DEACTIVATE) == (True, "inactive") and unbonded()
            assert state_after(robot, CLEANUP) == (True, "unconfigured")
        assert state_after(robot, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN) == (True, "finalized")
        assert node.process.poll() is None  # as Nav2's nodes: it is there until its process is ended
        assert node.end() == 0 and "Traceback" not in node.log
    robot.node.destroy_subscription(ears)


def test_without_bondpy_the_manager_is_obeyed_without_a_bond(tmp_path, robot):
    with Process(tmp_path, *MANAGED, script=STUB) as node:
        awake(robot)
        assert state_after(robot, CONFIGURE) == (True, "inactive")
        assert state_after(robot, ACTIVATE) == (True, "active")
        assert robot.see_until(robot.answered), node.log
        assert robot.node.count_publishers("/bond") == 0


@pytest.fixture(scope="module")
def unconfigured(tmp_path_factory, robot):
    """A node that waits for a manager, and the place where it looks for weights."""
    folder = tmp_path_factory.mktemp("weights")
    model = (
        "-p",
        "model:=tiny-ViT-16",
        "-p",
        "gem.blocks:=2",
        "-p",
        f"pretrained:={folder / 'weights.safetensors'}",
        "-p",
        "device:=cpu",
    )
    with Process(folder, *MANAGED, *model, script=TINY) as node:
        node.weights = folder / "weights.safetensors"
        yield node


def write_weights(path, kind):
    from tiny_grounding_node import weights

    if kind == "directory":
        path.mkdir()
    elif kind == "garbage":
        path.write_bytes(bytes(range(256)) * 100)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind != "missing":
        weights(path, **({"width": 96} if kind == "other" else {}))
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("kind", ["missing", "directory", "empty", "garbage", "truncated", "other"])
def test_bad_weights_leave_it_unconfigured_and_good_ones_are_then_taken(kind, unconfigured, robot):
    node, path = unconfigured, unconfigured.weights
    write_weights(path, kind)
    log = len(node.log)
    assert state_after(robot, CONFIGURE) == (False, "unconfigured")
    status = told(robot, "not configured: ", "weights.safetensors")
    assert status and status.level == b"\2" and "pretrained: expected" in status.message, node.log
    said = [line for line in node.log[log:].splitlines() if "[ERROR]" in line]
    assert len(said) == 1 and "Traceback" not in node.log[log:]
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    write_weights(path, "good")
    assert state_after(robot, CONFIGURE) == (True, "inactive"), node.log
    assert state_after(robot, CLEANUP) == (True, "unconfigured")
    path.unlink()


TAGGED = ["model:=ViT-B-16", "pretrained:=laion2b_s34b_b88k"]
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": "/nonexistent"}
DEAD_PROXY = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "HF_HUB_CACHE": "/nonexistent"}
CASES = {
    "architecture": (["model:=ViT-B-17"], {}, "open_clip architecture"),
    "tag": (["pretrained:=opanai"], {}, "a tag of ViT-B-16-quickgelu"),
    "offline": (TAGGED, OFFLINE, "there is no network"),
    "proxy": (TAGGED, DEAD_PROXY, "cannot download"),
    "no-gpu": (["model:=bundled", "device:=cuda"], {"CUDA_VISIBLE_DEVICES": ""}, "set device to auto or cpu"),
    "card": (["model:=bundled", "card:=/nowhere.json"], {}, "nowhere.json"),
}


@pytest.mark.parametrize("case", CASES)
def test_model_that_cannot_be_had_leaves_it_unconfigured(case, tmp_path, robot, monkeypatch):
    arguments, environment, says = CASES[case]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    given = [each for argument in arguments for each in ("-p", argument)]
    with Process(tmp_path, *given) as node:
        node.wait_for("not configured: ")
        status = told(robot, "not configured: ", says)
        assert status and status.level == b"\2", node.log
        assert robot.state() == "unconfigured"
        assert sum("[ERROR]" in line for line in node.log.splitlines()) == 1 and "Traceback" not in node.log
        assert node.end() == 0

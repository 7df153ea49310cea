"""The node in this process: what it refuses, and what its process sets up."""

import subprocess
import sys

import pytest

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

import torch  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from gem_ros.ros.node import GroundingNode  # noqa: E402


@pytest.fixture
def make_node():
    context, nodes = rclpy.Context(), []
    rclpy.init(context=context, args=[])

    def make(**overrides):
        given = [Parameter(name, value=value) for name, value in (overrides | {"autostart": False}).items()]
        nodes.append(GroundingNode(context=context, parameter_overrides=given))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    context.try_shutdown()


def test_without_a_gpu_device_cuda_is_not_configured_and_says_what_to_set(make_node, bundled, monkeypatch, capfd):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    node = make_node(model="bundled", device="cuda")
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    lines = [line for line in capfd.readouterr().err.splitlines() if "not configured" in line]
    assert len(lines) == 1 and "set device to auto or cpu" in lines[0]


def topics(node):
    owned = [name for name, _ in node.get_publisher_names_and_types_by_node(node.get_name(), node.get_namespace())]
    return {name.removeprefix("/grounding/") for name in owned if name.startswith("/grounding/")}


def test_cameras_have_the_same_topics_as_one_has_each_below_its_name(make_node):
    alone = topics(make_node()) - {"queries", "transition_event"}
    assert {"target", "result", "overlay/compressed"} <= alone
    made = topics(make_node(cameras=["front", "left"]))
    together = {f"{camera}/{name}" for camera in ("front", "left") for name in alone}
    assert together <= made and "queries" in made


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_buffers_of_images_do_not_cost_new_pages_each_time():
    code = """
import resource
from gem_ros.process import keep_freed_memory
keep_freed_memory()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for number in range(60):
    if number == 10:
        before = faults()
    bytearray(b"x" * 1_228_800)
assert faults() - before < 5000, faults() - before  # 2 x 300 pages each would be 30000
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

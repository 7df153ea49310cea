"""The node in this process: what it refuses, and what its process sets up."""

import array
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

import torch  # noqa: E402
from geometry_msgs.msg import Point, PointStamped  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from rclpy.serialization import serialize_message  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from gem_ros.config import Config  # noqa: E402
from gem_ros.core import download as downloading  # noqa: E402
from gem_ros.core import runtime  # noqa: E402
from gem_ros.data import PatchFeatures  # noqa: E402
from gem_ros.errors import ModelError  # noqa: E402
from gem_ros.pipeline import Grounder  # noqa: E402
from gem_ros.ros.node import GroundingNode, load_grounder  # noqa: E402


@pytest.fixture
def make_node():
    context, nodes = rclpy.Context(), []
    rclpy.init(context=context, args=[])

    def make(load=None, **overrides):
        given = [Parameter(name, value=value) for name, value in (overrides | {"autostart": False}).items()]
        more = {"load": load} if load else {}
        nodes.append(GroundingNode(context=context, parameter_overrides=given, **more))
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


def test_a_download_is_told_in_the_log(make_node, capfd):
    def load(config):
        say = downloading._say.get()
        say("downloading weights", 0.5)
        say("downloading weights", 0.51)
        say("downloading weights", 1.0)
        raise ModelError("enough")

    assert make_node(load=load).trigger_configure() == TransitionCallbackReturn.FAILURE
    lines = [line for line in capfd.readouterr().err.splitlines() if "downloading weights" in line]
    assert len(lines) == 2 and "[INFO]" in lines[0] and ": 50%" in lines[0] and ": 100%" in lines[1]


def topics(node):
    owned = [each.topic_name for each in node.publishers]  # the graph may not know them yet
    return {name.removeprefix("/grounding/") for name in owned if name.startswith("/grounding/")}


def test_cameras_have_the_same_topics_as_one_has_each_below_its_name(make_node):
    alone = topics(make_node()) - {"queries", "transition_event"}
    assert {"target", "result", "overlay/compressed"} <= alone
    made = topics(make_node(cameras=["front", "left"]))
    together = {f"{camera}/{name}" for camera in ("front", "left") for name in alone}
    assert together <= made and "queries" in made


def test_what_is_free_is_given_back_now_and_then(make_node, monkeypatch):
    given = []
    monkeypatch.setattr("gem_ros.ros.node.GIVE_BACK", 0.01)
    monkeypatch.setattr("gem_ros.ros.node.give_back_memory", lambda: given.append(True))
    node = make_node()
    executor = SingleThreadedExecutor(context=node.context)
    deadline = time.monotonic() + 10
    while not given and time.monotonic() < deadline:
        rclpy.spin_once(node, executor=executor, timeout_sec=0.1)
    assert given


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_what_is_given_back_is_memory_of_others_again():
    code = """
import os
from gem_ros.process import give_back_memory, keep_freed_memory, own_memory
keep_freed_memory()
many = [bytearray(b"x" * 1_000_000) for _ in range(100)]
last = bytearray(b"x" * 1_000_000)  # without a gap at the end of the heap
del many
kept = own_memory(os.getpid())
give_back_memory()
assert kept > 95 and kept - own_memory(os.getpid()) > 90, (kept, own_memory(os.getpid()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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


class Learner:
    """A grounder that takes examples and knows nothing else."""

    device, status = "cpu", {}

    def __init__(self):
        self.examples = []

    def add_example(self, name, rgb, **of):
        self.examples.append((name, rgb.shape))

    def encode_images(self, images, config):
        return [PatchFeatures(np.zeros((1, 1, 2), np.float32), rgb.shape[:2]) for rgb in images]

    def add_example_at(self, name, features, pixel):
        Grounder.add_example_at(SimpleNamespace(examples=self), name, features, pixel)

    def add(self, name, tokens):
        self.examples.append((name, tokens.shape))

    def unknown(self, text):
        return ()

    def image_size(self, config):
        return 448


def shown(frame_id="", size=(8, 6), **wrong):
    fields = {"height": size[0], "width": size[1], "step": 3 * size[1], "encoding": "rgb8"} | wrong
    message = Image(**fields, data=array.array("B", bytes(3 * size[0] * size[1])))
    message.header.frame_id = frame_id
    return message


@pytest.fixture
def learner(make_node):
    """An active node with a :class:`Learner`, and its executor."""
    grounder = Learner()
    node = make_node(load=lambda config: grounder)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    assert node.trigger_configure() == node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    yield SimpleNamespace(node=node, grounder=grounder, executor=executor)
    executor.shutdown()


def hear(node, message):
    node._image_queries.hear(serialize_message(message))


def asks(learner, *texts):
    """Spin until the node asks for these; its epoch."""
    deadline = time.monotonic() + 5
    while tuple(each.text for each in learner.node._asked.queries) != texts:
        assert time.monotonic() < deadline
        learner.executor.spin_once(timeout_sec=0.05)
    return learner.node._asked.epoch


def test_a_picture_becomes_the_query_by_its_frame_id(learner):
    hear(learner.node, shown("mug"))
    first = asks(learner, "@mug")
    hear(learner.node, shown())
    assert asks(learner, "@example") == first + 1
    assert learner.grounder.examples == [("mug", (8, 6, 3)), ("example", (8, 6, 3))]


def test_another_picture_of_the_same_name_is_a_new_question(learner):
    hear(learner.node, shown("mug"))
    first = asks(learner, "@mug")
    hear(learner.node, shown("mug", size=(4, 4)))
    deadline = time.monotonic() + 5
    while learner.node._asked.epoch == first and time.monotonic() < deadline:
        learner.executor.spin_once(timeout_sec=0.05)
    assert (learner.node._asked.epoch, len(learner.grounder.examples)) == (first + 1, 2)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (shown("a;b"), "expected a name without"),
        (shown("@mug"), "expected a name without"),
        (shown("mug", size=(0, 0)), "image"),
        (shown("mug", step=5), "step"),
        (shown("mug", encoding="8UC7"), "encoding"),
    ],
)
def test_a_picture_that_is_none_is_refused_in_a_line_and_changes_nothing(learner, capfd, message, line):
    hear(learner.node, message)
    said = [each for each in capfd.readouterr().err.splitlines() if "image_query refused" in each]
    assert len(said) == 1 and line in said[0]
    assert not learner.grounder.examples and not learner.node._asked.queries


def test_an_inactive_node_takes_no_picture(make_node, capfd):
    hear(make_node(), shown("mug"))
    assert "image_query refused: expected an active node" in capfd.readouterr().err


def test_bytes_that_are_no_picture_are_refused_in_a_line(learner, capfd):
    for data in (b"", b"\0" * 7, serialize_message(shown("mug"))[:40]):
        learner.node._image_queries.hear(data)
    said = [each for each in capfd.readouterr().err.splitlines() if "image_query refused" in each]
    assert said and not learner.grounder.examples


def see(learner, stamp=7):
    """An image comes while nobody listens."""
    message = shown("lens")
    message.header.stamp.sec = stamp
    learner.node._worker.put("", serialize_message(message))


def pointed(x=2.0, y=5.0, stamp=0):
    message = PointStamped(point=Point(x=x, y=y))
    message.header.stamp.sec = stamp
    return message


def point(node, message):
    node._image_queries.hear_pixel(serialize_message(message))


def test_a_pixel_becomes_a_query_without_any_asked_before_and_nobody_listening(learner):
    see(learner)
    point(learner.node, pointed())
    first = asks(learner, "@pixel")
    assert learner.grounder.examples == [("pixel", (1, 1, 2))]
    point(learner.node, pointed(3.0))  # the same name, but another pixel
    deadline = time.monotonic() + 5
    while learner.node._asked.epoch == first and time.monotonic() < deadline:
        learner.executor.spin_once(timeout_sec=0.05)
    assert (learner.node._asked.epoch, len(learner.grounder.examples)) == (first + 1, 2)


def refusals(learner, capfd):
    """Spin until something is refused; its lines."""
    deadline, said = time.monotonic() + 5, ""
    while "pixel_query refused" not in said and time.monotonic() < deadline:
        learner.executor.spin_once(timeout_sec=0.05)
        said += capfd.readouterr().err
    return [each for each in said.splitlines() if "pixel_query refused" in each]


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (pointed(6.0), "expected a pixel of the 6x8 image, got 6, 5"),
        (pointed(y=-1.0), "expected a pixel of the 6x8 image, got 2, -1"),
        (pointed(float("nan")), "expected a pixel of the 6x8 image, got nan, 5"),
        (pointed(y=float("-inf")), "expected a pixel of the 6x8 image, got 2, -inf"),
        (pointed(1e308), "expected a pixel of the 6x8 image, got 1e+308, 5"),
        (pointed(stamp=6), "expected the stamp of an image that is still kept, got one 1.0 s from any"),
    ],
)
def test_a_pixel_that_is_none_is_refused_in_a_line_and_changes_nothing(learner, capfd, message, line):
    see(learner)
    point(learner.node, message)
    said = refusals(learner, capfd)
    assert len(said) == 1 and line in said[0]
    assert not learner.grounder.examples and not learner.node._asked.queries


def test_a_pixel_of_no_image_is_refused(learner, make_node, capfd):
    point(learner.node, pointed())
    assert ["expected an image before it, got none yet" in each for each in refusals(learner, capfd)] == [True]
    point(make_node(), pointed())
    assert "pixel_query refused: expected an active node" in capfd.readouterr().err


OVERFULL = pointed()
OVERFULL.header.stamp.nanosec = 2**32 - 1  # more than a second has


@pytest.mark.parametrize("data", [b"", b"\0" * 7, serialize_message(pointed())[:40], serialize_message(OVERFULL)])
def test_bytes_that_are_no_point_are_refused_in_a_line(learner, capfd, data):
    learner.node._image_queries.hear_pixel(data)
    assert capfd.readouterr().err.count("pixel_query refused: ") == 1
    assert not learner.grounder.examples


def test_the_images_looked_at_at_once_share_the_cores(monkeypatch):
    shared = []
    monkeypatch.setattr(runtime, "share_threads", shared.append)
    monkeypatch.setattr(Grounder, "load", lambda config: SimpleNamespace(warm_up=shared.append))
    load_grounder(Config(images_at_once=2))
    assert shared == [2, (480, 640)]

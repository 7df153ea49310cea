"""Depth and camera_info that are broken, do not fit or stop: what the node answers, says, and how it goes on."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from harness import Fault, as_data, distances, is_good, pixels_message, rig, rows, soon
from rclpy.serialization import serialize_message
from robot import SIZE, info_message, stamp_of
from sensor_msgs.msg import Image

pytestmark = [pytest.mark.dds, pytest.mark.slow]
NAN = float("nan")
NO_DISTANCE = "depth: expected 5% of it to be valid, got 0.0%"
NOT_FINITE = "camera_info: expected finite numbers in K"
NO_CAMERA = "camera_info: expected a calibrated camera, got fx="


def metres(value):
    """Breaks a frame by 32FC1 depth that is ``value`` everywhere."""
    return depth_of(np.full(SIZE, value, "<f4"), "32FC1")


def millimetres(value):
    return depth_of(np.full(SIZE, value, "<u2"), "16UC1")


def depth_of(pixels, encoding, **fields):
    def spoil(frame):
        frame.depth = pixels_message(stamp_of(frame.image), pixels, encoding, **fields)

    return spoil


def depth_with(**fields):
    def spoil(frame):
        for name, value in fields.items():
            setattr(frame.depth, name, value(frame.depth) if callable(value) else value)

    return spoil


def without(part):
    return lambda frame: setattr(frame, part, None)


def another_frame(part):
    return lambda frame: setattr(getattr(frame, part).header, "frame_id", "left")


def cut_off(frame):
    frame.depth = bytes(serialize_message(frame.depth))[:1000]


def info_of(size=SIZE, **fields):
    """Breaks a frame by these fields of its camera_info, or by one of another size."""

    def spoil(frame):
        frame.info = info_message(stamp_of(frame.image), size)
        for name, value in fields.items():
            setattr(frame.info, name, value)

    return spoil


def intrinsics(**numbers):
    """k with single numbers replaced: ``fx``, ``skew``, ``cx``, ``fy``, ``cy``."""
    places = {"fx": 0, "skew": 1, "cx": 2, "fy": 4, "cy": 5}
    k = [50.0, 0.0, 31.5, 0.0, 50.0, 23.5, 0.0, 0.0, 1.0]
    for name, value in numbers.items():
        k[places[name]] = value
    return info_of(k=k)


DEPTH = [
    Fault("depth-nan", metres(NAN), "no_depth", NO_DISTANCE),
    Fault("depth-infinite", metres(np.inf), "no_depth", NO_DISTANCE),
    Fault("depth-negative", metres(-1.5), "no_depth", NO_DISTANCE),
    Fault("depth-zero", metres(0.0), "no_depth", NO_DISTANCE),
    Fault("depth-zero-millimetres", millimetres(0), "no_depth", NO_DISTANCE),
    Fault("depth-huge", metres(1e30), "out_of_range", "depth: expected metres, got a median of"),
    Fault("depth-millimetres-as-metres", metres(1500.0), "out_of_range", "is it millimetres in a 32FC1 image?"),
    Fault("depth-metres-as-millimetres", millimetres(2), "out_of_range", "is it metres in a 16UC1 image?"),
    Fault("depth-beyond-max-depth", millimetres(65535), "out_of_range"),
    Fault("depth-missing", without("depth"), "no_depth_message", "depth: expected one at most 0.2 s"),
    Fault("depth-encoding-wrong", depth_with(encoding="mono8"), "no_depth_message", "expected encoding 16UC1"),
    Fault("depth-encoding-unknown", depth_with(encoding="?"), "no_depth_message", "expected encoding 16UC1"),
    Fault("depth-aspect", depth_of(np.full((48, 48), 1500, "<u2"), "16UC1"), "misaligned", "or its aspect, got 48x48"),
    Fault(
        "depth-zero-size",
        depth_with(height=0, width=0, step=0, data=b""),
        "no_depth_message",
        "expected 1 to 100000000 pixels, got 0x0",
    ),
    Fault("depth-step-too-small", depth_with(step=127), "no_depth_message", "a step of at least 128 bytes"),
    Fault(
        "depth-data-too-short",
        depth_with(data=lambda depth: depth.data[:-2]),
        "no_depth_message",
        "expected 6144 bytes",
    ),
    Fault("depth-message-cut-off", cut_off, "no_depth_message", "expected 6144 bytes of pixels"),
    Fault("depth-frame-of-another-camera", another_frame("depth"), "misaligned", "got 'left'; register"),
]
INFO = [
    Fault("camera-info-zeros", info_of(k=[0.0] * 9), "no_camera_info", NO_CAMERA),
    Fault("camera-info-nan", info_of(k=[NAN] * 9), "no_camera_info", NOT_FINITE),
    Fault("camera-info-nan-centre", intrinsics(cx=NAN), "no_camera_info", NOT_FINITE),
    Fault("camera-info-infinite", intrinsics(fy=np.inf), "no_camera_info", NOT_FINITE),
    Fault("camera-info-negative", intrinsics(fx=-50.0), "no_camera_info", NO_CAMERA),
    Fault("camera-info-skew", intrinsics(skew=3.0), "no_camera_info", "camera_info: expected no skew"),
    Fault(
        "camera-info-nan-distortion",
        info_of(d=[NAN] * 5),
        "no_camera_info",
        "camera_info: expected finite numbers in D",
    ),
    Fault("camera-info-distortion-too-short", info_of(d=[0.1]), "no_camera_info", "expected 4 or 5 coefficients"),
    Fault(
        "camera-info-model-unknown", info_of(distortion_model="?"), "no_camera_info", "expected a distortion model of"
    ),
    Fault("camera-info-missing", without("info"), "no_camera_info", "camera_info: expected one at most 0.2 s"),
    Fault("camera-info-without-size", info_of((0, 0)), "no_camera_info", "expected an image of at least 1x1 px"),
    Fault("camera-info-of-another-size", info_of((24, 32)), "misaligned", "expected the image's size 64x48, got 32x24"),
    Fault("camera-info-frame-of-another-camera", another_frame("info"), "misaligned", "got 'left'; register"),
]


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    with rig(tmp_path_factory.mktemp("red"), 11) as made:
        yield made


@rows(DEPTH)
def test_a_broken_depth_image(red, fault):
    red.check(fault)


@rows(INFO)
def test_a_broken_camera_info(red, fault):
    red.check(fault)


GOOD = {
    "metres": depth_of(distances().astype("<f4"), "32FC1"),
    "metres-big-endian": depth_of(distances().astype(">f4"), "32FC1", is_bigendian=1),
    "millimetres-big-endian": depth_of((distances() * 1000).astype(">u2"), "16UC1", is_bigendian=1),
    "mono16": depth_with(encoding="mono16"),
    "padding": lambda frame: pad(frame.depth),
    "half-the-size": depth_of((distances()[::2, ::2] * 1000).astype("<u2"), "16UC1"),
    "mostly-nan": depth_of(np.where(distances() < 1.6, distances(), NAN).astype("<f4"), "32FC1"),
}


def pad(depth):
    every = np.frombuffer(bytes(depth.data), np.uint8).reshape(SIZE[0], -1)
    depth.data, depth.step = as_data(np.pad(every, ((0, 0), (0, 6)), constant_values=99)), depth.step + 6


@pytest.mark.parametrize("kind", GOOD)
def test_every_kind_of_depth_gives_the_same_point(red, kind):
    red.recovered()
    assert is_good(red.answer(red.send(GOOD[kind]))), red.node.log


def test_a_depth_camera_that_has_gone_is_told_and_comes_back(red):
    robot = red.robot
    red.recovered()
    robot.node.destroy_publisher(robot.depth)
    robot.health.clear()
    no_depth = lambda: red.send(without("depth"))  # noqa: E731
    assert red.told("nobody publishes it any more", no_depth) < soon()
    assert red.answer(no_depth())["reason"] == "no_depth_message"
    robot.depth = robot.node.create_publisher(Image, "depth", 1)
    assert robot.see_until(lambda stamp: is_good(red.answer(stamp)), red.send)  # discovery takes its time
    red.recovered(frames=1)


def test_depth_without_any_camera_info_is_told(tmp_path, red):
    """On a topic that nobody ever published: the name is wrong, or the driver is not calibrated."""
    with rig(tmp_path, 12, "-r", "camera_info:=nowhere", reason="no_camera_info") as blind:
        assert blind.told("camera_info: expected one with the depth, got none", blind.send) < soon()
        target = blind.answer(blind.send())
        assert (target["found"], target["reason"], target["point"]) == (True, "no_camera_info", None)


def test_an_image_alone_is_answered_in_2d_and_nothing_is_complained_of(tmp_path):
    """Without a depth camera there is nothing wrong."""
    topics = ["-r", "camera_info:=nowhere", "-r", "depth:=nowhere_else"]
    with rig(tmp_path, 13, *topics, reason="no_depth_message") as flat:
        flat.robot.health.clear()
        assert flat.robot.wait(lambda: flat.send() and flat.robot.health)
        assert flat.robot.health[-1].level == b"\0", flat.robot.health[-1].message

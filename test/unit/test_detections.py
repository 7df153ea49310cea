"""~/detections and ~/detections_3d in the fields of ros-perception/vision_msgs 4.1.1, which are those of 4.0."""

import dataclasses
import functools
import importlib
import importlib.util

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from gem_ros.data import Box, Grounding, Query, Target, Track
from gem_ros.messages.encode import Encoder

STAMP = 1_700_000_000_000_000_000
DEFINITIONS = {
    "Point2D": "float64 x\nfloat64 y",
    "Pose2D": "vision_msgs/Point2D position\nfloat64 theta",
    "BoundingBox2D": "vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size",
    "ObjectHypothesis": "string class_id\nfloat64 score",
    "ObjectHypothesisWithPose": "vision_msgs/ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose",
    **{
        f"Detection{n}D": f"std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n"
        f"vision_msgs/BoundingBox{n}D bbox\nstring id"
        for n in (2, 3)
    },
    **{f"Detection{n}DArray": f"std_msgs/Header header\nvision_msgs/Detection{n}D[] detections" for n in (2, 3)},
}


def typestore(origin):
    store = get_typestore(Stores[origin])
    for name, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))
    return store


STORES = {name: typestore(name) for name in ("ROS2_HUMBLE", "ROS2_JAZZY", "ROS2_KILTED")}


@functools.cache
def strict(name):
    """A class like rclpy's: made empty, then filled, and no other fields than the definition's."""
    fields = [each.name for each in dataclasses.fields(STORES["ROS2_JAZZY"].types[name])]
    return type(name.rpartition("/")[2], (), {"__slots__": fields})


def installed(name):
    package, _, kind = name.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


ORIGINS = {**{name: STORES[name].types.__getitem__ for name in STORES}, "like rclpy": strict, "rclpy": installed}
MISSING = pytest.mark.skipif(importlib.util.find_spec("vision_msgs") is None, reason="vision_msgs is not installed")


@pytest.fixture(params=[pytest.param(name, marks=MISSING if name == "rclpy" else ()) for name in ORIGINS])
def encoder(request):
    return Encoder(ORIGINS[request.param])


REGION = np.zeros((48, 64), bool)
REGION[20:24, 10:15] = True
REGION[30, 12] = True
POINT, COVARIANCE = np.array([0.1, -0.2, 1.2]), np.arange(9.0).reshape(3, 3)
TRACK = Track(12, "red ball", 0, 0, STAMP, 4, 0.9, (1.5, 2.0), POINT + 1, np.eye(3))
QUARTER = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # about z
BOX = Box(np.array([0.1, -0.1, 1.3]), np.array([0.2, 0.3, 0.4]), QUARTER)
BALL = Target("red ball", 0, True, 0.93, 0.5, "ok", (12.0, 22.0), REGION, None, POINT, COVARIANCE, BOX, TRACK)


def seen(*targets):
    return Grounding((Query("red ball"),), targets, (48, 64), np.zeros((1, 2, 3), np.float32), lambda some: some)


def test_2d_detections_hold_query_score_and_pixel_box(encoder):
    header = encoder.header(STAMP, "camera")
    message = encoder.detections(header, seen(BALL, dataclasses.replace(BALL, found=False)))
    (found,) = message.detections
    assert message.header.frame_id == found.header.frame_id == "camera"
    (guess,) = found.results
    assert (guess.hypothesis.class_id, guess.hypothesis.score) == ("red ball", 0.93)
    assert (guess.pose.pose.position.z, guess.pose.pose.orientation.w) == (0.0, 1.0)  # unknown: the identity
    # columns 10 to 14, rows 20 to 30
    assert (found.bbox.center.position.x, found.bbox.center.position.y) == (12.0, 25.0)
    assert (found.bbox.size_x, found.bbox.size_y, found.bbox.center.theta) == (5.0, 11.0, 0.0)
    assert found.id == "12"


@pytest.mark.parametrize("region", [None, np.zeros((48, 64), bool)])
def test_without_a_region_the_box_is_the_peak(encoder, region):
    target = dataclasses.replace(BALL, region=region, track=None)
    (found,) = encoder.detections(encoder.header(STAMP, "camera"), seen(target)).detections
    assert (found.bbox.center.position.x, found.bbox.center.position.y) == (12.0, 22.0)
    assert (found.bbox.size_x, found.bbox.size_y) == (0.0, 0.0)
    assert found.id == ""


def test_3d_detections_hold_point_covariance_and_box(encoder):
    other = dataclasses.replace(BALL, point=None, covariance=None, box=None)
    message = encoder.detections_3d(encoder.header(STAMP, "map"), seen(other, BALL))
    (found,) = message.detections  # one has no point
    assert message.header.frame_id == found.header.frame_id == "map"
    (guess,) = found.results
    at = guess.pose.pose.position
    assert (guess.hypothesis.class_id, guess.hypothesis.score) == ("red ball", 0.93)
    assert (at.x, at.y, at.z, guess.pose.pose.orientation.w) == (0.1, -0.2, 1.2, 1.0)
    assert len(guess.pose.covariance) == 36
    expected = np.zeros((6, 6))
    expected[:3, :3] = COVARIANCE
    np.testing.assert_array_equal(np.reshape(guess.pose.covariance, (6, 6)), expected)
    centre, turn, size = found.bbox.center.position, found.bbox.center.orientation, found.bbox.size
    assert (centre.x, centre.y, centre.z) == (0.1, -0.1, 1.3)
    np.testing.assert_allclose([turn.x, turn.y, turn.z, turn.w], [0, 0, 0.5**0.5, 0.5**0.5])
    assert (size.x, size.y, size.z) == (0.2, 0.3, 0.4)
    assert found.id == "12"


def test_without_an_extent_the_3d_box_is_the_point(encoder):
    target = dataclasses.replace(BALL, box=None, covariance=None)
    (found,) = encoder.detections_3d(encoder.header(STAMP, "map"), seen(target)).detections
    centre, size = found.bbox.center, found.bbox.size
    assert (centre.position.x, centre.position.y, centre.position.z, centre.orientation.w) == (0.1, -0.2, 1.2, 1.0)
    assert (size.x, size.y, size.z) == (0.0, 0.0, 0.0)
    assert not np.any(found.results[0].pose.covariance)


@pytest.mark.parametrize("origin", STORES)
def test_detections_survive_serialisation(origin):
    store = STORES[origin]
    encoder = Encoder(store.types.__getitem__)
    header = encoder.header(STAMP, "map")
    for grounding in (seen(), seen(BALL, dataclasses.replace(BALL, box=None, covariance=None))):
        for message in (encoder.detections(header, grounding), encoder.detections_3d(header, grounding)):
            kind = message.__msgtype__
            data = store.serialize_cdr(message, kind)
            assert store.serialize_cdr(store.deserialize_cdr(data, kind), kind) == data

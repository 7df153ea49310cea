"""~/markers: which frame, which way is up, what is faint."""

import dataclasses
import importlib
import importlib.util
import math

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from gem_ros.data import Box, Grounding, Query, Target, Track
from gem_ros.messages.encode import Encoder

STAMP = 1_700_000_000_000_000_000
STORE = get_typestore(Stores.ROS2_HUMBLE)
HAS_RCLPY = importlib.util.find_spec("rclpy") is not None
POINT = np.array([1.0, 2.0, 0.5])
TRACK = Track(3, "red ball", 0, 0, STAMP, 4, 0.9, (1.5, 2.0), POINT, np.eye(3))
LOST = dataclasses.replace(TRACK, id=2, seen=STAMP - 4_300_000_000, position=np.array([4.0, 0.0, 0.3]))
RAY = np.array([0.6, 0.0, 0.8])
BALL = Target("red ball", 0, True, 0.93, 0.5, "ok", (1.0, 2.0), None, RAY, POINT, np.eye(3), track=TRACK)


def from_rclpy(name):
    package, _, kind = name.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


@pytest.fixture(
    params=["rosbags", pytest.param("rclpy", marks=pytest.mark.skipif(not HAS_RCLPY, reason="rclpy is not installed"))]
)
def encoder(request):
    return Encoder(from_rclpy if request.param == "rclpy" else lambda name: STORE.types[name])


def drawn(encoder, *targets, remembered=(), z_up=True):
    """The markers by namespace, the first DELETEALL aside."""
    maps = np.zeros((1, 2, 3), np.float32)
    seen = Grounding((Query("red ball"),), targets, (8, 12), maps, lambda some: some, (), remembered)
    headers = encoder.header(STAMP, "map"), encoder.header(STAMP, "camera")
    first, *rest = encoder.markers(*headers, seen, z_up=z_up).markers
    assert first.action == first.DELETEALL
    assert len({(each.ns, each.id) for each in rest}) == len(rest)
    return {each.ns: each for each in rest}


def place(marker):
    at = marker.pose.position
    return [at.x, at.y, at.z]


def test_a_thing_with_a_point_is_drawn_in_the_points_frame(encoder):
    markers = drawn(encoder, BALL)
    assert set(markers) == {"targets", "texts"}
    assert {each.header.frame_id for each in markers.values()} == {"map"}
    assert place(markers["targets"]) == [1.0, 2.0, 0.5]
    assert markers["targets"].color.a == 1
    assert markers["texts"].text == "red ball 0.93 #3"


def test_a_bearing_is_drawn_in_the_images_frame(encoder):
    markers = drawn(encoder, dataclasses.replace(BALL, point=None, covariance=None, track=None))
    assert set(markers) == {"bearings", "texts"}
    assert {each.header.frame_id for each in markers.values()} == {"camera"}
    assert [(end.x, end.y, end.z) for end in markers["bearings"].points] == [(0, 0, 0), (0.6, 0, 0.8)]
    assert markers["texts"].text == "red ball 0.93"
    x, y, z = place(markers["texts"])
    assert (x, z) == (0.6, 0.8) and y < -0.05  # over the tip, though z is up in the points' frame


@pytest.mark.parametrize(("z_up", "above"), [(True, [0.0, 0.0, 0.08]), (False, [0.0, -0.08, 0.0])])
def test_the_text_stands_above_the_thing(encoder, z_up, above):
    markers = drawn(encoder, BALL, z_up=z_up)
    np.testing.assert_allclose(np.subtract(place(markers["texts"]), POINT), above)  # 3 cm of ball, 5 cm of letter


def test_what_was_last_seen_is_drawn_in_a_fixed_frame_only(encoder):
    lost = drawn(encoder, remembered=(LOST,))
    np.testing.assert_allclose(np.subtract(place(lost["last_seen_texts"]), LOST.position), [0.0, 0.0, 0.08])
    assert drawn(encoder, remembered=(LOST,), z_up=False) == {}


def test_a_box_is_a_translucent_cube_and_the_text_stands_above_it(encoder):
    turn = Rotation.from_euler("y", 30, degrees=True)
    box = Box(np.array([1.1, 2.0, 0.6]), np.array([0.2, 0.3, 0.4]), turn.as_matrix())
    markers = drawn(encoder, dataclasses.replace(BALL, box=box))
    cube = markers["boxes"]
    assert (cube.type, cube.color.a) == (cube.CUBE, pytest.approx(0.3))
    assert place(cube) == [1.1, 2.0, 0.6]
    assert (cube.scale.x, cube.scale.y, cube.scale.z) == (0.2, 0.3, 0.4)
    q = cube.pose.orientation
    np.testing.assert_allclose([q.x, q.y, q.z, q.w], turn.as_quat())
    top = 0.6 + math.sin(math.pi / 6) * 0.1 + math.cos(math.pi / 6) * 0.2
    np.testing.assert_allclose(place(markers["texts"]), [1.0, 2.0, top + 0.05])
    lying = dataclasses.replace(
        box, rotation=np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    )  # y points up
    markers = drawn(encoder, dataclasses.replace(BALL, box=lying))
    np.testing.assert_allclose(place(markers["texts"]), [1.0, 2.0, 0.6 + 0.3 / 2 + 0.05])


def test_a_flat_box_has_a_thickness_that_rviz_accepts(encoder):
    box = Box(POINT, np.array([0.2, 0.3, 0.0]), np.eye(3))
    assert drawn(encoder, dataclasses.replace(BALL, box=box))["boxes"].scale.z > 0


def test_what_was_seen_before_is_a_faint_ball_with_its_age(encoder):
    markers = drawn(encoder, dataclasses.replace(BALL, found=False), remembered=(LOST,))
    assert set(markers) == {"last_seen", "last_seen_texts"}
    ball, text = markers["last_seen"], markers["last_seen_texts"]
    assert (ball.type, ball.color.a, place(ball)) == (ball.SPHERE, pytest.approx(0.3), [4.0, 0.0, 0.3])
    assert text.text == "red ball, 4 s ago"
    assert {each.header.frame_id for each in markers.values()} == {"map"}
    assert drawn(encoder, remembered=(dataclasses.replace(LOST, position=None),)) == {}


def test_markers_survive_serialisation():
    encoder = Encoder(lambda name: STORE.types[name])
    box = Box(POINT, np.array([0.2, 0.3, 0.1]), np.eye(3))
    seen = Grounding(
        (Query("red ball"),),
        (dataclasses.replace(BALL, box=box), dataclasses.replace(BALL, point=None)),
        (8, 12),
        np.zeros((1, 2, 3), np.float32),
        lambda some: some,
        (),
        (LOST,),
    )
    message = encoder.markers(encoder.header(STAMP, "map"), encoder.header(STAMP, "camera"), seen, z_up=True)
    kind = message.__msgtype__
    data = STORE.serialize_cdr(message, kind)
    assert STORE.serialize_cdr(STORE.deserialize_cdr(data, kind), kind) == data

"""Groundings as messages of rosbags' and of rclpy's classes, read back field by field."""

from __future__ import annotations

import array
import dataclasses
import importlib
import importlib.util
import json
import math
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore

from gem_ros.data import Grounding, Query, Target, Track
from gem_ros.messages import decode
from gem_ros.messages.encode import POINT, Encoder
from gem_ros.messages.overlay import colour, draw

HAS_RCLPY = importlib.util.find_spec("rclpy") is not None
STORES = {name: get_typestore(Stores[name]) for name in ("ROS2_HUMBLE", "ROS2_JAZZY", "ROS2_KILTED")}
STAMP = 1_700_000_000_123_456_789


def from_rclpy(name: str) -> Any:
    package, _, kind = name.partition("/msg/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


def from_store(origin: str) -> Callable[[str], Any]:
    return lambda name: STORES[origin].types[name]


@pytest.fixture(
    params=[*STORES, pytest.param("rclpy", marks=pytest.mark.skipif(not HAS_RCLPY, reason="rclpy is not installed"))]
)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return Encoder(from_rclpy if request.param == "rclpy" else from_store(request.param))


def box(top: int, left: int, bottom: int, right: int) -> Any:
    mask = np.zeros((480, 640), dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def upsample(maps: Any) -> Any:
    return np.array([cv2.resize(each, (640, 480)) for each in maps], np.float32).reshape(len(maps), 480, 640)


def grounding(*, found: bool = True, text: str = "red ball") -> Grounding:
    """A ball with a point, another only with a ray, a cube beside it without camera, an absent violin."""
    relevancy = np.zeros((3, 12, 16), np.float32)
    relevancy[0, 5, 7], relevancy[1, 2, 2] = 0.9, 0.8
    ray = np.array([0.0, 0.6, 0.8])
    ball, covariance = np.array([0.1, -0.2, 1.2]), np.diag([1e-4, 2e-4, 3e-4])
    targets = [
        Target(text, 0, True, 0.93, 0.5, "ok", (300.5, 220.25), box(200, 280, 240, 320), ray, ball, covariance),
        Target(text, 0, True, 0.7, 0.5, "no_depth", (500.0, 400.0), box(390, 490, 410, 510), ray),
        Target("blue cube", 1, True, 0.8, 0.5, "no_camera_info", (310.0, 230.0), box(225, 300, 260, 340)),
        Target("violin", 2, False, 0.03, 0.5, "absent"),
    ]
    if not found:
        targets = targets[3:]
    return Grounding(
        (Query(text), Query("blue cube"), Query("violin", 0.4)), tuple(targets), (480, 640), relevancy, upsample
    )


def points_of(cloud: Any) -> Any:
    """A cloud read by its own field table, as a stranger would."""
    formats = {7: "<f4", 6: "<u4"}
    dtype = np.dtype(
        {
            "names": [field.name for field in cloud.fields],
            "formats": [formats[field.datatype] for field in cloud.fields],
            "offsets": [field.offset for field in cloud.fields],
            "itemsize": cloud.point_step,
        }
    )
    assert cloud.row_step == cloud.point_step * cloud.width == len(cloud.data)
    assert cloud.height == 1
    return np.frombuffer(bytes(cloud.data), dtype)


def test_header(encoder: Encoder) -> None:
    header = encoder.header(STAMP, "camera")
    assert (header.stamp.sec, header.stamp.nanosec, header.frame_id) == (1_700_000_000, 123_456_789, "camera")
    assert decode.stamp_ns(header.stamp) == STAMP


def test_heatmap(encoder: Encoder) -> None:
    seen = grounding()
    message = encoder.heatmap(encoder.header(STAMP, "camera"), seen)
    assert (message.width, message.height, message.encoding, message.step) == (640, 480, "32FC1", 2560)
    values = np.frombuffer(bytes(message.data), "<f4").reshape(480, 640)
    np.testing.assert_array_equal(values, seen.relevancy[0])
    nothing = Grounding((), (), (480, 640), np.zeros((0, 12, 16), np.float32), upsample)
    assert not np.frombuffer(bytes(encoder.heatmap(encoder.header(0, ""), nothing).data), "<f4").any()


def test_segmentation_gives_a_disputed_pixel_to_the_higher_score(encoder: Encoder) -> None:
    message = encoder.segmentation(encoder.header(STAMP, "camera"), grounding())
    assert (message.encoding, message.step) == ("mono8", 640)
    labels = np.frombuffer(bytes(message.data), np.uint8).reshape(480, 640)
    expected = np.zeros((480, 640), np.uint8)
    expected[225:260, 300:340] = 2
    expected[200:240, 280:320] = 1
    expected[390:410, 490:510] = 1
    np.testing.assert_array_equal(labels, expected)


def test_target_is_the_first_querys_best_3d_point(encoder: Encoder) -> None:
    header, seen = encoder.header(STAMP, "camera"), grounding()
    message = encoder.target(header, seen)
    assert message is not None
    assert (message.point.x, message.point.y, message.point.z) == (0.1, -0.2, 1.2)
    assert decode.stamp_ns(message.header.stamp) == STAMP
    assert encoder.target(header, grounding(found=False)) is None
    cube = dataclasses.replace(seen.targets[2], point=np.array([0.0, 0.0, 2.0]))
    others = Grounding(seen.queries, (seen.targets[1], cube), seen.image_size, seen.patch_relevancy, upsample)
    assert encoder.target(header, others) is None


def test_targets(encoder: Encoder) -> None:
    cloud = encoder.targets(encoder.header(STAMP, "camera"), grounding(), epoch=7)
    assert [field.name for field in cloud.fields] == ["x", "y", "z", "u", "v", "score", "query", "epoch", "id"]
    assert cloud.point_step == POINT.itemsize == 36
    assert not cloud.is_bigendian
    assert not cloud.is_dense
    points = points_of(cloud)
    np.testing.assert_allclose(points["x"], [0.1, math.nan, math.nan])
    np.testing.assert_allclose([list(points[0])[:6]], [[0.1, -0.2, 1.2, 300.5, 220.25, 0.93]], rtol=1e-6)
    assert points["query"].tolist() == [0, 0, 1]
    assert points["epoch"].tolist() == [7, 7, 7]
    assert points["id"].tolist() == [0, 0, 0]


def test_ids_are_the_tracks(encoder: Encoder) -> None:
    header, seen = encoder.header(STAMP, "camera"), grounding()
    track = Track(41, "red ball", 0, 0, STAMP, 1, 0.7, (500.0, 400.0))
    targets = (seen.targets[0], dataclasses.replace(seen.targets[1], track=track))
    tracked = dataclasses.replace(seen, targets=targets)
    assert points_of(encoder.targets(header, tracked, epoch=7))["id"].tolist() == [0, 41]
    assert points_of(encoder.rays(header, tracked, epoch=7))["id"].tolist() == [0, 41]


def test_goal(encoder: Encoder) -> None:
    message = encoder.goal(encoder.header(STAMP, "map"), (1.5, -2.0, math.pi / 2))
    assert (message.header.frame_id, decode.stamp_ns(message.header.stamp)) == ("map", STAMP)
    at, turn = message.pose.position, message.pose.orientation
    assert (at.x, at.y, at.z, turn.x, turn.y) == (1.5, -2.0, 0.0, 0.0, 0.0)
    assert (turn.z, turn.w) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5)))
    assert encoder.goal(encoder.header(0, "map"), (0.0, 0.0, -2.0)).pose.orientation.z == pytest.approx(math.sin(-1))


def test_rays_have_the_same_points_as_bearings(encoder: Encoder) -> None:
    header = encoder.header(STAMP, "camera")
    points = points_of(encoder.rays(header, grounding(), epoch=7))
    np.testing.assert_allclose([list(each)[:3] for each in points[:2].tolist()], [[0.0, 0.6, 0.8]] * 2, rtol=1e-6)
    assert np.isnan(points["z"][2])
    assert points["u"].tolist() == [300.5, 500.0, 310.0]


def test_nothing_found_is_an_empty_cloud(encoder: Encoder) -> None:
    cloud = encoder.targets(encoder.header(STAMP, "camera"), grounding(found=False), epoch=1)
    assert cloud.width == 0
    assert cloud.is_dense
    assert len(points_of(cloud)) == 0


def test_result_holds_what_the_contract_says(encoder: Encoder) -> None:
    message = encoder.result(encoder.header(STAMP, "camera"), grounding(text="rote Kugel für 红"), 7, 41.23456)
    said = json.loads(message.data)
    assert list(said) == ["stamp", "frame_id", "image_frame_id", "epoch", "latency_ms", "targets", "last_seen"]
    assert (said["stamp"], said["frame_id"], said["epoch"], said["latency_ms"]) == (STAMP, "camera", 7, 41.235)
    assert (said["image_frame_id"], said["last_seen"]) == ("camera", [])
    ball, other, _, violin = said["targets"]
    assert ball == {
        "query": "rote Kugel für 红",
        "query_index": 0,
        "found": True,
        "score": 0.93,
        "threshold": 0.5,
        "id": None,
        "pixel": [300.5, 220.25],
        "point": [0.1, -0.2, 1.2],
        "covariance": [[1e-4, 0, 0], [0, 2e-4, 0], [0, 0, 3e-4]],
        "reason": "ok",
        "track": None,
        "box": None,
        "ray": [0.0, 0.6, 0.8],
    }
    assert (other["point"], other["covariance"], other["reason"]) == (None, None, "no_depth")
    assert (violin["found"], violin["pixel"], violin["score"], violin["reason"]) == (False, None, 0.03, "absent")


def test_queries(encoder: Encoder) -> None:
    said = json.loads(encoder.queries(grounding().queries, 0.5, 9).data)
    assert said == {
        "epoch": 9,
        "queries": [
            {"query": "red ball", "threshold": 0.5},
            {"query": "blue cube", "threshold": 0.5},
            {"query": "violin", "threshold": 0.4},
        ],
    }


def test_markers(encoder: Encoder) -> None:
    header = encoder.header(STAMP, "camera")
    markers = encoder.markers(header, header, grounding()).markers
    first, sphere, name, arrow, other = markers
    assert first.action == first.DELETEALL
    assert (sphere.type, sphere.action) == (sphere.SPHERE, sphere.ADD)
    assert (sphere.pose.position.x, sphere.pose.position.z, sphere.pose.orientation.w) == (0.1, 1.2, 1.0)
    assert (name.type, name.text) == (name.TEXT_VIEW_FACING, "red ball 0.93")
    assert name.pose.position.y < sphere.pose.position.y  # above, where y points down
    assert arrow.type == arrow.ARROW
    assert [(end.x, end.y, end.z) for end in arrow.points] == [(0, 0, 0), (0, 0.6, 0.8)]
    assert other.text == "red ball 0.70"
    assert len({(each.ns, each.id) for each in markers}) == len(markers)
    assert all(each.color.a == 1 and each.scale.z > 0 for each in markers[1:])
    assert all(decode.stamp_ns(each.header.stamp) == STAMP for each in markers)


@pytest.mark.parametrize("origin", STORES)
def test_every_message_survives_serialisation(origin: str) -> None:
    encoder, store, seen = Encoder(from_store(origin)), STORES[origin], grounding()
    header, rgb = encoder.header(STAMP, "camera"), np.zeros((480, 640, 3), np.uint8)
    for message in (
        encoder.heatmap(header, seen),
        encoder.segmentation(header, seen),
        encoder.overlay(header, rgb, seen),
        encoder.overlay_compressed(header, rgb, seen),
        encoder.target(header, seen),
        encoder.targets(header, seen, 1),
        encoder.rays(header, seen, 1),
        encoder.result(header, seen, 1, 2.0),
        encoder.queries(seen.queries, 0.5, 1),
        encoder.markers(header, header, seen),
        encoder.goal(header, (1.0, 2.0, 0.5)),
    ):
        assert message is not None
        data = store.serialize_cdr(message, message.__msgtype__)
        assert store.serialize_cdr(store.deserialize_cdr(data, message.__msgtype__), message.__msgtype__) == data


def test_rclpys_bytes_are_an_array_and_quick() -> None:
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    encoder = Encoder(from_rclpy)
    picture, header = np.zeros((480, 640, 3), np.uint8), encoder.header(STAMP, "camera")
    times = []
    for _ in range(5):
        start = time.perf_counter()
        message = encoder.image(header, picture, "bgr8")
        times.append(time.perf_counter() - start)
    assert isinstance(message.data, array.array)
    assert min(times) < 0.02  # about 1 ms on a busy core, where assigning an ndarray took 90 ms


def test_images_come_back_as_they_were(encoder: Encoder) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    header = encoder.header(STAMP, "camera")
    np.testing.assert_array_equal(decode.image(encoder.image(header, rgb, "rgb8")), rgb)
    depth = np.linspace(0.5, 3, 48 * 64, dtype=">f4").reshape(48, 64)
    np.testing.assert_array_equal(decode.depth(encoder.image(header, depth, "32FC1")), depth)
    np.testing.assert_array_equal(decode.image(encoder.image(header, rgb[:, ::-2, ::-1], "bgr8")), rgb[:, ::-2])


# The overlay


def test_the_overlay_is_bgr_and_the_jpeg_is_the_same(encoder: Encoder) -> None:
    rgb, header = np.full((480, 640, 3), (200, 60, 20), np.uint8), encoder.header(STAMP, "camera")
    raw = encoder.overlay(header, rgb, grounding(found=False))
    assert raw.encoding == "bgr8"
    picture = np.frombuffer(bytes(raw.data), np.uint8).reshape(480, 640, 3)
    assert picture[10, 600].tolist() == [20, 60, 200]
    seen = grounding()
    near, far = (encoder.overlay(header, rgb, seen, camera=(0.0, 0.0, z)).data for z in (1.0, -8.0))
    assert bytes(near) != bytes(far)  # the distance in the label
    jpeg = encoder.overlay_compressed(header, rgb, grounding(found=False))
    assert "jpeg" in jpeg.format
    assert np.abs(decode.compressed_image(jpeg)[..., ::-1].astype(int) - picture).mean() < 2


def test_only_what_was_found_is_tinted_and_outlined() -> None:
    rgb = np.full((480, 640, 3), 100, np.uint8)
    before = rgb.copy()
    picture = draw(rgb, grounding(), 0.5)
    assert (rgb == before).all()
    assert (picture[300:380, 50:200] == 100).all()
    drawn = {tuple(each) for each in picture.reshape(-1, 3).tolist()}
    assert {colour(0), colour(1)} <= drawn
    assert colour(2) not in drawn
    assert picture[220, 300].min() > 240  # the cross at the peak
    clear = draw(rgb, grounding(), 0.0)
    assert (picture[205:215, 290:295] != clear[205:215, 290:295]).any()


@pytest.mark.parametrize("size", [(480, 640), (1080, 1920), (60, 80), (24, 32), (1, 1)])
@pytest.mark.parametrize("text", ["red ball", "a " + "very " * 90 + "long name", "红球", "café"])
def test_labels_stay_inside_pictures_of_any_size(size: tuple[int, int], text: str) -> None:
    mask = np.ones(size, dtype=bool)
    corner = (size[1] - 1.0, 0.0)
    targets = [Target(text, 0, True, 0.9, 0.5, "ok", corner, mask, None, np.array([0.0, 0.0, 1.0]))]
    targets += [Target(text, index, False, 0.1, 0.5, "absent") for index in range(1, 30)]
    maps = np.ones((30, 2, 2), np.float32)
    seen = Grounding(
        tuple(Query(text) for _ in range(30)),
        tuple(targets),
        size,
        maps,
        lambda some: np.ones((len(some), *size), np.float32),
    )
    picture = draw(np.zeros((*size, 3), np.uint8), seen)
    assert picture.shape == (*size, 3)


def test_labels_do_not_cover_each_other() -> None:
    rgb = np.full((480, 640, 3), 100, np.uint8)
    alone, both = grounding(), grounding()
    first = Grounding(alone.queries, alone.targets[:1], alone.image_size, alone.patch_relevancy * 0, upsample)
    pair = Grounding(
        both.queries,
        (
            *both.targets[:1],
            Target("blue cube", 1, True, 0.8, 0.5, "no_depth", (300.5, 220.25), both.targets[0].region),
        ),
        both.image_size,
        both.patch_relevancy * 0,
        upsample,
    )
    label = draw(rgb, first)[170:194, 200:400].copy()
    assert (label != 100).any()
    np.testing.assert_array_equal(draw(rgb, pair)[170:194, 200:400], label)

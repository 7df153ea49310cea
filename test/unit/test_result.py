"""~/result: every value that JSON can hold, and null for the rest."""

import dataclasses
import json
import math

import numpy as np
import pytest
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from gem_ros.data import Box, Grounding, Query, Target, Track
from gem_ros.messages.build import quaternion
from gem_ros.messages.encode import Encoder
from gem_ros.messages.result import result

STAMP = 1_700_000_000_500_000_000
STORE = get_typestore(Stores.ROS2_HUMBLE)
POSITION, COVARIANCE = np.array([1.0, 2.0, 3.0]), np.diag([1e-4, 2e-4, 3e-4])
TRACK = Track(3, "ball", 0, STAMP - 9, STAMP, 4, 0.9, (1.5, 2.0), POSITION, COVARIANCE)
QUARTER = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # about z
BOX = Box(np.array([1.0, 2.0, 3.5]), np.array([0.1, 0.2, 0.3]), QUARTER)
BALL = Target(
    "ball", 0, True, 0.9, 0.5, "ok", (1.0, 2.0), None, np.array([0.0, 0.6, 0.8]), POSITION + 1, COVARIANCE, BOX, TRACK
)


def seen(*targets, remembered=()):
    maps = np.zeros((1, 2, 3), np.float32)
    return Grounding((Query("ball"),), targets, (8, 12), maps, lambda some: some, (), remembered)


def said(*targets, remembered=(), latency=1.0):
    """Through JSON and back, which refuses NaN."""
    grounding = seen(*targets, remembered=remembered)
    values = result(grounding, STAMP, "map", 2, latency, image_frame_id="camera")
    return json.loads(json.dumps(values, allow_nan=False))


def test_a_tracked_thing_with_its_box():
    ball = said(BALL)["targets"][0]
    assert ball["id"] == 3
    assert ball["point"] == [2.0, 3.0, 4.0]  # this image's, where the track's is filtered
    assert ball["track"] == {
        "id": 3,
        "position": [1.0, 2.0, 3.0],
        "covariance": [[1e-4, 0, 0], [0, 2e-4, 0], [0, 0, 3e-4]],
        "since": STAMP - 9,
        "seen": STAMP,
        "hits": 4,
    }
    half = math.sqrt(0.5)
    assert ball["box"] == {
        "centre": [1.0, 2.0, 3.5],
        "size": [0.1, 0.2, 0.3],
        "rotation": pytest.approx([0, 0, half, half]),
    }
    assert ball["ray"] == [0.0, 0.6, 0.8]


def test_the_frames_of_points_and_of_the_image():
    assert (said(BALL)["frame_id"], said(BALL)["image_frame_id"]) == ("map", "camera")
    assert result(seen(), 0, "camera", 0, 0.0)["image_frame_id"] == "camera"
    encoder = Encoder(lambda name: STORE.types[name])
    header = encoder.header(STAMP, "map")
    message = json.loads(encoder.result(header, seen(BALL), 2, 1.0, image_frame_id="camera").data)
    assert message == said(BALL)


def test_what_is_out_of_view_is_last_seen():
    lost = dataclasses.replace(TRACK, seen=STAMP - 4_250_000_000, query="violin", query_index=1)
    flat = dataclasses.replace(lost, id=4, position=None, covariance=None)
    first, second = said(remembered=(lost, flat))["last_seen"]
    assert first == {
        "query": "violin",
        "query_index": 1,
        "id": 3,
        "score": 0.9,
        "pixel": [1.5, 2.0],
        "position": [1.0, 2.0, 3.0],
        "covariance": [[1e-4, 0, 0], [0, 2e-4, 0], [0, 0, 3e-4]],
        "since": STAMP - 9,
        "seen": STAMP - 4_250_000_000,
        "age": 4.25,
    }
    assert (second["id"], second["position"], second["covariance"]) == (4, None, None)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null(bad):
    vector, matrix = np.array([0.0, bad, 1.0]), np.diag([1.0, 1.0, bad])
    track = dataclasses.replace(TRACK, position=vector, covariance=matrix, score=bad, pixel=(bad, 1.0))
    changes = {"pixel": (1.0, bad), "ray": vector, "point": vector, "covariance": matrix, "score": bad}
    broken = dataclasses.replace(BALL, track=track, threshold=bad, **changes)
    values = said(broken, remembered=(track,), latency=bad)
    target, remembered = values["targets"][0], values["last_seen"][0]
    assert values["latency_ms"] is None
    assert {target[name] for name in (*changes, "threshold")} == {None}
    assert {target["track"][name] for name in ("position", "covariance")} == {None}
    assert {remembered[name] for name in ("position", "covariance", "score", "pixel")} == {None}
    for name in ("centre", "size", "rotation"):
        box = dataclasses.replace(BOX, **{name: getattr(BOX, name) + bad})
        assert said(dataclasses.replace(BALL, box=box))["targets"][0]["box"] is None


def test_numpys_numbers_are_json_too():
    target = dataclasses.replace(BALL, score=np.float32(0.5), pixel=(np.float32(1.5), np.float64(2.0)))
    values = said(target)["targets"][0]
    assert (values["score"], values["pixel"]) == (0.5, [1.5, 2.0])


def test_quaternions_are_scipys():
    turns = [Rotation.from_rotvec(np.eye(3)[axis] * (math.pi - 1e-9)) for axis in range(3)]  # w is nearly 0
    turns += [Rotation.identity(), *Rotation.random(200, random_state=0)]
    for turn in turns:
        ours = np.array(quaternion(turn.as_matrix()))
        assert ours[3] >= 0
        assert abs(ours @ turn.as_quat()) == pytest.approx(1, abs=1e-12)
        assert np.linalg.norm(ours) == pytest.approx(1)
    for axis in range(3):
        half = np.diag(np.where(np.arange(3) == axis, 1.0, -1.0))  # w is 0
        np.testing.assert_array_equal(np.abs(quaternion(half)), np.eye(4)[axis])

"""What fuzzing has found, each as small as it gets."""

import math
import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest
from seeds import RGB, seeds

from gem_ros.data import CameraIntrinsics, Grounding
from gem_ros.errors import BagError, DecodeError, GeometryError
from gem_ros.geometry.camera import back_project, check, rays
from gem_ros.messages import cdr, decode
from gem_ros.messages.encode import JPEG_SIDE, Encoder
from gem_ros.replay import recovery
from gem_ros.replay.fields import numbers


def test_more_nanoseconds_than_a_second_has_are_no_stamp():
    """Its seconds did not fit into what was published."""
    assert decode.stamp_ns(SimpleNamespace(sec=2**31 - 1, nanosec=999_999_999)) == 2**31 * 10**9 - 1
    with pytest.raises(DecodeError, match="stamp: expected less than 1000000000 nanoseconds, got 4294967295"):
        decode.stamp_ns(SimpleNamespace(sec=2**31 - 1, nanosec=2**32 - 1))


def test_a_text_is_over_at_its_first_zero_as_in_every_other_message():
    data = seeds()["image"][0].replace(b"camera\0", b"cam\0ra\0")
    assert cdr.image(data).header.frame_id == "cam"


def test_no_jpeg_is_made_of_a_picture_that_is_too_long_for_one():
    encoder = Encoder(lambda name: SimpleNamespace)
    nothing = Grounding((), (), (1, JPEG_SIDE + 1), np.zeros((0, 1, 1), np.float32), lambda maps: maps)
    assert encoder.overlay_compressed(None, np.zeros((1, JPEG_SIDE + 1, 3), np.uint8), nothing) is None


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("far", [1.0001e8, -1e300, math.nan])
def test_a_pose_beyond_the_earth_is_refused(place, far):
    """As 32-bit floats its points were infinite."""
    position = [0.0, 0.0, 0.0]
    position[place] = far
    turn = SimpleNamespace(x=0.0, y=0.0, z=0.0, w=1.0)
    message = SimpleNamespace(header=SimpleNamespace(frame_id="map"))
    message.pose = SimpleNamespace(
        position=SimpleNamespace(**dict(zip("xyz", position, strict=True))), orientation=turn
    )
    with pytest.raises(DecodeError, match="within"):
        decode.pose(message)


def camera(**changed):
    return CameraIntrinsics(**{"width": 64, "height": 48, "fx": 60.0, "fy": 60.0, "cx": 31.5, "cy": 23.5, **changed})


@pytest.mark.parametrize(
    "changed", [{"fx": 5e-324}, {"fy": 1e-300}, {"fx": 1e10}, {"cx": 1e308}, {"cy": -1e10}, {"d": (1e300,) * 5}]
)
def test_a_camera_whose_squares_overflow_is_refused(changed):
    with pytest.raises(GeometryError):
        check(camera(**changed))


def test_a_bearing_at_right_angles_to_the_axis_is_none():
    """Its points were infinite as 32-bit floats."""
    with np.errstate(all="raise"):
        assert np.isnan(back_project(camera(fx=1e-9), [[0.0, 0.0]], [1.0])[0, :2]).all()


def test_a_lens_model_that_ends_nowhere_warns_nobody():
    with np.errstate(all="raise"):
        found = rays(camera(d=(0.0, 1e-30, 0.0, 0.0, 0.0)), [[0.0, 0.0], [1e308, 0.0]])
    assert np.isfinite(found[0]).all() and np.isnan(found[1]).all()


def test_a_png_without_pixels_is_refused_before_opencv_looks_for_some():
    """It took what lay behind the end for a chunk, and allocated its length: 1.1 GB for 120 bytes."""
    png = seeds()["compressed"][1][1:]
    assert decode.compressed_image(SimpleNamespace(format="png", data=png)).shape == RGB.shape
    with pytest.raises(DecodeError, match="whole"):
        decode.compressed_image(SimpleNamespace(format="png", data=png.replace(b"IDAT", b"IDAS") + png))


def test_an_integer_beyond_every_float_is_no_number():
    assert numbers([1, 2.5], "bbox").tolist() == [1.0, 2.5]
    for far in (10**400, -(10**400), math.inf, math.nan):
        with pytest.raises(BagError, match="bbox: expected finite numbers"):
            numbers([far], "bbox")


@pytest.mark.parametrize("topic", ["NULL, 'std_msgs/msg/String'", "x'2f61', 'std_msgs/msg/String'", "'/a', 7"])
def test_a_topic_of_a_damaged_sqlite_file_is_left_out_where_its_name_or_type_is_no_text(topic, tmp_path):
    with sqlite3.connect(tmp_path / "x.db3") as file:
        file.execute("CREATE TABLE message_definitions(topic_type, encoding, encoded_message_definition)")
        file.execute("INSERT INTO message_definitions VALUES ('std_msgs/msg/String', 'ros2msg', NULL)")
        file.execute("CREATE TABLE topics(id, name, type)")
        file.execute(f"INSERT INTO topics VALUES (1, {topic}), (2, '/b', 'std_msgs/msg/String')")
        file.execute("CREATE TABLE messages(topic_id, timestamp, data)")
        file.execute("INSERT INTO messages VALUES (1, 5, x'00'), (2, 6, x'01')")
    file.close()
    said = []
    (found,) = recovery.sqlite(tmp_path / "x.db3", said.append)
    assert (found[0].topic, found[0].definition.data, *found[1:], said) == ("/b", "", 6, b"\x01", [])

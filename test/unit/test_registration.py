"""Depth and camera beside an image: taken as they are, scaled, or refused with numbers."""

import dataclasses
import math
import time
import warnings

import numpy as np
import pytest

from gem_ros.data import CameraIntrinsics
from gem_ros.errors import GeometryError
from gem_ros.geometry.registration import register

SIZE = (480, 640)
CAMERA = CameraIntrinsics(640, 480, 525.0, 525.0, 319.5, 239.5)


def depth(rows=480, columns=640, metres=2.0):
    return np.full((rows, columns), metres, np.float32)


def test_what_fits_is_taken_as_it_is():
    given = depth()
    known = register(SIZE, given, CAMERA, None)
    assert known.depth is given
    assert (known.camera, known.reason, known.problems) == (CAMERA, None, ())


def test_depth_is_scaled_up_by_hand():
    small = np.array([[1, 2], [3, np.nan]], np.float32)
    known = register((4, 4), small, dataclasses.replace(CAMERA, width=4, height=4), None)
    expected = [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, np.nan, np.nan], [3, 3, np.nan, np.nan]]
    np.testing.assert_array_equal(known.depth, np.array(expected, np.float32))
    assert (known.reason, known.problems) == (None, ())


def test_depth_is_scaled_down_to_the_pixels_whose_centres_are_met():
    large = np.arange(81, dtype=np.float32).reshape(9, 9) + 1
    known = register((3, 3), large, dataclasses.replace(CAMERA, width=3, height=3), None)
    np.testing.assert_array_equal(known.depth, large[1::3, 1::3])


def test_by_a_fraction_every_pixel_is_of_the_nearest_one():
    small = np.arange(6, dtype=np.float32).reshape(2, 3) + 1
    known = register((4, 6), small, None, None)
    for v in range(4):
        for u in range(6):  # the centre of (u, v) is at ((u + ½)/2 − ½, (v + ½)/2 − ½) of the small image
            assert known.depth[v, u] == small[math.floor((v + 0.5) / 2), math.floor((u + 0.5) / 2)]
    known = register((2, 3), np.arange(24, dtype=np.float32).reshape(4, 6) + 1, None, None)
    assert set(known.depth.ravel().tolist()) <= set(range(1, 25))


def test_no_depth_is_invented_at_an_edge():
    edge = depth(240, 320)
    edge[:, 160:] = 5.0
    scaled = register(SIZE, edge, CAMERA, None).depth
    assert scaled.shape == SIZE
    assert (scaled[:, :320] == 2.0).all()
    assert (scaled[:, 320:] == 5.0).all()


def test_a_view_of_a_larger_image_can_be_scaled():
    assert register(SIZE, depth(480, 640)[::2, ::2], CAMERA, None).depth.shape == SIZE
    assert register(SIZE, np.full((240, 320), 2.0), CAMERA, None).depth.shape == SIZE


@pytest.mark.parametrize(("rows", "columns"), [(400, 424), (481, 640), (240, 321), (480, 1280), (0, 0)])
def test_depth_of_another_aspect_is_misaligned_with_numbers(rows, columns):
    known = register(SIZE, depth(rows, columns), CAMERA, None)
    assert (known.depth, known.camera, known.reason) == (None, CAMERA, "misaligned")
    assert known.problems == (
        f"depth: expected the image's size 640x480 or its aspect, got {columns}x{rows}; register it to the image",
    )


def test_depth_with_channels_is_misaligned():
    known = register(SIZE, np.ones((480, 640, 3), np.float32), CAMERA, None)
    assert known.reason == "misaligned"
    assert "got 3x640x480" in known.problems[0]


def test_a_camera_of_another_size_is_misaligned_with_numbers():
    known = register(SIZE, depth(), dataclasses.replace(CAMERA, width=848), None)
    assert (known.camera, known.reason) == (None, "misaligned")
    assert known.problems == (
        "camera_info: expected the image's size 640x480, got 848x480; take the one of the same topic",
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"fx": 0.0}, "expected positive focal lengths, got fx=0, fy=525"),
        ({"fy": math.nan}, "expected positive focal lengths, got fx=525, fy=nan"),
        ({"cx": math.inf}, "expected finite numbers"),
        ({"distortion_model": "kannala"}, "got 'kannala'"),
        ({"d": (0.1, 0.2)}, "expected 4 or 5 coefficients"),
        ({"width": 0}, "got 0x480"),
    ],
)
def test_a_camera_that_cannot_be_computed_with_is_none(changes, says):
    known = register(SIZE, depth(), dataclasses.replace(CAMERA, **changes), None)
    assert (known.camera, known.reason) == (None, "no_camera_info")
    (line,) = known.problems
    assert says in line
    assert "\n" not in line


def test_every_problem_has_its_line_and_the_reason_known_before_stays():
    known = register(SIZE, depth(10, 10), dataclasses.replace(CAMERA, fx=0.0), "no_transform")
    assert known.reason == "no_transform"
    assert [line.partition(":")[0] for line in known.problems] == ["camera", "depth"]
    assert register(SIZE, None, None, None).reason == "no_depth_message"
    assert register(SIZE, depth(), None, None).reason == "no_camera_info"
    assert register(SIZE, None, None, "misaligned").reason == "misaligned"


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, bool])
def test_depth_in_integers_is_the_programmers_mistake(dtype):
    with pytest.raises(GeometryError, match="divide millimetres by 1000"):
        register(SIZE, np.ones(SIZE, dtype), CAMERA, None)


def test_millimetres_in_a_float_image_are_told():
    millimetres = depth(metres=1432.0)
    millimetres[::2] = np.nan
    millimetres[1::2, :200] = 0.0
    known = register(SIZE, millimetres, CAMERA, None)
    assert known.problems == ("depth: expected metres, got a median of 1432; is it millimetres in a 32FC1 image?",)
    assert known.reason is None  # out_of_range comes of each target's own depth
    assert len(register(SIZE, millimetres[1::2, ::2], CAMERA, None).problems) == 1


def test_metres_in_an_image_of_millimetres_are_told():
    known = register(SIZE, depth(metres=0.003), CAMERA, None)  # 3 m in 16UC1
    assert known.problems == ("depth: expected metres, got a median of 0.003; is it metres in a 16UC1 image?",)
    assert known.reason is None


@pytest.mark.parametrize("value", [0.05, 2.0, 199.0, np.nan, np.inf, -np.inf, 0.0, -5000.0])
def test_what_is_no_millimetres_is_not_told(value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        far = depth(metres=value)
        far[:100] = 10_000.0  # some of the sky
        far[100:300] = 3.0
        assert register(SIZE, far, CAMERA, None).problems == ()
        assert register(SIZE, depth(metres=value), CAMERA, None).problems == ()


def test_looking_at_the_unit_is_quick():
    large, camera = depth(2160, 3840), dataclasses.replace(CAMERA, width=3840, height=2160)
    times = []
    for _ in range(20):
        start = time.thread_time()
        register((2160, 3840), large, camera, None)
        times.append(time.thread_time() - start)
    assert min(times) < 0.001

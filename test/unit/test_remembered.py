"""Which views are kept for whoever points at a pixel, and which of them is meant."""

from itertools import pairwise

import numpy as np
import pytest

from gem_ros.data import PatchFeatures
from gem_ros.errors import QueryError
from gem_ros.ros.remembered import KEPT, Remembered
from gem_ros.ros.views import View

MS = 1_000_000
RGB = np.zeros((4, 6, 3), np.uint8)
FEATURES = PatchFeatures(np.zeros((1, 1, 2), np.float32), (4, 6))


def view(ms, frame="lens", features=FEATURES):
    return View(RGB, ms * MS, frame, 0.0, features, partners="depth", pose="a pose")


def remembered(*stamps, names=("",)):
    made = Remembered(names)
    for each in stamps:
        made.keep(names[0], view(each))
    return made


def stamps(made):
    return [each.stamp // MS for each in made._views[""]]


def test_views_a_tenth_of_a_second_apart_are_kept_and_the_newest_always():
    made = remembered(*range(0, 3000, 33))
    kept = stamps(made)
    assert len(kept) == KEPT + 1 and kept[-1] == 2970
    assert all(99 <= b - a <= 133 for a, b in pairwise(kept[:-1]))
    assert kept[-1] - kept[0] >= 800


def test_what_is_slow_is_kept_as_it_comes():
    assert stamps(remembered(0, 200, 400, 600)) == [0, 200, 400, 600]
    assert len(stamps(remembered(*range(0, 100_000, 500)))) == KEPT + 1


def test_stamps_that_go_back_or_stand_still_are_no_end_of_it():
    assert stamps(remembered(5000, 5200, 0, 200, 400))[-3:] == [0, 200, 400]
    assert stamps(remembered(0, 0, 0)) == [0]


def test_the_features_are_kept_and_not_the_picture_or_its_partners():
    made = Remembered([""])
    made.keep("", view(0, features=None))
    assert made.find("", 0).rgb is RGB
    made.keep("", view(0))
    (kept,) = made._views[""]
    assert kept.features is FEATURES and kept.rgb.size == 0 and kept.partners is kept.pose is None


@pytest.mark.parametrize(
    ("asked", "found"), [(0, 1000), (1000, 1000), (9000, 1000), (999, 1000), (850, 800), (700, 600), (110, 200)]
)
def test_the_nearest_is_meant_or_the_newest(asked, found):
    made = remembered(0, 200, 400, 600, 800, 1000)
    assert made.find("", asked * MS).stamp == found * MS


def test_what_is_not_kept_is_refused():
    made = remembered(5000, 5200)
    with pytest.raises(QueryError, match=r"of an image that is still kept, got one 0\.2 s from any; .* stamp 0"):
        made.find("", 4800 * MS)
    made.forget()
    with pytest.raises(QueryError, match="expected an image before it, got none yet"):
        made.find("", 0)


def test_one_camera_is_meant_whatever_the_frame_is():
    assert remembered().camera("map") == ""


def test_of_several_cameras_the_frame_says_which():
    made = remembered(0, names=("front", "left"))
    made.keep("left", view(0, "left_lens"))
    assert [made.camera(each) for each in ("front", "left", "lens", "left_lens")] == ["front", "left", "front", "left"]
    for wrong in ("", "map"):
        with pytest.raises(QueryError, match=r"is a camera \(front, left\) or its images', got "):
            made.camera(wrong)
    made.keep("left", view(1, "lens"))
    with pytest.raises(QueryError, match="got 'lens'"):
        made.camera("lens")

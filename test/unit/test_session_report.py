"""Captions say what was answered and whether it is right; pictures and videos are files that open."""

import sys

import cv2
import numpy as np
import pytest

from gem_ros.replay import pictures
from gem_ros.replay.rows import Row
from gem_ros.replay.session_report import caption


def scored(query="ball", found=True, visible=0.1, hit=True, error=0.012):
    x, y, z = (0.3, 0.0, 0.4) if found else (None,) * 3
    score, reason = (0.93, "ok") if found else (0.1, "absent")
    place = {"u": 1.0, "v": 1.0, "x": x, "y": y, "z": z}
    return Row("pass", 1, query, visible, None, score, 0.5, found, reason, **place, hit=hit, error_m=error)


@pytest.mark.parametrize(
    ("answers", "line", "colour"),
    [
        ([scored()], "found, score 0.93, 0.50 m away, 1.2 cm off", pictures.GOOD),
        ([scored(hit=False)], "found, score 0.93, 0.50 m away, 1.2 cm off", pictures.BAD),
        ([scored(found=False)], "not found, score 0.10", pictures.BAD),
        ([scored(found=False, visible=0.0)], "not found, score 0.10", pictures.GOOD),
        ([scored(found=False, visible=0.005)], "not found, score 0.10", pictures.NEUTRAL),
        ([scored(visible=0.0, error=None)], "found, score 0.93, 0.50 m away", pictures.BAD),
        ([scored(), scored("cube", hit=False)], "1 of 2 in view found and pointed at", pictures.BAD),
        ([scored(), scored("cube", False, 0.0)], "1 of 1 in view found and pointed at", pictures.GOOD),
        ([scored("a", False, 0.0), scored("b", False, 0.0)], "none in view, none found", pictures.GOOD),
        ([scored("a", True, 0.0), scored("b", False, 0.0)], "none in view, by mistake a", pictures.BAD),
    ],
)
def test_captions(answers, line, colour):
    assert caption(answers)[1:] == (line, colour)


def test_long_texts_are_cut_to_the_picture():
    assert pictures.fitted("red ball", 500, 20) == "red ball"
    cut = pictures.fitted("red ball; " * 30, 300, 20)
    assert cut.endswith("...") and pictures.font(20).getlength(cut) <= 300


def frames(count, width=65, height=48):
    for index in range(count):
        picture = np.full((height, width, 3), 30, np.uint8)
        picture[10:30, 5 * index : 5 * index + 12] = (230, 40, 40)
        yield pictures.captioned(picture, "ball", "found")


def test_a_caption_keeps_the_picture_and_evens_the_sides():
    picture = np.random.default_rng(0).integers(0, 255, (47, 65, 3), np.uint8)
    framed = pictures.captioned(picture, "ball", "found", pictures.GOOD)
    assert framed.shape == (48 + pictures.CAPTION, 66, 3) and (framed[:47, :65] == picture).all()
    assert tuple(framed[-1, 0]) == pictures.GOOD


@pytest.mark.parametrize("ffmpeg", [True, False])
def test_videos_hold_every_frame_in_a_kind_that_browsers_play(tmp_path, monkeypatch, ffmpeg):
    if ffmpeg:
        pytest.importorskip("imageio_ffmpeg")
    else:
        monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    path = pictures.write_video(tmp_path / "video", frames(7), fps=10)
    assert path.suffix == (".mp4" if ffmpeg else ".gif")
    video = cv2.VideoCapture(str(path))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 7
    if ffmpeg:
        assert int(video.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little") in (b"avc1", b"h264")


def test_a_sheet_has_its_rows_and_columns():
    framed = list(frames(3))
    height, width = framed[0].shape[:2]
    picture = pictures.sheet(framed, 2, "gem_ros", "truth")
    margin, heading = pictures.MARGIN, pictures.HEADING
    assert picture.shape == (heading + 2 * (height + margin) + margin, 2 * (width + margin) + margin, 3)
    top = heading + margin + height + margin
    assert (picture[top : top + height, margin : margin + width] == framed[2]).all()

"""``gem-ros evaluate --report``: the page with its pictures, the annotated bag, the video, and none of it twice."""

import html
import re

import cv2
import pytest
import recorded

from gem_ros import cli
from gem_ros.replay import bag


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return recorded.make(tmp_path_factory.mktemp("recordings") / "bag")


def evaluate(*arguments):
    return cli.main(["evaluate", *map(str, arguments)])


def test_a_report_shows_pictures_and_is_annotated_when_asked(recording, tmp_path, monkeypatch, capsys):
    given = [recording, "--report", tmp_path, "--every", 2, "--queries", "red ball:0.01; blue cube:0.01"]
    assert evaluate(*given) == 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.findall("<h1>(.*?)</h1>", page) == ["bag"] and "red ball" in page
    assert page.count("data:image/jpeg;base64,") >= 2 and page.count("<svg") >= 1
    assert not (tmp_path / "annotated").exists() and str(tmp_path / "report.html") in capsys.readouterr().out

    assert evaluate(*given, "--video") == 0  # what is there already lacks what is asked for now
    annotated = tmp_path / "annotated" / "bag"
    results = [each for each in bag.messages(annotated) if each.topic == "/grounding/result"]
    assert [each.time for each in results] == [recorded.START + index * recorded.STEP for index in (0, 2, 4, 6)]
    assert sum(each.topic.startswith("/camera/color/image_raw") for each in bag.messages(annotated)) == 8
    assert cv2.VideoCapture(str(next(annotated.parent.glob("bag.*")))).get(cv2.CAP_PROP_FRAME_COUNT) == 4

    monkeypatch.setattr("gem_ros.replay.annotate.evaluate_bag", None)
    monkeypatch.setattr("gem_ros.replay.evaluate.evaluate_bag", None)
    monkeypatch.setattr("gem_ros.replay.report.html.page", lambda *_, **__: "drawn")
    for again in ((), ("--annotate",), ("--video",)):
        assert evaluate(*given, *again) == 0


ATTACK = """"'><img src=x onerror=alert(1)>&"""


def test_names_and_queries_are_text_to_the_page(tmp_path):
    """A recording's name, its truth and what is asked for; topics and frames are held by test_report_page.py."""
    recording, query = recorded.make(tmp_path / ATTACK), "<script>alert(2)</script>"
    truth = recording / "truth.json"
    truth.write_text(truth.read_text().replace("blue cube", query))
    assert evaluate(recording, "--report", tmp_path / "out", "--every", 4, "--queries", f"red ball; {query}") == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page and "<script>alert" not in page and page.count("<script>") == 1
    assert html.unescape(page).count(ATTACK) >= 2 and html.unescape(page).count(query) >= 2


@pytest.mark.parametrize(
    "arguments", [["--annotate"], ["--video"], ["--annotate", "--mode", "live", "--report", "out"]]
)
def test_what_cannot_be_annotated_is_one_line(recording, arguments, capsys):
    assert evaluate(recording, *arguments) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "--annotate, --video: expected --report DIR and --mode offline" in said

"""The page is one safe file: it loads nothing, believes no text, stays small, and says what the numbers say."""

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from gem_ros.replay.checks import Check
from gem_ros.replay.evaluation import Input
from gem_ros.replay.report import html
from gem_ros.replay.report.gallery import Picture
from gem_ros.replay.rows import Row
from gem_ros.replay.summary import summarise

STEP = 100_000_000
ATTACK = '"><script>alert(1)</script>$x_{$<img src=x onerror=alert(2)>'
VOID = {"meta", "img", "br", "path", "use", "line", "rect", "circle"}


def row(index=0, query="red ball", visible=0.1, found=True, bag="table", **more):
    answered = {"hit": found, "iou": 0.8 if found else 0.0, "error_m": 0.02 if found else None} if visible else {}
    score = 0.9 if found else 0.2
    known = {"distance_m": 0.5 + index % 3, "reason": "ok" if found else "absent", **answered, **more}
    return Row(
        bag=bag, stamp=index * STEP, query=query, visible=visible, score=score, threshold=0.5, found=found, **known
    )


def evaluation(rows, **more):
    bags = dict.fromkeys(each.bag for each in rows)
    end = max(each.stamp for each in rows)
    inputs = [Input(bag, f"data/{bag}", "ab" * 32, f"image {ATTACK}", len(rows), 0, end, (ATTACK,)) for bag in bags]
    given = {"settings": {"model": "bundled", "queries": [ATTACK]}, "versions": {"torch": ATTACK}, **more}
    return summarise(rows, inputs, min_visible=0.01, **given)


@pytest.fixture(scope="module")
def mixed():
    seen = [row(index, found=index % 5 > 0) for index in range(30)]
    gone = [row(index, "violin", visible=0.0, found=index == 7) for index in range(30)]
    return evaluation(seen + gone)


@pytest.fixture(scope="module")
def text(mixed):
    return html.page(mixed)


@pytest.fixture(scope="module")
def small():
    """Of one query that nobody knows the truth of: drawn quickly."""
    unknown = {"visible": None, "hit": None, "iou": None, "error_m": None}
    return evaluation([row(index, **unknown, overlap=0.9, depth_valid=0.7) for index in range(9)])


class Reader(HTMLParser):
    """Every element with its attributes, every text outside of scripts and styles; what is opened must be closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text, self.open = [], "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text += data


def test_the_page_says_the_numbers(text):
    said = Reader(text).text
    assert "80 % of what is in view is found" in said and "97 % of what is not in view is rightly not found" in said
    assert "the 3D point is off by 2.0 cm in the median" in said
    for name in ("found_recall", "presence_auroc", "error_p90_m"):
        assert name in said
    for title in (
        "What a threshold does",
        "Is a score a probability?",
        "How far off in 3D",
        "By distance",
        "Score over time",
    ):
        assert title in said


def test_hostile_texts_stay_texts(mixed):
    rows = [dataclasses.replace(each, query=ATTACK, bag=ATTACK) for each in mixed.rows if each.visible]
    rows += [dataclasses.replace(each, query=ATTACK + "2", bag=ATTACK) for each in mixed.rows if not each.visible]
    picture = Picture("worst", b"\xff\xd8", 4, 3, ATTACK, ATTACK, ATTACK)
    text = html.page(evaluation(rows), pictures=[picture], checks=[Check(False, ATTACK)])
    page = Reader(text)
    assert [tag for tag, _ in page.elements].count("script") == 1
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert [each["src"][:22] for each in images] == ["data:image/jpeg;base64"] and images[0]["alt"] == ATTACK
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.text.count(ATTACK) >= 8  # title, heading, problem, query, check, picture, settings, versions


def test_nothing_is_loaded_and_no_other_script_may_run(text):
    page = Reader(text)
    for tag, attributes in page.elements:
        for name in ("src", "href", "xlink:href", "action", "data", "srcset"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, attributes)
    assert not re.search(r"@import|url\((?!#)", text)
    policy = next(each["content"] for tag, each in page.elements if "http-equiv" in each)
    assert policy.startswith("default-src 'none'") and "script-src 'sha256-" in policy and "unsafe-eval" not in policy


def test_charts_have_titles_and_take_the_page_colours(text):
    charts = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(charts) == 5
    for each in charts:
        assert each.startswith('<svg class="chart" role="img"') and "<title>" in each
        assert "var(--line)" in each and "#1f6feb" not in each


def test_a_long_recording_makes_no_long_page():
    random = np.random.default_rng(0)
    rows = [
        row(index, f"thing {number}", visible=0.05 * (number % 2), found=bool(random.random() < 0.5))
        for index in range(1200)
        for number in range(20)
    ]
    text = html.page(dataclasses.replace(evaluation(rows[:40]), rows=rows))
    assert len(text) < 1_500_000
    assert "16 of 20 queries" in text


def test_many_recordings_are_a_table_with_an_end():
    rows = [row(index, bag=f"bag {number}") for number in range(250) for index in range(2)]
    few = evaluation(rows[:4])
    inputs = [dataclasses.replace(few.inputs[0], name=f"bag {number}") for number in range(250)]
    page = Reader(html.page(dataclasses.replace(few, rows=rows, inputs=inputs)))
    assert "250 recordings" in page.text and "The first 200 of 250" in page.text and "bag 249" not in page.text
    assert "bag 0: " in page.text and "and 238 more" in page.text  # problems


def test_without_truth_the_page_shows_what_can_be_said(small):
    said = Reader(html.page(small)).text
    assert "Found in 100 % of the images; from image to image 90 % of a region stays." in said
    assert "valid depth where found" in said and "What a threshold does" not in said and "pointed at" not in said


@pytest.mark.parametrize(("met", "badge"), [(True, "PASSED"), (False, "FAILED")])
def test_limits_decide_the_verdict(small, met, badge):
    said = Reader(html.page(small, checks=[Check(True, "found_recall 0.8 >= 0.5"), Check(met, "iou 0.64 >= 0.6")])).text
    assert badge in said and "iou 0.64 >= 0.6" in said and (("missed" in said) is not met)


def test_latencies_are_drawn_where_they_were_measured(small):
    live = dataclasses.replace(small, latencies_ms=[100.0, 120.0, 300.0], timing={"latency_p50_ms": 120.0})
    said = Reader(html.page(live)).text
    assert "How late" in said and "120 ms" in said and "How late" not in Reader(html.page(small)).text


def test_a_page_that_cannot_be_written_is_one_line(small, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(html.GemError, match="expected a place that can be written"):
        html.write(small, tmp_path / "file")
    assert html.write(small, tmp_path / "new").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")

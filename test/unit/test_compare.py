"""Two evaluations of the same images: differences, chance, and what they do not share."""

import dataclasses
import random

import numpy as np
import pytest

from gem_ros.errors import BagError
from gem_ros.replay.compare import _p, compare
from gem_ros.replay.rows import Row
from gem_ros.replay.store import Saved

SECOND = 1_000_000_000


def rows(found, bag="one"):
    return [Row(bag, i * SECOND, "ball", 0.1, 1.0, 0.9, 0.5, each, "ok", hit=each) for i, each in enumerate(found)]


def saved(rows, name="a", sha256="1", min_visible=0.01):
    return Saved(name, rows, {"settings": {"min_visible": min_visible}, "inputs": [{"name": "one", "sha256": sha256}]})


def of(comparison, name):
    return next(each for each in comparison.differences if each.name == name)


def test_the_same_rows_do_not_differ():
    same = saved(rows([True, False] * 20))
    recall = of(compare(same, same), "found_recall")
    assert (recall.before, recall.after, recall.interval, recall.p) == (0.5, 0.5, (0.0, 0.0), 1.0)
    assert not recall.significant


def test_a_steady_gain_is_significant_though_images_differ_much():
    hard = random.Random(0).choices([True, False], k=60)
    better = [each or i % 4 == 0 for i, each in enumerate(hard)]
    recall = of(compare(saved(rows(hard)), saved(rows(better))), "ball/found_recall")
    assert recall.after - recall.before == pytest.approx(sum(better) / 60 - sum(hard) / 60)
    assert recall.significant and recall.interval[0] > 0
    worse = of(compare(saved(rows(better)), saved(rows(hard))), "ball/found_recall")
    assert worse.significant and worse.interval == pytest.approx((-recall.interval[1], -recall.interval[0]))


def test_a_single_changed_image_is_chance():
    recall = of(compare(saved(rows([True] * 40)), saved(rows([False] + [True] * 39))), "found_recall")
    assert recall.p > 0.05


def test_p_counts_both_sides():
    assert _p(np.repeat([0.5, -0.1], [96, 4])) == pytest.approx(2 * 5 / 101)
    assert _p(np.repeat([-0.5, 0.1], [96, 4])) == pytest.approx(2 * 5 / 101)
    assert _p(np.zeros(9)) == 1.0 and _p(np.zeros(0)) is None and _p(np.array([1.0, np.nan, np.nan])) is None


def test_only_what_both_have_is_compared():
    one, two = rows([True] * 10), rows([False] * 4)
    comparison = compare(saved(one), saved([*two, dataclasses.replace(two[0], query="cube")], "b", "2"))
    assert comparison.images == 4 and comparison.queries == ("ball",)
    assert of(comparison, "found_recall").before == 1 and of(comparison, "found_recall").after == 0
    assert any("6 of 10 rows" in note for note in comparison.notes)
    assert any("b: 1 of 5 rows" in note for note in comparison.notes)
    assert any("differ in their files" in note for note in comparison.notes)


@pytest.mark.parametrize("other", [saved(rows([True], bag="two")), saved([]), saved(rows([True]), min_visible=0.1)])
def test_what_cannot_be_compared_is_one_line(other):
    with pytest.raises(BagError, match="--compare: expected"):
        compare(saved(rows([True])), other)

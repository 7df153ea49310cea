"""Limits: which way round, what is unknown, what is not measured."""

import math

import pytest

from gem_ros.errors import ConfigError
from gem_ros.replay.checks import check, parse_limits
from gem_ros.replay.evaluation import Evaluation

QUERIES = ("red ball", "AC/DC = poster")


def evaluation(**metrics):
    return Evaluation([], metrics, {}, {}, {}, {}, [], 0.01, timing={"latency_p95_ms": 200.0})


def limits(*texts, under=True, live=False):
    return parse_limits(texts, under=under, queries=QUERIES, live=live)


def test_a_limit_is_kept_at_its_value_and_missed_beyond():
    found = evaluation(found_recall=0.9, error_p90_m=0.15)
    asked = [*limits("found_recall=0.9"), *limits("error_p90_m=0.15", under=False)]
    assert [each.met for each in check(found, asked)] == [True, True]
    asked = [*limits("found_recall=0.91"), *limits("error_p90_m=0.149", under=False)]
    assert [each.met for each in check(found, asked)] == [False, False]
    assert "found_recall" in check(found, asked)[0].text and "0.91" in check(found, asked)[0].text


def test_what_was_not_measured_keeps_no_limit():
    (found,) = check(evaluation(found_recall=math.nan), limits("found_recall=0"))
    assert not found.met and "measures" in found.text


def test_queries_and_live_numbers_have_names():
    (limit,) = limits("AC/DC = poster/iou=0.5")
    assert (limit.name, limit.value) == ("AC/DC = poster/iou", 0.5)
    (found,) = check(evaluation(), limits("latency_p95_ms=150", under=False, live=True))
    assert not found.met


@pytest.mark.parametrize(
    ("text", "under", "said"),
    [
        ("found_recal=0.9", True, "found_recall"),
        ("red bal/iou=0.9", True, "red ball/iou"),
        ("found_recall", True, "NAME=NUMBER"),
        ("found_recall=", True, "NAME=NUMBER"),
        ("found_recall=nan", True, "NAME=NUMBER"),
        ("=0.5", True, "NAME=NUMBER"),
        ("error_p90_m=0.1", True, "use --fail-over error_p90_m=0.1"),
        ("found_recall=0.1", False, "use --fail-under"),
        ("latency_p95_ms=100", False, "--mode live"),
    ],
)
def test_what_cannot_be_a_limit_is_one_line(text, under, said):
    with pytest.raises(ConfigError) as error:
        limits(text, under=under)
    assert said in str(error.value) and "\n" not in str(error.value)

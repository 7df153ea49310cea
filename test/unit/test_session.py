"""Which answers count for timing, and what the times mean, on a session written by hand (ms)."""

import pytest

from gem_ros.replay.session import Pass, timing

MS = 1_000_000


def result(stamp, *queries):
    return {"stamp": stamp, "targets": [{"query": query} for query in queries]}


def heard(images, results, queries=("ball",)):
    """images: {stamp: ms}; results: [(ms, stamp)] or with other queries."""
    return Pass(
        "one",
        queries,
        {stamp: arrival * MS for stamp, arrival in images.items()},
        [(arrival * MS, result(stamp, *(asked or queries))) for arrival, stamp, *asked in results],
    )


def test_only_first_answers_to_images_of_this_pass_count():
    session = heard(
        {1: 1000, 2: 1100, 3: 1200},
        [(900, 1), (1040, 1), (1045, 1), (1150, 2, "old query"), (1160, 2), (1300, 9)],
    )
    assert [(arrival // MS, each["stamp"]) for arrival, each in session.answered()] == [(1040, 1), (1160, 2)]


def test_latency_is_from_image_to_answer_and_busy_from_when_the_node_was_free():
    timed = timing([heard({1: 1000, 2: 1050, 3: 1300}, [(1100, 1), (1200, 2), (1400, 3)])])
    assert (timed.images, timed.answers) == (3, 3)
    assert timed.latency.worst == pytest.approx(150) and timed.latency.median == pytest.approx(100)
    assert timed.busy.median == timed.busy.worst == pytest.approx(100)  # the second waited 50 ms for the first
    assert timed.age.worst == pytest.approx(1.5)
    assert timed.rate == pytest.approx(2 / 0.3)


def test_pauses_between_passes_are_no_slow_answers():
    one = heard({1: 1000, 2: 1100}, [(1050, 1), (1150, 2)])
    later = heard({1: 91_000, 2: 91_100}, [(91_050, 1), (91_150, 2)])
    assert timing([one, later]).rate == pytest.approx(10.0)


def test_nothing_heard_is_no_division_by_zero():
    timed = timing([heard({1: 1000}, [])])
    assert (timed.images, timed.answers, timed.rate, timed.latency.count) == (1, 0, 0.0, 0)

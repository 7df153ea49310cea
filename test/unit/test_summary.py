"""The metrics of an evaluation: rows worked out by hand, and what must hold of any rows."""

import dataclasses
import math
import random

import numpy as np
import pytest

from gem_ros.replay.evaluation import Input, to_json
from gem_ros.replay.measures import METRICS
from gem_ros.replay.rows import Row
from gem_ros.replay.summary import interval, summarise

TENTH = 100_000_000  # ns
SECOND = 10 * TENTH


def row(stamp=0, query="ball", visible=0.1, found=True, *, score=None, bag="one", **more):
    score = (0.9 if found else 0.1) if score is None else score
    known = {"distance_m": 1.5 if visible else None, "threshold": 0.5, "reason": "ok" if found else "absent", **more}
    return Row(bag, stamp, query, visible, score=score, found=found, **known)


def perfect(stamp, query="ball"):
    place = {"thing": "1", "id": 1, "x": 0.0, "y": 0.0, "z": 1.5, "dx_m": 0.0, "dy_m": 0.0, "dz_m": 0.1}
    ideal = {"hit": True, "iou": 1.0, "best_iou": 1.0, "error_m": 0.0, "depth_valid": 1.0, "overlap": 1.0, "moved_m": 0}
    return row(stamp, query, **place, **ideal)


def metrics(rows, **more):
    return summarise(rows, min_visible=0.01, **more).metrics


# in view, found and hit; in view, found beside it; in view, missed; too small to say; not in view: found, and not found
BY_HAND = [
    row(0, hit=True, thing="1", id=4, iou=0.8, error_m=0.02, x=0.0, dx_m=0.0, dy_m=0.0, dz_m=0.0),
    row(1, hit=True, thing="1", id=5, iou=0.6, error_m=0.04, x=0.0, dx_m=0.0, dy_m=0.3, dz_m=0.4),
    row(2, hit=False, iou=0.0, error_m=0.5, x=0.0, score=0.7),
    row(3, found=False, hit=False, iou=0.0),
    row(4, visible=0.005, found=False, hit=False, iou=0.0),
    row(5, visible=0.0, score=0.8),
    row(6, visible=0.0, found=False),
]


def test_shares_by_hand():
    found = metrics(BY_HAND)
    assert found["found_recall"] == 3 / 4 and found["found_precision"] == 3 / 4 and found["found_f1"] == 3 / 4
    assert found["pointing_accuracy"] == 2 / 4 and found["pointing_when_found"] == 2 / 3
    assert found["iou"] == pytest.approx((0.8 + 0.6) / 4)
    assert found["absent_rate"] == 1 / 2
    assert found["found_rate"] == 3 / 5  # the one too small counts: nobody says that it is not there
    assert found["located_rate"] == 3 / 4
    assert math.isnan(found["best_iou"]) and math.isnan(found["stability_m"])


def test_auroc_by_hand():
    # 0.9, 0.9, 0.7, 0.1 against 0.8, 0.1: of 8 pairs 2 + 2 + 1 won, one tied
    assert metrics(BY_HAND)["presence_auroc"] == pytest.approx(5.5 / 8)


def test_errors_by_hand():
    found = metrics(BY_HAND)
    assert found["error_median_m"] == pytest.approx(0.04) and found["error_p90_m"] == pytest.approx(0.408)


def test_tracks_by_hand():
    found = metrics(BY_HAND)
    assert found["id_switches"] == 1  # from 4 to 5
    assert math.isnan(found["jitter_m"])  # another track: no movement
    steady = [dataclasses.replace(each, id=4) for each in BY_HAND]
    assert metrics(steady)["id_switches"] == 0
    assert metrics(steady)["jitter_m"] == pytest.approx(0.5 / math.sqrt(2))


def test_two_things_of_a_query_have_a_track_each():
    rows = [row(i, hit=True, thing=str(i % 2), id=i % 2) for i in range(6)]
    assert metrics(rows)["id_switches"] == 0


def test_flips_are_between_neighbours_of_the_same_recording_and_query():
    rows = [row(0), row(1, found=False), row(2, found=False), row(0, bag="two"), row(1, bag="two"), row(0, "cube")]
    assert metrics(rows)["flip_rate"] == 1 / 3


def test_first_hit_is_the_median_over_things_and_counts_those_never_hit():
    late = [row(0, hit=False), row(SECOND, hit=False), row(3 * SECOND, hit=True)]
    never = [row(0, "cube", found=False), row(7 * SECOND, "cube", found=False), row(9 * SECOND, "cube", 0.0)]
    absent = [row(0, "door", 0.0)]
    found = metrics([*late, *never, *absent])
    assert found["ball/first_hit_s"] == 3 and found["cube/first_hit_s"] == 7
    assert found["first_hit_s"] == 5 and found["never_hit"] == 1
    assert math.isnan(found["door/first_hit_s"]) and math.isnan(found["door/never_hit"])


def test_perfect_rows_are_perfect():
    found = metrics([*(perfect(i) for i in range(5)), row(9, visible=0.0, found=False)])
    for each in METRICS:
        ideal = {True: 1.0, False: 0.0}.get(each.higher, found[each.name])
        if each.name not in ("flip_rate", "found_rate"):  # it leaves, which flips
            assert found[each.name] == ideal, each.name


def test_empty_answers_are_worth_nothing():
    found = metrics([row(i, found=False, hit=False, iou=0.0) for i in range(5)])
    assert found["found_recall"] == found["pointing_accuracy"] == found["iou"] == found["found_f1"] == 0
    assert math.isnan(found["found_precision"]) and math.isnan(found["error_median_m"])
    assert found["never_hit"] == 1


def test_no_rows_measure_nothing():
    found = summarise([], min_visible=0.01)
    assert all(math.isnan(value) for value in found.metrics.values()) and found.intervals == {}


def test_the_order_of_rows_and_queries_changes_nothing():
    rows = [*BY_HAND, *(dataclasses.replace(each, query="cube", stamp=each.stamp + SECOND) for each in BY_HAND)]
    expected = to_json(summarise(rows, min_visible=0.01))
    shuffled = random.Random(1).sample(rows, len(rows))
    assert to_json(summarise(shuffled, min_visible=0.01)) == expected


def test_duplicated_images_change_no_mean():
    twice = [dataclasses.replace(each, stamp=2 * each.stamp + copy) for each in BY_HAND for copy in (0, 1)]
    once, again = metrics(BY_HAND), metrics(twice)
    same = ("found_recall", "found_precision", "found_f1", "presence_auroc", "pointing_accuracy", "iou", "absent_rate")
    assert [again[name] for name in same] == pytest.approx([once[name] for name in same])


def test_without_truth_presence_is_not_measured():
    found = metrics([row(i, visible=None, overlap=0.5, moved_m=0.1) for i in range(3)])
    assert math.isnan(found["found_recall"]) and math.isnan(found["absent_rate"]) and math.isnan(found["id_switches"])
    assert found["found_rate"] == 1 and found["stability_overlap"] == 0.5 and found["flip_rate"] == 0


def test_intervals_hold_the_value_and_are_the_same_again():
    rows = [row(i * SECOND // 2, found=i % 3 > 0, hit=True) for i in range(40)]
    one, two = (summarise(rows, min_visible=0.01, seed=3) for _ in range(2))
    low, high = one.intervals["found_recall"]
    assert low < one.metrics["found_recall"] < high and one.intervals == two.intervals
    assert summarise(rows, min_visible=0.01, seed=4).intervals != one.intervals
    assert "first_hit_s" not in one.intervals


def test_images_of_one_second_are_drawn_together():
    # 10 blocks that are right or wrong as a whole: the interval is that of 10 values, not of 100
    rows = [row(i * TENTH, found=i // 10 % 2 == 0) for i in range(100)]
    low, high = summarise(rows, min_visible=0.01).intervals["found_recall"]
    assert (low, high) == pytest.approx((0.2, 0.8), abs=0.11)


def test_one_second_has_no_interval():
    assert summarise(BY_HAND, min_visible=0.01).intervals == {}


def test_an_interval_needs_most_resamples():
    assert interval(np.array([np.nan, np.nan, 1.0])) is None
    assert interval(np.array([1.0, 1.0, np.nan])) == (1.0, 1.0)


def test_bins_share_the_rows_in_view():
    rows = [row(0, hit=True), row(1, visible=0.3, found=False), row(2, visible=0.0), row(3, distance_m=12.0)]
    found = summarise(rows, min_visible=0.01).bins
    assert [(each.low, each.high, each.count) for each in found["distance_m"]] == [(1, 2, 2), (10, math.inf, 1)]
    assert [(each.low, each.count, each.metrics["found_recall"]) for each in found["visible"]] == [
        (0.1, 2, 1.0),
        (0.2, 1, 0.0),
    ]


def test_json_holds_no_nan_and_no_time():
    evaluation = summarise(BY_HAND, [Input("one", "/path/one", "ab")], min_visible=0.01, timing={"seconds": 3.0})
    text = to_json(evaluation)
    assert "NaN" not in text and "Infinity" not in text and "seconds" not in text and "/path" not in text
    assert '"best_iou": null' in text and '"ball"' in text


def test_a_query_may_hold_a_slash():
    assert summarise([row(query="AC/DC poster")], min_visible=0.01).of("AC/DC poster")["found_recall"] == 1

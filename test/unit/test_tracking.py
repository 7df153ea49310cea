"""Things over time: ids that stay with their things."""

import dataclasses
import itertools
import time

import numpy as np
import pytest
from film import CAMERA, DOOR, FIXED, MUG, SECOND, SIZE, Film, grounding, missing, seen
from hypothesis import given, settings
from hypothesis import strategies as st

from gem_ros.config import Config
from gem_ros.data import Box, Grounding, Query, Target
from gem_ros.geometry import association, tracking
from gem_ros.geometry.tracking import Tracker

# Tracks


def test_a_thing_seen_again_keeps_its_id_and_its_filtered_position():
    film = Film(FIXED)
    first = film.show(seen(0.0, sigma=0.1)).targets[0]
    assert (first.track.id, first.track.hits, first.track.position.tolist()) == (1, 1, [0, 0, 1])
    np.testing.assert_allclose(first.track.covariance, 0.01 * np.eye(3))
    second = film.show(seen(0.1, 0.8, pixel=(33.0, 24.0), sigma=0.1)).targets[0]
    predicted = 0.01 + 0.05**2 * 0.1
    gain = predicted / (predicted + 0.01)
    assert second.track.position == pytest.approx([gain * 0.1, 0, 1])
    np.testing.assert_allclose(second.track.covariance, gain * 0.01 * np.eye(3), atol=1e-15)
    assert second.point.tolist() == [0.1, 0, 1]  # the measurement stays
    track = second.track
    assert (track.id, track.query, track.query_index, track.hits, track.score) == (1, "mug", 0, 2, 0.8)
    assert (track.since, track.seen, track.pixel) == (film.now - SECOND // 10, film.now, (33.0, 24.0))
    assert first.track.hits == 1  # what was given out does not change


def test_process_noise_is_larger_where_the_camera_moves():
    def variance(config):
        film = Film(config)
        film.show(seen(0.0, sigma=0.1))
        return film.show(after=1.0).remembered[0].covariance[0, 0]

    assert variance(FIXED) == pytest.approx(0.01 + 0.05**2)
    assert variance(CAMERA) == pytest.approx(0.01 + 0.3**2)


def test_the_gate_is_where_the_quantile_says():
    # S = P + R = 2 · 0.02² + 0.05² · 0.1; in 3D the gate is at sqrt(11.345) of its deviation
    reach = np.sqrt(association.GATE_POINT * (2 * 0.02**2 + 0.05**2 * 0.1))
    for share, expected in ((0.99, [1]), (1.01, [2])):
        film = Film(FIXED)
        film.show(seen(0.0))
        assert film.ids(seen(reach * share)) == expected


def test_the_pixel_gate_is_where_the_quantile_says():
    # without a region the deviation is 0.05 of the width: S = 2 · 3.2² + (0.1 · 64)² · 0.1
    reach = np.sqrt(association.GATE_PIXEL * (2 * 3.2**2 + 6.4**2 * 0.1))
    for share, expected in ((0.99, [1]), (1.01, [2])):
        film = Film()
        film.show(seen(pixel=(20.0, 24.0)))
        assert film.ids(seen(pixel=(20.0 + reach * share, 24.0))) == expected


def test_another_place_gets_a_new_id():
    film = Film(FIXED)
    assert film.ids(seen(0.0)) == [1]
    assert film.ids(seen(2.0)) == [2]
    assert film.ids(seen(0.0, 0.8), seen(2.0, 0.9)) == [2, 1]


def test_the_order_of_targets_does_not_matter():
    tie = seen(0.0, 0.6, query=1, pixel=(9.0, 9.0))  # of two equal scores the pixels decide
    places = [seen(0.0, 0.7), seen(1.0, 0.9), seen(2.0, 0.8), seen(3.0, 0.6, query=1), tie]
    moved = [dataclasses.replace(each, point=each.point + np.array([0.03, 0, 0])) for each in places]

    def ids(order):
        film = Film(FIXED, (MUG, DOOR))
        film.show(*(places[index] for index in order))
        result = film.show(*(moved[index] for index in reversed(order)))
        assert [target.score for target in result.targets] == [0.9, 0.8, 0.7, 0.6, 0.6]
        return {(target.query, round(target.point[0], 2)): target.track.id for target in result.targets}

    assert ids([0, 1, 2, 3, 4]) == ids([4, 2, 0, 1, 3]) == ids([3, 0, 4, 2, 1])
    assert len(set(ids([0, 1, 2, 3, 4]).values())) == 5


def test_two_identical_things_that_change_ranks_keep_their_ids():
    film = Film()
    assert film.ids(seen(-0.5, 0.9), seen(0.5, 0.8)) == [1, 2]
    assert film.ids(seen(-0.5, 0.7), seen(0.5, 0.8)) == [2, 1]


def test_things_that_cross_in_the_image_are_told_apart_by_their_distance():
    film = Film()
    for step in range(9):
        near = dataclasses.replace(seen(0.0, 0.9, pixel=(20.0 + 3 * step, 24.0)), point=np.array([0.0, 0, 1.0]))
        far = dataclasses.replace(seen(0.0, 0.8, pixel=(44.0 - 3 * step, 24.0)), point=np.array([0.0, 0, 3.0]))
        assert film.ids(near, far) == [1, 2]


def test_the_assignment_is_the_best_in_sum():
    # 0 at the first moves to the second's old place, which moves on: nearest-first would swap or lose one.
    film = Film(FIXED)
    assert film.ids(seen(0.0, 0.9), seen(0.1, 0.8)) == [1, 2]
    assert film.ids(seen(0.06, 0.9), seen(0.16, 0.8)) == [1, 2]


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(0, 3)), st.floats(0, association.UNMATCHED, width=32), max_size=9
    )
)
def test_no_other_choice_of_pairs_costs_less(costs):
    def total(pairs):  # what is left alone costs as much as a pair that does not match
        return association.UNMATCHED * (4 - len(pairs)) + sum(costs[pair] for pair in pairs)

    rivals = [[pair for pair in enumerate(columns) if pair in costs] for columns in itertools.permutations(range(4))]
    chosen = list(association.cheapest(costs))
    assert len({row for row, _ in chosen}) == len({column for _, column in chosen}) == len(chosen)
    assert total(chosen) == pytest.approx(min(map(total, rivals)))


def test_what_is_in_view_goes_before_what_is_remembered():
    # After 20 s out of view the first thing may be anywhere within a metre, and is still not the one in view.
    film = Film(FIXED, step=1.0)
    film.show(seen(0.0), seen(0.4, 0.8))
    for _ in range(20):
        film.show(seen(0.4))
    moved = film.show(seen(0.3)).targets[0]
    assert moved.track.id == 2
    assert film.ids(seen(0.0, 0.7), seen(0.3)) == [2, 1]


def test_tracks_of_one_query_are_none_of_another():
    film = Film(FIXED, (MUG, DOOR))
    assert film.ids(seen(0.0, query=0)) == [1, None]
    assert film.ids(seen(0.0, query=1)) == [None, 2]
    assert film.ids(seen(0.0, query=0), seen(0.0, query=1)) == [1, 2]


def test_a_track_follows_a_thing_carried_at_half_a_metre_per_second():
    size = Box(np.zeros(3), np.full(3, 0.1), np.eye(3))
    film = Film(FIXED)
    assert {tuple(film.ids(seen(0.05 * step, box=size))) for step in range(40)} == {(1,)}


# Presence


def threshold_of(film, index=0):
    return film.tracker.asked(film.queries, film.config)[index].threshold


def test_hysteresis_enters_holds_and_leaves():
    film = Film()  # enters at 0.5, leaves below 0.4
    assert film.tracker.asked(film.queries, film.config) == film.queries
    below = film.show(seen(0.0, 0.45)).targets
    assert [(each.found, each.score, each.threshold, each.reason) for each in below] == [(False, 0.45, 0.5, "absent")]
    assert below[0].point is None and below[0].track is None
    entered = film.show(seen(0.0, 0.5)).targets[0]
    assert (entered.found, entered.threshold, entered.track.id) == (True, 0.5, 1)
    assert threshold_of(film) == pytest.approx(0.4)
    held = film.show(seen(0.0, 0.45)).targets[0]
    assert (held.found, held.threshold, held.reason, held.track.id) == (True, pytest.approx(0.4), "ok", 1)
    left = film.show(missing(score=0.39))
    assert [(each.found, each.score, each.threshold) for each in left.targets] == [(False, 0.39, 0.5)]
    assert [track.id for track in left.remembered] == [1]
    assert threshold_of(film) is None
    assert film.show(seen(0.0, 0.45)).targets[0].reason == "absent"  # not held any more: it has to enter again
    assert film.ids(seen(0.0, 0.5)) == [1]


def test_a_weak_candidate_elsewhere_is_not_held():
    film = Film(FIXED)
    film.show(seen(0.0))
    result = film.show(seen(0.0, 0.9), seen(2.0, 0.45))
    assert [target.score for target in result.targets] == [0.9]
    gone = film.show(seen(2.0, 0.45), seen(3.0, 0.42)).targets  # the best of both is told
    assert [(each.found, each.score, each.threshold) for each in gone] == [(False, 0.45, 0.5)]


def test_a_weak_candidate_does_not_take_the_track_of_a_strong_one():
    film = Film(FIXED)
    film.show(seen(0.0))
    film.show()  # out of view, not held
    assert [(each.score, each.track.id) for each in film.show(seen(0.01, 0.45), seen(0.05, 0.6)).targets] == [(0.6, 1)]


def test_a_querys_own_threshold_has_the_same_hysteresis_and_ends_at_zero():
    film = Film(queries=(Query("mug", 0.8), Query("door", 0.05)))
    film.show(seen(0.0, 0.85), seen(1.0, 0.06, query=1))
    assert [threshold_of(film, index) for index in (0, 1)] == [pytest.approx(0.7), 0.0]
    result = film.show(seen(0.0, 0.72), seen(1.0, 0.0, query=1))
    assert [(each.found, each.threshold) for each in result.targets] == [(True, pytest.approx(0.7)), (True, 0.0)]
    assert result.queries == film.queries  # with the thresholds that the user knows


def test_only_the_held_query_is_asked_with_less():
    film = Film(queries=(MUG, DOOR))
    film.show(seen(0.0, query=1))
    asked = film.tracker.asked(film.queries, film.config)
    assert asked[0] is MUG
    assert asked[1] == Query("door", pytest.approx(0.4))
    assert film.tracker.asked((DOOR, MUG), film.config) == (DOOR, MUG)  # other places are other queries


def test_a_thing_counts_as_found_once_enough_images_showed_it():
    film = Film(Config(confirm_frames=3))
    for hits in (1, 2):
        target = film.show(seen(0.0, 0.6)).targets[0]
        assert (target.found, target.reason, target.track.hits, target.threshold) == (False, "unconfirmed", hits, 0.5)
        assert target.pixel is not None and target.point is not None
        assert threshold_of(film) is None  # what is not found is not held
    assert film.show().remembered == ()
    target = film.show(seen(0.0, 0.6)).targets[0]
    assert (target.found, target.reason, target.track.id, target.track.hits) == (True, "ok", 1, 3)
    assert [track.id for track in film.show().remembered] == [1]


def test_found_targets_come_before_unconfirmed_ones():
    film = Film(Config(confirm_frames=2, target_frame="map"))
    film.show(seen(0.0, 0.6))
    result = film.show(seen(0.0, 0.6), seen(2.0, 0.9), seen(4.0, 0.7))
    assert [(each.found, each.score) for each in result.targets] == [(True, 0.6), (False, 0.9), (False, 0.7)]
    assert result.best(0).score == 0.6


def test_an_unknown_word_stays_one():
    result = Film().show(missing(reason="unknown_word", score=0.0))
    assert [(each.reason, each.threshold) for each in result.targets] == [("unknown_word", 0.5)]


# Memory


def test_remembered_are_newest_first_and_forgotten_in_time():
    film = Film(Config(memory_seconds=5.0, target_frame="map"), step=1.0)
    film.show(seen(0.0), seen(2.0, 0.8))
    film.show(seen(2.0))
    film.show(seen(4.0))
    assert [track.id for track in film.show(seen(6.0)).remembered] == [3, 2, 1]  # last seen 1, 2 and 3 s ago
    kept = film.show(seen(6.0), after=2.0).remembered
    assert [(track.id, (film.now - track.seen) / SECOND) for track in kept] == [(3, 3), (2, 4), (1, 5)]
    assert [track.id for track in film.show(seen(6.0), after=0.5).remembered] == [3, 2]
    assert film.ids(seen(0.0)) == [5]  # a new id: ids never come again


def test_a_thing_back_at_its_place_in_a_fixed_frame_keeps_its_id():
    film = Film(FIXED)
    film.show(seen(1.0, pixel=(10.0, 10.0)))
    film.show()
    back = film.show(seen(1.1, pixel=(60.0, 40.0)), after=29.0).targets[0]
    assert (back.track.id, back.track.hits, back.track.pixel) == (1, 2, (60.0, 40.0))


def test_a_thing_back_elsewhere_in_the_image_is_followed_by_its_new_pixel():
    film = Film(FIXED)
    film.show(seen(1.0, pixel=(5.0, 10.0)))
    film.show()
    assert film.ids(seen(1.0, pixel=(60.0, 40.0))) == [1]  # the camera turned
    assert film.ids(seen(pixel=(58.0, 40.0))) == [1]


def test_a_thing_back_after_the_memory_is_a_new_one():
    film = Film(FIXED)
    film.show(seen(1.0))
    assert film.ids(seen(1.0), after=30.1) == [2]


@pytest.mark.parametrize("x", [0.0, None], ids=["3D", "pixel"])
def test_in_the_camera_frame_a_thing_out_of_view_is_found_again_for_a_second(x):
    for pause, expected in ((0.9, [1]), (1.1, [2])):
        film = Film(step=0.1)
        film.show(seen(x))
        film.show(after=pause / 2)
        assert film.ids(seen(x), after=pause / 2) == expected
        remembered = film.show(after=1.0).remembered
        assert {track.id for track in remembered} == set(range(1, expected[0] + 1))  # still told


def test_a_slow_camera_keeps_what_is_in_every_image():
    film = Film(Config(memory_seconds=0.0), step=4.0)
    assert [film.ids(seen(0.0)) for _ in range(3)] == [[1], [1], [1]]
    assert film.show().remembered == ()
    assert film.ids(seen(0.0)) == [2]
    assert film.ids(seen(0.0), after=6.0) == [3]


def test_pixels_of_long_ago_say_nothing_in_a_fixed_frame_either():
    film = Film(FIXED)
    film.show(seen())
    film.show()
    assert film.ids(seen(), after=1.0) == [2]


def test_reset_forgets_tracks_but_not_ids():
    film = Film()
    film.show(seen(0.0))
    film.tracker.reset()
    assert film.tracker.asked(film.queries, film.config) == film.queries
    result = film.show(seen(0.0, 0.6))
    assert result.targets[0].track.id == 2
    assert result.remembered == ()
    film.tracker.reset()
    film.now -= 50 * SECOND
    assert film.ids(seen(0.0)) == [3]


def test_a_query_of_other_words_starts_anew():
    film = Film(FIXED, (MUG, DOOR))
    film.show(seen(0.0), seen(1.0, query=1))
    film.queries = (Query("cup"), DOOR)
    result = film.show(seen(0.0, text="cup"), seen(1.0, query=1))
    assert [(each.query, each.track.id) for each in result.targets] == [("cup", 3), ("door", 2)]
    assert result.remembered == ()  # the mug is not asked for
    film.queries = (MUG, DOOR)
    assert film.ids(seen(0.0), seen(1.0, query=1)) == [4, 2]


def test_a_change_of_a_threshold_alone_keeps_the_tracks():
    film = Film()
    film.show(seen(0.0))
    film.queries = (Query("mug", 0.95),)
    assert threshold_of(film) == pytest.approx(0.85)
    target = film.show(seen(0.0, 0.9)).targets[0]
    assert (target.track.id, target.found, target.threshold) == (1, True, pytest.approx(0.85))


def test_of_too_many_tracks_the_oldest_are_dropped():
    config = Config(target_frame="map", max_targets=100)
    film = Film(config)
    for block in range(5):
        film.show(*(seen(200.0 * block + 2.0 * index, 0.9 - 0.001 * index) for index in range(60)))
    remembered = film.show().remembered
    assert len(remembered) == tracking.MAX_TRACKS
    assert [track.id for track in remembered] == [
        *range(241, 301),
        *range(181, 241),
        *range(121, 181),
        *range(61, 121),
        *range(1, 17),
    ]


def test_more_targets_than_tracks_are_all_told():
    film = Film(FIXED)
    result = film.show(*(seen(2.0 * index, 0.9) for index in range(tracking.MAX_TRACKS + 10)))
    assert len({target.track.id for target in result.targets}) == tracking.MAX_TRACKS + 10
    assert len(film.show().remembered) == tracking.MAX_TRACKS


# Stamps


def test_the_same_image_again_counts_and_fuses_once():
    film = Film(Config(confirm_frames=2))
    first = film.show(seen(0.0, 0.6)).targets[0]
    again = film.show(seen(0.01, 0.7), after=0).targets[0]
    assert (again.track.id, again.track.hits, again.reason) == (1, 1, "unconfirmed")
    assert again.track.score == 0.7
    np.testing.assert_array_equal(again.track.position, first.track.position)
    np.testing.assert_array_equal(again.track.covariance, first.track.covariance)
    assert film.show(seen(0.0, 0.6)).targets[0].track.hits == 2


def test_the_same_image_with_other_thresholds_finds_more_or_less():
    film = Film(FIXED)
    film.show(seen(0.0, 0.6))
    result = film.show(
        seen(0.0, 0.6), seen(2.0, 0.3), after=0, config=Config(presence_threshold=0.2, target_frame="map")
    )
    assert [target.track.id for target in result.targets] == [1, 2]
    stricter = film.show(missing(score=0.6), after=0, config=Config(presence_threshold=0.8, target_frame="map"))
    assert [(each.found, each.threshold) for each in stricter.targets] == [(False, 0.8)]
    assert stricter.remembered == ()  # it was seen in this very image
    assert [track.id for track in film.show().remembered] == [1, 2]


def test_depth_that_comes_with_the_second_answer_is_used():
    film = Film(FIXED)
    assert film.show(seen()).targets[0].track.position is None
    assert film.show(seen(1.0), after=0).targets[0].track.position.tolist() == [1, 0, 1]


def test_an_image_out_of_order_is_used_without_drift():
    film = Film(FIXED)
    film.show(seen(0.0, sigma=0.1))
    target = film.show(seen(0.0, sigma=0.1), after=-1.0).targets[0]
    assert (target.track.id, target.track.hits) == (1, 2)
    assert target.track.since == target.track.seen == film.now
    np.testing.assert_allclose(target.track.covariance, 0.005 * np.eye(3))  # dt = 0
    late = film.show(seen(0.0, sigma=0.1), after=1.0).targets[0]
    np.testing.assert_allclose(late.track.covariance, 0.01 / 3 * np.eye(3))  # time has not passed twice


def test_stamps_that_jump_back_forget_the_tracks():
    film = Film(FIXED)
    film.show(seen(0.0))
    result = film.show(seen(0.0), after=-1.1)
    assert [target.track.id for target in result.targets] == [2]
    assert result.remembered == ()
    assert film.ids(seen(0.0)) == [2]


def test_small_steps_back_add_up():
    film = Film(FIXED)
    film.show(seen(0.0))
    assert film.ids(seen(0.0), after=-0.6) == [1]
    assert film.ids(seen(0.0), after=-0.6) == [2]


# 3D and pixels


@pytest.mark.parametrize("reason", ["no_depth", "no_transform", "out_of_range", "misaligned"])
def test_a_target_without_3d_keeps_its_track_by_its_pixel(reason):
    film = Film(FIXED)
    film.show(seen(1.0, sigma=0.1))
    target = film.show(seen(reason=reason)).targets[0]
    assert (target.track.id, target.track.hits, target.reason, target.found) == (1, 2, reason, True)
    assert target.point is None
    assert target.track.position.tolist() == [1, 0, 1]  # as predicted
    np.testing.assert_allclose(target.track.covariance, (0.01 + 0.05**2 * 0.1) * np.eye(3))
    assert film.ids(seen(1.0)) == [1]


def test_a_target_seen_without_3d_first_gets_its_position_later():
    film = Film(FIXED)
    assert film.show(seen()).targets[0].track.position is None
    target = film.show(seen(1.0)).targets[0]
    assert (target.track.id, target.track.hits, target.track.position.tolist()) == (1, 2, [1, 0, 1])


def test_3d_and_pixels_are_assigned_together():
    # One of two mugs loses its depth: each keeps its id, whatever its rank.
    film = Film(FIXED)
    left, right = {"pixel": (10.0, 24.0)}, {"pixel": (54.0, 24.0)}
    assert film.ids(seen(-1.0, 0.9, **left), seen(1.0, 0.8, **right)) == [1, 2]
    assert film.ids(seen(None, 0.7, **left), seen(1.0, 0.8, **right)) == [2, 1]
    assert film.ids(seen(-1.0, 0.9, **left), seen(None, 0.8, **right)) == [1, 2]
    assert film.ids(seen(None, 0.9, **right), seen(None, 0.8, **left)) == [2, 1]


def test_costs_of_both_kinds_are_counted_in_gates():
    # Thing 1 has 3D, thing 2 has not; a sighting with 3D lies at 0.3 gates of 1, and at 0.6 gates of 2 by its pixel.
    for share, expected in ((0.3, 1), (0.9, 2)):
        film = Film(FIXED)
        film.show(seen(0.0, 0.9, pixel=(2.0, 2.0)), seen(None, 0.8, pixel=(32.0, 24.0)))
        offset = np.sqrt(share * association.GATE_POINT * (2 * 0.02**2 + 0.05**2 * 0.1))
        aside = np.sqrt(0.6 * association.GATE_PIXEL * (2 * 3.2**2 + 6.4**2 * 0.1))
        assert film.ids(seen(offset, pixel=(32.0 + aside, 24.0))) == [expected]


def test_where_both_have_3d_pixels_do_not_count():
    film = Film(FIXED)
    film.show(seen(0.0))
    assert film.ids(seen(1.0)) == [2]  # the same pixel, a metre away
    assert film.ids(seen(0.0, pixel=(1.0, 1.0))) == [1]


@pytest.mark.parametrize("pixel", [None, (np.nan, 1.0), (1.0, np.inf)])
def test_a_target_without_a_pixel_is_passed_on_untracked(pixel):
    result = Film().show(seen(0.0, pixel=pixel))
    assert [(each.found, each.track, each.threshold) for each in result.targets] == [(True, None, 0.5)]
    assert Film().show(seen(0.0, 0.4, pixel=pixel)).targets[0].reason == "absent"


def test_a_score_that_is_no_number_is_not_found():
    result = Film().show(seen(0.0, np.nan))
    assert [(each.found, each.reason) for each in result.targets] == [(False, "absent")]


def test_what_is_not_a_target_passes_through():
    image = dataclasses.replace(grounding(seen(0.0)), problems=("depth: no",))
    result = Tracker().update(image, 0, (MUG,), CAMERA)
    assert result.problems == ("depth: no",)
    assert result.image_size == SIZE
    assert result.patch_relevancy is image.patch_relevancy


def test_no_queries_give_no_targets():
    result = Film(queries=()).show()
    assert result.targets == result.remembered == ()
    assert Tracker().asked((), CAMERA) == ()


# Anything

NUMBERS = st.one_of(st.floats(-3, 3), st.sampled_from([np.nan, np.inf, -1e300, 0.0]))
SCORES = st.floats(0, 1)
POINTS = st.none() | st.tuples(NUMBERS, NUMBERS, st.sampled_from([0.0, 1e-4, 0.01, 1.0, np.nan, -1.0]))
SIGHTINGS = st.tuples(st.integers(0, 1), SCORES, st.integers(0, 63), POINTS)
IMAGES = st.tuples(st.integers(-2000, 5000), st.lists(SIGHTINGS, max_size=6), st.booleans())


@st.composite
def configs(draw):
    return Config(
        presence_threshold=draw(st.floats(0.01, 1)),
        presence_hysteresis=draw(st.floats(0, 0.5)),
        confirm_frames=draw(st.integers(1, 3)),
        memory_seconds=draw(st.sampled_from([0.0, 1.0, 30.0])),
        target_frame=draw(st.sampled_from(["", "map"])),
    )


def answer(asked, sightings, config):
    """What the grounder makes of candidates: those that reach the threshold that was asked, else one absent target."""
    targets = []
    for query, score, u, point in sightings:
        given_point = {}
        if point is not None:
            x, y, variance = point
            given_point = {"point": np.array([x, y, 1.0]), "covariance": variance * np.eye(3), "reason": "ok"}
        lowest = asked[query].threshold
        if score >= (config.presence_threshold if lowest is None else lowest):
            targets.append(seen(None, score, query, pixel=(float(u), 20.0), **given_point))
    absent = (missing(query, 0.0) for query in {0, 1} - {target.query_index for target in targets})
    return grounding(*targets, *absent, queries=asked)


@settings(max_examples=100, deadline=None)
@given(configs(), st.lists(IMAGES, min_size=1, max_size=8))
def test_whatever_is_seen_the_answer_is_whole(config, images):
    tracker, stamp, queries = Tracker(), 10 * SECOND, (MUG, Query("door", 0.3))
    born = set()
    for milliseconds, sightings, reset in images:
        stamp += milliseconds * 1_000_000
        if reset:
            tracker.reset()
        asked = tracker.asked(queries, config)
        result = tracker.update(answer(asked, sightings, config), stamp, queries, config)
        ids = [target.track.id for target in result.targets if target.track]
        remembered = [track.id for track in result.remembered]
        assert len(set(ids + remembered)) == len(ids + remembered)
        new = sorted(set(ids) - born)
        assert new == list(range(len(born) + 1, len(born) + 1 + len(new)))  # in order, none left out, none again
        born |= set(ids)
        assert {target.query_index for target in result.targets} == {0, 1}
        keys = [(each.query_index, not each.found, -each.score) for each in result.targets]
        assert keys == sorted(keys)
        for target in result.targets:
            enough = target.score >= target.threshold
            assert enough if target.reason == "unconfirmed" else target.found == enough
            assert (target.reason == "absent") == (target.track is None)
            assert target.track is None or target.found == (target.track.hits >= config.confirm_frames)
        for track in [*result.remembered, *(target.track for target in result.targets if target.track)]:
            assert track.since <= track.seen and track.hits >= 1
            if track.covariance is not None:
                np.testing.assert_array_equal(track.covariance, track.covariance.T)
                assert np.linalg.eigvalsh(track.covariance)[0] > 0 and np.isfinite(track.position).all()
        assert all(stamp - track.seen <= config.memory_seconds * SECOND for track in result.remembered)


def crowd(query, shift=0.0):
    region = np.zeros((480, 640), bool)
    region[200:240, 300:340] = True
    box = Box(np.zeros(3), np.full(3, 0.1), np.eye(3))
    for index in range(3):
        pixel = (100.0 + 200 * index, 100.0)
        given_point = {"point": np.array([index + shift, query, 1.0]), "covariance": 1e-4 * np.eye(3)}
        yield Target(f"q{query}", query, True, 0.9, 0.5, "ok", pixel, region, box=box, **given_point)


def test_sixteen_queries_of_three_targets_take_milliseconds():
    queries = tuple(Query(f"q{index}") for index in range(16))
    tracker, times = Tracker(), []
    for step in range(40):
        shift = 10.0 if step == 0 else 0.0  # 48 tracks that go out of view, 48 in view
        targets = tuple(target for query in range(16) for target in crowd(query, shift))
        image = Grounding(queries, targets, (480, 640), np.zeros((16, 1, 1), np.float32), lambda maps: maps)
        start = time.thread_time()
        result = tracker.update(image, step * SECOND // 10, queries, FIXED)
        times.append(time.thread_time() - start)
    assert (len(result.targets), len(result.remembered)) == (48, 48)
    assert min(times) < 0.03, f"{min(times) * 1e3:.1f} ms of CPU time"  # 5 ms on a busy machine's core

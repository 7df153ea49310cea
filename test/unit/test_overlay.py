"""The words in the overlay: what was found, how far, which; and what was not."""

import dataclasses

import numpy as np
import pytest

from gem_ros.data import Grounding, Query, Target, Track
from gem_ros.messages import overlay

POINT = np.array([3.0, 4.0, 0.0])
TRACK = Track(3, "red ball", 0, 0, 0, 4, 0.9, (1.5, 2.0), POINT, np.eye(3))
BALL = Target("red ball", 0, True, 0.93, 0.5, "ok", (160.0, 120.0), None, None, POINT, np.eye(3), track=TRACK)


@pytest.fixture
def words(monkeypatch):
    """What :func:`overlay.draw` writes on a picture, in its order."""
    written = []
    real = overlay.cv2.putText
    monkeypatch.setattr(overlay.cv2, "putText", lambda *given: written.append(given[1]) or real(*given))

    def draw(*targets, **options):
        written.clear()
        queries = tuple(Query("any") for _ in range(1 + max(target.query_index for target in targets)))
        maps = np.zeros((len(queries), 2, 2), np.float32)
        seen = Grounding(queries, targets, (240, 320), maps, lambda some: np.zeros((len(some), 240, 320), np.float32))
        overlay.draw(np.zeros((240, 320, 3), np.uint8), seen, **options)
        return list(written)

    return draw


def test_a_label_says_what_how_sure_how_far_and_which(words):
    assert words(BALL) == ["red ball 0.93 5.00 m #3"]
    assert words(dataclasses.replace(BALL, track=None)) == ["red ball 0.93 5.00 m"]
    assert words(dataclasses.replace(BALL, point=None)) == ["red ball 0.93 #3"]


def test_distances_are_the_cameras_wherever_the_origin_is(words):
    assert words(BALL, camera=np.array([3.0, 3.0, 0.0])) == ["red ball 0.93 1.00 m #3"]
    assert words(BALL, camera=(3.0, 4.0, -2.5)) == ["red ball 0.93 2.50 m #3"]


def test_what_was_not_found_is_listed_with_the_reason(words):
    def missing(index, reason):
        return Target("violin", index, False, 0.2, 0.5, reason)

    assert words(missing(0, "absent")) == ["not in view: violin 0.20"]
    assert words(missing(0, "unknown_word")) == ["unknown word: violin"]
    unconfirmed = dataclasses.replace(BALL, found=False, reason="unconfirmed")
    assert words(unconfirmed) == ["unconfirmed: red ball 0.93"]
    assert words(missing(0, "absent"), missing(1, "absent")) == ["not in view: violin 0.20"] * 2


def test_a_query_is_listed_once_and_not_at_all_where_it_was_found(words):
    weak = dataclasses.replace(BALL, found=False, score=0.3, reason="absent", point=None, track=None)
    assert words(BALL, weak) == ["red ball 0.93 5.00 m #3"]
    assert words(weak, BALL) == ["red ball 0.93 5.00 m #3"]
    assert words(dataclasses.replace(weak, reason="unconfirmed"), weak) == ["unconfirmed: red ball 0.30"]

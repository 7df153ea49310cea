"""Masks packed and unpacked: runs, COCO's compressed counts, polygons and boxes, by hand-computed cases."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gem_ros.errors import BagError
from gem_ros.replay.masks import (
    Runs,
    bounds,
    box_mask,
    counts_of_text,
    decode_mask,
    decode_runs,
    encode_mask,
    polygons_mask,
)

MASK = np.array([[0, 1, 1], [0, 0, 1]], bool)  # columns: 00, 10, 11


def test_runs_go_down_the_columns_and_zeros_come_first():
    assert encode_mask(MASK) == {"size": [2, 3], "counts": [2, 1, 1, 2]}
    assert encode_mask(np.ones((2, 2), bool)) == {"size": [2, 2], "counts": [0, 4]}
    assert encode_mask(np.zeros((2, 2), bool)) == {"size": [2, 2], "counts": [4]}


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_masks_round_trip(mask):
    assert (decode_mask(json.loads(json.dumps(encode_mask(mask)))) == mask).all()


@given(st.lists(st.integers(-3, 9), max_size=6))
def test_runs_that_do_not_fill_the_image_are_refused(counts):
    if sum(counts) == 6 and min(counts) >= 0:
        assert decode_mask({"size": [2, 3], "counts": counts}).shape == (2, 3)
    else:
        with pytest.raises(BagError, match="mask: expected runs"):
            decode_mask({"size": [2, 3], "counts": counts})


def text_of_counts(counts):
    """COCO's compressed counts, straight from the definition in maskApi.c (rleToString)."""
    text = ""
    for index, count in enumerate(counts):
        value = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
    return text


def test_compressed_counts_by_hand():
    assert counts_of_text("") == [] and counts_of_text("0") == [0] and counts_of_text("5") == [5]
    assert counts_of_text("o0") == [31]  # 31 = 0b11111: its top bit is no sign, so another character follows
    assert counts_of_text("211") == [2, 1, 1] and counts_of_text("2112") == [2, 1, 1, 3]  # 2 more than the second
    assert counts_of_text("231O") == [2, 3, 1, 2]  # O = 31: minus one
    assert (decode_mask({"size": [2, 3], "counts": text_of_counts([2, 1, 1, 2])}) == MASK).all()


@given(st.lists(st.integers(0, 3_000_000), max_size=12))
def test_compressed_counts_round_trip(counts):
    assert counts_of_text(text_of_counts(counts)) == counts


@pytest.mark.parametrize("text", ["o", "2 1", "\u20ac", "oooooooooo0"])
def test_what_are_no_compressed_counts_is_refused(text):
    with pytest.raises(BagError, match="compressed counts"):
        decode_runs({"size": [2, 3], "counts": text})


def test_polygons_count_the_pixels_whose_centre_they_hold():
    assert (polygons_mask([[1, 0, 3, 0, 3, 2, 1, 2]], (3, 4)) == box_mask((1, 0, 3, 2), (3, 4))).all()
    assert polygons_mask([[1, 0, 3, 0, 3, 2, 1, 2]], (3, 4)).sum() == 4
    triangle = polygons_mask([[0, 0, 4, 4, 0, 4]], (4, 4))  # a centre on the slanted edge is its left end: outside
    assert (triangle == np.tril(np.ones((4, 4)), -1)).all() or (triangle == np.tril(np.ones((4, 4)))).all()
    two = polygons_mask([[0, 0, 1, 0, 1, 1, 0, 1], [3, 2, 4, 2, 4, 3, 3, 3]], (3, 4))
    assert two.sum() == 2 and two[0, 0] and two[2, 3]
    assert polygons_mask([[0, 0, 2, 0, 2, 1, 0, 1], [1, 0, 3, 0, 3, 1, 1, 1]], (1, 4)).tolist() == [[1, 1, 1, 0]]
    assert polygons_mask([[-5, -5, 50, -5, 50, 50, -5, 50]], (3, 4)).all() and not polygons_mask([], (3, 4)).any()


@given(st.lists(st.tuples(st.floats(-2, 14), st.floats(-2, 12)), min_size=3, max_size=7))
def test_polygons_are_those_of_the_even_odd_rule(corners):
    """Against a ray to the left of every centre, one pixel at a time."""
    mask = polygons_mask([[each for corner in corners for each in corner]], (10, 12))
    for row in range(10):
        for column in range(12):
            u, v, inside = column + 0.5, row + 0.5, False
            for (u0, v0), (u1, v1) in zip(corners, corners[1:] + corners[:1], strict=True):
                if (v0 > v) != (v1 > v):
                    at = u0 + (v - v0) * (u1 - u0) / (v1 - v0)
                    if abs(at - u) < 1e-9:
                        break
                    inside ^= at < u
            else:
                assert mask[row, column] == inside


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=9)).filter(np.any))
def test_bounds_are_the_smallest_box(mask):
    box = bounds(mask)
    assert (mask <= box_mask(box, mask.shape)).all()
    u0, v0, u1, v1 = box
    assert mask[v0].any() and mask[v1 - 1].any() and mask[:, u0].any() and mask[:, u1 - 1].any()


def test_packed_masks_are_small():
    assert Runs.of(np.zeros((480, 640), bool)).counts.nbytes == 8

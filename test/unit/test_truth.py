"""truth.json is read to the contract, and what does not fit is said with its place."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from gem_ros.errors import BagError
from gem_ros.replay.truth import decode_mask, encode_mask, load_truth

MASK = np.array([[0, 1, 1], [0, 0, 1]], bool)  # columns: 00, 10, 11
VALUES = {
    "objects": [{"id": 1, "query": "red ball"}, {"id": 2, "query": "red ball"}, {"id": 3, "query": "blue cube"}],
    "frames": [
        {
            "stamp": 7,
            "objects": [
                {
                    "id": each,
                    "visible_fraction": 0.5,
                    "bbox": [1, 0, 3, 2],
                    "mask": {"size": [2, 3], "counts": [2, 1, 1, 2]},
                    "position": [0.0, 0.1, 1.0],
                    "surface": [0, 0, 0.9],
                }
                for each in (1, 2)
            ],
        },
        {"stamp": 8, "objects": []},
    ],
    "absent_queries": ["green door"],
}


def write(path, values):
    (path / "truth.json").write_text(json.dumps(values))
    return path


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


def test_truth_is_read(tmp_path):
    truth = load_truth(write(tmp_path, VALUES))
    assert truth.queries == ("red ball", "blue cube") and truth.absent_queries == ("green door",)
    assert [each.id for each in truth.visible(7, "red ball")] == [1, 2]
    assert truth.visible(7, "blue cube") == () == truth.visible(8, "red ball")
    assert (truth.frames[7][0].mask == MASK).all() and truth.frames[7][0].surface.tolist() == [0, 0, 0.9]


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("absent_queries",), "door", "absent_queries"),
        (("objects", 0, "query"), "", "query"),
        (("frames", 1, "stamp"), 7, "stamp once"),
        (("frames", 0, "stamp"), 7.0, "stamp: expected an integer"),
        (("frames", 0, "objects", 0, "id"), 9, r"frames\[0\]: id"),
        (("frames", 0, "objects", 0, "bbox"), [1, 2, 3], "bbox: expected a list of 4"),
        (("frames", 0, "objects", 0, "visible_fraction"), 1.5, "visible_fraction"),
        (("frames", 0, "objects", 0, "position"), [0, 0, None], "position: expected finite"),
        (("frames", 0, "objects", 0, "mask"), [], "size"),
        (("frames", 0, "objects", 1), None, "id"),
    ],
)
def test_what_does_not_fit_is_said_with_its_place(tmp_path, place, value, said):
    values = copy.deepcopy(VALUES)
    *way, last = place
    inner = values
    for each in way:
        inner = inner[each]
    inner[last] = value
    with pytest.raises(BagError, match=said) as caught:
        load_truth(write(tmp_path, values))
    assert "truth.json" in str(caught.value) and "\n" not in str(caught.value)


def test_no_file_and_no_json(tmp_path):
    with pytest.raises(BagError, match=r"truth\.json"):
        load_truth(tmp_path)
    (tmp_path / "truth.json").write_text("{")
    with pytest.raises(BagError, match="JSON"):
        load_truth(tmp_path)

"""truth.json is read to the contract, and what does not fit is said with its place."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest

from gem_ros.errors import BagError
from gem_ros.replay.truth import Sighting, Truth, load_truth, write_truth

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


def test_truth_is_read(tmp_path):
    truth = load_truth(write(tmp_path, VALUES))
    assert truth.queries == ("red ball", "blue cube") and truth.absent_queries == ("green door",)
    assert [each.id for each in truth.visible(7, "red ball")] == [1, 2]
    assert truth.visible(7, "blue cube") == () == truth.visible(8, "red ball")
    assert (truth.frames[7][0].mask == MASK).all() and truth.frames[7][0].surface.tolist() == [0, 0, 0.9]


BROKEN = [
    (("absent_queries",), "door", "absent_queries"),
    (("objects", 0, "query"), "", "query"),
    (("frames", 1, "stamp"), 7, "stamp once"),
    (("frames", 0, "stamp"), 7.0, "stamp: expected an integer"),
    (("frames", 0, "objects", 0, "id"), 9, r"frames\[0\]: id"),
    (("frames", 0, "objects", 0, "bbox"), [1, 2, 3], "bbox: expected a list of 4"),
    (("frames", 0, "objects", 0, "visible_fraction"), 1.5, "visible_fraction"),
    (("frames", 0, "objects", 0, "position"), [0, 0, None], "position: expected finite"),
    (("frames", 0, "objects", 0, "mask"), [], "mask: expected size and counts"),
    (("frames", 0, "objects", 0, "mask"), {"counts": [6]}, r"size as a list of integers, got None"),
    (("frames", 0, "objects", 0, "mask"), {"size": [2, 3], "counts": [True, 5]}, "counts as a list of integers"),
    (("frames", 0, "objects", 0, "mask"), {"size": [2, 3], "counts": [5]}, "runs that fill 2 x 3 pixels, got 5"),
    (("frames", 0, "objects", 0, "bbox"), [3, 0, 1, 2], "u0 <= u1"),
    (("frames", 0, "objects", 0, "surface"), [0, 0], "surface: expected a list of 3"),
    (("objects", 1, "id"), 1, r"objects\[1\]: expected each id once"),
    (("objects", 1, "id"), [], "id: expected a number or a text"),
    (("absent_queries", 0), 3, "absent_queries: expected texts"),
    (("absent_queries", 0), "red ball", "queries of no object, got 'red ball'"),
    (("frames", 0, "objects", 1), None, "id"),
]
ONLY_THE_LOADER = (
    *("expected an integer", "stamp once", r"frames\[0\]: id", "runs that fill"),
    *("u0 <= u1", "each id once", "of no object"),
)


@pytest.mark.parametrize(("place", "value", "said"), BROKEN)
def test_what_does_not_fit_is_said_with_its_place(tmp_path, place, value, said):
    with pytest.raises(BagError, match=said) as caught:
        load_truth(write(tmp_path, edited(place, value)))
    assert "truth.json" in str(caught.value) and "\n" not in str(caught.value)


def test_no_file_and_no_json(tmp_path):
    with pytest.raises(BagError, match=r"truth\.json"):
        load_truth(tmp_path)
    (tmp_path / "truth.json").write_text("{")
    with pytest.raises(BagError, match="JSON"):
        load_truth(tmp_path)


def box_only():
    return Sighting("a", "red ball", 0.25, (0.5, 1.0, 2.5, 2.0))


def test_what_is_known_by_boxes_only_has_no_mask_and_no_place(tmp_path):
    values = copy.deepcopy(VALUES)
    for name in ("mask", "position"):
        del values["frames"][0]["objects"][0][name]
    values["frames"][0]["objects"][0]["surface"] = None
    seen = load_truth(write(tmp_path, values)).frames[7][0]
    assert (seen.mask, seen.position, seen.surface) == (None, None, None)
    assert (seen.region((2, 3)) == [[0, 1, 1], [0, 1, 1]]).all()
    assert (box_only().region((3, 4)) == [[0] * 4, [1, 1, 0, 0], [0] * 4]).all()  # centres at 0.5 and 1.5
    assert box_only().region((1, 1)).tolist() == [[False]]


def test_a_mask_of_another_size_is_not_stretched(tmp_path):
    seen = load_truth(write(tmp_path, VALUES)).frames[7][0]
    assert (seen.region((2, 3)) == MASK).all()
    with pytest.raises(BagError, match="size 4x6, got 2x3"):
        seen.region((4, 6))


def test_what_is_written_is_read_again(tmp_path):
    truth = load_truth(write(tmp_path, VALUES))
    more = Truth((*truth.queries, "door"), {**truth.frames, 9: (box_only(),)}, truth.absent_queries)
    write_truth(tmp_path / "again.json", more)
    again = load_truth(tmp_path / "again.json")
    assert sorted(again.queries) == sorted(more.queries) and again.absent_queries == more.absent_queries
    assert list(again.frames) == [7, 8, 9] and again.frames[9][0].bbox == (0.5, 1.0, 2.5, 2.0)
    assert (again.frames[7][1].mask == MASK).all() and again.frames[7][1].position.tolist() == [0.0, 0.1, 1.0]
    with pytest.raises(BagError, match="written"):
        write_truth(tmp_path / "none" / "truth.json", truth)


SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "truth.schema.json").read_text())


def edited(place, value):
    """VALUES with one thing in it replaced."""
    values = copy.deepcopy(VALUES)
    *way, last = place
    inner = values
    for each in way:
        inner = inner[each]
    inner[last] = value
    return values


def test_schema_and_loader_agree(tmp_path):
    """On what a schema can say; that runs fill the image, ids occur once and the like only the loader knows."""
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    valid = jsonschema.Draft202012Validator(SCHEMA).is_valid
    assert valid(VALUES) and valid(json.loads((Path(__file__).parents[2] / "data/tabletop/truth.json").read_text()))
    for place, value, said in BROKEN:
        if not any(word in said for word in ONLY_THE_LOADER):
            assert not valid(edited(place, value)), place
    for key in ("objects", "frames", "absent_queries"):
        assert not valid({name: value for name, value in VALUES.items() if name != key})
    sighting = VALUES["frames"][0]["objects"][0]
    for key in sighting:
        values = edited(("frames", 0, "objects", 0), {name: value for name, value in sighting.items() if name != key})
        try:
            load_truth(write(tmp_path, values))
            readable = True
        except BagError:
            readable = False
        assert valid(values) == readable == (key in ("mask", "position", "surface"))

"""Annotations of others become a recording's truth: the same things at the same stamps, and errors of one line."""

import json
import re
import shutil

import cv2
import numpy as np
import pytest
import recorded
from PIL import Image

from gem_ros.cli import main
from gem_ros.errors import BagError
from gem_ros.replay.importers import coco, masks
from gem_ros.replay.importing import by_name, in_order
from gem_ros.replay.truth import load_truth

COUNT = 3
NUMBERS = {query: number for number, query in enumerate(recorded.THINGS, 1)}
STAMPS = [recorded.START + index * recorded.STEP for index in range(COUNT)]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = recorded.make(tmp_path_factory.mktemp("recorded") / "bag", count=COUNT)
    shutil.move(path / "truth.json", path.parent / "truth.json")
    return path


def polygon(mask):
    """The corners of a mask without holes, as COCO has them: pixels from integer to integer, one row at a time."""
    rows = np.flatnonzero(mask.any(axis=1))
    left, right = mask[rows].argmax(axis=1), mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    down = [each for row, u in zip(rows, right, strict=True) for each in (u, row, u, row + 1)]
    up = [each for row, u in zip(rows[::-1], left[::-1], strict=True) for each in (u, row + 1, u, row)]
    return [[float(each) for each in (*down, *up)]]


def box(mask):
    rows, columns = np.nonzero(mask)
    return [int(each) for each in (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)]


def instances(shape, names=None, **more):
    """A COCO file's values; ``shape`` makes the segmentation of a mask."""
    images, annotations = [], []
    for index in range(COUNT):
        name = names[index] if names else f"left/{STAMPS[index]}.png"
        images.append({"id": index, "file_name": name, "width": recorded.WIDTH, "height": recorded.HEIGHT})
        for query, mask in recorded.scene(index)[2].items():
            where = {"bbox": box(mask), "segmentation": shape(mask)}
            annotations.append({"image_id": index, "category_id": NUMBERS[query], **where, **more})
    categories = [{"id": number, "name": query} for query, number in NUMBERS.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def write(path, values):
    path.write_text(json.dumps(values))
    return path


def imported(recording, tmp_path, *arguments):
    output = tmp_path / "imported.json"
    assert main(["import-truth", *map(str, arguments), "--bag", str(recording), "--output", str(output)]) == 0
    return load_truth(output)


def check(truth, *, ids=None):
    """Masks, boxes and surfaces are those of the drawn scene."""
    assert list(truth.frames) == STAMPS and set(truth.queries) == set(NUMBERS)
    for index, seen in enumerate(truth.frames.values()):
        _, depth, drawn = recorded.scene(index)
        assert {each.query for each in seen} == set(drawn)
        for each in seen:
            mask = drawn[each.query]
            assert (each.mask == mask).all() and each.visible_fraction == pytest.approx(mask.mean())
            u, v, width, height = box(mask)
            assert each.bbox == (u, v, u + width, v + height) and each.position is None
            z = depth[mask][0] / 1000  # all of a thing is equally far away
            x = (np.median(np.nonzero(mask)[1]) - (recorded.WIDTH - 1) / 2) / recorded.FOCAL * z
            assert each.surface[[0, 2]] == pytest.approx([x, z], abs=1e-3)
            assert ids is None or each.id == ids[each.query]


@pytest.mark.parametrize("shape", [polygon, recorded.encode_mask])
def test_coco_by_polygons_and_by_run_lengths(recording, tmp_path, shape, capsys):
    truth = imported(
        recording, tmp_path, "coco", write(tmp_path / "coco.json", instances(shape)), "--absent", "a; b:0.3"
    )
    check(truth, ids={query: query for query in NUMBERS})
    assert truth.absent_queries == ("a", "b")
    said = capsys.readouterr()
    assert "3 images, 6 things in them, 6 with mask, 6 with depth" in said.out
    assert "image /camera/color/image_raw/compressed, depth" in said.err


def test_coco_by_boxes_knows_no_mask_and_no_distance(recording, tmp_path):
    values = instances(lambda mask: [], attributes={"track_id": 4})
    truth = imported(recording, tmp_path, "coco", write(tmp_path / "coco.json", values))
    for index, seen in enumerate(truth.frames.values()):
        for each in seen:
            u, v, width, height = box(recorded.scene(index)[2][each.query])
            assert each.bbox == (u, v, u + width, v + height) and (each.mask, each.surface) == (None, None)
            assert each.visible_fraction == pytest.approx(width * height / (recorded.WIDTH * recorded.HEIGHT))
            assert each.id == f"{each.query} 4"


def test_masks_of_numbers_and_masks_by_query(recording, tmp_path):
    numbered = tmp_path / "numbered"
    numbered.mkdir()
    write(numbered / "objects.json", {str(number): query for query, number in NUMBERS.items()})
    for index, stamp in enumerate(STAMPS):
        pixels = np.zeros((recorded.HEIGHT, recorded.WIDTH), np.uint8)
        for query, mask in recorded.scene(index)[2].items():
            pixels[mask] = NUMBERS[query]
            folder = tmp_path / "named" / query
            folder.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(folder / f"{stamp / 1e9:.9f}"[:-9]) + f"{stamp % 10**9:09}.png", 255 * mask)
        picture = Image.fromarray(pixels)
        if index == 1:  # numbers are a palette's indices, not its colours
            picture = picture.convert("P")
        picture.save(numbered / f"{stamp // 10**9}_{stamp % 10**9:09}.png")
    check(imported(recording, tmp_path, "masks", numbered), ids=NUMBERS)
    (tmp_path / "imported.json").unlink()
    check(imported(recording, tmp_path, "masks", tmp_path / "named"), ids={query: query for query in NUMBERS})


def test_in_order_where_names_say_nothing(recording, tmp_path):
    values = instances(polygon, names=["frame9.jpg", "frame10.jpg", "frame11.jpg"])
    file = write(tmp_path / "coco.json", values)
    check(imported(recording, tmp_path, "coco", file, "--by-order"))
    assert [each.name for each in coco(file)] == ["frame9.jpg", "frame10.jpg", "frame11.jpg"]
    with pytest.raises(BagError, match="as many images as the recording has, 2, got 3"):
        in_order(coco(file), STAMPS[:2])


@pytest.mark.parametrize(
    "name",
    [
        *("1700000000100000000.png", "a/cam_1700000000100000000.jpg", "1700000000.1.png", "1700000000.100000.png"),
        *("1700000000_100000000.png", "1700000000.100000001.png", "frame-0001_1700000000100000000.png"),
    ],
)
def test_names_that_are_stamps(tmp_path, name):
    images = coco(write(tmp_path / "coco.json", instances(polygon, names=[name, "other.png", "1.png"])))
    said = []
    (found,) = by_name(images, STAMPS, said.append).items()
    assert found[0] == STAMPS[1] and found[1].name == name
    assert len(said) == 1 and "images left out: 2" in said[0]


def test_a_small_nanosecond_part_without_zeros(tmp_path):
    images = coco(write(tmp_path / "coco.json", instances(polygon, names=["12.5000000.png", "x.png", "y.png"])))
    assert list(by_name(images, [12_005_000_000], print)) == [12_005_000_000]
    assert list(by_name(images, [12_500_000_000], print)) == [12_500_000_000]


def broken(values, place, value):
    *way, last = place
    inner = values
    for each in way:
        inner = inner[each]
    inner[last] = value
    return values


BROKEN = [
    (("images",), {}, "images: expected a list"),
    (("images", 0, "width"), "wide", "width: expected an integer"),
    (("images", 0, "width"), 10**9, "expected 1 to 100000000 pixels"),
    (("images", 0, "width"), 80, "expected the size of the recording's images, 160x120 px, got 80x120"),
    (("images", 0, "file_name"), None, "file_name: expected a text"),
    (("images", 1, "file_name"), f"{STAMPS[0]}.jpg", "one image for each stamp"),
    (("annotations", 0, "image_id"), 77, r"annotations\[0\]: expected a known image and category, got 77"),
    (("annotations", 0, "category_id"), [], "category_id: expected an integer"),
    (("annotations", 0, "segmentation"), [[1, 2, 3, 4, 5]], r"annotations\[0\]: segmentation: .* three u, v"),
    (("annotations", 0, "segmentation"), [[1, 2, 3, 4, 5, None]], "segmentation: expected finite numbers"),
    (("annotations", 0, "segmentation"), {"size": [1, 1], "counts": [1]}, r"the image's size \[120, 160\]"),
    (("annotations", 0, "segmentation"), {"size": [120, 160], "counts": "zz"}, "compressed counts"),
    (("annotations", 0, "segmentation"), 7, "mask: expected size and counts"),
    (("categories", 0, "name"), "", "name: expected a text"),
]


@pytest.mark.parametrize("edit", BROKEN, ids=lambda edit: edit[2])
def test_what_is_no_coco_is_said_with_its_place(recording, tmp_path, capsys, edit):
    place, value, said = edit
    file = write(tmp_path / "coco.json", broken(instances(polygon), place, value))
    output = tmp_path / "out.json"
    assert main(["import-truth", "coco", str(file), "--bag", str(recording), "--output", str(output)]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(said, line) and line.startswith("gem-ros import-truth: ") and not output.exists()


def test_what_are_no_masks_is_said(recording, tmp_path):
    for nothing in (tmp_path, tmp_path / "none"):
        with pytest.raises(BagError, match="found neither"):
            masks(nothing)
    write(tmp_path / "objects.json", {"0": "sky"})
    (tmp_path / f"{STAMPS[0]}.png").write_bytes(b"none")
    with pytest.raises(BagError, match=r'expected \{"1"'):
        masks(tmp_path)
    write(tmp_path / "objects.json", {"1": "sky"})
    with pytest.raises(BagError, match="expected a PNG"):
        masks(tmp_path)
    Image.new("L", (4, 3), 7).save(tmp_path / f"{STAMPS[0]}.png")
    (found,) = masks(tmp_path)
    assert found.size == (3, 4)
    with pytest.raises(BagError, match=r"numbers of objects.json \(1\), got 7"):
        found.read()
    Image.new("RGB", (4, 3)).save(tmp_path / f"{STAMPS[0]}.png")
    with pytest.raises(BagError, match="got mode RGB"):
        masks(tmp_path)[0].read()


def test_nothing_is_overwritten_and_nothing_matches_is_said(recording, tmp_path, capsys):
    file = write(tmp_path / "coco.json", instances(polygon, names=["a.png", "b.png", "c.png"]))
    arguments = ["import-truth", "coco", str(file), "--bag", str(recording), "--output"]
    assert main([*arguments, str(file)]) == 2 and "exists" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path / "out.json")]) == 2
    assert f"like {STAMPS[0]}.png, got a.png; or ask for --by-order" in capsys.readouterr().err

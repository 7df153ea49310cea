"""The open data sets in their own layouts, made small: what is read, and what is said of a folder that is not one."""

import csv
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from gem_ros.datasets import classes
from gem_ros.datasets.layouts import LAYOUTS, SOURCES, open_dataset
from gem_ros.datasets.samples import IGNORED, Points
from gem_ros.errors import BagError

SIZE = (6, 8)  # (H, W)


def picture(path, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((*size, 3), 90, np.uint8))


def labels(path, numbers, *, palette=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    made = Image.fromarray(np.asarray(numbers, np.uint8))
    if palette:
        made.putpalette([each % 256 for each in range(768)])
    made.save(path)


def field(*numbers, size=SIZE):
    """Labels (H, W), the first ones as given, row by row, the rest 0."""
    made = np.zeros(size[0] * size[1], np.uint8)
    made[: len(numbers)] = numbers
    return made.reshape(size)


def names(path, *listed):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(listed) + "\n")


def first(dataset, count):
    return dataset.samples[0].truth(SIZE).reshape(-1)[:count].tolist()


def make_voc(root):
    names(root / "ImageSets/Segmentation/val.txt", "2007_000033")
    picture(root / "JPEGImages/2007_000033.jpg")
    labels(root / "SegmentationClass/2007_000033.png", field(0, 1, 20, 255), palette=True)


def make_context(root):
    names(root / "ImageSets/SegmentationContext/val.txt", "2008_000002")
    picture(root / "JPEGImages/2008_000002.jpg")
    labels(root / "SegmentationClassContext/2008_000002.png", field(0, 1, 59, 255))


def make_ade(root):
    picture(root / "images/validation/ADE_val_00000001.jpg")
    labels(root / "annotations/validation/ADE_val_00000001.png", field(0, 1, 150))


def make_cityscapes(root):
    picture(root / "leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png")
    labels(root / "gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png", field(0, 7, 33, 9, 26))


def make_stuff(root):
    picture(root / "val2017/000000000139.jpg")
    labels(root / "stuffthingmaps/val2017/000000000139.png", field(0, 89, 91, 181, 255, 11))


def make_object(root, category="bicycle"):
    picture(root / "val2017/000000000139.jpg")
    square = [0, 0, 4, 0, 4, 4, 0, 4]
    small = [1, 1, 3, 1, 3, 3, 1, 3]
    values = {
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": category}],
        "images": [{"id": 139, "file_name": "000000000139.jpg", "height": SIZE[0], "width": SIZE[1]}],
        "annotations": [
            {"id": 2, "image_id": 139, "category_id": 2, "bbox": [1, 1, 2, 2], "segmentation": [small]},
            {"id": 1, "image_id": 139, "category_id": 1, "bbox": [0, 0, 4, 4], "segmentation": [square]},
        ],
    }
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / "annotations/instances_val2017.json").write_text(json.dumps(values))


def make_points(root, rows=None):
    picture(root / "validation/0001eeaf4aed83f9.jpg")
    rows = rows or [
        ("0001eeaf4aed83f9", "0.0", "0.5", "/m/cat", "yes"),
        ("0001eeaf4aed83f9", "1.0", "1.0", "/m/cat", "no"),
        ("0001eeaf4aed83f9", "0.5", "0.5", "/m/cat", "unsure"),
        ("0001eeaf4aed83f9", "0.5", "0.5", "/m/dog", "yes"),  # nowhere denied: does not count
        ("not_here", "0.5", "0.5", "/m/cat", "yes"),
    ]
    with (root / "oidv7-val-annotations-point-labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["ImageId", "X", "Y", "Label", "EstimatedYesNo", "Source"])
        writer.writerows([*each, "ih"] for each in rows)
    (root / "oidv7-class-descriptions.csv").write_text("LabelName,DisplayName\n/m/cat,Cat\n/m/dog,Dog\n")


def test_class_lists_have_the_data_sets_lengths():
    lengths = {"VOC": 20, "CONTEXT": 59, "ADE20K": 150, "CITYSCAPES": 19, "COCO_THINGS": 80, "COCO_STUFF": 91}
    assert {name: len(getattr(classes, name)) for name in lengths} == lengths
    assert len(classes.COCO_IDS) == 171 and len(classes.CITYSCAPES_IDS) == 19


def test_everything_that_is_offered_has_a_loader_and_a_source():
    from gem_ros.commands.benchmark import DATASETS

    assert set(DATASETS) == set(LAYOUTS) == set(SOURCES)


@pytest.mark.parametrize(
    ("name", "make", "expected", "background"),
    [
        ("voc", make_voc, [0, 1, 20, IGNORED], True),
        ("voc20", make_voc, [IGNORED, 0, 19, IGNORED], False),
        ("context60", make_context, [0, 1, 59, IGNORED], True),
        ("context", make_context, [IGNORED, 0, 58, IGNORED], False),
        ("ade20k", make_ade, [IGNORED, 0, 149], False),
        ("cityscapes", make_cityscapes, [IGNORED, 0, 18, IGNORED, 13], False),
        # 0: person; 89: id 90, toothbrush; 91: id 92, banner; 181: id 182, wood; 11: id 12, of no class
        ("coco-stuff", make_stuff, [0, 79, 80, 170, IGNORED, IGNORED], False),
    ],
)
def test_labels_are_those_of_the_protocol(tmp_path, name, make, expected, background):
    make(tmp_path)
    found = open_dataset(name, tmp_path)
    assert first(found, len(expected)) == expected
    assert found.background == background and len(found.samples) == 1
    assert found.samples[0].rgb().shape == (*SIZE, 3)
    assert len(found.labels) == len(found.classes) + background


def test_coco_things_that_overlap_show_the_smaller_one(tmp_path):
    make_object(tmp_path)
    found = open_dataset("coco-object", tmp_path)
    truth = found.samples[0].truth(SIZE)
    assert truth[0, :5].tolist() == [1, 1, 1, 1, 0]  # person
    assert truth[1, :5].tolist() == [1, 2, 2, 1, 0]  # bicycle in front


def test_points_are_pixels_of_classes_that_are_also_denied(tmp_path):
    make_points(tmp_path)
    found = open_dataset("openimages-points", tmp_path)
    points = found.samples[0].truth(SIZE)
    assert found.classes == ("cat",) and isinstance(points, Points)
    assert (points.u.tolist(), points.v.tolist()) == ([0, 7], [3, 5])
    assert points.positive.tolist() == [True, False]


def test_the_sample_recording_has_its_masks():
    from gem_ros.resources import resource

    found = open_dataset("tabletop", resource("data/tabletop"))
    rgb = found.samples[0].rgb()
    truth = found.samples[0].truth(rgb.shape[:2])
    assert "red ball" in found.classes and truth.shape == rgb.shape[:2]
    assert {0} < set(np.unique(truth).tolist()) <= set(range(len(found.labels)))


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_empty_folder_is_a_line_with_where_to_get_it(tmp_path, name):
    with pytest.raises(BagError, match="get it from") as caught:
        open_dataset(name, tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(BagError, match="expected a folder, found none; get it from"):
        open_dataset(name, tmp_path / "nowhere")


def test_an_image_without_labels_is_named(tmp_path):
    make_voc(tmp_path)
    (tmp_path / "SegmentationClass/2007_000033.png").unlink()
    with pytest.raises(BagError, match=r"2007_000033.png: expected a file, found none \(1 are missing\)"):
        open_dataset("voc", tmp_path)


def test_labels_of_another_size_or_kind_are_refused(tmp_path):
    make_ade(tmp_path)
    path = tmp_path / "annotations/validation/ADE_val_00000001.png"
    labels(path, field(1, size=(3, 3)))
    sample = open_dataset("ade20k", tmp_path).samples[0]
    with pytest.raises(BagError, match="expected labels of the image's size 6x8, got 3x3"):
        sample.truth(SIZE)
    Image.new("RGB", (8, 6)).save(path)
    with pytest.raises(BagError, match="expected a gray or palette PNG of 8 bits, got mode RGB"):
        sample.truth(SIZE)
    path.write_bytes(b"no picture")
    with pytest.raises(BagError, match="expected a PNG of labels"):
        sample.truth(SIZE)


def test_a_coco_file_of_other_categories_is_refused(tmp_path):
    make_object(tmp_path, category="unicorn")
    with pytest.raises(BagError, match="expected the 80 categories of COCO, got 'unicorn'"):
        open_dataset("coco-object", tmp_path)


@pytest.mark.parametrize("value", ["nan", "-0.1", "1.5", "left", ""])
def test_points_outside_of_the_image_are_refused(tmp_path, value):
    make_points(tmp_path, [("0001eeaf4aed83f9", value, "0.5", "/m/cat", "yes")])
    with pytest.raises(BagError, match=r"expected X of 0001eeaf4aed83f9 in \[0, 1\], got"):
        open_dataset("openimages-points", tmp_path)


def test_class_names_come_with_a_header_or_without(tmp_path):
    make_points(tmp_path)
    (tmp_path / "oidv7-class-descriptions.csv").write_text('/m/cat,"Cat, big"\n')
    assert open_dataset("openimages-points", tmp_path).classes == ("cat, big",)


def test_tables_without_their_columns_are_refused(tmp_path):
    make_points(tmp_path)
    (tmp_path / "oidv7-class-descriptions.csv").write_text("LabelName,DisplayName\n/m/cat\n")
    with pytest.raises(BagError, match="expected 2 columns in line 2, got fewer"):
        open_dataset("openimages-points", tmp_path)
    (tmp_path / "oidv7-val-annotations-point-labels.csv").write_text("ImageId,X,Y\n")
    (tmp_path / "oidv7-class-descriptions.csv").write_text("LabelName,DisplayName\n/m/cat,Cat\n")
    with pytest.raises(BagError, match="expected a column Label, got ImageId, X, Y"):
        open_dataset("openimages-points", tmp_path)

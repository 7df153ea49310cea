"""``gem-ros calibrate`` with the bundled model: on a recording, on a folder of pictures, and on what is none."""

import json
import shutil

import cv2
import numpy as np
import pytest
from recorded import HEIGHT, WIDTH, make, scene

from gem_ros import cli
from gem_ros.models import EVIDENCES, calibrated, default_config, feature_settings, load_card
from gem_ros.replay.labelled import MIN_VISIBLE, evenly, open_labelled, read_picture

IMAGES = 20


def gem_ros(*arguments) -> int:
    return cli.main([str(each) for each in arguments])


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    return make(tmp_path_factory.mktemp("recording") / "bag", count=IMAGES)


def write_folder(path, names=("a.png", "b.jpg", "deep/c.png")):
    """Three pictures of the drawn scene, the last without the ball, and a truth written by hand."""
    (path / "deep").mkdir(parents=True)
    for name, index in zip(names, (0, 1, 7), strict=True):
        cv2.imwrite(str(path / name), cv2.resize(scene(index)[0][..., ::-1], (320, 240)))
    frames = [
        {"image": names[0], "present": ["red ball", "blue  cube"]},
        {"image": names[1], "present": ["blue cube", "red ball"]},
        {"image": names[2], "present": ["blue cube"]},
    ]
    truth = {"frames": frames, "absent_queries": ["green chair", "violin"]}
    (path / "truth.json").write_text(json.dumps(truth))
    return path


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "pictures")


def test_a_recording_gives_a_card_a_plot_and_tables(recording, tmp_path, capsys):
    output = tmp_path / "new" / "calibration"
    arguments = ("--query", "yellow cone", "--query", "red chair", "--image-size", 192, "--output", output)
    assert gem_ros("calibrate", recording, *arguments) == 0
    printed = capsys.readouterr().out
    values = json.loads((output / "card.json").read_text())
    card = calibrated(
        load_card("bundled"), output / "card.json", "bundled", settings=feature_settings(default_config("bundled"))
    )
    assert card.presence.evidence in EVIDENCES and card.presence.a > 0
    assert card.relevancy == load_card("bundled").relevancy
    assert (values["images"], values["numbers"]["held_out"], values["image_size"]) == (IMAGES, True, 192)
    assert values["numbers"]["present_questions"] + values["numbers"]["absent_questions"] <= 5 * IMAGES / 2
    tables = ("precision", "false found", "mean score", "cosine_mean", "fitted on every other block of images")
    for said in (*tables, f"card:={output / 'card.json'}"):
        assert said in printed
    plot = cv2.imread(str(output / "calibration.png"))
    assert plot.shape[1] > plot.shape[0] > 500 and plot.std() > 10


def test_a_folder_of_pictures_does_too(folder, tmp_path, capsys):
    assert gem_ros("calibrate", folder, "--output", tmp_path / "out", "--query", "purple ring") == 0
    printed = capsys.readouterr().out
    values = json.loads((tmp_path / "out" / "card.json").read_text())
    assert "left out, as the model does not know every word: violin" in printed
    assert "measured on the images that it was fitted on, so too good" in printed
    assert (values["images"], values["numbers"]["held_out"]) == (3, False)
    # ball, cube, chair and ring of three pictures, five times in view
    assert (values["numbers"]["present_questions"], values["numbers"]["absent_questions"]) == (5, 7)


def test_what_is_asked_of_a_recording(recording):
    labelled = open_labelled(recording, None, ["yellow cone", "green chair"], 200)
    assert labelled.queries == ("red ball", "blue cube", "green chair", "yellow cone") and labelled.count == IMAGES
    images = list(labelled.read())
    assert len(images) == IMAGES and images[0].rgb.shape == (HEIGHT, WIDTH, 3)
    assert images[0].present == {"red ball", "blue cube"} and images[0].unclear == frozenset()
    shown = [scene(index)[2]["red ball"].any() for index in range(IMAGES)]
    assert ["red ball" in image.present for image in images] == shown and True in shown and False in shown


def test_of_too_little_to_see_nothing_is_asked(recording, tmp_path):
    truth = json.loads((recording / "truth.json").read_text())
    ball, cube = (
        next(each for each in truth["objects"] if each["query"] == query) for query in ("red ball", "blue cube")
    )
    shares = (MIN_VISIBLE, MIN_VISIBLE * 0.99, 0.0)
    for frame, share in zip(truth["frames"], shares, strict=False):
        next(each for each in frame["objects"] if each["id"] == ball["id"])["visible_fraction"] = share
    other = dict(truth["frames"][1]["objects"][0])  # a second one of its kind: together they are enough
    truth["frames"][3]["objects"] = [other, {**other, "visible_fraction": 0.1 * MIN_VISIBLE}]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    images = list(open_labelled(recording, tmp_path / "truth.json", [], 200).read())[:4]
    assert ["red ball" in image.present for image in images] == [True, False, False, True]
    assert ["red ball" in image.unclear for image in images] == [False, True, False, False]
    assert [cube["query"] in image.present for image in images] == [True, True, True, False]


def test_at_most_so_many_images_evenly_spaced(recording, folder):
    assert evenly(3, 200) == [0, 1, 2] and evenly(5, 5) == [0, 1, 2, 3, 4]
    assert evenly(9, 3) == [0, 4, 8] and evenly(100, 2) == [0, 99] and len(set(evenly(201, 200))) == 200
    names = [image.name for image in open_labelled(recording, None, [], 3).read()]
    assert names == [str(1_700_000_000_000_000_000 + index * 100_000_000) for index in (0, 10, 19)]
    some = open_labelled(folder, None, [], 2)
    assert [image.name for image in some.read()] == ["a.png", "deep/c.png"]
    assert set(some.queries) == {"red ball", "blue cube", "green chair", "violin"}  # asked, though not seen


def test_a_recordings_truth_may_lie_elsewhere_and_know_only_some_images(recording, tmp_path, capsys):
    truth = json.loads((recording / "truth.json").read_text())
    truth["frames"] = truth["frames"][5:9]
    (tmp_path / "other.json").write_text(json.dumps(truth))
    file = next(recording.glob("*.mcap"))
    assert open_labelled(recording, tmp_path / "other.json", [], 200).count == 4
    assert open_labelled(file, None, [], 200).count == IMAGES  # the file itself, with the truth beside it
    truth["frames"] = [{"stamp": 7, "objects": []}]
    (tmp_path / "other.json").write_text(json.dumps(truth))
    assert "with stamps of" in refusal(capsys, recording, "--truth", tmp_path / "other.json", "--output", tmp_path)


def refusal(capsys, *arguments):
    assert gem_ros("calibrate", *arguments) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.strip() and "looking at images" not in line]
    assert len(lines) == 1 and lines[0].startswith("gem-ros calibrate: ") and captured.out == ""
    return lines[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ("[]", "frames: expected a list"),
        ("{}", "frames: expected a list"),
        ('{"frames": []}', "expected images in 'frames', got none"),
        ('{"frames": [7]}', "frames[0].image: expected the name of a picture"),
        ('{"frames": [{"present": []}]}', "frames[0].image: expected the name of a picture"),
        ('{"frames": [{"image": "a\\u0000.png", "present": []}]}', "frames[0].image"),
        ('{"frames": [{"image": "a.png"}]}', "frames[0].present: expected a list"),
        ('{"frames": [{"image": "a.png", "present": "red ball"}]}', "frames[0].present: expected a list"),
        ('{"frames": [{"image": "a.png", "present": [7]}]}', "frames[0].present: expected texts"),
        ('{"frames": [{"image": "a.png", "present": [" "]}]}', "expected a few words"),
        ('{"frames": [{"image": "missing.png", "present": []}]}', "'missing.png', which is not there"),
        (
            '{"frames": [{"image": "a.png", "present": []}, {"image": "a.png", "present": []}]}',
            "expected every image once, got a.png",
        ),
        ('{"frames": [{"image": "a.png", "present": []}], "absent_queries": 7}', "absent_queries: expected a list"),
        ('{"frames": [{"image": "a.png", "present": []}], "absent_queries": [7]}', "absent_queries: expected texts"),
    ],
)
def test_a_bad_truth_is_one_line(folder, tmp_path, capsys, text, expected):
    (folder / "truth.json").write_text(text)
    line = refusal(capsys, folder, "--output", tmp_path / "out")
    assert expected in line and str(folder / "truth.json") in line
    assert not (tmp_path / "out").exists()


def test_a_bad_source_is_one_line(folder, recording, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no recording")
    (tmp_path / "file").touch()
    cases = {
        ("missing",): "expected a recording or a folder of images",
        ("text.txt",): "expected a recording or a folder of images",
        ("empty",): "expected the truth about the images, found none",
        (folder, "--truth", "missing.json"): "missing.json: expected the truth",
        (recording, "--truth", folder / "truth.json"): "objects: expected",
        (folder, "--truth", recording / "truth.json"): "frames[0].image: expected",
        (folder, "--max-images", "0"): "--max-images: expected at least 1",
        (folder, "--image-size", "-1"): "image_size: expected",
        (folder, "--query", "\0"): "expected printable text",
        (folder, "--model", "ViT-Z-99"): "ViT-Z-99",
        (folder, "--device", "cuda:99"): "device",
        (folder, "--output", tmp_path / "file" / "out"): "--output",
    }
    for arguments, expected in cases.items():
        assert expected in refusal(capsys, *arguments), arguments


@pytest.mark.parametrize(
    ("present", "absent", "expected"),
    [
        (["red ball"], [], "got 2 and 0; add absent ones"),
        ([], ["red ball"], "got 0 and 2; add present ones"),
        (["red ball"], ["violin"], "got 2 and 0; add absent ones"),
        ([], [], "expected queries"),
    ],
)
def test_present_and_absent_things_are_both_needed(folder, capsys, present, absent, expected):
    frames = [{"image": name, "present": present} for name in ("a.png", "b.jpg")]
    (folder / "truth.json").write_text(json.dumps({"frames": frames, "absent_queries": absent}))
    assert expected in refusal(capsys, folder, "--output", folder)


def test_a_picture_that_is_none_is_one_line(folder, capsys):
    (folder / "b.jpg").write_bytes(b"no picture")
    assert f"{folder / 'b.jpg'}: expected a picture" in refusal(capsys, folder, "--output", folder)


def test_pictures_are_read_as_rgb(tmp_path):
    cv2.imwrite(str(tmp_path / "red.png"), np.full((2, 3, 3), (0, 0, 200), np.uint8))
    assert read_picture(tmp_path / "red.png")[0, 0].tolist() == [200, 0, 0]
    shutil.copy(tmp_path / "red.png", tmp_path / "no extension")
    assert read_picture(tmp_path / "no extension").shape == (2, 3, 3)

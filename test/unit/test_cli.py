"""The command line: answers, one line for every wrong input, and exit codes."""

import json
import os
import resource
import subprocess
import sys

import cv2
import numpy as np
import pytest

from gem_ros import cli, pipeline
from gem_ros.commands import _machine, bench, calibrate, evaluate, models

DEPTH = 1.5


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.full((48, 64, 3), (30, 20, 200), np.uint8))
    return path


def gem_ros(*arguments) -> int:
    return cli.main([str(each) for each in arguments])


def test_ground_prints_a_table_and_draws(bundled, picture, capsys):
    output = picture.with_name("answer.png")
    assert gem_ros("ground", picture, "red ball", "door:0.99", "--output", output) == 0
    printed = capsys.readouterr().out
    assert "red ball" in printed and "door" in printed
    assert cv2.imread(str(output)).shape == (48, 64, 3)


def test_the_method_is_an_option(bundled, picture, monkeypatch, capsys):
    used, make = [], pipeline.DenseEncoder
    monkeypatch.setattr(pipeline, "DenseEncoder", lambda *args, **rest: used.append(args[1]) or make(*args, **rest))
    assert gem_ros("ground", picture, "red ball", "--method", "naclip") == 0
    assert used == ["naclip"]
    parse = cli.build_parser().parse_args
    assert evaluate.read_settings(parse(["evaluate", "bag", "--method", "sclip"])).config.method == "sclip"
    assert bench.prepare(parse(["bench", "--method", "sc_clip"])).values["method"] == "sc_clip"
    assert calibrate._config(parse(["calibrate", "bag", "--output", "out", "--method", "naclip"])).method == "naclip"
    for command in (["ground", "a", "b"], ["evaluate", "a"], ["bench"], ["calibrate", "a", "--output", "b"]):
        with pytest.raises(SystemExit, match="2"):
            gem_ros(*command, "--method", "best")
    assert "choose from" in capsys.readouterr().err


def test_words_may_stand_behind_options(capsys):
    args = cli._parse(["ground", "picture.png", "red ball", "--method", "gem", "a door", "--json", "a cup"])
    assert args.queries == ["red ball", "a door", "a cup"] and args.json
    assert cli._parse(["ground", "picture.png", "--method", "gem", "a door"]).queries == ["a door"]
    for wrong in (["ground", "picture.png", "red ball", "--no-such", "a door"], ["models", "a", "--no-such"]):
        with pytest.raises(SystemExit, match="2"):
            cli._parse(wrong)
        assert "unrecognized arguments: --no-such" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        cli._parse(["models", "a", "b"])  # words where none are left to take them
    assert "unrecognized arguments: b" in capsys.readouterr().err


def test_ground_prints_json_with_3d(bundled, picture, capsys):
    depth = picture.with_name("depth.png")
    cv2.imwrite(str(depth), np.full((48, 64), DEPTH * 1000, np.uint16))
    arguments = ("--threshold", 0, "--depth", depth, "--intrinsics", 60, 60, 31.5, 23.5, "--json")
    assert gem_ros("ground", picture, "red ball", *arguments) == 0
    targets = json.loads(capsys.readouterr().out)
    assert targets[0]["query"] == "red ball" and targets[0]["found"] and targets[0]["reason"] == "ok"
    u, v = targets[0]["pixel"]
    assert targets[0]["point"] == pytest.approx([(u - 31.5) / 40, (v - 23.5) / 40, DEPTH], abs=0.05)


def test_ground_reads_metres_from_numpy(bundled, picture, capsys):
    depth = picture.with_name("depth.npy")
    np.save(depth, np.where(np.arange(64) < 63, DEPTH, np.inf) * np.ones((48, 1)))
    arguments = ("--threshold", 0, "--depth", depth, "--intrinsics", 60, 60, 31.5, 23.5, "--json")
    assert gem_ros("ground", picture, "red ball", *arguments) == 0
    assert json.loads(capsys.readouterr().out)[0]["point"][2] == pytest.approx(DEPTH)


def test_ground_says_why_depth_cannot_be_used(bundled, picture, capsys):
    depth = picture.with_name("depth.png")
    cv2.imwrite(str(depth), np.full((40, 64), DEPTH * 1000, np.uint16))
    arguments = ("--threshold", 0, "--depth", depth, "--intrinsics", 60, 60, 31.5, 23.5, "--json")
    assert gem_ros("ground", picture, "red ball", *arguments) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)[0]["reason"] == "misaligned"
    assert captured.err.startswith("gem-ros ground: depth: expected the image's size 64x48 or its aspect, got 64x40")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.png", "red ball"], "missing.png"),
        (["text.png", "red ball"], "expected a picture"),
        (["empty.png", "red ball"], "expected a picture"),
        ([".", "red ball"], "expected a picture"),
        (["picture.png", ""], "expected a few words"),
        (["picture.png", "red ball", " ; "], "expected a few words"),
        (["picture.png", "red ball:1.5"], "expected a threshold"),
        (["picture.png", "red ball", "--threshold", "nan"], "presence_threshold"),
        (["picture.png", "red ball", "--model", "ViT-Z-99"], "ViT-Z-99"),
        (["picture.png", "red ball", "--device", "cuda:99"], "device"),
        (["picture.png", "red ball", "--depth", "picture.png"], "16-bit"),
        (["picture.png", "red ball", "--depth", "missing.npy"], "missing.npy"),
        (["picture.png", "red ball", "--intrinsics", "0", "60", "31.5", "23.5"], "positive focal lengths, got fx=0"),
        (["picture.png", "red ball", "--intrinsics", "60", "60", "nan", "23.5"], "finite numbers, got cx=nan"),
        (["picture.png", "red ball", "--output", "nowhere/answer.png"], "--output"),
        (["picture.png", "red ball", "--output", "answer.odd"], "--output"),
    ],
)
def test_ground_says_one_line(bundled, picture, monkeypatch, capsys, arguments, said):  # noqa: PLR0917
    monkeypatch.chdir(picture.parent)
    picture.with_name("text.png").write_text("no picture")
    picture.with_name("empty.png").touch()
    assert gem_ros("ground", *arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and len(captured.err.splitlines()) == 1
    assert captured.err.startswith("gem-ros ground: ") and said in captured.err


def test_models_lists_what_can_be_used(capsys):
    assert gem_ros("models", "ViT-B-16-quick") == 0
    printed = capsys.readouterr().out
    assert "ViT-B-16-quickgelu" in printed and "openai" in printed and "RN50" not in printed
    assert gem_ros("models", "no such thing") == 2


def test_play_without_recording_says_one_line(capsys, tmp_path):
    pytest.importorskip("rclpy")
    assert gem_ros("play", tmp_path / "missing") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_doctor_tells_a_problem_and_its_fix(capsys, monkeypatch):
    assert gem_ros("doctor", "--graph", "off") in (0, 1)
    assert "Python" in capsys.readouterr().out
    monkeypatch.setattr(_machine, "CHECKS", (_machine._python,))
    assert gem_ros("doctor", "--graph", "off") == 0
    monkeypatch.setattr(_machine.sys, "version_info", (3, 9, 0))
    assert gem_ros("doctor", "--graph", "off") == 1
    assert "virtual environment" in capsys.readouterr().out


def test_doctor_finds_a_missing_profile(monkeypatch):
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", "missing.xml")
    assert [each.state for each in _machine._shared_memory()] == ["problem"]


def test_doctor_finds_a_small_segment(monkeypatch, tmp_path):
    profile = tmp_path / "profile.xml"
    profile.write_text("<segment_size>524288</segment_size>")
    monkeypatch.setenv("FASTDDS_DEFAULT_PROFILES_FILE", str(profile))
    assert next(_machine._shared_memory()).state == "note"
    monkeypatch.delenv("FASTDDS_DEFAULT_PROFILES_FILE")
    assert next(_machine._shared_memory()).state == "ok"


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (ModuleNotFoundError("no", name="rclpy.node"), 2, "expected rclpy"),
        (ModuleNotFoundError("no", name="mujoco"), 2, "gem_ros[sim]"),
    ],
)
def test_other_ends(monkeypatch, capsys, error, status, said):
    def run(args):
        raise error

    monkeypatch.setattr(models, "run", run)
    assert gem_ros("models") == status
    assert said in capsys.readouterr().err


def test_a_bug_is_not_hidden(monkeypatch):
    def run(args):
        raise ModuleNotFoundError("no", name="numpy")

    monkeypatch.setattr(models, "run", run)
    with pytest.raises(ModuleNotFoundError):
        gem_ros("models")


def test_a_reader_that_leaves_is_no_error():
    code = (
        "import sys; from gem_ros import cli; from gem_ros.commands import models\n"
        "models.run = lambda args: print('x' * 1000000) or 0\n"
        "sys.exit(cli.main(['models']))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_is_instant():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-m", "gem_ros", "--help"], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert all(command in done.stdout for command in cli.COMMANDS)
    assert after.ru_utime - before.ru_utime < 1.0  # s of CPU; 0.15 when this was written


def test_doctor_notes_an_opencv_that_cannot_refine(monkeypatch):
    from gem_ros.errors import GemError

    def lacking():
        raise GemError("refinement: expected OpenCV with ximgproc")

    monkeypatch.setattr("gem_ros.geometry.refine.check", lacking)
    found = list(_machine._opencv())
    assert [each.state for each in found] == ["note"] and "ximgproc" in found[0].found and found[0].fix


@pytest.mark.parametrize("package", ["tf2_ros", "vision_msgs"])
def test_doctor_says_what_is_missing_without_a_ros_package(monkeypatch, package):
    pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

    monkeypatch.setitem(sys.modules, package, None)  # import fails
    note = next(each for each in _machine._ros() if each.name == package)
    assert note.state == "note" and "without it" in note.found

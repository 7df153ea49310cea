"""The demo from end to end over DDS, with a stub for the node: numbers, pictures, failures, and no process left."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import pytest
import recorded

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from gem_ros import cli
from gem_ros.commands import demo as command

pytestmark = pytest.mark.dds

HERE = Path(__file__).parent
DEMO = """
import sys
from gem_ros import cli
from gem_ros.commands import _session
mode, *rest = sys.argv[1:]
_session.PATIENCE = 40.0
_session.node_command = lambda session: [sys.executable, {stub!r}, mode]
sys.exit(cli.main(["demo", *rest]))
""".format(stub=str(HERE / "stub_node.py"))


def demo(mode, *options, **kwargs):
    path = os.pathsep.join([str(HERE.parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "ROS_DOMAIN_ID": str(20 + os.getpid() % 80), "PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, "-c", DEMO, mode, *map(str, options)],
        **{"env": env, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **kwargs},
    )


def left_over(bag):
    """Processes of this demo that still run: the stub by its path, the player by its bag."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = each.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(HERE / "stub_node.py") in line.split(" -c ")[0] or f"play {bag}" in line:
            found.append(line)
    return found


@pytest.fixture
def recording(tmp_path):
    return recorded.make(tmp_path / "bag")


def test_a_node_that_is_right_gets_full_marks(tmp_path, recording):
    output = tmp_path / "out"
    process = demo("right", "--bag", recording, "--output", output)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert "red ball" in said and "answers per second" in said
    numbers = json.loads((output / "summary.json").read_text())
    ball, everything, absent = numbers["passes"]
    assert [each["query"] for each in everything] == ["red ball", "blue cube"]
    assert ball[0]["found"] == ball[0]["pointing"] == 1.0 and ball[0]["error"]["median"] < 0.01
    assert ball[0]["in_view"] >= 2 and ball[0]["out_of_view"] >= 1 and ball[0]["mistaken"] == 0
    assert everything[1]["in_view"] >= 2 and absent[0]["found"] is None and absent[0]["mistaken"] == 0
    images, answers = numbers["timing"]["images"], numbers["timing"]["answers"]
    assert 24 >= images >= answers >= 9  # a busy machine may be late to the first images
    assert 0 < numbers["timing"]["latency"]["median"] < 5000  # ms
    with (output / "targets.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["query"] for row in rows} == {"red ball", "blue cube", "green chair"}
    assert all(row["hit"] == "1" and float(row["error_m"]) < 0.01 for row in rows if row["found"] == "1")
    for name in ("contact_sheet.png", "plot.png"):
        assert cv2.imread(str(output / name)).std() > 10
    video = cv2.VideoCapture(str(next(output.glob("overlay.*"))))
    assert video.isOpened() and video.get(cv2.CAP_PROP_FRAME_COUNT) >= 9
    page = (output / "report.html").read_text(encoding="utf-8")
    assert str(output / "report.html") in said.replace("\n", "") and "100 % of what is in view is found" in page
    assert "one thing" in page and page.count("data:image/jpeg;base64,") >= 3 and "How late" in page
    assert left_over(recording) == []


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("dies", "the model is not there"),
        pytest.param("dies-later", "out of memory", marks=pytest.mark.slow),
        pytest.param("silent", "expected answers", marks=pytest.mark.slow),
    ],
)
def test_a_node_that_fails_is_one_clear_line_with_its_last_words(tmp_path, recording, mode, expected):
    process = demo(mode, "--bag", recording, "--output", tmp_path / "out")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 2
    assert "gem-ros demo: grounding_node: " in said and expected in said and "Traceback" not in said
    assert left_over(recording) == []


def test_an_interrupt_leaves_nothing_behind(tmp_path, recording):
    process = demo("right", "--bag", recording, "--output", tmp_path / "out")
    log = tmp_path / "out" / "player.log"
    deadline = time.monotonic() + 60
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert left_over(recording) == []


@pytest.fixture
def nothing_starts(monkeypatch):
    monkeypatch.setattr(command, "perform", lambda *_: pytest.fail("started"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--bag", "/nothing"], "/nothing"),
        (["--query", "blue door"], "blue door"),
        (["--rate", "0"], "--rate"),
        (["--output", "/proc/nothing"], "/proc/nothing"),
    ],
)
@pytest.mark.usefixtures("nothing_starts")
def test_bad_input_is_one_line_and_starts_nothing(recording, tmp_path, options, expected, capsys):
    given = [*(() if "--bag" in options else ("--bag", recording)), "--output", tmp_path / "out", *options]
    assert cli.main(["demo", *map(str, given)]) == 2
    said = capsys.readouterr().err
    assert expected in said and said.count("\n") == 1

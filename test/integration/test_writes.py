"""Commands write where they are told to, and into caches; nowhere else of a user's home, and nothing stays in /tmp."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import recorded

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
CACHES = {".cache", ".config"}  # matplotlib's list of fonts and its settings, the hub's and OpenCV's caches
COMMANDS = {
    "models": ["models"],
    "ground": ["ground", "{picture}", "red ball", "--output", "{output}/answer.png"],
    "evaluate": ["evaluate", "{bag}", "--report", "{output}", "--every", "4", "--annotate"],
    "bench": ["bench", "--parts", "queries", "--seconds", "0.1", "--output", "{output}/bench.json", "--plot"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_writes_into_its_output_and_nowhere_else(name, tmp_path):
    places = {each: tmp_path / each for each in ("home", "here", "temporary", "input", "output")}
    for place in places.values():
        place.mkdir()
    picture, bag = places["input"] / "picture.png", recorded.make(places["input"] / "bag")
    cv2.imwrite(str(picture), np.full((120, 160, 3), 128, np.uint8))
    before = everything(places["input"])
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "MPL", "HF_", "ROS_"))}
    env = kept | {
        **{"HOME": str(places["home"]), "TMPDIR": str(places["temporary"])},
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    arguments = [each.format(picture=picture, bag=bag, output=places["output"]) for each in COMMANDS[name]]
    done = subprocess.run(
        [sys.executable, "-m", "gem_ros", *arguments],
        cwd=places["here"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert everything(places["here"]) == everything(places["temporary"]) == {}
    assert {each.split("/")[0] for each in everything(places["home"])} <= CACHES
    assert everything(places["input"]) == before
    assert everything(places["output"]) or name == "models"


def everything(folder):
    """Size of each file below a folder, by its path there."""
    return {str(each.relative_to(folder)): each.stat().st_size for each in folder.rglob("*") if each.is_file()}

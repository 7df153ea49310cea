"""What belongs to the package says the same thing everywhere."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import gem_ros
from gem_ros.config import Parameter, parameters

ROOT = Path(__file__).parents[2]
# import name -> distribution, where they differ
DISTRIBUTIONS = {
    "PIL": "pillow",
    "backports": "backports.zstd",
    "cv2": "opencv-contrib-python-headless",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "open_clip": "open_clip_torch",
    "yaml": "pyyaml",
}
BUILT_IN_ROS = {"tf2_msgs"}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def manifest(tag: str) -> set[str]:
    return {each.text or "" for each in ElementTree.fromstring(text("package.xml")).iter(tag)}


def requirements() -> set[str]:
    """Names of all distributions that setup.py asks for, lower case."""
    calls = [node for node in ast.walk(ast.parse(text("setup.py"))) if isinstance(node, ast.keyword)]
    wanted = [node for node in calls if node.arg in ("install_requires", "extras_require")]
    strings = [item.value for each in wanted for item in ast.walk(each.value) if isinstance(item, ast.Constant)]
    return {re.split(r"[<>=\[]", value)[0].lower() for value in strings}


def imported(folder: str) -> set[str]:
    """First names of everything that the Python files under ``folder`` import absolutely."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add(node.module or "")
    return {name.partition(".")[0] for name in found}


def test_one_version():
    newest = re.search(r"^## (\S+)", text("CHANGELOG.md"), re.MULTILINE)
    assert manifest("version") == {gem_ros.__version__}
    assert newest and newest.group(1) == gem_ros.__version__


def test_every_import_is_asked_for():
    known = manifest("exec_depend") | requirements()
    needed = imported("gem_ros") | imported("launch")
    needed -= {"gem_ros", "__future__", "bondpy", *sys.stdlib_module_names, *BUILT_IN_ROS}  # bondpy: where it is
    assert {name for name in needed if DISTRIBUTIONS.get(name, name).lower() not in known} == set()


def test_wheels_are_exact_and_never_part_of_a_plain_install():
    tree = ast.parse(text("setup.py"))
    plain = next(node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "install_requires")
    strings = [item.value for item in ast.walk(plain.value) if isinstance(item, ast.Constant)]
    assert strings and not [value for value in strings if value.startswith("ros-")]
    pinned = dict(re.findall(r'"(ros-[a-z-]+)==([\d.]+)"', text("setup.py")))
    constrained = dict(re.findall(r"^(ros-[a-z-]+)==([\d.]+)$", text("constraints.txt"), re.MULTILINE))
    assert pinned and pinned.items() <= constrained.items()


def test_constraints_are_plain_pins():
    lines = [line for line in text("constraints.txt").splitlines() if not line.startswith("#")]
    pin = re.compile(r'[a-z0-9-]+==[\w.]+(; python_version (>=|<) "3\.11")?')
    assert [line for line in lines if not pin.fullmatch(line)] == []


def row(each: Parameter) -> str:
    """A parameter as a line of docs/parameters.md."""
    default = list(each.default) if each.type is tuple else each.default
    shown = f"`'{default}'`" if isinstance(default, str) and not default else f"`{default}`".lower()
    shown = f"`{default}`" if isinstance(default, str) and default else shown
    limits = f"{each.low:g} to {each.high:g} {each.unit}".strip() if each.low is not None else ""
    limits = ", ".join(f"`{choice}`" for choice in each.choices) or limits
    return f"| `{each.name}`{' ↻' if each.dynamic else ''} | {shown} | {limits} | {each.help} |"


def test_the_table_of_parameters_is_what_the_code_says():
    wanted = [row(each) for each in parameters()]
    found = [line for line in text("docs/parameters.md").splitlines() if line.startswith("| `")]
    assert found == wanted, "docs/parameters.md: its rows should be\n" + "\n".join(wanted)


def test_the_readme_tells_true_defaults():
    readme = text("README.md")
    table = readme.split("\n| parameter ", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    known = {each.name: json.dumps(each.default).strip('"') for each in parameters()}
    told = {}
    for line in table:
        names, defaults = (re.split(r", ", cell.replace("`", "").strip()) for cell in line.split("|")[1:3])
        told |= dict(zip(names, defaults, strict=True))
    assert told and told.items() <= known.items()
    assert "(docs/parameters.md)" in readme


def test_nothing_of_one_machine_is_in_the_files():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    words = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "py" + "pi.org", "python" + "hosted", "local" + "domain"]
    forbidden = re.compile("|".join(map(re.escape, words)))
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        data = path.read_bytes() if path.is_file() else b""
        if b"\0" not in data[:8192]:
            found += [f"{name}: {hit}" for hit in forbidden.findall(data.decode(errors="replace"))]
    assert found == []

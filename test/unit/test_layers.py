"""The layers of the house, held against the code: who may import what (the table in DESIGN)."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "gem_ros"
MODULES = sorted(PACKAGE.rglob("*.py"))
BASE = {"errors", "config", "data", "queries", "models", "process", "resources", "__init__"}
ROS = {
    *("rclpy", "rcl_interfaces", "rosgraph_msgs", "lifecycle_msgs", "builtin_interfaces", "ament_index_python"),
    *("std_msgs", "std_srvs", "sensor_msgs", "geometry_msgs", "visualization_msgs", "nav_msgs", "diagnostic_msgs"),
    *("vision_msgs", "tf2_ros", "tf2_msgs", "cv_bridge", "launch", "launch_ros", "bondpy"),
}
TORCH = {"torch", "open_clip", "timm", "safetensors", "huggingface_hub", "transformers"}
PICTURES = {"cv2", "PIL", "matplotlib"}
EVERYTHING = ROS | TORCH | PICTURES | {"numpy", "scipy", "rosbags", "mujoco", "rich"}
INSIDE = {
    "errors": BASE,
    "config": BASE,
    "data": BASE,
    "queries": BASE,
    "models": BASE,
    "process": BASE,
    "resources": BASE,
    "__init__": BASE | {"pipeline"},
    "core": BASE | {"core"},
    "geometry": BASE | {"geometry"},
    "pipeline": BASE | {"core", "geometry"},
    "messages": BASE | {"messages"},
    "replay": BASE | {"replay", "pipeline", "messages", "core", "geometry"},
    "ros": BASE | {"ros", "pipeline", "messages", "core", "geometry"},
    "sim": BASE | {"sim", "geometry", "core", "replay"},
    "datasets": BASE | {"datasets", "core", "pipeline", "messages", "replay"},
    "benchmarks": BASE | {"benchmarks", "commands", "core", "geometry", "pipeline", "messages", "replay", "ros"},
    "commands": BASE
    | {"benchmarks", "commands", "datasets", "core", "geometry", "pipeline", "messages", "replay", "ros", "sim"},
    "cli": BASE | {"commands"},
    "__main__": {"cli"},
}
OUTSIDE = {
    **{
        name: set()
        for name in ("errors", "config", "queries", "models", "process", "resources", "__init__", "cli", "__main__")
    },
    "data": {"numpy", "torch"},
    "core": {"numpy", *TORCH},
    "geometry": {"numpy", "scipy", "cv2"},
    "pipeline": {"numpy", "torch"},
    "messages": {"numpy", "cv2"},
    "replay": {"numpy", "scipy", "rosbags", "rich", *PICTURES},
    "ros": EVERYTHING - {"rosbags", "mujoco", "rich", "matplotlib"},
    "sim": EVERYTHING - ROS,
    "datasets": {"numpy", "torch", "rich", *PICTURES},
    "benchmarks": EVERYTHING - {"mujoco"},
    "commands": EVERYTHING,
}
# Narrower than its layer, or wider: said by file.
EXCEPTIONS = {
    "core/download.py": {"filelock"},
    "replay/player.py": ROS,
    "messages/decode.py": {"cv_bridge"},
    "replay/pictures.py": {"imageio_ffmpeg"},
    "replay/report/html.py": {"jinja2"},
    "replay/recovery.py": {"lz4", "backports"},  # what rosbags unpacks with
    "replay/rows.py": {"pyarrow"},
    "replay/engine.py": {"ray"},
    "commands/_config.py": {"yaml"},
    "datasets/variants.py": {"yaml"},
}
SIM_OF_REPLAY = {
    f"gem_ros.replay.{name}" for name in ("bag", "truth", "masks", "metrics", "calibration", "observations")
}
# A trained model's numbers are those of the whole way.
MEASURE_THE_WHOLE = {"sim/held_out.py", "sim/export.py", "sim/covariances.py", "sim/refinement.py", "sim/examples.py"}


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Full names of the modules that ``path`` imports anywhere, function bodies too, types only aside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: expected absolute imports"
            yield node.module or ""
            if node.module == "gem_ros":
                yield from (
                    f"gem_ros.{each.name}"
                    for each in node.names
                    if (PACKAGE / each.name).exists() or (PACKAGE / f"{each.name}.py").exists()
                )


def part(module: str) -> str:
    """``gem_ros.core.text`` -> ``core``; the package itself -> ``__init__``."""
    return [*module.split("."), "__init__"][1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_layer_imports_only_what_it_may(path):
    own, name = layer(path), path.relative_to(PACKAGE).as_posix()
    found = set(imports(path))
    inside = {module for module in found if module.split(".")[0] == "gem_ros"}
    outside = {module.split(".")[0] for module in found - inside} - set(sys.stdlib_module_names)
    assert {part(module) for module in inside} <= INSIDE[own] | ({"pipeline"} if name in MEASURE_THE_WHOLE else set())
    assert outside <= OUTSIDE[own] | EXCEPTIONS.get(name, set())
    if own == "sim":
        assert {module for module in inside if part(module) == "replay"} <= SIM_OF_REPLAY


def run_python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


BLOCK = """
import importlib, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Block())
"""


def test_only_ros_and_the_player_need_ros():
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if layer(path) not in ("ros", "__main__") and path != PACKAGE / "replay" / "player.py"
    ]
    lines = BLOCK.format(blocked=sorted(ROS)) + f"for name in {names!r}: importlib.import_module(name)"
    run_python(lines)


@pytest.mark.parametrize("module", ["gem_ros", "gem_ros.cli", "gem_ros.config", "gem_ros.models", "gem_ros.messages"])
def test_starts_without_torch(module):
    heavy = sorted(TORCH | PICTURES | {"mujoco", "rosbags", "rclpy"})
    check = "import gem_ros.cli as cli; cli.build_parser()" if module == "gem_ros.cli" else ""
    run_python(BLOCK.format(blocked=heavy) + f"import {module}\n{check}")


def test_what_the_node_said_is_reported_without_torch():
    run_python(BLOCK.format(blocked=sorted(TORCH)) + "import gem_ros.replay.session_report")


def test_the_node_is_in_the_graph_before_torch_and_scipy_are_imported():
    pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")
    run_python(BLOCK.format(blocked=sorted({*TORCH, "scipy"})) + "import gem_ros.ros.main, gem_ros.ros.node")

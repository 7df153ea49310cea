"""What this machine has, what it lacks, and how to mend that."""

from __future__ import annotations

import ctypes
import importlib
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from gem_ros.ros.graph_doctor import Finding

ROOMY = 16 << 20  # bytes; a few camera images fit into such a shared memory segment
# Packages of a full ROS 2 that the wheels lack, and what they are for.
OPTIONAL_ROS = {
    "tf2_ros": "without it target_frame needs pose_source: topic",
    "vision_msgs": "without it there is no ~/detections and no ~/detections_3d",
    "cv_bridge": "only needed for image encodings that gem_ros does not read itself",
}


def _python() -> Iterator[Finding]:
    suits = (3, 10) <= sys.version_info[:2] < (3, 14)
    fix = "" if suits else "make a virtual environment with Python 3.10 to 3.13"
    yield Finding("Python", "ok" if suits else "problem", platform.python_version(), fix)


def _torch() -> Iterator[Finding]:
    try:
        import torch
    except (ImportError, OSError) as error:
        yield Finding("PyTorch", "problem", _first_line(error), "pip install torch torchvision")
        return
    if torch.cuda.is_available():
        yield Finding("PyTorch", "ok", f"{torch.__version__}, {torch.cuda.get_device_name()}")
    elif Path("/dev/nvidia0").exists():
        fix = "the driver and this build of PyTorch do not fit: update the driver, or install the build made for it"
        yield Finding("PyTorch", "problem", f"{torch.__version__}, cannot use the GPU of this machine", fix)
    else:
        fix = "the bundled model is made for this; real CLIP wants a GPU"
        yield Finding("PyTorch", "note", f"{torch.__version__}, CPU only", fix)


def _opencv() -> Iterator[Finding]:
    wheels = sorted(
        {each.name for each in metadata.distributions() if re.match(r"opencv[-_](contrib[-_])?python", each.name or "")}
    )
    try:
        import cv2
    except ImportError as error:
        yield Finding("OpenCV", "problem", _first_line(error), "pip install 'opencv-contrib-python-headless<5'")
        return
    from gem_ros.errors import GemError
    from gem_ros.geometry.refine import check as check_refinement

    if len(wheels) > 1:
        fix = f"they overwrite each other: pip uninstall {' '.join(wheels)}, then install one of them again"
        yield Finding("OpenCV", "problem", f"{cv2.__version__} from {' and '.join(wheels)}", fix)
        return
    try:
        check_refinement()
    except GemError as error:
        fix = "regions stay as coarse as the model's patches: pip install 'opencv-contrib-python-headless<5'"
        yield Finding("OpenCV", "note", f"{cv2.__version__}; {error}", fix)
    else:
        yield Finding("OpenCV", "ok", cv2.__version__)


def _bundled_model() -> Iterator[Finding]:
    from gem_ros.errors import ModelError
    from gem_ros.models import BUNDLED, load_card

    try:
        weights = load_card(BUNDLED).weights
    except ModelError as error:
        yield Finding("bundled model", "problem", str(error))
        return
    if weights.is_file():
        yield Finding("bundled model", "ok", f"{weights.stat().st_size / 1e6:.1f} MB")
    else:
        yield Finding("bundled model", "problem", f"no weights at {weights}", "reinstall gem_ros")


def _ros() -> Iterator[Finding]:
    distribution = os.environ.get("ROS_DISTRO", "")
    try:
        rclpy = importlib.import_module("rclpy")
    except ImportError as error:
        fix = "for the node: source /opt/ros/<distro>/setup.bash, or pip install 'gem_ros[ros]'"
        if distribution:
            fix = f"ROS 2 {distribution} is sourced, but this Python is not the one it was built for: {sys.executable}"
        yield Finding("rclpy", "problem" if distribution else "note", _first_line(error), fix)
        return
    yield Finding("rclpy", "ok", f"{distribution or 'wheels'}, {Path(str(rclpy.__file__)).parent}")
    for name, use in OPTIONAL_ROS.items():
        try:
            importlib.import_module(name)
        except (ImportError, AttributeError) as error:  # AttributeError: built against another numpy
            yield Finding(name, "note", f"{_first_line(error)}; {use}")
        else:
            yield Finding(name, "ok", "there")


def _shared_memory() -> Iterator[Finding]:
    from gem_ros.resources import PROFILE_VARIABLES, dds_environment

    settings = {**os.environ, **dds_environment()}
    profile = next((settings[name] for name in PROFILE_VARIABLES.values() if settings.get(name)), "")
    try:
        sizes = re.findall(r"<segment_size>\s*(\d+)", Path(profile).read_text(encoding="utf-8")) if profile else []
    except OSError as error:
        fix = "point the variable to a file that is there, or unset it to use gem_ros's own"
        yield Finding("Fast DDS profile", "problem", f"{profile}: {error.strerror}", fix)
        return
    largest = max(map(int, sizes), default=0)
    found = f"{profile or 'none'}, {largest / 2**20:.0f} MiB segment"
    fix = "" if largest >= ROOMY else "images may be lost on the way: take the segment_size of config/fastdds.xml over"
    yield Finding("Fast DDS profile", "note" if fix else "ok", found, fix)
    if Path("/dev/shm").is_dir():
        free = shutil.disk_usage("/dev/shm").free
        fix = "" if free >= 4 * ROOMY else "give it more: docker run --shm-size=512m, or --ipc=host"
        yield Finding("/dev/shm", "problem" if fix else "ok", f"{free / 2**20:.0f} MiB free", fix)


def _simulator() -> Iterator[Finding]:
    try:
        version = metadata.version("mujoco")
    except metadata.PackageNotFoundError:
        yield Finding("MuJoCo", "note", "not installed; only to simulate and train", "pip install 'gem_ros[sim]'")
        return
    there = [name for name in ("libEGL.so.1", "libOSMesa.so.8") if _loads(name)]
    fix = "" if there else "apt install libegl1 libgl1-mesa-dri"
    found = f"{version}, {' and '.join(there) or 'neither EGL nor OSMesa'}"
    yield Finding("MuJoCo", "note" if fix else "ok", found, fix)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    _python,
    _torch,
    _opencv,
    _bundled_model,
    _ros,
    _shared_memory,
    _simulator,
)

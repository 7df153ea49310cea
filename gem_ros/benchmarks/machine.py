"""What a measurement was taken on: hardware, versions, revision."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from gem_ros import __version__

UNITS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")  # vector units that change results
DISTRIBUTIONS = ("torch", "open_clip_torch", "numpy", "opencv-contrib-python-headless", "ros-rclpy")
BUSY = 0.5  # load average per core from which others were at work


def hardware() -> dict[str, str]:
    """CPU, vector units, cores, memory and GPU of this machine; no names of it."""
    facts = _facts(Path("/proc/cpuinfo"))
    flags = set((facts.get("flags") or facts.get("Features") or "").split())
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": facts.get("model name") or platform.machine(),
        "vector units": ", ".join(each for each in UNITS if each in flags) or "none known",
        "cores": str(cores),
        "memory": f"{memory:.0f} GiB",
        "gpu": _gpu(),
    }


def versions() -> dict[str, str]:
    """Of this package, Python, and the libraries that do the work."""
    found = {"gem_ros": __version__, "python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    if os.environ.get("ROS_DISTRO"):
        found["ros"] = os.environ["ROS_DISTRO"]
    return found


def revision() -> str:
    """The commit of the source checkout this runs from, ``+`` with changes of its own; empty elsewhere."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return ""
    commit, changes = (_git(folder, *each) for each in (("rev-parse", "--short", "HEAD"), ("diff", "HEAD", "--stat")))
    return commit + ("+" if commit and changes else "")


def load_note(average: float, cores: int) -> tuple[str, ...]:
    """A line where others used the machine, too; ``average`` is the load of the last minute before the start."""
    if average < BUSY * cores:
        return ()
    return (f"the machine was busy: load {average:.1f} on {cores} cores before the start; trust ratios, not times",)


def _facts(path: Path) -> Mapping[str, str]:
    """``name : value`` lines; of several processors the last one's."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return dict(re.findall(r"^([^\t:]+?)[ \t]*:[ \t]*(.*)$", text, re.MULTILINE))


def _gpu() -> str:
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else "none"


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

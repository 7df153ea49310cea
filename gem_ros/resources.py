"""Where the launch files, configurations and recordings lie that come with gem_ros, and what to set for them."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from gem_ros.errors import ConfigError

PACKAGE = "gem_ros"
# Fast DDS 3 warns of the name that Fast DDS 2 reads
PROFILE_VARIABLES = {2: "FASTRTPS_DEFAULT_PROFILES_FILE", 3: "FASTDDS_DEFAULT_PROFILES_FILE"}
FAST_DDS_2 = ("humble", "iron", "jazzy")  # ROS 2 distributions; where none is sourced, the wheels are Kilted's


def resource(name: str) -> Path:
    """``config/fastdds.xml`` -> its path in a source checkout, a pip install or a colcon install.

    Raises :class:`ConfigError` where it is in none of them.
    """
    folders = list(dict.fromkeys(_folders()))
    for folder in folders:
        if (folder / name).exists():
            return folder / name
    looked = ", ".join(map(str, folders))
    raise ConfigError(f"{name}: expected it in one of {looked}; reinstall gem_ros")


def _folders() -> Iterator[Path]:
    source = Path(__file__).resolve().parent.parent
    if (source / "package.xml").is_file() or (source / "pyproject.toml").is_file():
        yield source
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):  # colcon
        if prefix:
            yield Path(prefix) / "share" / PACKAGE
    # site-packages is <prefix>/lib/pythonX.Y/site-packages: wherever pip put the package, share/ is beside lib/
    for parent in source.parents:
        yield parent / "share" / PACKAGE
    for prefix in (sysconfig.get_path("data"), sys.prefix):
        yield Path(prefix) / "share" / PACKAGE


def dds_environment() -> dict[str, str]:
    """What to add to the environment before ROS starts, so that camera images pass through shared memory.

    Nothing where the user has chosen a profile, or where the profile is missing.
    """
    if any(os.environ.get(name) for name in PROFILE_VARIABLES.values()):
        return {}
    try:
        profile = resource("config/fastdds.xml")
    except ConfigError:
        return {}
    version = 2 if os.environ.get("ROS_DISTRO") in FAST_DDS_2 else 3
    return {PROFILE_VARIABLES[version]: str(profile)}

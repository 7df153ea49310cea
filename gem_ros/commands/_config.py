"""The parameters that a command line and a node's parameter file give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gem_ros.config import Config, replace
from gem_ros.errors import ConfigError
from gem_ros.models import BUNDLED, default_config

NODES = ("/**", "grounding", "/grounding")  # sections of a parameter file that are for our node
OTHERS = ("use_sim_time",)  # parameters of every node


def read_config(params_file: Path | None, given: Mapping[str, Any]) -> Config:
    """The model's defaults, with the file's values, with those ``given`` on the command line that are not None."""
    values = {} if params_file is None else read_params(params_file)
    values |= {name: value for name, value in given.items() if value is not None}
    return replace(default_config(str(values.get("model", BUNDLED))), values)


def read_params(path: Path) -> dict[str, Any]:
    """Dotted name -> value of a ROS 2 parameter file for the grounding node; :class:`ConfigError`."""
    import yaml

    try:
        sections = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: expected a parameter file, got: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected YAML, got: {' '.join(str(error).split())}") from error
    found: dict[str, Any] = {}
    for name in NODES:
        section = sections.get(name) if isinstance(sections, dict) else None
        values = section.get("ros__parameters") if isinstance(section, dict) else None
        if isinstance(values, dict):
            found |= dict(_dotted(values))
    if not found:
        raise ConfigError(f"{path}: expected ros__parameters of {' or '.join(NODES)}, got none")
    return {name: value for name, value in found.items() if name not in OTHERS}


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value

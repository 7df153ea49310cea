"""Which methods and parameters are measured on a data set: every combination of what was given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import yaml

from gem_ros.config import Config, replace
from gem_ros.errors import ConfigError

MOST = 100
OWN = ("model", "pretrained", "device", "method", "image_size", "templates")  # options of their own


@dataclass(frozen=True)
class Variant:
    """``name`` says what differs, in words that make a file's name; ``config`` is all of it."""

    name: str
    config: Config

    @property
    def file(self) -> str:
        """A name for its results."""
        return self.name.replace(" ", "_").replace("/", "-") + ".jsonl"


def variants(config: Config, methods: Sequence[str], given: Sequence[str]) -> list[Variant]:
    """``methods`` × every ``NAME=VALUE,VALUE`` of ``given``; :class:`ConfigError` for what the parameters refuse."""
    names: list[str] = []
    choices: list[list[Any]] = []
    for each in given:
        name, equals, listed = each.partition("=")
        if not equals or not listed or name in OWN:
            instead = f"; use --{name.replace('_', '-')}" if name in OWN else ", like gem.iterations=0,1,2"
            raise ConfigError(f"--set: expected NAME=VALUE[,VALUE…] of a parameter, got {each!r}{instead}")
        names.append(name)
        choices.append([_value(value) for value in listed.split(",")])
    found = []
    for method, *values in product(methods, *choices):
        changes: dict[str, Any] = {"method": method, **dict(zip(names, values, strict=True))}
        text = " ".join([str(method), *(f"{name}={value}" for name, value in zip(names, values, strict=True))])
        found.append(Variant(text, replace(config, changes)))
    if len(found) > MOST:
        raise ConfigError(f"--set: expected at most {MOST} combinations, got {len(found)}")
    return found


def _value(text: str) -> Any:
    """As a parameter file has it: 1, 0.5, true, or a text."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text

"""How a recording is evaluated: everything that its rows depend on beside itself."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gem_ros import __version__
from gem_ros.config import Config, parameters, value_of
from gem_ros.data import Query
from gem_ros.errors import BagError
from gem_ros.models import load_card
from gem_ros.queries import format_query
from gem_ros.replay.scoring import IN_VIEW

PACKAGES = ("numpy", "opencv-contrib-python-headless", "open_clip_torch", "rosbags", "scipy", "torch")
MODES = ("offline", "live")
LIVE = "diagnostics."  # parameters that no result depends on


@dataclass(frozen=True)
class Settings:
    """``queries`` to ask (none: those of the truth); ``absent`` ones, which are asked too and are nowhere in view.

    ``truth``: its file, for all recordings (None: ``truth.json`` beside each, where there is one). Topics by their
    recorded names (None: found). ``every`` n-th image; ``min_visible`` share of the image from which a thing counts
    as in view; ``seed`` of the intervals; ``rate`` of playing in live mode.
    """

    config: Config
    queries: tuple[Query, ...] = ()
    absent: tuple[Query, ...] = ()
    truth: Path | None = None
    image_topic: str | None = None
    depth_topic: str | None = None
    camera_info_topic: str | None = None
    pose_topic: str | None = None
    every: int = 1
    min_visible: float = IN_VIEW
    seed: int = 0
    mode: str = "offline"
    rate: float = 1.0

    def values(self) -> dict[str, Any]:
        """As JSON values; paths by their names alone."""
        names = [each.name for each in parameters() if each.name != "queries" and not each.name.startswith(LIVE)]
        config = {name: value_of(self.config, name) for name in names}
        topics = ("image_topic", "depth_topic", "camera_info_topic", "pose_topic")
        return {
            "mode": self.mode,
            "queries": [format_query(each) for each in self.queries],
            "absent": [format_query(each) for each in self.absent],
            "truth": None if self.truth is None else self.truth.name,
            **{name: getattr(self, name) for name in topics},
            **{"every": self.every, "min_visible": self.min_visible, "seed": self.seed},
            **({"rate": self.rate} if self.mode == "live" else {}),
            **{name: list(each) if isinstance(each, tuple) else each for name, each in config.items()},
        }

    def key(self, inputs: str) -> str:
        """A hash of all that the rows of a recording depend on; ``inputs`` is :func:`fingerprint` of it."""
        values = self.values()
        for name in ("min_visible", "seed", "truth"):  # of what is made of rows, and of what ``inputs`` says already
            del values[name]
        weights = load_card(self.config.model).sha256 or _file_hash(Path(self.config.pretrained).expanduser())
        card = _file_hash(Path(self.config.card).expanduser()) if self.config.card else ""
        text = json.dumps([inputs, weights, card, values, versions()], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def versions() -> dict[str, str]:
    """What the numbers were made with."""
    found = {"gem_ros": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # OpenCV and torch come under several names
            continue
    return found


def fingerprint(*paths: Path | None) -> str:
    """sha256 of files, and of all files in folders with their relative names; :class:`BagError` if one is not there."""
    digest = hashlib.sha256()
    for path in filter(None, paths):
        for name, file in _files(path):
            digest.update(f"{name}\0{_file_hash(file, must_exist=True)}\0".encode())
    return digest.hexdigest()


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """(name, file): where a recording lies, and what it is called, does not matter."""
    if not path.is_dir():
        yield path.suffix, path
        return
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield file.relative_to(path).as_posix(), file


def _file_hash(path: Path, must_exist: bool = False) -> str:
    """sha256 of a file; empty where there is none and it need not exist."""
    if not path.is_file() and not must_exist:
        return ""
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise BagError(f"{path}: expected a readable file, got: {error.strerror or error}") from error
    return digest.hexdigest()

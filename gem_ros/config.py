"""Every parameter once: default, unit, range and one line of help.

The node declares these as ROS parameters (:mod:`gem_ros.ros.parameters`), the command line shows
them as options, and the library takes them as values; all three read this file.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gem_ros.errors import ConfigError, short

CAMERA_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")  # one token of a ROS name
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
METHODS = ("clip", "maskclip", "clip_surgery", "sclip", "clearclip", "naclip", "gem", "sc_clip")
REFINEMENTS = ("none", "image", "depth", "pamr")
PROJECTIONS = ("qkv", "qk", "qv", "kv", "q", "k", "v")
MAX_QUERIES = 255  # a mono8 segmentation holds 255 labels and 0 for nothing
MAX_QUERY_BYTES = 512


@dataclass(frozen=True)
class Parameter:
    """One parameter as users see it: dotted name, type, default, help, unit, range, choices."""

    name: str
    type: type
    default: Any
    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    dynamic: bool = False

    def check(self, value: Any) -> Any:
        """Return ``value`` in this parameter's type, or raise :class:`ConfigError`.

        Integers pass where a float is expected; a sequence of strings becomes a tuple, without blank ones: ROS
        cannot read an empty list from a file, and people write [''] for it.
        """
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if self.type is tuple:
            given = () if value is None else value
            if isinstance(given, str) or not isinstance(given, Iterable) or not all(isinstance(i, str) for i in given):
                raise ConfigError(f"{self.name}: expected a list of strings, got {short(given)}")
            return tuple(item for item in given if item.strip())
        if type(value) is not self.type:
            kind = type(value).__name__
            raise ConfigError(f"{self.name}: expected {self.type.__name__}, got {short(value)} ({kind})")
        if self.choices and value not in self.choices:
            raise ConfigError(f"{self.name}: expected one of {', '.join(self.choices)}; got {short(value)}")
        if isinstance(value, int | float):
            self._check_range(value)
        return value

    def _check_range(self, value: float) -> None:
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if not (math.isfinite(value) and low <= value <= high):
            unit = f" {self.unit}" if self.unit else ""
            raise ConfigError(f"{self.name}: expected a value in [{low:g}, {high:g}]{unit}, got {value!r}")


def parameter(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    dynamic: bool = False,
) -> Any:
    """A dataclass field that carries its own :class:`Parameter` description."""
    described = {
        "help": help,
        "unit": unit,
        "low": low,
        "high": high,
        "choices": choices,
        "dynamic": dynamic,
    }
    return field(default=default, metadata=described)


@dataclass(frozen=True)
class GemConfig:
    """GEM's own numbers (arXiv 2312.00878); a model's card may set others; ``blocks`` is CLIP Surgery's, too."""

    blocks: int = parameter(6, "last transformer blocks given self-self attention", low=1, high=64)
    iterations: int = parameter(1, "self-self attention steps per projection", low=0, high=16)
    temperature: float = parameter(0.0, "tau of the self-self attention; 0: adaptive per image", low=0.0, high=100.0)
    projections: str = parameter("qkv", "projections that attend to themselves", choices=PROJECTIONS)
    normalise: bool = parameter(True, "normalise them first; false with temperature 0: tau is the usual sqrt(d)")


@dataclass(frozen=True)
class DiagnosticsConfig:
    """From where on /diagnostics says that something is wrong (docs/diagnostics.md)."""

    max_silence: float = parameter(
        2.0,
        "without an image, or depth that somebody publishes, for so long is told",
        unit="s",
        low=0.1,
        high=3600.0,
        dynamic=True,
    )
    min_rate: float = parameter(
        0.0, "fewer images per second are told; 0: never", unit="Hz", low=0.0, high=1000.0, dynamic=True
    )
    max_latency: float = parameter(
        1.0, "a longer way from image to result (p95) is told; 0: never", unit="s", low=0.0, high=3600.0, dynamic=True
    )
    min_depth_valid: float = parameter(
        0.05, "a smaller share of valid depth is told; 0: never", low=0.0, high=1.0, dynamic=True
    )


@dataclass(frozen=True)
class Config:
    """All parameters of gem_ros; nested fields have dotted names (``gem.blocks``)."""

    model: str = parameter("ViT-B-16-quickgelu", "open_clip architecture, local-dir:FOLDER, or 'bundled'")
    pretrained: str = parameter("openai", "open_clip tag or path of a weights file; unused by 'bundled' and local-dir:")
    weights_sha256: str = parameter(
        "", "SHA-256 that the weights file must have; empty: what its source says, if it does; unused by 'bundled'"
    )
    device: str = parameter("auto", "auto, cpu, cuda or cuda:N; auto takes the GPU where there is one")
    precision: str = parameter(
        "auto",
        "auto: bf16 on a GPU; on a CPU bf16 where it has units for it and it measures faster, else fp32",
        choices=("auto", "fp32", "bf16", "fp16"),
    )
    compile: str = parameter(
        "auto",
        "compile the model in the background, eager until then; auto: on a GPU only",
        choices=("auto", "off", "on"),
    )
    images_at_once: int = parameter(
        1,
        "images looked at beside each other; on a CPU each has its share of the cores: more results, each later",
        low=1,
        high=8,
    )
    image_size: int = parameter(
        0,
        "longer side fed to the ViT, aspect kept, rounded to patches; 0: the card's, else 448",
        unit="px",
        low=0,
        high=4096,
        dynamic=True,
    )
    method: str = parameter("gem", "dense features by this rule", choices=METHODS)
    gem: GemConfig = GemConfig()
    feature_surgery: bool = parameter(
        False, "weigh texts by the whole image and subtract what they share (CLIP Surgery); needs its own calibration"
    )
    card: str = parameter("", "calibration to use, a file that gem-ros calibrate wrote; empty: the model's own")
    templates: str = parameter(
        "gem", "prompt templates: gem, imagenet80, robot, or a file with one a line, {} for the thing"
    )
    text_cache: str = parameter("", "folder that keeps text embeddings for the next start; empty: none")
    queries: tuple[str, ...] = parameter((), "what to look for; 'red mug:0.6' sets its own threshold", dynamic=True)
    negatives: tuple[str, ...] = parameter(
        (), "phrases that count as 'something else' beside object, things, stuff, texture", dynamic=True
    )
    exclusive: bool = parameter(False, "each query also counts as 'something else' for the others", dynamic=True)
    presence_threshold: float = parameter(
        0.5, "score from which a query counts as in view", low=0.0, high=1.0, dynamic=True
    )
    presence_hysteresis: float = parameter(
        0.1,
        "a thing that was found stays found until its score is this far below the threshold",
        low=0.0,
        high=1.0,
        dynamic=True,
    )
    confirm_frames: int = parameter(
        1, "images that must show a thing before it counts as found", low=1, high=100, dynamic=True
    )
    memory_seconds: float = parameter(
        30.0,
        "how long a thing out of view keeps its id and stays in last_seen",
        unit="s",
        low=0.0,
        high=86400.0,
        dynamic=True,
    )
    region_threshold: float = parameter(0.5, "relevancy at which a region ends", low=0.0, high=1.0, dynamic=True)
    refinement: str = parameter(
        "image",
        "sharpen regions along the edges of this picture; pamr: of the image, as published with NACLIP",
        choices=REFINEMENTS,
        dynamic=True,
    )
    max_queries: int = parameter(16, "queries at a time", low=1, high=MAX_QUERIES)
    max_targets: int = parameter(3, "targets per query", low=1, high=100, dynamic=True)
    cameras: tuple[str, ...] = parameter(
        (), "names of the cameras that one node serves, like front: topics front/image, ~/front/target; none: image"
    )
    image_transport: str = parameter("raw", "subscribe image or image/compressed", choices=("raw", "compressed"))
    depth_transport: str = parameter("raw", "subscribe depth or depth/compressedDepth", choices=("raw", "compressed"))
    rectified: str = parameter(
        "auto",
        "images are rectified: use P of camera_info, not K and D; auto: if the image topic is named rect",
        choices=("auto", "yes", "no"),
    )
    target_frame: str = parameter("", "frame of 3D results, like map; empty: the camera optical frame")
    pose_source: str = parameter(
        "tf",
        "where the camera is in target_frame: tf2, the topic camera_pose, or nowhere",
        choices=("tf", "topic", "none"),
    )
    sync_slop: float = parameter(
        0.05,
        "largest stamp difference, and wait, for an image's depth, camera_info and pose",
        unit="s",
        low=0.0,
        high=10.0,
    )
    max_age: float = parameter(
        1.0, "oldest stored features that a new query is answered on", unit="s", low=0.0, high=60.0
    )
    min_depth: float = parameter(0.1, "depth below this is invalid", unit="m", low=0.0, high=1000.0, dynamic=True)
    max_depth: float = parameter(10.0, "depth above this is out_of_range", unit="m", low=0.0, high=1000.0, dynamic=True)
    standoff: float = parameter(
        0.8, "distance of ~/goal from the thing, on the ground", unit="m", low=0.0, high=100.0, dynamic=True
    )
    goal_hysteresis: float = parameter(
        0.25,
        "~/goal is sent again when it has moved more than this; 0: with every image",
        unit="m",
        low=0.0,
        high=100.0,
        dynamic=True,
    )
    max_rate: float = parameter(
        0.0, "most images processed per second; 0: the camera's", unit="Hz", low=0.0, high=1000.0, dynamic=True
    )
    overlay_alpha: float = parameter(0.5, "opacity of the heatmap in the overlay", low=0.0, high=1.0, dynamic=True)
    diagnostics: DiagnosticsConfig = DiagnosticsConfig()
    autostart: bool = parameter(True, "configure and activate by itself; false waits for a lifecycle manager")

    def __post_init__(self) -> None:
        for each in parameters():
            each.check(value_of(self, each.name))
        if self.weights_sha256 and not SHA256.fullmatch(self.weights_sha256):
            raise ConfigError(f"weights_sha256: expected 64 hexadecimal digits, got {self.weights_sha256[:70]!r}")
        for name in self.cameras:
            if not CAMERA_NAME.fullmatch(name) or self.cameras.count(name) > 1:
                raise ConfigError(
                    f"cameras: expected different names of letters, digits and _, got {short(self.cameras)}"
                )
        if self.min_depth > self.max_depth:
            raise ConfigError(f"min_depth: expected at most max_depth ({self.max_depth:g} m), got {self.min_depth:g} m")
        if self.target_frame and self.pose_source == "none":
            given = f"target_frame: expected '' with pose_source 'none', got {short(self.target_frame)}"
            raise ConfigError(f"{given}; set pose_source to tf or topic")


def parameters(owner: type = Config, prefix: str = "") -> Iterator[Parameter]:
    """Every parameter of ``owner`` in declaration order, nested ones with dotted names."""
    for each in dataclasses.fields(owner):
        if dataclasses.is_dataclass(each.default):
            yield from parameters(type(each.default), f"{prefix}{each.name}.")
        else:
            yield Parameter(prefix + each.name, type(each.default), each.default, **each.metadata)


def value_of(config: Config, name: str) -> Any:
    """The value behind a dotted parameter name."""
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def replace(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy of ``config`` with ``values`` (dotted names) set, all of them checked.

    Raises :class:`ConfigError` naming the first value that does not fit; ``config`` is unchanged.
    """
    known = {each.name: each for each in parameters()}
    nested: dict[str, dict[str, Any]] = {}
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigError(f"{name}: no such parameter; expected one of {', '.join(known)}")
        group, _, leaf = name.rpartition(".")
        checked = known[name].check(value)
        if group:
            nested.setdefault(group, {})[leaf] = checked
        else:
            flat[name] = checked
    for group, changes in nested.items():
        flat[group] = dataclasses.replace(getattr(config, group), **changes)
    return dataclasses.replace(config, **flat)

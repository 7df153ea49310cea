"""Model cards: what belongs to weights besides the weights, read without torch.

A card is a JSON file beside a ``.safetensors`` file in this folder. Models from open_clip have none:
:data:`DEFAULT_CARD` states what is assumed of them.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from gem_ros.config import Config, replace
from gem_ros.errors import ModelError, short

FOLDER = Path(__file__).parent
BUNDLED = "bundled"
QUICK = "-quickgelu"  # an architecture's name with the activation that some weights need
Evidence = Literal["cosine", "cosine_mean", "contrast", "relevancy"]
RelevancyKind = Literal["lerf", "sigmoid"]
EVIDENCES: tuple[Evidence, ...] = get_args(Evidence)
# Of GEM's numbers those that a method reads.
READ = {"gem": ("blocks", "iterations", "temperature", "projections", "normalise"), "clip_surgery": ("blocks",)}


@dataclass(frozen=True)
class Presence:
    """Score of a query = sigmoid(a · evidence + b).

    The evidence is the maximum of a map: ``cosine``: the similarity map; ``cosine_mean``: its 3×3 mean;
    ``contrast``: the similarity map less its median; ``relevancy``: the relevancy's logit ln(r / (1 − r)).
    """

    evidence: Evidence = "relevancy"
    a: float = 1.0
    b: float = 0.0


@dataclass(frozen=True)
class Relevancy:
    """How a cosine becomes a relevancy in [0, 1].

    ``lerf``: min over the negative phrases of softmax(scale · [cos(query), cos(negative)])₀;
    ``sigmoid``: sigmoid(scale · cos(query) + bias).
    """

    kind: RelevancyKind = "lerf"
    scale: float = 10.0
    bias: float = 0.0


@dataclass(frozen=True)
class ModelCard:
    """``architecture`` is an open_clip model config; ``defaults`` hold parameter values by dotted name.

    ``example_relevancy`` and ``example_presence`` are for what was shown instead of named: two pictures are more alike
    than a picture and a text.

    ``vocabulary`` lists the words the model knows (empty: any). ``sha256`` is of the weights file.
    """

    name: str
    architecture: dict[str, Any] = field(default_factory=dict)
    preprocess: dict[str, Any] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)
    relevancy: Relevancy = Relevancy()
    presence: Presence = Presence()
    example_relevancy: Relevancy = Relevancy("sigmoid", 20.0, -14.0)
    example_presence: Presence = Presence("cosine", 20.0, -15.0)
    sha256: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def weights(self) -> Path:
        """Where the weights of a bundled model lie."""
        return FOLDER / f"{self.name}.safetensors"


DEFAULT_CARD = ModelCard("open_clip")


@cache
def load_card(model: str) -> ModelCard:
    """The card of a bundled model, or :data:`DEFAULT_CARD` for an open_clip architecture."""
    path = FOLDER / f"{BUNDLED}.json"
    if model != BUNDLED:
        return DEFAULT_CARD
    if not path.is_file():
        raise ModelError(f"model 'bundled': expected its card at {path}; reinstall gem_ros")
    values = json.loads(path.read_text(encoding="utf-8"))
    values["vocabulary"] = tuple(values["vocabulary"])
    values["relevancy"] = Relevancy(**values["relevancy"])
    values["presence"] = Presence(**values["presence"])
    if "example_presence" in values:
        values["example_relevancy"] = Relevancy(**values["example_relevancy"])
        values["example_presence"] = Presence(**values["example_presence"])
    return ModelCard(**values)


def default_config(model: str) -> Config:
    """The parameters of a model that nobody has set: the defaults, with those of its card in their place."""
    return replace(Config(), {"model": model, **load_card(model).defaults})


def feature_settings(config: Config) -> dict[str, Any]:
    """Parameters by dotted name that the cosines depend on, and with them what a calibration is good for."""
    numbers = {f"gem.{name}": getattr(config.gem, name) for name in READ.get(config.method, ())}
    return {"method": config.method, "feature_surgery": config.feature_surgery, **numbers}


def calibrated(
    card: ModelCard,
    path: str | Path,
    model: str,
    *,
    pretrained: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> ModelCard:
    """``card`` with the presence and relevancy of the file at ``path``, as ``gem-ros calibrate`` writes it.

    ``model``, ``pretrained`` (a tag, or a weights file, known by its name) and ``settings`` (:func:`feature_settings`)
    are those in use; the file must have been made with them, and with these very weights where both cards name a
    sha256. What is None, or not in the file, is not compared. Raises :class:`ModelError`.
    """
    file = Path(path).expanduser()
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"card {path}: expected a file of gem-ros calibrate, got: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"card {path}: expected JSON, got: {error}; run gem-ros calibrate again") from error
    try:
        _same(values, "model", _architecture(model))
        for name, value in (settings or {}).items():
            _same(values, name, value)
        if model != BUNDLED:
            _same(values, "pretrained", pretrained and _weights_name(pretrained))
        _same(values, "sha256", card.sha256)
        return dataclasses.replace(card, presence=_presence(values), relevancy=_relevancy(values))
    except ModelError as error:
        raise ModelError(f"card {path}: {error}; run gem-ros calibrate with the model in use") from error


def _architecture(model: str) -> str:
    """The same weights are loaded with and without the suffix: the loader corrects the activation."""
    return model.removesuffix(QUICK)


def _weights_name(pretrained: str) -> str:
    """A file may lie elsewhere on the robot."""
    return Path(pretrained).name


def _same(values: Any, key: str, used: Any) -> None:
    """Refuse a card made with another ``key`` than ``used``; only the model itself must be named."""
    if not isinstance(values, Mapping):
        raise ModelError(f"expected an object, got {short(values)}")
    given = values.get(key)
    if given is None and key == "model":
        raise ModelError("model: expected in the file, found none")
    if given in (None, "") or used in (None, ""):
        return
    name = {"model": _architecture, "pretrained": _weights_name}.get(key)
    if name and isinstance(given, str):
        given = name(given)
    if given != used:
        raise ModelError(f"{key}: expected {short(used)}, which is in use, got {short(given)}")


def _presence(values: Mapping[str, Any]) -> Presence:
    evidence, a, b = _fields(values, "presence", ("evidence", "a", "b"))
    if evidence not in EVIDENCES:
        raise ModelError(f"presence.evidence: expected one of {', '.join(EVIDENCES)}; got {short(evidence)}")
    return Presence(evidence, _number("presence.a", a, positive=True), _number("presence.b", b))


def _relevancy(values: Mapping[str, Any]) -> Relevancy:
    kind, scale, bias = _fields(values, "relevancy", ("kind", "scale", "bias"))
    if kind not in get_args(RelevancyKind):
        raise ModelError(f"relevancy.kind: expected one of {', '.join(get_args(RelevancyKind))}; got {short(kind)}")
    return Relevancy(kind, _number("relevancy.scale", scale, positive=True), _number("relevancy.bias", bias))


def _fields(values: Mapping[str, Any], key: str, names: tuple[str, ...]) -> list[Any]:
    found = values.get(key)
    if not isinstance(found, Mapping) or set(found) != set(names):
        got = f"the keys {', '.join(map(str, found)) or 'none'}" if isinstance(found, Mapping) else short(found)
        raise ModelError(f"{key}: expected an object of {', '.join(names)}; got {got}")
    return [found[name] for name in names]


def _number(name: str, value: Any, *, positive: bool = False) -> float:
    wanted = "a finite number above 0" if positive else "a finite number"
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    if not is_number or (positive and value <= 0):
        raise ModelError(f"{name}: expected {wanted}, got {short(value)}")
    return float(value)

"""Model cards: what belongs to weights besides the weights, read without torch.

A card is a JSON file beside a ``.safetensors`` file in this folder. Models from open_clip have none:
:data:`DEFAULT_CARD` states what is assumed of them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from gem_ros.config import Config, replace
from gem_ros.errors import ModelError

FOLDER = Path(__file__).parent
BUNDLED = "bundled"


@dataclass(frozen=True)
class Presence:
    """Score of a query = sigmoid(a · evidence + b).

    ``evidence`` is ``cosine``: the similarity map's maximum, or ``relevancy``: the logit
    ln(r / (1 − r)) of the relevancy map's maximum r.
    """

    evidence: Literal["cosine", "relevancy"] = "relevancy"
    a: float = 1.0
    b: float = 0.0


@dataclass(frozen=True)
class Relevancy:
    """How a cosine becomes a relevancy in [0, 1].

    ``lerf``: min over the negative phrases of softmax(scale · [cos(query), cos(negative)])₀;
    ``sigmoid``: sigmoid(scale · cos(query) + bias).
    """

    kind: Literal["lerf", "sigmoid"] = "lerf"
    scale: float = 10.0
    bias: float = 0.0


@dataclass(frozen=True)
class ModelCard:
    """``architecture`` is an open_clip model config; ``defaults`` hold parameter values by dotted name.

    ``vocabulary`` lists the words the model knows (empty: any). ``sha256`` is of the weights file.
    """

    name: str
    architecture: dict[str, Any] = field(default_factory=dict)
    preprocess: dict[str, Any] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()
    defaults: dict[str, Any] = field(default_factory=dict)
    relevancy: Relevancy = Relevancy()
    presence: Presence = Presence()
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
    return ModelCard(**values)


def default_config(model: str) -> Config:
    """The parameters of a model that nobody has set: the defaults, with those of its card in their place."""
    return replace(Config(), {"model": model, **load_card(model).defaults})

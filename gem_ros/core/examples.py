"""Things to look for that were shown instead of named: unit embeddings by name."""

from __future__ import annotations

import threading
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor

from gem_ros.queries import EXAMPLE

SPREAD = 0.2  # of a crop's side: pointing accuracy 81 % instead of 73 % without (gem_ros.sim.examples, 100 scenes)
CAPACITY = 64  # examples kept; one more pushes out the one that was given first


class Examples:
    """What a query that begins with ``@`` stands for. Thread-safe."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, name: str, tokens: Tensor) -> None:
        """What the query ``@name`` looks for from now on: the mean direction of unit ``tokens`` (h, w, D).

        The middle of a crop counts more than its edge, where there is something else behind the thing.
        """
        weights = _bell(tokens.shape[0])[:, None] * _bell(tokens.shape[1])
        mean = (tokens.detach().float() * weights[..., None].to(tokens.device)).sum(dim=(0, 1))
        embedding = F.normalize(mean, dim=-1)
        with self._lock:
            self._kept.pop(name, None)
            self._kept[name] = embedding
            while len(self._kept) > CAPACITY:
                self._kept.popitem(last=False)

    def find(self, text: str) -> Tensor | None:
        """The embedding (D,) of a query such as ``@mug``; None for words, and for a name that was not given."""
        if not text.startswith(EXAMPLE):
            return None
        with self._lock:
            return self._kept.get(text.removeprefix(EXAMPLE))


def _bell(count: int) -> Tensor:
    """(count,) weights of patches along a side: a Gaussian around its middle."""
    places = (torch.arange(count) + 0.5) / count - 0.5
    return torch.exp(-(places**2) / (2 * SPREAD**2))

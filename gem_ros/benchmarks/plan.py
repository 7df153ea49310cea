"""What a run of the bench is to measure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# In this order: other processes are measured before this one grows.
PARTS = ("ros", "age", "node", "startup", "model", "queries")


@dataclass(frozen=True)
class Plan:
    """``values`` are parameters by name; ``batches`` empty: what suits the device; ``seconds`` for each measurement."""

    model: str
    pretrained: str
    values: dict[str, Any]
    queries: int
    batches: tuple[int, ...]
    parts: tuple[str, ...]
    seconds: float

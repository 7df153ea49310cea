"""Vision transformers as :class:`~gem_ros.core.encoder.DenseEncoder` sees them, whatever library they come from."""

from __future__ import annotations

from typing import Any

from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer

from gem_ros.core.towers.native import NativeTower
from gem_ros.core.towers.through_timm import TimmTower
from gem_ros.core.towers.tower import Position, Tower, resized_position
from gem_ros.errors import ModelError

__all__ = ["NativeTower", "Position", "TimmTower", "Tower", "resized_position", "tower_of"]


def tower_of(visual: Any) -> Tower:
    """The image tower ``visual`` of an open_clip model behind its interface; :class:`ModelError` if GEM cannot be."""
    if isinstance(visual, VisionTransformer):
        return NativeTower(visual)
    if isinstance(visual, TimmModel):
        return TimmTower(visual)
    raise ModelError(
        f"model: expected an open_clip VisionTransformer, or one of timm, got {type(visual).__name__}; "
        "choose a ViT such as ViT-B-16"
    )

"""open_clip's own VisionTransformer, whatever its attention class, with or without ln_pre and layer scale."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor

from gem_ros.core.attention import Projected
from gem_ros.core.towers.tower import Position, Tower, embedded_patches, from_heads
from gem_ros.errors import ModelError


class NativeTower(Tower):
    """CLIP as the published GEM takes it: CLS first, every token projected as CLS is.

    Raises :class:`ModelError` for attentional pooling and scaled cosine attention.
    """

    def __init__(self, visual: VisionTransformer) -> None:
        _check(visual)
        self.visual = visual
        self.blocks = list(visual.transformer.resblocks)
        self.prefix = 1
        height, width = visual.patch_size
        self.patch_size = int(height), int(width)
        rows, columns = visual.grid_size
        self.grid = int(rows), int(columns)

    @property
    def learned_position(self) -> Tensor:
        position: Tensor = self.visual.positional_embedding
        return position

    def embed(self, pixels: Tensor, position: Position) -> Tensor:
        patches = embedded_patches(pixels, self.visual.conv1)
        cls = self.visual.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        x: Tensor = self.visual.ln_pre(torch.cat((cls, patches), dim=1) + position.embedding.to(patches.dtype))
        return x

    def project(self, block: Any, x: Tensor, position: Position) -> Projected:
        attention = block.attn
        h = block.ln_1(x)
        qkv = F.linear(h, attention.in_proj_weight, attention.in_proj_bias)
        # (B, N, 3·heads·d) -> 3 × (B, heads, N, d)
        q, k, v = qkv.reshape(*h.shape[:2], 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
        if hasattr(attention, "ln_q"):  # open_clip's own Attention class
            q, k = attention.ln_q(q), attention.ln_k(k)
        return Projected(h, q, k, v)

    def output(self, block: Any, mixed: Tensor) -> Tensor:
        attention = block.attn
        if getattr(attention, "head_scale", None) is not None:
            mixed = mixed * attention.head_scale
        x = from_heads(mixed)
        if hasattr(attention, "ln_inner"):
            x = attention.ln_inner(x)
        x = attention.out_proj(x)
        if hasattr(block, "ln_attn"):
            x = block.ln_attn(x)
        return _scaled(block, "ls_1", x)

    def feed_forward(self, block: Any, x: Tensor) -> Tensor:
        return x + _scaled(block, "ls_2", block.mlp(block.ln_2(x)))

    def to_embedding(self, x: Tensor) -> Tensor:
        x = self.visual.ln_post(x)
        if self.visual.proj is not None:
            x = x @ self.visual.proj
        return F.normalize(x, dim=-1)


def _scaled(block: Any, name: str, x: Tensor) -> Tensor:
    scale = getattr(block, name, None)
    return x if scale is None else scale(x)


def _check(visual: VisionTransformer) -> None:
    if getattr(visual, "attn_pool", None) is not None:
        raise ModelError("model: expected a ViT with a projection per token, got one with attentional pooling (CoCa)")
    if any(getattr(block.attn, "logit_scale", None) is not None for block in visual.transformer.resblocks):
        raise ModelError("model: expected softmax(q kᵀ/√d) attention, got scaled cosine attention; choose another ViT")

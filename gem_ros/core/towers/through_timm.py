"""timm's vision transformers as open_clip wraps them: EVA-CLIP, SigLIP, SigLIP2, Perception Encoder, MobileCLIP2-L."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.timm_model import TimmModel
from timm.layers.attention import Attention, AttentionRope
from timm.layers.attention_pool import AttentionPoolLatent
from timm.layers.patch_embed import PatchEmbed
from timm.layers.pos_embed_sincos import apply_rot_embed_cat
from timm.models.eva import Eva, EvaAttention, EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor

from gem_ros.core.attention import Projected
from gem_ros.core.towers.tower import Position, Tower, embedded_patches, from_heads, to_heads
from gem_ros.errors import ModelError


class TimmTower(Tower):
    """CLS and patches share the way to the texts (EVA-CLIP, MobileCLIP2-L), or an attention pool makes it (SigLIP,
    PE-Core): there each token is pooled as if it were the only one, so that its attention weight is 1.

    Rules that compare q with q see it before the rotary embedding, as their definition is of W_q h and means of
    vectors turned by different angles say nothing; A(q, k) is the model's own. Raises :class:`ModelError` for any
    other of timm's towers.
    """

    def __init__(self, visual: TimmModel) -> None:
        _check(visual)
        trunk = visual.trunk
        self.visual = visual
        self.blocks = list(trunk.blocks)
        self.prefix = int(trunk.num_prefix_tokens)
        height, width = trunk.patch_embed.patch_size
        self.patch_size = int(height), int(width)
        rows, columns = trunk.patch_embed.grid_size
        self.grid = int(rows), int(columns)

    @property
    def learned_position(self) -> Tensor:
        position: Tensor = self.visual.trunk.pos_embed[0]
        return position

    def position(self, grid: tuple[int, int]) -> Position:
        embedding = super().position(grid).embedding
        rope = getattr(self.visual.trunk, "rope", None)
        if rope is None:
            return Position(embedding)
        if grid != self.grid:  # timm computes it for one grid, which is set
            rope = copy.deepcopy(rope)
            rope.update_feat_shape(list(grid))
        return Position(embedding, rope.get_embed())

    def embed(self, pixels: Tensor, position: Position) -> Tensor:
        trunk = self.visual.trunk
        x = trunk.patch_embed.norm(embedded_patches(pixels, trunk.patch_embed.proj))
        if trunk.cls_token is not None:
            x = torch.cat((trunk.cls_token.expand(len(x), -1, -1), x), dim=1)
        embedded: Tensor = trunk.norm_pre(x + position.embedding)
        return embedded

    def project(self, block: Any, x: Tensor, position: Position) -> Projected:
        attention = block.attn
        h = x if isinstance(block, EvaBlockPostNorm) else block.norm1(x)
        q, k, v = (to_heads(each, attention.num_heads) for each in _qkv(attention, h))
        q, k = attention.q_norm(q), attention.k_norm(k)
        if position.rotation is None:
            return Projected(h, q, k, v)
        rotated = self._rotated(q, position.rotation), self._rotated(k, position.rotation)
        return Projected(h, q, k, v, rotated=rotated)

    def output(self, block: Any, mixed: Tensor) -> Tensor:
        attention = block.attn
        x: Tensor = attention.proj(attention.norm(from_heads(mixed)))
        if isinstance(block, EvaBlockPostNorm):
            normalised: Tensor = block.norm1(x)
            return normalised
        return _scaled(block, 1, x)

    def feed_forward(self, block: Any, x: Tensor) -> Tensor:
        if isinstance(block, EvaBlockPostNorm):
            after: Tensor = x + block.norm2(block.mlp(x))
            return after
        return x + _scaled(block, 2, block.mlp(block.norm2(x)))

    def to_embedding(self, x: Tensor) -> Tensor:
        trunk = self.visual.trunk
        x = trunk.norm(x)
        if trunk.attn_pool is not None:
            x = pooled_alone(trunk.attn_pool, x)
        return F.normalize(self.visual.head(trunk.head(trunk.fc_norm(x))), dim=-1)

    def _rotated(self, s: Tensor, rotation: Tensor) -> Tensor:
        """The patches among (B, heads, N, d) turned by their position; the prefix has none."""
        turned = apply_rot_embed_cat(s[:, :, self.prefix :], rotation)
        return torch.cat((s[:, :, : self.prefix], turned.to(s.dtype)), dim=2)


def pooled_alone(pool: AttentionPoolLatent, x: Tensor) -> Tensor:
    """What ``pool`` makes of each token alone: softmax over one token is 1, so its value is all. (B, n, C) -> same."""
    width = pool.kv.out_features // 2
    bias = None if pool.kv.bias is None else pool.kv.bias[width:]
    x = pool.proj(F.linear(x, pool.kv.weight[width:], bias))
    if pool.mlp is not None:
        x = x + pool.mlp(pool.norm(x))
    return x


def _qkv(attention: Any, h: Tensor) -> tuple[Tensor, ...]:
    if attention.qkv is None:
        return attention.q_proj(h), attention.k_proj(h), attention.v_proj(h)
    bias = attention.qkv.bias
    if getattr(attention, "q_bias", None) is not None:  # EVA's k has none
        bias = torch.cat((attention.q_bias, attention.k_bias, attention.v_bias))
    return F.linear(h, attention.qkv.weight, bias).chunk(3, dim=-1)


def _scaled(block: Any, index: int, x: Tensor) -> Tensor:
    """Layer scale, a module or a parameter by where the block comes from, or none."""
    if isinstance(block, Block):
        scaled: Tensor = getattr(block, f"ls{index}")(x)
        return scaled
    scale = getattr(block, f"gamma_{index}")
    return x if scale is None else scale * x


def _check(visual: TimmModel) -> None:
    """Refuse what has no class of ours, or an option that none of open_clip's towers above has."""
    trunk = visual.trunk
    kind = type(trunk).__name__
    if type(trunk) not in (VisionTransformer, Eva):
        raise ModelError(f"model: expected a vision transformer, got {kind} of timm; choose a ViT such as ViT-B-16")
    if type(trunk.patch_embed) is not PatchEmbed:
        raise ModelError(f"model: expected patches embedded by one product, got {type(trunk.patch_embed).__name__}")
    problems = [
        (trunk.global_pool not in ("token", "map"), f"pooling {trunk.global_pool!r}"),
        (trunk.pos_embed is None or trunk.no_embed_class, "positions without CLS"),
        (trunk.num_prefix_tokens != (trunk.cls_token is not None), "register tokens"),
        (not _is_plain(trunk.attn_pool), "another attention pool"),
        (getattr(trunk, "rope_mixed", False), "a rotation per block"),
        (any(_is_odd(block) for block in trunk.blocks), "another kind of block"),
    ]
    for is_so, what in problems:
        if is_so:
            raise ModelError(f"model: expected a ViT that GEM can be applied to, got {kind} of timm with {what}")


def _is_plain(pool: Any) -> bool:
    if pool is None:
        return True
    return type(pool) is AttentionPoolLatent and pool.pos_embed is None and pool.latent_len == 1


def _is_odd(block: Any) -> bool:
    attention = block.attn
    return (
        type(block) not in (Block, EvaBlock, EvaBlockPostNorm)
        or type(attention) not in (Attention, EvaAttention, AttentionRope)
        or getattr(attention, "gate", None) is not None
        or getattr(attention, "rotate_half", False)
        or getattr(attention, "num_kv_groups", 1) != 1
    )

"""The attention rules that turn a CLIP vision transformer into a dense one, one small function each.

Shapes: B images, N tokens (CLS first), C width, `heads` of d channels each; C = heads·d. A(a, b) is
softmax(a bᵀ/√d). Every rule takes one block's :class:`Projected` tokens and returns (B, heads, N, d),
which :func:`output` takes back to the residual stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(query keyᵀ) value without the N×N matrix in memory; any scale is already in ``query``."""
    return F.scaled_dot_product_attention(query, key, value, scale=1.0)


def explicit(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The same product written out: faster to differentiate on a CPU than :func:`fused`."""
    return (query @ key.transpose(-2, -1)).softmax(dim=-1) @ value


@dataclass(frozen=True)
class Projected:
    """One block's attention inputs: ``h`` = ln_1(x) (B, N, C); ``q``, ``k``, ``v`` (B, heads, N, d)."""

    h: Tensor
    q: Tensor
    k: Tensor
    v: Tensor


@dataclass(frozen=True)
class Settings:
    """What the rules may be told; ``inv_temperature`` None means adaptive."""

    iterations: int = 1
    inv_temperature: float | None = None
    attend: Attend = fused


@dataclass(frozen=True)
class Rule:
    """How dense features are made of a vision transformer.

    ``second_path``: ``mix`` runs beside the original path in the last ``blocks`` blocks and has its
    own residual stream without MLPs. Otherwise ``mix`` replaces the attention of the last block,
    whose ``residual`` connection and ``mlp`` are kept or left out.
    """

    mix: Callable[[Projected, Settings], Tensor]
    second_path: bool = False
    residual: bool = False
    mlp: bool = False


def project(block: Any, x: Tensor) -> Projected:
    """q, k, v = split(W_qkv ln_1(x)) of an open_clip block, whatever its attention class; x (B, N, C)."""
    attention = block.attn
    h = block.ln_1(x)
    qkv = F.linear(h, attention.in_proj_weight, attention.in_proj_bias)
    # (B, N, 3·heads·d) -> 3 × (B, heads, N, d)
    q, k, v = qkv.reshape(*h.shape[:2], 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    if hasattr(attention, "ln_q"):  # open_clip's own Attention class
        q, k = attention.ln_q(q), attention.ln_k(k)
    return Projected(h, q, k, v)


def output(block: Any, mixed: Tensor) -> Tensor:
    """O, the block's way from (B, heads, N, d) back to the residual stream (B, N, C), layer scale included."""
    attention = block.attn
    if getattr(attention, "head_scale", None) is not None:
        mixed = mixed * attention.head_scale
    x = mixed.transpose(1, 2).flatten(2)  # (B, heads, N, d) -> (B, N, C)
    if hasattr(attention, "ln_inner"):
        x = attention.ln_inner(x)
    x = attention.out_proj(x)
    if hasattr(block, "ln_attn"):
        x = block.ln_attn(x)
    return _scaled(block, "ls_1", x)


def feed_forward(block: Any, x: Tensor) -> Tensor:
    """x + MLP(ln_2(x)), layer scale included."""
    return x + _scaled(block, "ls_2", block.mlp(block.ln_2(x)))


def _scaled(block: Any, name: str, x: Tensor) -> Tensor:
    scale = getattr(block, name, None)
    return x if scale is None else scale(x)


def standard(tokens: Projected, settings: Settings) -> Tensor:
    """A(q, k) v: what CLIP was trained with."""
    return settings.attend(tokens.q * tokens.q.shape[-1] ** -0.5, tokens.k, tokens.v)


def value(tokens: Projected, settings: Settings) -> Tensor:
    """v itself (MaskCLIP, arXiv 2112.01071)."""
    return tokens.v


def gem(tokens: Projected, settings: Settings) -> Tensor:
    """(o_q + o_k + o_v)/3, each o_s a self-self attention over v (GEM, arXiv 2312.00878, section 3).

    For s in {q, k, v}: K times s ← softmax(ŝŝᵀ/τ) ŝ, then o_s = softmax(ŝŝᵀ/τ) v.
    """
    inverse = _inverse_temperature(tokens, settings)
    s = torch.cat((tokens.q, tokens.k, tokens.v), dim=1)  # (B, 3·heads, N, d): one call for all three
    for _ in range(settings.iterations):
        unit = _unit(s, inverse)
        s = settings.attend(unit, unit, unit)  # √(1/τ) times s: the next ŝ is the same
    unit = _unit(s, inverse)
    mixed = settings.attend(unit, unit, tokens.v.repeat(1, 3, 1, 1))
    return mixed.reshape(len(mixed), 3, *tokens.v.shape[1:]).mean(dim=1)


def _unit(s: Tensor, inverse: Tensor) -> Tensor:
    """ŝ·√(1/τ), in one pass: as query and as key it makes ŝŝᵀ/τ."""
    norm: Tensor = torch.linalg.vector_norm(s, dim=-1, keepdim=True)
    return s * (inverse.sqrt() / norm.clamp_min(1e-12))


def _inverse_temperature(tokens: Projected, settings: Settings) -> Tensor:
    """1/τ (B, 1, 1, 1): mean over the image's tokens of ‖h‖₂ · d^(−1/2), or the fixed value."""
    h, v = tokens.h, tokens.v
    if settings.inv_temperature is not None:
        return v.new_full((h.shape[0], 1, 1, 1), settings.inv_temperature)
    norms = torch.linalg.vector_norm(h.float(), dim=-1, keepdim=True).mean(dim=-2, keepdim=True)
    inverse: Tensor = norms * v.shape[-1] ** -0.5
    return inverse.to(v.dtype)[:, None]


RULES = {
    "clip": Rule(standard, residual=True, mlp=True),
    "maskclip": Rule(value),
    "gem": Rule(gem, second_path=True),
}

"""The attention rules that turn a CLIP vision transformer into a dense one, one small function each.

Shapes: B images, N tokens (CLS first), C width, `heads` of d channels each; C = heads·d. A(a, b) is
softmax(a bᵀ/√d). Every rule takes one block's :class:`Projected` tokens and returns (B, heads, N, d),
which the tower's ``output`` takes back to the residual stream.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Grid = tuple[int, int]  # rows and columns of patches


class Attend(Protocol):
    """softmax(query keyᵀ + bias) value; any scale is already in ``query``."""

    __name__: str

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None, /) -> Tensor: ...


def fused(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """softmax(query keyᵀ + bias) value without the N×N matrix of each head in memory."""
    return F.scaled_dot_product_attention(query, key, value, bias, scale=1.0)


def explicit(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """The same product written out: faster to differentiate on a CPU than :func:`fused`."""
    logits = query @ key.transpose(-2, -1)
    return (logits if bias is None else logits + bias).softmax(dim=-1) @ value


@dataclass(frozen=True)
class Projected:
    """One block's attention inputs: ``h`` = ln_1(x) (B, N, C); ``q``, ``k``, ``v`` (B, heads, N, d).

    ``grid`` is that of the patches, row by row behind the CLS token, if there is one. ``rotated``: q and k as A(q, k)
    compares them where the tower turns them by position (rotary embedding).
    """

    h: Tensor
    q: Tensor
    k: Tensor
    v: Tensor
    grid: Grid = (0, 0)
    rotated: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class Settings:
    """What the rules may be told. All but ``sigma``, in patches (``naclip``), and ``attend`` is for ``gem``.

    ``inv_temperature`` None means adaptive; ``projections`` are those of q, k and v that attend to themselves;
    without ``normalise`` they do so as they are.
    """

    iterations: int = 1
    inv_temperature: float | None = None
    projections: str = "qkv"
    normalise: bool = True
    sigma: float = 5.0
    attend: Attend = fused


@dataclass(frozen=True)
class Rule:
    """How dense features are made of a vision transformer; ``mix`` is an attention.

    ``path``: ``last``: ``mix`` replaces the attention of the last block, whose ``residual`` connection and ``mlp``
    are kept or left out; ``second``: it runs beside the original path in the last ``blocks`` blocks and has its own
    residual stream without MLPs; ``calibrated``: in the last block, beside the likeness of middle layers
    (:mod:`gem_ros.core.self_calibration`).
    """

    mix: Callable[[Projected, Settings], Tensor]
    path: Literal["last", "second", "calibrated"] = "last"
    residual: bool = False
    mlp: bool = False


def standard(tokens: Projected, settings: Settings) -> Tensor:
    """A(q, k) v: what CLIP was trained with."""
    q, k = tokens.rotated or (tokens.q, tokens.k)
    return settings.attend(_over_root_d(q), k, tokens.v)


def value(tokens: Projected, settings: Settings) -> Tensor:
    """v itself (MaskCLIP, arXiv 2112.01071)."""
    return tokens.v


def value_value(tokens: Projected, settings: Settings) -> Tensor:
    """A(v, v) v (CLIP Surgery, arXiv 2304.05653)."""
    return settings.attend(_over_root_d(tokens.v), tokens.v, tokens.v)


def query_query(tokens: Projected, settings: Settings) -> Tensor:
    """A(q, q) v (ClearCLIP, arXiv 2407.12442)."""
    return settings.attend(_over_root_d(tokens.q), tokens.q, tokens.v)


def key_key(tokens: Projected, settings: Settings) -> Tensor:
    """A(k, k) v (half of SC-CLIP's last attention, arXiv 2411.15869)."""
    return settings.attend(_over_root_d(tokens.k), tokens.k, tokens.v)


def correlative(tokens: Projected, settings: Settings) -> Tensor:
    """(A(q, q) + A(k, k)) v (SCLIP, arXiv 2312.01597)."""
    return query_query(tokens, settings) + key_key(tokens, settings)


def neighbourly(tokens: Projected, settings: Settings) -> Tensor:
    """softmax(kkᵀ/√d + G) v, G favouring patches nearby (NACLIP, arXiv 2404.08181)."""
    rows, columns = tokens.grid
    bias = gaussian_window(tokens.grid, settings.sigma, tokens.k, tokens.k.shape[2] - rows * columns)
    return settings.attend(_over_root_d(tokens.k), tokens.k, tokens.v, bias)


def gaussian_window(grid: Grid, sigma: float, like: Tensor, prefix: int = 1) -> Tensor:
    """G (N, N) = exp(−dist²/2σ²) between patches, in patches; 0 in rows and columns of the ``prefix`` (CLS)."""
    places = (torch.arange(length, device=like.device, dtype=torch.float32) for length in grid)
    rows, columns = (torch.exp(-((each[:, None] - each).square()) / (2 * sigma**2)) for each in places)
    return F.pad(torch.kron(rows, columns), (prefix, 0, prefix, 0)).to(like.dtype)


def _over_root_d(s: Tensor) -> Tensor:
    scaled: Tensor = s * s.shape[-1] ** -0.5
    return scaled


def gem(tokens: Projected, settings: Settings) -> Tensor:
    """(o_q + o_k + o_v)/3, each o_s a self-self attention over v (GEM, arXiv 2312.00878, section 3).

    For s in {q, k, v}: K times s ← softmax(ŝŝᵀ/τ) ŝ, then o_s = softmax(ŝŝᵀ/τ) v. The mean is over
    ``projections``; without ``normalise`` ŝ is s, and the adaptive 1/τ is 1/√d.
    """
    inverse, chosen = _inverse_temperature(tokens, settings), settings.projections
    s = torch.cat([getattr(tokens, name) for name in chosen], dim=1)  # (B, n·heads, N, d): one call for all
    unit = _unit(s, inverse) if settings.normalise else s * inverse.sqrt()
    for _ in range(settings.iterations):
        s = settings.attend(unit, unit, unit)  # √(1/τ) times s: the next ŝ is the same
        unit = _unit(s, inverse) if settings.normalise else s
    mixed = settings.attend(unit, unit, tokens.v.repeat(1, len(chosen), 1, 1))
    return mixed.reshape(len(mixed), len(chosen), *tokens.v.shape[1:]).mean(dim=1)


def _unit(s: Tensor, inverse: Tensor) -> Tensor:
    """ŝ·√(1/τ), in one pass: as query and as key it makes ŝŝᵀ/τ."""
    norm: Tensor = torch.linalg.vector_norm(s, dim=-1, keepdim=True)
    return s * (inverse.sqrt() / norm.clamp_min(1e-12))


def _inverse_temperature(tokens: Projected, settings: Settings) -> Tensor:
    """1/τ (B, 1, 1, 1): mean over the image's tokens of ‖h‖₂ · d^(−1/2), 1/√d, or the fixed value."""
    h, v = tokens.h, tokens.v
    root = v.shape[-1] ** -0.5
    if settings.inv_temperature is not None or not settings.normalise:
        fixed = root if settings.inv_temperature is None else settings.inv_temperature
        return v.new_full((h.shape[0], 1, 1, 1), fixed)
    norms = torch.linalg.vector_norm(h.float(), dim=-1, keepdim=True).mean(dim=-2, keepdim=True)
    inverse: Tensor = norms * root
    return inverse.to(v.dtype)[:, None]


RULES = {
    "clip": Rule(standard, residual=True, mlp=True),
    "maskclip": Rule(value),
    "clip_surgery": Rule(value_value, path="second"),
    "sclip": Rule(correlative, residual=True, mlp=True),
    "clearclip": Rule(query_query),
    "naclip": Rule(neighbourly),
    "gem": Rule(gem, path="second"),
    "sc_clip": Rule(key_key, path="calibrated"),
}

"""GEM as it is published (arXiv 2312.00878), written plainly: what the fast way is measured against.

Matrix products and softmaxes as in the paper's equations, the whole last block although nothing dense needs it,
text encoded again for every image, as the published code does. Shares no code with :mod:`gem_ros.core`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

LEFT_OUT = ("attn.ln_q", "attn.ln_k", "attn.head_scale", "attn.logit_scale", "attn.ln_inner", "ln_attn")  # of a block


def no_form(visual: Any) -> str:
    """Why the published algorithm, which is for CLIP's own ViT, has no form for this tower; empty: it has."""
    if not isinstance(visual, VisionTransformer):
        return f"the published algorithm has no form for {type(getattr(visual, 'trunk', visual)).__name__} of timm"
    for block in visual.transformer.resblocks:
        parts = {**dict(block.named_modules()), **dict(block.named_parameters())}
        for name in LEFT_OUT:
            if not isinstance(parts.get(name, nn.Identity()), nn.Identity):
                return f"the published algorithm has no form for a ViT with {name}"
    return ""


def reference_tokens(
    visual: Any, pixels: Tensor, blocks: int = 6, iterations: int = 1, inv_temperature: float | None = None
) -> Tensor:
    """Normalised pixels (B, 3, H, W) -> unit-norm patch tokens (B, h·w, D) of an open_clip ``VisionTransformer``.

    ``blocks`` is the published ``depth`` less one; ``inv_temperature`` is 1/τ, None: adaptive per image.
    For the towers of which :func:`no_form` says nothing.
    """
    x = _embed(visual, pixels)
    resblocks = list(visual.transformer.resblocks)
    dense = x
    for index, block in enumerate(resblocks):
        if index == len(resblocks) - blocks:
            dense = x
        h = block.ln_1(x)
        q, k, v = _project(block.attn, h)
        if index >= len(resblocks) - blocks:
            tau = _inverse_temperature(h, v) if inv_temperature is None else inv_temperature
            o = [_self_self(s, v, tau, iterations) for s in (q, k, v)]
            dense = dense + block.ls_1(_output(block.attn, (o[0] + o[1] + o[2]) / 3))
        attended = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1) @ v
        x = x + block.ls_1(_output(block.attn, attended))
        x = x + block.ls_2(block.mlp(block.ln_2(x)))
    return F.normalize(visual.ln_post(dense)[:, 1:] @ visual.proj, dim=-1)


def reference_maps(
    clip: Any, tokenizer: Callable[[list[str]], Tensor], pixels: Tensor, texts: Sequence[str], **settings: Any
) -> Tensor:
    """Similarity maps (B, Q, H, W) in [0, 1] of ``texts``, stretched to each map's own range as published.

    ``settings`` are those of :func:`reference_tokens`. The text is encoded in every call.
    """
    prompts = tokenizer([f"a photo of a {text}." for text in texts]).to(pixels.device)
    text = F.normalize(clip.encode_text(prompts), dim=-1)
    (height, width), (patch_h, patch_w) = pixels.shape[-2:], clip.visual.patch_size
    cosines = reference_tokens(clip.visual, pixels, **settings) @ text.T  # (B, h·w, Q)
    maps = cosines.transpose(1, 2).reshape(len(pixels), len(texts), height // patch_h, width // patch_w)
    maps = F.interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)
    low, high = maps.amin(dim=(-2, -1), keepdim=True), maps.amax(dim=(-2, -1), keepdim=True)
    return (maps - low) / (high - low)


def _embed(visual: Any, pixels: Tensor) -> Tensor:
    """Patches, CLS first, and the position embedding resized to their grid: (B, 3, H, W) -> (B, N, C)."""
    patches = visual.conv1(pixels)
    height, width = patches.shape[-2:]
    position = visual.positional_embedding
    if (height, width) != tuple(visual.grid_size):
        grid = position[1:].reshape(1, *visual.grid_size, -1).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
        position = torch.cat((position[:1], grid[0].flatten(1).T))
    cls = visual.class_embedding.expand(len(patches), 1, -1)
    embedded: Tensor = visual.ln_pre(torch.cat((cls, patches.flatten(2).transpose(1, 2)), dim=1) + position)
    return embedded


def _project(attention: Any, h: Tensor) -> tuple[Tensor, ...]:
    """q, k, v = split(W_qkv h), (B, heads, N, d) each."""
    qkv = F.linear(h, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
    return tuple(each.reshape(*h.shape[:2], attention.num_heads, -1).transpose(1, 2) for each in qkv)


def _output(attention: Any, mixed: Tensor) -> Tensor:
    """O: (B, heads, N, d) -> (B, N, C)."""
    projected: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return projected


def _inverse_temperature(h: Tensor, v: Tensor) -> Tensor:
    """1/τ = mean over the tokens of ‖h‖ · d^(−1/2), (B, 1, 1, 1)."""
    inverse: Tensor = torch.linalg.vector_norm(h, dim=-1).mean(dim=-1) * v.shape[-1] ** -0.5
    return inverse[:, None, None, None]


def _self_self(s: Tensor, v: Tensor, inverse: Tensor | float, iterations: int) -> Tensor:
    """K times s ← softmax(ŝŝᵀ/τ) ŝ, then softmax(ŝŝᵀ/τ) v."""
    for _ in range(iterations):
        s = F.normalize(s, dim=-1)
        s = (s @ s.transpose(-2, -1) * inverse).softmax(dim=-1) @ s
    s = F.normalize(s, dim=-1)
    return (s @ s.transpose(-2, -1) * inverse).softmax(dim=-1) @ v

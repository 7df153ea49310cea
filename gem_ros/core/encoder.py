"""Image -> dense patch features; the only place that touches open_clip's vision towers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor, nn

from gem_ros.core import attention
from gem_ros.core.attention import RULES, Attend, Grid, Projected, Settings
from gem_ros.core.self_calibration import calibrated
from gem_ros.errors import ModelError

MAX_GRIDS = 16  # resized position embeddings kept


class DenseEncoder(nn.Module):
    """Patch features of an open_clip ``VisionTransformer`` by one of the rules in :data:`RULES`.

    Keeps the module's dtype and device, runs eager, differentiable. ``blocks`` (the last ones that
    the rule is given) matters to ``gem`` and ``clip_surgery`` only, ``projections`` ("qkv" or fewer) and
    ``normalise`` to ``gem``; ``inv_temperature`` is 1/τ, None: adaptive per image. With ``cls`` the image's own
    embedding, CLS of the original path, comes before its patches. ``attend`` is the attention product:
    ``attention.fused``, or ``attention.explicit`` which is quicker to differentiate on a CPU.

    Raises :class:`ModelError` for other towers, attentional pooling, an unknown method, or more
    blocks than the tower has.
    """

    def __init__(
        self,
        visual: Any,
        method: str = "gem",
        blocks: int = 6,
        iterations: int = 1,
        inv_temperature: float | None = None,
        *,
        projections: str = "qkv",
        normalise: bool = True,
        cls: bool = False,
        attend: Attend = attention.fused,
    ) -> None:
        super().__init__()
        _check_tower(visual)
        if method not in RULES:
            raise ModelError(f"method: expected one of {', '.join(RULES)}; got {method!r}")
        if not projections or set(projections) - set("qkv"):
            raise ModelError(f"projections: expected some of q, k and v; got {projections!r}")
        self.visual: Any = visual
        self.rule = RULES[method]
        self.settings = Settings(iterations, inv_temperature, projections, normalise, attend=attend)
        self.cls = cls
        layers = len(visual.transformer.resblocks)
        self.blocks = blocks if self.rule.path == "second" else 1
        if not 1 <= self.blocks <= layers:
            raise ModelError(f"blocks: expected 1 to {layers}, the blocks of this model, got {blocks}; set gem.blocks")
        if self.rule.path == "calibrated" and layers < 2:
            raise ModelError(f"method {method}: expected a model of at least 2 blocks, got {layers}")
        self._positions: dict[tuple[object, ...], Tensor] = {}

    @property
    def patch_size(self) -> tuple[int, int]:
        """(height, width) of a patch in px."""
        height, width = self.visual.patch_size
        return int(height), int(width)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights, and so of the tokens."""
        dtype: torch.dtype = self.visual.conv1.weight.dtype
        return dtype

    @property
    def attend(self) -> Attend:
        """The attention product in use."""
        return self.settings.attend

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels (B, 3, H, W), normalised as the model wants -> unit-norm patch tokens (B, h·w, D), row by row.

        With ``cls`` (B, 1 + h·w, D), the image's own embedding first.
        H and W are any multiples of the patch; anything else raises :class:`ModelError`.
        """
        return self.tokens(pixels, self.position(pixels))

    def all_tokens(self, pixels: Tensor) -> Tensor:
        """As :meth:`forward` with the CLS token that the rule leaves behind first: (B, 1 + h·w, D)."""
        return self._to_embedding(self._hidden(pixels, self.position(pixels))[0])

    def tokens(self, pixels: Tensor, position: Tensor) -> Tensor:
        """As :meth:`forward` with the :meth:`position` of these pixels: a pure function of tensors, for compilers."""
        dense, x = self._hidden(pixels, position)
        if self.cls:
            dense = torch.cat((self._image(x, self._grid(pixels)), dense[:, 1:]), dim=1)
        return self._to_embedding(dense if self.cls else dense[:, 1:])

    def position(self, pixels: Tensor) -> Tensor:
        """The position embedding (1 + h·w, C) for pixels (B, 3, H, W), kept while weights stand still."""
        (patch_h, patch_w), (height, width) = self.patch_size, pixels.shape[-2:]
        if height % patch_h or width % patch_w or not (height and width):
            raise ModelError(f"pixels: expected sides that are multiples of {patch_h}x{patch_w}, got {height}x{width}")
        return self._resized(height // patch_h, width // patch_w)

    def train(self, mode: bool = True) -> DenseEncoder:
        """Switch mode as every module does, and forget resized embeddings of weights that may change."""
        self._positions.clear()
        return super().train(mode)

    def _hidden(self, pixels: Tensor, position: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> the residual stream (B, 1 + h·w, C) that the rule leaves behind, and the original path's
        at the last block."""
        x, grid, layers = self._embed(pixels, position), self._grid(pixels), []
        blocks = list(self.visual.transformer.resblocks)
        for block in blocks[: -self.blocks]:
            x = self._original(block, x, attention.project(block, x, grid))
            if self.rule.path == "calibrated":
                layers.append(x)
        if self.rule.path == "second":
            return self._second_path(blocks[-self.blocks :], x, grid)
        last = blocks[-1]
        if self.rule.path == "calibrated":
            return calibrated(layers, last, grid, self.rule, self.settings), x
        dense = attention.output(last, self.rule.mix(attention.project(last, x, grid), self.settings))
        if self.rule.residual:
            dense = x + dense
        return attention.feed_forward(last, dense) if self.rule.mlp else dense, x

    def _second_path(self, blocks: list[Any], x: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
        """x_dense ← x_dense + O(mix) beside the original path, which the last block no longer needs."""
        dense = x
        for block in blocks:
            tokens = attention.project(block, x, grid)
            dense = dense + attention.output(block, self.rule.mix(tokens, self.settings))
            if block is not blocks[-1]:
                x = self._original(block, x, tokens)
        return dense, x

    def _original(self, block: Any, x: Tensor, tokens: Projected) -> Tensor:
        x = x + attention.output(block, attention.standard(tokens, self.settings))
        return attention.feed_forward(block, x)

    def _image(self, x: Tensor, grid: Grid) -> Tensor:
        """CLS (B, 1, C) behind the last block's original path, which brought ``x`` there: one row of its attention."""
        last = self.visual.transformer.resblocks[-1]
        tokens = attention.project(last, x, grid)
        return self._original(last, x[:, :1], replace(tokens, q=tokens.q[:, :, :1]))

    def _grid(self, pixels: Tensor) -> Grid:
        (patch_h, patch_w), (height, width) = self.patch_size, pixels.shape[-2:]
        return height // patch_h, width // patch_w

    def _embed(self, pixels: Tensor, position: Tensor) -> Tensor:
        """Patches, CLS and position embedding, ln_pre where there is one: (B, 3, H, W) -> (B, 1 + h·w, C)."""
        visual, (patch_h, patch_w) = self.visual, self.patch_size
        weight, bias = visual.conv1.weight, visual.conv1.bias
        batch, channels, height, width = pixels.shape
        # a convolution whose stride is its size, as a matrix product: (B, 3, h, p, w, p) -> (B, h·w, 3·p·p)
        patches = pixels.to(weight.dtype).reshape(
            batch, channels, height // patch_h, patch_h, width // patch_w, patch_w
        )
        patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * patch_h * patch_w)
        patches = F.linear(patches, weight.flatten(1), bias)
        cls = visual.class_embedding.to(patches.dtype).expand(patches.shape[0], 1, -1)
        embedded: Tensor = visual.ln_pre(torch.cat((cls, patches), dim=1) + position.to(patches.dtype))
        return embedded

    def _resized(self, height: int, width: int) -> Tensor:
        """The position embedding on a grid of h rows and w columns, from the cache where it may be."""
        source = self.visual.positional_embedding
        if torch.is_grad_enabled() and source.requires_grad:
            return resized_position(source, self.visual.grid_size, (height, width))
        version = 0 if source.is_inference() else source._version
        key = (height, width, source.device, source.dtype, source.data_ptr(), version)
        if key not in self._positions:
            if len(self._positions) >= MAX_GRIDS:
                self._positions.clear()
            self._positions[key] = resized_position(source, self.visual.grid_size, (height, width))
        return self._positions[key]

    def _to_embedding(self, x: Tensor) -> Tensor:
        """ln_post per token, projection, unit norm: (B, n, C) -> (B, n, D)."""
        x = self.visual.ln_post(x)
        if self.visual.proj is not None:
            x = x @ self.visual.proj
        return F.normalize(x, dim=-1)


def input_size(size: tuple[int, int], longer: int, patch: tuple[int, int]) -> tuple[int, int]:
    """(H, W) -> the ViT's input: aspect kept, longer side ``longer``, sides rounded to patches, at least one each."""
    scale = longer / max(size)
    height, width = (
        max(1, math.floor(side * scale / unit + 0.5)) * unit for side, unit in zip(size, patch, strict=True)
    )
    return height, width


def resized_position(embedding: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Position embedding (1 + g_h·g_w, C), CLS first, from ``grid`` to ``size`` (h, w): bicubic, antialiased."""
    if tuple(grid) == tuple(size):
        return embedding
    cls, patches = embedding[:1], embedding[1:]
    picture = patches.float().reshape(*grid, -1).permute(2, 0, 1)[None]  # (1, C, g_h, g_w)
    picture = F.interpolate(picture, size=size, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat((cls, picture[0].flatten(1).T.to(embedding.dtype)))


def _check_tower(visual: Any) -> None:
    kind = type(visual).__name__
    if not isinstance(visual, VisionTransformer):
        raise ModelError(f"model: expected an open_clip VisionTransformer, got {kind}; choose a ViT such as ViT-B-16")
    if getattr(visual, "attn_pool", None) is not None:
        raise ModelError("model: expected a ViT with a projection per token, got one with attentional pooling (CoCa)")
    if any(getattr(block.attn, "logit_scale", None) is not None for block in visual.transformer.resblocks):
        raise ModelError("model: expected softmax(q kᵀ/√d) attention, got scaled cosine attention; choose another ViT")

"""Image -> dense patch features, by one of the attention rules on a tower's blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gem_ros.core import attention
from gem_ros.core.attention import RULES, Attend, Grid, Projected, Settings
from gem_ros.core.self_calibration import calibrated
from gem_ros.core.towers import Position, tower_of
from gem_ros.errors import ModelError

MAX_GRIDS = 16  # resized position embeddings kept


class DenseEncoder(nn.Module):
    """Patch features of an open_clip image tower that is a vision transformer, by one of the rules in :data:`RULES`.

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
        self.tower = tower_of(visual)
        if method not in RULES:
            raise ModelError(f"method: expected one of {', '.join(RULES)}; got {method!r}")
        if not projections or set(projections) - set("qkv"):
            raise ModelError(f"projections: expected some of q, k and v; got {projections!r}")
        self.visual: Any = visual
        self.rule = RULES[method]
        self.settings = Settings(iterations, inv_temperature, projections, normalise, attend=attend)
        self.cls = cls
        layers = len(self.tower.blocks)
        self.blocks = blocks if self.rule.path == "second" else 1
        if not 1 <= self.blocks <= layers:
            raise ModelError(f"blocks: expected 1 to {layers}, the blocks of this model, got {blocks}; set gem.blocks")
        if self.rule.path == "calibrated" and layers < 2:
            raise ModelError(f"method {method}: expected a model of at least 2 blocks, got {layers}")
        if self.tower.prefix != 1 and (cls or self.rule.path == "calibrated"):
            what = "feature_surgery" if cls else f"method {method}"
            raise ModelError(f"{what}: expected a model with a CLS token, got one without; choose another")
        self._positions: dict[tuple[object, ...], Position] = {}

    @property
    def patch_size(self) -> tuple[int, int]:
        """(height, width) of a patch in px."""
        return self.tower.patch_size

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights, and so of the tokens."""
        return self.tower.dtype

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
        """As :meth:`forward` with the CLS token that the rule leaves behind first, where there is one."""
        return self.tower.to_embedding(self._hidden(pixels, self.position(pixels))[0])

    def tokens(self, pixels: Tensor, position: Position) -> Tensor:
        """As :meth:`forward` with the :meth:`position` of these pixels: a pure function of tensors, for compilers."""
        dense, x = self._hidden(pixels, position)
        if self.cls:
            dense = torch.cat((self._image(x, position, self._grid(pixels)), dense[:, 1:]), dim=1)
        return self.tower.to_embedding(dense if self.cls else dense[:, self.tower.prefix :])

    def position(self, pixels: Tensor) -> Position:
        """Where the tokens of pixels (B, 3, H, W) are, kept while weights stand still."""
        (patch_h, patch_w), (height, width) = self.patch_size, pixels.shape[-2:]
        if height % patch_h or width % patch_w or not (height and width):
            raise ModelError(f"pixels: expected sides that are multiples of {patch_h}x{patch_w}, got {height}x{width}")
        return self._resized(height // patch_h, width // patch_w)

    def train(self, mode: bool = True) -> DenseEncoder:
        """Switch mode as every module does, and forget resized embeddings of weights that may change."""
        self._positions.clear()
        return super().train(mode)

    def _hidden(self, pixels: Tensor, position: Position) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) -> the residual stream (B, 1 + h·w, C) that the rule leaves behind, and the original path's
        at the last block."""
        tower, grid, layers = self.tower, self._grid(pixels), []
        x = tower.embed(pixels, position)
        for block in tower.blocks[: -self.blocks]:
            x = self._original(block, x, self._project(block, x, position, grid))
            if self.rule.path == "calibrated":
                layers.append(x)
        if self.rule.path == "second":
            return self._second_path(tower.blocks[-self.blocks :], x, position, grid)
        last = tower.blocks[-1]
        if self.rule.path == "calibrated":
            return self._calibrated(last, layers, grid), x
        dense = tower.output(last, self.rule.mix(self._project(last, x, position, grid), self.settings))
        if self.rule.residual:
            dense = x + dense
        return tower.feed_forward(last, dense) if self.rule.mlp else dense, x

    def _second_path(self, blocks: Sequence[Any], x: Tensor, position: Position, grid: Grid) -> tuple[Tensor, Tensor]:
        """x_dense ← x_dense + O(mix) beside the original path, which the last block no longer needs."""
        tower, dense = self.tower, x
        for block in blocks:
            tokens = self._project(block, x, position, grid)
            dense = dense + tower.output(block, self.rule.mix(tokens, self.settings))
            if block is not blocks[-1]:
                x = self._original(block, x, tokens)
        return dense, x

    def _calibrated(self, last: Any, layers: Sequence[Tensor], grid: Grid) -> Tensor:
        def attend(patches: Tensor, own: Tensor) -> Tensor:
            """O of the mean of the last block's attention by weights ``own`` and by the rule, among patches alone."""
            tokens = self.tower.project(last, patches, Position(patches))
            return self.tower.output(last, (own[:, None] @ tokens.v + self.rule.mix(tokens, self.settings)) / 2)

        return calibrated(layers, grid, attend)

    def _original(self, block: Any, x: Tensor, tokens: Projected) -> Tensor:
        x = x + self.tower.output(block, attention.standard(tokens, self.settings))
        return self.tower.feed_forward(block, x)

    def _image(self, x: Tensor, position: Position, grid: Grid) -> Tensor:
        """CLS (B, 1, C) behind the last block's original path, which brought ``x`` there: one row of its attention."""
        last = self.tower.blocks[-1]
        tokens = self._project(last, x, position, grid)
        q, k = tokens.rotated or (tokens.q, tokens.k)
        return self._original(last, x[:, :1], Projected(tokens.h, q[:, :, :1], k, tokens.v, grid))

    def _project(self, block: Any, x: Tensor, position: Position, grid: Grid) -> Projected:
        tokens = self.tower.project(block, x, position)
        return Projected(tokens.h, tokens.q, tokens.k, tokens.v, grid, tokens.rotated)

    def _grid(self, pixels: Tensor) -> Grid:
        (patch_h, patch_w), (height, width) = self.patch_size, pixels.shape[-2:]
        return height // patch_h, width // patch_w

    def _resized(self, height: int, width: int) -> Position:
        """The position on a grid of h rows and w columns, from the cache where it may be."""
        source = self.tower.learned_position
        if torch.is_grad_enabled() and source.requires_grad:
            return self.tower.position((height, width))
        version = 0 if source.is_inference() else source._version
        key = (height, width, source.device, source.dtype, source.data_ptr(), version)
        if key not in self._positions:
            if len(self._positions) >= MAX_GRIDS:
                self._positions.clear()
            self._positions[key] = self.tower.position((height, width))
        return self._positions[key]


def input_size(size: tuple[int, int], longer: int, patch: tuple[int, int]) -> tuple[int, int]:
    """(H, W) -> the ViT's input: aspect kept, longer side ``longer``, sides rounded to patches, at least one each."""
    scale = longer / max(size)
    height, width = (
        max(1, math.floor(side * scale / unit + 0.5)) * unit for side, unit in zip(size, patch, strict=True)
    )
    return height, width

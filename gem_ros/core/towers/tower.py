"""What dense features need of a vision transformer, one small step each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gem_ros.core.attention import Projected


class Position(NamedTuple):
    """Where tokens are, on one grid of h·w patches: ``embedding`` (prefix + h·w, C), added to them; ``rotation``
    (h·w, 2·d), sines and cosines that turn patches' q and k, where the tower has rotary attention."""

    embedding: Tensor
    rotation: Tensor | None = None


class Tower(ABC):
    """A vision transformer taken apart; B images, N = prefix + h·w tokens, C width, heads·d channels.

    ``visual`` is open_clip's module, ``blocks`` its transformer blocks, ``prefix`` the tokens before the patches
    (CLS, or none), ``patch_size`` (height, width) px, ``grid`` (rows, columns) of ``learned_position``. Holds no
    weights of its own.
    """

    visual: Any
    blocks: Sequence[Any]
    prefix: int
    patch_size: tuple[int, int]
    grid: tuple[int, int]

    @property
    @abstractmethod
    def learned_position(self) -> Tensor:
        """The position embedding as it was trained, (prefix + rows·columns, C)."""

    @abstractmethod
    def embed(self, pixels: Tensor, position: Position) -> Tensor:
        """Patches behind the prefix, with position, as the first block takes them: (B, 3, H, W) -> (B, N, C)."""

    @abstractmethod
    def project(self, block: Any, x: Tensor, position: Position) -> Projected:
        """q, k, v = split(W_qkv h), h = ln_1(x), of one block; x (B, N, C)."""

    @abstractmethod
    def output(self, block: Any, mixed: Tensor) -> Tensor:
        """O, the block's way from (B, heads, N, d) back to the residual stream (B, N, C), layer scale included."""

    @abstractmethod
    def feed_forward(self, block: Any, x: Tensor) -> Tensor:
        """x + MLP(ln_2(x)), layer scale included."""

    @abstractmethod
    def to_embedding(self, x: Tensor) -> Tensor:
        """Each token's own way to the space of the texts, unit norm: (B, n, C) -> (B, n, D)."""

    def position(self, grid: tuple[int, int]) -> Position:
        """Where tokens are on a grid of (rows, columns)."""
        return Position(resized_position(self.learned_position, self.grid, grid))

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights, and so of the tokens."""
        return self.learned_position.dtype

    @property
    def width(self) -> int:
        """C."""
        return self.learned_position.shape[-1]


def resized_position(embedding: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Position embedding (prefix + g_h·g_w, C) from ``grid`` to ``size`` (h, w): bicubic, antialiased."""
    if tuple(grid) == tuple(size):
        return embedding
    prefix = len(embedding) - grid[0] * grid[1]
    first, patches = embedding[:prefix], embedding[prefix:]
    picture = patches.float().reshape(*grid, -1).permute(2, 0, 1)[None]  # (1, C, g_h, g_w)
    picture = F.interpolate(picture, size=size, mode="bicubic", antialias=True, align_corners=False)
    return torch.cat((first, picture[0].flatten(1).T.to(embedding.dtype)))


def embedded_patches(pixels: Tensor, convolution: Any) -> Tensor:
    """A convolution whose stride is its size, as a matrix product: (B, 3, H, W) -> (B, h·w, C), row by row."""
    weight = convolution.weight  # (C, 3, p, p)
    batch, channels, height, width = pixels.shape
    patch_h, patch_w = weight.shape[-2:]
    # (B, 3, h, p, w, p) -> (B, h·w, 3·p·p)
    patches = pixels.to(weight.dtype).reshape(batch, channels, height // patch_h, patch_h, width // patch_w, patch_w)
    patches = patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * patch_h * patch_w)
    return F.linear(patches, weight.flatten(1), convolution.bias)


def to_heads(projected: Tensor, heads: int) -> Tensor:
    """(B, N, heads·d) -> (B, heads, N, d)."""
    return projected.reshape(*projected.shape[:2], heads, -1).transpose(1, 2)


def from_heads(mixed: Tensor) -> Tensor:
    """(B, heads, N, d) -> (B, N, heads·d)."""
    return mixed.transpose(1, 2).flatten(2)

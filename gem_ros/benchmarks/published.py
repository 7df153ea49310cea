"""The published algorithm with a grounder's weights, and how equal to it the grounder's results are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gem_ros.benchmarks.reference import reference_tokens
from gem_ros.benchmarks.results import Measurement
from gem_ros.core.pretrained import load_model
from gem_ros.core.similarity import similarity_maps
from gem_ros.core.text import TextEncoder
from gem_ros.pipeline import Grounder


@dataclass(frozen=True, eq=False)
class Published:
    """The published algorithm with the weights of ``grounder``, in its own precision."""

    grounder: Grounder
    precision: torch.dtype

    @cached_property
    def model(self) -> Any:
        """Loaded once more: nothing is shared with what it is compared with."""
        config = self.grounder.config
        digest = config.weights_sha256
        return load_model(config.model, config.pretrained, self.grounder.device, self.precision, sha256=digest)

    @cached_property
    def statistics(self) -> tuple[Tensor, ...]:
        """Mean and standard deviation of RGB, (3, 1, 1) each."""
        model, device = self.model, self.grounder.device
        return tuple(torch.tensor(each, device=device)[:, None, None] for each in (model.mean, model.std))

    @torch.inference_mode()
    def maps(self, rgb: npt.NDArray[np.uint8], text: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (h, w, D) and cosines (Q, h, w) with ``text`` (Q, D) of an image that is as large as the input."""
        mean, std = self.statistics
        pixels = torch.from_numpy(rgb).to(text.device).permute(2, 0, 1)[None].float() / 255
        gem = self.grounder.config.gem
        inverse = 1 / gem.temperature if gem.temperature else None
        tokens = reference_tokens(
            self.model.clip.visual, ((pixels - mean) / std).to(self.precision), gem.blocks, gem.iterations, inverse
        )
        rows, columns = (side // patch for side, patch in zip(rgb.shape[:2], self.model.patch_size, strict=True))
        tokens = tokens[0].reshape(rows, columns, -1)
        return tokens, similarity_maps(tokens, text)

    def encode(self, queries: list[str]) -> Tensor:
        """Text embeddings (Q, D), encoded anew."""
        return TextEncoder(self.model.clip, self.model.tokenizer).embed(queries)


def agreement(
    tokens: Sequence[Tensor], exact_tokens: Sequence[Tensor], maps: Sequence[Tensor], exact_maps: Sequence[Tensor]
) -> Iterator[Measurement]:
    """Cosine of tokens (h, w, D) per patch, and how often a map (Q, h, w) peaks within one patch of the exact one."""
    pairs = zip(tokens, exact_tokens, strict=True)
    cosines = torch.cat([(one.float() * other.float()).sum(dim=-1).flatten() for one, other in pairs])
    yield Measurement(
        "model.agreement.cosine", float(cosines.mean()), "", "higher", "cosine to the published fp32, mean"
    )
    yield Measurement("model.agreement.worst", float(cosines.min()), "", "higher", "cosine to it, worst patch")
    near = torch.cat([_near(*pair) for pair in zip(maps, exact_maps, strict=True)])
    share = 100 * float(near.float().mean())
    yield Measurement(
        "model.agreement.argmax", share, "%", "higher", f"of {len(near)} maps peak within one patch of it"
    )


def _near(maps: Tensor, exact: Tensor) -> Tensor:
    """(Q,) bool: both peaks of (Q, h, w) are at most one row and one column apart."""
    columns = maps.shape[-1]
    ours, theirs = (each.flatten(1).argmax(dim=1) for each in (maps, exact))
    rows_apart = (ours // columns - theirs // columns).abs()
    columns_apart = (ours % columns - theirs % columns).abs()
    return (rows_apart <= 1) & (columns_apart <= 1)

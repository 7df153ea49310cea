"""Patch tokens and text embeddings -> similarity, relevancy, presence; all in absolute units.

Q queries, h×w patches, D channels. A relevancy is kept as its logit as long as possible: the logit
never saturates, and presence is decided on it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gem_ros.models import Presence, Relevancy

CANONICAL = ("object", "things", "stuff", "texture")  # LERF (arXiv 2303.09553), section 3.3


def similarity_maps(tokens: Tensor, text: Tensor) -> Tensor:
    """Cosine of every patch with every text: tokens (h, w, D), text (Q, D), unit norm -> (Q, h, w) float32."""
    return torch.einsum("hwd,qd->qhw", tokens.float(), text.float())


def relevancy_logits(similarity: Tensor, negatives: Tensor, relevancy: Relevancy) -> Tensor:
    """ln(r / (1 − r)) of the relevancy r by a model's card: (Q, h, w) and negatives (N, h, w) -> (Q, h, w).

    ``lerf``: r = min over i of softmax(scale·[cos(q), cos(nᵢ)])₀ = σ(scale·(cos(q) − maxᵢ cos(nᵢ)));
    ``sigmoid``: r = σ(scale·cos(q) + bias), without negatives.
    """
    if relevancy.kind == "sigmoid":
        return relevancy.scale * similarity + relevancy.bias
    return relevancy.scale * (similarity - negatives.amax(dim=0))


def evidence_maps(similarity: Tensor, logits: Tensor, presence: Presence) -> Tensor:
    """The maps whose maximum speaks for presence: cosines, or relevancy logits; (Q, h, w)."""
    return similarity if presence.evidence == "cosine" else logits


def presence_scores(evidence: Tensor, presence: Presence) -> Tensor:
    """Probability that the thing is in view, σ(a·evidence + b) in [0, 1]; any shape.

    It depends on the query's own evidence only, whatever else is asked.
    """
    return torch.sigmoid(presence.a * evidence + presence.b)


def upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Patch maps (Q, h, w) -> (Q, H, W), bilinear; pixel and patch centres as in :class:`PatchFeatures`."""
    return F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]


def min_max(maps: Tensor) -> Tensor:
    """Each map stretched to [0, 1], as the published GEM code shows them; for pictures, never for decisions.

    (Q, H, W) -> (Q, H, W); a constant map becomes 0.
    """
    low, high = maps.amin(dim=(-2, -1), keepdim=True), maps.amax(dim=(-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp_min(torch.finfo(maps.dtype).tiny)

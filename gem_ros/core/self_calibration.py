"""SC-CLIP (arXiv 2411.15869), experimental: CLIP's last block, calibrated by its own middle layers.

The published description leaves open how outliers are told, what becomes of CLS, and what other depths and batches
mean. Settled as its code does: local outlier factors of squared distances, with the k-distance of a patch itself
as its reachability; the mean of the neighbours that are no outliers; S of layer 9 with its outliers replaced, that
of layer 4 without; CLS as it is in the residual stream. Settled here: layers are round(l·L/12) of L; every number is
one image's; k is at most half the number of patches, for with all of them factors come in equal pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from gem_ros.core.attention import Grid

NEIGHBOURS = 30
OUTLIERS = 0.05  # share of the patches
LIKE = 0.4  # cosine from which patches count as alike
SHARPNESS = 3.0
CLS_SHARE = 0.3
DEEP, SHALLOW, DEEPEST = 9, 4, 10  # layers of 12: outputs of these blocks, the first being 1


def calibrated(layers: Sequence[Tensor], grid: Grid, attend: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """What takes the place of the last block's output: (B, 1 + h·w, C), in place of CLS the share of it.

    ``layers`` are the outputs (B, 1 + h·w, C) of all blocks but the last, whose attention is ``attend``: half by the
    weights (B, n, n) that are its second argument.
    """
    deep, shallow, deepest = (layer_of(each, len(layers) + 1) for each in (DEEP, SHALLOW, DEEPEST))
    outliers = outlier_mask(layers[-1][:, 1:])
    likeness = _likeness(without(outliers, layers[deep - 1][:, 1:], grid))
    own = _own(likeness)
    regions = _regions(_likeness(layers[shallow - 1][:, 1:]))
    smooth = _regions(likeness) @ without(outliers, layers[-1][:, 1:], grid)
    several = torch.stack(tuple(layers[shallow - 1 : deepest])).sum(dim=0)
    share = CLS_SHARE * (layers[-1] + several)[:, :1]
    dense = share.new_zeros(smooth.shape)
    for patches, cls in ((smooth, layers[-1][:, :1]), (several[:, 1:], several[:, :1])):
        dense = dense + regions @ (attend(patches, own) + CLS_SHARE * cls)
    return torch.cat((share, dense), dim=1)


def layer_of(layer: int, layers: int) -> int:
    """The one of ``layers`` that is what ``layer`` is of 12, never the last."""
    return min(max(round(layer * layers / 12), 1), layers - 1)


def outlier_mask(patches: Tensor) -> Tensor:
    """(B, n, C) -> (B, n, 1) bool: the patches with the largest local outlier factors."""
    x = patches.float()
    distances = torch.cdist(x, x).square()
    k = min(NEIGHBOURS, x.shape[1] // 2)
    if k < 1:
        return torch.zeros_like(x[..., :1], dtype=torch.bool)
    nearest, which = distances.topk(k + 1, largest=False)
    density = 1 / nearest[..., -1].clamp_min(1e-6)  # (B, n): of all k the k-th is the farthest
    around = density[:, None].expand_as(distances).gather(2, which[..., 1:])
    factor = around.mean(dim=-1) / density
    return (factor > factor.quantile(1 - OUTLIERS, dim=-1, keepdim=True))[..., None]


def without(outliers: Tensor, patches: Tensor, grid: Grid) -> Tensor:
    """``patches`` (B, h·w, C) with the mean of the up to eight neighbours that are none in place of ``outliers``."""
    kept = (~outliers).to(patches.dtype)
    sums, counts = (_around(each, grid) for each in (patches * kept, kept))
    return torch.where(outliers & (counts > 0), sums / counts.clamp_min(1), patches)


def _around(values: Tensor, grid: Grid) -> Tensor:
    """Sum over the 3×3 patches around each, (B, h·w, C): outliers, which alone matter, are 0 themselves."""
    picture = values.transpose(1, 2).reshape(len(values), -1, *grid)  # (B, C, h, w)
    return (9 * F.avg_pool2d(picture, 3, stride=1, padding=1)).flatten(2).transpose(1, 2)


def _likeness(patches: Tensor) -> Tensor:
    """S (B, n, n): cosines between patches."""
    unit = F.normalize(patches, dim=-1)
    return unit @ unit.transpose(1, 2)


def _regions(likeness: Tensor) -> Tensor:
    """Weights (B, n, n): S where patches are alike, else 0, rows summing to 1."""
    alike = likeness.where(likeness >= LIKE, 0)
    return alike / (alike.sum(dim=-1, keepdim=True) + 1e-6)


def _own(likeness: Tensor) -> Tensor:
    """Weights (B, n, n) of the last block's attention: softmax(3 (S − mean S), what is negative −∞)."""
    logits = SHARPNESS * (likeness - likeness.mean(dim=(1, 2), keepdim=True))
    return logits.masked_fill(logits < 0, -torch.inf).softmax(dim=-1)

"""Patch tokens and text embeddings -> similarity, relevancy, presence; all in absolute units.

Q queries, h×w patches, D channels. A relevancy is kept as its logit as long as possible: the logit
never saturates, and presence is decided on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from gem_ros.data import PatchFeatures
from gem_ros.models import EVIDENCES, Evidence, Presence, Relevancy
from gem_ros.queries import SYNONYM, synonyms

# On a CPU, products of up to SMALL multiplications are done in the calling thread: waking another one for so little
# takes up to 10 ms where cores are busy, and PyTorch's then spins as long again. OpenBLAS wakes none for ONE_THREAD.
SMALL, ONE_THREAD = 2**23, 2**18

CANONICAL = ("object", "things", "stuff", "texture")  # LERF (arXiv 2303.09553), section 3.3


def similarity_maps(tokens: Tensor, text: Tensor) -> Tensor:
    """Cosine of every patch with every text: tokens (h, w, D), text (Q, D), unit norm -> (Q, h, w) float32."""
    tokens, text = tokens.float(), text.float()
    if tokens.device.type == "cpu" and len(text) * tokens.numel() <= SMALL and not torch.is_grad_enabled():
        return torch.from_numpy(_small_product(tokens.numpy(), text.numpy()))
    return torch.einsum("hwd,qd->qhw", tokens, text)


def maps_of(features: PatchFeatures, text: Tensor) -> Tensor:
    """(Q, h, w) similarity of an image's patches with texts (Q, D), by feature surgery where it has its ``cls``."""
    maps = similarity_maps(features.tokens, text)
    return maps if features.cls is None else feature_surgery(maps, text @ features.cls)


def feature_surgery(maps: Tensor, whole: Tensor) -> Tensor:
    """Cosines (Q, h, w) weighed by how well each text fits the ``whole`` image, less what all have in common.

    CLIP Surgery (arXiv 2304.05653): Σ_c (F − mean_t F) of F_t = f ⊙ T_t · w_t is w_t cos_t − mean_t w_t cos_t, with
    w = softmax(2 · whole) over its mean, ``whole`` (Q,) being cosines with CLS. The same of a single text is 0: it
    needs others, as the canonical phrases are. It is the only similarity of a text that depends on the others.
    """
    weights = (2 * whole.float()).softmax(dim=0) * len(whole)
    weighed = weights[:, None, None] * maps
    return weighed - weighed.mean(dim=0)


def _small_product(tokens: npt.NDArray[np.float32], text: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(h, w, D), (Q, D) -> (Q, h, w) in the calling thread, piece by piece."""
    patches = tokens.reshape(-1, tokens.shape[2]).T
    maps = np.empty((len(text), patches.shape[1]), np.float32)
    step = max(ONE_THREAD // max(text.size, 1), 1)
    for start in range(0, patches.shape[1], step):
        np.matmul(text, patches[:, start : start + step], out=maps[:, start : start + step])
    return maps.reshape(-1, *tokens.shape[:2])


def rivals(competitors: Tensor, texts: Sequence[str], queries: Sequence[str]) -> Tensor:
    """The largest cosine of what counts as "something else" for each query at each patch.

    ``competitors`` (N, h, w) are the similarity maps of ``texts`` (N,): negatives, and with ``exclusive`` the
    other queries -> (Q, h, w), −inf where nothing competes. A query never competes with itself, however it is
    written (capitals and spaces aside).
    """
    names: dict[str, list[int]] = {}
    for index, text in enumerate(texts):
        names.setdefault(_plain(text), []).append(index)
    places = {name: place for place, name in enumerate(names)}
    own = torch.tensor(
        [places.get(_plain(query), -1) for query in queries], dtype=torch.long, device=competitors.device
    )
    nothing = competitors.new_full(competitors.shape[1:], -torch.inf)  # twice, so that there is always a second
    of_name = torch.stack([*(competitors[indices].amax(dim=0) for indices in names.values()), nothing, nothing])
    (first, second), (which, _) = of_name.topk(2, dim=0)
    return torch.where(which == own[:, None, None], second, first)


def _plain(text: str) -> str:
    """The same for the same names, in whatever order."""
    return SYNONYM.join(sorted(" ".join(name.split()) for name in synonyms(text.lower())))


def relevancy_logits(
    similarity: Tensor, negatives: Tensor, relevancy: Relevancy, rivals: Tensor | None = None
) -> Tensor:
    """ln(r / (1 − r)) of the relevancy r by a model's card: (Q, h, w) -> (Q, h, w).

    With ``negatives`` (N, h, w), the maps of :data:`CANONICAL`, and ``rivals`` (Q, h, w) of :func:`rivals`:
    ``lerf``: r = min over all of them of softmax(scale·[cos(q), cos(nᵢ)])₀ = σ(scale·(cos(q) − maxᵢ cos(nᵢ)));
    ``sigmoid``: r = min(σ(scale·cos(q) + bias), σ(scale·(cos(q) − rival))), without negatives.
    """
    if relevancy.kind == "sigmoid":
        logits = relevancy.scale * similarity + relevancy.bias
    else:
        logits = relevancy.scale * (similarity - negatives.amax(dim=0))
    return logits if rivals is None else torch.minimum(logits, relevancy.scale * (similarity - rivals))


def evidence_maps(similarity: Tensor, logits: Tensor, presence: Presence, rivals: Tensor | None = None) -> Tensor:
    """The maps whose maximum speaks for presence, by the card's kind of evidence: (Q, h, w) -> (Q, h, w).

    ``cosine``: cos less what ``rivals`` win by, max(rival − cos, 0); ``cosine_mean``: the mean of that over a patch
    and the eight around it (fewer at the edge); ``contrast``: the same as ``cosine`` less the median (the lower of
    two) of the plain cosines, so that no rival ever raises it; ``relevancy``: the logits.
    """
    if presence.evidence == "relevancy":
        return logits
    own = similarity if rivals is None else similarity - (rivals - similarity).clamp_min(0)
    if presence.evidence == "cosine_mean":
        return F.avg_pool2d(own[:, None], 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    if presence.evidence == "contrast":
        return own - similarity.flatten(1).median(dim=1).values[:, None, None]
    return own


def evidences(similarity: Tensor, logits: Tensor) -> dict[Evidence, Tensor]:
    """Every kind of evidence for each query, (Q,): what :mod:`gem_ros.replay.calibration` chooses from."""
    return {kind: evidence_maps(similarity, logits, Presence(kind)).amax(dim=(-2, -1)) for kind in EVIDENCES}


def presence_scores(evidence: Tensor, presence: Presence) -> Tensor:
    """Probability that the thing is in view, σ(a·evidence + b) in [0, 1]; any shape.

    It depends on the query's own evidence only, whatever else is asked (but for what competes with it).
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

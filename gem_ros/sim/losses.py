"""What the bundled model is taught, from simulator masks: texts and patches that belong together agree."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gem_ros.sim.prompts import PAIRS
from gem_ros.sim.vocabulary import COLOURS, KINDS


@dataclass(frozen=True, eq=False)
class Truth:
    """Per window: ``patches`` (B, P, T) in {1 true, 0 false, −1 unclear}; ``window`` (B, T) likewise."""

    patches: Tensor
    window: Tensor
    shared: Tensor  # (B, T) bool: false of the window, but shares a colour or kind with an object in it


def truth_of(coverage: Tensor, classes: Tensor, seen: Tensor, tables: tuple[Tensor, Tensor, Tensor]) -> Truth:
    """Coverage (B, P, 11), classes and seen (B, 6), a prompt bank's objects, background and unclear as float."""
    objects, background, unclear = tables
    count = classes.shape[1]
    one_hot = F.one_hot(classes.clamp(min=0), PAIRS).float() * (classes >= 0)[..., None]  # (B, 6, 120)
    matches = one_hot @ objects.T  # (B, 6, T)
    cover = coverage[..., :count]
    # An object smaller than a patch still owns the patch it covers most of.
    cover = cover / (2 * cover.amax(dim=1, keepdim=True)).clamp(0.4, 1.0)
    share = cover @ matches + coverage[..., count:] @ background.T
    doubt = coverage[..., count:] @ unclear.T
    patches = torch.where(share >= 0.5, 1.0, torch.where((share > 0.12) | (doubt > 0.2), -1.0, 0.0))
    clear = (matches * (seen == 1)[..., None]).amax(dim=1)
    hardly = (matches * (seen == -1)[..., None]).amax(dim=1)
    behind = (coverage[..., count:].amax(dim=1) @ background.T).clamp(max=1.0)
    positive = torch.maximum(clear, (behind > 0.5).float())
    vague = torch.maximum(torch.maximum(hardly, (behind > 0).float()), (doubt.amax(dim=1) > 0.2).float())
    window = torch.where(positive > 0, 1.0, torch.where(vague > 0, -1.0, 0.0))
    colour = torch.arange(PAIRS, device=classes.device) % len(COLOURS)
    kind = torch.arange(PAIRS, device=classes.device) // len(COLOURS)
    alike = ((colour[:, None] == colour) | (kind[:, None] == kind)).float()
    shared = F.pad(((one_hot * (seen == 1)[..., None]).sum(dim=1) @ alike) > 0, (0, window.shape[1] - PAIRS))
    return Truth(patches, window, shared & (window == 0))


def balanced(logits: Tensor, target: Tensor) -> Tensor:
    """Sigmoid loss, true and false weighing the same; unclear entries (−1) left out."""
    true, false = target == 1, target == 0
    positive = (F.softplus(-logits) * true).sum() / true.sum().clamp(min=1)
    negative = (F.softplus(logits) * false).sum() / false.sum().clamp(min=1)
    return positive + negative


def patch_loss(logits: Tensor, truth: Truth) -> Tensor:
    """Every patch against every text (B, P, T)."""
    return balanced(logits, truth.patches)


def class_loss(logits: Tensor, truth: Truth) -> Tensor:
    """On objects: the kind among prompts of the same colour, and the colour among the same kind.

    Asked of every patch and of the mean over each object's patches. Without the kind's part, shape is not
    learned: colour comes first and explains most.
    """
    owner = (truth.patches[..., :PAIRS] == 1).float()  # (B, P, 120)
    single = owner.sum(dim=-1) == 1
    count = owner.sum(dim=1)  # (B, 120)
    pooled = owner.transpose(1, 2) @ logits[..., :PAIRS] / count.clamp(min=1)[..., None]  # (B, 120, 120)
    each = _named(logits[..., :PAIRS][single], owner[single].argmax(dim=-1))
    whole = _named(pooled[count > 0], (count > 0).nonzero()[:, 1])
    return each + whole


def _named(logits: Tensor, label: Tensor) -> Tensor:
    """(n, 120) logits of things that are ``label`` (n,): cross-entropy of the kind, half that of the colour."""
    if not len(label):
        return logits.sum() * 0
    grid = logits.reshape(-1, len(KINDS), len(COLOURS))
    kind, colour, row = label // len(COLOURS), label % len(COLOURS), torch.arange(len(label), device=label.device)
    return F.cross_entropy(grid[row, :, colour], kind) + 0.5 * F.cross_entropy(grid[row, kind], colour)


def pointing_loss(logits: Tensor, truth: Truth) -> Tensor:
    """−log of the probability that a softmax over the window's patches falls on the object asked for."""
    inside = truth.patches == 1
    asked = (truth.window == 1) & inside.any(dim=1)
    asked[:, PAIRS:] = False
    scores = logits.masked_fill(truth.patches == -1, -1e4).transpose(1, 2)[asked]  # (n, P)
    if not len(scores):
        return logits.sum() * 0
    hit = scores.masked_fill(~inside.transpose(1, 2)[asked], -1e4)
    return (scores.logsumexp(dim=-1) - hit.logsumexp(dim=-1)).mean()


def presence_loss(logits: Tensor, truth: Truth) -> Tensor:
    """The best patch of a window decides whether a text is true of it; look-alikes weigh as much as the rest."""
    best = logits.amax(dim=1)
    hard = F.softplus(best)[truth.shared]
    return balanced(best, truth.window) + (hard.mean() if len(hard) else best.sum() * 0)


def global_loss(image: Tensor, texts: Tensor, scale: Tensor, truth: Truth) -> Tensor:
    """Image embedding (B, D) against texts (T, D): contrastive over the pairs, other true texts masked."""
    logits = scale * image @ texts[:PAIRS].T
    true = truth.window[:, :PAIRS] == 1
    false = truth.window[:, :PAIRS] == 0
    rows, columns = true.nonzero(as_tuple=True)
    if not len(rows):
        return logits.sum() * 0
    rivals = logits.masked_fill(~false, -1e4)
    per_image = torch.cat((logits[rows, columns][:, None], rivals[rows]), dim=1)
    target = torch.zeros(len(rows), dtype=torch.long, device=logits.device)
    others = logits.T.masked_fill(~false.T, -1e4)[columns]
    per_text = torch.cat((logits[rows, columns][:, None], others), dim=1)
    return 0.5 * (F.cross_entropy(per_image, target) + F.cross_entropy(per_text, target))

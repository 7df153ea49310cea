"""From an image to the best class of every pixel, as the open benchmarks do it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from gem_ros.config import Config, replace
from gem_ros.core.similarity import maps_of, upsample
from gem_ros.pipeline import Grounder

SCALE = 100.0  # of the cosines before softmax: CLIP's own, at its bound
CHUNK = 16  # classes at the image's size at a time
WINDOW, STRIDE = 224, 112  # px of a sliding window, and from one to the next
BATCH = 16  # windows in one forward


@dataclass(frozen=True)
class Protocol:
    """``slide`` 0: the whole image, as the parameter ``image_size`` feeds it. Else the shorter side is resized to so
    many px, and windows of 224 px slide over it by half their side; where they overlap cosines are averaged.
    """

    slide: int = 0


def class_maps(grounder: Grounder, rgb: npt.NDArray[np.uint8], texts: Sequence[str], protocol: Protocol) -> Tensor:
    """Cosines (C, h, w) with ``texts``: of patches, or of the resized image's pixels where windows slide."""
    embeddings = grounder.text.embed(texts)
    if not protocol.slide:
        return maps_of(grounder.encode_image(rgb), embeddings)
    resized = _resized(rgb, protocol.slide)
    height, width = resized.shape[:2]
    corners = [(top, left) for top in _starts(height) for left in _starts(width)]
    total = torch.zeros((len(texts), height, width), device=embeddings.device)
    times = torch.zeros((height, width), device=embeddings.device)
    config = replace(grounder.config, {"image_size": WINDOW})
    for some in _batches(corners):
        windows = [resized[top : top + WINDOW, left : left + WINDOW] for top, left in some]
        for (top, left), maps in zip(some, _of_windows(grounder, windows, embeddings, config), strict=True):
            where = slice(top, top + maps.shape[1]), slice(left, left + maps.shape[2])
            total[:, where[0], where[1]] += maps
            times[where] += 1
    return total / times


@torch.inference_mode()
def best(maps: Tensor, size: tuple[int, int]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Cosines (C, h, w) -> at ``size`` (H, W) the class with the highest, and its probability among the classes.

    Bilinear, then softmax(100 · cosine), a few classes at a time: 171 maps of a large image would fill the memory.
    """
    top = torch.full(size, -torch.inf, device=maps.device)
    label = torch.zeros(size, dtype=torch.int64, device=maps.device)
    total = torch.full(size, -torch.inf, device=maps.device)  # logarithm of the sum of exponentials so far
    for start in range(0, len(maps), CHUNK):
        logits = SCALE * upsample(maps[start : start + CHUNK].float(), size)
        highest, index = logits.max(dim=0)
        label = torch.where(highest > top, index + start, label)
        top = torch.maximum(top, highest)
        total = torch.logaddexp(total, logits.logsumexp(dim=0))
    return label.cpu().numpy(), (top - total).exp().cpu().numpy()


def peak(maps: Tensor, size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """(C, h, w) -> the pixel (u, v) of each class's highest cosine at ``size`` (H, W): (C, 2)."""
    found = []
    for each in maps.float():
        place = int(upsample(each[None], size)[0].argmax())
        found.append((place % size[1], place // size[1]))
    return np.array(found, np.int64).reshape(-1, 2)


def _of_windows(
    grounder: Grounder, windows: list[npt.NDArray[np.uint8]], embeddings: Tensor, config: Config
) -> Iterator[Tensor]:
    """Cosines (C, height, width) of each window, at its own size."""
    features = grounder.encode_images(windows, config=config)
    for window, each in zip(windows, features, strict=True):
        yield upsample(maps_of(each, embeddings), (window.shape[0], window.shape[1]))


def _resized(rgb: npt.NDArray[np.uint8], shorter: int) -> npt.NDArray[np.uint8]:
    """(H, W, 3) with its shorter side ``shorter`` px, aspect kept."""
    scale = shorter / min(rgb.shape[:2])
    height, width = (max(1, round(side * scale)) for side in rgb.shape[:2])
    pixels = torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float()
    pixels = F.interpolate(pixels, size=(height, width), mode="bicubic", antialias=True, align_corners=False)
    return np.ascontiguousarray(pixels[0].permute(1, 2, 0).clamp(0, 255).round().to(torch.uint8).numpy())


def _starts(side: int) -> list[int]:
    """Where windows begin along a side: the last one ends at its end."""
    last = max(side - WINDOW, 0)
    return [*range(0, last, STRIDE), last]


def _batches(corners: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    for start in range(0, len(corners), BATCH):
        yield corners[start : start + BATCH]

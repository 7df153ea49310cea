"""Pixel-adaptive mask refinement (PAMR; Araslanov and Roth, CVPR 2020, arXiv 2005.08104): maps flow along colours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

Map = npt.NDArray[np.float32]
ITERATIONS = 10
DILATIONS = (8, 16)  # px
SMOOTHING = 0.1  # of the local standard deviation: what differs by it is e times less alike


def pamr(
    maps: Map, image: npt.NDArray[np.uint8], iterations: int = ITERATIONS, dilations: Sequence[int] = DILATIONS
) -> Map:
    """Maps (Q, H, W), each ``iterations`` times the mean over the eight pixels around at every of ``dilations``.

    A pixel's weights are softmax(−mean over the colours of |difference| / (SMOOTHING · σ)), σ the standard deviation
    of ``image`` (H, W, 3) over it and those around. Outside of the image is its nearest pixel.
    """
    weights = _weights(np.moveaxis(image.astype(np.float32), 2, 0), dilations)
    refined = np.asarray(maps, np.float32)
    for _ in range(iterations):
        refined = np.sum([w * each for w, each in zip(weights, _around(refined, dilations), strict=True)], axis=0)
    return refined


def _weights(colours: Map, dilations: Sequence[int]) -> Map:
    """(8 · dilations, H, W), their sum 1 everywhere, of an image (3, H, W)."""
    around = np.stack(list(_around(colours, dilations)))
    every = np.concatenate([around, np.repeat(colours[None], len(dilations), axis=0)])  # itself once for each dilation
    apart = np.abs(around - colours) / (1e-8 + SMOOTHING * every.std(axis=0, ddof=1))
    powers = np.exp(apart.mean(axis=1).min(axis=0) - apart.mean(axis=1))
    return np.asarray(powers / powers.sum(axis=0), np.float32)


def _around(maps: Map, dilations: Sequence[int]) -> Iterator[Map]:
    """Views of ``maps`` (n, H, W) moved by each dilation to each of the eight sides."""
    height, width = maps.shape[1:]
    most = max(dilations)
    padded = np.pad(maps, ((0, 0), (most, most), (most, most)), mode="edge")
    for dilation, (i, j) in product(dilations, product((-1, 0, 1), repeat=2)):
        if i or j:
            top, left = most + i * dilation, most + j * dilation
            yield padded[:, top : top + height, left : left + width]

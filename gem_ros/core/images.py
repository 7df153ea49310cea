"""Camera images -> what a vision tower is fed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from gem_ros.errors import DecodeError


class Preprocess:
    """Resizes and normalises as a model was trained, on ``device``: ``mean``, ``std`` of RGB in [0, 1].

    ``interpolation`` is ``bilinear`` or ``bicubic``.
    """

    def __init__(
        self, mean: Sequence[float], std: Sequence[float], interpolation: str, device: torch.device | str
    ) -> None:
        self.interpolation = interpolation
        self._device = torch.device(device)
        # (3, 1, 1) each, on the device: uint8 · scale + shift = (uint8 / 255 - mean) / std
        centre, spread = (torch.tensor(each, device=self._device)[:, None, None] for each in (mean, std))
        self._scale, self._shift = 1 / (255 * spread), -centre / spread

    def __call__(self, rgb: npt.NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
        """(H, W, 3) uint8 -> (1, 3, h, w)."""
        image = torch.from_numpy(np.require(rgb, requirements=["C", "W"]))
        if self._device.type == "cuda":
            image = image.pin_memory().to(self._device, non_blocking=True)
        pixels = image.permute(2, 0, 1)[None].float()
        if pixels.shape[-2:] != size:
            pixels = F.interpolate(pixels, size=size, mode=self.interpolation, antialias=True, align_corners=False)
            pixels = pixels.clamp_(0, 255)  # bicubic overshoots
        return torch.addcmul(self._shift, pixels, self._scale)


def check_image(rgb: Any) -> None:
    """:class:`DecodeError` for anything but (H, W, 3) uint8 RGB with pixels in it."""
    if not isinstance(rgb, np.ndarray) or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        got = f"{rgb.dtype} {rgb.shape}" if isinstance(rgb, np.ndarray) else type(rgb).__name__
        raise DecodeError(f"image: expected a (height, width, 3) uint8 RGB array, got {got}; convert it first")

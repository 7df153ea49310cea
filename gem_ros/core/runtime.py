"""Where and in which precision the model runs."""

from __future__ import annotations

import logging

import torch

from gem_ros.errors import ModelError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
logger = logging.getLogger(__name__)


def select_device(name: str = "auto") -> torch.device:
    """``auto`` (the GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N`` -> a device that exists.

    Raises :class:`ModelError` for any other name, and for a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if name not in ("cpu", "cuda") and not (kind == "cuda" and index.isdecimal()):
        raise ModelError(f"device: expected auto, cpu, cuda or cuda:N; got {name!r}")
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and int(index or 0) >= available:
        raise ModelError(
            f"device: expected a GPU for {name!r}, PyTorch finds {available} here; set device to auto or cpu"
        )
    return torch.device(name)


def select_precision(name: str, device: torch.device) -> torch.dtype:
    """``auto``, ``fp32``, ``bf16`` or ``fp16`` -> dtype; auto is bf16 on a GPU that has it, fp32 on a CPU."""
    if name in DTYPES:
        return DTYPES[name]
    if name != "auto":
        raise ModelError(f"precision: expected auto, {', '.join(DTYPES)}; got {name!r}")
    if device.type != "cuda":
        return torch.float32
    if torch.cuda.get_device_capability(device) >= (8, 0):
        return torch.bfloat16
    logger.warning("precision auto: this GPU computes no bf16, using fp16")
    return torch.float16

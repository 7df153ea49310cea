"""Where, in which precision and with which attention product the model runs."""

from __future__ import annotations

import copy
import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gem_ros.core import attention
from gem_ros.core.attention import Attend, Settings
from gem_ros.core.encoder import DenseEncoder
from gem_ros.core.towers import Position, Tower, tower_of
from gem_ros.errors import ModelError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
COSINE = 0.999  # what a faster way must reach, token by token, to the plain one
CLEARLY = 0.9  # of the usual way's time: what less saves is noise
REPETITIONS = 3
OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory", re.IGNORECASE)
BF16_UNITS = re.compile(r"\b(avx512_bf16|amx_bf16|bf16)\b")  # /proc/cpuinfo of x86, x86, Arm
THREADS = torch.get_num_threads()  # the cores, or what the user set
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
    """``auto``, ``fp32``, ``bf16`` or ``fp16`` -> the dtype to load in; auto is bf16 on a GPU that has it.

    On a CPU auto is fp32 at first: :func:`fit_to_cpu` measures whether bf16 pays.
    """
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


def precision_name(dtype: torch.dtype) -> str:
    """``torch.float32`` -> ``fp32``."""
    return next(name for name, each in DTYPES.items() if each == dtype)


def share_threads(images: int) -> None:
    """Let PyTorch use so many threads for each of ``images`` at once that all together have no more than it began with.

    For the threads that are started afterwards, and this one.
    """
    torch.set_num_threads(max(1, THREADS // images))


def has_bf16_units() -> bool:
    """Whether this CPU multiplies bf16 in hardware; without, bf16 is slower than fp32."""
    try:
        return bool(BF16_UNITS.search(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return False


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether PyTorch raised this for want of memory: torch.OutOfMemoryError on a GPU, on a CPU just the words."""
    return bool(OUT_OF_MEMORY.search(str(error)))


def free_memory(device: torch.device) -> None:
    """Give back what PyTorch keeps for later. Call it outside of the ``except``: an error holds tensors."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def memory_in_use(device: torch.device | str) -> float:
    """What PyTorch holds of a GPU's memory, MiB, with what it keeps for later."""
    return torch.cuda.memory_reserved(device) / 2**20


def fit_to_cpu(make: Callable[..., DenseEncoder], visual: Any, tokens: int, *, free: bool) -> DenseEncoder:
    """The encoder ``make(visual, attend=...)`` with the attention product and precision that are fastest here.

    Both are measured on the last block's attention with ``tokens`` random tokens. bf16 is only tried where
    ``free`` says that the user left it open and the CPU has units for it, and only taken where whole features
    keep their direction (cosine of each token >= :data:`COSINE`). Logged once.
    """
    tower = tower_of(visual)
    block, dtype = tower.blocks[-1], tower.dtype
    blocks = {dtype: block}
    if free and dtype == torch.float32 and has_bf16_units():
        blocks[torch.bfloat16] = copy.deepcopy(block).to(torch.bfloat16)
    ways = [(each, attend) for each in blocks for attend in (attention.fused, attention.explicit)]
    seconds = _measure([_attention(tower, blocks[each], attend, (tokens, each)) for each, attend in ways])
    said = ", ".join(
        f"{precision_name(each)} {attend.__name__} {1e3 * second:.1f} ms"
        for (each, attend), second in zip(ways, seconds, strict=True)
    )
    chosen, attend = ways[fastest(seconds)]
    encoder = make(visual, attend=ways[fastest(seconds[:2])][1])  # in the precision of the weights
    if chosen != dtype:
        half = make(copy.deepcopy(visual).to(chosen), attend=attend)
        if agrees(encoder, half):
            encoder = half
        else:
            said += f"; {precision_name(chosen)} changes the features too much"
    logger.info("CPU: %s, %s attention (%s)", precision_name(encoder.dtype), encoder.attend.__name__, said)
    return encoder


def fastest(seconds: list[float]) -> int:
    """Index of the shortest time, or 0 where none is clearly shorter than the first, the usual way."""
    index = min(range(len(seconds)), key=seconds.__getitem__)
    return index if seconds[index] < CLEARLY * seconds[0] else 0


@torch.inference_mode()
def agrees(plain: DenseEncoder, other: DenseEncoder) -> bool:
    """Whether both give an image of coloured spots the same features, to :data:`COSINE`."""
    sides = [8 * side for side in plain.patch_size]
    spots = torch.randn(1, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    pixels = F.interpolate(spots, size=sides, mode="bilinear")
    return cosine(plain(pixels), other(pixels)) >= COSINE


def cosine(a: Tensor, b: Tensor) -> float:
    """Smallest cosine between tokens (..., D) of the same place; NaN where one has no direction."""
    return float(F.cosine_similarity(a.float(), b.float(), dim=-1).min())


def _attention(tower: Tower, block: Any, attend: Attend, given: tuple[int, torch.dtype]) -> Callable[[], Tensor]:
    """One pass of so many random tokens of a dtype through the attention of ``block``."""
    tokens, dtype = given
    x = torch.randn(1, tokens, tower.width, dtype=dtype)
    settings, position = Settings(attend=attend), Position(x)  # not added again; without rotation, which is little
    return lambda: tower.output(block, attention.standard(tower.project(block, x, position), settings))


@torch.inference_mode()
def _measure(ways: list[Callable[[], Tensor]]) -> list[float]:
    """Seconds of each, the shortest of a few in turn: what else runs on this machine disturbs all alike."""
    for way in ways:
        way()
    seconds = [float("inf")] * len(ways)
    for _ in range(REPETITIONS):
        for index, way in enumerate(ways):
            start = time.perf_counter()
            way()
            seconds[index] = min(seconds[index], time.perf_counter() - start)
    return seconds

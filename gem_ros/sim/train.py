"""Train the bundled model from scratch: ``python -m gem_ros.sim.train --frames runs/frames --run runs/bundled``.

Resumable: a run's folder holds one checkpoint (model, average, optimisers, step); the same command goes
on from there. ``--stage WIDTHxHEIGHT:STEPS:BATCH:ZOOM_LOW:ZOOM_HIGH`` may be given several times.
"""

from __future__ import annotations

import argparse
import math
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from torch import Tensor, nn

from gem_ros.core.attention import explicit, fused
from gem_ros.core.encoder import DenseEncoder
from gem_ros.sim import losses
from gem_ros.sim.muon import Muon
from gem_ros.sim.prompts import prompt_bank, vocabulary, with_synonyms
from gem_ros.sim.windows import Batch, Frames, Shape, batches

ARCHITECTURE: dict[str, Any] = {
    "embed_dim": 192,
    "vision_cfg": {"image_size": 256, "layers": 6, "width": 192, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 2},
}
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PROMPT = "a photo of a {}."
BLOCKS = 2
WEIGHT_DECAY = 0.05


@dataclass(frozen=True)
class Stage:
    """``steps`` optimisation steps on windows of ``size`` (h, w) px."""

    size: tuple[int, int]
    steps: int
    batch: int
    zoom: tuple[float, float]

    @staticmethod
    def parse(text: str) -> Stage:
        size, steps, batch, low, high = text.split(":")
        width, height = (int(side) for side in size.split("x"))
        return Stage((height, width), int(steps), int(batch), (float(low), float(high)))


class Trainer:
    """The model with everything that changes while it learns."""

    def __init__(self, device: str, rate: float, average: float = 0.998) -> None:
        self.device, self.rate = torch.device(device), rate
        self.tokenizer = open_clip.SimpleTokenizer(context_length=ARCHITECTURE["text_cfg"]["context_length"])
        words = [PROMPT.format(word) for word in vocabulary()] + list(vocabulary())
        self.rows = torch.unique(self.tokenizer(words))  # sorted: the end token stays the largest
        config = {**ARCHITECTURE, "text_cfg": {**ARCHITECTURE["text_cfg"], "vocab_size": len(self.rows)}}
        self.clip = open_clip.CLIP(**config, init_logit_scale=math.log(10.0), init_logit_bias=-5.0).to(self.device)
        running = torch.optim.swa_utils.get_ema_multi_avg_fn(average)  # type: ignore[no-untyped-call]
        self.average = torch.optim.swa_utils.AveragedModel(self.clip, multi_avg_fn=running)
        attend = explicit if self.device.type == "cpu" else fused
        self.dense = DenseEncoder(self.clip.visual, "gem", BLOCKS, attend=attend)
        self.plain = DenseEncoder(self.clip.visual, "clip", attend=attend)
        self.bank = prompt_bank()
        objects, background, unclear = (
            torch.tensor(table, dtype=torch.float32, device=self.device)
            for table in (self.bank.objects, self.bank.background, self.bank.unclear)
        )
        self.tables = objects, background, unclear
        self.optimisers = self._optimisers()
        self.step = 0

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        """Muon on the matrices of the blocks and the patches' filters, AdamW on everything else."""
        matrices: list[nn.Parameter] = []
        decayed: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name, parameter in self.clip.named_parameters():
            if ("resblocks" in name and parameter.ndim == 2) or parameter.ndim == 4:
                matrices.append(parameter)
            else:
                (decayed if parameter.ndim >= 2 else rest).append(parameter)
        muon = Muon(matrices, lr=self.rate, weight_decay=WEIGHT_DECAY)
        groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": rest, "weight_decay": 0.0}]
        return [muon, torch.optim.AdamW(groups, lr=self.rate / 2, betas=(0.9, 0.98))]

    def texts(self, rng: np.random.Generator) -> Tensor:
        """(T, D) unit-norm embeddings of the bank."""
        prompts = [PROMPT.format(text) for text in with_synonyms(self.bank.texts, rng)]
        tokens = torch.searchsorted(self.rows, self.tokenizer(prompts)).to(self.device)
        embedded: Tensor = self.clip.encode_text(tokens, normalize=True)
        return embedded

    def loss(self, batch: Batch, texts: Tensor) -> dict[str, Tensor]:
        pixels = normalised(torch.from_numpy(batch.pixels).to(self.device))
        coverage, classes, seen = (
            torch.from_numpy(each).to(self.device) for each in (batch.coverage, batch.classes, batch.seen)
        )
        truth = losses.truth_of(coverage, classes, seen, self.tables)
        scale = self.clip.logit_scale.clamp(max=math.log(40.0)).exp()
        logits = scale * self.dense(pixels) @ texts.T + self.clip.logit_bias
        parts = {
            "patch": losses.patch_loss(logits, truth),
            "class": losses.class_loss(logits, truth),
            "point": losses.pointing_loss(logits, truth),
            "presence": losses.presence_loss(logits, truth),
        }
        if self.step % 8 == 0:  # the image as a whole: what makes it a CLIP
            half = len(pixels) // 2
            some = losses.Truth(truth.patches[:half], truth.window[:half], truth.shared[:half])
            parts["global"] = losses.global_loss(self.plain.all_tokens(pixels[:half])[:, 0], texts, scale, some)
        return parts

    def update(self, parts: dict[str, Tensor], rate: float) -> None:
        for optimiser, share in zip(self.optimisers, (1.0, 0.5), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * share
            optimiser.zero_grad(set_to_none=True)
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.clip.parameters(), 2.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.average.update_parameters(self.clip)
        self.step += 1

    def save(self, path: Path) -> None:
        state = {
            "clip": self.clip.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
            "rows": self.rows,
        }
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def resume(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.clip.load_state_dict(state["clip"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step = int(state["step"])


def normalised(pixels: Tensor) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 with the model's mean and deviation."""
    mean, deviation = pixels.new_tensor(MEAN, dtype=torch.float32), pixels.new_tensor(STD, dtype=torch.float32)
    return ((pixels.float() / 255 - mean) / deviation).permute(0, 3, 1, 2).contiguous()


def prefetched(source: Iterator[Batch], ahead: int = 3) -> Iterator[Batch]:
    """The same batches, made in a thread of their own."""
    waiting: queue.Queue[Batch] = queue.Queue(ahead)

    def work() -> None:
        for batch in source:
            waiting.put(batch)

    threading.Thread(target=work, daemon=True).start()
    while True:
        yield waiting.get()


def schedule(step: int, steps: int, warm_up: int = 150) -> float:
    """Linear warm-up, then half a cosine to nearly nothing."""
    return min(1.0, (step + 1) / warm_up) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))


def train(trainer: Trainer, frames: Frames, stages: list[Stage], checkpoint: Path, seed: int) -> None:
    total, start, began = sum(stage.steps for stage in stages), 0, time.monotonic()
    sums: dict[str, list[float]] = {}
    for stage in stages:
        end = start + stage.steps
        if trainer.step < end:
            rng = np.random.default_rng((seed, trainer.step))
            patch = ARCHITECTURE["vision_cfg"]["patch_size"]
            source = prefetched(batches(frames, rng, stage.batch, Shape(stage.size, stage.zoom, patch)))
            words = np.random.default_rng((seed, trainer.step, 1))
            while trainer.step < end:
                parts = trainer.loss(next(source), trainer.texts(words))
                trainer.update(parts, trainer.rate * schedule(trainer.step, total))
                for name, value in parts.items():
                    sums.setdefault(name, []).append(float(value.detach()))
                if trainer.step % 50 == 0:
                    line = " ".join(f"{name} {np.mean(values):.3f}" for name, values in sums.items())
                    print(f"{trainer.step}/{total} {time.monotonic() - began:.0f} s  {line}", flush=True)
                    sums.clear()
                if trainer.step % 250 == 0:
                    trainer.save(checkpoint)
        start = end
    trainer.save(checkpoint)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, nargs="+", required=True, help="folders of rendered shards")
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--stage", type=Stage.parse, action="append", required=True)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    arguments.run.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(arguments.device, arguments.rate)
    checkpoint = arguments.run / "checkpoint.pt"
    if checkpoint.exists():
        trainer.resume(checkpoint)
        print(f"resumed at step {trainer.step}", flush=True)
    train(trainer, Frames(arguments.frames), arguments.stage, checkpoint, arguments.seed)


if __name__ == "__main__":
    main()

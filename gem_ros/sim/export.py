"""From a training checkpoint to the bundled model: weights, and a card with what was measured.

``python -m gem_ros.sim.export runs/bundled/checkpoint.pt`` chooses input size and GEM's blocks and
iterations on calibration scenes, fits relevancy and presence there, and writes both files into
``gem_ros/models``. The held-out scenes are only looked at afterwards, for the numbers on the card.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import open_clip
import torch

from gem_ros.core.pretrained import save_bundled
from gem_ros.core.templates import TEMPLATES
from gem_ros.models import BUNDLED, FOLDER, ModelCard, Presence, Relevancy, default_config, load_card
from gem_ros.pipeline import Grounder
from gem_ros.replay.calibration import fit_presence
from gem_ros.sim.held_out import (
    CALIBRATION_SEED,
    answers,
    best_iou,
    method_numbers,
    numbers,
    samples,
    separations,
    show_separations,
)
from gem_ros.sim.prompts import vocabulary
from gem_ros.sim.train import ARCHITECTURE, BLOCKS, MEAN, STD

SIZES = (384, 448, 512)  # px; below, a patch covers more than a twentieth of the image
VARIANTS = ((1, 0), (3, 0), (BLOCKS, 1), (BLOCKS, 2))  # (blocks, iterations) beside (BLOCKS, 0)
WORTH = 0.02
NAME = BUNDLED


def averaged_clip(checkpoint: Path) -> tuple[Any, list[int], float]:
    """(CLIP with the averaged weights and open_clip's full token table, token ids in use, logit scale)."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    weights = {name.removeprefix("module."): value for name, value in state["average"].items() if name != "n_averaged"}
    clip = open_clip.CLIP(**ARCHITECTURE, init_logit_bias=0.0)
    rows: torch.Tensor = state["rows"]
    table = torch.zeros_like(clip.token_embedding.weight)
    table[rows] = weights["token_embedding.weight"]
    clip.load_state_dict({**weights, "token_embedding.weight": table})
    return clip, rows.tolist(), float(weights["logit_scale"].exp())


def write_card(card: ModelCard) -> None:
    """Write ``card`` beside its weights; models read from now on see it."""
    path = FOLDER / f"{card.name}.json"
    path.write_text(json.dumps(dataclasses.asdict(card), indent=1) + "\n", encoding="utf-8")
    load_card.cache_clear()


def choose(card: ModelCard, scenes: int) -> ModelCard:
    """The card with input size, then blocks and iterations, by how good they are on calibration scenes.

    Good is the mean of pointing accuracy and AUROC. A larger input costs more than its square: the smallest
    size within :data:`WORTH` of the best is taken.
    """
    tried: dict[str, dict[str, float]] = {}

    def quality(size: int, blocks: int, iterations: int) -> float:
        defaults = {"image_size": size, "gem.blocks": blocks, "gem.iterations": iterations}
        write_card(dataclasses.replace(card, defaults=defaults))
        found = numbers(answers(Grounder.load(BUNDLED), CALIBRATION_SEED, scenes), card.presence)
        name = f"{size} px, {blocks} blocks, {iterations} iterations"
        tried[name] = {each: found[each] for each in ("pointing", "auroc")}
        print(name, tried[name], flush=True)
        return (found["pointing"] + found["auroc"]) / 2

    sizes = {size: quality(size, BLOCKS, 0) for size in SIZES}
    size = min(size for size, good in sizes.items() if good >= max(sizes.values()) - WORTH)
    rest = {each: quality(size, *each) for each in VARIANTS} | {(BLOCKS, 0): sizes[size]}
    blocks, iterations = max(rest, key=lambda each: rest[each])
    chosen = {"image_size": size, "gem.blocks": blocks, "gem.iterations": iterations}
    return dataclasses.replace(card, defaults=chosen, numbers={"tried_on_calibration_scenes": tried})


def calibrate(card: ModelCard, scale: float, scenes: int) -> ModelCard:
    """Relevancy 0.5 where the mask's edge is best, and presence by a logistic fit on the evidence that is best.

    The new bias shifts the evidence ``relevancy`` but not its AUROC, which is the cosine's: it is never chosen.
    """
    write_card(card)
    grounder = Grounder.load(BUNDLED)
    found = answers(grounder, CALIBRATION_SEED + 1, scenes)
    _, edge = best_iou(found, grounder)
    relevancy = Relevancy("sigmoid", round(scale, 4), round(-scale * edge, 4))
    table = separations(found)
    show_separations("kinds of evidence, calibration scenes", table)
    areas = {kind: round(each.all, 4) for kind, each in table.items()}
    noted = {**card.numbers, "evidence_auroc_on_calibration_scenes": areas}
    return dataclasses.replace(card, relevancy=relevancy, presence=fit_presence(samples(found)), numbers=noted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--scenes", type=int, default=300)
    arguments = parser.parse_args()
    clip, rows, scale = averaged_clip(arguments.checkpoint)
    tokenizer = open_clip.SimpleTokenizer(context_length=clip.context_length)
    templates = [template.format("") for names in TEMPLATES.values() for template in names]
    used = set(rows) | set(torch.unique(tokenizer(templates)).tolist())
    weights = FOLDER / f"{NAME}.safetensors"
    sha256 = save_bundled(clip, used, weights)
    weights.chmod(0o644)  # safetensors writes for the owner alone
    card = ModelCard(
        NAME,
        architecture={**ARCHITECTURE, "init_logit_bias": 0.0},
        preprocess={"mean": MEAN, "std": STD, "interpolation": "bilinear"},
        vocabulary=vocabulary(),
        presence=Presence("cosine"),
        relevancy=Relevancy("sigmoid", scale, 0.0),
        sha256=sha256,
    )
    card = choose(card, arguments.scenes // 2)
    card = calibrate(card, scale, arguments.scenes)
    write_card(card)
    measured = method_numbers(arguments.scenes)
    write_card(dataclasses.replace(card, numbers={**card.numbers, "held_out_scenes": arguments.scenes, **measured}))
    print(f"{default_config(BUNDLED).image_size} px; presence {card.presence}; relevancy {card.relevancy}")


if __name__ == "__main__":
    main()

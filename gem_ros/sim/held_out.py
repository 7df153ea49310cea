"""How well a model does on simulated scenes that it was not trained on, and the card that says so.

``python -m gem_ros.sim.held_out`` prints the bundled model's numbers; with ``--checkpoint`` it first fits
thresholds on calibration scenes and writes weights and card.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy import optimize, stats

from gem_ros.data import Query
from gem_ros.models import BUNDLED, Presence, default_config
from gem_ros.pipeline import Grounder
from gem_ros.sim.dataset import HELD_OUT_SEED, random_frames
from gem_ros.sim.vocabulary import COLOURS, KINDS

CALIBRATION_SEED = 900_000
WIDTH, HEIGHT = 320, 240
MIN_VISIBLE = 0.003  # share of the image from which an object counts as in view; below, it is left out
ABSENT_PER_SCENE = 12
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Question:
    """One query on one image: ``mask`` (H, W) of what it means, None: absent; ``hard``: a colour twin is in
    view of what is asked for, or (absent) something shares its colour or kind."""

    query: str
    mask: Mask | None
    hard: bool


@dataclass(frozen=True, eq=False)
class Answer:
    """What came back: ``cosine`` maximum, its pixel inside the mask or not, the cosine map (h, w)."""

    question: Question
    cosine: float
    hit: bool
    map: npt.NDArray[np.float32]


def questions(seed: int, scenes: int) -> Iterator[tuple[npt.NDArray[np.uint8], list[Question]]]:
    """``scenes`` images of different scenes (320×240 RGB), each with every object in view and absent ones."""
    rng = np.random.default_rng(seed)
    for scene, frame in random_frames(seed, scenes, WIDTH, HEIGHT, views=1):
        masks: dict[str, Mask] = {}
        for number, thing in enumerate(scene.objects):
            masks[thing.query] = masks.get(thing.query, np.zeros((HEIGHT, WIDTH), bool)) | (frame.instances == number)
        seen = {query: mask for query, mask in masks.items() if mask.mean() >= MIN_VISIBLE}
        touched = {query for query, mask in masks.items() if mask.any()}
        asked = [Question(query, mask, _has_twin(query, touched)) for query, mask in seen.items()]
        yield frame.rgb, asked + list(_absent(touched, rng))


def _has_twin(query: str, present: Iterable[str]) -> bool:
    """Whether something else of the same colour is in view."""
    colour = query.partition(" ")[0]
    return any(other != query and other.startswith(f"{colour} ") for other in present)


def _absent(present: set[str], rng: np.random.Generator) -> Iterator[Question]:
    """Half of them share a colour or a kind with something in view."""
    words = {word for query in present for word in query.split()}
    pairs = [f"{colour} {kind}" for colour in COLOURS for kind in KINDS if f"{colour} {kind}" not in present]
    alike = [pair for pair in pairs if words & set(pair.split())]
    other = [pair for pair in pairs if not words & set(pair.split())]
    for pool, hard in ((alike, True), (other, False)):
        for pair in rng.permutation(pool)[: ABSENT_PER_SCENE // 2]:
            yield Question(str(pair), None, hard)


def answers(grounder: Grounder, seed: int, scenes: int) -> list[Answer]:
    """Ask everything, with no presence threshold, so that every query points somewhere."""
    config = dataclasses.replace(grounder.config, presence_threshold=0.0, max_targets=1)
    found = []
    for rgb, asked in track(questions(seed, scenes), "scenes", total=scenes, console=Console(stderr=True)):
        features = grounder.encode_image(rgb)
        grounding = grounder.ground(features, [Query(each.query) for each in asked], config=config)
        maps = (features.tokens @ grounder.text.embed([each.query for each in asked]).T).permute(2, 0, 1)
        for index, (each, cosines) in enumerate(zip(asked, maps.cpu().numpy(), strict=True)):
            pixel = grounding.best(index).pixel
            assert pixel is not None
            u, v = np.clip(np.rint(pixel), 0, (WIDTH - 1, HEIGHT - 1)).astype(int)
            hit = each.mask is not None and bool(each.mask[v, u])
            found.append(Answer(each, float(cosines.max()), hit, cosines))
    return found


def auroc(present: Sequence[float], absent: Sequence[float]) -> float:
    """Probability that a random present query scores above a random absent one (ties count half)."""
    statistic = stats.mannwhitneyu(present, absent).statistic
    return float(statistic / (len(present) * len(absent)))


def best_iou(found: list[Answer], grounder: Grounder) -> tuple[float, float]:
    """(mean IoU, cosine threshold) at the one threshold that is best for all present queries."""
    thresholds = np.quantile([each.cosine for each in found if each.question.mask is not None], np.linspace(0, 0.6, 25))
    thresholds = np.concatenate([np.linspace(-0.1, thresholds[0], 12, endpoint=False), thresholds])
    table = []
    for each in found:
        if each.question.mask is None:
            continue
        big = cv2.resize(each.map, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)[..., None] >= thresholds
        mask = each.question.mask[..., None]
        table.append((big & mask).sum((0, 1)) / (big | mask).sum((0, 1)))
    mean = np.mean(table, axis=0)
    return float(mean.max()), float(thresholds[mean.argmax()])


def numbers(found: list[Answer], presence: Presence, threshold: float = 0.5) -> dict[str, float]:
    """Shares in [0, 1]: pointing accuracy, AUROC, and recall and false-found rate at the score ``threshold``."""
    present = [each for each in found if each.question.mask is not None]
    absent = [each for each in found if each.question.mask is None]
    twins, alone = [e for e in present if e.question.hard], [e for e in present if not e.question.hard]
    large = [each for each in present if each.question.mask is not None and each.question.mask.mean() >= 0.01]
    hard = [each for each in absent if each.question.hard]
    limit = (np.log(threshold / (1 - threshold)) - presence.b) / presence.a

    def share(of: list[Answer], attribute: str = "hit") -> float:
        return round(float(np.mean([getattr(each, attribute) for each in of])), 4)

    def above(of: list[Answer]) -> float:
        return round(float(np.mean([each.cosine >= limit for each in of])), 4)

    def separation(others: list[Answer]) -> float:
        return round(auroc([each.cosine for each in present], [each.cosine for each in others]), 4)

    return {
        "present_queries": len(present),
        "absent_queries": len(absent),
        "pointing": share(present),
        "pointing_alone": share(alone),
        "pointing_same_colour": share(twins),
        "pointing_large": share(large),
        "auroc": separation(absent),
        "auroc_hard": separation(hard),
        "recall": above(present),
        "recall_large": above(large),
        "false_found": above(absent),
        "false_found_hard": above(hard),
    }


def fit_presence(found: list[Answer]) -> Presence:
    """Logistic fit of presence on the maximum cosine; every query weighs the same."""
    x = np.array([each.cosine for each in found])
    y = np.array([each.question.mask is not None for each in found], float)

    def loss(p: npt.NDArray[np.float64]) -> float:
        z = p[0] * x + p[1]
        return float(np.mean(np.logaddexp(0, z) - y * z))

    a, b = optimize.minimize(loss, (10.0, -3.0), method="Nelder-Mead", options={"maxiter": 2000}).x
    return Presence("cosine", round(float(a), 4), round(float(b), 4))


def show(title: str, values: dict[str, Any]) -> None:
    table = Table("number", "value", title=title)
    for name, value in values.items():
        table.add_row(name, f"{value:.3f}" if isinstance(value, float) else str(value))
    Console().print(table)


def method_numbers(scenes: int) -> dict[str, dict[str, float]]:
    """Numbers of each method on the held-out scenes, with the bundled model as shipped."""
    config = default_config(BUNDLED)
    result = {}
    for method in ("gem", "clip", "maskclip"):
        grounder = Grounder.load(BUNDLED, config=dataclasses.replace(config, method=method))
        found = answers(grounder, HELD_OUT_SEED, scenes)
        result[method] = numbers(found, grounder.card.presence) | {"best_iou": round(best_iou(found, grounder)[0], 4)}
        show(f"{method}, {scenes} held-out scenes", result[method])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    arguments = parser.parse_args()
    result = method_numbers(arguments.scenes)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

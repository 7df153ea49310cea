"""How well a model does on simulated scenes that it was not trained on.

``python -m gem_ros.sim.held_out`` prints the bundled model's numbers, and how well each kind of evidence tells
what is in view from what is not; :mod:`gem_ros.sim.export` puts them on the card.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from gem_ros.core import similarity
from gem_ros.data import PatchFeatures, Query
from gem_ros.models import BUNDLED, EVIDENCES, Presence, Relevancy, default_config
from gem_ros.pipeline import Grounder
from gem_ros.replay.calibration import Samples, Separation, combined, is_hard, judge, scores, separation
from gem_ros.replay.metrics import auroc, operating_point
from gem_ros.sim.dataset import HELD_OUT_SEED, random_frames
from gem_ros.sim.render import Frame
from gem_ros.sim.scene import Scene
from gem_ros.sim.vocabulary import COLOURS, KINDS

CALIBRATION_SEED = 900_000
WIDTH, HEIGHT = 320, 240
LARGE = 0.01  # share of the image from which an object is to be found
MIN_VISIBLE = 0.003  # share of the image from which an object counts as in view; below, it is left out
ABSENT_PER_SCENE = 8  # some four for each thing in view: the share that the score's calibration takes for granted
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Question:
    """One query on one image: ``mask`` (H, W) of what it means, None: absent; ``hard`` as :func:`is_hard` has it."""

    query: str
    mask: Mask | None
    hard: bool


@dataclass(frozen=True, eq=False)
class Answer:
    """What came back: ``evidence`` by kind, pixel inside the mask or not, the cosine map (h, w)."""

    question: Question
    image: int
    evidence: dict[str, float]
    hit: bool
    map: npt.NDArray[np.float32]

    @property
    def cosine(self) -> float:
        return self.evidence["cosine"]


def questions(seed: int, scenes: int) -> Iterator[tuple[npt.NDArray[np.uint8], list[Question]]]:
    """``scenes`` images of different scenes (320×240 RGB), each with every object in view and absent ones."""
    rng = np.random.default_rng(seed)
    for scene, frame in random_frames(seed, scenes, WIDTH, HEIGHT, views=1):
        yield frame.rgb, questions_of(scene, frame, rng)


def questions_of(scene: Scene, frame: Frame, rng: np.random.Generator) -> list[Question]:
    """What is asked of one image: every object in view, then absent ones."""
    masks: dict[str, Mask] = {}
    for number, thing in enumerate(scene.objects):
        masks[thing.query] = masks.get(thing.query, np.zeros((HEIGHT, WIDTH), bool)) | (frame.instances == number)
    seen = {query: mask for query, mask in masks.items() if mask.mean() >= MIN_VISIBLE}
    touched = {query for query, mask in masks.items() if mask.any()}
    asked = [Question(query, mask, is_hard(query, touched, present=True)) for query, mask in seen.items()]
    return asked + list(_absent(touched, rng))


def _absent(present: set[str], rng: np.random.Generator) -> Iterator[Question]:
    """Half of them share a colour or a kind with something in view."""
    pairs = [f"{colour} {kind}" for colour in COLOURS for kind in KINDS if f"{colour} {kind}" not in present]
    alike = [pair for pair in pairs if is_hard(pair, present, present=False)]
    other = [pair for pair in pairs if pair not in alike]
    for pool, hard in ((alike, True), (other, False)):
        for pair in rng.permutation(pool)[: ABSENT_PER_SCENE // 2]:
            yield Question(str(pair), None, hard)


def answers(grounder: Grounder, seed: int, scenes: int) -> list[Answer]:
    """Ask everything, with no presence threshold, so that every query points somewhere."""
    config = dataclasses.replace(grounder.config, presence_threshold=0.0, max_targets=1)
    found = []
    asking = track(questions(seed, scenes), "scenes", total=scenes, console=Console(stderr=True))
    for image, (rgb, asked) in enumerate(asking):
        features, texts = grounder.encode_image(rgb), [each.query for each in asked]
        grounding = grounder.ground(features, [Query(text) for text in texts], config=config)
        maps, evidence = evidence_of(grounder, features, texts)
        for index, each in enumerate(asked):
            pixel = grounding.best(index).pixel
            assert pixel is not None
            u, v = np.clip(np.rint(pixel), 0, (WIDTH - 1, HEIGHT - 1)).astype(int)
            hit = each.mask is not None and bool(each.mask[v, u])
            own = {kind: float(values[index]) for kind, values in evidence.items()}
            found.append(Answer(each, image, own, hit, maps[index]))
    return found


def evidence_of(grounder: Grounder, features: PatchFeatures, texts: list[str]) -> tuple[Any, dict[str, Any]]:
    """Cosine maps (Q, h, w), and evidence (Q,) of every kind and of LERF's relevancy, whatever the card's."""
    maps = similarity.maps_of(features, grounder.text.embed([*texts, *similarity.CANONICAL]))
    own, canonical = maps[: len(texts)], maps[len(texts) :]
    lerf = similarity.relevancy_logits(own, canonical, Relevancy("lerf")).amax(dim=(-2, -1))
    kinds = similarity.evidences(own, similarity.relevancy_logits(own, canonical, grounder.card.relevancy))
    return own.cpu().numpy(), {kind: values.cpu().numpy() for kind, values in (*kinds.items(), ("lerf", lerf))}


def samples(found: list[Answer]) -> Samples:
    """The answers as arrays, to be calibrated on."""
    return Samples(
        evidence={kind: np.array([each.evidence[kind] for each in found], np.float64) for kind in found[0].evidence},
        present=np.array([each.question.mask is not None for each in found], bool),
        hard=np.array([each.question.hard for each in found], bool),
        image=np.array([each.image for each in found], np.int64),
    )


def separations(found: list[Answer]) -> dict[str, Separation]:
    """How well each kind of evidence separates present from absent, LERF's relevancy, and all of them together."""
    asked = samples(found)
    table = {kind: separation(asked, values) for kind, values in asked.evidence.items()}
    together = combined(asked, [*EVIDENCES, "lerf"])
    return table | {"all together, fitted here": separation(asked, together)}


def show_separations(title: str, table: dict[str, Separation]) -> None:
    shown = Table("evidence", "AUROC", "absent, shares colour or kind", "present beside its colour", title=title)
    for kind, each in table.items():
        shown.add_row(kind, f"{each.all:.4f}", f"{each.absent_alike:.4f}", f"{each.same_colour:.4f}")
    Console().print(shown)


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
    asked, hits = samples(found), np.array([each.hit for each in found], bool)
    sizes = np.array([0.0 if each.question.mask is None else each.question.mask.mean() for each in found])
    present, hard, large = asked.present, asked.hard, sizes >= LARGE
    probability = scores(asked, presence)
    judged = judge(asked, probability, (threshold,))
    (all_of_them,), (hard_ones,) = judged.points, judged.hard_points
    shares = {
        "pointing": hits[present].mean(),
        "pointing_alone": hits[present & ~hard].mean(),
        "pointing_same_colour": hits[present & hard].mean(),
        "pointing_large": hits[large].mean(),
        "auroc": judged.separation.all,
        "auroc_hard": judged.separation.absent_alike,
        "auroc_same_colour": judged.separation.same_colour,
        "auroc_large": auroc(probability[large], probability[~present]),
        "recall": all_of_them.recall,
        "recall_same_colour": hard_ones.recall,
        "recall_large": operating_point(probability, large, threshold).recall,
        "false_found": all_of_them.false_found,
        "false_found_hard": hard_ones.false_found,
        "brier": judged.brier,
        "calibration_error": judged.calibration_error,
    }
    counts = {"present_queries": judged.present, "absent_queries": judged.absent}
    return counts | {name: round(float(value), 4) for name, value in shares.items()}


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
        show_separations(f"{method}, kinds of evidence", separations(found))
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

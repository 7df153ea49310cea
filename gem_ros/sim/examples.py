"""How well a thing is found again that was shown instead of named.

``python -m gem_ros.sim.examples`` cuts things out of one view of simulated scenes and looks for them in another view of
the same scene, where they are in view or not, and in other scenes, where they are not. It fits the score and the
edge of regions on some scenes and prints the card's lines, then measures on others.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator
from itertools import islice

import cv2
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from gem_ros.core import similarity
from gem_ros.data import PatchFeatures
from gem_ros.models import BUNDLED, Presence, Relevancy
from gem_ros.pipeline import Grounder
from gem_ros.replay.calibration import fit_presence, scores
from gem_ros.replay.metrics import auroc, operating_point
from gem_ros.sim.dataset import HELD_OUT_SEED, random_frames
from gem_ros.sim.held_out import (
    CALIBRATION_SEED,
    HEIGHT,
    LARGE,
    MIN_VISIBLE,
    WIDTH,
    Answer,
    Mask,
    Question,
    best_iou,
    samples,
    show,
)

MARGIN = 2  # px around what is cut out, as people do it
ABSENT = 4  # other scenes that each example is looked for in
Picture = npt.NDArray[np.uint8]


@dataclasses.dataclass(frozen=True, eq=False)
class Pair:
    """Two views of one scene: pictures, and where each thing is by its query."""

    pictures: tuple[Picture, Picture]
    masks: tuple[dict[str, Mask], dict[str, Mask]]


def pairs(seed: int, scenes: int) -> Iterator[Pair]:
    """``scenes`` random scenes seen twice, 320×240."""
    frames = random_frames(seed, 2 * scenes, WIDTH, HEIGHT, views=2)
    while views := list(islice(frames, 2)):
        masks = []
        for scene, frame in views:
            found: dict[str, Mask] = {}
            for number, thing in enumerate(scene.objects):
                found[thing.query] = found.get(thing.query, np.zeros((HEIGHT, WIDTH), bool)) | (
                    frame.instances == number
                )
            masks.append(found)
        yield Pair((views[0][1].rgb, views[1][1].rgb), (masks[0], masks[1]))


def answers(grounder: Grounder, seed: int, scenes: int) -> list[Answer]:
    """Each thing of at least 1 % in a first view, looked for in the second view and in other scenes' ones."""
    shown = track(pairs(seed, scenes), "scenes", total=scenes, console=Console(stderr=True))
    everything = list(shown)
    features = [grounder.encode_image(pair.pictures[1]) for pair in everything]
    found = []
    for index, pair in enumerate(everything):
        for query, mask in pair.masks[0].items():
            if mask.mean() < LARGE:
                continue
            grounder.add_example("it", crop(pair.pictures[0], mask), of=(HEIGHT, WIDTH))
            for step in range(1 + ABSENT):
                other = (index + step) % len(everything)
                known = everything[other].masks[1].get(query)
                if known is not None and (step or known.mean() < MIN_VISIBLE):
                    continue  # the same kind of thing elsewhere, or hardly in view: neither
                found.append(_answer(grounder, features[other], Question(query, known, False), other))
    return found


def crop(picture: Picture, mask: Mask) -> Picture:
    """What a person would cut out."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = max(rows[0] - MARGIN, 0), max(columns[0] - MARGIN, 0)
    return np.ascontiguousarray(picture[top : rows[-1] + 1 + MARGIN, left : columns[-1] + 1 + MARGIN])


def _answer(grounder: Grounder, features: PatchFeatures, question: Question, image: int) -> Answer:
    embedding = grounder.examples.find("@it")
    assert embedding is not None
    map_ = similarity.similarity_maps(features.tokens, embedding[None])[0].cpu().numpy()
    row, column = np.unravel_index(int(map_.argmax()), map_.shape)
    v, u = int((row + 0.5) * HEIGHT / map_.shape[0]), int((column + 0.5) * WIDTH / map_.shape[1])
    hit = question.mask is not None and bool(cv2.dilate(question.mask.astype(np.uint8), np.ones((5, 5)))[v, u])
    return Answer(question, image, {"cosine": float(map_.max())}, hit, map_)


def fitted(grounder: Grounder, scenes: int) -> tuple[Relevancy, Presence]:
    """Score and edge of regions for examples, on calibration scenes."""
    found = answers(grounder, CALIBRATION_SEED + 2, scenes)
    _, edge = best_iou(found, grounder)
    presence = fit_presence(samples(found), "cosine")
    return Relevancy("sigmoid", round(presence.a, 4), round(-presence.a * edge, 4)), presence


def numbers(found: list[Answer], presence: Presence, threshold: float = 0.5) -> dict[str, float]:
    """Counts, and shares in [0, 1] at the score ``threshold``."""
    asked = samples(found)
    probability, present = scores(asked, presence), asked.present
    at = operating_point(probability, present, threshold)
    hits = np.array([each.hit for each in found], bool)
    return {
        "present": int(present.sum()),
        "absent": int((~present).sum()),
        "pointing": float(hits[present].mean()),
        "auroc": auroc(probability[present], probability[~present]),
        "recall": at.recall,
        "false_found": at.false_found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=150)
    arguments = parser.parse_args()
    grounder = Grounder.load(BUNDLED)
    relevancy, presence = fitted(grounder, arguments.scenes)
    print(f"example_relevancy {dataclasses.asdict(relevancy)}, example_presence {dataclasses.asdict(presence)}")
    found = answers(grounder, HELD_OUT_SEED + 1, arguments.scenes)
    table = numbers(found, presence) | {"best_iou": best_iou(found, grounder)[0]}
    show(f"examples, {arguments.scenes} held-out scenes", table)


if __name__ == "__main__":
    main()

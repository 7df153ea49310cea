"""A model run over labelled images, its presence fitted to what they show, and the card that keeps it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gem_ros.core import similarity
from gem_ros.errors import GemError
from gem_ros.models import BUNDLED, EVIDENCES, Evidence, Presence, feature_settings
from gem_ros.pipeline import IMAGE_SIZE, Grounder
from gem_ros.replay.calibration import (
    Judgement,
    Samples,
    Separation,
    Values,
    check_both,
    fit_presence,
    halves,
    is_hard,
    judge,
    scores,
    separation,
    threshold_for,
)
from gem_ros.replay.labelled import LabelledImages
from gem_ros.replay.metrics import OperatingPoint

CARD, PLOT = "card.json", "calibration.png"


@dataclass(frozen=True, eq=False)
class Collected:
    """What the model said of ``images`` images; ``left_out`` are queries with words that it does not know."""

    samples: Samples
    images: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Calibration:
    """``presence`` is fitted on all images. ``judged`` are those that ``tried`` was judged by, with its ``scores``;
    where they were ``held_out``, ``tried`` is fitted on the others, else it is ``presence`` itself.

    ``separations`` of each kind of evidence over all images; ``threshold`` finds at most 5 % of what is absent.
    """

    presence: Presence
    tried: Presence
    held_out: bool
    judged: Samples
    scores: Values
    judgement: Judgement
    separations: dict[Evidence, Separation]
    threshold: float


def collect(grounder: Grounder, source: LabelledImages, progress: Callable[[float], None]) -> Collected:
    """Ask every query of every image, encoding each once; ``progress`` is told the share done, in [0, 1]."""
    known = [query for query in source.queries if grounder.text.knows(query)]
    left_out = tuple(query for query in source.queries if query not in known)
    rows: list[tuple[int, bool, bool]] = []
    evidence: dict[str, list[float]] = {kind: [] for kind in EVIDENCES}
    text = grounder.text.embed([*known, *similarity.CANONICAL])
    images = 0
    for image in source.read():
        maps = similarity.maps_of(grounder.encode_image(image.rgb), text)
        own, canonical = maps[: len(known)], maps[len(known) :]
        logits = similarity.relevancy_logits(own, canonical, grounder.card.relevancy)
        found = {kind: values.cpu().numpy() for kind, values in similarity.evidences(own, logits).items()}
        for index, query in enumerate(known):
            if query in image.unclear:
                continue
            present = query in image.present
            rows.append((images, present, is_hard(query, image.present | image.unclear, present)))
            for kind in EVIDENCES:
                evidence[kind].append(float(found[kind][index]))
        images += 1
        progress(images / source.count)
    table = np.array(rows, np.int64).reshape(-1, 3)
    asked = {kind: np.array(values, np.float64) for kind, values in evidence.items()}
    samples = Samples(asked, table[:, 1].astype(bool), table[:, 2].astype(bool), table[:, 0])
    return Collected(samples, images, left_out)


def calibrate(collected: Collected) -> Calibration:
    """Fit presence; judge it by images that another fit has not seen, where there are enough of them.

    Raises :class:`ModelError` where there is nothing to tell apart, or the evidence tells nothing.
    """
    samples = collected.samples
    check_both(samples)
    presence = fit_presence(samples)
    parts = halves(samples, collected.images)
    tried, judged = (fit_presence(samples[parts[0]]), samples[parts[1]]) if parts else (presence, samples)
    values = scores(judged, tried)
    return Calibration(
        presence=presence,
        tried=tried,
        held_out=parts is not None,
        judged=judged,
        scores=values,
        judgement=judge(judged, values),
        separations={kind: separation(samples, samples.evidence[kind]) for kind in EVIDENCES},
        threshold=threshold_for(values, judged.present),
    )


def write_card(path: Path, grounder: Grounder, collected: Collected, found: Calibration) -> None:
    """The file for the parameter ``card``; :func:`gem_ros.models.calibrated` reads it."""
    config, card = grounder.config, grounder.card
    values = {
        "model": config.model,
        "pretrained": None if config.model == BUNDLED else config.pretrained,
        "sha256": card.sha256 or None,
        **feature_settings(config),
        "image_size": config.image_size or card.defaults.get("image_size") or IMAGE_SIZE,
        "presence": asdict(found.presence),
        "relevancy": asdict(card.relevancy),
        "images": collected.images,
        "numbers": numbers(found),
    }
    try:
        path.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise GemError(f"{path}: expected a file that can be written, got: {error.strerror}") from error


def numbers(found: Calibration) -> dict[str, Any]:
    """What was measured, fit for JSON: shares in [0, 1], None where there is nothing to measure."""
    judged = found.judgement
    shares = {
        "auroc": judged.separation.all,
        "auroc_absent_alike": judged.separation.absent_alike,
        "auroc_same_colour": judged.separation.same_colour,
        "brier": judged.brier,
        "calibration_error": judged.calibration_error,
        "threshold_for_5_percent_false_found": found.threshold,
    }
    return {
        "held_out": found.held_out,
        "present_questions": judged.present,
        "absent_questions": judged.absent,
        **{name: _finite(value) for name, value in shares.items()},
        "thresholds": [_shares(each) for each in judged.points],
        "thresholds_hard": [_shares(each) for each in judged.hard_points],
        "evidence_auroc": {kind: _finite(each.all) for kind, each in found.separations.items()},
    }


def _shares(point: OperatingPoint) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in asdict(point).items()}


def _finite(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None

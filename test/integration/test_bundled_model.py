"""The bundled model on the sample recording: what the demo promises, without the node around it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gem_ros.data import Grounding, Observation
from gem_ros.geometry.target import CHI_SQUARE_95
from gem_ros.models import BUNDLED, EVIDENCES, load_card
from gem_ros.pipeline import Grounder
from gem_ros.replay.metrics import auroc, surface_error
from gem_ros.replay.observations import read_observations
from gem_ros.replay.truth import Sighting, Truth, load_truth

BAG = Path(__file__).parents[2] / "data" / "tabletop"
EVERY = 5  # one image in five: two per second of the recording
LARGE = 0.01  # share of the image from which the demo's numbers count


@pytest.fixture(scope="module")
def grounder() -> Grounder:
    return Grounder.load(BUNDLED)


@pytest.fixture(scope="module")
def truth() -> Truth:
    return load_truth(BAG)


@pytest.fixture(scope="module")
def answered(grounder: Grounder, truth: Truth) -> list[tuple[Observation, Grounding]]:
    """Every fifth image with what was found of all queries, present and absent."""
    asked = [*truth.queries, *truth.absent_queries]
    observations = [each for index, each in enumerate(read_observations(BAG)) if index % EVERY == 0]
    return [
        (each, grounder.ground(grounder.encode_image(each.image), asked, depth=each.depth, camera=each.camera))
        for each in observations
    ]


def sightings(
    answered: list[tuple[Observation, Grounding]], truth: Truth, query: str
) -> Iterator[tuple[Observation, Grounding, Sighting]]:
    for observation, grounding in answered:
        for seen in truth.visible(observation.stamp, query):
            if seen.visible_fraction >= LARGE:
                yield observation, grounding, seen


def test_weights_are_small_and_their_card_complete() -> None:
    card = load_card(BUNDLED)
    assert card.weights.stat().st_size <= 10e6
    assert {"image_size", "gem.blocks", "gem.iterations"} <= set(card.defaults)
    assert card.presence.evidence in EVIDENCES and card.relevancy.kind == "sigmoid"
    assert {"red", "ball", "floor", "sphere", "the"} <= set(card.vocabulary)


def test_red_ball_is_found_pointed_at_and_measured(answered: list[tuple[Observation, Grounding]], truth: Truth) -> None:
    index = truth.queries.index("red ball")
    found, hits, errors = [], [], []
    for observation, grounding, seen in sightings(answered, truth, "red ball"):
        best = grounding.best(index)
        found.append(best.found)
        if best.found and best.pixel and best.point is not None:
            u, v = np.rint(best.pixel).astype(int)
            hits.append(bool(seen.mask[v, u]))
            assert observation.depth is not None and observation.camera is not None
            errors.append(surface_error(best.point, observation.depth, seen.mask, observation.camera))
    assert len(found) >= 10
    assert np.mean(found) >= 0.9
    assert np.mean(hits) >= 0.9
    assert np.median(errors) <= 0.03


def test_points_lie_on_what_was_asked_for_and_their_covariances_say_how_well(
    answered: list[tuple[Observation, Grounding]], truth: Truth
) -> None:
    errors, inside, sigmas = [], [], []
    for query in truth.queries:
        for observation, grounding, seen in sightings(answered, truth, query):
            best = grounding.best(truth.queries.index(query))
            if best.point is not None and best.covariance is not None:
                assert observation.depth is not None and observation.camera is not None
                errors.append(surface_error(best.point, observation.depth, seen.mask, observation.camera))
                away = best.point - seen.surface
                inside.append(away @ np.linalg.solve(best.covariance, away) <= CHI_SQUARE_95)
                sigmas.append(np.sqrt(np.trace(best.covariance) / 3))
    assert len(errors) >= 50
    assert np.median(errors) <= 0.03 and np.percentile(errors, 95) <= 0.15
    assert np.mean(inside) >= 0.88 and np.median(sigmas) <= 0.05


def test_scores_tell_present_from_absent(answered: list[tuple[Observation, Grounding]], truth: Truth) -> None:
    present, absent = [], []
    for index, query in enumerate([*truth.queries, *truth.absent_queries]):
        for observation, grounding in answered:
            seen = truth.visible(observation.stamp, query)
            if sum(each.visible_fraction for each in seen) >= LARGE:
                present.append(grounding.best(index).score)
            elif not seen:
                absent.append(grounding.best(index).score)
    assert auroc(present, absent) >= 0.95
    assert np.mean(np.array(absent) >= 0.5) <= 0.05
    assert np.mean(np.array(present) >= 0.5) >= 0.8


TAKEN_FOR_THE_BOTTLE = pytest.mark.xfail(strict=True, reason="a limit that docs/bundled_model.md states")


@pytest.mark.parametrize(
    "query", ["black chair", pytest.param("green cone", marks=TAKEN_FOR_THE_BOTTLE), "yellow ball", "violin"]
)
def test_absent_things_are_not_found(answered: list[tuple[Observation, Grounding]], truth: Truth, query: str) -> None:
    index = len(truth.queries) + truth.absent_queries.index(query)
    assert np.mean([grounding.best(index).found for _, grounding in answered]) <= 0.05


def test_an_unknown_word_is_said(grounder: Grounder, answered: list[tuple[Observation, Grounding]]) -> None:
    target = grounder.ground(grounder.encode_image(answered[0][0].image), ["red violin"]).targets[0]
    assert (target.found, target.score, target.reason) == (False, 0.0, "unknown_word")
    assert grounder.text.unknown_words("red violin") == ("violin",)


def test_words_of_the_same_meaning_point_to_the_same_place(
    grounder: Grounder, answered: list[tuple[Observation, Grounding]]
) -> None:
    observation = answered[len(answered) // 2][0]
    features = grounder.encode_image(observation.image)
    first, second = grounder.ground(features, ["blue mug:0", "the blue cup:0"]).patch_relevancy
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.9

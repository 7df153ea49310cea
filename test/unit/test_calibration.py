"""From evidence to probabilities, against numbers worked out by hand."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gem_ros.config import Config, replace
from gem_ros.data import PatchFeatures
from gem_ros.errors import ModelError
from gem_ros.models import DEFAULT_CARD, EVIDENCES, Presence, calibrated, feature_settings
from gem_ros.replay import calibration
from gem_ros.replay.calibration import Samples, fit_logistic, fit_presence, is_hard
from gem_ros.replay.calibration_run import calibrate, collect, write_card
from gem_ros.replay.labelled import LabelledImage, LabelledImages
from gem_ros.replay.metrics import (
    auroc,
    brier_score,
    calibration_error,
    operating_point,
    precision_recall,
    reliability,
)

SCORES = np.array([0.9, 0.8, 0.8, 0.6, 0.4, 0.3, 0.1])
PRESENT = np.array([1, 1, 0, 1, 0, 1, 0], bool)
numbers = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=1, max_size=8)


def samples(present, hard=None, image=None, **evidence):
    """The first evidence given stands for those that are not."""
    first = next(iter(evidence.values()))
    every = {kind: np.asarray(evidence.get(kind, first), float) for kind in EVIDENCES}
    count = len(present)
    hard = np.zeros(count, bool) if hard is None else np.asarray(hard, bool)
    return Samples(every, np.asarray(present, bool), hard, np.arange(count) if image is None else np.asarray(image))


# AUROC, precision and recall, reliability


def test_auroc_by_hand_with_ties():
    # of 3 x 2 pairs: 3 beats 1 and 2; 2 beats 1 and ties with 2; 0 beats none
    assert auroc([3.0, 2.0, 0.0], [1.0, 2.0]) == pytest.approx(3.5 / 6)
    assert auroc([1.0, 1.0], [1.0]) == 0.5
    assert (auroc([2.0], [1.0]), auroc([1.0], [2.0])) == (1.0, 0.0)
    assert math.isnan(auroc([], [1.0])) and math.isnan(auroc([1.0], []))


@given(numbers, numbers)
def test_auroc_is_the_share_of_pairs(present, absent):
    pairs = [(a > b) + (a == b) / 2 for a in present for b in absent]
    assert auroc(present, absent) == pytest.approx(np.mean(pairs))
    assert auroc(absent, present) == pytest.approx(1 - np.mean(pairs))


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.5, (3 / 4, 3 / 4, 1 / 3)), (0.8, (2 / 3, 2 / 4, 1 / 3)), (0.0, (4 / 7, 1.0, 1.0)), (0.3, (4 / 6, 1.0, 2 / 3))],
)
def test_precision_recall_and_false_found_by_hand(threshold, expected):
    point = operating_point(SCORES, PRESENT, threshold)
    assert (point.precision, point.recall, point.false_found) == pytest.approx(expected)


def test_a_share_of_nothing_is_no_number():
    point = operating_point(SCORES, PRESENT, 0.95)
    assert math.isnan(point.precision) and (point.recall, point.false_found) == (0.0, 0.0)
    assert math.isnan(operating_point([0.5], [True], 0.5).false_found)


def test_the_precision_recall_curve_finds_equal_scores_together():
    precision, recall = precision_recall(SCORES, PRESENT)  # thresholds 0.9, 0.8, 0.6, 0.4, 0.3, 0.1
    np.testing.assert_allclose(precision, [1, 2 / 3, 3 / 4, 3 / 5, 4 / 6, 4 / 7])
    np.testing.assert_allclose(recall, [1 / 4, 2 / 4, 3 / 4, 3 / 4, 1, 1])
    for scores, present in (([], []), ([0.5], [False])):
        assert [each.size for each in precision_recall(scores, present)] == [0, 0]


def test_reliability_by_hand():
    bins = reliability([0.0, 0.1, 0.3, 0.5, 0.5, 1.0], [0, 0, 1, 1, 0, 1], bins=4)
    assert [(each.low, each.high, each.count) for each in bins] == [
        *((0.0, 0.25, 2), (0.25, 0.5, 1), (0.5, 0.75, 2), (0.75, 1.0, 1))
    ]
    assert [each.mean for each in bins] == pytest.approx([0.05, 0.3, 0.5, 1.0])
    assert [each.share for each in bins] == pytest.approx([0.0, 1.0, 0.5, 1.0])
    assert calibration_error(bins) == pytest.approx((2 * 0.05 + 1 * 0.7 + 0 + 0) / 6)


def test_empty_bins_count_for_nothing():
    bins = reliability([0.05], [True])
    assert [each.count for each in bins] == [1] + [0] * 9 and math.isnan(bins[5].mean) and math.isnan(bins[5].share)
    assert calibration_error(bins) == pytest.approx(0.95)
    assert math.isnan(calibration_error([]))


def test_brier_score_by_hand():
    assert brier_score([0.9, 0.4, 0.2], [1, 0, 1]) == pytest.approx((0.01 + 0.16 + 0.64) / 3)
    assert math.isnan(brier_score([], []))


# The fit


def test_the_logistic_fit_finds_what_made_the_data():
    rng = np.random.default_rng(0)
    x = rng.normal(0.25, 0.1, 40_000)
    present = rng.random(x.size) < 1 / (1 + np.exp(-(20.0 * x - 5.0)))
    (a,), b = fit_logistic(x, present)
    assert (a, b) == (pytest.approx(20.0, rel=0.03), pytest.approx(-5.0, rel=0.03))
    fitted = fit_presence(samples(present, cosine=x))
    assert (fitted.a, fitted.b) == (pytest.approx(a, abs=1e-4), pytest.approx(b, abs=1e-4))


def test_the_fits_mean_is_the_share_of_what_is_present_as_platt_counts_it():
    # with a free b, the mean probability is the mean target: (4 * 5/6 + 3 * 1/5) / 7
    (a,), b = fit_logistic(SCORES, PRESENT)
    assert np.mean(1 / (1 + np.exp(-(a * SCORES + b)))) == pytest.approx((4 * 5 / 6 + 3 / 5) / 7, abs=1e-6)


def test_two_values_are_fitted_exactly():
    # with x in {0, 1} both probabilities are free, so they are Platt's targets: 3/4 of 2 present, 1/4 of 2 absent
    (a,), b = fit_logistic([1.0, 1.0, 0.0, 0.0], [True, True, False, False])
    assert 1 / (1 + math.exp(-(a + b))) == pytest.approx(3 / 4, abs=1e-4)
    assert 1 / (1 + math.exp(-b)) == pytest.approx(1 / 4, abs=1e-4)


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_separable_data_stay_finite_and_surer_the_more_there_is(count):
    x = np.concatenate([np.linspace(0.1, 0.2, count), np.linspace(0.3, 0.4, count)])
    fitted = fit_presence(samples(x > 0.25, cosine=x))
    assert math.isfinite(fitted.a) and math.isfinite(fitted.b) and 0 < fitted.a < 2000
    surest = 1 / (1 + math.exp(-(fitted.a * 0.4 + fitted.b)))
    assert {1: 0.6, 10: 0.9, 1000: 0.99}[count] < surest < 1


def test_every_question_weighs_the_same():
    once = fit_logistic(SCORES, PRESENT)
    doubled = fit_logistic(np.repeat(SCORES, 400), np.repeat(PRESENT, 400))
    lopsided = fit_logistic(np.concatenate([SCORES, np.repeat(SCORES[~PRESENT], 20)]), [*PRESENT, *[False] * 60])
    assert doubled[0][0] > once[0][0]  # the same, but less held back
    assert lopsided[1] < once[1] - 1.0  # more absent ones make presence rarer


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_fit_does_not_depend_on_the_evidences_unit(scale):
    (a,), b = fit_logistic(SCORES, PRESENT)
    (scaled,), same = fit_logistic(SCORES * scale, PRESENT)
    assert (scaled * scale, same) == (pytest.approx(a, rel=1e-4), pytest.approx(b, rel=1e-4))


@pytest.mark.parametrize(
    ("present", "evidence", "said"),
    [
        ([1, 1, 1], [1, 2, 3], "got 3 and 0; add absent ones"),
        ([0, 0], [1, 2], "got 0 and 2; add present ones"),
        ([], [], "got 0 and 0"),
        ([1, 1, 0, 0], [1, 2, 3, 4], "AUROC of 0.00"),
        ([1, 0, 1, 0], [2, 2, 2, 2], "AUROC of 0.50"),
        ([1, 0], [math.nan, 1], "expected finite evidence"),
        ([1, 0], [math.inf, 1], "expected finite evidence"),
    ],
)
def test_what_cannot_be_fitted_is_said(present, evidence, said):
    with pytest.raises(ModelError, match=said) as refused:
        fit_presence(samples(present, cosine=evidence))
    assert "\n" not in str(refused.value)


# Which evidence


def ranked(misplaced):
    """100 present and 100 absent, of which so many pairs are the wrong way round: AUROC 1 - misplaced / 10000."""
    values = np.concatenate([np.arange(100) + 100.0, np.arange(100.0)])
    values[100] += 100 - 0.5 + misplaced  # the weakest absent one passes so many present ones
    return values


@pytest.mark.parametrize(
    ("cosine", "mean", "chosen"),
    [(60, 10, "cosine_mean"), (25, 10, "cosine"), (10, 60, "cosine"), (10, 10, "cosine")],
)
def test_the_best_evidence_is_chosen_and_ties_go_to_the_cosine(cosine, mean, chosen):
    present = np.arange(200) < 100
    asked = samples(present, cosine=ranked(cosine), cosine_mean=ranked(mean), contrast=7 * ranked(80))
    assert calibration.separation(asked, asked.evidence["cosine"]).all == pytest.approx(1 - cosine / 1e4)
    assert calibration.choose_evidence(asked) == chosen
    assert fit_presence(asked).evidence == chosen
    for kind in ("contrast", "cosine"):
        (a,), b = fit_logistic(asked.evidence[kind], present)
        assert fit_presence(asked, kind) == Presence(kind, round(a, 4), round(b, 4))


def test_all_evidences_together_are_no_worse_than_the_best():
    rng = np.random.default_rng(3)
    present = rng.random(2000) < 0.4
    first, second = (present + rng.normal(0, 1, present.size) for _ in range(2))
    asked = samples(present, cosine=first, contrast=second, cosine_mean=first, relevancy=2 * first - 1)
    together = calibration.separation(asked, calibration.combined(asked, EVIDENCES)).all
    assert together > max(calibration.separation(asked, each).all for each in (first, second)) + 0.03
    assert together == pytest.approx(calibration.separation(asked, first + second).all, abs=0.01)


# The hard cases


@pytest.mark.parametrize(
    ("query", "in_view", "present", "hard"),
    [
        ("red ball", ["red ball", "red cube"], True, True),
        ("red ball", ["red ball", "blue ball"], True, False),  # the same kind, another colour
        ("red ball", ["red ball"], True, False),
        ("red ball", ["Red  Ball", "the red ball"], True, False),  # itself in other words
        ("the red ball", ["a red cube"], True, True),
        ("red ball", ["blue ball"], False, True),
        ("red ball", ["red cube", "door"], False, True),
        ("red ball", ["blue cube"], False, False),
        ("cup of tea", ["bag of chips", "the door"], False, False),
        ("red ball", [], False, False),
        ("the", ["the"], True, False),
    ],
)
def test_what_is_hard(query, in_view, present, hard):
    assert is_hard(query, in_view, present) is hard


def test_hard_questions_are_judged_apart_by_hand():
    hard = [0, 1, 1, 1, 0, 0, 0]
    judged = calibration.judge(samples(PRESENT, hard=hard, cosine=SCORES), SCORES, (0.7,))
    assert (judged.present, judged.absent, judged.same_colour, judged.absent_alike) == (4, 3, 2, 1)
    # all: 0.9 beats 3, 0.8 beats 2 and ties, 0.6 beats 2, 0.3 beats 1
    assert judged.separation.all == pytest.approx(8.5 / 12)
    assert judged.separation.absent_alike == pytest.approx(1.5 / 4)  # against 0.8
    assert judged.separation.same_colour == pytest.approx(4.5 / 6)  # 0.8 and 0.6
    (point,) = judged.hard_points  # 0.8 present, 0.8 absent, 0.6 present
    assert (point.precision, point.recall, point.false_found) == pytest.approx((1 / 2, 1 / 2, 1.0))
    assert judged.brier == brier_score(SCORES, PRESENT)


def test_the_threshold_that_finds_few_absent_ones():
    scores = np.concatenate([[0.9], np.arange(20) / 20 + 0.02])
    present = np.arange(21) < 1
    assert calibration.threshold_for(scores, present, 0.05) == pytest.approx(0.93)  # of 20 absent ones only 0.97 is
    assert calibration.threshold_for(scores, present, 1.0) == 0.0
    assert calibration.threshold_for([1.0, 1.0], [True, False], 0.05) == 1.0


def test_whole_blocks_of_images_are_held_out():
    image = np.repeat(np.arange(40), 2)
    present = np.tile([True, False], 40)
    fitted, judged = calibration.halves(samples(present, image=image, cosine=present), 40)
    assert sorted(set(image[fitted])) == [each for each in range(40) if each // 4 % 2 == 0]
    assert (fitted ^ judged).all()
    assert calibration.halves(samples(present, image=image, cosine=present), 19) is None
    only_early = image < 4  # present in the first block alone
    assert calibration.halves(samples(only_early, image=image, cosine=only_early), 40) is None


# A model run over images


class Model:
    """Three patches; "violin" is an unknown word; a picture's first pixel says how much it looks like what."""

    QUERIES = ("red ball", "blue cube", "red cube")

    def __init__(self):
        self.card = DEFAULT_CARD
        self.config = replace(Config(), {"model": "ViT-B-16", "pretrained": "openai"})
        self.text = self
        self.encoded = 0

    def knows(self, text):
        return "violin" not in text.split()

    def embed(self, texts):
        directions = [self.QUERIES.index(text) if text in self.QUERIES else 3 for text in texts]
        return torch.eye(4)[directions]

    def encode_image(self, rgb):
        self.encoded += 1
        seen = torch.tensor(rgb[0, :3, 0].astype(np.float32)) / 255
        rest = torch.stack([*seen, (1 - (seen**2).sum()).clamp_min(0).sqrt()])
        tokens = torch.stack([rest, torch.eye(4)[3], torch.eye(4)[3]])[None]
        return PatchFeatures(tokens, rgb.shape[:2])


def picture(*likeness):
    rgb = np.zeros((2, 3, 3), np.uint8)
    rgb[0, :, 0] = [round(255 * each) for each in likeness]
    return rgb


def source(images, queries=("red ball", "blue cube", "red cube", "green violin")):
    return LabelledImages(queries, len(images), lambda: iter(images))


def test_every_query_is_asked_of_every_image_that_is_encoded_once():
    model, told = Model(), []
    images = [
        LabelledImage("a", picture(0.6, 0.0, 0.2), frozenset({"red ball"}), frozenset({"blue cube"})),
        LabelledImage("b", picture(0.2, 0.4, 0.0), frozenset({"blue cube", "red cube"})),
        LabelledImage("c", picture(0.0, 0.0, 0.3), frozenset({"red cube"}), frozenset({"red ball"})),
    ]
    found = collect(model, source(images), told.append)
    assert (found.images, found.left_out, model.encoded, told) == (
        3,
        ("green violin",),
        3,
        pytest.approx([1 / 3, 2 / 3, 1]),
    )
    asked = found.samples
    # too little of the blue cube in the first, of the red ball in the last to say; yet a look-alike is a look-alike
    assert asked.image.tolist() == [0, 0, 1, 1, 1, 2, 2]
    assert asked.present.tolist() == [True, False, False, True, True, False, True]
    assert asked.hard.tolist() == [False, True, True, False, False, True, True]
    np.testing.assert_allclose(asked.evidence["cosine"], [0.6, 0.2, 0.2, 0.4, 0.0, 0.0, 0.3], atol=2e-3)
    np.testing.assert_allclose(asked.evidence["cosine_mean"], [0.3, 0.1, 0.1, 0.2, 0.0, 0.0, 0.15], atol=2e-3)
    lerf = [10 * (each - math.sqrt(1 - 0.4)) for each in (0.6, 0.2)]
    np.testing.assert_allclose(asked.evidence["relevancy"][:2], lerf, atol=0.05)


def many(count, seed=0):
    """Images that show the red ball or the blue cube, never the red cube; a model that is mostly right."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        ball = bool(rng.random() < 0.5)
        likeness = rng.normal([0.5 if ball else 0.2, 0.2 if ball else 0.5, 0.25], 0.1).clip(0, 0.57)
        present = frozenset({"red ball" if ball else "blue cube"})
        yield LabelledImage(str(index), picture(*likeness), present)


def test_held_out_images_judge_a_fit_that_has_not_seen_them():
    collected = collect(Model(), source(list(many(60))), lambda share: None)
    found = calibrate(collected)
    first, second = calibration.halves(collected.samples, 60)
    assert found.held_out and found.presence != found.tried
    assert found.presence == fit_presence(collected.samples)
    assert found.tried == fit_presence(collected.samples[first])
    assert found.judgement.present + found.judgement.absent == second.sum() == len(found.scores)
    assert found.judgement.separation.all > 0.9


def test_few_images_are_judged_by_themselves():
    collected = collect(Model(), source(list(many(12))), lambda share: None)
    found = calibrate(collected)
    assert not found.held_out and found.tried == found.presence
    assert len(found.scores) == 36 and found.judgement.separation.all > 0.9


def test_the_card_is_read_back_as_it_was_fitted(tmp_path):
    collected = collect(Model(), source(list(many(12))), lambda share: None)
    found = calibrate(collected)
    write_card(tmp_path / "card.json", Model(), collected, found)
    card = calibrated(DEFAULT_CARD, tmp_path / "card.json", "ViT-B-16", pretrained="openai")
    assert (card.presence, card.relevancy) == (found.presence, DEFAULT_CARD.relevancy)
    values = json.loads((tmp_path / "card.json").read_text(), parse_constant=pytest.fail)  # no NaN in it
    assert (values["method"], values["feature_surgery"], values["gem.projections"]) == ("gem", False, "qkv")
    other = feature_settings(replace(Config(), {"gem.projections": "qk"}))
    with pytest.raises(ModelError, match=r"gem\.projections: expected 'qk', which is in use, got 'qkv'"):
        calibrated(DEFAULT_CARD, tmp_path / "card.json", "ViT-B-16", settings=other)
    assert (values["image_size"], values["images"], values["numbers"]["held_out"]) == (448, 12, False)
    assert set(values["numbers"]["evidence_auroc"]) == set(EVIDENCES)


def test_scores_are_those_of_the_node():
    from gem_ros.core.similarity import presence_scores

    asked, card = samples(PRESENT, cosine=SCORES), Presence("cosine", 7.0, -3.0)
    node = presence_scores(torch.tensor(SCORES), card).numpy()
    np.testing.assert_allclose(calibration.scores(asked, card), node, rtol=1e-6)

"""Similarity, relevancy and presence against numbers worked out by hand."""

import math

import pytest
import torch

from gem_ros.core import similarity
from gem_ros.models import Presence, Relevancy


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_similarity_is_the_cosine_of_every_patch_with_every_text():
    tokens = torch.tensor([[[1.0, 0.0], [0.6, 0.8], [0.0, -1.0]]])  # one row of three patches
    text = torch.tensor([[0.6, 0.8], [1.0, 0.0]])
    expected = torch.tensor([[[0.6, 1.0, -0.8]], [[1.0, 0.6, 0.0]]])
    torch.testing.assert_close(similarity.similarity_maps(tokens, text), expected)


def test_lerf_relevancy_is_the_worst_of_the_pairs():
    own = torch.tensor([[[0.3, 0.1]]])
    negatives = torch.tensor([[[0.1, 0.0]], [[0.2, 0.5]]])
    logits = similarity.relevancy_logits(own, negatives, Relevancy("lerf", scale=10.0))
    pairs = [
        min(math.exp(10 * q) / (math.exp(10 * q) + math.exp(10 * n)) for n in ns)
        for q, *ns in ((0.3, 0.1, 0.2), (0.1, 0.0, 0.5))
    ]
    torch.testing.assert_close(torch.sigmoid(logits).flatten(), torch.tensor(pairs))


def test_sigmoid_relevancy_needs_no_negatives():
    logits = similarity.relevancy_logits(
        torch.tensor([[[0.25]]]), torch.zeros(0, 1, 1), Relevancy("sigmoid", 8.0, -1.0)
    )
    assert torch.sigmoid(logits).item() == pytest.approx(sigmoid(1.0))


@pytest.mark.parametrize(
    ("evidence", "expected"), [("cosine", sigmoid(4 * 0.5 - 1)), ("relevancy", sigmoid(4 * -0.2 - 1))]
)
def test_presence_is_decided_on_the_cards_evidence(evidence, expected):
    card = Presence(evidence, a=4.0, b=-1.0)
    maps = similarity.evidence_maps(torch.tensor([[[0.1, 0.5]]]), torch.tensor([[[-0.2, -0.3]]]), card)
    assert similarity.presence_scores(maps.amax(dim=(-2, -1)), card).item() == pytest.approx(expected)


def test_upsampling_keeps_patch_centres():
    # centres of two patches in a 4 px row are at -0.5 + 1 and -0.5 + 3
    row = similarity.upsample(torch.tensor([[[0.0, 1.0]]]), (1, 4))
    torch.testing.assert_close(row, torch.tensor([[[0.0, 0.25, 0.75, 1.0]]]))
    assert similarity.upsample(torch.zeros(3, 2, 5), (7, 9)).shape == (3, 7, 9)


def test_min_max_stretches_each_map_alone():
    maps = torch.tensor([[[1.0, 2.0, 3.0]], [[0.0, 10.0, 5.0]], [[4.0, 4.0, 4.0]]])
    expected = torch.tensor([[[0.0, 0.5, 1.0]], [[0.0, 1.0, 0.5]], [[0.0, 0.0, 0.0]]])
    torch.testing.assert_close(similarity.min_max(maps), expected)

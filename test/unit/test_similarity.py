"""Similarity, relevancy and presence against numbers worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from gem_ros.core import similarity
from gem_ros.models import EVIDENCES, Presence, Relevancy


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


def rivals_of(values, texts, queries):
    """One patch per text."""
    return similarity.rivals(torch.tensor(values).reshape(-1, 1, 1), texts, queries).flatten().tolist()


def test_the_strongest_of_what_competes_counts():
    maps = torch.tensor([[[0.1, 0.6]], [[0.3, 0.2]]])
    found = similarity.rivals(maps, ["red cube", "wall"], ["red ball"])
    torch.testing.assert_close(found, torch.tensor([[[0.3, 0.6]]]))


def test_a_query_never_competes_with_itself_however_it_is_written():
    found = rivals_of([0.9, 0.4, 0.1], ["Red  ball", "blue cube", "wall"], ["red ball", "blue cube", "wall"])
    assert found == pytest.approx([0.4, 0.9, 0.9])
    assert rivals_of([0.9, 0.4], ["cup| Mug", "wall"], ["mug|cup"]) == pytest.approx([0.4])  # in any order


def test_without_competitors_nothing_changes():
    own, negatives = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 3, 4)
    nothing = similarity.rivals(torch.zeros(0, 3, 4), [], ["red ball", "door"])
    alone = similarity.rivals(torch.ones(2, 3, 4), ["red ball", "red ball"], ["red ball", "red ball"])
    for rivals in (nothing, alone):
        assert rivals.shape == own.shape and torch.isinf(rivals).all()
        for kind in ("lerf", "sigmoid"):
            relevancy = Relevancy(kind, 8.0, -1.0)
            plain = similarity.relevancy_logits(own, negatives, relevancy)
            torch.testing.assert_close(similarity.relevancy_logits(own, negatives, relevancy, rivals), plain)
            for evidence in EVIDENCES:
                with_them = similarity.evidence_maps(own, plain, Presence(evidence), rivals)
                torch.testing.assert_close(with_them, similarity.evidence_maps(own, plain, Presence(evidence)))
    assert similarity.rivals(torch.zeros(1, 3, 4), ["wall"], []).shape == (0, 3, 4)


def test_competitors_take_relevancy_by_hand():
    own, canonical, rivals = (torch.tensor([[row]]) for row in ([0.5, 0.5, 0.5], [0.1, 0.1, 0.1], [0.0, 0.4, 0.7]))
    lerf = similarity.relevancy_logits(own, canonical, Relevancy("lerf", 10.0), rivals)
    torch.testing.assert_close(lerf, torch.tensor([[[4.0, 1.0, -2.0]]]))  # 10 (0.5 - max(0.1, rival))
    sigmoid_ = similarity.relevancy_logits(own, canonical, Relevancy("sigmoid", 8.0, -2.0), rivals)
    torch.testing.assert_close(sigmoid_, torch.tensor([[[2.0, 0.8, -1.6]]]))  # min(8 * 0.5 - 2, 8 (0.5 - rival))


def test_competitors_take_evidence_only_where_they_win_by_hand():
    own, rivals = torch.tensor([[[0.5, 0.4, 0.1]]]), torch.tensor([[[0.3, 0.6, 0.9]]])
    maps = {kind: similarity.evidence_maps(own, -own, Presence(kind), rivals)[0, 0] for kind in EVIDENCES}
    cosine = torch.tensor([0.5, 0.2, -0.7])  # 0.4 - 0.2, 0.1 - 0.8
    torch.testing.assert_close(maps["cosine"], cosine)
    torch.testing.assert_close(maps["cosine_mean"], torch.tensor([0.35, 0.0, -0.25]))
    torch.testing.assert_close(maps["contrast"], cosine - 0.4)  # the median of what it would be without them
    torch.testing.assert_close(maps["relevancy"], -own[0, 0])


def test_a_competitor_never_raises_a_score():
    generator = torch.Generator().manual_seed(1)
    own, rivals = (2 * torch.rand(5, 6, 7, generator=generator) - 1 for _ in range(2))
    for kind in ("lerf", "sigmoid"):
        relevancy, negatives = Relevancy(kind, 8.0, -1.0), torch.zeros(1, 6, 7)
        plain, taken = (similarity.relevancy_logits(own, negatives, relevancy, each) for each in (None, rivals))
        assert (taken <= plain).all() and (taken < plain).any()
        for evidence in EVIDENCES:
            before = similarity.evidence_maps(own, plain, Presence(evidence)).amax(dim=(-2, -1))
            after = similarity.evidence_maps(own, taken, Presence(evidence), rivals).amax(dim=(-2, -1))
            assert (after <= before + 1e-6).all()


def test_a_regions_mean_counts_fewer_patches_at_the_edge():
    own = torch.tensor([[[9.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 18.0, 0.0]]])
    mean = similarity.evidence_maps(own, own, Presence("cosine_mean"))[0]
    expected = torch.tensor(
        [[9 / 4, 9 / 6, 0.0, 0.0], [9 / 6, (9 + 18) / 9, 18 / 9, 18 / 6], [0.0, 18 / 6, 18 / 6, 18 / 4]]
    )
    torch.testing.assert_close(mean, expected)
    single = torch.tensor([[[0.7]]])
    torch.testing.assert_close(similarity.evidence_maps(single, single, Presence("cosine_mean")), single)


def test_contrast_is_above_the_maps_own_median():
    own = torch.tensor([[[0.1, 0.2, 0.3, 0.9, 0.2]], [[1.0, 1.0, 1.0, 1.0, 2.0]]])
    contrast = similarity.evidence_maps(own, own, Presence("contrast"))
    torch.testing.assert_close(contrast, own - torch.tensor([0.2, 1.0])[:, None, None])


def test_evidences_are_the_maps_maxima():
    own, logits = torch.tensor([[[0.1, 0.5, 0.3]]]), torch.tensor([[[-4.0, -2.0, -3.0]]])
    found = {kind: values.item() for kind, values in similarity.evidences(own, logits).items()}
    expected = {"cosine": 0.5, "cosine_mean": 0.4, "contrast": 0.2, "relevancy": -2.0}
    assert found == pytest.approx(expected)
    assert tuple(found) == EVIDENCES


@pytest.mark.parametrize("evidence", EVIDENCES)
@pytest.mark.parametrize("kind", ["lerf", "sigmoid"])
def test_a_score_does_not_depend_on_other_queries(evidence, kind):
    generator = torch.Generator().manual_seed(2)
    numbers = [torch.randn(*size, 8, generator=generator) for size in ((5, 6), (4,))]
    tokens, text = (torch.nn.functional.normalize(each, dim=-1) for each in numbers)
    names, negative, card = ["red ball", "blue cube", "door"], text[3:], Presence(evidence, 4.0, -1.0)

    def scores(chosen, exclusive):
        maps = similarity.similarity_maps(tokens, torch.cat([text[chosen], negative]))
        own, other = maps[: len(chosen)], maps[len(chosen) :]
        queries = [names[index] for index in chosen]
        competing = (torch.cat([other, own]), ["wall", *queries]) if exclusive else (other, ["wall"])
        rivals = similarity.rivals(*competing, queries)
        logits = similarity.relevancy_logits(own, torch.zeros(1, 5, 6), Relevancy(kind, 8.0, -1.0), rivals)
        evidences = similarity.evidence_maps(own, logits, card, rivals)
        return similarity.presence_scores(evidences.amax(dim=(-2, -1)), card)

    alone = torch.cat([scores([index], False) for index in range(3)])
    torch.testing.assert_close(scores([0, 1, 2], False), alone)
    torch.testing.assert_close(torch.cat([scores([index], True) for index in range(3)]), alone)
    together = scores([0, 1, 2], True)
    assert (together <= alone + 1e-6).all() and (together < alone - 1e-6).any()


def test_rivals_are_the_strongest_of_all_with_another_name():
    generator = torch.Generator().manual_seed(0)
    texts = ["red ball", "door", "Red  Ball", "a cup", "door"]
    maps = torch.randn(len(texts), 3, 4, generator=generator)
    found = similarity.rivals(maps, texts, ["door", "red ball", "violin"])
    expected = torch.stack([maps[[0, 2, 3]].amax(0), maps[[1, 3, 4]].amax(0), maps.amax(0)])
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert (similarity.rivals(maps[:1], texts[:1], ["red ball"]) == -torch.inf).all()
    assert similarity.rivals(maps, texts, []).shape == (0, 3, 4)


@pytest.mark.parametrize(("queries", "patches"), [(0, (3, 4)), (1, (1, 1)), (5, (18, 24)), (300, (7, 9))])
def test_a_small_product_is_done_in_the_calling_thread_and_is_the_same(queries, patches):
    generator = torch.Generator().manual_seed(0)
    tokens, text = (F.normalize(torch.randn(*size, 192, generator=generator), dim=-1) for size in (patches, (queries,)))
    expected = similarity.similarity_maps(tokens, text)  # with gradients: PyTorch's own
    with torch.no_grad():
        torch.testing.assert_close(similarity.similarity_maps(tokens, text), expected, atol=1e-6, rtol=0)

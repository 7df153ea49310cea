"""What the bundled model is taught: prompts, patch truth, losses, optimiser. Small numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gem_ros.sim import losses
from gem_ros.sim.held_out import auroc
from gem_ros.sim.muon import orthogonalised
from gem_ros.sim.prompts import PAIRS, prompt_bank, vocabulary, with_synonyms
from gem_ros.sim.vocabulary import COLOURS, KINDS
from gem_ros.sim.windows import patch_coverage

BANK = prompt_bank()
RED_BALL = KINDS.index("ball") * len(COLOURS) + COLOURS.index("red")
RED_CUBE = KINDS.index("cube") * len(COLOURS) + COLOURS.index("red")


def true_texts(pair: int) -> set[str]:
    return {text for text, row in zip(BANK.texts, BANK.objects, strict=True) if row[pair]}


def test_prompts_are_true_of_what_they_name() -> None:
    assert true_texts(RED_BALL) == {"red ball", "ball", "red object", "object", "things"}
    floor = {text for text, row in zip(BANK.texts, BANK.background, strict=True) if row[0]}
    assert floor == {"floor", "background", "stuff", "texture"}


def test_synonyms_keep_the_meaning() -> None:
    rng = np.random.default_rng(0)
    swapped = with_synonyms(("red ball",) * 50, rng, rate=0.5)
    assert set(swapped) == {"red ball", "red sphere"}
    assert {"sphere", "grey", "violet", "cup"} <= set(vocabulary())


def test_patch_coverage_counts_pixels() -> None:
    labels = np.full((4, 8), 250, np.uint8)  # floor
    labels[:2, :4] = 0  # half of the left patch
    labels[0, 4] = 251  # one pixel of wall in the right one
    cover = patch_coverage(labels, 4)
    assert cover.shape == (2, 11)
    assert cover[0, 0] == pytest.approx(0.5) and cover[0, 6] == pytest.approx(0.5)
    assert cover[1, 7] == pytest.approx(1 / 16) and cover.sum(axis=1) == pytest.approx([1.0, 1.0])


def truth(coverage: list[list[float]], classes: list[int], seen: list[int]) -> losses.Truth:
    """Truth of one window from its patches' coverage (objects then backgrounds)."""
    objects, background, unclear = (
        torch.tensor(each, dtype=torch.float32) for each in (BANK.objects, BANK.background, BANK.unclear)
    )
    pad = classes + [-1] * (6 - len(classes)), seen + [0] * (6 - len(seen))
    return losses.truth_of(
        torch.tensor([coverage]), torch.tensor([pad[0]]), torch.tensor([pad[1]]), (objects, background, unclear)
    )


def columns(*, ball: float = 0.0, floor: float = 0.0, top: float = 0.0) -> list[float]:
    row = [0.0] * 11
    row[0], row[6], row[8] = ball, floor, top
    return row


def test_truth_of_patches_and_window() -> None:
    seen = truth([columns(ball=0.9, floor=0.1), columns(floor=1.0)], [RED_BALL], [1])
    index = {text: i for i, text in enumerate(BANK.texts)}
    assert seen.patches[0, 0, index["red ball"]] == 1 and seen.patches[0, 1, index["red ball"]] == 0
    assert seen.patches[0, 1, index["floor"]] == 1 and seen.patches[0, 0, index["blue ball"]] == 0
    assert seen.window[0, index["red ball"]] == 1 and seen.window[0, index["blue ball"]] == 0
    assert seen.shared[0, index["blue ball"]] and seen.shared[0, index["red cube"]]
    assert not seen.shared[0, index["blue cube"]] and not seen.shared[0, index["red ball"]]


def test_hardly_visible_is_neither_true_nor_false() -> None:
    seen = truth([columns(ball=0.1, floor=0.9)], [RED_BALL], [-1])
    assert seen.window[0, BANK.texts.index("red ball")] == -1


def test_a_small_object_owns_its_best_patch() -> None:
    seen = truth([columns(ball=0.3, floor=0.7), columns(ball=0.02, floor=0.98)], [RED_BALL], [1])
    assert seen.patches[0, :, BANK.texts.index("red ball")].tolist() == [1, 0]


def test_a_table_top_says_nothing_about_tables() -> None:
    seen = truth([columns(top=1.0)], [], [])
    assert seen.patches[0, 0, BANK.texts.index("red table")] == -1
    assert seen.patches[0, 0, BANK.texts.index("table top")] == 1


def test_balanced_weighs_true_and_false_alike() -> None:
    logits, target = torch.zeros(4), torch.tensor([1.0, 0.0, 0.0, -1.0])
    assert losses.balanced(logits, target).item() == pytest.approx(2 * np.log(2))


def test_losses_fall_when_the_right_text_gains() -> None:
    seen = truth([columns(ball=1.0), columns(floor=1.0)], [RED_BALL], [1])
    flat = torch.zeros(1, 2, len(BANK.texts))
    right = flat.clone()
    right[0, 0, RED_BALL] = 3.0
    for loss in (losses.patch_loss, losses.class_loss, losses.pointing_loss, losses.presence_loss):
        assert loss(right, seen) < loss(flat, seen), loss.__name__
    assert losses.class_loss(flat, seen).item() == pytest.approx(2 * (np.log(10) + 0.5 * np.log(12)))  # patch, object
    wrong = flat.clone()
    wrong[0, 0, RED_CUBE] = 3.0  # same colour, other kind: what the class loss is for
    assert losses.class_loss(wrong, seen) > losses.class_loss(flat, seen)


def test_pointing_loss_of_a_flat_map_is_the_area() -> None:
    seen = truth([columns(ball=1.0)] + [columns(floor=1.0)] * 3, [RED_BALL], [1])
    assert losses.pointing_loss(torch.zeros(1, 4, len(BANK.texts)), seen).item() == pytest.approx(np.log(4))


def test_losses_of_an_empty_window_are_zero_or_finite() -> None:
    seen = truth([columns(floor=1.0)], [], [])
    logits = torch.zeros(1, 1, len(BANK.texts), requires_grad=True)
    total = losses.class_loss(logits, seen) + losses.pointing_loss(logits, seen) + losses.presence_loss(logits, seen)
    total.backward()
    assert torch.isfinite(total) and torch.isfinite(logits.grad).all()


def test_orthogonalised_flattens_singular_values() -> None:
    torch.manual_seed(0)
    update = orthogonalised(torch.randn(2, 24, 60))
    values = torch.linalg.svdvals(update)
    assert values.min() > 0.5 and values.max() < 1.4


def test_auroc_by_hand() -> None:
    assert auroc([3.0, 1.0], [2.0, 0.0]) == pytest.approx(0.75)
    assert auroc([1.0], [1.0]) == pytest.approx(0.5)
    assert PAIRS == 120

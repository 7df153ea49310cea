"""Every method against its formulas, written plainly in plain_methods.py, to 1e-5; and what the formulas imply."""

import threading

import numpy as np
import pytest
import torch
from open_clip.transformer import QuickGELU, VisionTransformer
from plain_methods import (
    Tower,
    clearclip,
    clip,
    clip_surgery,
    gathering,
    gem,
    image_embedding,
    local_outliers,
    maskclip,
    naclip,
    sc_clip,
    sclip,
    unit,
)

from gem_ros.config import METHODS
from gem_ros.core import attention
from gem_ros.core.attention import Projected, Settings
from gem_ros.core.compiled import compile_for
from gem_ros.core.encoder import DenseEncoder
from gem_ros.core.self_calibration import layer_of, outlier_mask, without
from gem_ros.errors import ModelError

PLAIN = {
    "clip": clip,
    "maskclip": maskclip,
    "clip_surgery": clip_surgery,
    "sclip": sclip,
    "clearclip": clearclip,
    "naclip": naclip,
    "gem": gem,
    "sc_clip": sc_clip,
}
PATCH, HEADS = 4, 2
SIZES = {"native": (24, 24), "wide": (20, 36), "tall": (36, 16), "large": (32, 36)}
ABLATIONS = [
    {"iterations": 0},
    {"iterations": 3},
    {"projections": "q"},
    {"projections": "kv", "iterations": 2},
    {"projections": "v", "inv_temperature": 4.0},
    {"normalise": False},
    {"normalise": False, "iterations": 2, "inv_temperature": 0.2},
    {"blocks": 2},
    {"blocks": 12},
]


def tower(layers=12, quick=False):
    torch.manual_seed(layers)
    shape = {"image_size": 24, "patch_size": PATCH, "width": 32, "layers": layers, "heads": HEADS, "mlp_ratio": 2.0}
    visual = VisionTransformer(**shape, output_dim=12, act_layer=QuickGELU if quick else torch.nn.GELU).eval()
    with torch.no_grad():
        for parameter in visual.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
        visual.positional_embedding.mul_(4)  # places differ, as in a trained model
    return visual


@pytest.fixture(scope="module")
def visual():
    return tower()


def image(size, seed=2):
    return torch.randn(3, *size, generator=torch.Generator().manual_seed(seed))


def plain(visual, quick=False):
    return Tower(visual.state_dict(), HEADS, PATCH, visual.grid_size, quick)


def assert_same(tokens, expected):
    assert tokens.shape == expected.shape
    np.testing.assert_allclose(tokens.numpy(), expected, rtol=0, atol=1e-5)


def test_every_method_has_its_formulas():
    assert set(PLAIN) == set(attention.RULES) == set(METHODS)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("method", PLAIN)
@torch.inference_mode()
def test_methods_are_their_formulas(visual, method, size):
    assert_same(DenseEncoder(visual, method)(image(size)[None])[0], PLAIN[method](plain(visual), image(size).numpy()))


@pytest.mark.parametrize("method", PLAIN)
@torch.inference_mode()
def test_each_image_of_a_batch_and_either_product(visual, method):
    """Nothing of one image reaches another; the product written out is the same."""
    images = torch.stack([image(SIZES["wide"], seed) for seed in (2, 3)])
    expected = [PLAIN[method](plain(visual), each.numpy()) for each in images]
    for tokens, other in zip(DenseEncoder(visual, method, attend=attention.explicit)(images), expected, strict=True):
        assert_same(tokens, other)


@pytest.mark.parametrize("layers", [2, 3, 6, 8])
@pytest.mark.parametrize("method", ["clip_surgery", "sc_clip"])
@torch.inference_mode()
def test_other_depths_and_quick_gelu(method, layers):
    visual, options = tower(layers, quick=True), {"blocks": 2} if method == "clip_surgery" else {}
    expected = PLAIN[method](plain(visual, quick=True), image(SIZES["wide"]).numpy(), **options)
    assert_same(DenseEncoder(visual, method, 2)(image(SIZES["wide"])[None])[0], expected)


@pytest.mark.parametrize("changes", ABLATIONS, ids=str)
@torch.inference_mode()
def test_ablations_of_gem(visual, changes):
    pixels = image(SIZES["wide"])
    assert_same(DenseEncoder(visual, "gem", **changes)(pixels[None])[0], gem(plain(visual), pixels.numpy(), **changes))


@pytest.mark.parametrize("method", PLAIN)
@torch.inference_mode()
def test_the_images_own_embedding_comes_first_where_it_is_asked_for(visual, method):
    pixels = image(SIZES["wide"])
    tokens = DenseEncoder(visual, method, cls=True)(pixels[None])[0]
    assert_same(tokens[0], image_embedding(plain(visual), pixels.numpy()))
    assert_same(tokens[1:], DenseEncoder(visual, method)(pixels[None])[0].numpy())


@torch.inference_mode()
def test_gem_of_v_as_it_is_without_iterations_is_clip_surgery(visual):
    pixels = image(SIZES["tall"])[None]
    surgery = DenseEncoder(visual, "clip_surgery")(pixels)
    for inverse in (None, (32 / HEADS) ** -0.5):
        step = DenseEncoder(visual, "gem", 6, 0, inverse, projections="v", normalise=False)(pixels)
        torch.testing.assert_close(step, surgery, atol=1e-6, rtol=0)


def tokens(seed=0, grid=(3, 5), heads=2, d=8, batch=2):
    generator = torch.Generator().manual_seed(seed)
    n = 1 + grid[0] * grid[1]
    h, *qkv = (
        torch.randn(batch, n, heads * d, generator=generator),
        *(torch.randn(batch, heads, n, d, generator=generator) for _ in range(3)),
    )
    return Projected(h, *qkv, grid)


def test_of_one_projection_twice_sclip_is_twice_clearclip():
    given = tokens()
    same = Projected(given.h, given.k, given.k, given.v, given.grid)
    torch.testing.assert_close(attention.correlative(same, Settings()), 2 * attention.query_query(same, Settings()))
    torch.testing.assert_close(attention.query_query(same, Settings()), attention.standard(same, Settings()))


def test_a_wide_gaussian_favours_nobody_and_a_narrow_one_only_oneself():
    """σ → ∞ adds 1 for every pair of patches: softmax sees it in the row of a patch only against CLS."""
    given = tokens()
    wide = attention.neighbourly(given, Settings(sigma=1e6))
    plain_keys = attention.key_key(given, Settings())
    torch.testing.assert_close(wide[:, :, 0], plain_keys[:, :, 0])
    apart = given.k @ given.k.transpose(-2, -1) / given.k.shape[-1] ** 0.5
    apart[..., 1:, 1:] += 1
    torch.testing.assert_close(wide, apart.softmax(-1) @ given.v)
    window = attention.gaussian_window((3, 5), 1e-3, given.k)
    torch.testing.assert_close(window, torch.eye(16).index_fill(0, torch.tensor(0), 0))


def test_the_gaussian_window_is_that_of_the_grid():
    window = attention.gaussian_window((3, 5), 2.0, torch.zeros(1))
    assert window.shape == (16, 16) and not window[0].any() and not window[:, 0].any()
    assert float(window[1, 1 + 5]) == pytest.approx(np.exp(-1 / 8))  # one row down
    assert float(window[5, 6]) == pytest.approx(np.exp(-(16 + 1) / 8))  # the end of a row, the start of the next
    torch.testing.assert_close(window, window.T)


@pytest.mark.parametrize("method", ["clip_surgery", "clearclip", "naclip", "gem"])
def test_of_equal_values_every_attention_makes_the_same_again(method):
    """Rows of weights sum to 1, whatever the weights."""
    given = tokens()
    flat = Projected(given.h, given.q, given.k, torch.ones_like(given.v), given.grid)
    torch.testing.assert_close(attention.RULES[method].mix(flat, Settings()), flat.v)


@pytest.mark.parametrize("method", [each for each in PLAIN if each not in ("naclip", "sc_clip")])
def test_attention_does_not_know_places(method):
    """The order of the patches goes through all but the methods that look at neighbours."""
    given, order = tokens(), torch.randperm(16, generator=torch.Generator().manual_seed(1))
    mixed = Projected(given.h[:, order], *(each[:, :, order] for each in (given.q, given.k, given.v)), given.grid)
    mix = attention.RULES[method].mix
    torch.testing.assert_close(mix(mixed, Settings()), mix(given, Settings())[:, :, order])


def test_more_iterations_bring_tokens_together():
    given = tokens()
    spreads = [attention.gem(given, Settings(each, 2.0)).std(dim=2).mean() for each in range(4)]
    assert spreads == sorted(spreads, reverse=True)


@torch.inference_mode()
def test_sc_clips_thresholds_are_crossed_by_the_pictures_of_these_tests(visual):
    """Else the comparison above would say nothing about them."""
    own = plain(visual)
    for size in SIZES.values():
        x = own.before(image(size).numpy(), 4)[1:]
        likeness = unit(x) @ unit(x).T
        assert 0.01 < (likeness < 0.4).mean() < 0.99 and gathering(likeness).max() < 1
        assert local_outliers(own.before(image(size).numpy(), 11)[1:])


def test_outliers_are_found_and_replaced_by_what_is_around_them():
    grid, place = (8, 9), 3 * 9 + 4
    patches = torch.randn(2, 72, 5, generator=torch.Generator().manual_seed(0))
    patches[0, place] += 50
    patches[0, place + 1] += 50
    outliers = outlier_mask(patches)
    assert outliers[0, place] and outliers[0, place + 1] and 1 <= outliers[0].sum() <= 4
    mended = without(outliers, patches, grid)
    around = [(i, j) for i in (2, 3, 4) for j in (3, 4, 5)]
    kept = [patches[0, i * 9 + j] for i, j in around if not outliers[0, i * 9 + j]]
    torch.testing.assert_close(mended[0, place], torch.stack(kept).mean(dim=0))
    untouched = ~outliers.expand_as(patches)
    assert torch.equal(mended[untouched], patches[untouched])


def test_outliers_without_other_neighbours_stay():
    patches = torch.arange(12.0).reshape(1, 6, 2)
    every = torch.ones(1, 6, 1, dtype=torch.bool)
    assert torch.equal(without(every, patches, (2, 3)), patches)


@pytest.mark.parametrize("patches", [1, 2, 3, 31])
def test_a_few_patches_or_equal_ones_have_an_answer(patches):
    for x in (torch.zeros(1, patches, 4), torch.randn(1, patches, 4)):
        assert torch.isfinite(without(outlier_mask(x), x, (1, patches))).all()


@pytest.mark.parametrize(("layers", "expected"), [(12, (4, 9, 10)), (24, (8, 18, 20)), (6, (2, 4, 5)), (2, (1, 1, 1))])
def test_layers_of_other_depths(layers, expected):
    assert tuple(layer_of(each, layers) for each in (4, 9, 10)) == expected


def test_sc_clip_needs_a_layer_before_the_last():
    with pytest.raises(ModelError, match="method sc_clip: expected a model of at least 2 blocks, got 1"):
        DenseEncoder(tower(1), "sc_clip")


@pytest.mark.parametrize("method", PLAIN)
@torch.inference_mode()
def test_half_precision_stays_and_means_the_same(visual, method):
    """bf16 of a model of 12 layers; SC-CLIP's thresholds may fall otherwise."""
    half = tower().to(torch.bfloat16)
    pixels = image(SIZES["native"])[None]
    made = DenseEncoder(half, method)(pixels)
    assert made.dtype == torch.bfloat16 and made.isfinite().all()
    likeness = torch.cosine_similarity(made.float(), DenseEncoder(visual, method)(pixels), dim=-1)
    assert likeness.median() > 0.98


@pytest.mark.slow
@pytest.mark.parametrize("method", ["naclip", "gem", "sc_clip"])
@torch.inference_mode()
def test_compiled_it_is_the_same(method):
    encoder, pixels = DenseEncoder(tower(2), method, 1, cls=True), image(SIZES["wide"])[None]
    step = compile_for(torch.device("cpu"))(encoder, pixels, threading.Lock())
    torch.testing.assert_close(step(pixels), encoder(pixels), atol=1e-5, rtol=0)

"""Feature surgery and PAMR against their formulas, written plainly in plain_methods.py; and what these imply."""

import numpy as np
import plain_methods
import pytest
import torch
import torch.nn.functional as F

from gem_ros.core import similarity
from gem_ros.data import PatchFeatures
from gem_ros.geometry.pamr import pamr

RNG = np.random.default_rng(3)


def features(rows=3, columns=4, dimensions=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = F.normalize(torch.randn(rows, columns, dimensions, generator=generator), dim=-1)
    cls, *text = F.normalize(torch.randn(8, dimensions, generator=generator), dim=-1)
    return PatchFeatures(tokens, (30, 40), cls), torch.stack(text)


@pytest.mark.parametrize("texts", [2, 7])
def test_feature_surgery_is_its_formula(texts):
    seen, text = features()
    plain = plain_methods.feature_surgery(
        seen.tokens.flatten(0, 1).double().numpy(), seen.cls.double().numpy(), text[:texts].double().numpy()
    )
    maps = similarity.maps_of(seen, text[:texts])
    np.testing.assert_allclose(maps.flatten(1).T.numpy(), plain, rtol=0, atol=1e-5)


def test_without_cls_there_is_no_surgery():
    seen, text = features()
    plain = similarity.maps_of(PatchFeatures(seen.tokens, seen.image_size), text)
    assert torch.equal(plain, similarity.similarity_maps(seen.tokens, text))


def test_surgery_leaves_nothing_in_common_and_of_an_image_that_says_nothing_only_the_differences():
    seen, text = features()
    cosines = similarity.similarity_maps(seen.tokens, text)
    torch.testing.assert_close(similarity.maps_of(seen, text).sum(dim=0), torch.zeros(3, 4), atol=1e-6, rtol=0)
    indifferent = similarity.feature_surgery(cosines, torch.full((7,), 0.3))
    torch.testing.assert_close(indifferent, cosines - cosines.mean(dim=0))
    assert not similarity.feature_surgery(cosines[:1], torch.tensor([0.3])).any()


def picture(height=13, width=17):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("iterations", "dilations"), [(0, (8, 16)), (1, (1,)), (3, (2, 5)), (10, (8, 16))])
def test_pamr_is_its_formula(iterations, dilations):
    image, maps = picture(), RNG.random((2, 13, 17), np.float32)
    plain = plain_methods.pamr(image, maps, iterations, dilations)
    refined = pamr(maps, image, iterations, dilations)
    assert refined.dtype == np.float32 and refined.shape == maps.shape
    np.testing.assert_allclose(refined, plain, rtol=0, atol=1e-5)


def test_pamr_keeps_constants_and_the_range_and_each_map_alone():
    image, maps = picture(), RNG.random((3, 13, 17), np.float32)
    np.testing.assert_allclose(pamr(np.full((1, 13, 17), 0.7, np.float32), image), 0.7, atol=1e-5)
    refined = pamr(maps, image)
    assert refined.min() >= maps.min() - 1e-5 and refined.max() <= maps.max() + 1e-5
    np.testing.assert_allclose(refined[1:2], pamr(maps[1:2], image), atol=1e-6)


def test_pamr_of_an_image_without_edges_is_a_mean_of_those_around():
    spot = np.zeros((1, 9, 9), np.float32)
    spot[0, 4, 4] = 8.0
    once = pamr(spot, np.full((9, 9, 3), 90, np.uint8), 1, (1,))[0]
    expected = np.zeros((9, 9))
    expected[3:6, 3:6] = 1.0
    expected[4, 4] = 0.0
    np.testing.assert_allclose(once, expected, atol=1e-6)


def test_pamr_does_not_cross_an_edge_of_colour():
    """A half that is known at one place only: the map flows through it, and stays out of the other half."""
    image = np.zeros((24, 24, 3), np.uint8)
    image[:, 12:] = (200, 40, 40)
    known = np.zeros((1, 24, 24), np.float32)
    known[0, 8:16, 2:10] = 1.0
    after = pamr(known, image, dilations=(1, 3))[0]
    assert after[:, :12].sum() > 0.95 * after.sum()
    assert after[:, :12].min() > 0.01

"""Sharpening of made-up maps: a disc that is known per patch, along an edge of colour or of depth."""

from __future__ import annotations

import types

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gem_ros.core import similarity
from gem_ros.errors import GemError, GeometryError
from gem_ros.geometry import refine as module
from gem_ros.geometry.refine import refine, upsample, window

PATCH = 20.0
SHAPE = HEIGHT, WIDTH = 240, 320
ROWS, COLUMNS = np.indices(SHAPE)
RNG = np.random.default_rng(1)


def disc(u=163.0, v=118.0, radius=33.0):
    return (COLUMNS - u) ** 2 + (ROWS - v) ** 2 <= radius**2


def blurred(mask, patch=PATCH, low=0.02, high=0.95):
    """What a model that is right about every patch says of a mask: its share of each, upsampled."""
    grid = round(mask.shape[1] / patch), round(mask.shape[0] / patch)
    shares = cv2.resize(mask.astype(np.float32), grid, interpolation=cv2.INTER_AREA)
    return low + (high - low) * cv2.resize(shares, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)


def iou(relevancy, mask, threshold=0.5):
    region = relevancy >= threshold
    return (region & mask).sum() / (region | mask).sum()


def picture(mask, thing=(190, 60, 50), behind=(110, 120, 100), noise=4.0):
    colours = np.where(mask[..., None], thing, behind) + RNG.normal(0, noise, (*mask.shape, 3))
    return np.clip(np.rint(colours), 0, 255).astype(np.uint8)


def floor():
    """Depth of a floor that rises to the horizon at the image's upper edge: 1/z linear in the row."""
    return (1 / (0.1 + ROWS / 300)).astype(np.float32)


def standing(mask, foot):
    """A board that stands upright on the floor at the row ``foot``: no jump there."""
    return np.where(mask, floor()[foot, 0], floor()).astype(np.float32)


THING = disc()
BOX = (np.abs(COLUMNS - 157) < 31) & (ROWS > 70) & (ROWS <= 166)


@settings(deadline=None, max_examples=50)
@given(grid=st.tuples(st.integers(1, 9), st.integers(1, 12)), size=st.tuples(st.integers(1, 90), st.integers(1, 120)))
def test_upsampling_is_that_of_the_core(grid, size):
    """OpenCV rounds the weights to less: by 1e-5 of the range, as the comment in upsample says."""
    maps = np.random.default_rng(grid).random((2, *grid), np.float32)
    np.testing.assert_allclose(upsample(maps, size), similarity.upsample(torch.tensor(maps), size), atol=1e-5)


def test_upsampling_nothing_gives_nothing():
    assert upsample(np.zeros((0, 3, 4), np.float32), (6, 8)).shape == (0, 6, 8)


def test_a_disc_gets_the_edge_of_its_colour():
    before = blurred(THING)
    assert iou(before, THING) < 0.93
    assert iou(refine(before, picture(THING), PATCH), THING) > 0.99


def test_a_disc_gets_the_edge_of_its_depth():
    depth = np.where(THING, np.float32(0.9), np.float32(1.5)) + RNG.normal(0, 0.003, SHAPE).astype(np.float32)
    before = blurred(THING)
    assert iou(refine(before, depth, PATCH), THING) > max(0.985, iou(before, THING) + 0.05)


def test_a_thing_gets_its_foot_from_leaving_the_floor_where_depth_has_no_jump():
    depth, before = standing(BOX, 166), blurred(BOX)
    assert abs(float(depth[166, 157] - depth[167, 157])) < 0.01
    after = refine(before, depth, PATCH)
    assert iou(before, BOX) < 0.87
    assert iou(after, BOX) > 0.94
    drops = [float(each[160, 157] - each[168, 157]) for each in (before, after)]
    assert drops[1] > 1.5 * drops[0]


def test_a_thing_that_fills_its_surroundings_is_not_its_own_background():
    """More of what is looked at is on the board than on the floor, and the board is a plane, too."""
    board = (np.abs(COLUMNS - 160) < 110) & (ROWS > 30) & (ROWS <= 190)
    before = blurred(board)
    after = refine(before, standing(board, 190), PATCH)
    part = window(before, PATCH)
    assert board[part].mean() > 0.55
    relief = module._relief(standing(board, 190)[part], before[part])[..., 0]
    assert np.median(relief[board[part]]) > 0.99
    assert np.abs(relief[-10:]).max() < 0.01
    assert iou(after, board) > max(0.97, iou(before, board))


def test_things_one_in_front_of_the_other_are_told_apart():
    """Both stand out from the wall behind them."""
    depth = np.where((np.abs(COLUMNS - 163) < 40) & (ROWS > 118), np.float32(1.2), np.float32(2.0))
    depth = np.where(THING, np.float32(0.9), depth)
    assert iou(refine(blurred(THING), depth, PATCH), THING) > 0.98


@pytest.mark.filterwarnings("error")
def test_a_thing_on_a_floor_that_ends_at_the_horizon():
    """Above it there is no depth, and the floor's plane is nowhere."""
    ground = np.maximum(ROWS - 110, 0) / 300
    nearness = np.where(BOX, ground[166, 0], ground)
    depth = np.full(SHAPE, np.nan, np.float32)
    np.divide(1.0, nearness, out=depth, where=nearness > 0)
    after = refine(blurred(BOX), depth, PATCH)
    assert np.isfinite(after).all()
    assert iou(after, BOX) > 0.94


@pytest.mark.parametrize("scale", [0.1, 8.0])
def test_near_or_far_the_same_scene_gives_the_same_map(scale):
    depth, before = standing(BOX, 166), blurred(BOX)
    far = refine(before, (scale * depth).astype(np.float32), PATCH)
    np.testing.assert_allclose(far, refine(before, depth, PATCH), atol=1e-3)


def test_what_is_much_too_near_does_no_harm():
    """Stray pixels, and something that covers a part of the lens."""
    clean, before = np.where(THING, np.float32(0.9), np.float32(1.5)), blurred(THING)
    stray, covered = clean.copy(), np.where((COLUMNS < 170) & ~disc(radius=60), np.float32(0.0011), clean)
    stray[::7, ::7] = 0.002
    assert iou(refine(before, stray, PATCH), THING) > 0.95
    assert iou(refine(before, covered, PATCH), THING) > 0.98


def test_the_filter_works_on_eight_pixels_of_a_patch_however_large_it_is(monkeypatch):
    real, seen = cv2.ximgproc.guidedFilter, []

    def spy(guide, relevancy, radius, eps, scale):
        seen.append((radius, scale))
        return real(guide, relevancy, radius, eps, scale=scale)

    monkeypatch.setattr(cv2.ximgproc, "guidedFilter", spy)
    for patch in (5.0, 8.0, 32.0):
        refine(blurred(THING), picture(THING), patch)
    assert seen == [(5, 1.0), (8, 1.0), (8, 0.25)]


def test_it_works_at_the_size_of_the_patches():
    """Twice the image with twice the patch: the same map, twice as large."""
    image, before = picture(THING, noise=0), blurred(THING)
    large = refine(cv2.resize(before, None, fx=2, fy=2), cv2.resize(image, None, fx=2, fy=2), 2 * PATCH)
    assert (
        np.abs(cv2.resize(large, SHAPE[::-1], interpolation=cv2.INTER_AREA) - refine(before, image, PATCH)).mean()
        < 0.01
    )


def test_the_background_of_a_weak_map_is_not_lifted_over_the_threshold():
    """A softmax against other phrases hardly leaves 0.5: what is at 0.48 must stay below it."""
    before = blurred(THING, low=0.48, high=0.6)
    after = refine(before, picture(THING), PATCH)
    assert iou(after, THING, 0.54) > 0.98
    assert (after[~disc(radius=60)] < 0.5).all()
    small, striped = disc(radius=9), picture(COLUMNS % 20 < 10)
    after = refine(blurred(small, low=0.48, high=0.6), np.where(small[..., None], np.uint8(0), striped), PATCH)
    assert (after[~disc(radius=30)] < 0.49).all()


def test_small_things_keep_their_peak():
    small = disc(radius=9)
    before = blurred(small)
    after = refine(before, picture(small), PATCH)
    assert after.max() > 0.9 * before.max()
    assert iou(before, small, before.max() / 2) < 0.5
    assert iou(after, small, before.max() / 2) > 0.9


@pytest.mark.parametrize("radius", [9.0, 20.0, 50.0])
@pytest.mark.parametrize("kind", ["image", "depth"])
def test_a_guide_without_edges_leaves_the_map(kind, radius):
    guide = np.full((*SHAPE, 3), 90, np.uint8) if kind == "image" else floor()
    before = blurred(disc(radius=radius))
    np.testing.assert_allclose(refine(before, guide, PATCH), before, atol=0.08)


def test_a_flat_grey_image_leaves_the_map_as_it_is():
    before = blurred(THING)
    np.testing.assert_allclose(refine(before, np.full((*SHAPE, 3), 200, np.uint8), PATCH), before, atol=1e-4)


def test_noise_is_not_taken_for_an_edge():
    noise = np.clip(RNG.normal(128, 4, (*SHAPE, 3)), 0, 255).astype(np.uint8)
    before = blurred(THING)
    assert iou(refine(before, noise, PATCH), before >= 0.5) > 0.9


def test_what_is_far_from_the_thing_is_left_alone():
    before = blurred(THING)
    after = refine(before, picture(THING), PATCH)
    rows, columns = window(before, PATCH)
    outside = np.ones(SHAPE, bool)
    outside[rows, columns] = False
    assert 0.5 < outside.mean() < 0.95
    np.testing.assert_array_equal(after[outside], before[outside])
    assert not THING[outside].any()


def test_the_window_is_what_is_above_a_quarter_of_the_range_and_a_patch_around():
    relevancy = np.full((100, 200), 0.4, np.float32)
    relevancy[50:60, 90:100] = 0.6
    relevancy[0, 0] = 0.44  # 0.4 + 0.25 · 0.2 is the limit
    assert window(relevancy, 10.0) == (slice(40, 70), slice(80, 110))
    relevancy[52, 0] = 0.46
    assert window(relevancy, 10.0) == (slice(40, 70), slice(0, 110))
    assert window(relevancy, 101.0) is None
    assert window(np.full_like(relevancy, 0.4), 10.0) is None


def test_holes_in_depth_and_what_is_out_of_range_do_no_harm():
    clean = np.where(THING, np.float32(0.9), np.float32(1.5))
    holes = clean.copy()
    holes[RNG.random(SHAPE) < 0.05] = np.nan
    holes[RNG.random(SHAPE) < 0.02] = 0.0
    far = np.where(THING, clean, np.float32(np.inf))  # nothing but sky behind
    before = blurred(THING)
    assert iou(refine(before, holes, PATCH), THING) > 0.97
    assert iou(refine(before, far, PATCH), THING) > 0.98


@pytest.mark.parametrize("invalid", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_invalid_depth_is_all_the_same(invalid):
    depth = np.where(disc(radius=12), np.float32(invalid), standing(BOX, 166))
    other = np.where(disc(radius=12), np.float32(np.nan), standing(BOX, 166))
    before = blurred(BOX)
    np.testing.assert_array_equal(refine(before, depth, PATCH), refine(before, other, PATCH))


@pytest.mark.parametrize("invalid", [np.nan, np.inf, 0.0, -2.0, 1e-30, -1e-45])
def test_without_any_depth_the_map_stays_as_it_is(invalid):
    before = blurred(THING)
    np.testing.assert_array_equal(refine(before, np.full(SHAPE, invalid, np.float32), PATCH), before)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e-3, 1.1e-3, 1e30, 3e38])
def test_absurd_depth_gives_finite_maps_without_warnings(value):
    depth = np.where(disc(radius=20), np.float32(value), floor())
    after = refine(blurred(THING), depth, PATCH)
    assert np.isfinite(after).all()
    assert np.isfinite(refine(blurred(THING), np.full(SHAPE, value, np.float32), PATCH)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (5, 7), (19, 300), (21, 21)])
@pytest.mark.parametrize("patch", [0.5, 1.0, 3.3, 20.0, 200.0])
@pytest.mark.parametrize("kind", ["image", "depth"])
def test_tiny_images_and_any_patch(shape, patch, kind):
    relevancy = RNG.random(shape, dtype=np.float32)
    image = RNG.integers(0, 255, (*shape, 3), dtype=np.uint8)
    after = refine(relevancy, image if kind == "image" else image[..., 0].astype(np.float32), patch)
    assert after.shape == shape and after.dtype == np.float32
    assert np.isfinite(after).all() and after.min() >= 0 and after.max() <= relevancy.max()
    if min(shape) < patch:
        np.testing.assert_array_equal(after, relevancy)


def test_an_empty_or_flat_or_undefined_map_comes_back():
    assert refine(np.zeros((0, 5), np.float32), np.zeros((0, 5, 3), np.uint8), PATCH).shape == (0, 5)
    for value in (0.0, 0.3, 1.0, np.nan):
        flat = np.full(SHAPE, value, np.float32)
        np.testing.assert_array_equal(refine(flat, picture(THING), PATCH), flat)


@given(
    seed=st.integers(0, 2**31),
    patch=st.floats(4, 60),
    kind=st.sampled_from(["image", "depth"]),
    low=st.floats(0, 0.9),
    binary=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_whatever_comes_the_map_is_a_map_and_the_input_is_left_alone(seed, patch, kind, low, binary):
    rng = np.random.default_rng(seed)
    grid = cv2.resize(rng.random((6, 8), dtype=np.float32), (96, 72), interpolation=cv2.INTER_LINEAR)
    relevancy = np.float32(low) + np.float32(1 - low) * (np.round(grid) if binary else grid)
    relevancy = np.minimum(relevancy, 1).astype(np.float32)
    image = rng.integers(0, 256, (72, 96, 3), dtype=np.uint8)
    depth = rng.choice(np.array([np.nan, np.inf, 0, 0.5, 1, 9], np.float32), (72, 96))
    guide = image if kind == "image" else depth
    kept = relevancy.copy(), guide.copy()
    after = refine(relevancy, guide, patch)
    assert after.dtype == np.float32 and after.shape == relevancy.shape
    assert after.min() >= 0 and after.max() <= relevancy.max()
    np.testing.assert_array_equal(relevancy, kept[0])
    np.testing.assert_array_equal(guide, kept[1])
    assert not np.shares_memory(after, relevancy)


def test_however_the_arrays_lie_in_memory_the_map_is_the_same():
    image, before, depth = picture(THING), blurred(THING), standing(BOX, 166)
    expected = refine(before, image, PATCH), refine(before, depth, PATCH)
    wide = np.zeros((HEIGHT, 2 * WIDTH, 4), np.uint8)
    wide[:, ::2, :3] = image
    backwards = np.ascontiguousarray(image[::-1, ::-1, ::-1])[::-1, ::-1, ::-1]
    frozen = image.copy()
    frozen.flags.writeable = False
    for guide in (np.asfortranarray(image), wide[:, ::2, :3], backwards, frozen):
        np.testing.assert_array_equal(refine(np.asfortranarray(before), guide, PATCH), expected[0])
    for guide in (np.asfortranarray(depth), np.repeat(depth, 2, axis=1)[:, ::2], depth.astype(np.float64)):
        np.testing.assert_allclose(refine(before[::-1].copy()[::-1], guide, PATCH), expected[1], atol=1e-5)


@pytest.mark.parametrize(
    "guide",
    [
        np.zeros((HEIGHT, WIDTH + 1, 3), np.uint8),
        np.zeros((HEIGHT, WIDTH), np.uint8),
        np.zeros((HEIGHT, WIDTH), np.uint16),
        np.zeros((HEIGHT, WIDTH, 3), np.float32),
        np.zeros((HEIGHT, WIDTH, 4), np.uint8),
        np.zeros((WIDTH, HEIGHT), np.float32),
        np.zeros((), np.float32),
    ],
)
def test_a_guide_that_does_not_fit_is_refused_with_both_sizes(guide):
    with pytest.raises(GeometryError, match=r"^refinement: expected .* 320x240 px, got .*$") as caught:
        refine(blurred(THING), guide, PATCH)
    assert str(guide.dtype) in str(caught.value) and str(guide.shape) in str(caught.value)


@pytest.mark.parametrize("version", ["4.9.0", "4.6.0-dev", "3.4.20"])
def test_an_opencv_that_is_too_old_is_told_in_one_line(monkeypatch, version):
    monkeypatch.setattr(cv2, "__version__", version)
    with pytest.raises(GemError, match=rf"^refinement: expected OpenCV with ximgproc, .*, got {version} with it; pip"):
        refine(blurred(THING), picture(THING), PATCH)


@pytest.mark.parametrize("ximgproc", [None, types.SimpleNamespace()])
def test_an_opencv_without_ximgproc_is_told_in_one_line(monkeypatch, ximgproc):
    if ximgproc is None:
        monkeypatch.delattr(cv2, "ximgproc")
    else:
        monkeypatch.setattr(cv2, "ximgproc", ximgproc)
    expected = r"^refinement: expected OpenCV with ximgproc, .* without it; pip install opencv-contrib-python-headless$"
    with pytest.raises(GemError, match=expected):
        refine(blurred(THING), picture(THING), PATCH)


@pytest.mark.parametrize("version", ["4.10.0", "4.14.0", "5.0.0-pre"])
def test_newer_versions_of_opencv_will_do(monkeypatch, version):
    monkeypatch.setattr(cv2, "__version__", version)
    module.check()


def test_pamr_sharpens_too_needs_no_ximgproc_and_keeps_the_range(monkeypatch):
    monkeypatch.delattr(cv2, "ximgproc")
    before = blurred(THING)
    after = refine(before, picture(THING), PATCH, "pamr")
    assert iou(after, THING) > iou(before, THING) + 0.03
    assert after.min() >= 0 and after.max() == before.max()
    outside = np.ones(SHAPE, bool)
    outside[window(before, PATCH)] = False
    np.testing.assert_array_equal(after[outside], before[outside])
    flat = np.full(SHAPE, 0.3, np.float32)
    np.testing.assert_array_equal(refine(flat, picture(THING), PATCH, "pamr"), flat)


def test_pamr_by_depth_is_refused():
    with pytest.raises(GeometryError, match=r"^refinement: expected an RGB image of 320x240 px, got float32"):
        refine(blurred(THING), floor(), PATCH, "pamr")

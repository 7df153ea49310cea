"""GEM's published code (gem_torch 1.0.1 with open_clip 2.24.0) on two small ViTs, held to 1e-5."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import nn

from gem_ros.core import attention, similarity
from gem_ros.core.encoder import DenseEncoder

GOLDEN = np.load(Path(__file__).with_name("gem_reference.npz"))
META = json.loads(str(GOLDEN["meta"]))
TOLERANCE = 1e-5


def tower(index: int) -> VisionTransformer:
    """The reference's vision tower with its weights."""
    shape = META["models"][index]
    visual = VisionTransformer(
        image_size=shape["size"],
        patch_size=shape["patch"],
        width=shape["width"],
        layers=shape["layers"],
        heads=shape["heads"],
        mlp_ratio=4.0,
        output_dim=shape["embed"],
        act_layer=QuickGELU if shape["quick"] else nn.GELU,
    )
    prefix = f"model{index}/visual/"
    names = [name for name in GOLDEN.files if name.startswith(prefix)]
    visual.load_state_dict({name.removeprefix(prefix): torch.from_numpy(GOLDEN[name]).float() for name in names})
    return visual.eval()


@pytest.fixture(params=META["cases"], ids=lambda case: case["key"])
def case(request):
    return request.param


def image(case):
    return torch.from_numpy(GOLDEN[f"{case['key']}/image"]).float()


def gem_encoder(case, **options):
    # the published depth d patches the last d - 1 blocks
    settings = (case["gem_depth"] - 1, case["iterations"], case["inv_temperature"])
    return DenseEncoder(tower(case["model"]), "gem", *settings, **options)


def assert_golden(actual, case, name):
    expected = GOLDEN[f"{case['key']}/{name}"]
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual.detach().numpy(), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("attend", [attention.fused, attention.explicit])
def test_gem_tokens(case, attend):
    with torch.inference_mode():
        assert_golden(gem_encoder(case, attend=attend)(image(case)), case, "gem_tokens")


def test_clip_tokens_cls_first(case):
    with torch.inference_mode():
        assert_golden(DenseEncoder(tower(case["model"]), "clip").all_tokens(image(case)), case, "clip_tokens")


def test_similarity_and_heatmap(case):
    text = torch.from_numpy(GOLDEN[f"{case['key']}/text"])
    patch = META["models"][case["model"]]["patch"]
    height, width = case["size"]
    with torch.inference_mode():
        tokens = gem_encoder(case)(image(case)).unflatten(1, (height // patch, width // patch))
    maps = torch.stack([similarity.similarity_maps(each, text) for each in tokens])
    assert_golden(maps, case, "similarity")
    heatmaps = [similarity.min_max(similarity.upsample(each, (height, width))) for each in maps]
    assert_golden(torch.stack(heatmaps), case, "heatmap")

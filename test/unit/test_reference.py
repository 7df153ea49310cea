"""The plain algorithm that the bench measures against: the published code's own outputs, and ours."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import nn

from gem_ros.benchmarks.reference import reference_maps, reference_tokens
from gem_ros.core.encoder import DenseEncoder

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "gem_reference.npz")
META = json.loads(str(GOLDEN["meta"]))


def tower(index):
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


@pytest.mark.parametrize("case", META["cases"], ids=lambda case: case["key"])
@torch.no_grad()
def test_the_plain_algorithm_is_the_published_codes(case):
    image = torch.from_numpy(GOLDEN[f"{case['key']}/image"]).float()
    settings = case["gem_depth"] - 1, case["iterations"], case["inv_temperature"]
    tokens = reference_tokens(tower(case["model"]), image, *settings)
    np.testing.assert_allclose(tokens, GOLDEN[f"{case['key']}/gem_tokens"][:, -tokens.shape[1] :], rtol=0, atol=1e-5)


@torch.no_grad()
def test_maps_are_stretched_cosines_of_freshly_encoded_text(random_clip):
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    pixels = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    maps = reference_maps(random_clip, tokenizer, pixels, ["red ball", "door"], blocks=2)
    assert maps.shape == (2, 2, 32, 64)
    assert (maps.amin(dim=(-2, -1)), maps.amax(dim=(-2, -1))) == (pytest.approx(0.0), pytest.approx(1.0))
    text = random_clip.encode_text(tokenizer(["a photo of a door."]), normalize=True)[0]
    cosines = DenseEncoder(random_clip.visual, blocks=2)(pixels)[1] @ text  # (8,), two rows of four patches
    row, column = divmod(int(cosines.argmax()), 4)
    top = int(maps[1, 1].argmax())
    assert (top // 64 // 16, top % 64 // 16) == (row, column)

"""The plain algorithm that the bench measures against: the published code's own outputs, and ours."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transformer import QuickGELU, VisionTransformer
from torch import nn

from gem_ros.benchmarks.reference import no_form, reference_maps, reference_tokens
from gem_ros.core.architectures import applies
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


def native():
    """open_clip's own ViTs, one for each way in which they are built, sizes apart."""
    found = {}
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        if applies(config)[0] != "no" and "timm_model_name" not in config["vision_cfg"]:
            sizes = ("image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio")
            kind = {key: value for key, value in config["vision_cfg"].items() if key not in sizes}
            found.setdefault(repr((sorted(kind.items()), config.get("quick_gelu"))), (name, kind))
    return found.values()


SHAPE = {"image_size": 64, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16}
TEXT = {"context_length": 16, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1}


@pytest.mark.parametrize(("name", "kind"), native())
@torch.no_grad()
def test_every_native_tower_has_its_form(name, kind):
    quick = open_clip.get_model_config(name).get("quick_gelu", False)
    visual = open_clip.CLIP(32, {**SHAPE, **kind}, TEXT, quick_gelu=quick).eval().visual
    pixels = torch.randn(1, 3, 48, 80, generator=torch.Generator().manual_seed(0))
    assert no_form(visual) == ""
    torch.testing.assert_close(
        DenseEncoder(visual, blocks=2)(pixels), reference_tokens(visual, pixels, 2), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("option", "part"),
    [
        ("qk_norm", "attn.ln_q"),
        ("scale_heads", "attn.head_scale"),
        ("scale_attn_inner", "attn.ln_inner"),
        ("scale_attn", "ln_attn"),
    ],
)
def test_other_native_towers_have_none(option, part):
    visual = VisionTransformer(64, 16, 64, 2, 2, 4.0, block_type="custom", **{option: True})
    assert no_form(visual) == f"the published algorithm has no form for a ViT with {part}"
    assert no_form(VisionTransformer(64, 16, 64, 2, 2, 4.0, block_type="custom")) == ""

"""timm's towers taken apart and put together again: the model's own forward must come out."""

import copy
import threading
from functools import partial

import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
from open_clip.timm_model import TimmModel

from gem_ros.core import attention
from gem_ros.core.compiled import compile_for
from gem_ros.core.encoder import DenseEncoder
from gem_ros.core.runtime import agrees, fit_to_cpu
from gem_ros.core.towers import tower_of
from gem_ros.core.towers.through_timm import pooled_alone
from gem_ros.errors import ModelError

# Of each kind the smallest: width, depth and heads are made small, what makes the kind is kept.
SMALL = {"embed_dim": 64, "depth": 3, "num_heads": 2}
KINDS = {
    "EVA02-B-16": {},
    "EVA02-L-14-336": {},
    "EVA01-g-14": {},
    "EVA02-E-14": {},
    "MobileCLIP2-L-14": {},
    "ViT-B-16-SigLIP": {},
    "ViT-SO400M-14-SigLIP-384": {},  # 384 is no multiple of 14
    "ViT-gopt-16-SigLIP2-256": {},
    "ViT-B-32-SigLIP2-256": {},
    "PE-Core-B-16": {"attn_pool_num_heads": 2},
    "PE-Core-L-14-336": {"attn_pool_num_heads": 2},
    "PE-Core-T-16-384": {"attn_pool_num_heads": 2},
    "PE-Core-bigG-14-448": {"attn_pool_num_heads": 2},
}
CLS = ("EVA", "Mobile")


def small(name, **changes):
    """open_clip's wrapper around a small tower of a kind, with weights none of which is one or zero."""
    vision = open_clip.get_model_config(name)["vision_cfg"]
    created, options = timm.create_model, {**SMALL, **KINDS.get(name, {}), **changes}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timm, "create_model", lambda *given, **others: created(*given, **{**others, **options}))
        torch.manual_seed(0)
        how = {"pool": vision["timm_pool"], "proj": vision["timm_proj"]}
        visual = TimmModel(vision["timm_model_name"], 32, vision["image_size"], **how).eval()
    with torch.no_grad():
        for parameter in visual.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return visual


def resized(visual, rows, columns):
    """The same tower as timm itself makes it for another grid, and the size of its images."""
    visual, (height, width) = copy.deepcopy(visual), visual.trunk.patch_embed.patch_size
    visual.trunk.set_input_size((rows * height, columns * width))
    return visual, (rows * height, columns * width)


def pixels(height, width, batch=1):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


def hidden(encoder, image):
    return encoder._hidden(image, encoder.position(image))[0]


def pooled(encoder, image):
    """The model's own head on the adapter's tokens."""
    trunk = encoder.visual.trunk
    return encoder.visual.head(trunk.forward_head(trunk.norm(hidden(encoder, image))))


@pytest.mark.parametrize("name", KINDS)
@torch.no_grad()
def test_the_models_own_embedding_comes_out(name):
    visual = small(name)
    image = pixels(*visual.trunk.patch_embed.img_size)
    encoder = DenseEncoder(visual, "clip")
    covered = (side * unit for side, unit in zip(encoder.tower.grid, encoder.patch_size, strict=True))
    height, width = covered  # 384 px are 27.4 patches of 14 px: the model leaves out the rest
    inside = image[..., :height, :width]
    torch.testing.assert_close(pooled(encoder, inside), visual(image), atol=1e-5, rtol=1e-5)
    if name.startswith(CLS):
        cls = F.normalize(visual(image), dim=-1)
        torch.testing.assert_close(encoder.all_tokens(inside)[:, 0], cls, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("grid", [(2, 5), (6, 3)])
@torch.no_grad()
def test_at_other_sizes_it_is_what_timm_makes_of_them(name, grid):
    visual = small(name)
    other, size = resized(visual, *grid)
    image = pixels(*size)
    torch.testing.assert_close(pooled(DenseEncoder(visual, "clip"), image), other(image), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in KINDS if "SigLIP" in name or "bigG" in name])
@torch.no_grad()
def test_an_image_of_one_patch_has_the_patchs_embedding(name):
    """Without CLS the attention pool has one token to look at: what the dense way gives must be the image's own."""
    visual = small(name)
    other, size = resized(visual, 1, 1)
    token = DenseEncoder(visual, "clip")(pixels(*size))[:, 0]
    torch.testing.assert_close(token, F.normalize(other(pixels(*size)), dim=-1), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["ViT-B-16-SigLIP", "PE-Core-B-16"])
@torch.no_grad()
def test_a_token_is_pooled_as_if_it_were_alone(name):
    pool = small(name).trunk.attn_pool
    x = torch.randn(2, 5, 64)
    alone = torch.stack([pool(x[:, index : index + 1]) for index in range(5)], dim=1)
    torch.testing.assert_close(pooled_alone(pool, x), alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["EVA02-B-16", "EVA01-g-14", "MobileCLIP2-L-14", "ViT-B-16-SigLIP", "PE-Core-B-16"])
@torch.no_grad()
def test_gem_by_its_formulas(name):
    """Written out for one image, block by block, beside timm's own blocks (METHODS: GEM 1 to 5)."""
    visual = small(name)
    other, size = resized(visual, 3, 4)
    trunk, image = other.trunk, pixels(*size)
    x = trunk.patch_embed(image)
    x, rope = x if isinstance(x := trunk._pos_embed(x), tuple) else (x, None)
    x = dense = trunk.norm_pre(x)
    for index, block in enumerate(trunk.blocks):
        if index == 1:
            dense = x
        if index >= 1:
            attn, h = block.attn, block.norm1(x)
            if attn.qkv is None:
                projected = attn.q_proj(h), attn.k_proj(h), attn.v_proj(h)
            else:
                parts = torch.stack([attn.q_bias, attn.k_bias, attn.v_bias]) if hasattr(attn, "q_bias") else None
                bias = attn.qkv.bias if parts is None else parts.flatten()
                projected = (h @ attn.qkv.weight.T + bias).chunk(3, dim=-1)
            heads = [each.unflatten(-1, (2, 32)).transpose(1, 2) for each in projected]
            inverse, outputs = h.norm(dim=-1).mean() * 32**-0.5, []
            for projection in heads:
                s = F.normalize(projection, dim=-1)
                s = F.normalize((s @ s.mT * inverse).softmax(-1) @ s, dim=-1)  # K = 1
                outputs.append((s @ s.mT * inverse).softmax(-1) @ heads[2])
            mixed = sum(outputs).transpose(1, 2).flatten(2) / 3
            dense = dense + attn.proj(attn.norm(mixed))
        x = block(x) if rope is None else block(x, rope=rope)
    dense = trunk.norm(dense)[:, trunk.num_prefix_tokens :]
    if trunk.attn_pool is not None:
        dense = torch.stack([trunk.attn_pool(dense[:, i : i + 1]) for i in range(12)], dim=1)
    expected = F.normalize(other.head(trunk.head(trunk.fc_norm(dense))), dim=-1)
    torch.testing.assert_close(DenseEncoder(visual, blocks=2)(image), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("method", attention.RULES)
@torch.no_grad()
def test_tokens_are_finite_and_unit_at_any_size(name, method):
    visual = small(name)
    if method == "sc_clip" and visual.trunk.cls_token is None:
        with pytest.raises(ModelError, match="method sc_clip: expected a model with a CLS token, got one without"):
            DenseEncoder(visual, method)
        return
    encoder = DenseEncoder(visual, method, blocks=2)
    for rows, columns in ((3, 7), (4, 4), (5, 1)):
        image = pixels(rows * encoder.patch_size[0], columns * encoder.patch_size[1], batch=2)
        tokens = encoder(image)
        assert tokens.shape == (2, rows * columns, 32 if not name.count("SigLIP") else 64)
        torch.testing.assert_close(tokens.norm(dim=-1), torch.ones(2, rows * columns))


@torch.no_grad()
def test_half_precision_is_kept_and_close():
    visual = small("EVA02-B-16")
    image = pixels(64, 96)
    plain = DenseEncoder(visual, blocks=2)(image)
    half = DenseEncoder(copy.deepcopy(visual).to(torch.bfloat16), blocks=2)(image)
    assert half.dtype == torch.bfloat16
    assert F.cosine_similarity(plain, half.float(), dim=-1).min() > 0.99


def test_gradients_reach_the_first_layer():
    visual = small("EVA02-B-16")
    DenseEncoder(visual, blocks=2, attend=attention.explicit)(pixels(32, 48)).sum().backward()
    assert visual.trunk.patch_embed.proj.weight.grad.abs().sum() > 0
    assert visual.trunk.pos_embed.grad.abs().sum() > 0


def test_the_way_on_a_cpu_is_measured_for_them_too():
    visual = small("EVA02-B-16").requires_grad_(False)
    encoder = fit_to_cpu(partial(DenseEncoder, blocks=2), visual, 17, free=True)
    assert agrees(DenseEncoder(visual, blocks=2), encoder)


@pytest.mark.slow
def test_they_can_be_compiled():
    encoder = DenseEncoder(small("EVA02-B-16"), blocks=2).eval()
    image = pixels(32, 48)
    with torch.inference_mode():
        step = compile_for(torch.device("cpu"))(encoder, image, threading.Lock())
        torch.testing.assert_close(step(image), encoder(image), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: TimmModel("convnext_atto", 8), "got ConvNeXt of timm; choose a ViT"),
        (lambda: small("MobileCLIP-B", embed_dim=768, depth=1), "embedded by one product, got HybridEmbed"),
        (lambda: small("ViT-B-16-SigLIP", reg_tokens=2), "of timm with register tokens"),
        (lambda: small("EVA02-B-16", rope_rotate_half=True), "with another kind of block"),
        (lambda: small("EVA02-B-16", rope_type="mixed", attn_type="rope", qkv_fused=True), "with a rotation per block"),
        (lambda: small("MobileCLIP2-L-14", no_embed_class=True), "with positions without CLS"),
        (lambda: TimmModel("vit_tiny_patch16_224", 8, pool="avg", proj="linear"), "with pooling 'avg'"),
    ],
)
def test_other_towers_are_refused_in_one_line(make, says):
    with pytest.raises(ModelError, match=says) as refused:
        tower_of(make())
    assert "\n" not in str(refused.value)

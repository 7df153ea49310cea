"""Dense features of every open_clip vision tower, checked against open_clip's own forward and by hand."""

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import QuickGELU, VisionTransformer
from torch.utils.flop_counter import FlopCounterMode

from gem_ros.core import attention
from gem_ros.core.encoder import DenseEncoder, input_size
from gem_ros.core.towers import resized_position
from gem_ros.errors import ModelError

SHAPE = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 3, "heads": 2, "mlp_ratio": 2.0, "output_dim": 12}
VARIANTS = {
    "plain": {},
    "quickgelu": {"act_layer": QuickGELU},
    "clipa": {"no_ln_pre": True, "pool_type": "avg", "final_ln_after_pool": True, "pos_embed_type": "sin_cos_2d"},
    "layer scale": {"ls_init_value": 0.5},
    "patch dropout": {"patch_dropout": 0.5},
    "wide image": {"image_size": (16, 48)},
    "custom attention": {"qk_norm": True, "scale_heads": True, "scale_attn_inner": True, "scale_attn": True},
    "scaled mlp": {"scale_fc": True},
}


def tower(**changes):
    torch.manual_seed(1)
    visual = VisionTransformer(**{**SHAPE, **changes}).eval()
    with torch.no_grad():  # nothing may stay one or zero, or a forgotten scale or bias would not be seen
        for parameter in visual.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return visual


def pixels(height=32, width=32, batch=1):
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


def own_tokens(visual, image):
    """What open_clip's own forward leaves in the patch tokens, taken to the embedding per token."""
    last = visual.forward_intermediates(image, indices=1, output_fmt="NLC")["image_intermediates"][-1]
    return F.normalize(visual.ln_post(last) @ visual.proj, dim=-1)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_clip_is_open_clips_own_forward(variant):
    visual = tower(**VARIANTS[variant])
    image = pixels(*visual.image_size)
    torch.testing.assert_close(DenseEncoder(visual, "clip")(image), own_tokens(visual, image), atol=1e-5, rtol=0)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("method", attention.RULES)
@torch.no_grad()
def test_tokens_are_finite_and_unit_at_any_size(variant, method):
    tokens = DenseEncoder(tower(**VARIANTS[variant]), method, blocks=2)(pixels(24, 56, batch=2))
    assert tokens.shape == (2, 3 * 7, 12)
    torch.testing.assert_close(tokens.norm(dim=-1), torch.ones(2, 21))


def shrunk_configs():
    """Every native ViT that open_clip knows, once per kind, with its shape made small."""
    kinds = {}
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        vision = config["vision_cfg"]
        if "timm_model_name" in vision or isinstance(vision["layers"], list) or vision.get("attentional_pool"):
            continue
        vision = {**vision, "layers": 2, "width": 32, "head_width": 16, "image_size": 4 * vision["patch_size"]}
        kinds.setdefault(
            repr((sorted(vision.items()), config.get("quick_gelu"))), (name, vision, config.get("quick_gelu"))
        )
    return [pytest.param(vision, quick or False, id=name) for name, vision, quick in kinds.values()]


@pytest.mark.parametrize(("vision", "quick"), shrunk_configs())
@torch.no_grad()
def test_every_native_vit_of_open_clip(vision, quick):
    text = {"vocab_size": 8, "context_length": 4, "width": 8, "heads": 1, "layers": 1}
    visual = open_clip.CLIP(8, vision, text, quick_gelu=quick).eval().visual
    side = vision["image_size"]
    image = pixels(side, side)
    torch.testing.assert_close(DenseEncoder(visual, "clip")(image), own_tokens(visual, image), atol=1e-5, rtol=0)
    assert DenseEncoder(visual, "gem", blocks=2)(image).isfinite().all()


@torch.no_grad()
def test_sequence_first_weights_give_the_same():
    visual, old = tower(), tower()
    for block in old.transformer.resblocks:  # the layout of open_clip before 2.26
        block.attn.batch_first = False
    torch.testing.assert_close(DenseEncoder(visual, blocks=2)(pixels()), DenseEncoder(old, blocks=2)(pixels()))


@pytest.mark.parametrize("method", attention.RULES)
@torch.no_grad()
def test_fused_and_explicit_attention_agree(method):
    visual = tower()
    fused, explicit = (DenseEncoder(visual, method, 2, attend=each) for each in (attention.fused, attention.explicit))
    torch.testing.assert_close(fused(pixels()), explicit(pixels()), atol=1e-5, rtol=0)


@torch.no_grad()
def test_maskclip_is_the_projected_value_of_the_last_block():
    visual = tower(layers=1)
    block = visual.transformer.resblocks[0]
    h = block.ln_1(visual._embeds(pixels()))
    v = F.linear(h, block.attn.in_proj_weight[64:], block.attn.in_proj_bias[64:])
    expected = F.normalize(visual.ln_post(block.attn.out_proj(v)) @ visual.proj, dim=-1)
    torch.testing.assert_close(DenseEncoder(visual, "maskclip").all_tokens(pixels()), expected)


def test_self_self_attention_by_hand():
    # two tokens, one head of d = 1: ŝ = ±1, so each token attends to itself with softmax([1/τ, −1/τ])
    one = torch.tensor([2.0, -3.0]).reshape(1, 1, 2, 1)
    tokens = attention.Projected(torch.zeros(1, 2, 1), one, one, torch.tensor([1.0, -1.0]).reshape(1, 1, 2, 1), (1, 1))
    mixed = attention.gem(tokens, attention.Settings(iterations=0, inv_temperature=0.5))
    expected = torch.tensor(0.5).tanh()  # (e^½ − e^−½) / (e^½ + e^−½)
    torch.testing.assert_close(mixed.flatten(), torch.stack([expected, -expected]))


@torch.no_grad()
def test_temperature_is_adapted_per_image():
    encoder = DenseEncoder(tower(), blocks=2)
    images = torch.cat([pixels(), 0.1 * pixels()])
    torch.testing.assert_close(encoder(images), torch.cat([encoder(each[None]) for each in images]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("attend", [attention.fused, attention.explicit])
def test_gradients_reach_the_first_layer(attend):
    visual = tower()
    DenseEncoder(visual, blocks=2, attend=attend)(pixels(24, 40)).sum().backward()
    assert visual.conv1.weight.grad.abs().sum() > 0
    assert visual.positional_embedding.grad.abs().sum() > 0


def test_position_embedding_is_resized_once_per_grid(monkeypatch):
    resized = []
    note = "gem_ros.core.towers.tower.resized_position"
    monkeypatch.setattr(note, lambda *given: resized.append(given[2]) or resized_position(*given))
    encoder = DenseEncoder(tower(), blocks=2).eval()
    with torch.no_grad():
        for _ in range(3):
            encoder(pixels(24, 56))
        encoder(pixels(56, 24))
        assert resized == [(3, 7), (7, 3)]
        before = encoder(pixels(24, 56))
        encoder.visual.positional_embedding.mul_(2.0)
        assert not torch.allclose(before, encoder(pixels(24, 56)))


def test_resized_position_keeps_cls_and_constants():
    embedding = torch.full((1 + 4 * 4, 3), 2.0)
    embedding[0] = -1.0
    resized = resized_position(embedding, (4, 4), (3, 7))
    assert resized.shape == (1 + 21, 3)
    torch.testing.assert_close(resized[0], embedding[0])
    torch.testing.assert_close(resized[1:], torch.full((21, 3), 2.0))


@torch.no_grad()
def test_half_precision_is_kept():
    assert DenseEncoder(tower().to(torch.bfloat16), blocks=2)(pixels()).dtype == torch.bfloat16


def test_last_block_is_trimmed():
    shape = {"image_size": 224, "patch_size": 16, "width": 768, "layers": 12, "heads": 12, "mlp_ratio": 4.0}
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        visual = VisionTransformer(**shape, output_dim=512).eval()
        DenseEncoder(visual, attend=attention.explicit)(torch.zeros(1, 3, 448, 448))
    # 785 tokens: 11 whole blocks 143.1, the last one's q, k, v 2.8, six GEM paths 73.7, patches and projection 1.5
    assert counter.get_total_flops() / 1e9 == pytest.approx(221.08, abs=0.1)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: DenseEncoder(torch.nn.Linear(2, 2)),
            "expected an open_clip VisionTransformer, or one of timm, got Linear",
        ),
        (lambda: DenseEncoder(tower(attentional_pool=True, attn_pooler_heads=2)), "attentional pooling"),
        (lambda: DenseEncoder(tower(scaled_cosine_attn=True)), "scaled cosine"),
        (lambda: DenseEncoder(tower(), "best"), "method: expected one of clip, maskclip, clip_surgery"),
        (lambda: DenseEncoder(tower(), projections=""), "projections: expected some of q, k and v; got ''"),
        (lambda: DenseEncoder(tower(), projections="qo"), "projections: expected some of q, k and v; got 'qo'"),
        (lambda: DenseEncoder(tower(), blocks=4), "blocks: expected 1 to 3"),
        (lambda: DenseEncoder(tower(), blocks=2)(pixels(30, 32)), "multiples of 8x8, got 30x32"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(make, says):
    with pytest.raises(ModelError, match=says) as refused:
        make()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("size", "longer", "expected"),
    [
        ((480, 640), 448, (336, 448)),
        ((640, 480), 448, (448, 336)),
        ((480, 640), 450, (336, 448)),  # 337.5 and 450 px are 21.1 and 28.1 patches
        ((720, 1280), 224, (128, 224)),  # 126 px are 7.9 patches
        ((3, 4000), 448, (16, 448)),
        ((100, 100), 5, (16, 16)),
        ((40, 64), 64, (48, 64)),  # 2.5 patches round up
    ],
)
def test_input_size(size, longer, expected):
    assert input_size(size, longer, (16, 16)) == expected

"""What is said of models that are not built is held against models that are."""

import open_clip
import pytest
import timm
import torch
from open_clip.timm_model import TimmModel
from torch.utils.flop_counter import FlopCounterMode

from gem_ros.core import attention, catalogue, pretrained
from gem_ros.core.architectures import applies, shape
from gem_ros.core.catalogue import architectures, licence
from gem_ros.core.encoder import DenseEncoder
from gem_ros.errors import ModelError

TEXT = {"vocab_size": 8, "context_length": 4, "width": 8, "heads": 1, "layers": 1}
QUICK_LANE = ("ViT-B-16", "ViT-L-14-CLIPA", "EVA02-B-16", "ViT-B-16-SigLIP", "PE-Core-T-16-384")


def usable():
    return [name for name in open_clip.list_models() if applies(open_clip.get_model_config(name))[0] != "no"]


def different():
    """The usable ones, once per image tower: many differ in the text tower or the activation only."""
    seen = {}
    for name in usable():
        config = open_clip.get_model_config(name)
        seen.setdefault(repr((sorted(config["vision_cfg"].items()), config["embed_dim"])), name)
    slow = [name for name in seen.values() if name not in QUICK_LANE]
    return [*QUICK_LANE, *(pytest.param(name, marks=pytest.mark.slow) for name in slow)]


def tower(name, **changes):
    """The image tower alone, as open_clip builds it; ``changes`` to the config of a native one."""
    config = open_clip.get_model_config(name)
    vision = {**config["vision_cfg"], **changes}
    if "timm_model_name" in vision:
        how = {"pool": vision["timm_pool"], "proj": vision["timm_proj"]}
        return TimmModel(vision["timm_model_name"], config["embed_dim"], vision["image_size"], **how).eval()
    return open_clip.CLIP(config["embed_dim"], vision, TEXT, quick_gelu=config.get("quick_gelu", False)).eval().visual


@pytest.mark.parametrize("name", different())
def test_sizes_and_cost_are_those_of_the_model_built(name):
    stated = shape(open_clip.get_model_config(name))
    with torch.device("meta"), torch.no_grad():
        encoder = DenseEncoder(tower(name), attend=attention.explicit)
        size = (24 * stated.patch, 32 * stated.patch)
        with FlopCounterMode(display=False) as counter:
            encoder(torch.zeros(1, 3, *size))
    assert (stated.patch, stated.width, stated.layers) == (
        encoder.patch_size[0],
        encoder.tower.width,
        len(encoder.tower.blocks),
    )
    assert stated.prefix == encoder.tower.prefix
    assert stated.flop(size) == counter.get_total_flops()
    counted = sum(parameter.numel() for parameter in encoder.parameters())
    assert stated.parameters == pytest.approx(counted, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for each in different() for name in (getattr(each, "values", [each]))])
@torch.no_grad()
def test_every_architecture_gives_finite_unit_tokens_at_three_aspect_ratios(name, monkeypatch):
    """At its own width, patch and image size with random weights; of the large ones the first layers, for memory."""
    stated = shape(open_clip.get_model_config(name))
    layers = stated.layers if stated.parameters < 120e6 else 2
    created = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda *given, **others: created(*given, **{**others, "depth": layers}))
    torch.manual_seed(0)
    encoder = DenseEncoder(tower(name, layers=layers), blocks=min(6, layers))
    for rows, columns in ((6, 8), (5, 5), (9, 3)):
        tokens = encoder(torch.randn(1, 3, rows * stated.patch, columns * stated.patch))
        assert tokens.shape == (1, rows * columns, stated.embedding or stated.width)
        torch.testing.assert_close(tokens.norm(dim=-1), torch.ones(1, rows * columns))


def test_every_architecture_that_is_refused_says_why():
    refused = [each for each in architectures() if each.applies == "no"]
    assert {
        "RN50",
        "convnext_base",
        "coca_ViT-B-32",
        "ViTamin-B",
        "MobileCLIP-B",
        "vit_relpos_medium_patch16_cls_224",
    } < {each.name for each in refused}
    assert all(each.why and each.shape is None for each in refused)
    with pytest.raises(ModelError, match=r"got 'convnext_base' \(convnext_base of timm, no plain") as error:
        pretrained.load_model("convnext_base", "laion400m_s13b_b51k", torch.device("cpu"), torch.float32)
    assert "\n" not in str(error.value)


def test_the_list_has_tags_with_licences_and_what_is_here(monkeypatch, tmp_path):
    def here(config):
        return tmp_path if "vit_base_patch16_clip_224.openai" in config["hf_hub"] else None

    monkeypatch.setattr(catalogue, "cached", here)
    found = {each.name: each for each in architectures()}
    weights = {each.tag: each for each in found["ViT-B-16-quickgelu"].weights}
    assert (weights["openai"].here, weights["openai"].licence) == (True, "apache-2.0")
    assert (weights["metaclip_400m"].here, weights["metaclip_400m"].licence) == (False, "cc-by-nc-4.0")
    assert "openai" not in {each.tag for each in found["ViT-B-16"].weights}  # its weights need QuickGELU
    assert not any(each.here for each in found["ViT-B-16"].weights)
    assert [found[name].applies for name in ("ViT-B-16", "EVA02-B-16", "ViT-B-16-SigLIP", "RN50")] == [
        "verified",
        "verified",
        "experimental",
        "no",
    ]


def test_a_licence_that_is_not_known_is_unknown():
    assert licence("laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K/") == "mit"
    assert licence("timm/ViT-B-16-SigLIP2-256/") == "apache-2.0"
    for repository in (
        "",
        "somebody/model/",
        "timm/vit_base_patch16_clip_224.laion400m_e31/",
        "laion/CLIP-convnext_base",
    ):
        assert licence(repository) == "unknown"

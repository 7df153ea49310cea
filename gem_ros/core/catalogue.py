"""Every model that open_clip knows, as ``gem-ros models`` lists it; nothing is built or downloaded for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import open_clip

from gem_ros.core.architectures import Applies, Shape, applies, shape
from gem_ros.core.pretrained import is_quick
from gem_ros.core.weights import cached

UNKNOWN = "unknown"
# By the folder of the weights on the hub that open_clip fetches them from. open_clip gives no licence; these are what
# the model cards named behind each said when this was written. What is not here is unknown, not free.
LICENCES = (
    (
        r"apple/.*",
        "apple-amlr",
    ),  # apple/DFN2B-CLIP-ViT-B-16, apple/DFN5B-CLIP-ViT-H-14-378, apple/MobileCLIP-B-LT-OpenCLIP
    (r"laion/CLIP-ViT-.*(laion2B|DataComp).*", "mit"),  # laion/CLIP-ViT-L-14-laion2B-s32B-b82K, …-DataComp.XL-s13B-b90K
    (r"timm/.*\.openai", "apache-2.0"),  # timm/vit_base_patch32_clip_224.openai; OpenAI's own repository is MIT
    (r"timm/.*\.metaclip_(400m|2pt5b)", "cc-by-nc-4.0"),  # timm/vit_base_patch16_clip_224.metaclip_400m, …2pt5b
    (r"timm/eva(02)?_.*", "mit"),  # timm/eva02_large_patch14_clip_336.merged2b_s6b_b61k, QuanSun/EVA-CLIP
    (r"timm/ViT-.*-SigLIP2?(-.*)?", "apache-2.0"),  # timm/ViT-B-16-SigLIP, google/siglip2-so400m-patch16-256
    (r"timm/PE-Core-.*", "apache-2.0"),  # facebook/pe_core_base_patch16_224_timm
    (r"UCSC-VLAA/.*-CLIPA-.*", "apache-2.0"),  # UCSC-VLAA/ViT-L-14-CLIPA-datacomp1B
    (r"visheratin/nllb-clip-.*", "cc-by-nc-4.0"),  # visheratin/nllb-clip-base-oc
)


@dataclass(frozen=True)
class Weights:
    """One tag of an architecture: its licence, and whether it was downloaded before."""

    tag: str
    licence: str
    here: bool


@dataclass(frozen=True)
class Architecture:
    """An open_clip model: whether GEM ``applies`` and ``why`` not simply, its ``shape`` where it does, its weights."""

    name: str
    applies: Applies
    why: str
    shape: Shape | None
    weights: tuple[Weights, ...]


def architectures() -> Iterator[Architecture]:
    """All of open_clip's architectures, in its order; tags whose weights need the other activation are left out."""
    for name in open_clip.list_models():
        config = open_clip.get_model_config(name)
        tags = {tag: open_clip.get_pretrained_cfg(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)}
        weights = tuple(
            Weights(tag, licence(each.get("hf_hub", "")), cached(each) is not None)
            for tag, each in tags.items()
            if is_quick(each) == is_quick(config)
        )
        yield Architecture(name, *applies(config), shape(config), weights)


def licence(repository: str) -> str:
    """Of the weights in a repository of the hub, by :data:`LICENCES`, or :data:`UNKNOWN`."""
    name = "/".join(repository.split("/")[:2])
    return next((each for pattern, each in LICENCES if re.fullmatch(pattern, name)), UNKNOWN)

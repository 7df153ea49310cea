"""What an open_clip model config says about its image tower: whether GEM applies, its shape, its cost.

Nothing is built. The sizes of timm's towers are not in open_clip's configs; :data:`TIMM` has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Applies = Literal["verified", "experimental", "no"]
BY_POOL = "its attention pool is applied to each patch alone"
POST_NORM = "its blocks normalise after attention, so that GEM's temperature is taken of x, not of ln_1(x)"


@dataclass(frozen=True)
class Shape:
    """An image tower: ``width`` C, ``layers``, ``mlp`` hidden channels (two of them, gated, if ``gated``), ``patch``
    and ``image_size`` px, ``embedding`` D (0: C, without a projection), ``prefix`` tokens, ``pool`` the hidden
    channels of an attention pool's MLP (0: none)."""

    width: int
    layers: int
    mlp: int
    patch: int
    image_size: int
    embedding: int
    gated: bool = False
    prefix: int = 1
    pool: int = 0

    @property
    def parameters(self) -> int:
        """Weights of the tower, without biases and norms (which are less than 1 %)."""
        c, positions = self.width, (self.image_size // self.patch) ** 2 + 2 * self.prefix
        block = 4 * c * c + (3 if self.gated else 2) * c * self.mlp
        pool = 4 * c * c + 2 * c * self.pool if self.pool else 0
        return 3 * self.patch**2 * c + positions * c + self.layers * block + pool + c * self.embedding

    def flop(self, size: tuple[int, int], blocks: int = 6, iterations: int = 1) -> int:
        """Floating-point operations of GEM on one image of ``size`` (height, width) px; a multiply-add is two.

        As :class:`~gem_ros.core.encoder.DenseEncoder` computes it: of the last block's original path q, k and v only.
        """
        patches = (size[0] // self.patch) * (size[1] // self.patch)
        n, c = patches + self.prefix, self.width
        product = 4 * n * n * c  # softmax(a bᵀ) v: two products of n × n × c
        project, output = 6 * n * c * c, 2 * n * c * c
        original = product + output + (6 if self.gated else 4) * n * c * self.mlp
        gem = 3 * (iterations + 1) * product + output
        pool = 4 * c * c + 4 * c * self.pool if self.pool else 0
        ends = patches * (2 * 3 * self.patch**2 * c + pool + 2 * c * self.embedding)
        return self.layers * project + (self.layers - 1) * original + min(blocks, self.layers) * gem + ends


@dataclass(frozen=True)
class _Family:
    """timm's towers of one kind and size: how ``applies``, ``why`` it is not simply verified, and the sizes."""

    name: str  # a regular expression
    width: int
    layers: int
    mlp: int
    applies: Applies = "verified"
    why: str = ""
    gated: bool = False
    prefix: int = 1
    pool: int = 0


TIMM = (
    _Family("eva_giant_patch14_224", 1408, 40, 6144),
    _Family("eva02_base_patch16_clip_.*", 768, 12, 2048, gated=True),
    _Family("eva02_large_patch14_clip_.*", 1024, 24, 2730, gated=True),
    _Family("eva02_enormous_patch14_clip_.*", 1792, 64, 15360, "experimental", POST_NORM),
    _Family("vit_large_patch14_clip_224", 1024, 24, 4096),
    _Family("vit_base_patch(16|32)_siglip_.*", 768, 12, 3072, "experimental", BY_POOL, prefix=0, pool=3072),
    _Family("vit_large_patch16_siglip_.*", 1024, 24, 4096, "experimental", BY_POOL, prefix=0, pool=4096),
    _Family("vit_so400m_patch1[46]_siglip_.*", 1152, 27, 4304, "experimental", BY_POOL, prefix=0, pool=4304),
    _Family("vit_giantopt_patch16_siglip_.*", 1536, 40, 6144, "experimental", BY_POOL, prefix=0, pool=6144),
    _Family("vit_pe_core_tiny_.*", 192, 12, 768, "experimental", BY_POOL, pool=768),
    _Family("vit_pe_core_small_.*", 384, 12, 1536, "experimental", BY_POOL, pool=1536),
    _Family("vit_pe_core_base_.*", 768, 12, 3072, "experimental", BY_POOL, pool=3072),
    _Family("vit_pe_core_large_.*", 1024, 24, 4096, "experimental", BY_POOL, pool=4096),
    _Family("vit_pe_core_gigantic_.*", 1536, 50, 8960, "experimental", BY_POOL, prefix=0, pool=6144),
)


def applies(config: Mapping[str, Any]) -> tuple[Applies, str]:
    """Whether dense features can be made of this model, and what one must know: why not, or what is experimental."""
    vision = config["vision_cfg"]
    if isinstance(vision.get("layers"), list):
        return "no", "a ConvNet, without q, k and v of patches"
    if vision.get("attentional_pool") or "multimodal_cfg" in config:
        return "no", "attentional pooling (CoCa), without a projection per token"
    if "timm_model_name" not in vision:
        return "verified", ""
    family = _family(vision)
    if family is None:
        return "no", f"{vision['timm_model_name']} of timm, no plain vision transformer with CLS or an attention pool"
    return family.applies, family.why


def shape(config: Mapping[str, Any]) -> Shape | None:
    """The image tower's sizes; None where GEM does not apply."""
    if applies(config)[0] == "no":
        return None
    vision, embedding = config["vision_cfg"], config["embed_dim"]
    family = _family(vision)
    if family is None:
        width = vision.get("width", 768)
        mlp = int(width * vision.get("mlp_ratio", 4.0))
        size, patch = vision.get("image_size", 224), vision.get("patch_size", 16)
        return Shape(width, vision.get("layers", 12), mlp, patch, size, embedding)
    patch = int(re.findall(r"_patch(\d+)", vision["timm_model_name"])[0])
    projected = 0 if vision.get("timm_proj") == "none" else embedding
    sizes = family.width, family.layers, family.mlp, patch, vision["image_size"], projected
    return Shape(*sizes, gated=family.gated, prefix=family.prefix, pool=family.pool)


def _family(vision: Mapping[str, Any]) -> _Family | None:
    name = vision.get("timm_model_name", "")
    return next((family for family in TIMM if re.fullmatch(family.name, name)), None)

"""Image, depth and queries in; where each thing is out. Reads like a table of contents."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from gem_ros.config import Config, replace
from gem_ros.core.attention import Attend, fused
from gem_ros.core.compiled import CompiledEncoder, compile_for
from gem_ros.core.encoder import DenseEncoder, input_size
from gem_ros.core.examples import Examples
from gem_ros.core.images import Preprocess, check_image
from gem_ros.core.pretrained import LoadedModel, load_model
from gem_ros.core.runtime import (
    fit_to_cpu,
    free_memory,
    is_out_of_memory,
    precision_name,
    select_device,
    select_precision,
)
from gem_ros.core.scores import Scores
from gem_ros.core.similarity import CANONICAL
from gem_ros.core.templates import read_templates
from gem_ros.core.text import TextEncoder
from gem_ros.data import CameraIntrinsics, Grounding, PatchFeatures, Query, Reason, Target
from gem_ros.errors import GemError, OutOfMemoryError, QueryError
from gem_ros.geometry.refine import check as check_refinement
from gem_ros.geometry.refine import refine, upsample
from gem_ros.geometry.registration import locate, register
from gem_ros.geometry.target import find_regions
from gem_ros.models import BUNDLED, ModelCard, calibrated, default_config, feature_settings
from gem_ros.queries import example_name, parse_query

COMMON = (480, 640)  # (H, W) of most cameras' images
LEAST = 4  # patches along an example's longer side
IMAGE_SIZE = 448  # px, where neither the parameter nor the card says anything


class Grounder:
    """Finds texts in images: :meth:`encode_image` once per image, :meth:`ground` as often as asked.

    ``text`` is its text encoder, ``examples`` what was shown to it, ``card`` the model's card, ``config`` the
    parameters it was made with, ``device`` where it runs. Stateless but for the text cache and examples;
    :meth:`ground` may be called by any thread.
    """

    def __init__(self, model: LoadedModel, config: Config, encoder: DenseEncoder | None = None) -> None:
        self.config = config
        self.card = model.card
        self.device: torch.device = model.clip.logit_scale.device
        self.text = TextEncoder(
            model.clip, model.tokenizer, config.templates, model.card.vocabulary, folder=config.text_cache
        )
        self.examples = Examples()
        self._scores = Scores(self.text, self.examples, self.card)
        self._preprocess = Preprocess(model.mean, model.std, model.interpolation, self.device)
        self._encoder = encoder or _encoder(model.clip.visual, config)
        compiles = config.compile == "on" or (config.compile == "auto" and self.device.type == "cuda")
        self._encode = CompiledEncoder(self._encoder, compile_for(self.device)) if compiles else self._encoder
        self._cannot_refine = _cannot_refine()  # why; empty: it can
        self._told: set[str] = set()  # problems that need saying only once

    @classmethod
    def load(
        cls,
        model: str | None = None,
        pretrained: str | None = None,
        *,
        device: str | None = None,
        precision: str | None = None,
        config: Config | None = None,
    ) -> Grounder:
        """A grounder for ``bundled``, or for an open_clip architecture with a tag or weights file.

        What is not given comes from ``config``; without one, the model is ``bundled`` and the parameters
        are :func:`gem_ros.models.default_config` of it. Raises :class:`ModelError`.
        """
        name = model or (config.model if config else BUNDLED)
        config = config or default_config(name)
        read_templates(config.templates)  # refused before anything is loaded
        where = select_device(device or config.device)
        precision, tag = precision or config.precision, pretrained or config.pretrained
        loaded = load_model(name, tag, where, select_precision(precision, where), sha256=config.weights_sha256)
        if config.card:
            card = calibrated(loaded.card, config.card, name, pretrained=tag, settings=feature_settings(config))
            loaded = dataclasses.replace(loaded, card=card)
        if where.type != "cpu":
            return cls(loaded, config)
        height, width = input_size((3, 4), _longer_side(config, loaded.card), loaded.patch_size)
        tokens = 1 + height * width // (loaded.patch_size[0] * loaded.patch_size[1])
        make = partial(_encoder, config=config)
        return cls(loaded, config, fit_to_cpu(make, loaded.clip.visual, tokens, free=precision == "auto"))

    @property
    def status(self) -> dict[str, str]:
        """How the model runs, for people: ``precision``, ``attention`` and ``compile``."""
        compiled = self._encode.status if isinstance(self._encode, CompiledEncoder) else "off"
        names = precision_name(self._encoder.dtype), self._encoder.attend.__name__
        return {"precision": names[0], "attention": names[1], "compile": compiled}

    def image_size(self, config: Config | None = None) -> int:
        """Longer side in px that images are fed to the model with: the parameter's, else the card's, else 448."""
        return _longer_side(config or self.config, self.card)

    def encode_image(self, rgb: npt.NDArray[np.uint8], *, config: Config | None = None) -> PatchFeatures:
        """(H, W, 3) uint8 RGB -> dense features; of ``config`` only ``image_size`` is read.

        The aspect is kept. Raises :class:`DecodeError` for any other array, and :class:`OutOfMemoryError`.
        """
        return self.encode_images([rgb], config=config)[0]

    def encode_images(
        self, images: Sequence[npt.NDArray[np.uint8]], *, config: Config | None = None
    ) -> list[PatchFeatures]:
        """As :meth:`encode_image` for several, in their order: those of one input size share one forward."""
        for rgb in images:
            check_image(rgb)
        longer, patch = self.image_size(config), self._encoder.patch_size
        alike: dict[tuple[int, int], list[int]] = {}
        for index, rgb in enumerate(images):
            alike.setdefault(input_size(rgb.shape[:2], longer, patch), []).append(index)
        features: dict[int, PatchFeatures] = {}
        for (height, width), members in alike.items():
            tokens = self._tokens([images[index] for index in members], (height, width))
            rows, columns = height // patch[0], width // patch[1]
            for index, each in zip(members, tokens, strict=True):
                maps = each[-rows * columns :].reshape(rows, columns, -1)
                features[index] = PatchFeatures(maps, images[index].shape[:2], each[0] if self._encoder.cls else None)
        return [features[index] for index in range(len(images))]

    def ground(
        self,
        features: PatchFeatures,
        queries: Sequence[str | Query],
        *,
        image: npt.NDArray[np.uint8] | None = None,
        depth: npt.NDArray[np.float32] | None = None,
        camera: CameraIntrinsics | None = None,
        missing: Reason | None = None,
        config: Config | None = None,
    ) -> Grounding:
        """Where each query is; strings are parsed as users type them (``red mug:0.6``).

        ``image`` (H, W, 3) uint8 RGB is what the features are of; ``refinement: image`` sharpens regions by it.
        ``depth`` (H, W) m, NaN where invalid, of the image's size or at least its aspect; ``missing`` says
        why depth or camera cannot be used; ``config`` replaces the dynamic parameters. Depth and camera that
        do not fit give 2D results with the reason and a line in ``problems``; there it is said, once, where
        regions cannot be sharpened. Raises :class:`QueryError`, and :class:`GeometryError` for depth in integers
        and an ``image`` that is not the one.
        """
        config = config or self.config
        asked = tuple(each if isinstance(each, Query) else parse_query(each) for each in _listed(queries))
        evidence, relevancy, scores = self._scores.of(features, asked, config)
        size, patch = features.image_size, _patch_px(features)
        beside = register(size, depth, camera, missing)
        guides = {"image": image, "pamr": image, "depth": beside.depth}
        engine = "pamr" if config.refinement == "pamr" else "guided"
        guide = None if self._cannot_refine and engine == "guided" else guides.get(config.refinement)
        targets: list[Target] = []
        for index, (query, best) in enumerate(zip(asked, scores, strict=True)):
            threshold = config.presence_threshold if query.threshold is None else query.threshold
            if not self.knows(query.text):
                relevancy[index] = 0.0
                targets.append(Target(query.text, index, False, 0.0, threshold, "unknown_word"))
            elif best < threshold:  # nothing is computed at the image's size
                targets.append(Target(query.text, index, False, best, threshold, "absent"))
            else:
                fine = upsample(relevancy[index : index + 1], size)[0]
                if guide is not None:
                    fine = refine(fine, guide, patch, engine)
                regions = find_regions(fine, evidence[index], config.region_threshold, config.max_targets, patch)
                for region in regions:  # all but the first must reach the threshold themselves
                    score = best if region is regions[0] else self._scores.at(query.text, region.strength)
                    if score >= threshold:
                        known = locate(region, beside, config.min_depth, config.max_depth)
                        targets.append(Target(query.text, index, True, score, threshold, **known))
        problems = beside.problems
        if guide is None and any(target.found for target in targets):
            problems += self._coarse(config.refinement)
        return Grounding(asked, tuple(targets), size, relevancy, partial(upsample, size=size), problems)

    def add_example(self, name: str, rgb: npt.NDArray[np.uint8], *, of: tuple[int, int] = COMMON) -> None:
        """Look for what ``rgb`` (H, W, 3) uint8 shows wherever the query ``@name`` is asked: a crop, close around it.

        ``of`` is the (H, W) of the images it was cut from: it is fed at their scale, in which the thing has the size
        that it will have again. Raises :class:`QueryError` for a bad name, :class:`DecodeError` for no picture.
        """
        name = example_name(name)
        check_image(rgb)
        longer, least = self.image_size(), LEAST * max(self._encoder.patch_size)
        fed = min(max(round(max(rgb.shape[:2]) * longer / max(of)), least), longer)
        self.examples.add(name, self.encode_image(rgb, config=replace(self.config, {"image_size": fed})).tokens)

    def add_example_at(self, name: str, features: PatchFeatures, pixel: tuple[float, float]) -> None:
        """Look for what lies at ``pixel`` (u, v) of an image with these features, wherever ``@name`` is asked."""
        height, width = features.image_size
        u, v = pixel
        if not (-0.5 <= u < width - 0.5 and -0.5 <= v < height - 0.5):
            raise QueryError(f"example {name!r}: expected a pixel of the {width}x{height} image, got {u:g}, {v:g}")
        rows, columns = features.tokens.shape[:2]
        row, column = int((v + 0.5) * rows / height), int((u + 0.5) * columns / width)
        self.examples.add(example_name(name), features.tokens[row : row + 1, column : column + 1])

    def knows(self, text: str) -> bool:
        """Whether a query can be looked for: of several names one is enough."""
        return self._scores.knows(text)

    def unknown(self, text: str) -> tuple[str, ...]:
        """What of a query the model does not know: words, or an example that was not given; empty: all is known."""
        return self._scores.unknown(text)

    def warm_up(self, size: tuple[int, int]) -> None:
        """Run once on a black image of ``size`` (H, W), so that the first real one does not wait."""
        self.ground(self.encode_image(np.zeros((*size, 3), np.uint8)), [CANONICAL[0]])
        self._told.clear()  # nobody heard it

    def _coarse(self, refinement: str) -> tuple[str, ...]:
        """The line that says why regions stay as coarse as patches; nothing where it was said before.

        Who passes no image has chosen that.
        """
        why = "refinement: expected depth to sharpen regions by, got none" if refinement == "depth" else ""
        why = self._cannot_refine or why
        if refinement in ("none", "pamr") or not why or why in self._told:
            return ()
        self._told.add(why)
        return (f"{why}; regions stay as coarse as patches",)

    def _tokens(self, images: Sequence[npt.NDArray[np.uint8]], size: tuple[int, int]) -> Tensor:
        """n images in one forward at ``size`` (h, w) px -> unit-norm tokens (n, h·w of patches, D) float32, CLS
        first where the encoder gives it."""
        try:
            with torch.inference_mode():
                tokens = self._encode(torch.cat([self._preprocess(rgb, size) for rgb in images]))
                # in half precision unit vectors are 0.4 % off
                return tokens if tokens.dtype == torch.float32 else F.normalize(tokens.float(), dim=-1)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        free_memory(self.device)
        what = f"{len(images)} x {size[1]}x{size[0]} px"
        raise OutOfMemoryError(f"memory: expected enough on {self.device} for {what}, got less; set image_size smaller")


def _longer_side(config: Config, card: ModelCard) -> int:
    return config.image_size or card.defaults.get("image_size") or IMAGE_SIZE


def _encoder(visual: Any, config: Config, attend: Attend = fused) -> DenseEncoder:
    inverse = 1.0 / config.gem.temperature if config.gem.temperature else None
    gem = config.gem
    options: dict[str, Any] = {
        "projections": gem.projections,
        "normalise": gem.normalise,
        "cls": config.feature_surgery,
    }
    encoder = DenseEncoder(visual, config.method, gem.blocks, gem.iterations, inverse, **options, attend=attend)
    return encoder.eval()


def _cannot_refine() -> str:
    """Why this OpenCV cannot sharpen regions, or nothing."""
    try:
        check_refinement()
    except GemError as error:
        return str(error)
    return ""


def _patch_px(features: PatchFeatures) -> float:
    """Size of a patch in pixels of the image, the mean of both sides where they differ."""
    rows, columns = features.tokens.shape[:2]
    return (features.image_size[0] / rows + features.image_size[1] / columns) / 2


def _listed(queries: str | Sequence[str | Query]) -> Sequence[str | Query]:
    """A single text counts as one query, not as its letters."""
    return [queries] if isinstance(queries, str) else queries

"""Image, depth and queries in; where each thing is out. Reads like a table of contents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from gem_ros.config import Config
from gem_ros.core import similarity
from gem_ros.core.encoder import DenseEncoder, input_size
from gem_ros.core.pretrained import LoadedModel, load_model
from gem_ros.core.runtime import select_device, select_precision
from gem_ros.core.text import TextEncoder
from gem_ros.data import CameraIntrinsics, Grounding, PatchFeatures, Query, Reason, Target
from gem_ros.errors import DecodeError, GeometryError
from gem_ros.geometry.camera import rays
from gem_ros.geometry.target import Region, find_regions, measure
from gem_ros.models import BUNDLED, default_config
from gem_ros.queries import parse_query

FloatMaps = npt.NDArray[np.float32]
IMAGE_SIZE = 448  # px, where neither the parameter nor the card says anything


class Grounder:
    """Finds texts in images: :meth:`encode_image` once per image, :meth:`ground` as often as asked.

    ``text`` is its text encoder, ``card`` the model's card, ``config`` the parameters it was made with,
    ``device`` where it runs. Stateless but for the text cache; :meth:`ground` may be called by any thread.
    """

    def __init__(self, model: LoadedModel, config: Config) -> None:
        inverse = 1.0 / config.gem.temperature if config.gem.temperature else None
        self.config = config
        self.card = model.card
        self.device: torch.device = model.clip.logit_scale.device
        self.text = TextEncoder(model.clip, model.tokenizer, config.templates, model.card.vocabulary)
        self._interpolation = model.interpolation
        self._encoder = DenseEncoder(
            model.clip.visual, config.method, config.gem.blocks, config.gem.iterations, inverse
        ).eval()
        # (3, 1, 1) each, on the device
        self._mean, self._std = (
            torch.tensor(each, device=self.device)[:, None, None] for each in (model.mean, model.std)
        )

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
        where = select_device(device or config.device)
        dtype = select_precision(precision or config.precision, where)
        return cls(load_model(name, pretrained or config.pretrained, where, dtype), config)

    def encode_image(self, rgb: npt.NDArray[np.uint8], *, config: Config | None = None) -> PatchFeatures:
        """(H, W, 3) uint8 RGB -> dense features; of ``config`` only ``image_size`` is read.

        The aspect is kept. Raises :class:`DecodeError` for any other array.
        """
        _check_image(rgb)
        height, width = rgb.shape[:2]
        longer = (config or self.config).image_size or self.card.defaults.get("image_size") or IMAGE_SIZE
        patch = self._encoder.patch_size
        size = input_size((height, width), longer, patch)
        with torch.inference_mode():
            # in half precision unit vectors are 0.4 % off
            tokens = F.normalize(self._encoder(self._preprocess(rgb, size))[0].float(), dim=-1)
        return PatchFeatures(tokens.reshape(size[0] // patch[0], size[1] // patch[1], -1), (height, width))

    def ground(
        self,
        features: PatchFeatures,
        queries: Sequence[str | Query],
        *,
        depth: npt.NDArray[np.float32] | None = None,
        camera: CameraIntrinsics | None = None,
        missing: Reason | None = None,
        config: Config | None = None,
    ) -> Grounding:
        """Where each query is; strings are parsed as users type them (``red mug:0.6``).

        ``depth`` (H, W) m of the image's size, NaN where invalid; ``missing`` says why depth or camera
        cannot be used; ``config`` replaces the dynamic parameters. Depth and camera that do not fit give
        2D results with the reason. Raises :class:`QueryError`, and :class:`GeometryError` for depth that
        is not in metres or a camera that cannot be.
        """
        config = config or self.config
        asked = tuple(each if isinstance(each, Query) else parse_query(each) for each in _listed(queries))
        evidence, relevancy, scores = self._maps(features, asked, config.negatives)
        partners = _partners(features.image_size, depth, camera, missing)
        targets: list[Target] = []
        for index, query in enumerate(asked):
            threshold = config.presence_threshold if query.threshold is None else query.threshold
            if self.text.unknown_words(query.text):
                relevancy[index] = 0.0
                targets.append(Target(query.text, index, False, 0.0, threshold, "unknown_word"))
            elif scores[index] < threshold:
                targets.append(Target(query.text, index, False, float(scores[index]), threshold, "absent"))
            else:
                maps = _upsample(relevancy[index][None], features.image_size)[0], evidence[index]
                regions = find_regions(*maps, config.region_threshold, config.max_targets, _patch_px(features))
                for score, region in self._scored(regions, float(scores[index]), threshold):
                    known = _located(region, partners, config)
                    targets.append(Target(query.text, index, True, score, threshold, **known))
        size = features.image_size
        return Grounding(asked, tuple(targets), size, relevancy, partial(_upsample, size=size))

    def warm_up(self, size: tuple[int, int]) -> None:
        """Run once on a black image of ``size`` (H, W), so that the first real one does not wait."""
        self.ground(self.encode_image(np.zeros((*size, 3), np.uint8)), [similarity.CANONICAL[0]])

    def _preprocess(self, rgb: npt.NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
        """(H, W, 3) uint8 -> (1, 3, h, w) resized and normalised as the model was trained."""
        image = torch.from_numpy(np.require(rgb, requirements=["C", "W"])).to(self.device)
        pixels = image.permute(2, 0, 1)[None].float() / 255
        if pixels.shape[-2:] != size:
            pixels = F.interpolate(pixels, size=size, mode=self._interpolation, antialias=True, align_corners=False)
        return (pixels.clamp(0, 1) - self._mean) / self._std  # bicubic overshoots

    @torch.inference_mode()
    def _maps(self, features: PatchFeatures, asked: Sequence[Query], negatives: Sequence[str]) -> tuple[FloatMaps, ...]:
        """Evidence (Q, h, w), relevancy (Q, h, w), scores (Q,): one matrix product for all texts."""
        # a negative with a word that the model does not know says nothing
        others = [text for text in (*similarity.CANONICAL, *negatives) if not self.text.unknown_words(text)]
        text = self.text.embed([query.text for query in asked] + others)
        cosines = similarity.similarity_maps(features.tokens, text)
        own = cosines[: len(asked)]
        logits = similarity.relevancy_logits(own, cosines[len(asked) :], self.card.relevancy)
        evidence = similarity.evidence_maps(own, logits, self.card.presence)
        scores = similarity.presence_scores(evidence.amax(dim=(-2, -1)), self.card.presence)
        return evidence.cpu().numpy(), torch.sigmoid(logits).cpu().numpy(), scores.cpu().numpy()

    def _scored(self, regions: list[Region], best: float, threshold: float) -> Iterator[tuple[float, Region]]:
        """Each region with the score of its own peak; all but the first must reach the threshold themselves."""
        yield best, regions[0]
        for region in regions[1:]:
            score = float(similarity.presence_scores(torch.tensor(region.strength), self.card.presence))
            if score >= threshold:
                yield score, region


@dataclass(frozen=True)
class _Partners:
    """What is known beside the image; ``reason`` says why there can be no 3D point, None: nothing is missing."""

    depth: npt.NDArray[np.float32] | None
    camera: CameraIntrinsics | None
    reason: Reason | None


def _partners(
    size: tuple[int, int],
    depth: npt.NDArray[np.float32] | None,
    camera: CameraIntrinsics | None,
    missing: Reason | None,
) -> _Partners:
    if depth is not None and not np.issubdtype(depth.dtype, np.floating):
        raise GeometryError(f"depth: expected float metres, got {depth.dtype}; divide millimetres by 1000")
    reason = missing
    if camera is not None and (camera.height, camera.width) != size:
        camera, reason = None, reason or "misaligned"
    if depth is None:
        reason = reason or "no_depth_message"
    elif depth.shape != size:
        reason = reason or "misaligned"
    elif camera is None:
        reason = reason or "no_camera_info"
    return _Partners(depth, camera, reason)


def _located(region: Region, partners: _Partners, config: Config) -> dict[str, Any]:
    """Where a region is, as the fields of a :class:`Target`: 2D always, 3D where depth and camera allow."""
    known: dict[str, Any] = {"pixel": region.pixel, "region": region.mask, "reason": partners.reason}
    if partners.camera is not None:
        known["ray"] = rays(partners.camera, [region.pixel])[0]
    if partners.reason is None and partners.depth is not None and partners.camera is not None:
        found = measure(region, partners.depth, partners.camera, config.min_depth, config.max_depth)
        known |= {"point": found.point, "covariance": found.covariance, "reason": found.reason}
    return known


def _upsample(maps: FloatMaps, size: tuple[int, int]) -> FloatMaps:
    """(Q, h, w) -> (Q, H, W) float32; of no maps none."""
    if not len(maps):
        return np.zeros((0, *size), np.float32)
    return similarity.upsample(torch.from_numpy(maps), size).numpy()


def _patch_px(features: PatchFeatures) -> float:
    """Size of a patch in pixels of the image, the mean of both sides where they differ."""
    rows, columns = features.tokens.shape[:2]
    return (features.image_size[0] / rows + features.image_size[1] / columns) / 2


def _listed(queries: str | Sequence[str | Query]) -> Sequence[str | Query]:
    """A single text counts as one query, not as its letters."""
    return [queries] if isinstance(queries, str) else queries


def _check_image(rgb: Any) -> None:
    if not isinstance(rgb, np.ndarray) or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
        got = f"{rgb.dtype} {rgb.shape}" if isinstance(rgb, np.ndarray) else type(rgb).__name__
        raise DecodeError(f"image: expected a (height, width, 3) uint8 RGB array, got {got}; convert it first")

"""Text -> unit embedding, each text encoded once."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gem_ros.core.text_cache import TextCache, fingerprint
from gem_ros.errors import ModelError

BATCH = 256  # prompts encoded at a time
STACKED = 8  # combinations of texts kept as one tensor
SEPARATORS = re.compile(r"[\s\-_.,;:!?/\"'()]+")

# The 80 prompts of OpenAI's CLIP for ImageNet (github.com/openai/CLIP, Prompt_Engineering_for_ImageNet).
IMAGENET80 = (
    "a bad photo of a {}.",
    "a photo of many {}.",
    "a sculpture of a {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of the {}.",
    "a rendering of a {}.",
    "graffiti of a {}.",
    "a bad photo of the {}.",
    "a cropped photo of the {}.",
    "a tattoo of a {}.",
    "the embroidered {}.",
    "a photo of a hard to see {}.",
    "a bright photo of a {}.",
    "a photo of a clean {}.",
    "a photo of a dirty {}.",
    "a dark photo of the {}.",
    "a drawing of a {}.",
    "a photo of my {}.",
    "the plastic {}.",
    "a photo of the cool {}.",
    "a close-up photo of a {}.",
    "a black and white photo of the {}.",
    "a painting of the {}.",
    "a painting of a {}.",
    "a pixelated photo of the {}.",
    "a sculpture of the {}.",
    "a bright photo of the {}.",
    "a cropped photo of a {}.",
    "a plastic {}.",
    "a photo of the dirty {}.",
    "a jpeg corrupted photo of a {}.",
    "a blurry photo of the {}.",
    "a photo of the {}.",
    "a good photo of the {}.",
    "a rendering of the {}.",
    "a {} in a video game.",
    "a photo of one {}.",
    "a doodle of a {}.",
    "a close-up photo of the {}.",
    "a photo of a {}.",
    "the origami {}.",
    "the {} in a video game.",
    "a sketch of a {}.",
    "a doodle of the {}.",
    "a origami {}.",
    "a low resolution photo of a {}.",
    "the toy {}.",
    "a rendition of the {}.",
    "a photo of the clean {}.",
    "a photo of a large {}.",
    "a rendition of a {}.",
    "a photo of a nice {}.",
    "a photo of a weird {}.",
    "a blurry photo of a {}.",
    "a cartoon {}.",
    "art of a {}.",
    "a sketch of the {}.",
    "a embroidered {}.",
    "a pixelated photo of a {}.",
    "itap of the {}.",
    "a jpeg corrupted photo of the {}.",
    "a good photo of a {}.",
    "a plushie {}.",
    "a photo of the nice {}.",
    "a photo of the small {}.",
    "a photo of the weird {}.",
    "the cartoon {}.",
    "art of the {}.",
    "a drawing of the {}.",
    "a photo of the large {}.",
    "a black and white photo of a {}.",
    "the plushie {}.",
    "a dark photo of a {}.",
    "itap of a {}.",
    "graffiti of the {}.",
    "a toy {}.",
    "itap of my {}.",
    "a photo of a cool {}.",
    "a photo of a small {}.",
    "a tattoo of the {}.",
)
TEMPLATES = {"gem": ("a photo of a {}.",), "imagenet80": IMAGENET80}


class TextEncoder:
    """Unit embeddings of texts by an open_clip model, kept for the ``capacity`` texts used last.

    ``templates`` names an entry of :data:`TEMPLATES`; ``vocabulary`` are the words the model knows
    (empty: any); in ``folder`` they are kept for the next start, too (empty: nowhere). Thread-safe: the same
    text asked for by two threads is encoded once.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Callable[[list[str]], Tensor],
        templates: str = "gem",
        vocabulary: Sequence[str] = (),
        capacity: int = 1024,
        *,
        folder: str | Path = "",
    ) -> None:
        if templates not in TEMPLATES:
            raise ModelError(f"templates: expected one of {', '.join(TEMPLATES)}; got {templates!r}")
        self.encodings = 0  # texts encoded so far
        self._model = model
        self._tokenizer = tokenizer
        self._templates = TEMPLATES[templates]
        self._vocabulary = frozenset(word.lower() for word in vocabulary)
        self._capacity = capacity
        self._disk = TextCache(folder, fingerprint(model, tokenizer, self._templates)) if folder else None
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._stacked: OrderedDict[tuple[str, ...], Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Tensor:
        """(Q,) texts -> (Q, D) float32 unit norm, on the model's device; shared between calls, not to be written to."""
        if not texts:
            raise ModelError("text: expected at least one text to embed, got none")
        asked = tuple(texts)
        with self._lock:
            missing = [text for text in dict.fromkeys(asked) if text not in self._kept]
            if missing:
                self._kept.update(self._find(missing))
            for text in asked:
                self._kept.move_to_end(text)
            if asked not in self._stacked:  # every image is asked for the same
                self._stacked[asked] = torch.stack([self._kept[text] for text in asked])
            embeddings = self._stacked[asked]
            for cache, size in ((self._kept, self._capacity), (self._stacked, STACKED)):
                while len(cache) > size:
                    cache.popitem(last=False)
        return embeddings

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """The words of ``text``, in lower case, that are not in the model's vocabulary."""
        return _unknown_words(text, self._vocabulary)

    def _find(self, texts: list[str]) -> dict[str, Tensor]:
        """The embeddings of texts that are not in memory: from the disk, else encoded."""
        device = self._model.logit_scale.device
        kept = {text: self._disk.load(text) for text in texts} if self._disk else {}
        found = {text: embedding.to(device) for text, embedding in kept.items() if embedding is not None}
        new = [text for text in texts if text not in found]
        if new:
            encoded = dict(zip(new, self._encode(new), strict=True))
            self.encodings += len(new)
            found |= encoded
            if self._disk:
                self._disk.store(encoded)
        return found

    @torch.no_grad()
    def _encode(self, texts: list[str]) -> Tensor:
        """Mean over the templates of the normalised embeddings, normalised again: (n,) -> (n, D)."""
        prompts = [template.format(text) for text in texts for template in self._templates]
        device = self._model.logit_scale.device
        pieces = [
            self._model.encode_text(self._tokenizer(prompts[start : start + BATCH]).to(device))
            for start in range(0, len(prompts), BATCH)
        ]
        embeddings = F.normalize(torch.cat(pieces).float(), dim=-1)
        mean = embeddings.reshape(len(texts), len(self._templates), -1).mean(dim=1)
        return F.normalize(mean, dim=-1)


@lru_cache(maxsize=4096)  # the same queries are asked of every image
def _unknown_words(text: str, vocabulary: frozenset[str]) -> tuple[str, ...]:
    if not vocabulary:
        return ()
    words = [word for word in SEPARATORS.split(text.lower()) if word] or [text]
    return tuple(word for word in dict.fromkeys(words) if word not in vocabulary)

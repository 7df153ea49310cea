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

from gem_ros.core.templates import PLACE, read_templates
from gem_ros.core.text_cache import TextCache, fingerprint
from gem_ros.errors import ConfigError, ModelError
from gem_ros.queries import synonyms

BATCH = 256  # prompts encoded at a time
STACKED = 8  # combinations of texts kept as one tensor
SEPARATORS = re.compile(r"[\s\-_.,;:!?/\"'()]+")


class TextEncoder:
    """Unit embeddings of texts by an open_clip model, kept for the ``capacity`` names used last.

    A text is one name, or several separated by |: the mean of their embeddings, of unit length again.
    ``templates`` is what :func:`read_templates` takes; ``vocabulary`` are the words the model knows (empty: any);
    in ``folder`` embeddings are kept for the next start, too (empty: nowhere). Thread-safe: the same name asked
    for by two threads is encoded once.
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
        self.encodings = 0  # names encoded so far
        self._model = model
        self._tokenizer = tokenizer
        self._templates = read_templates(templates)
        self._vocabulary = frozenset(word.lower() for word in vocabulary)
        self._capacity = capacity
        self._disk = TextCache(folder, fingerprint(model, tokenizer, self._templates)) if folder else None
        self._kept: OrderedDict[str, Tensor] = OrderedDict()
        self._stacked: OrderedDict[tuple[str, ...], tuple[Tensor, list[str]]] = OrderedDict()  # and whose they are
        self._lock = threading.Lock()
        if vocabulary:
            self._check_templates()

    def embed(self, texts: Sequence[str]) -> Tensor:
        """(Q,) texts -> (Q, D) float32 unit norm, on the model's device; shared between calls, not to be written to."""
        if not texts:
            raise ModelError("text: expected at least one text to embed, got none")
        asked = tuple(texts)
        with self._lock:
            if asked not in self._stacked:  # every image is asked for the same
                names = {text: self._names(text) for text in asked}
                used = list(dict.fromkeys(name for each in names.values() for name in each))
                if missing := [name for name in used if name not in self._kept]:
                    self._kept.update(self._find(missing))
                means = [_mean([self._kept[name] for name in names[text]]) for text in asked]
                self._stacked[asked] = torch.stack(means), used
            embeddings, used = self._stacked[asked]
            self._stacked.move_to_end(asked)
            for name in used:
                if name in self._kept:
                    self._kept.move_to_end(name)
            for cache, size in ((self._kept, self._capacity), (self._stacked, STACKED)):
                while len(cache) > size:
                    cache.popitem(last=False)
        return embeddings

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """The words of ``text``, in lower case, that are not in the model's vocabulary."""
        return tuple(dict.fromkeys(word for name in synonyms(text) for word in _unknown_words(name, self._vocabulary)))

    def knows(self, text: str) -> bool:
        """Whether the model knows all words of ``text``, or of one of its synonyms at least."""
        return bool(_known(text, self._vocabulary))

    def _names(self, text: str) -> tuple[str, ...]:
        """The synonyms that are encoded for ``text``: those the model knows, or all where it knows none."""
        return _known(text, self._vocabulary) or synonyms(text)

    def _check_templates(self) -> None:
        """A model of few words has no vectors for others: with them it would be asked for something else, unseen."""
        tower = getattr(self._model, "text", self._model)
        table = tower.token_embedding.weight
        for template in self._templates:
            tokens = self._tokenizer([template.replace(PLACE, "")]).to(table.device)
            if not table[tokens].any(dim=-1).all():
                raise ConfigError(f"templates: expected words that this model knows, got {template!r}; set it to gem")

    def _find(self, texts: list[str]) -> dict[str, Tensor]:
        """The embeddings of names that are not in memory: from the disk, else encoded."""
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
        prompts = [template.replace(PLACE, text) for text in texts for template in self._templates]
        device = self._model.logit_scale.device
        pieces = [
            self._model.encode_text(self._tokenizer(prompts[start : start + BATCH]).to(device))
            for start in range(0, len(prompts), BATCH)
        ]
        embeddings = F.normalize(torch.cat(pieces).float(), dim=-1)
        mean = embeddings.reshape(len(texts), len(self._templates), -1).mean(dim=1)
        return F.normalize(mean, dim=-1)


def _mean(embeddings: list[Tensor]) -> Tensor:
    """(D,) of synonyms (D,) each; of a single one that itself, bit by bit."""
    return embeddings[0] if len(embeddings) == 1 else F.normalize(torch.stack(embeddings).mean(dim=0), dim=-1)


@lru_cache(maxsize=4096)  # the same queries are asked of every image
def _known(text: str, vocabulary: frozenset[str]) -> tuple[str, ...]:
    """Those of its synonyms of which all words are in the vocabulary."""
    return tuple(name for name in synonyms(text) if not _unknown_words(name, vocabulary))


@lru_cache(maxsize=4096)
def _unknown_words(text: str, vocabulary: frozenset[str]) -> tuple[str, ...]:
    if not vocabulary:
        return ()
    words = [word for word in SEPARATORS.split(text.lower()) if word] or [text]
    return tuple(word for word in dict.fromkeys(words) if word not in vocabulary)

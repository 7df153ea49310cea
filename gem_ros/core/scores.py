"""What speaks for each query at every patch, for words and for examples that were shown; what of a query is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from gem_ros.config import Config
from gem_ros.core import similarity
from gem_ros.core.examples import Examples
from gem_ros.core.text import TextEncoder
from gem_ros.data import PatchFeatures, Query
from gem_ros.models import ModelCard
from gem_ros.queries import EXAMPLE

FloatMaps = npt.NDArray[np.float32]


class Scores:
    """Evidence, relevancy and scores by a model's ``card``; see :mod:`gem_ros.core.similarity`."""

    def __init__(self, text: TextEncoder, examples: Examples, card: ModelCard) -> None:
        self._text, self._examples, self._card = text, examples, card

    def knows(self, text: str) -> bool:
        """Whether a query can be looked for: of several names one is enough."""
        return self._examples.find(text) is not None if text.startswith(EXAMPLE) else self._text.knows(text)

    def unknown(self, text: str) -> tuple[str, ...]:
        """What of a query the model does not know: words, or an example that was not given; empty: all is known."""
        if text.startswith(EXAMPLE):
            return () if self.knows(text) else (text,)
        return self._text.unknown_words(text)

    @torch.inference_mode()
    def of(
        self, features: PatchFeatures, asked: Sequence[Query], config: Config
    ) -> tuple[FloatMaps, FloatMaps, list[float]]:
        """Evidence (Q, h, w), relevancy (Q, h, w) in [0, 1] and scores (Q,) of the queries in an image.

        One matrix product for all texts, and one copy from the device.
        """
        queries = [query.text for query in asked]
        worded = [text for text in queries if not text.startswith(EXAMPLE)]
        examples = {at: each for at, text in enumerate(queries) if (each := self._examples.find(text)) is not None}
        # a phrase that the model does not know says nothing
        canonical, others = (
            [text for text in texts if self._text.knows(text)]
            for texts in (similarity.CANONICAL, (*config.negatives, *(worded if config.exclusive else ())))
        )
        text = self._text.embed(
            [
                *(similarity.CANONICAL[0] if text.startswith(EXAMPLE) else text for text in queries),
                *canonical,
                *others,
            ]
        )
        if examples:
            text = text.clone()  # the other one is kept
            text[list(examples)] = torch.stack(list(examples.values()))
        cosines = similarity.maps_of(features, text)
        own, phrases, rest = torch.split(cosines, [len(queries), len(canonical), len(others)])
        rivals = similarity.rivals(rest, others, queries) if others else None
        logits = similarity.relevancy_logits(own, phrases, self._card.relevancy, rivals)
        evidence = similarity.evidence_maps(own, logits, self._card.presence, rivals)
        if examples:  # what was shown does not compete with words
            shown = list(examples)
            logits, evidence = logits.clone(), evidence.clone()  # they may be the same, or the cosines
            logits[shown] = similarity.relevancy_logits(own[shown], phrases, self._card.example_relevancy)
            evidence[shown] = similarity.evidence_maps(own[shown], logits[shown], self._card.example_presence)
        evidence, relevancy = torch.stack([evidence, torch.sigmoid(logits)]).cpu()
        best = evidence.amax(dim=(-2, -1))
        scores: list[float] = similarity.presence_scores(best, self._card.presence).tolist()
        for at in examples:
            scores[at] = self.at(queries[at], float(best[at]))
        return evidence.numpy(), relevancy.numpy(), scores

    def at(self, query: str, evidence: float) -> float:
        """The score in [0, 1] of a query with this much evidence at its peak."""
        presence = self._card.example_presence if query.startswith(EXAMPLE) else self._card.presence
        return float(similarity.presence_scores(torch.tensor(evidence), presence))

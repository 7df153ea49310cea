"""Answers of the node held against what the recording really shows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gem_ros.data import Observation
from gem_ros.errors import DecodeError
from gem_ros.replay.metrics import Summary, pointing_hit, rate, summary, surface_error
from gem_ros.replay.truth import Truth

IN_VIEW = 0.01  # share of the image from which an object must be found


@dataclass(frozen=True)
class Answer:
    """The best target of one query in one image; ``stamp`` ns, ``pixel`` (u, v), ``point`` m or None.

    ``point`` is in the frame ``frame_id``; ``id`` is the track's, None where nothing is tracked.
    """

    stamp: int
    query: str
    found: bool
    score: float
    threshold: float
    reason: str
    pixel: tuple[float, float] | None = None
    point: tuple[float, float, float] | None = None
    frame_id: str = ""
    id: int | None = None


@dataclass(frozen=True)
class Scored:
    """An answer and its truth: ``visible`` share of the image, ``hit``, ``error`` in m (NaN without).

    The answer's point is in the camera optical frame.
    """

    answer: Answer
    visible: float
    hit: bool
    error: float

    @property
    def in_view(self) -> bool:
        """Whether the queried thing fills enough of the image to be asked for."""
        return self.visible >= IN_VIEW


@dataclass(frozen=True)
class Verdict:
    """One query over a recording.

    ``found`` and ``pointing``: shares of the ``in_view`` images; ``error``: m, over the found ones with
    a point; ``mistaken``: share of the ``out_of_view`` images (nothing of it visible) in which it was
    found all the same; ``ids``: how many different tracks the found ones belonged to (1: always the same).
    """

    query: str
    in_view: int
    found: float
    pointing: float
    error: Summary
    out_of_view: int
    mistaken: float
    ids: int


def best_answers(result: Mapping[str, Any]) -> list[Answer]:
    """The best target of every query of one ``~/result``; :class:`DecodeError` where it is none."""
    best: dict[str, Answer] = {}
    try:
        for target in result["targets"]:
            answer = Answer(
                stamp=int(result["stamp"]),
                query=str(target["query"]),
                found=bool(target["found"]),
                score=float(target["score"]),
                threshold=float(target["threshold"]),
                reason=str(target["reason"]),
                pixel=tuple(target["pixel"]) if target["pixel"] else None,
                point=tuple(target["point"]) if target["point"] else None,
                frame_id=str(result["frame_id"]),
                id=target["id"],
            )
            best.setdefault(answer.query, answer)  # targets come ordered by score
    except (KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"result: expected the contract's fields, got {str(result)[:80]} ({error!r})") from error
    return list(best.values())


def score(answer: Answer, truth: Truth, observation: Observation) -> Scored:
    """Hold ``answer`` against ``truth`` in the image it was given for; several things may share a query."""
    answer = in_camera(answer, observation)
    sightings = truth.visible(answer.stamp, answer.query)
    mask = np.zeros(observation.image.shape[:2], bool)
    for sighting in sightings:
        mask |= sighting.region(mask.shape)
    error = math.nan
    if answer.point is not None and observation.depth is not None and observation.camera is not None:
        error = surface_error(answer.point, observation.depth, mask, observation.camera)
    visible = sum(sighting.visible_fraction for sighting in sightings)
    return Scored(answer, visible, pointing_hit(answer.pixel, mask), error)


def in_camera(answer: Answer, observation: Observation) -> Answer:
    """The answer with its point in the camera optical frame; without one where the camera's pose is not known."""
    if answer.point is None or answer.frame_id in ("", observation.frame_id):
        return answer
    point, pose = None, observation.pose
    if pose is not None and pose.frame_id == answer.frame_id:
        x, y, z = np.linalg.solve(pose.matrix, [*answer.point, 1.0])[:3].tolist()
        point = x, y, z
    return dataclasses.replace(answer, point=point)


def verdict(query: str, scored: Sequence[Scored]) -> Verdict:
    """Sum up one query's answers over a recording."""
    mine = [each for each in scored if each.answer.query == query]
    seen = [each for each in mine if each.in_view]
    unseen = [each for each in mine if each.visible == 0.0]
    return Verdict(
        query=query,
        in_view=len(seen),
        found=rate(each.answer.found for each in seen),
        pointing=rate(each.hit for each in seen),
        error=summary(each.error for each in seen if each.answer.found),
        out_of_view=len(unseen),
        mistaken=rate(each.answer.found for each in unseen),
        ids=len({each.answer.id for each in seen if each.answer.found} - {None}),
    )

"""Answers of the node held against what the recording really shows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.data import Observation
from gem_ros.errors import DecodeError
from gem_ros.geometry.registration import register
from gem_ros.replay.masks import Mask
from gem_ros.replay.metrics import Summary, best_iou, iou, pointing_hit, rate, summary, surface_error
from gem_ros.replay.rows import Row
from gem_ros.replay.truth import Sighting, Truth

Point = tuple[float, float, float]
IN_VIEW = 0.01  # share of the image from which an object must be found


@dataclass(frozen=True)
class Answer:
    """The best target of one query in one image; ``stamp`` ns, ``pixel`` (u, v), ``point`` m or None.

    ``point`` is in the frame ``frame_id``; ``id`` and ``position`` are the track's, None where nothing is tracked.
    """

    stamp: int
    query: str
    found: bool
    score: float
    threshold: float
    reason: str
    pixel: tuple[float, float] | None = None
    point: Point | None = None
    frame_id: str = ""
    id: int | None = None
    position: Point | None = None


@dataclass(frozen=True, eq=False)
class Maps:
    """What ``~/result`` does not say: the found regions of the query, (H, W), and how to get its relevancy, (H, W)."""

    region: Mask
    relevancy: Callable[[], npt.NDArray[np.float32]]


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
                position=_position(target.get("track")),
            )
            best.setdefault(answer.query, answer)  # targets come ordered by score
    except (KeyError, TypeError, ValueError) as error:
        raise DecodeError(f"result: expected the contract's fields, got {str(result)[:80]} ({error!r})") from error
    return list(best.values())


def _position(track: Mapping[str, Any] | None) -> Point | None:
    return tuple(track["position"]) if track and track["position"] else None


def row(
    bag: str,
    answer: Answer,
    observation: Observation,
    truth: Truth | None,
    *,
    absent: Collection[str] = (),
    maps: Maps | None = None,
) -> Row:
    """``answer`` with what ``truth`` says of its image; without one only what is ``absent`` everywhere is known.

    IoU needs ``maps``; 3D error needs true masks and an :func:`aligned` observation; where there is only a true box,
    the pixel is judged by that. Of a query that the truth does not know, and of an image that is not in it, nothing
    is known.
    """
    answer = in_camera(answer, observation)
    pixel: dict[str, Any] = dict(zip(("u", "v"), answer.pixel or (), strict=False))
    point: dict[str, Any] = dict(zip(("x", "y", "z"), answer.point or (), strict=False))
    said = Row(
        bag=bag,
        stamp=answer.stamp,
        query=answer.query,
        visible=None,
        distance_m=_length(answer.point),
        score=answer.score,
        threshold=answer.threshold,
        found=answer.found,
        reason=answer.reason,
        id=answer.id,
        **pixel,
        **point,
    )
    if maps is not None and maps.region.any():
        valid = np.isfinite(observation.depth[maps.region]) if observation.depth is not None else np.zeros(1)
        said = dataclasses.replace(said, depth_valid=float(valid.mean()))
    if answer.query in absent:
        return dataclasses.replace(said, visible=0.0, distance_m=None)
    if truth is None or answer.query not in truth.queries or answer.stamp not in truth.frames:
        return said
    return dataclasses.replace(said, **_judged(answer, truth.visible(answer.stamp, answer.query), observation, maps))


def _judged(
    answer: Answer, sightings: Sequence[Sighting], observation: Observation, maps: Maps | None
) -> dict[str, Any]:
    """The fields of a row that need the truth; ``answer`` is in the camera's frame."""
    if not sightings:
        return {"visible": 0.0, "distance_m": None}
    shape = observation.image.shape[:2]
    regions = [each.region(shape) for each in sightings]
    hit = next((each for each, mask in zip(sightings, regions, strict=True) if pointing_hit(answer.pixel, mask)), None)
    known: dict[str, Any] = {
        "visible": sum(each.visible_fraction for each in sightings),
        "distance_m": min((d for d in (_length(each.surface) for each in sightings) if d is not None), default=None),
        "hit": hit is not None,
        "thing": None if hit is None else str(hit.id),
    }
    if hit is not None and answer.position is not None:
        true = hit.surface if hit.position is None else hit.position
        offset = (None,) * 3 if true is None else (np.asarray(answer.position) - true).tolist()
        known |= dict(zip(("dx_m", "dy_m", "dz_m"), offset, strict=True))
    if all(each.runs is not None for each in sightings):
        mask = np.logical_or.reduce(regions)
        known["error_m"] = _error(answer, mask, observation)
        if maps is not None:
            known |= {"iou": iou(maps.region, mask), "best_iou": best_iou(maps.relevancy(), mask)}
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in known.items()}


def aligned(observation: Observation) -> Observation:
    """With depth at the image's size, and only a camera that fits, as the grounder uses them."""
    rows, columns = observation.image.shape[:2]
    found = register((rows, columns), observation.depth, observation.camera, observation.missing)
    return dataclasses.replace(observation, depth=found.depth, camera=found.camera, missing=found.reason)


def _error(answer: Answer, mask: Mask, observation: Observation) -> float:
    if answer.point is None or observation.depth is None or observation.camera is None:
        return math.nan
    return surface_error(answer.point, observation.depth, mask, observation.camera)


def _length(point: npt.ArrayLike | None) -> float | None:
    return None if point is None else float(np.linalg.norm(point))


def in_camera(answer: Answer, observation: Observation) -> Answer:
    """The answer with its point and position in the camera optical frame; without where the pose is not known."""
    if answer.frame_id in ("", observation.frame_id):
        return answer
    pose = observation.pose

    def moved(point: Point | None) -> Point | None:
        if point is None or pose is None or pose.frame_id != answer.frame_id:
            return None
        x, y, z = np.linalg.solve(pose.matrix, [*point, 1.0])[:3].tolist()
        return x, y, z

    return dataclasses.replace(answer, point=moved(answer.point), position=moved(answer.position))


def verdict(query: str, rows: Sequence[Row]) -> Verdict:
    """Sum up one query's answers over a recording."""
    mine = [each for each in rows if each.query == query]
    seen = [each for each in mine if each.present(IN_VIEW)]
    unseen = [each for each in mine if each.visible == 0.0]
    return Verdict(
        query=query,
        in_view=len(seen),
        found=rate(each.found for each in seen),
        pointing=rate(bool(each.hit) for each in seen),
        error=summary(each.error_m for each in seen if each.found and each.error_m is not None),
        out_of_view=len(unseen),
        mistaken=rate(each.found for each in unseen),
        ids=len({each.id for each in seen if each.found} - {None}),
    )

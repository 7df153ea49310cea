"""A grounding as JSON values: the contract of ~/result."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.data import Box, Grounding, Target, Track
from gem_ros.messages.build import NS, quaternion


def result(
    grounding: Grounding,
    stamp_ns: int,
    frame_id: str,
    epoch: int,
    latency_ms: float,
    *,
    image_frame_id: str | None = None,
) -> dict[str, Any]:
    """What ~/result says of an image of ``stamp_ns``.

    ``frame_id`` is the frame of points, positions and boxes; ``image_frame_id`` that of rays and pixels, None:
    the same. What is not known, and what is not a finite number, is null.
    """
    return {
        "stamp": stamp_ns,
        "frame_id": frame_id,
        "image_frame_id": frame_id if image_frame_id is None else image_frame_id,
        "epoch": epoch,
        "latency_ms": _number(round(latency_ms, 3)),
        "targets": [_target(each) for each in grounding.targets],
        "last_seen": [_remembered(each, stamp_ns) for each in grounding.remembered],
    }


def _target(target: Target) -> dict[str, Any]:
    return {
        "query": target.query,
        "query_index": target.query_index,
        "found": target.found,
        "score": _number(target.score),
        "threshold": _number(target.threshold),
        "id": None if target.track is None else target.track.id,
        "pixel": _numbers(target.pixel),
        "point": _numbers(target.point),
        "covariance": _numbers(target.covariance),
        "reason": target.reason,
        "track": None if target.track is None else _track(target.track),
        "box": None if target.box is None else _box(target.box),
        "ray": _numbers(target.ray),
    }


def _track(track: Track) -> dict[str, Any]:
    return {
        "id": track.id,
        "position": _numbers(track.position),
        "covariance": _numbers(track.covariance),
        "since": track.since,
        "seen": track.seen,
        "hits": track.hits,
    }


def _remembered(track: Track, stamp_ns: int) -> dict[str, Any]:
    return {
        "query": track.query,
        "query_index": track.query_index,
        "id": track.id,
        "score": _number(track.score),
        "pixel": _numbers(track.pixel),
        "position": _numbers(track.position),
        "covariance": _numbers(track.covariance),
        "since": track.since,
        "seen": track.seen,
        "age": (stamp_ns - track.seen) / NS,
    }


def _box(box: Box) -> dict[str, Any] | None:
    """``rotation`` as a quaternion (x, y, z, w)."""
    if not all(np.isfinite(each).all() for each in (box.centre, box.size, box.rotation)):
        return None
    return {"centre": _numbers(box.centre), "size": _numbers(box.size), "rotation": list(quaternion(box.rotation))}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _numbers(values: npt.ArrayLike | None) -> Any:
    """Nested lists; a vector that is not finite in every place says nothing."""
    if values is None:
        return None
    numbers = np.asarray(values, np.float64)
    finite = all(map(math.isfinite, numbers.ravel().tolist()))  # np.isfinite takes three times as long for so few
    return numbers.tolist() if finite else None

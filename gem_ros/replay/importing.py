"""Annotated images and a recording -> its truth: whose stamp is whose, and how far away each thing is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from gem_ros.data import Observation
from gem_ros.errors import BagError
from gem_ros.geometry.camera import back_project
from gem_ros.geometry.registration import register
from gem_ros.replay import bag
from gem_ros.replay.importers import Annotated, Annotation
from gem_ros.replay.masks import Mask, Runs, bounds
from gem_ros.replay.observations import CameraTopics, read_observations
from gem_ros.replay.storage import Tell
from gem_ros.replay.truth import Point, Sighting, Truth

CLOSE = 1000  # ns: names are often rounded to microseconds


def import_truth(
    images: Sequence[Annotated],
    path: Path,
    topics: CameraTopics,
    absent: Iterable[str] = (),
    *,
    by_order: bool = False,
    problems: Tell,
    progress: Callable[[float], None] = lambda share: None,
) -> Truth:
    """What the ``images`` show, at the stamps of the recording's images that they are.

    Each is the one whose stamp its file is named by, in ns or in s and ns, or with ``by_order`` as many as there are
    one after the other. The surface of what has a mask is the median of the depth's points in it, where the
    recording has depth. ``problems`` gets a line for each kind of thing that is left out; :class:`BagError` where
    nothing fits.
    """
    stamps = sorted({record.stamp for record in bag.messages(path, {topics.image}, problems)})
    chosen = in_order(images, stamps) if by_order else by_name(images, stamps, problems)
    frames: dict[int, tuple[Sighting, ...]] = {}
    for observation in read_observations(path, topics, problems=problems):
        if observation.stamp in chosen:
            frames[observation.stamp] = sightings(chosen[observation.stamp], observation)
            progress(len(frames) / len(chosen))
    queries = dict.fromkeys(each.query for seen in frames.values() for each in seen)
    return Truth(tuple(queries), dict(sorted(frames.items())), tuple(dict.fromkeys(absent)))


def by_name(images: Sequence[Annotated], stamps: Sequence[int], problems: Tell) -> dict[int, Annotated]:
    """The image of each of the ascending ``stamps`` (ns) that is named by it."""
    found: dict[int, Annotated] = {}
    strange = []
    for each in images:
        stamp = next((known for known in map(_nearest(stamps), _stamps(each.name)) if known is not None), None)
        if stamp is None:
            strange.append(each.name)
        elif stamp in found:
            raise BagError(f"{each.name}: expected one image for each stamp, got {found[stamp].name} for {stamp}, too")
        else:
            found[stamp] = each
    if not found:
        example = f"{stamps[0]}.png" if stamps else "none in the recording"
        got = f"{images[0].name}" if images else "no images"
        raise BagError(f"images: expected names that are stamps, like {example}, got {got}; or ask for --by-order")
    if strange:
        problems(f"images left out: {len(strange)} whose names are no stamps of the recording, the first {strange[0]}")
    return found


def _stamps(name: str) -> list[int]:
    """What a file's name may mean: ns, or s and a fraction, or s and ns."""
    match = re.search(r"(\d+)(?:[._](\d{1,9}))?$", Path(name).stem)
    if match is None:
        return []
    whole, rest = match.groups()
    if rest is None:
        return [int(whole)]
    return [int(whole) * bag.NS + int(rest.ljust(9, "0")), int(whole) * bag.NS + int(rest), int(rest)]


def _nearest(stamps: Sequence[int]) -> Callable[[int], int | None]:
    ordered = np.array(stamps, np.int64)

    def find(stamp: int) -> int | None:
        at = int(np.searchsorted(ordered, stamp)) if stamp < 2**63 else len(ordered)
        near = [each for each in stamps[max(at - 1, 0) : at + 1] if abs(each - stamp) < CLOSE]
        return min(near, key=lambda each: abs(each - stamp), default=None)

    return find


def in_order(images: Sequence[Annotated], stamps: Sequence[int]) -> dict[int, Annotated]:
    """The images one after the other."""
    if len(images) != len(stamps) or not images:
        raise BagError(f"--by-order: expected as many images as the recording has, {len(stamps)}, got {len(images)}")
    return dict(zip(stamps, images, strict=True))


def sightings(image: Annotated, observation: Observation) -> tuple[Sighting, ...]:
    """What is to be seen in one image; an empty mask is nothing."""
    size = observation.image.shape[:2]
    if image.size != size:
        expected, got = (f"{columns}x{rows}" for rows, columns in (size, image.size))
        raise BagError(f"{image.name}: expected the size of the recording's images, {expected} px, got {got}")
    found = (_sighting(each, observation) for each in image.read())
    return tuple(each for each in found if each is not None)


def _sighting(each: Annotation, observation: Observation) -> Sighting | None:
    rows, columns = observation.image.shape[:2]
    if each.mask is None:
        u0, v0, u1, v1 = each.bbox or (0, 0, 0, 0)
        u0, u1, v0, v1 = max(u0, 0.0), min(u1, columns), max(v0, 0.0), min(v1, rows)
        share = max(u1 - u0, 0.0) * max(v1 - v0, 0.0) / (rows * columns)
        return Sighting(each.id, each.query, share, (u0, v0, u1, v1)) if share else None
    if not each.mask.any():
        return None
    place = surface(each.mask, observation)
    share = float(each.mask.mean())
    return Sighting(each.id, each.query, share, bounds(each.mask), Runs.of(each.mask), surface=place)


def surface(mask: Mask, observation: Observation) -> Point | None:
    """Median of the visible points in ``mask``, (3,) m in the camera optical frame; None without depth there."""
    rows, columns = mask.shape
    fitting = register((rows, columns), observation.depth, observation.camera, observation.missing)
    if fitting.depth is None or fitting.camera is None:
        return None
    v, u = np.nonzero(mask & np.isfinite(fitting.depth))
    if not v.size:
        return None
    points = back_project(fitting.camera, np.stack([u, v], axis=1).astype(np.float64), fitting.depth[v, u])
    return np.asarray(np.median(points, axis=0).round(4), np.float64)

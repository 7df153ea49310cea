"""The same thing seen again keeps its id, and what was found stays found until its score says otherwise."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from gem_ros.config import Config
from gem_ros.data import Grounding, Query, Target, Track
from gem_ros.geometry.association import Reach, Sighting, Thing, associate
from gem_ros.geometry.filter import fuse, pixel_of, point_of, predict

# How far a thing may wander in one second (random walk, so √t), which sets what counts as the same place.
# In a fixed frame it stays, or is moved by hand: this follows half a metre per second at 10 Hz (a step of 5 cm, a
# lag of 12 cm, for a thing of 10 cm), takes in a robot's drift, and tells two things 1 m apart after 30 s.
DRIFT_FIXED = 0.05  # m/√s
# In the camera's frame a thing moves with every turn of the camera: 0.5 rad/s at 2 m are 1 m/s, 10 cm per image at 10
# Hz; this follows three times that.
DRIFT_CAMERA = 0.3  # m/√s
# The same turn moves a pixel by 0.45 of the width of a usual lens (63 degrees) per second; this follows twice that.
DRIFT_PIXEL = 0.1  # image widths/√s

# Without a fixed frame, or by its pixel alone, a thing out of view is looked for this long: by then a turning camera
# has moved its picture by half an image, where any other thing of that name may be.
REACQUIRE = 1_000_000_000  # ns
# Two images in a row may be this far apart, and a thing in both is not out of view between them: a large model on a
# CPU takes seconds per image.
BETWEEN_IMAGES = 5_000_000_000  # ns
# Stamps that go back by this much are images out of order; by more, another run of a bag, or a clock that was set.
BACKWARDS = 1_000_000_000  # ns
MAX_TRACKS = 256  # five times the default 16 queries of 3 targets, all of them in view


class Tracker:
    """Remembers what was seen, for one thread; ids are 1, 2, … and never come again.

    :meth:`asked` before each image gives the queries to look for, :meth:`update` after it makes tracks of what was
    found. Points are in ``config.target_frame`` where it is set, else in the camera's frame.
    """

    def __init__(self) -> None:
        self._ids = itertools.count(1)
        self._things: list[Thing] = []
        self._now = 0  # newest stamp, ns

    def reset(self) -> None:
        """Forget all tracks, but not which ids were given."""
        self._things = []

    def asked(self, queries: tuple[Query, ...], config: Config) -> tuple[Query, ...]:
        """``queries`` with the threshold lowered to that for leaving, where the last image found something."""
        held = {(thing.query_index, thing.query) for thing in self._things if thing.held}
        return tuple(
            dataclasses.replace(query, threshold=_leave(query, config)) if (index, query.text) in held else query
            for index, query in enumerate(queries)
        )

    def update(self, grounding: Grounding, stamp: int, queries: Sequence[Query], config: Config) -> Grounding:
        """``grounding`` (of what :meth:`asked` gave) with tracks, for the image of ``stamp`` ns.

        ``queries`` are as the user asked them. A target is found if its score reaches the query's threshold, or the
        lower one for leaving where it is the sighting of something held; until ``confirm_frames`` images showed it
        it is ``unconfirmed``. Sorted by query, then found first, then by score. The same stamp again is the same
        image: nothing is counted or fused twice.
        """
        self._advance(stamp, queries, grounding.image_size[1], config)
        sightings, lost = _sightings(grounding, queries, config)
        matched = associate(self._things, sightings, [self._reach(thing, config) for thing in self._things])
        pairs = [(thing, sightings[index]) for index, thing in matched.items()]
        _fuse([(thing, sighting) for thing, sighting in pairs if thing.seen != stamp])
        targets, present = lost, []
        for index, sighting in enumerate(sightings):
            thing = matched.get(index)
            if not sighting.counts_for(thing):
                continue
            threshold = sighting.threshold(thing)
            thing = self._new(sighting, stamp) if thing is None else _see(thing, sighting, stamp)
            present.append(thing)
            thing.held = thing.hits >= config.confirm_frames
            told = dataclasses.replace(sighting.target, found=thing.held, threshold=threshold, track=_track(thing))
            targets.append(told if thing.held else dataclasses.replace(told, reason="unconfirmed"))
        self._keep(present, config)
        targets += _without_any(grounding, {target.query_index for target in targets}, queries, config)
        targets.sort(key=lambda target: (target.query_index, not target.found, -target.score))
        remembered = [each for each in self._things if each.seen != stamp and each.hits >= config.confirm_frames]
        tracks = tuple(map(_track, remembered))
        return dataclasses.replace(grounding, queries=tuple(queries), targets=tuple(targets), remembered=tracks)

    def _advance(self, stamp: int, queries: Sequence[Query], width: int, config: Config) -> None:
        """Predict all tracks to ``stamp``; forget those of other queries, and all if time jumped back."""
        if self._now - stamp > BACKWARDS:
            self._things, self._now = [], stamp
        seconds = max(stamp - self._now, 0) / 1e9
        self._now = max(stamp, self._now)
        asked = {(index, query.text) for index, query in enumerate(queries)}
        self._things = [thing for thing in self._things if (thing.query_index, thing.query) in asked]
        for thing in self._things:
            thing.image = thing.image.predicted(DRIFT_PIXEL * width, seconds)
            if thing.point is not None:
                drift = DRIFT_FIXED if config.target_frame else DRIFT_CAMERA
                thing.point = predict(thing.point, drift, seconds)

    def _reach(self, thing: Thing, config: Config) -> Reach:
        age, memory = self._now - thing.seen, _memory(config)
        near = age <= (BETWEEN_IMAGES if thing.in_view else min(REACQUIRE, memory))
        return Reach(point=near or (bool(config.target_frame) and age <= memory), pixel=near)

    def _new(self, sighting: Sighting, stamp: int) -> Thing:
        target, place = sighting.target, (sighting.pixel, sighting.image, sighting.point)
        return Thing(next(self._ids), target.query, target.query_index, stamp, stamp, 1, target.score, *place)

    def _keep(self, present: list[Thing], config: Config) -> None:
        """Mark what was in this image, and forget the too old and the too many; newest first from now on."""
        for thing in self._things:
            thing.in_view = False
        for thing in present:
            thing.in_view = True
        away = [thing for thing in self._things if not thing.in_view and self._now - thing.seen <= _memory(config)]
        for thing in away:
            thing.held = False
        away.sort(key=lambda thing: (-thing.seen, thing.id))
        self._things = [*present, *away][:MAX_TRACKS]


def _fuse(pairs: Sequence[tuple[Thing, Sighting]]) -> None:
    """Bring the sightings' places into the things'."""
    for thing, sighting in pairs:  # what has come back is anywhere in the image: where it was there says nothing
        thing.image = thing.image.fused(sighting.image) if thing.in_view else sighting.image
        if thing.point and sighting.point:
            thing.point = fuse(thing.point, sighting.point)


def _see(thing: Thing, sighting: Sighting, stamp: int) -> Thing:
    """``thing`` after ``sighting``, whose place it has already; the same image does not count twice."""
    thing.hits += thing.seen != stamp
    thing.since, thing.seen = min(thing.since, stamp), stamp
    thing.score, thing.pixel, thing.point = sighting.target.score, sighting.pixel, thing.point or sighting.point
    return thing


def _track(thing: Thing) -> Track:
    position, covariance = (None, None) if thing.point is None else (thing.point.mean, thing.point.covariance)
    sighting = thing.since, thing.seen, thing.hits, thing.score, thing.pixel
    return Track(thing.id, thing.query, thing.query_index, *sighting, position, covariance)


def _sightings(grounding: Grounding, queries: Sequence[Query], config: Config) -> tuple[list[Sighting], list[Target]]:
    """What was found, in an order that does not depend on that of the targets; and found targets without a pixel.

    The latter are nowhere and cannot be tracked; they are passed on as they are, if they reach the threshold.
    """
    sightings, nowhere = [], []
    for target in grounding.targets:
        if not target.found:
            continue
        query, image = queries[target.query_index], pixel_of(target, grounding.image_size[1])
        enter, leave = _enter(query, config), _leave(query, config)
        if image is not None and target.pixel is not None:
            sightings.append(Sighting(target, target.pixel, image, point_of(target), enter, leave))
        elif target.score >= enter:
            nowhere.append(dataclasses.replace(target, threshold=enter))
    sightings.sort(key=lambda each: (each.target.query_index, -each.target.score, each.pixel))
    return sightings, nowhere


def _without_any(grounding: Grounding, answered: set[int], queries: Sequence[Query], config: Config) -> list[Target]:
    """One target for each query that has none left: absent, or for another reason if there was one before."""
    targets = []
    for index, query in enumerate(queries):
        if index not in answered:
            given = [target for target in grounding.targets if target.query_index == index]
            best, enter = max(given, key=lambda target: target.score), _enter(query, config)
            reason = "absent" if best.found else best.reason
            targets.append(Target(query.text, index, False, best.score, enter, reason))
    return targets


def _enter(query: Query, config: Config) -> float:
    return config.presence_threshold if query.threshold is None else query.threshold


def _leave(query: Query, config: Config) -> float:
    return max(_enter(query, config) - config.presence_hysteresis, 0.0)


def _memory(config: Config) -> int:
    return round(config.memory_seconds * 1e9)

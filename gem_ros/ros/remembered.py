"""What was seen a moment ago, for whoever points at a pixel of it."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from gem_ros.errors import QueryError
from gem_ros.ros.views import View

KEPT = 8  # views of each camera beside the newest
APART = 100_000_000  # ns that there are between them, so that they reach back far enough to be pointed at
NEAR = 100_000_000  # ns that a view's stamp may be from the one that is meant
NO_PIXELS = np.zeros((0, 0, 3), np.uint8)


class Spot(NamedTuple):
    """What somebody points at: a ``pixel`` (u, v) of the image of ``stamp`` (ns), of the camera of ``frame_id``."""

    frame_id: str
    stamp: int
    pixel: tuple[float, float]


class Remembered:
    """Each camera's last views: their features, or the picture where nothing was asked of it. Thread-safe."""

    def __init__(self, cameras: Iterable[str]) -> None:
        self._lock = threading.Lock()
        self._views: dict[str, list[View]] = {name: [] for name in cameras}

    def keep(self, camera: str, view: View) -> None:
        """The newest one, or the same with features."""
        pixels = view.rgb if view.features is None else NO_PIXELS
        kept = dataclasses.replace(view, rgb=pixels, partners=None, pose=None)
        with self._lock:
            views = self._views[camera]
            again = bool(views) and views[-1].stamp == view.stamp
            if again or (len(views) > 1 and abs(views[-1].stamp - views[-2].stamp) < APART):
                views.pop()
            views.append(kept)
            del views[: -KEPT - 1]

    def forget(self) -> None:
        """Time jumped back."""
        with self._lock:
            for views in self._views.values():
                views.clear()

    def camera(self, frame_id: str) -> str:
        """Which one is meant: the only one, or the one of this name, or whose images have this ``frame_id``."""
        names = list(self._views)
        if len(names) == 1 or frame_id in names:
            return frame_id if len(names) > 1 else names[0]
        with self._lock:
            found = [name for name, views in self._views.items() if views and views[-1].frame_id == frame_id]
        if len(found) == 1:
            return found[0]
        raise QueryError(f"expected a frame_id that is a camera ({', '.join(names)}) or its images', got {frame_id!r}")

    def find(self, camera: str, stamp: int) -> View:
        """The view nearest to ``stamp`` (ns); the newest for 0, and for a stamp that is later than it has."""
        with self._lock:
            views = list(self._views[camera])
        if not views:
            raise QueryError("expected an image before it, got none yet")
        if stamp == 0 or stamp >= views[-1].stamp:
            return views[-1]
        nearest = min(views, key=lambda view: abs(view.stamp - stamp))
        if (away := abs(nearest.stamp - stamp)) > NEAR:
            raise QueryError(
                f"expected the stamp of an image that is still kept, got one {away / 1e9:.1f} s from any; "
                "send it sooner, or the stamp 0 for the newest image"
            )
        return nearest

"""The last few messages of a topic, found again by their stamp."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from gem_ros.errors import GeometryError

T = TypeVar("T")
CAPACITY = 30  # a second of a fast camera: partners are looked up after inference
JUMP_NS = 1_000_000_000  # stamps that fall back further belong to a clock that was reset or a bag that began anew


class StampBuffer(Generic[T]):
    """Items by stamp (ns), at most ``capacity``; one thread adds, another looks up."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._items: deque[tuple[int, T]] = deque(maxlen=capacity)
        self._changed = threading.Condition()
        self._closed = False

    def add(self, stamp: int, item: T) -> None:
        """Keep ``item``, the oldest goes; a clock that jumps back empties the buffer first."""
        with self._changed:
            self._rewind(stamp)
            self._items.append((stamp, item))
            self._changed.notify_all()

    def rewind(self, stamp: int) -> None:
        """Time jumped back to ``stamp``: what is kept of the time before goes, what is new already stays."""
        with self._changed:
            self._rewind(stamp)

    def find(self, stamp: int, slop: float, wait: float = 0.0) -> T | None:
        """The item nearest to ``stamp`` and at most ``slop`` s away, or None.

        While nothing as new as ``stamp`` is here, the right one may still come: up to ``wait`` s are given to it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._reached(stamp), wait)
            nearest = min(self._items, key=lambda each: abs(each[0] - stamp), default=None)
            return nearest[1] if nearest and abs(nearest[0] - stamp) <= slop * 1e9 else None

    def away(self, stamp: int) -> int | None:
        """ns from ``stamp`` to the nearest item, negative where that is older; None where nothing is kept."""
        with self._changed:
            return min((each[0] - stamp for each in self._items), key=abs, default=None)

    def ordered(self, stamp: int, wait: float = 0.0) -> list[tuple[int, T]]:
        """Everything kept, by stamp, as soon as something as new as ``stamp`` is here or ``wait`` s are over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._reached(stamp), wait)
            return sorted(self._items, key=lambda each: each[0])

    def close(self) -> None:
        """Forget everything, and let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def _rewind(self, stamp: int) -> None:
        if self._items and stamp < self._items[-1][0] - JUMP_NS:
            self._items.clear()

    def reached(self, stamp: int) -> bool:
        """Whether something as new as ``stamp`` is here: what is nearest to it has come, then."""
        with self._changed:
            return self._reached(stamp)

    def _reached(self, stamp: int) -> bool:
        return any(each[0] >= stamp for each in reversed(self._items))  # the newest is mostly the last


def check_stamp(stamp: int, what: str = "image") -> None:
    """Zero is what a driver sends that sets no stamp, and what tf2 reads as "the latest"."""
    if stamp <= 0:
        raise GeometryError(f"{what}: expected the stamp of its moment, got {stamp}; set it in the driver")

"""One slot per camera in front of a thread: what is newest wins, and a new question is never queued behind it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Work(Generic[T]):
    """A new ``item`` of a camera; or None: answer anew on its last one. ``since`` is when it came (monotonic s)."""

    camera: str
    item: T | None
    since: float


class Mailbox(Generic[T]):
    """Holds an item per camera and a nudge for all; ``dropped`` counts the items that a newer one replaced."""

    def __init__(self, cameras: Iterable[str]) -> None:
        self._changed = threading.Condition()
        self._items: dict[str, Work[T]] = {}
        self._nudge: float | None = None
        self._closed = False
        self.dropped = dict.fromkeys(cameras, 0)

    @property
    def empty(self) -> bool:
        """Whether there is no work."""
        return not self._items and self._nudge is None

    def put(self, camera: str, item: T, now: float) -> None:
        """Leave ``item`` in the slot, in place of one that waits there."""
        with self._changed:
            self.dropped[camera] += camera in self._items
            self._items[camera] = Work(camera, item, now)
            self._changed.notify_all()

    def hand(self, camera: str, item: T, since: float) -> None:
        """Wait until the slot is free, and leave ``item`` there: nothing is dropped. :meth:`wake` who waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or camera not in self._items)
            self._items[camera] = Work(camera, item, since)

    def wake(self) -> None:
        """Wake who waits for what was handed over."""
        with self._changed:
            self._changed.notify_all()

    def nudge(self, now: float) -> None:
        """Ask for new answers on the last items taken; several at once count as the first."""
        with self._changed:
            self._nudge = now if self._nudge is None else self._nudge
            self._changed.notify_all()

    def wait(self) -> bool:
        """Wait for work; False when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self.empty)
            return not self._closed

    def take(self) -> list[Work[T]]:
        """All the work there is, at most one for each camera; where a new item is, the nudge is answered with it."""
        with self._changed:
            items, nudge, self._items, self._nudge = self._items, self._nudge, {}, None
            self._changed.notify_all()  # slots are free
            works = list(items.values())
            if nudge is not None:
                works += [Work(camera, None, nudge) for camera in self.dropped if camera not in items]
            return works

    def close(self) -> None:
        """Wake everybody for good; what waits is forgotten."""
        with self._changed:
            self._closed = True
            self._items, self._nudge = {}, None
            self._changed.notify_all()


class Allowance:
    """Admits ``burst`` at once, and after that one per second."""

    def __init__(self, burst: int) -> None:
        self._most = self._left = float(burst)
        self._last = 0.0

    def admits(self, now: float) -> bool:
        """Whether there is anything left at ``now`` (s) for one more."""
        self._left, self._last = min(self._most, self._left + now - self._last), now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Pace:
    """Admits at most ``rate`` per second, keeping the average where arrivals jitter."""

    def __init__(self) -> None:
        self._due = 0.0

    def admits(self, now: float, rate: float) -> bool:
        """Whether something that arrives at ``now`` (s) is on time; a rate of 0 admits everything."""
        if rate <= 0:
            return True
        period = 1 / rate
        if now < self._due - 0.01 * period:
            return False
        # late by less than a period: keep the beat; later: start a new one
        self._due = self._due + period if now < self._due + period else now + period
        return True

"""One slot in front of the worker: the newest image wins, and a new question is never queued behind it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Work(Generic[T]):
    """A new ``item``; or None: answer anew on the last one. ``since`` is when it came (monotonic s)."""

    item: T | None
    since: float


class Mailbox(Generic[T]):
    """Holds one item and one nudge; ``dropped`` counts the items that a newer one replaced."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: Work[T] | None = None
        self._nudge: Work[T] | None = None
        self._closed = False
        self.dropped = 0

    def put(self, item: T, now: float) -> None:
        """Leave ``item`` in the slot, in place of one that waits there."""
        with self._changed:
            self.dropped += self._item is not None
            self._item = Work(item, now)
            self._changed.notify()

    def nudge(self, now: float) -> None:
        """Ask for a new answer on the last item taken; several at once count as the first."""
        with self._changed:
            self._nudge = self._nudge or Work(None, now)
            self._changed.notify()

    def take(self) -> Work[T] | None:
        """Wait for work, a nudge before an item because it is answered faster; None when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._nudge or self._item)
            if self._closed:
                return None
            if self._nudge:
                nudge, self._nudge = self._nudge, None
                return nudge
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """Wake the taker for good; what waits is forgotten."""
        with self._changed:
            self._closed = True
            self._item = self._nudge = None
            self._changed.notify_all()


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

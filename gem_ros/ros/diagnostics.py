"""How the node is doing: counted as it happens, told once a second."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from gem_ros.data import Grounding

WINDOW = 5.0  # s that rates look back
LATENCIES = 200  # results that the latency percentiles look back
REPEAT = 5.0  # s before the same complaint is logged again
REMEMBERED = 100  # complaints told apart
SILENCE = 2.0  # s without an image that count as a lost camera


@dataclass(frozen=True)
class State:
    """A DiagnosticStatus' level and message."""

    level: bytes
    summary: str


class Rate:
    """Events per second over the last :data:`WINDOW`."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=1000)

    def add(self, now: float) -> None:
        """An event at ``now`` (monotonic s)."""
        self._times.append(now)

    def per_second(self, now: float) -> float:
        """Between the first and the last event of the window; 0 for fewer than two."""
        times = [each for each in self._times if each > now - WINDOW]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 and times[-1] > times[0] else 0.0

    def age(self, now: float) -> float | None:
        """Seconds since the last event, None if there was none."""
        return now - self._times[-1] if self._times else None


class Health:
    """Counts what the worker does (any thread) and sums it up as values for a DiagnosticStatus.

    ``log`` gets each problem once per :data:`REPEAT`, however often it occurs.
    """

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._images, self._results = Rate(), Rate()
        self._latencies: deque[float] = deque(maxlen=LATENCIES)
        self._reasons: Counter[str] = Counter()
        self._problems = 0
        self._logged: dict[str, float] = {}
        self._started = time.monotonic()
        self._last_problem: tuple[float, str] | None = None

    def image(self, now: float) -> None:
        """An image came at ``now`` (monotonic s)."""
        with self._lock:
            self._images.add(now)

    def result(self, now: float, latency: float, grounding: Grounding) -> None:
        """A result was published, ``latency`` s after what it answers."""
        with self._lock:
            self._results.add(now)
            self._latencies.append(latency)
            self._reasons.update(str(target.reason) for target in grounding.targets)

    def problem(self, line: str) -> None:
        """Something could not be used; the first line says what."""
        now, first = time.monotonic(), line.splitlines()[0]
        what = first.partition(", got ")[0]  # numbers differ from image to image, the problem is the same
        with self._lock:
            self._last_problem = now, first
            self._problems += 1
            quiet = now - self._logged.get(what, -REPEAT) < REPEAT
            if not quiet:
                if len(self._logged) >= REMEMBERED:
                    self._logged.clear()
                self._logged[what] = now
        if not quiet:
            self._log(line)

    def state(self, now: float) -> State:
        """One line for all: a problem of the last seconds, a silent camera, or that all is well."""
        with self._lock:
            silence = self._images.age(now)
            if self._last_problem and now - self._last_problem[0] < WINDOW:
                return State(DiagnosticStatus.WARN, self._last_problem[1])
            if silence is None and now - self._started > SILENCE:
                return State(DiagnosticStatus.WARN, "no image yet")
            if silence is not None and silence > SILENCE:
                return State(DiagnosticStatus.WARN, f"no image for {silence:.0f} s")
            return State(DiagnosticStatus.OK, "running")

    def values(self, now: float) -> dict[str, str]:
        """Rates in Hz, latency in ms, counts of reasons and problems."""
        with self._lock:
            latencies = np.asarray(self._latencies or [np.nan]) * 1e3
            return {
                "image_rate_hz": f"{self._images.per_second(now):.1f}",
                "result_rate_hz": f"{self._results.per_second(now):.1f}",
                "latency_p50_ms": f"{np.percentile(latencies, 50):.1f}",
                "latency_p95_ms": f"{np.percentile(latencies, 95):.1f}",
                "problems": str(self._problems),
                **{f"reason_{name}": str(count) for name, count in sorted(self._reasons.items())},
            }


def diagnostic_status(name: str, device: str, state: State, values: Mapping[str, str]) -> DiagnosticStatus:
    """One status as ``/diagnostics`` wants it."""
    status = DiagnosticStatus(level=state.level, name=name, message=state.summary, hardware_id=device)
    status.values = [KeyValue(key=key, value=value) for key, value in values.items()]
    return status

"""How a camera's images fare: counted by any thread as it happens; :mod:`gem_ros.ros.verdict` says what it means."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from gem_ros.ros.partners import Partners
from gem_ros.ros.views import Answer

WINDOW = 5.0  # s that rates, latencies and reasons look back
RATED = 20  # events that a rate looks back at most: it tells a change within a second of a fast camera
KEPT = 1000  # results that are looked back on at most
FEWEST = 5  # results that percentiles need, however long ago
REPEAT = 5.0  # s before the same complaint is logged again
REMEMBERED = 100  # complaints told apart
GOOD = 2  # images answered without it, and a problem is over
LONGEST = 500  # characters of a problem: what comes in may hold any text
FORGOTTEN = 10.0  # s without it, and it is over, too: where nobody listens, nothing is answered
NAN = float("nan")


@dataclass
class Problem:
    """What could not be used: when last (monotonic s), whether a status has told it, images answered since."""

    line: str
    at: float
    told: bool = False
    good: int = 0


@dataclass(frozen=True)
class Report:
    """A camera at one moment; s and Hz, NaN where nothing is known.

    ``silence`` is since the last image, depth and camera_info (infinite: none came), ``waiting`` how long images have
    come to nothing, ``failures`` how many of them failed since the last result. ``latency`` and ``inference`` are
    (p50, p95); ``stamp_age`` is from the last answered image's stamp to its result by the node's clock. ``reasons``
    are all since the start, ``problems`` those that are not over, the one of now and of these the newest first;
    ``asked`` are the queries of the last answer, ``answers`` of the last :data:`WINDOW` give each query its reason.
    """

    up: float
    silence: dict[str, float]
    rates: dict[str, float]
    waiting: float
    failures: int
    latency: tuple[float, float]
    inference: tuple[float, float]
    stamp_age: float
    depth_valid: float
    problems: dict[str, Problem]
    problem_count: int
    reasons: Counter[str]
    asked: tuple[str, ...]
    answers: tuple[dict[str, str], ...]

    @cached_property
    def by_query(self) -> list[tuple[str, Counter[str]]]:
        """The reasons of the last :data:`WINDOW` for what is asked now."""
        alike = [each for each in self.answers if each.keys() == set(self.asked)]
        return [(query, Counter(each[query] for each in alike)) for query in self.asked]


class Rate:
    """Events per second: the last :data:`RATED` of the last :data:`WINDOW`."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=RATED)

    def add(self, now: float) -> None:
        """An event at ``now`` (monotonic s)."""
        self._times.append(now)

    def per_second(self, now: float) -> float:
        """Between the first and the last event; less where the next one is overdue, 0 for fewer than two."""
        times = [each for each in self._times if each > now - WINDOW]
        if len(times) < 2 or times[-1] <= times[0]:
            return 0.0
        rate = (len(times) - 1) / (times[-1] - times[0])
        overdue = now - times[-1] > 2 / rate
        return 1 / (now - times[-1]) if overdue else rate

    def age(self, now: float) -> float:
        """Seconds since the last event, infinite if there was none."""
        return now - self._times[-1] if self._times else float("inf")


class Health:
    """Counts for one camera. ``log`` gets each complaint once per :data:`REPEAT`, however often it occurs.

    ``clock`` gives monotonic s, ``ros_clock`` the node's time in ns.
    """

    def __init__(
        self,
        log: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        ros_clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._log, self._clock, self._ros_clock = log, clock, ros_clock
        self._lock = threading.Lock()
        self._reasons: Counter[str] = Counter()
        self._problem_count = 0
        self._logged: dict[str, float] = {}
        self.open()

    def open(self) -> None:
        """The topics are open from now on; only totals are kept of before."""
        with self._lock:
            self._opened = self._clock()
            self._rates = {name: Rate() for name in ("image", "result", "depth", "camera_info")}
            self._times: deque[tuple[float, float, float]] = deque(maxlen=KEPT)  # (when, latency, inference)
            self._answers: deque[tuple[float, dict[str, str]]] = deque(maxlen=KEPT)  # (when, query -> reason)
            self._partners: deque[Partners | None] = deque(maxlen=2)  # of the last images answered on
            self._problems: dict[str, Problem] = {}
            self._waiting: float | None = None
            self._failures, self._stamp_age = 0, NAN
            self._seen: tuple[int, float] | None = None  # stamp and arrival of the last image answered on

    def image(self, now: float) -> None:
        """An image came at ``now`` (monotonic s)."""
        with self._lock:
            self._rates["image"].add(now)
            if self._waiting is None:
                self._waiting = now

    def heard(self, name: str) -> None:
        """A message of ``depth`` or ``camera_info`` came."""
        with self._lock:
            self._rates[name].add(self._clock())

    def result(self, answer: Answer) -> None:
        """A result was published."""
        view, targets = answer.view, answer.grounding.targets
        first = {target.query: str(target.reason) for target in reversed(targets)}  # each query's best comes first
        with self._lock:
            self._rates["result"].add(answer.done)
            self._times.append((answer.done, answer.done - answer.due, view.inference))
            self._answers.append((answer.done, dict(reversed(first.items()))))
            for kept in (self._times, self._answers):  # what is not looked back on any more is not gone through again
                while len(kept) > FEWEST and kept[0][0] <= answer.done - WINDOW:
                    kept.popleft()
            self._reasons.update(str(target.reason) for target in targets)
            self._failures, self._waiting = 0, None
            if self._seen == (view.stamp, view.arrival):
                return  # a new question on an old image says nothing about images
            self._seen = view.stamp, view.arrival
            self._partners.append(view.partners)
            self._stamp_age = (self._ros_clock() - view.stamp) / 1e9
            for problem in self._problems.values():
                problem.good += problem.at <= answer.began

    def problem(self, line: str, *, lost: bool = False) -> None:
        """Something could not be used; the first line says what. ``lost``: it cost an image its result."""
        now, first = self._clock(), (line.splitlines() or [""])[0]
        rest = line[len(first) :]
        first = first if len(first) <= LONGEST else f"{first[:LONGEST]}…"
        what = kind(first)
        with self._lock:
            self._problem_count += 1
            before = self._problems.get(what)
            if before is not None or len(self._problems) < REMEMBERED:
                self._problems[what] = Problem(first, now, before is not None and before.told)
            if lost:
                self._failures, self._waiting = self._failures + 1, None
        self.warn(what, first + rest)

    def warn(self, what: str, line: str) -> None:
        """Log ``line`` unless ``what`` was logged just now."""
        now = self._clock()
        with self._lock:
            if now - self._logged.get(what, -REPEAT) < REPEAT:
                return
            if len(self._logged) >= REMEMBERED:
                self._logged.clear()
            self._logged[what] = now
        self._log(line)

    def told(self) -> None:
        """What :meth:`report` said last has been published."""
        with self._lock:
            for problem in self._problems.values():
                problem.told = True

    def report(self, awaited: bool = True) -> Report:
        """Everything at this moment. ``awaited`` says whether results are: else nobody waits for any."""
        now = self._clock()
        with self._lock:
            if not awaited:
                self._waiting = None
            self._problems = {what: each for what, each in self._problems.items() if not _over(each, now)}
            newest_first = list(self._problems.items())[::-1]
            latency, inference = self._percentiles(now)
            depths = [each.depth[::4, ::4] for each in self._partners if each is not None and each.depth is not None]
            return Report(
                up=now - self._opened,
                silence={name: rate.age(now) for name, rate in self._rates.items()},
                rates={name: rate.per_second(now) for name, rate in self._rates.items()},
                waiting=0.0 if self._waiting is None else now - self._waiting,
                failures=self._failures,
                latency=latency,
                inference=inference,
                stamp_age=self._stamp_age,
                depth_valid=max((float(np.isfinite(each).mean()) for each in depths), default=NAN),
                problems=dict(sorted(newest_first, key=lambda each: each[1].good)),
                problem_count=self._problem_count,
                reasons=self._reasons.copy(),
                asked=tuple(self._answers[-1][1]) if self._answers else (),
                answers=tuple(answer for when, answer in self._answers if when > now - WINDOW),
            )

    def _percentiles(self, now: float) -> tuple[tuple[float, float], tuple[float, float]]:
        recent = [each for each in self._times if each[0] > now - WINDOW]
        if len(recent) < FEWEST:
            recent = list(islice(reversed(self._times), FEWEST))
        if len(recent) < FEWEST:
            return (NAN, NAN), (NAN, NAN)
        low, high = (len(recent) - 1) // 2, math.ceil(0.95 * len(recent)) - 1  # nearest ranks
        latency, inference = (sorted(each[of] for each in recent) for of in (1, 2))
        return (latency[low], latency[high]), (inference[low], inference[high])


def kind(line: str) -> str:
    """What a problem is about: numbers differ from image to image, the problem is the same."""
    return line.partition(", got ")[0]


def _over(problem: Problem, now: float) -> bool:
    return problem.told and (problem.good >= GOOD or now - problem.at > FORGOTTEN)

"""Hours of the real node: does it stay as it is? ``python -m gem_ros.benchmarks.soak MINUTES``.

The sample recording over and over, a new question every two seconds, and everything that is drawn is listened to.
Every sample says what the process uses of the machine and how it answered since the last one.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from gem_ros import process
from gem_ros.benchmarks import machine, subject
from gem_ros.benchmarks.live import REAL, Robot, node
from gem_ros.benchmarks.steadiness import Sample, Verdict, judge, write_csv, write_plot
from gem_ros.commands._live import Running
from gem_ros.commands._session import interruptible, progress, use_own_network
from gem_ros.errors import GemError

DONE, UNSTEADY, BAD_INPUT = 0, 1, 2
RATE = 3.0  # images per s: what a small computer keeps up with, day and night
EVERY = 2.0  # s for each question
LOOK = 0.1  # s between looks at memory
ASKS = 3  # questions for each sample
AT_A_TIME = 16  # texts in a question, the node's default limit
# More than the node keeps embeddings of (1024), so that old ones go; asked for once within the warm-up.
TEXTS = 1200
WARM_UP = 30.0  # min, or half of a shorter run: malloc's heaps took 26 until they had found their size
MB = 2**20 / 1e6  # per MiB
TOPICS = ("result", "targets", "heatmap", "overlay")
Say = Callable[[float], None]


def questions() -> Iterator[str]:
    """For ever: many things, a few, one with a threshold."""
    texts = cycle(islice(subject.texts(), TEXTS))
    while True:
        for count in (AT_A_TIME, AT_A_TIME, 3, AT_A_TIME):
            yield "; ".join(islice(texts, count))
        yield f"{next(texts)}:0.3"


def watch_memory(pid: int) -> Callable[[], float]:
    """Look ten times a second; what is returned gives the least memory (MiB) since it was last asked."""
    seen: list[float] = [process.memory(pid)]

    def look() -> None:
        with contextlib.suppress(OSError):  # until the process ends
            while True:
                seen.append(process.memory(pid))
                time.sleep(LOOK)

    def least() -> float:
        looked = len(seen)
        found = min(seen[:looked])
        del seen[: looked - 1]
        return found

    threading.Thread(target=look, daemon=True).start()
    return least


def samples(
    robot: Robot, real: Running, minutes: float, rate: float, say: Say = lambda share: None
) -> Iterator[Sample]:
    """Film, ask and measure for ``minutes``; :class:`GemError` where the node dies."""
    asked, start = questions(), time.monotonic()
    shown, least = robot.film(rate, EVERY), watch_memory(real.pid)
    while (elapsed := time.monotonic() - start) < 60 * minutes:
        say(elapsed / 60 / minutes)
        before, used = time.monotonic(), process.cpu_seconds(real.pid)
        late, share = _latencies(robot, shown)  # of the last sample's images: all have had their time
        shown = []
        robot.ask("")  # and forget all
        for _ in range(ASKS):
            robot.ask(next(asked))
            shown += robot.film(rate, EVERY)
        real.check()
        yield Sample(
            minute=(time.monotonic() - start) / 60,
            rss_mb=MB * process.memory(real.pid),
            least_mb=MB * least(),
            anonymous_mb=MB * process.own_memory(real.pid),
            threads=process.threads(real.pid),
            files=process.open_files(real.pid),
            cpu_percent=100 * (process.cpu_seconds(real.pid) - used) / (time.monotonic() - before),
            results_hz=rate * share,
            latency_p50_ms=late[0],
            latency_p95_ms=late[1],
        )


def soak(minutes: float, rate: float, output: Path, module: Sequence[str] = REAL) -> Verdict:
    """Run the node for ``minutes``, write ``output`` (CSV, also while it runs) and its plot, and judge."""
    scenes, found = subject.scenes(), list[Sample]()
    parameters = {"model": "bundled", "queries": ["red ball"], "max_queries": AT_A_TIME}
    warm_up = min(WARM_UP, minutes / 2)
    title = f"{time.strftime('%Y-%m-%d')}, {machine.hardware()['cpu']}, {machine.hardware()['cores']} cores"
    title += f", revision {machine.revision() or 'unknown'}, {rate:g} images per second"
    with (
        tempfile.TemporaryDirectory(prefix="gem_ros_soak_") as logs,
        interruptible(),
        progress() as show,
        Robot(scenes, TOPICS) as robot,
        node(module, parameters, Path(logs) / "node.log", robot) as real,
    ):
        for sample in samples(robot, real, minutes, rate, lambda share: show("soak", share)):
            found.append(sample)
            write_csv(found, output, title)
    verdict = judge(found, warm_up)
    write_plot(found, verdict, output.with_suffix(".png"), title)
    return verdict


def main(args: Sequence[str] | None = None, module: Sequence[str] = REAL) -> int:
    """0: steady; 1: something grows or stops; 2: bad input."""
    parser = argparse.ArgumentParser(prog="soak.sh", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("minutes", nargs="?", type=float, default=60.0, help="how long (default: 60)")
    parser.add_argument("--rate", type=float, default=RATE, help=f"images per second (default: {RATE:g})")
    parser.add_argument("--output", type=Path, default=Path("runs/soak.csv"), help="default: runs/soak.csv")
    given = parser.parse_args(args)
    try:
        if not 1.5 <= given.minutes <= 1e5:
            raise GemError(f"minutes: expected 1.5 to 100000, got {given.minutes:g}")
        if not 0.5 <= given.rate <= 1000:
            raise GemError(f"--rate: expected 0.5 to 1000, got {given.rate:g}")
        use_own_network()
        verdict = soak(given.minutes, given.rate, given.output, module)
    except GemError as error:
        print(f"soak.sh: {error}", file=sys.stderr)
        return BAD_INPUT
    print(verdict.text)
    return DONE if verdict.steady else UNSTEADY


def _latencies(robot: Robot, stamps: Sequence[int]) -> tuple[tuple[float, float], float]:
    """Median and 95th percentile (ms, NaN without any) of the results about ``stamps``, and the share that has one.

    All about them is forgotten afterwards: of days it would be much.
    """
    heard = robot.heard["result"]
    late = [(heard[each] - robot.sent[each]) * 1e-6 for each in stamps if each in heard]
    for each in stamps:
        for known in (robot.sent, *robot.heard.values()):
            known.pop(each, None)
    median, slow = np.percentile(late, (50, 95)) if late else (np.nan, np.nan)
    return (float(median), float(slow)), len(late) / len(stamps)


if __name__ == "__main__":
    sys.exit(main())

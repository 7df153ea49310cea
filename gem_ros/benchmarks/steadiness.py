"""What a long run used and how it answered: kept as CSV, drawn, and judged."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.stats import theilslopes

from gem_ros.errors import GemError

LIMIT = 1.0  # MB/h by which memory may grow
LEAST = 9  # samples after the warm-up that can be judged
WINDOW, FEWEST = 2.0, 5  # min: in each the node gives back what is free once or twice; so many in a short run
BLUE, ORANGE, GRAY = "#0969da", "#bc4c00", "#8c959f"


@dataclass(frozen=True)
class Sample:
    """At ``minute``: ``rss_mb``, all memory that the process holds, ``anonymous_mb``, what of it it has written itself
    (10⁶ bytes), threads and open files. Since the last sample: ``least_mb`` of memory, and what follows ``files``."""

    minute: float
    rss_mb: float
    least_mb: float
    anonymous_mb: float
    threads: int
    files: int
    cpu_percent: float
    results_hz: float
    latency_p50_ms: float
    latency_p95_ms: float


@dataclass(frozen=True)
class Verdict:
    """``problems`` is empty for a node that stays as it is; ``slope`` is memory's, MB/h, with its 95 % interval."""

    warm_up: float
    slope: float
    low: float
    high: float
    problems: tuple[str, ...]
    text: str

    @property
    def steady(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def judge(samples: Sequence[Sample], warm_up: float) -> Verdict:
    """Look at what came after ``warm_up`` minutes; :class:`GemError` where that is too little.

    What is judged of memory is each window's median of the least since a sample before: what is held on to, neither
    what a moment of much work takes nor what has just been given back.
    """
    kept = [each for each in samples if each.minute > warm_up]
    if len(kept) < LEAST:
        raise GemError(f"soak: expected at least {LEAST} samples after the warm-up, got {len(kept)}; run it longer")
    slope, low, high = growth(kept)
    problems = [f"memory grows by {slope:.2f} MB/h, more than {LIMIT:g}"] if slope > LIMIT else []
    first, last = _ends(kept)
    for name in ("threads", "files"):
        before, after = (float(np.median([getattr(each, name) for each in part])) for part in (first, last))
        if after > before:
            problems.append(f"{name} grow from {before:g} to {after:g}")
    before, after = (float(np.median([each.results_hz for each in part])) for part in (first, last))
    if after < before / 2 or not after:
        problems.append(f"results per second fall from {before:.1f} to {after:.1f}")
    length = kept[-1].minute - kept[0].minute
    text = f"memory {slope:+.2f} MB/h (95 %: {low:+.2f} to {high:+.2f}) over {length:.0f} min after {warm_up:.0f} min, "
    text += f"{kept[-1].least_mb:.0f} MB, {kept[-1].threads} threads, {kept[-1].files} files: "
    return Verdict(warm_up, slope, low, high, tuple(problems), text + ("; ".join(problems) or "steady"))


def growth(samples: Sequence[Sample]) -> tuple[float, float, float]:
    """MB/h by which the memory that is held on to grows, by Theil and Sen, and the limits of its 95 % interval."""
    hours, memory = np.array([(each.minute / 60, each.least_mb) for each in samples]).T
    count = max(FEWEST, int(60 * (hours[-1] - hours[0]) / WINDOW))
    parts = [part for part in np.array_split(np.arange(len(samples)), count) if len(part)]
    found = theilslopes([np.median(memory[part]) for part in parts], [np.median(hours[part]) for part in parts])
    return float(found.slope), float(found.low_slope), float(found.high_slope)


def _ends(samples: Sequence[Sample]) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The first and the last third."""
    third = len(samples) // 3
    return samples[:third], samples[-third:]


def write_csv(samples: Sequence[Sample], path: Path, title: str) -> None:
    """One row for each sample, below a line with the title; :class:`GemError` where that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as file:
            file.write(f"# {title}\n")
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(field.name for field in dataclasses.fields(Sample))
            rows.writerows([f"{value:.7g}" for value in dataclasses.astuple(each)] for each in samples)
    except OSError as error:
        raise GemError(f"{path}: expected a writable file, got: {error.strerror}") from error


def read_csv(path: Path) -> list[Sample]:
    """What :func:`write_csv` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    whole = ("threads", "files")
    values = ({name: int(text) if name in whole else float(text) for name, text in row.items()} for row in rows)
    return [Sample(**each) for each in values]  # type: ignore[arg-type]  # a dict has no kinds by name


def write_plot(samples: Sequence[Sample], verdict: Verdict, path: Path, title: str) -> None:
    """Memory, threads and files, latency, results and CPU over time; :class:`GemError` where it cannot be written."""
    columns = {f.name: np.array([getattr(s, f.name) for s in samples], float) for f in dataclasses.fields(Sample)}
    figure = Figure(figsize=(9, 9), layout="constrained")
    axes = figure.subplots(4, 1, sharex=True)
    lines: list[list[tuple[str, str, str]]] = [
        [("rss_mb", "memory, MB", GRAY), ("least_mb", "the least of it", BLUE)],
        [("threads", "threads", BLUE), ("files", "open files", ORANGE)],
        [("latency_p50_ms", "latency, median, ms", BLUE), ("latency_p95_ms", "95th percentile", GRAY)],
        [("results_hz", "results per second", BLUE), ("cpu_percent", "CPU, % of one core", ORANGE)],
    ]
    for axis, drawn in zip(axes, lines, strict=True):
        for name, label, colour in drawn:
            axis.plot(columns["minute"], columns[name], color=colour, label=label, linewidth=1)
        _dress(axis, verdict.warm_up)
    axes[0].set_ylim(0.95 * columns["least_mb"].min(), 1.02 * columns["rss_mb"].max())
    _draw_slope(axes[0], columns["minute"], columns["least_mb"], verdict)
    axes[-1].set_xlabel("minutes (grey: warm-up)", fontsize=9)
    figure.suptitle(f"{title}\n{verdict.text}", fontsize=8)
    try:
        figure.savefig(path, dpi=100)
    except OSError as error:
        raise GemError(f"{path}: expected a writable file, got: {error.strerror}") from error


def _dress(axis: Any, warm_up: float) -> None:
    axis.axvspan(0, warm_up, color=GRAY, alpha=0.15, linewidth=0)
    axis.set_ylim(bottom=0)
    axis.legend(loc="lower right", fontsize=8)
    axis.tick_params(labelsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _draw_slope(axis: Any, minutes: npt.NDArray[np.float64], memory: npt.NDArray[np.float64], verdict: Verdict) -> None:
    after = minutes > verdict.warm_up
    middle = float(np.median(minutes[after]))
    line = np.median(memory[after]) + verdict.slope * (minutes[after] - middle) / 60
    axis.plot(minutes[after], line, color=ORANGE, linestyle="--", linewidth=1, label=f"{verdict.slope:+.2f} MB/h")
    axis.legend(loc="lower right", fontsize=8)

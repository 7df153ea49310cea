"""Measured numbers as a picture: the model, batches, queries, and what goes through ROS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from gem_ros.benchmarks.results import Results
from gem_ros.benchmarks.tables import machine_line, title
from gem_ros.errors import GemError

OURS, THEIRS = "#0969da", "#8c959f"
Bars = Sequence[tuple[str, float, str]]  # label, length, colour


def write_plot(results: Results, path: Path) -> None:
    """One panel for each kind of number that was measured; :class:`GemError` where the file cannot be written."""
    panels = [(name, bars, unit) for name, unit, make in PANELS if (bars := make(results))]
    figure = Figure(figsize=(11, 1.1 + sum(0.7 + 0.3 * len(bars) for _, bars, _ in panels)), layout="constrained")
    heights = [1.5 + len(bars) for _, bars, _ in panels]
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        _draw(axis, *panel)
    figure.suptitle(f"{title(results)}\n{machine_line(results)}", fontsize=9)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise GemError(f"{path}: expected a writable file, got: {error.strerror}") from error


def _draw(axis: Any, name: str, bars: Bars, unit: str) -> None:
    labels, lengths, colours = zip(*bars, strict=True)
    drawn = axis.barh(range(len(bars)), lengths, color=colours, height=0.7)
    axis.bar_label(drawn, fmt="%.3g", padding=3, fontsize=8)
    axis.set_yticks(range(len(bars)), labels, fontsize=8)
    axis.invert_yaxis()
    axis.set_title(f"{name}, {unit}", fontsize=9, loc="left")
    axis.margins(x=0.1)
    axis.tick_params(axis="x", labelsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _model(results: Results) -> Bars:
    ours, theirs = results.value("model.pair.ours"), results.value("model.pair.published")
    bars = [("published algorithm, fp32", theirs, THEIRS), ("gem_ros", ours, OURS)]
    return [bar for bar in bars if bar[1] == bar[1]]


def _of(*prefixes: str) -> Callable[[Results], Bars]:
    def make(results: Results) -> Bars:
        found = [each for each in results.measurements if each.name.startswith(prefixes)]
        return [(each.name, each.value, OURS) for each in found]

    return make


PANELS: tuple[tuple[str, str, Callable[[Results], Bars]], ...] = (
    ("one image to the cosines of all queries, in turns", "ms", _model),
    ("throughput by batch", "images/s", _of("model.throughput.")),
    ("similarity and targets by number of cached queries", "ms", _of("queries.cached.")),
    ("start of the node", "s", _of("startup.graph", "startup.active", "startup.first_result")),
    ("through ROS, between processes", "ms", _of("ros.overhead.p", "age.p", "node.latency.")),
)

"""The charts of a report, from an evaluation's rows; each stays small, however long the recordings were."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gem_ros.replay import charts
from gem_ros.replay.evaluation import Bin, Evaluation
from gem_ros.replay.metrics import auroc, calibration_error, precision_recall, reliability, summary
from gem_ros.replay.report.numbers import length, percent
from gem_ros.replay.rows import Row

WIDE, SMALL = 9.6, 5.2  # inches
MOST_QUERIES, MOST_BAGS = 16, 4  # with a curve of their own
LONGEST_NAME = 24  # letters beside a curve
AXES = {
    "visible": ("By how much is visible", "share of the image that it fills"),
    "distance_m": ("By distance", "distance of the camera"),
}
Z = 1.96  # standard errors of a 95 % interval


@dataclass(frozen=True)
class Chart:
    """One chart: ``svg`` is an element for the page, everything else plain text."""

    title: str
    svg: str
    caption: str


def drawn(evaluation: Evaluation) -> list[Chart]:
    """Every chart that there is something to show in."""
    with charts.styled():
        made = (
            *_presence(evaluation),
            _error(evaluation),
            *(_by(name, evaluation.bins.get(name, ())) for name in ("visible", "distance_m")),
            _latency(evaluation.latencies_ms),
        )
        return [each for each in made if each is not None]


def _presence(evaluation: Evaluation) -> Iterator[Chart]:
    """What a threshold does, and whether scores are probabilities, by the rows that are clear cases."""
    clear = [row for row in evaluation.rows if row.present(evaluation.min_visible) is not None]
    scores = np.array([row.score for row in clear])
    present = np.array([bool(row.visible) for row in clear], bool)
    found = np.array([row.found for row in clear], bool)
    if not present.any() or present.all():
        return
    figure, area = charts.figure(SMALL, 3.9), auroc(scores[present], scores[~present])
    axis = figure.subplots()
    charts.precision_curve(axis, [("any threshold", charts.LINE, *precision_recall(scores, present))])
    if found.any():
        axis.plot(found[present].mean(), present[found].mean(), "o", color=charts.MARK, markersize=8, label="as it ran")
    axis.legend(loc="lower left")
    yield Chart(
        "What a threshold does",
        charts.svg(figure, f"Precision over recall for every score threshold; area under the ROC curve {area:.3f}"),
        f"{present.sum()} answers about things in view, {(~present).sum()} about absent ones; AUROC {area:.3f}.",
    )
    figure, bins = charts.figure(SMALL, 3.9), reliability(scores, present)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    charts.reliability_curve(above, below, bins)
    error = calibration_error(bins)
    yield Chart(
        "Is a score a probability?",
        charts.svg(figure, f"Share of things in view over the score; expected calibration error {error:.3f}"),
        f"Expected calibration error {error:.3f}. Above the dashed line scores are too modest, below it too bold.",
    )


def _error(evaluation: Evaluation) -> Chart | None:
    least = evaluation.min_visible
    errors = [row.error_m for row in evaluation.rows if row.found and row.present(least) and row.error_m is not None]
    if not errors:
        return None
    found, figure = summary(errors), charts.figure(SMALL, 3.3)
    unit, scale = ("mm", 1000) if found.p90 < 0.01 else ("cm", 100)
    marks = [
        (f"{name} {length(value)}", scale * value) for name, value in (("median", found.median), ("p90", found.p90))
    ]
    charts.histogram(figure.subplots(), scale * np.array(errors), f"3D error ({unit})", marks)
    return Chart(
        "How far off in 3D",
        charts.svg(figure, f"Histogram of the 3D error: {marks[0][0]}, {marks[1][0]}"),
        f"{len(errors)} found answers, from the point to the nearest visible surface point; worst "
        f"{length(found.worst)}. What is beyond the 99th percentile is in the last bar.",
    )


def _by(name: str, bins: Sequence[Bin]) -> Chart | None:
    """Found and pointed at, by visible size or by distance; one bin alone says nothing."""
    filled = [each for each in bins if each.count]
    if len(filled) < 2:
        return None
    lines = []
    for metric, title, colour in (
        ("found_recall", "found", charts.LINE),
        ("pointing_accuracy", "pointed at", charts.MARK),
    ):
        shares = np.array([each.metrics.get(metric, math.nan) for each in filled])
        lines.append((title, colour, shares, *_wilson(shares, np.array([each.count for each in filled]))))
    title, axis_title = AXES[name]
    figure = charts.figure(SMALL, 3.3)
    axis = figure.subplots()
    charts.shares_by_bin(axis, [f"{_limits(each, name)}\n{each.count}" for each in filled], lines)
    axis.set_xlabel(axis_title)
    axis.set_ylabel("share of what is in view")
    said = ", ".join(
        f"{_limits(each, name)}: {percent(share)}" for each, share in zip(filled, lines[0][2], strict=True)
    )
    caption = "Lines are 95 % intervals (Wilson), as if answers were independent; below the bins, how many they are."
    return Chart(title, charts.svg(figure, f"{title}, share found. {said}"), caption)


def _wilson(share: charts.Values, count: charts.Values) -> tuple[charts.Values, charts.Values]:
    """The 95 % interval of a share of ``count`` independent answers (Wilson, 1927)."""
    middle = (share + Z**2 / (2 * count)) / (1 + Z**2 / count)
    half = Z / (1 + Z**2 / count) * np.sqrt(share * (1 - share) / count + Z**2 / (4 * count**2))
    return middle - half, middle + half


def _limits(each: Bin, name: str) -> str:
    scale, unit = (100, " %") if name == "visible" else (1, " m")
    low, high = f"{scale * each.low:g}", f"{scale * each.high:g}"
    return f"over {low}{unit}" if math.isinf(each.high) or each.high * scale > 99 else f"{low}–{high}{unit}"


def _latency(latencies: Sequence[float]) -> Chart | None:
    if not len(latencies):
        return None
    found, figure = summary(latencies), charts.figure(SMALL, 3.3)
    marks = [(f"p50 {found.median:.0f} ms", found.median), (f"p95 {found.p95:.0f} ms", found.p95)]
    charts.histogram(figure.subplots(), np.array(latencies), "from the image to its answer (ms)", marks)
    return Chart(
        "How late",
        charts.svg(figure, f"Histogram of the latency: {marks[0][0]}, {marks[1][0]}"),
        f"{found.count} answers, both ends timed at an outside subscriber; worst {found.worst:.0f} ms.",
    )


def timelines(evaluation: Evaluation) -> list[Chart]:
    """The scores over each recording, the truth behind them; the first recordings and queries where there are many."""
    with charts.styled():
        return [
            _timeline(evaluation, each.name, rows)
            for each in evaluation.inputs[:MOST_BAGS]
            if (rows := [row for row in evaluation.rows if row.bag == each.name])
        ]


def _timeline(evaluation: Evaluation, bag: str, rows: Sequence[Row]) -> Chart:
    queries = list(dict.fromkeys(row.query for row in rows))
    shown = queries[:MOST_QUERIES]
    figure = charts.figure(WIDE, 0.62 * len(shown) + 0.7)
    axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    start = min(row.stamp for row in rows)
    for axis, query in zip(axes, shown, strict=True):
        mine = sorted((row for row in rows if row.query == query), key=lambda row: row.stamp)
        plot_score(axis, query, mine, start, evaluation.min_visible)
    axes[-1].set_xlabel("time in the recording (s)")
    title = "Score over time" + (f": {bag}" if len(evaluation.inputs) > 1 else "")
    more = f" These are {len(shown)} of {len(queries)} queries." if len(queries) > len(shown) else ""
    return Chart(title, charts.svg(figure, f"{title}, for {', '.join(shown)}"), _legend(evaluation) + more)


def plot_score(axis: Any, query: str, rows: Sequence[Row], start: int, min_visible: float) -> None:
    """The score of one ``query`` over time, the truth behind it, mistakes about what is absent as dots.

    ``rows`` in order of their stamps; ``start`` ns is zero.
    """
    seconds, scores = _seconds(rows, start), np.array([row.score for row in rows])
    shade(axis, rows, start, min_visible)
    absent = all(row.visible == 0.0 for row in rows)
    name = query if len(query) <= LONGEST_NAME else query[: LONGEST_NAME - 1] + "…"
    charts.score_curve(axis, seconds, scores, rows[0].threshold, name, absent=absent)
    mistaken = np.array([row.found and row.visible == 0.0 for row in rows])
    axis.plot(*charts.thinned(seconds[mistaken], scores[mistaken]), "o", color=charts.ERROR, markersize=3.5)


def shade(axis: Any, rows: Sequence[Row], start: int, min_visible: float) -> None:
    """Where the truth has the queried thing in view."""
    charts.shade(axis, _seconds(rows, start), np.array([row.visible or 0.0 for row in rows]), min_visible)


def _seconds(rows: Sequence[Row], start: int) -> charts.Values:
    return np.array([(row.stamp - start) / 1e9 for row in rows])


def _legend(evaluation: Evaluation) -> str:
    if all(row.visible is None for row in evaluation.rows):
        return "Dotted: the threshold."
    return (
        f"Green: in view, at least {100 * evaluation.min_visible:g} % of the image; pale: less of it. Dotted: the "
        "threshold. Orange: found although nothing of it is visible. Gray: never in view."
    )

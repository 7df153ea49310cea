"""An evaluation, and a comparison of two, as tables in a terminal."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from gem_ros.replay.compare import Comparison, Difference
from gem_ros.replay.evaluation import Evaluation
from gem_ros.replay.measures import BY_NAME, METRICS

PER_QUERY = (
    *("found_recall", "absent_rate", "pointing_accuracy", "iou", "error_median_m", "error_p90_m", "id_switches"),
    *("found_rate", "located_rate", "stability_overlap", "stability_m"),
)
WITH_TRUTH = 7  # of those; the others are shown where nobody knows what is in view


def overall_table(evaluation: Evaluation) -> Table:
    """Every metric that could be measured, over all rows, with its interval."""
    images = sum(each.images for each in evaluation.inputs)
    table = _table(f"Recordings: {len(evaluation.inputs)}, images: {images}")
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    for each in METRICS:
        value = evaluation.metrics[each.name]
        if math.isfinite(value):
            between = (
                ""
                if each.name not in evaluation.intervals
                else " – ".join(_number(end, each.unit) for end in evaluation.intervals[each.name])
            )
            table.add_row(each.name, _number(value, each.unit), between)
    return table


def queries_table(evaluation: Evaluation) -> Table:
    """A row per query."""
    known = any(row.visible is not None for row in evaluation.rows)
    named = [name for name in (PER_QUERY[:WITH_TRUTH] if known else PER_QUERY[WITH_TRUTH:]) if _any(evaluation, name)]
    table = _table()
    table.add_column("query", overflow="fold", min_width=14)
    for name in named:
        table.add_column(name.replace("_", "\n", 1), justify="right")
    for query in evaluation.queries:
        mine = evaluation.of(query)
        table.add_row(escape(query), *(_number(mine[name], BY_NAME[name].unit) for name in named))
    return table


def timing_table(evaluation: Evaluation) -> Table:
    """What depends on this machine."""
    table = _table("On this machine", header=False)
    for name, value in evaluation.timing.items():
        table.add_row(name, f"{value:.4g}")
    return table


def comparison_table(comparison: Comparison, every: bool = False) -> Table:
    """Differences over everything, and per query where they are significant (all with ``every``)."""
    table = _table(f"{comparison.images} images, {len(comparison.queries)} queries in both")
    for name in ("metric", "before", "after", "difference", "95 % interval", "p", ""):
        table.add_column(name, justify="left" if name in ("metric", "") else "right", no_wrap=True)
    for each in comparison.differences:
        query, _, name = each.name.rpartition("/")
        if not query or every or each.significant:
            table.add_row(*_difference(each, BY_NAME[name].unit, BY_NAME[name].higher))
    return table


def _difference(each: Difference, unit: str, higher: bool | None) -> tuple[str, ...]:
    change = each.after - each.before
    between = "" if each.interval is None else " – ".join(_number(end, unit) for end in each.interval)
    said = ""
    if each.significant:
        said = "differs" if higher is None else "better" if (change > 0) == higher else "worse"
    p = "" if each.p is None else f"{each.p:.3f}"
    values = (_number(value, unit) for value in (each.before, each.after, change))
    return escape(each.name), *values, between, p, said


def _any(evaluation: Evaluation, name: str) -> bool:
    return any(math.isfinite(evaluation.of(query)[name]) for query in evaluation.queries)


def _number(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return "-"
    if unit == "m":
        return f"{100 * value:.1f} cm"
    return f"{value:.1f} s" if unit == "s" else f"{value:.3f}".rstrip("0").rstrip(".")


def _table(title: str | None = None, header: bool = True) -> Table:
    return Table(title=title, show_header=header, box=SIMPLE_HEAD, title_justify="left", pad_edge=False)

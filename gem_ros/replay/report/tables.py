"""The tables of a page: queries, recordings, and every number by its name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from gem_ros.replay.evaluation import Evaluation, Input
from gem_ros.replay.measures import BY_NAME, METRICS
from gem_ros.replay.metrics import rate
from gem_ros.replay.report import numbers
from gem_ros.replay.report.numbers import Shown
from gem_ros.replay.rows import Row

MOST_ROWS = 200  # of a table


def queries(evaluation: Evaluation) -> dict[str, Any]:
    """A row per query, a column for every shown metric that any of them has."""
    asked, metrics = evaluation.queries, evaluation.metrics
    shown = [
        each
        for each in numbers.chosen(metrics)
        if any(numbers.is_known(metrics, f"{query}/{each.name}") for query in asked)
    ]
    rows = [
        {"name": query, "cells": [_metric(evaluation, f"{query}/{each.name}", each) for each in shown]}
        for query in asked[:MOST_ROWS]
    ]
    columns = [{"title": each.title, "help": BY_NAME[each.name].help} for each in shown]
    small = "Small: 95 % intervals, by bootstrap over blocks of images. " if evaluation.intervals else ""
    return _table("query", columns, rows, small + _rest(len(asked)))


def recordings(evaluation: Evaluation) -> dict[str, Any]:
    """A row per recording: how long, how right, how readable."""
    by_name: dict[str, list[Row]] = {}
    for row in evaluation.rows:
        by_name.setdefault(row.bag, []).append(row)
    rows = [
        {"name": each.name, "cells": _recording(each, by_name.get(each.name, []), evaluation.min_visible)}
        for each in evaluation.inputs[:MOST_ROWS]
    ]
    titles = ("images", "length", "found when in view", "rightly not found", "problems")
    return _table("recording", [{"title": each, "help": ""} for each in titles], rows, _rest(len(evaluation.inputs)))


def every_number(evaluation: Evaluation) -> list[dict[str, str]]:
    """All metrics over everything: name, value, interval, meaning."""
    found = []
    for each in METRICS:
        if numbers.is_known(evaluation.metrics, each.name):
            shown, interval = numbers.by_name(each.name), evaluation.intervals.get(each.name)
            value, between = shown.show(evaluation.metrics[each.name]), numbers.between(shown, interval)
            found.append({"name": each.name, "value": value, "between": between, "help": each.help})
    return found


def _recording(each: Input, rows: Sequence[Row], min_visible: float) -> list[dict[str, str]]:
    found, missing = (
        rate(row.found is there for row in rows if row.present(min_visible) is there) for there in (True, False)
    )
    problems = len(each.problems)
    return [
        _cell(each.images, str(each.images)),
        _cell(each.seconds, f"{each.seconds:.1f} s"),
        *(_share(value) for value in (found, missing)),
        _cell(problems, str(problems)),
    ]


def _metric(evaluation: Evaluation, name: str, shown: Shown) -> dict[str, str]:
    if not numbers.is_known(evaluation.metrics, name):
        return _cell(math.nan, "–")
    value, between = evaluation.metrics[name], numbers.between(shown, evaluation.intervals.get(name))
    return _cell(value, shown.show(value), between, f"{100 * value:.1f}%" if shown.bar else "")


def _share(value: float) -> dict[str, str]:
    return _cell(value, "–") if math.isnan(value) else _cell(value, numbers.percent(value), "", f"{100 * value:.1f}%")


def _cell(value: float, text: str, between: str = "", bar: str = "") -> dict[str, str]:
    """``value`` is what the column is sorted by."""
    return {"value": "" if math.isnan(value) else repr(value), "text": text, "between": between, "bar": bar}


def _table(of: str, columns: Sequence[dict[str, str]], rows: Sequence[Any], caption: str) -> dict[str, Any]:
    return {"columns": [{"title": of, "help": ""}, *columns], "rows": rows, "caption": caption}


def _rest(count: int) -> str:
    return f"The first {MOST_ROWS} of {count}; all are in metrics.json." if count > MOST_ROWS else ""

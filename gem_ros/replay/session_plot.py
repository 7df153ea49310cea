"""The plot of a session: 3D error and scores over time, with the truth behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gem_ros.replay import charts
from gem_ros.replay.report.drawings import plot_score, shade
from gem_ros.replay.rows import Row
from gem_ros.replay.scoring import IN_VIEW, verdict


def write_plot(path: Path, passes: Mapping[str, Sequence[Row]]) -> None:
    """Write a PNG: the 3D error of the first pass above, below the score of every query of every pass by title.

    Green is where at least 1 % of the image shows the queried thing, paler where less of it is visible.
    """
    curves = [(title, query, rows) for title, rows in passes.items() for query in _queries(rows)]
    start = min(each.stamp for rows in passes.values() for each in rows)
    ratios = [2.6] + [0.62] * len(curves)
    with charts.styled():
        figure = charts.figure(10, 0.95 * sum(ratios))
        axes = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
        _plot_error(axes[0], next(iter(passes.values())), start)
        said = ""
        for axis, (title, query, rows) in zip(axes[1:], curves, strict=True):
            plot_score(axis, query, [each for each in rows if each.query == query], start, IN_VIEW)
            if title != said:
                axis.set_title(f"score when asked for {title}")
            said = title
        axes[-1].set_xlabel(
            f"time in the recording (s); green: in view, at least {IN_VIEW:.0%} of the image; pale: less"
        )
        figure.get_layout_engine().set(hspace=0.02, h_pad=0.02)
        figure.savefig(path, dpi=140, transparent=False)


def _queries(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(each.query for each in rows))


def _plot_error(axis: Any, rows: Sequence[Row], start: int) -> None:
    query = rows[0].query
    measured = [(each.stamp, each.error_m) for each in rows if each.found and each.error_m is not None]
    seconds = np.array([(stamp - start) / 1e9 for stamp, _ in measured])
    centimetres = np.array([100 * error for _, error in measured])
    shade(axis, rows, start, IN_VIEW)
    error = verdict(query, rows).error
    top = max(4.0, 200 * error.p90) if error.count else 4.0
    beyond = centimetres > top  # drawn at the edge, so that no outlier hides
    axis.plot(seconds[~beyond], centimetres[~beyond], "o", color=charts.ERROR, markersize=3.5)
    axis.plot(seconds[beyond], np.full(beyond.sum(), 0.97 * top), "^", color=charts.ERROR, markersize=5)
    axis.set_ylim(0, top)
    said = "none while in view"
    if error.count:
        axis.axhline(100 * error.median, color=charts.ERROR, linewidth=1, linestyle="--")
        said = f"median {100 * error.median:.1f} cm, 90 % within {100 * error.p90:.1f} cm"
    axis.set_title(f'"{query}": distance from the answer to the visible surface; {said}')
    axis.set_ylabel("3D error (cm)")
    axis.margins(x=0.01)

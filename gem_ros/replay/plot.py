"""The plot of a session: 3D error and scores over time, with the truth behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gem_ros.replay.scoring import IN_VIEW, Scored, verdict

LINE, ERROR, ABSENT, SHADE = "#1f6feb", "#d9480f", "#8b949e", "#3fb950"


def write_plot(path: Path, passes: Mapping[str, Sequence[Scored]]) -> None:
    """Write a PNG: the 3D error of the first pass above, below the score of every query of every pass by title.

    Green is where at least 1 % of the image shows the queried thing, paler where less of it is visible.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    rows = [(title, query, scored) for title, scored in passes.items() for query in _queries(scored)]
    start = min(each.answer.stamp for scored in passes.values() for each in scored)
    ratios = [2.6] + [0.62] * len(rows)
    figure, axes = pyplot.subplots(
        len(ratios), 1, sharex=True, height_ratios=ratios, figsize=(10, 0.95 * sum(ratios)), layout="constrained"
    )
    _plot_error(axes[0], next(iter(passes.values())), start)
    said = ""
    for axis, (title, query, scored) in zip(axes[1:], rows, strict=True):
        _plot_score(axis, query, [each for each in scored if each.answer.query == query], start)
        if title != said:
            axis.set_title(f"score when asked for {title}", fontsize=9, loc="left")
        said = title
    axes[-1].set_xlabel(f"time in the recording (s); green: in view, at least {IN_VIEW:.0%} of the image; pale: less")
    figure.get_layout_engine().set(hspace=0.02, h_pad=0.02)
    figure.savefig(path, dpi=140)
    pyplot.close(figure)


def _queries(scored: Sequence[Scored]) -> list[str]:
    return list(dict.fromkeys(each.answer.query for each in scored))


def _plot_error(axis: Any, scored: Sequence[Scored], start: int) -> None:
    query = scored[0].answer.query
    found = [each for each in scored if each.answer.found and np.isfinite(each.error)]
    seconds = np.array([(each.answer.stamp - start) / 1e9 for each in found])
    centimetres = np.array([100 * each.error for each in found])
    _shade(axis, scored, start)
    error = verdict(query, scored).error
    top = max(4.0, 200 * error.p90) if error.count else 4.0
    beyond = centimetres > top  # drawn at the edge, so that no outlier hides
    axis.plot(seconds[~beyond], centimetres[~beyond], "o", color=ERROR, markersize=3.5)
    axis.plot(seconds[beyond], np.full(beyond.sum(), 0.97 * top), "^", color=ERROR, markersize=5)
    axis.set_ylim(0, top)
    said = "none while in view"
    if error.count:
        axis.axhline(100 * error.median, color=ERROR, linewidth=1, linestyle="--")
        said = f"median {100 * error.median:.1f} cm, 90 % within {100 * error.p90:.1f} cm"
    axis.set_title(f'"{query}": distance from the answer to the visible surface; {said}', fontsize=10, loc="left")
    axis.set_ylabel("3D error (cm)")
    _bare(axis)


def _plot_score(axis: Any, query: str, scored: Sequence[Scored], start: int) -> None:
    seconds = [(each.answer.stamp - start) / 1e9 for each in scored]
    _shade(axis, scored, start)
    absent = all(each.visible == 0 for each in scored)
    axis.plot(seconds, [each.answer.score for each in scored], color=ABSENT if absent else LINE, linewidth=1.4)
    axis.axhline(scored[0].answer.threshold, color="#57606a", linewidth=0.6, linestyle=":")
    axis.set_ylim(-0.08, 1.08)
    axis.set_yticks([0, 1])
    axis.set_ylabel(query + ("\n(absent)" if absent else ""), rotation=0, ha="right", va="center", fontsize=9)
    _bare(axis)


def _shade(axis: Any, scored: Sequence[Scored], start: int) -> None:
    seconds = np.array([(each.answer.stamp - start) / 1e9 for each in scored])
    visible = np.array([each.visible for each in scored])
    across = axis.get_xaxis_transform()
    for where, alpha in ((visible > 0, 0.10), (visible >= IN_VIEW, 0.18)):
        axis.fill_between(
            seconds, 0, 1, where=where, step="mid", transform=across, color=SHADE, alpha=alpha, linewidth=0
        )


def _bare(axis: Any) -> None:
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.margins(x=0.01)

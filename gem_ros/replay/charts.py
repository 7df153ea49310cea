"""Curves on matplotlib's axes, drawn alike in pictures and in pages; figures as files or as SVG for a page.

In an SVG the colours are CSS variables (``var(--line)``), so that the page decides how they look in the dark.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.replay.metrics import ReliabilityBin

Values = npt.NDArray[np.float64]
LINE, ERROR, QUIET, SHADE, MARK, INK, SOFT = (
    *("#1f6feb", "#d9480f", "#8b949e", "#3fb950", "#1a7f37", "#24292f", "#57606a"),
)
VARIABLES: Mapping[str, str] = {
    **{LINE: "line", ERROR: "error", QUIET: "quiet", SHADE: "shade", MARK: "mark", INK: "ink", SOFT: "soft"},
}
MOST_POINTS = 800  # of one curve: more than a page has pixels for it
STYLE = {
    **{"text.parse_math": False, "svg.fonttype": "none", "svg.hashsalt": "gem_ros"},  # a query may hold a "$"
    **{"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": SOFT, "xtick.color": SOFT, "ytick.color": SOFT},
    **{"axes.spines.top": False, "axes.spines.right": False, "xtick.labelsize": 9, "ytick.labelsize": 9},
    **{"axes.titlesize": 10, "axes.titlelocation": "left", "axes.labelsize": 9.5, "legend.fontsize": 9},
    **{"legend.frameon": False, "savefig.transparent": True, "axes.axisbelow": True, "grid.color": QUIET},
    **{"grid.alpha": 0.25, "grid.linewidth": 0.6, "axes.unicode_minus": False},
}


def styled() -> Any:
    """A context in which figures are made and saved in this look."""
    from matplotlib import rc_context

    return rc_context(STYLE)


def figure(width: float, height: float) -> Any:
    """An empty matplotlib Figure of that many inches, which belongs to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def svg(drawn: Any, title: str) -> str:
    """The figure as an ``<svg>`` element for a page: without a size of its own, with a title for who cannot see it."""
    buffer = io.StringIO()
    drawn.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Type": None, "Format": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*">', "<g>", text)  # every figure has an axes_1
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    for colour, name in VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    box = re.search(r'viewBox="[^"]+"', text)
    head = f'<svg class="chart" role="img" xmlns="http://www.w3.org/2000/svg" {box.group() if box else ""}>'
    return f"{head}<title>{html.escape(title)}</title>{text[text.index('>') + 1 :]}".replace("\n", "")


def thinned(x: Values, y: Values, most: int = MOST_POINTS) -> tuple[Values, Values]:
    """A curve of at most ``most`` points that looks the same: the lowest and the highest of every stretch stay."""
    if x.size <= most:
        return x, y
    stretches = np.array_split(np.arange(x.size), most // 2)
    kept = sorted({int(i) for each in stretches for i in (each[y[each].argmin()], each[y[each].argmax()])})
    return x[kept], y[kept]


def shade(axis: Any, seconds: Values, visible: Values, clear: float) -> None:
    """Green where the queried thing fills at least ``clear`` of the image, pale where less of it is visible."""
    across = axis.get_xaxis_transform()
    for where, alpha in ((visible > 0, 0.10), (visible >= clear, 0.18)):
        for begin, end in _stretches(where):
            axis.axvspan(*_edges(seconds, begin, end), color=SHADE, alpha=alpha, linewidth=0, transform=across)


def _stretches(where: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of every run of true ones."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], where, [False]]).astype(np.int8)))
    return [(int(begin), int(end) - 1) for begin, end in changes.reshape(-1, 2)]


def _edges(seconds: Values, begin: int, end: int) -> tuple[float, float]:
    """From half a step before the first to half a step after the last."""
    before = seconds[begin] - seconds[max(begin - 1, 0)]
    after = seconds[min(end + 1, seconds.size - 1)] - seconds[end]
    return float(seconds[begin] - before / 2), float(seconds[end] + after / 2)


def score_curve(axis: Any, seconds: Values, scores: Values, threshold: float, name: str, *, absent: bool) -> None:
    """One query's score over time, its threshold dotted; gray for what is never there."""
    axis.plot(*thinned(seconds, scores), color=QUIET if absent else LINE, linewidth=1.4)
    axis.axhline(threshold, color=SOFT, linewidth=0.7, linestyle=":")
    axis.set_ylim(-0.08, 1.08)
    axis.set_yticks([0, 1])
    axis.margins(x=0.01)
    axis.set_ylabel(name + ("\n(absent)" if absent else ""), rotation=0, ha="right", va="center")


def precision_curve(axis: Any, curves: Sequence[tuple[str, str, Values, Values]]) -> None:
    """Precision over recall: (name, colour, precision, recall) of each curve."""
    for name, colour, precision, recall in curves:
        axis.plot(*thinned(recall, precision), color=colour, linewidth=1.8, label=name)
    axis.set_xlabel("recall: share of what is in view that is found")
    axis.set_ylabel("precision: share of what is found that is in view")
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(-0.02, 1.04)
    axis.grid(True)


def reliability_curve(axis: Any, counts: Any, bins: Sequence[ReliabilityBin]) -> None:
    """The share that is present over the score, with a standard error; below, how many answers that says."""
    filled = [each for each in bins if each.count]
    mean, share = np.array([each.mean for each in filled]), np.array([each.share for each in filled])
    # A share of n answers is known to ± one standard error; Agresti's two more of each keep it off 0 at the edges.
    count = np.array([each.count for each in filled])
    near = (share * count + 2) / (count + 4)
    error = np.sqrt(near * (1 - near) / (count + 4))
    axis.plot([0, 1], [0, 1], "--", color=SOFT, linewidth=1, label="a probability")
    axis.errorbar(mean, share, error, color=LINE, marker="o", markersize=6, linewidth=1.6, elinewidth=1)
    axis.set_ylabel("share that is in view")
    axis.set_ylim(-0.04, 1.04)
    axis.tick_params(labelbottom=False)
    axis.legend(loc="upper left")
    counts.bar([each.low for each in bins], [each.count for each in bins], width=0.094, align="edge", color=QUIET)
    counts.set_yscale("symlog", linthresh=1)
    counts.yaxis.set_major_formatter("{x:g}")
    counts.set_ylabel("answers")
    counts.set_xlabel("score")
    counts.set_xlim(-0.02, 1.02)
    for each in (axis, counts):
        each.grid(True)


def histogram(axis: Any, values: Values, unit: str, marks: Sequence[tuple[str, float]], bins: int = 30) -> None:
    """How often which value occurs, up to the 99th percentile, all beyond it in the last bin; ``marks`` (name, value)
    are lines."""
    top = float(np.percentile(values, 99)) or 1.0
    axis.hist(np.minimum(values, top), bins=np.linspace(0, top, bins + 1), color=LINE, alpha=0.65)
    for (name, value), style in zip(marks, ("--", ":", "-."), strict=False):
        axis.axvline(min(value, top), color=ERROR, linewidth=1.2, linestyle=style, label=name)
    axis.set_xlabel(unit)
    axis.set_ylabel("answers")
    axis.set_xlim(left=0)
    axis.legend(loc="upper right")
    axis.grid(True, axis="y")


def shares_by_bin(axis: Any, names: Sequence[str], rows: Sequence[tuple[str, str, Values, Values, Values]]) -> None:
    """Shares with their intervals over named bins: (name, colour, share, low, high) of each; NaN is left out."""
    for index, (name, colour, share, low, high) in enumerate(rows):
        x = np.arange(len(names)) + 0.12 * (index - (len(rows) - 1) / 2)
        known = np.isfinite(share)
        around = np.nan_to_num(np.abs(np.stack([share - low, high - share]))[:, known])
        axis.errorbar(x[known], share[known], around, color=colour, marker="o", linewidth=1.6, elinewidth=1, label=name)
    axis.set_xticks(range(len(names)), names)
    axis.set_ylim(-0.04, 1.04)
    axis.legend(loc="lower right")
    axis.grid(True, axis="y")

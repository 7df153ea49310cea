"""A calibration as a picture: are scores probabilities, what do thresholds do, where do scores lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gem_ros.errors import GemError
from gem_ros.replay.calibration import ACCEPTED, Flags, Values
from gem_ros.replay.calibration_run import Calibration
from gem_ros.replay.metrics import operating_point, precision_recall

PRESENT, ABSENT, HARD, MARK, QUIET = "#1f6feb", "#8b949e", "#d9480f", "#1a7f37", "#57606a"
BINS = 25
HALF = 0.5  # the shipped presence_threshold


def write_plot(path: Path, found: Calibration, title: str) -> None:
    """Write a PNG: reliability with counts, precision over recall, and the scores of what is present and absent."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure(figsize=(15, 5.4), layout="constrained")
    axes = figure.subplot_mosaic(
        [
            ["reliability", "precision", "present"],
            ["reliability", "precision", "absent"],
            ["counts", "precision", "absent"],
        ],
        height_ratios=[3, 1, 2],
    )
    axes["counts"].sharex(axes["reliability"])
    axes["absent"].sharex(axes["present"])
    _plot_reliability(axes["reliability"], axes["counts"], found)
    _plot_precision(axes["precision"], found)
    _plot_scores(axes["present"], axes["absent"], found)
    figure.suptitle(title, fontsize=12, x=0.01, ha="left", fontweight="bold")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.04, wspace=0.02)
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise GemError(f"{path}: expected a file that can be written, got: {error.strerror}") from error
    finally:
        pyplot.close(figure)


def _plot_reliability(axis: Any, counts: Any, found: Calibration) -> None:
    bins = [each for each in found.judgement.bins if each.count]
    mean, share = [each.mean for each in bins], [each.share for each in bins]
    # A share of n answers is known to ± one standard error; Agresti's two more of each keep it off 0 at the edges.
    count = np.array([each.count for each in bins])
    near = (np.array(share) * count + 2) / (count + 4)
    error = np.sqrt(near * (1 - near) / (count + 4))
    axis.plot([0, 1], [0, 1], "--", color=QUIET, linewidth=1, label="a probability")
    axis.errorbar(mean, share, error, color=PRESENT, marker="o", markersize=6, linewidth=1.6, elinewidth=1)
    judged = found.judgement
    measured = f"expected calibration error {judged.calibration_error:.3f}, Brier {judged.brier:.3f}"
    axis.set_title(f"Is a score a probability?\n{measured}", **_title())
    axis.set_ylabel("share that is in view")
    axis.set_ylim(-0.04, 1.04)
    axis.tick_params(labelbottom=False)
    axis.legend(frameon=False, loc="upper left", fontsize=8)
    edges = [each.low for each in found.judgement.bins]
    counts.bar(edges, [each.count for each in found.judgement.bins], width=0.094, align="edge", color=ABSENT)
    counts.set_yscale("symlog", linthresh=1)
    counts.yaxis.set_major_formatter("{x:g}")
    counts.set_ylabel("questions")
    counts.set_xlabel("score")
    counts.set_xlim(-0.02, 1.02)
    for each in (axis, counts):
        _bare(each)


def _plot_precision(axis: Any, found: Calibration) -> None:
    hard = found.judged.hard
    curves = [("all questions", PRESENT, np.ones_like(hard))]
    if found.judgement.same_colour and found.judgement.absent_alike:
        curves.append(("hard ones only", HARD, hard))
    for name, colour, chosen in curves:
        precision, recall = precision_recall(found.scores[chosen], found.judged.present[chosen])
        axis.plot(recall, precision, color=colour, linewidth=1.8, label=name)
    for threshold, marker in ((HALF, "o"), (found.threshold, "D")):
        point = operating_point(found.scores, found.judged.present, threshold)
        label = f"score {threshold:.2f}: {100 * point.false_found:.1f} % of absent found"
        if threshold == found.threshold != HALF:
            label = f"score {threshold:.2f}: at most {ACCEPTED:.0%} of absent found"
        axis.plot(point.recall, point.precision, marker, color=MARK, markersize=8, label=label)
        if found.threshold == HALF:
            break
    axis.set_title("What a threshold does", **_title())
    axis.set_xlabel("recall: share of what is in view that is found")
    axis.set_ylabel("precision: share of what is found that is in view")
    axis.set_xlim(-0.02, 1.02)
    axis.set_ylim(-0.02, 1.04)
    axis.legend(frameon=False, loc="lower left", fontsize=8)
    _bare(axis)


def _plot_scores(above: Any, below: Any, found: Calibration) -> None:
    present, hard, area = found.judged.present, found.judged.hard, found.judgement.separation.all
    above.set_title(f"Scores, as shares of each kind of question\nAUROC {area:.3f}", **_title())
    _histogram(above, found.scores, present, "in view", PRESENT)
    _histogram(above, found.scores, present & hard, "beside another of its colour")
    _histogram(below, found.scores, ~present, "not in view", ABSENT)
    _histogram(below, found.scores, ~present & hard, "shares a word with what is")
    above.tick_params(labelbottom=False)
    below.set_xlabel("score")
    for each, place in ((above, "upper left"), (below, "upper right")):
        each.axvline(HALF, color=QUIET, linewidth=0.8, linestyle=":")
        each.set_xlim(-0.02, 1.02)
        each.set_ylabel("share")
        _bare(each)
        if each.get_legend_handles_labels()[0]:
            each.legend(frameon=False, loc=place, fontsize=8)


def _histogram(axis: Any, scores: Values, chosen: Flags, name: str, colour: str = "") -> None:
    """The scores of ``chosen``, which sum to 1: filled with ``colour``, or a line where they are some of those."""
    values, edges = scores[chosen], np.linspace(0, 1, BINS + 1)
    look = {"histtype": "step", "color": HARD, "linewidth": 1.6}
    if colour:
        look = {"histtype": "stepfilled", "color": colour, "alpha": 0.55}
    if values.size:
        axis.hist(values, edges, weights=np.full(values.size, 1 / values.size), label=f"{name} ({values.size})", **look)


def _title() -> dict[str, Any]:
    return {"fontsize": 10, "loc": "left"}


def _bare(axis: Any) -> None:
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.set_axisbelow(True)
    axis.grid(alpha=0.2, linewidth=0.6)

"""A calibration as a picture: are scores probabilities, what do thresholds do, where do scores lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gem_ros.errors import GemError
from gem_ros.replay import charts
from gem_ros.replay.calibration import ACCEPTED, Flags, Values
from gem_ros.replay.calibration_run import Calibration
from gem_ros.replay.metrics import operating_point, precision_recall

PRESENT, ABSENT, HARD = charts.LINE, charts.QUIET, charts.ERROR
BINS = 25
HALF = 0.5  # the shipped presence_threshold


def write_plot(path: Path, found: Calibration, title: str) -> None:
    """Write a PNG: reliability with counts, precision over recall, and the scores of what is present and absent."""
    with charts.styled():
        figure = charts.figure(15, 5.4)
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
            figure.savefig(path, dpi=130, transparent=False)
        except OSError as error:
            raise GemError(f"{path}: expected a file that can be written, got: {error.strerror}") from error


def _plot_reliability(axis: Any, counts: Any, found: Calibration) -> None:
    judged = found.judgement
    charts.reliability_curve(axis, counts, judged.bins)
    measured = f"expected calibration error {judged.calibration_error:.3f}, Brier {judged.brier:.3f}"
    axis.set_title(f"Is a score a probability?\n{measured}")


def _plot_precision(axis: Any, found: Calibration) -> None:
    hard = found.judged.hard
    curves = [("all questions", PRESENT, np.ones_like(hard))]
    if found.judgement.same_colour and found.judgement.absent_alike:
        curves.append(("hard ones only", HARD, hard))
    charts.precision_curve(
        axis,
        [
            (name, colour, *precision_recall(found.scores[chosen], found.judged.present[chosen]))
            for name, colour, chosen in curves
        ],
    )
    for threshold, marker in ((HALF, "o"), (found.threshold, "D")):
        point = operating_point(found.scores, found.judged.present, threshold)
        label = f"score {threshold:.2f}: {100 * point.false_found:.1f} % of absent found"
        if threshold == found.threshold != HALF:
            label = f"score {threshold:.2f}: at most {ACCEPTED:.0%} of absent found"
        axis.plot(point.recall, point.precision, marker, color=charts.MARK, markersize=8, label=label)
        if found.threshold == HALF:
            break
    axis.set_title("What a threshold does")
    axis.legend(loc="lower left")


def _plot_scores(above: Any, below: Any, found: Calibration) -> None:
    present, hard, area = found.judged.present, found.judged.hard, found.judgement.separation.all
    above.set_title(f"Scores, as shares of each kind of question\nAUROC {area:.3f}")
    _histogram(above, found.scores, present, "in view", PRESENT)
    _histogram(above, found.scores, present & hard, "beside another of its colour")
    _histogram(below, found.scores, ~present, "not in view", ABSENT)
    _histogram(below, found.scores, ~present & hard, "shares a word with what is")
    above.tick_params(labelbottom=False)
    below.set_xlabel("score")
    for each, place in ((above, "upper left"), (below, "upper right")):
        each.axvline(HALF, color=charts.SOFT, linewidth=0.8, linestyle=":")
        each.set_xlim(-0.02, 1.02)
        each.set_ylabel("share")
        each.grid(True)
        if each.get_legend_handles_labels()[0]:
            each.legend(loc=place)


def _histogram(axis: Any, scores: Values, chosen: Flags, name: str, colour: str = "") -> None:
    """The scores of ``chosen``, which sum to 1: filled with ``colour``, or a line where they are some of those."""
    values, edges = scores[chosen], np.linspace(0, 1, BINS + 1)
    look = {"histtype": "step", "color": HARD, "linewidth": 1.6}
    if colour:
        look = {"histtype": "stepfilled", "color": colour, "alpha": 0.55}
    if values.size:
        axis.hist(values, edges, weights=np.full(values.size, 1 / values.size), label=f"{name} ({values.size})", **look)

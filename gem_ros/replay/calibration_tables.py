"""A calibration's numbers as tables in a terminal."""

from __future__ import annotations

import math

from rich.box import SIMPLE_HEAD
from rich.table import Table

from gem_ros.replay.calibration import ACCEPTED, TIE, judge
from gem_ros.replay.calibration_run import Calibration
from gem_ros.replay.metrics import OperatingPoint


def points_table(found: Calibration) -> Table:
    """Precision, recall and falsely found things at several thresholds, the hard ones beside all."""
    table = _table("What a threshold does")
    judged = found.judgement
    table.caption = (
        f"{judged.present} present questions, hard: the {judged.same_colour} beside another thing of that colour;\n"
        f"{judged.absent} absent ones, hard: the {judged.absent_alike} that share a word with something in view.\n"
        f"* from here on, at most {ACCEPTED:.0%} of the absent ones are found."
    )
    for name in ("threshold", "precision", "recall", "false found", "recall\n(hard)", "false found\n(hard)"):
        table.add_column(name, justify="right")
    at = sorted({*(each.threshold for each in judged.points), found.threshold})
    finer = judge(found.judged, found.scores, at)
    for every, hard in zip(finer.points, finer.hard_points, strict=True):
        table.add_row(*_point(every, hard, found.threshold))
    return table


def _point(every: OperatingPoint, hard: OperatingPoint, marked: float) -> list[str]:
    threshold = f"{'* ' if every.threshold == marked else ''}{every.threshold:.2f}"
    shares = every.precision, every.recall, every.false_found, hard.recall, hard.false_found
    return [threshold, *(percent(each) for each in shares)]


def reliability_table(found: Calibration) -> Table:
    """How many things are present among those of about the same score."""
    judged = found.judgement
    table = _table("Is a score a probability?")
    table.caption = f"expected calibration error {judged.calibration_error:.3f}\nBrier score {judged.brier:.3f}"
    for name in ("score", "questions", "mean score", "present"):
        table.add_column(name, justify="right")
    for each in judged.bins:
        table.add_row(f"{each.low:.1f} - {each.high:.1f}", str(each.count), percent(each.mean), percent(each.share))
    return table


def evidence_table(found: Calibration) -> Table:
    """How well each kind of evidence tells present from absent."""
    table = _table("Evidence: AUROC of present against absent, over all images")
    table.caption = f"bold: the card's, the best, or cosine where that is within {TIE:g}"
    table.add_column("evidence")
    for name in ("all", "absent ones that\nshare a word", "present ones beside\ntheir colour"):
        table.add_column(name, justify="right")
    for kind, each in found.separations.items():
        cells = (number(value) for value in (each.all, each.absent_alike, each.same_colour))
        table.add_row(kind, *cells, style="bold" if kind == found.presence.evidence else None)
    return table


def summary_line(found: Calibration) -> str:
    """The separation in one line, and by which images it was measured."""
    each = found.judgement.separation
    by = "fitted on every other block of images and measured on the rest; the card's is fitted on all"
    if not found.held_out:
        by = "measured on the images that it was fitted on, so too good: 20 or more are needed to hold some out"
    return (
        f"AUROC {number(each.all)}; absent ones that share a word with something in view {number(each.absent_alike)}; "
        f"present ones beside their colour {number(each.same_colour)}\n({by})"
    )


def percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.1f} %"


def number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"


def _table(title: str) -> Table:
    return Table(title=title, box=SIMPLE_HEAD, title_justify="left", caption_justify="left")

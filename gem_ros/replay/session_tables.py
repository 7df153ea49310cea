"""A report's numbers as tables in a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from gem_ros.replay.scoring import IN_VIEW, Verdict

if TYPE_CHECKING:
    from gem_ros.replay.session import Timing
    from gem_ros.replay.session_report import Report


def show(report: Report) -> None:
    """Print how right the answers were, how timely, and where the pictures are."""
    console = Console()
    console.print(queries_table(report), timing_table(report.timing))
    console.print("written: " + ", ".join(str(file) for file in report.files), soft_wrap=True)
    console.print(f"the report, to open in a browser: {report.page}", soft_wrap=True)


def queries_table(report: Report) -> Table:
    """One row per query and pass."""
    table = Table(title="Answers against the truth", box=SIMPLE_HEAD, title_justify="left", caption_justify="left")
    table.caption = (
        f"in view: images in which it fills at least {IN_VIEW:.0%}; found and pointing are shares of those.\n"
        "3D error: from the answered point to the nearest visible surface point, where found.\n"
        "found when absent: share of the images that show nothing of it.\n"
        "ids: how many tracks were made of it; 1: it was known again whenever it was found."
    )
    table.add_column("query", no_wrap=True)
    for name in ("in view", "found", "pointing", "3D error\nmedian", "\np90", "found when\nabsent", "ids"):
        table.add_column(name, justify="right")
    for group in report.verdicts:
        for each in group:
            table.add_row(*_row(each))
        table.add_section()
    return table


def _row(each: Verdict) -> list[str]:
    return [
        each.query,
        str(each.in_view),
        _percent(each.found),
        _percent(each.pointing),
        _centimetres(each.error.median),
        _centimetres(each.error.p90),
        _percent(each.mistaken),
        str(each.ids),
    ]


def timing_table(timing: Timing) -> Table:
    """Rates and delays."""
    table = Table(title="Timeliness", box=SIMPLE_HEAD, title_justify="left", show_header=False, caption_justify="left")
    table.caption = (
        "latency: from the image's arrival to its answer's, both at an outside subscriber over DDS.\n"
        "age: latency in inference times, that is, in the node's median time for one image."
    )
    table.add_row("images answered", f"{timing.answers} of {timing.images}")
    table.add_row("answers per second", f"{timing.rate:.1f}")
    table.add_row("latency p50 / p95", f"{timing.latency.median:.0f} / {timing.latency.p95:.0f} ms")
    table.add_row("time for one image p50 / p95", f"{timing.busy.median:.0f} / {timing.busy.p95:.0f} ms")
    table.add_row("age p50 / p95 / worst", f"{timing.age.median:.1f} / {timing.age.p95:.1f} / {timing.age.worst:.1f}")
    return table


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f} %"


def _centimetres(metres: float) -> str:
    return "-" if math.isnan(metres) else f"{100 * metres:.1f} cm"

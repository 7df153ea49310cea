"""Measured numbers as tables: in a terminal, and in Markdown for docs/performance.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from gem_ros.benchmarks.results import Change, Results
from gem_ros.benchmarks.targets import target_of

NOISE = 0.05  # share by which a number may get worse without a mark


@dataclass(frozen=True)
class Row:
    """One number as it is shown; ``met`` is None where nothing was promised."""

    name: str
    what: str
    value: str
    target: str
    met: bool | None


def rows(results: Results) -> Iterator[Row]:
    """Every measurement with the promise about it."""
    for each in results.measurements:
        target = target_of(each.name, results)
        met = target.met(each.value) if target else None
        yield Row(each.name, each.what, number(each.value, each.unit), str(target or ""), met)


def number(value: float, unit: str) -> str:
    """Three digits that matter, four places of a cosine: ``12.3 ms``, ``0.9998``, ``1 210 images/s``."""
    if not unit:
        return f"{value:.4f}"
    size = math.floor(math.log10(abs(float(f"{value:.3g}")))) if value else 2  # after rounding: 99.96 is 100
    digits = max(0, 2 - size)
    return f"{round(value, digits):,.{digits}f}".replace(",", " ") + f" {unit}"


def results_table(results: Results) -> Table:
    """What was measured, for a terminal."""
    table = Table(title=title(results), box=SIMPLE_HEAD, title_justify="left", caption_justify="left")
    table.caption = "\n".join([machine_line(results), *results.notes])
    for name, side in (("measured", "left"), ("what", "left"), ("value", "right"), ("promised", "right")):
        table.add_column(name, justify="right" if side == "right" else "left", no_wrap=side == "right")
    part = ""
    for row in rows(results):
        if part and row.name.partition(".")[0] != part:
            table.add_section()
        part = row.name.partition(".")[0]
        style = {True: "green", False: "bold red", None: ""}[row.met]
        table.add_row(row.name, row.what, row.value, Text(row.target, style=style))
    return table


def changes_table(changes: Sequence[Change], bound: float | None) -> Table:
    """Then and now; what got worse by more than ``bound`` (else by more than 5 %) is marked."""
    allowed = NOISE if bound is None else bound
    table = Table(title="against the older results", box=SIMPLE_HEAD, title_justify="left", caption_justify="left")
    table.caption = f"worse: by more than {allowed:.0%}"
    for name in ("measured", "before", "now", "change", ""):
        table.add_column(name, justify="left" if name == "measured" else "right", no_wrap=True)
    for each in changes:
        now, before = (number(value, each.now.unit) for value in (each.now.value, each.before))
        mark = Text("worse", style="bold red") if each.worse > allowed else Text("")
        table.add_row(each.now.name, before, now, _change(each), mark)
    return table


def markdown(results: Results) -> str:
    """The same table for a page, with what it was measured on."""
    lines = [f"### {title(results)}", "", machine_line(results) + "."]
    lines += [f"Note: {note}." for note in results.notes]
    lines += ["", "| | measured | promised |", "|---|---|---|"]
    for row in rows(results):
        missed = " **missed**" if row.met is False else ""
        lines.append(f"| {row.what} (`{row.name}`) | {row.value} | {row.target}{missed} |")
    return "\n".join(lines) + "\n"


def title(results: Results) -> str:
    """Model, input, precision, device."""
    known = results.settings
    random = " with random weights" if known.get("pretrained") == "random" else ""
    size = f"{known['image_size']} px" if known["image_size"].isdecimal() else known["image_size"]
    return f"{known['model']}{random}, {size}, {known['precision']}, {known['device']}"


def machine_line(results: Results) -> str:
    """Where, when, with what."""
    machine = results.hardware
    gpu = "no GPU" if machine["gpu"] == "none" else machine["gpu"]
    units = f"{machine['cores']} cores, {machine['vector units']}"
    revision = f", revision {results.revision}" if results.revision else ""
    torch = results.versions.get("torch", "unknown")
    return f"{machine['cpu']} ({units}), {gpu}; torch {torch}; {results.date}{revision}"


def _change(change: Change) -> str:
    if not change.before:
        return "-"
    return f"{(change.now.value - change.before) / abs(change.before):+.1%}"

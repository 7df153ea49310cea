"""An evaluation as one HTML file that loads nothing: numbers, charts, pictures, and how they came about.

Any text may come from a recording, a truth file or a query: the template escapes all of it, and the page's own policy
lets no script run but ours.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jinja2

from gem_ros import __version__
from gem_ros.errors import GemError
from gem_ros.replay.checks import Check
from gem_ros.replay.evaluation import Evaluation
from gem_ros.replay.report import drawings, numbers, tables
from gem_ros.replay.report.gallery import KINDS, Picture
from gem_ros.replay.report.numbers import Shown

HERE = Path(__file__).parent
FILE = "report.html"
MOST_PROBLEMS = 12


def write(
    evaluation: Evaluation,
    directory: Path,
    *,
    title: str = "",
    pictures: Iterable[Picture] = (),
    checks: Sequence[Check] = (),
) -> Path:
    """Write ``report.html`` into ``directory`` and return its path; :class:`GemError` where that is impossible."""
    path = directory / FILE
    text = page(evaluation, title=title, pictures=pictures, checks=checks)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise GemError(f"{path}: expected a place that can be written, got: {error.strerror}") from error
    return path


def page(
    evaluation: Evaluation, *, title: str = "", pictures: Iterable[Picture] = (), checks: Sequence[Check] = ()
) -> str:
    """The page's text. ``checks`` are the outcomes of limits that were asked for, ``pictures`` the gallery's.

    Without a ``title`` it is the recording's name, or how many there are.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined
    )
    script = (HERE / "page.js").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        version=__version__,
        made_at=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        title=title or _title(evaluation),
        subtitle=_subtitle(evaluation),
        verdict=_verdict(evaluation, checks),
        tiles=_tiles(evaluation),
        problems=_problems(evaluation),
        queries=tables.queries(evaluation),
        charts=drawings.drawn(evaluation),
        timelines=drawings.timelines(evaluation),
        gallery=_gallery(list(pictures)),
        recordings=tables.recordings(evaluation) if len(evaluation.inputs) > 1 else None,
        every_number=tables.every_number(evaluation),
        made=_made(evaluation),
    )


def _title(evaluation: Evaluation) -> str:
    inputs = evaluation.inputs
    return inputs[0].name if len(inputs) == 1 else f"{len(inputs)} recordings"


def _subtitle(evaluation: Evaluation) -> str:
    images, queries = sum(each.images for each in evaluation.inputs), len(evaluation.queries)
    model = evaluation.settings.get("model")
    parts = [f"{images} images", f"{queries} {'query' if queries == 1 else 'queries'}"]
    return ", ".join(parts + ([f"model {model}"] if model else []))


def _verdict(evaluation: Evaluation, checks: Sequence[Check]) -> dict[str, Any]:
    """The limits' outcome where there are any, and the main numbers in a sentence."""
    badge, look = "", ""
    if checks:
        badge, look = ("PASSED", "good") if all(each.met for each in checks) else ("FAILED", "bad")
    return {"badge": badge, "look": look, "checks": checks, "line": numbers.sentence(evaluation.metrics)}


def _tiles(evaluation: Evaluation) -> list[dict[str, Any]]:
    values = {**evaluation.timing, **evaluation.metrics}
    shown = (*numbers.chosen(evaluation.metrics), *numbers.LIVE)
    return [
        _tile(each, values[each.name], evaluation.intervals.get(each.name))
        for each in shown
        if numbers.is_known(values, each.name)
    ]


def _tile(shown: Shown, value: float, interval: tuple[float, float] | None) -> dict[str, Any]:
    tile = {"name": shown.name, "title": shown.title, "value": shown.show(value)}
    tile["between"] = numbers.between(shown, interval)
    low, high = interval or (value, value)
    percents = {"low": 100 * low, "beyond": 100 - 100 * high, "at": 100 * value}
    return {**tile, "range": {name: f"{each:.1f}%" for name, each in percents.items()} if shown.bar else None}


def _problems(evaluation: Evaluation) -> list[str]:
    several = len(evaluation.inputs) > 1
    lines = [f"{each.name}: {line}" if several else line for each in evaluation.inputs for line in each.problems]
    rest = [f"and {len(lines) - MOST_PROBLEMS} more, in metrics.json"] if len(lines) > MOST_PROBLEMS else []
    return lines[:MOST_PROBLEMS] + rest


def _gallery(pictures: Sequence[Picture]) -> list[dict[str, Any]]:
    groups = [(title, [each for each in pictures if each.kind == kind]) for kind, title in KINDS.items()]
    return [
        {"title": title, "frames": [{"is": each, "data": base64.b64encode(each.jpeg).decode()} for each in group]}
        for title, group in groups
        if group
    ]


def _made(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Recordings with their hashes, settings, timing and versions, as groups of (name, value)."""
    inputs = [(each.name, _input(each)) for each in evaluation.inputs[: tables.MOST_ROWS]]
    groups = {
        "Recordings": inputs,
        "Settings": [(name, _plain(value)) for name, value in evaluation.settings.items()],
        "Timing": [(name, numbers.show(name, value)) for name, value in evaluation.timing.items()],
        "Versions": [(name, str(version)) for name, version in evaluation.versions.items()],
    }
    return [{"title": title, "rows": rows} for title, rows in groups.items() if rows]


def _input(each: Any) -> str:
    said = [
        f"{each.images} images over {each.seconds:.1f} s",
        each.topics,
        f"sha256 {each.sha256}" if each.sha256 else "",
    ]
    return "; ".join(filter(None, said))


def _plain(value: Any) -> str:
    """A setting as text: lists by semicolons, what is empty as a dash."""
    if isinstance(value, Mapping):
        return "; ".join(f"{name}: {_plain(each)}" for name, each in value.items()) or "–"
    if isinstance(value, list | tuple):
        return "; ".join(map(str, value)) or "–"
    return "–" if value in (None, "") else str(value)

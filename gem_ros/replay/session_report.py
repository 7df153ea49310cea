"""What came of a session: numbers, a table, and pictures, all from the node's own answers."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gem_ros.replay import pictures
from gem_ros.replay.evaluation import Input, finite
from gem_ros.replay.observations import CameraTopics, read_observations
from gem_ros.replay.report import gallery, html
from gem_ros.replay.rows import Row
from gem_ros.replay.scoring import IN_VIEW, Verdict, aligned, best_answers, row, verdict
from gem_ros.replay.session import Pass, Timing, timing
from gem_ros.replay.session_plot import write_plot
from gem_ros.replay.settings import versions
from gem_ros.replay.summary import summarise
from gem_ros.replay.truth import Truth

SHEET = (4, 3, 1)  # frames of each pass on the contact sheet, evenly spaced in time
COLUMNS = 4
MOST_NAMED = 4  # queries that fit under a frame by name
TARGET_COLUMNS = (
    *("pass", "stamp_ns", "query", "found", "score", "threshold", "reason"),
    *("u", "v", "x", "y", "z", "visible", "hit", "error_m"),
)


@dataclass(frozen=True)
class Report:
    """Numbers of a session: the verdicts of each pass, the timing, the files that were written, and the page."""

    verdicts: tuple[tuple[Verdict, ...], ...]
    timing: Timing
    files: tuple[Path, ...]
    page: Path


def write_report(
    bag: Path,
    truth: Truth,
    topics: CameraTopics,
    passes: Sequence[Pass],
    *,
    output: Path,
    progress: Callable[[float], None] = lambda share: None,
) -> Report:
    """Score ``passes`` against ``truth`` and write pictures, video, ``targets.csv``, ``summary.json`` and the page."""
    scored = score_passes(bag, truth, topics, passes)
    progress(0.3)
    verdicts = tuple(
        tuple(verdict(query, answers) for query in each.queries) for each, answers in zip(passes, scored, strict=True)
    )
    timed = timing(passes)
    output.mkdir(parents=True, exist_ok=True)
    write_targets(output / "targets.csv", passes, scored)
    write_summary(output / "summary.json", verdicts, timed)
    write_plot(output / "plot.png", {each.title: answers for each, answers in zip(passes, scored, strict=True)})
    progress(0.5)
    sheet = pictures.sheet(
        list(chosen_frames(passes, scored, truth)),
        COLUMNS,
        "gem_ros: say it, and get where it is, in 3D",
        "the running node's own answers; white line: truth",
    )
    pictures.write_png(output / "contact_sheet.png", sheet)
    progress(0.6)
    every = (frame for each, answers in zip(passes, scored, strict=True) for frame in frames(each, answers, truth))
    video = pictures.write_video(output / "overlay", every, fps=frame_rate(truth))
    progress(0.8)
    page = write_page(output, passes, scored, bag=bag, timed=timed, truth=truth)
    progress(1.0)
    names = ("contact_sheet.png", "plot.png", "targets.csv", "summary.json")
    return Report(verdicts, timed, (video, *(output / name for name in names)), page)


def write_page(
    output: Path, passes: Sequence[Pass], scored: Sequence[Sequence[Row]], *, bag: Path, timed: Timing, truth: Truth
) -> Path:
    """``report.html`` as ``gem-ros evaluate`` writes it; each pass counts as a recording of its own."""
    inputs = []
    for each, rows in zip(passes, scored, strict=True):
        stamps = [one.stamp for one in rows] or [0]
        name = f"{len(each.images)} images played"
        inputs.append(Input(each.title, str(bag), "", name, len(set(stamps)), min(stamps), max(stamps)))
    evaluation = summarise(
        [one for rows in scored for one in rows],
        inputs,
        min_visible=IN_VIEW,
        settings={"recording": bag.name, "mode": "live"},
        versions=versions(),
        timing={
            "latency_p50_ms": timed.latency.median,
            "latency_p95_ms": timed.latency.p95,
            "results_per_s": timed.rate,
            "drop_rate": 1 - timed.answers / timed.images if timed.images else math.nan,
        },
        latencies_ms=[latency for each in passes for latency in each.latencies()],
    )
    overlays = {(each.title, stamp): jpeg for each in passes for stamp, jpeg in each.overlays.items()}
    truths = {each.title: truth for each in passes}
    shown = list(gallery.from_overlays(evaluation, overlays, truths))
    return html.write(evaluation, output, title=f"{bag.name}, asked of the running node", pictures=shown)


def score_passes(bag: Path, truth: Truth, topics: CameraTopics, passes: Sequence[Pass]) -> list[list[Row]]:
    """Every answer of every pass held against the truth, in order of the images; the recording is read once."""
    answers = [{result["stamp"]: best_answers(result) for _, result in each.answered()} for each in passes]
    scored: list[list[Row]] = [[] for _ in passes]
    for observation in map(aligned, read_observations(bag, topics)):
        if observation.stamp in truth.frames:
            for rows, each, by_stamp in zip(scored, passes, answers, strict=True):
                said = by_stamp.get(observation.stamp, ())
                rows += [row(each.title, one, observation, truth, absent=truth.absent_queries) for one in said]
    return scored


def frames(each: Pass, rows: Sequence[Row], truth: Truth) -> Iterator[pictures.Picture]:
    """The node's overlays of one pass, in order, each with what was answered and the truth."""
    by_stamp: dict[int, list[Row]] = {}
    for one in rows:
        by_stamp.setdefault(one.stamp, []).append(one)
    for stamp, answers in by_stamp.items():
        if stamp in each.overlays:
            yield frame(each.overlays[stamp], answers, truth)


def frame(overlay: bytes, answers: Sequence[Row], truth: Truth) -> pictures.Picture:
    """One overlay with its caption; where one thing was asked, its truth is outlined."""
    picture = pictures.read_jpeg(overlay)
    if len(answers) == 1:
        for sighting in truth.visible(answers[0].stamp, answers[0].query):
            picture = pictures.outlined(picture, sighting.region(picture.shape[:2]))
    return pictures.captioned(picture, *caption(answers))


def caption(answers: Sequence[Row]) -> tuple[str, str, tuple[int, int, int]]:
    """Title, line and colour under a frame: what was asked, what was answered, whether that is right."""
    names = [each.query for each in answers]
    if len(answers) == 1:
        return f'"{names[0]}"', _said(answers[0]), _colour(answers)
    seen = [each for each in answers if each.present(IN_VIEW)]
    mistaken = [each.query for each in answers if each.found and each.visible == 0]
    if seen:
        line = f"{sum(map(_is_right, seen))} of {len(seen)} in view found and pointed at"
    else:
        line = "none in view" if mistaken else "none in view, none found"
    if mistaken:
        line += f", by mistake {', '.join(mistaken)}"
    return "; ".join(names) if len(names) <= MOST_NAMED else f"{len(names)} queries at once", line, _colour(answers)


def _is_right(each: Row) -> bool:
    return each.found and bool(each.hit) if each.present(IN_VIEW) else not each.found


def _said(each: Row) -> str:
    said = f"score {each.score:.2f}"
    if not each.found:
        return f"not found, {said}"
    if each.x is None or each.y is None or each.z is None:
        return f"found, {said}, no 3D point: {each.reason}"
    error = "" if each.error_m is None else f", {100 * each.error_m:.1f} cm off"
    return f"found, {said}, {math.hypot(each.x, each.y, each.z):.2f} m away{error}"


def _colour(answers: Sequence[Row]) -> tuple[int, int, int]:
    """Green where every clear case is right, red where one is wrong, grey where nothing is clear."""
    clear = [each for each in answers if each.present(IN_VIEW) is not None]
    return pictures.NEUTRAL if not clear else pictures.GOOD if all(map(_is_right, clear)) else pictures.BAD


def chosen_frames(passes: Sequence[Pass], scored: Sequence[Sequence[Row]], truth: Truth) -> Iterator[pictures.Picture]:
    """Frames for the contact sheet: evenly spaced in time over the images that show something asked for."""
    for each, rows, count in zip(passes, scored, SHEET, strict=False):
        stamps = list(dict.fromkeys(one.stamp for one in rows if one.stamp in each.overlays))
        shown = [stamp for stamp in stamps if any(one.present(IN_VIEW) for one in rows if one.stamp == stamp)]
        stamps = shown or stamps
        picked = {stamps[int((index + 0.5) * len(stamps) / count)] for index in range(count) if stamps}
        for stamp in sorted(picked):
            yield frame(each.overlays[stamp], [one for one in rows if one.stamp == stamp], truth)


def frame_rate(truth: Truth) -> float:
    """Images per second of the recording."""
    stamps = sorted(truth.frames)
    return (len(stamps) - 1) / ((stamps[-1] - stamps[0]) / 1e9) if len(stamps) > 1 else 1.0


def write_targets(path: Path, passes: Sequence[Pass], scored: Sequence[Sequence[Row]]) -> None:
    """One line per image and query: pixels, metres, and the truth beside them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(TARGET_COLUMNS)
        for each, rows in zip(passes, scored, strict=True):
            for one in rows:
                head = each.title, one.stamp, one.query, int(one.found), one.score, one.threshold, one.reason
                table.writerow([*head, one.u, one.v, one.x, one.y, one.z, one.visible, int(bool(one.hit)), one.error_m])


def write_summary(path: Path, verdicts: Sequence[Sequence[Verdict]], timed: Timing) -> None:
    """All numbers as JSON; what could not be measured is null."""
    values = {
        "passes": [[dataclasses.asdict(each) for each in group] for group in verdicts],
        "timing": dataclasses.asdict(timed),
    }
    path.write_text(json.dumps(finite(values), indent=2) + "\n", encoding="utf-8")

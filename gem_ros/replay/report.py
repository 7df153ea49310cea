"""What came of a session: numbers, a table, and pictures, all from the node's own answers."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gem_ros.replay import pictures
from gem_ros.replay.observations import CameraTopics, read_observations
from gem_ros.replay.plot import write_plot
from gem_ros.replay.scoring import Scored, Verdict, best_answers, score, verdict
from gem_ros.replay.session import Pass, Timing, timing
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
    """Numbers of a session: the verdicts of each pass, the timing, and the files that were written."""

    verdicts: tuple[tuple[Verdict, ...], ...]
    timing: Timing
    files: tuple[Path, ...]


def write_report(
    bag: Path,
    truth: Truth,
    topics: CameraTopics,
    passes: Sequence[Pass],
    *,
    output: Path,
    progress: Callable[[float], None] = lambda share: None,
) -> Report:
    """Score ``passes`` against ``truth`` and write pictures, video, ``targets.csv`` and ``summary.json``."""
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
    progress(1.0)
    names = ("contact_sheet.png", "plot.png", "targets.csv", "summary.json")
    return Report(verdicts, timed, (video, *(output / name for name in names)))


def score_passes(bag: Path, truth: Truth, topics: CameraTopics, passes: Sequence[Pass]) -> list[list[Scored]]:
    """Every answer of every pass, scored, in order of the images; the recording is read once."""
    answers = [{result["stamp"]: best_answers(result) for _, result in each.answered()} for each in passes]
    scored: list[list[Scored]] = [[] for _ in passes]
    for observation in read_observations(bag, topics):
        if observation.stamp not in truth.frames:
            continue
        for collected, by_stamp in zip(scored, answers, strict=True):
            collected += [score(answer, truth, observation) for answer in by_stamp.get(observation.stamp, ())]
    return scored


def frames(each: Pass, scored: Sequence[Scored], truth: Truth) -> Iterator[pictures.Picture]:
    """The node's overlays of one pass, in order, each with what was answered and the truth."""
    by_stamp: dict[int, list[Scored]] = {}
    for one in scored:
        by_stamp.setdefault(one.answer.stamp, []).append(one)
    for stamp, answers in by_stamp.items():
        if stamp in each.overlays:
            yield frame(each.overlays[stamp], answers, truth)


def frame(overlay: bytes, answers: Sequence[Scored], truth: Truth) -> pictures.Picture:
    """One overlay with its caption; where one thing was asked, its truth is outlined."""
    picture = pictures.read_jpeg(overlay)
    if len(answers) == 1:
        for sighting in truth.visible(answers[0].answer.stamp, answers[0].answer.query):
            picture = pictures.outlined(picture, sighting.region(picture.shape[:2]))
    return pictures.captioned(picture, *caption(answers))


def caption(answers: Sequence[Scored]) -> tuple[str, str, tuple[int, int, int]]:
    """Title, line and colour under a frame: what was asked, what was answered, whether that is right."""
    names = [each.answer.query for each in answers]
    if len(answers) == 1:
        return f'"{names[0]}"', _said(answers[0]), _colour(answers)
    seen = [each for each in answers if each.in_view]
    mistaken = [each.answer.query for each in answers if each.answer.found and each.visible == 0]
    if seen:
        line = f"{sum(map(_is_right, seen))} of {len(seen)} in view found and pointed at"
    else:
        line = "none in view" if mistaken else "none in view, none found"
    if mistaken:
        line += f", by mistake {', '.join(mistaken)}"
    return "; ".join(names) if len(names) <= MOST_NAMED else f"{len(names)} queries at once", line, _colour(answers)


def _is_right(each: Scored) -> bool:
    return each.answer.found and each.hit if each.in_view else not each.answer.found


def _said(each: Scored) -> str:
    answer = each.answer
    said = f"score {answer.score:.2f}"
    if not answer.found:
        return f"not found, {said}"
    if answer.point is None:
        return f"found, {said}, no 3D point: {answer.reason}"
    error = f", {100 * each.error:.1f} cm off" if math.isfinite(each.error) else ""
    return f"found, {said}, {math.dist(answer.point, (0, 0, 0)):.2f} m away{error}"


def _colour(answers: Sequence[Scored]) -> tuple[int, int, int]:
    """Green where every clear case is right, red where one is wrong, grey where nothing is clear."""
    clear = [each for each in answers if each.in_view or each.visible == 0]
    return pictures.NEUTRAL if not clear else pictures.GOOD if all(map(_is_right, clear)) else pictures.BAD


def chosen_frames(
    passes: Sequence[Pass], scored: Sequence[Sequence[Scored]], truth: Truth
) -> Iterator[pictures.Picture]:
    """Frames for the contact sheet: evenly spaced in time over the images that show something asked for."""
    for each, answers, count in zip(passes, scored, SHEET, strict=False):
        stamps = list(dict.fromkeys(one.answer.stamp for one in answers if one.answer.stamp in each.overlays))
        shown = [stamp for stamp in stamps if any(one.in_view for one in answers if one.answer.stamp == stamp)]
        stamps = shown or stamps
        picked = {stamps[int((index + 0.5) * len(stamps) / count)] for index in range(count) if stamps}
        for stamp in sorted(picked):
            yield frame(each.overlays[stamp], [one for one in answers if one.answer.stamp == stamp], truth)


def frame_rate(truth: Truth) -> float:
    """Images per second of the recording."""
    stamps = sorted(truth.frames)
    return (len(stamps) - 1) / ((stamps[-1] - stamps[0]) / 1e9) if len(stamps) > 1 else 1.0


def write_targets(path: Path, passes: Sequence[Pass], scored: Sequence[Sequence[Scored]]) -> None:
    """One line per image and query: pixels, metres, and the truth beside them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(TARGET_COLUMNS)
        for each, answers in zip(passes, scored, strict=True):
            for one in answers:
                answer = one.answer
                pixel, point = answer.pixel or ("", ""), answer.point or ("", "", "")
                head = each.title, answer.stamp, answer.query, int(answer.found), answer.score, answer.threshold
                error = one.error if math.isfinite(one.error) else ""
                table.writerow([*head, answer.reason, *pixel, *point, one.visible, int(one.hit), error])


def write_summary(path: Path, verdicts: Sequence[Sequence[Verdict]], timed: Timing) -> None:
    """All numbers as JSON; what could not be measured is null."""
    values = {
        "passes": [[dataclasses.asdict(each) for each in group] for group in verdicts],
        "timing": dataclasses.asdict(timed),
    }
    path.write_text(json.dumps(_finite(values), indent=2) + "\n", encoding="utf-8")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

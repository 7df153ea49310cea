"""Which images a report shows, and how: the worst, the typical and the best answers.

They are chosen by rows alone and grounded once more, so that nothing is kept while a recording is evaluated.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gem_ros.config import Config
from gem_ros.data import Grounding, Observation, Query
from gem_ros.messages.overlay import draw
from gem_ros.replay import pictures
from gem_ros.replay.evaluate import Task
from gem_ros.replay.evaluation import Evaluation
from gem_ros.replay.observations import read_observations
from gem_ros.replay.report.numbers import length, percent
from gem_ros.replay.rows import Row
from gem_ros.replay.truth import Truth

if TYPE_CHECKING:
    from gem_ros.pipeline import Grounder

SIDE = 480  # px, longer side of a picture on the page
QUALITY = 80  # JPEG
APART = 500_000_000  # ns between two pictures of the same query
COUNTS = {"worst": 6, "typical": 3, "best": 3}
KINDS = {"worst": "Worst", "typical": "Typical", "best": "Best"}
RIGHT = 1.0  # an answer less bad than this is none to be ashamed of
TOLERABLE = 0.1  # m; an error from which 3D counts as all wrong in the order of right answers


@dataclass(frozen=True)
class Picture:
    """One picture of a report: ``kind`` is one of :data:`KINDS`, ``jpeg`` the file's bytes, the rest is text."""

    kind: str
    jpeg: bytes
    width: int
    height: int
    title: str
    line: str
    alt: str


def badness(row: Row, min_visible: float) -> float:
    """How wrong an answer is: 0 perfect, from :data:`RIGHT` on a mistake; NaN where there is nothing to see.

    Mistakes: something absent that is found, the surer the worse; something in view that is missed, the larger the
    worse; something else that is pointed at. Without truth: how near its score is to its threshold.
    """
    if row.visible is None:
        return max(0.0, RIGHT - 2 * (row.score - row.threshold)) / 2 if row.found else math.nan
    present = row.present(min_visible)
    if not present:  # what is absent and not found has nothing to show
        return 2.0 + row.score if row.found and present is False else math.nan
    if not row.found:
        return 2.0 + min(5 * row.visible, 1.0)
    if not row.hit:
        return 1.5
    off = 0.5 if row.error_m is None else min(row.error_m / TOLERABLE, 1.0)
    overlap = 0.5 if row.iou is None else row.iou
    return (off + 1.0 - overlap) / 2 * 0.99


def choose(rows: Sequence[Row], min_visible: float) -> list[tuple[str, Row]]:
    """(kind, row) of what to show: none twice, as many queries as there are, no neighbouring images of one query."""
    judged = sorted(
        (value, index) for index, row in enumerate(rows) if not math.isnan(value := badness(row, min_visible))
    )
    ordered = [rows[index] for _, index in judged]
    right, wrong = ([rows[index] for value, index in judged if (value < RIGHT) is good] for good in (True, False))
    middle = len(ordered) // 2
    around = itertools.chain.from_iterable(itertools.zip_longest(ordered[middle:], reversed(ordered[:middle])))
    orders: dict[str, Iterable[Row]] = {
        "worst": reversed(wrong or ordered),
        "best": right,
        "typical": (row for row in around if row is not None),
    }
    chosen: list[tuple[str, Row]] = []
    for kind, order in orders.items():
        chosen += [(kind, row) for row in _varied(list(order), COUNTS[kind], [row for _, row in chosen])]
    return chosen


def _varied(order: Sequence[Row], count: int, taken: Sequence[Row]) -> list[Row]:
    """The first ``count`` of ``order``, every query once before any comes twice."""
    picked: list[Row] = []
    for most in range(1, count + 1):
        for row in order:
            if len(picked) == count:
                return picked
            if sum(each.query == row.query for each in picked) < most and not any(
                _near(row, each) for each in (*picked, *taken)
            ):
                picked.append(row)
    return picked


def _near(one: Row, other: Row) -> bool:
    return (one.bag, one.query) == (other.bag, other.query) and abs(one.stamp - other.stamp) < APART


def ground_again(
    evaluation: Evaluation, task_of: Callable[[str], Task], load: Callable[[], Grounder]
) -> Iterator[Picture]:
    """The chosen rows' pictures with what the model answers to them, drawn as the node does, the truth outlined.

    ``task_of`` is asked by the recording's name for those that are shown, ``load`` for the model; each recording is
    read up to the last image that is shown. What was asked together is asked together again, each query from the
    score that it was found from then.
    """
    chosen = choose(evaluation.rows, evaluation.min_visible)
    grounder = load() if chosen else None
    for bag in dict.fromkeys(row.bag for _, row in chosen):
        task = task_of(bag)
        wanted: dict[int, list[Query]] = {row.stamp: [] for _, row in chosen if row.bag == bag}
        for row in evaluation.rows:
            if row.bag == bag and row.stamp in wanted:
                wanted[row.stamp].append(Query(row.query, row.threshold))
        for seen in read_observations(task.path, task.topics, task.config.sync_slop, problems=task.note):
            queries = wanted.pop(seen.stamp, None)
            if queries is not None and grounder is not None:
                found = _ground(grounder, seen, queries, task.config)
                for kind, row in chosen:
                    if (row.bag, row.stamp) == (bag, seen.stamp):
                        overlay = cv2.cvtColor(draw(seen.image, _only(found, row.query)), cv2.COLOR_BGR2RGB)
                        yield _picture(kind, row, np.asarray(overlay, np.uint8), task.truth, evaluation)
            if not wanted:
                break


def from_overlays(
    evaluation: Evaluation, overlays: Mapping[tuple[str, int], bytes], truths: Mapping[str, Truth]
) -> Iterator[Picture]:
    """The chosen rows' pictures as the node drew them: ``overlays`` (JPEG) by the recording's name and stamp.

    What was asked in passes of its own has other names: those of the rows.
    """
    shown = [row for row in evaluation.rows if (row.bag, row.stamp) in overlays]
    for kind, row in choose(shown, evaluation.min_visible):
        overlay = pictures.read_jpeg(overlays[row.bag, row.stamp])
        yield _picture(kind, row, overlay, truths.get(row.bag), evaluation)


def _ground(grounder: Grounder, seen: Observation, queries: Sequence[Query], config: Config) -> Grounding:
    return grounder.ground(
        grounder.encode_image(seen.image, config=config),
        queries,
        image=seen.image,
        depth=seen.depth,
        camera=seen.camera,
        missing=seen.missing,
        config=config,
    )


def _only(grounding: Grounding, query: str) -> Grounding:
    return dataclasses.replace(grounding, targets=tuple(each for each in grounding.targets if each.query == query))


def _picture(kind: str, row: Row, picture: pictures.Picture, truth: Truth | None, evaluation: Evaluation) -> Picture:
    height, width = picture.shape[:2]
    sightings = truth.visible(row.stamp, row.query) if truth is not None and row.stamp in truth.frames else ()
    for sighting in sightings:
        picture = pictures.outlined(picture, sighting.region((height, width)))
    scale = min(SIDE / max(height, width), 1.0)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    line, title = describe(row, evaluation.min_visible), f"{row.query}, {_when(row, evaluation)}"
    outlined = "; the truth is outlined in white" if sightings else ""
    return Picture(kind, data.tobytes(), *size, title, line, f"Camera image asked for {row.query}: {line}{outlined}")


def _when(row: Row, evaluation: Evaluation) -> str:
    """Seconds into the recording, named where there are several."""
    start = next((each.start for each in evaluation.inputs if each.name == row.bag), row.stamp)
    return f"{(row.stamp - start) / 1e9:.1f} s" + (f", {row.bag}" if len(evaluation.inputs) > 1 else "")


def describe(row: Row, min_visible: float) -> str:
    """What was answered and whether that is right, in a line."""
    score = f"score {row.score:.2f}, threshold {row.threshold:.2f}"
    if row.visible is None:
        return f"{'found' if row.found else 'not found'}; {score}"
    if row.present(min_visible) is False:
        return f"{'found, but not there' if row.found else 'rightly not found'}; {score}"
    fills = f"{percent(row.visible)} of the image"
    if not row.found:
        return f"missed; {score}; {fills}"
    error = "" if row.error_m is None else f", {length(row.error_m)} off"
    return f"{'found' if row.hit else 'found, but points beside it'}{error}; {score}; {fills}"

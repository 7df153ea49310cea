"""One recording, every image once and in order, and what was answered: the same rows whenever it is asked."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gem_ros.config import Config, replace
from gem_ros.data import Grounding, Observation, Query
from gem_ros.errors import BagError, GemError
from gem_ros.geometry.frames import in_frame
from gem_ros.geometry.tracking import Tracker
from gem_ros.messages.result import result
from gem_ros.replay import bag
from gem_ros.replay.evaluation import Input
from gem_ros.replay.observations import CameraTopics, camera_topics, read_observations, world_frame
from gem_ros.replay.rows import Row
from gem_ros.replay.scoring import Maps, aligned, best_answers, row
from gem_ros.replay.settings import Settings, fingerprint
from gem_ros.replay.stability import Seen, agreement, seen
from gem_ros.replay.truth import FILE, Truth, load_truth

if TYPE_CHECKING:
    from gem_ros.pipeline import Grounder

MOST_PROBLEMS = 100  # different lines that are kept of a recording
Watch = Callable[[Observation, Grounding], None]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """The rows of one recording, ordered by stamp of arrival and query; ``timing`` in s depends on the machine."""

    input: Input
    rows: list[Row]
    timing: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Task:
    """A recording with what is known of it before the first image; ``absent`` queries are nowhere in view.

    ``config``: with the recording's fixed frame as ``target_frame``, where it has one and none is set.
    """

    path: Path
    config: Config
    topics: CameraTopics
    truth: Truth | None
    queries: tuple[Query, ...]
    absent: frozenset[str]
    problems: Counter[str] = field(default_factory=Counter)

    def note(self, line: str) -> None:
        """Remember a problem; of too many different ones the first."""
        if line in self.problems or len(self.problems) < MOST_PROBLEMS:
            self.problems[line] += 1

    def lines(self) -> tuple[str, ...]:
        """The problems, once each, with how often they came."""
        return tuple(line if count == 1 else f"{line} ({count} times)" for line, count in self.problems.items())


@dataclass(frozen=True, eq=False)
class Step:
    """One image and its answers: ``grounding`` with tracks, points in ``frame_id``; ``before`` and ``now``: what was
    found in the image before it and in this one."""

    observation: Observation
    grounding: Grounding
    frame_id: str
    before: Seen | None
    now: Seen


def prepare(path: Path, settings: Settings) -> Task:
    """Read all that can be wrong before a model is needed; :class:`GemError`."""
    problems: Counter[str] = Counter()
    topics = camera_topics(
        path,
        image=settings.image_topic,
        depth=settings.depth_topic,
        camera_info=settings.camera_info_topic,
        pose=settings.pose_topic,
        problems=lambda line: problems.update([line]),
    )
    file = truth_file(path, settings.truth)
    truth = None if file is None else load_truth(file)
    queries = settings.queries or tuple(map(Query, (*truth.queries, *truth.absent_queries) if truth else ()))
    queries = tuple({each.text: each for each in (*queries, *settings.absent)}.values())
    if not queries:
        raise BagError(f"{path}: expected queries, got none and no {FILE} beside it; give --queries 'red mug; door'")
    absent = {each.text for each in settings.absent} | set(truth.absent_queries if truth else ())
    config = settings.config
    if not config.target_frame and (world := world_frame(path, topics, config.sync_slop)):
        config = replace(config, {"target_frame": world, "pose_source": "topic"})
    return Task(path, config, topics, truth, queries, frozenset(absent), problems)


def reproducible(settings: Settings) -> Settings:
    """With fp32 where the precision is ``auto`` on a CPU: nothing is left to what is fastest there at the moment."""
    from gem_ros.core.runtime import select_device

    config = settings.config
    if config.precision != "auto" or select_device(config.device).type != "cpu":
        return settings
    return dataclasses.replace(settings, config=replace(config, {"precision": "fp32"}))


def truth_file(path: Path, given: Path | None) -> Path | None:
    """The truth that belongs to a recording: the one given, or ``truth.json`` beside it, or none."""
    beside = (path if path.is_dir() else path.parent) / FILE
    return given or (beside if beside.is_file() else None)


def inputs_hash(path: Path, settings: Settings) -> str:
    """:func:`fingerprint` of a recording and its truth."""
    return fingerprint(path, truth_file(path, settings.truth))


def evaluate_bag(
    path: Path,
    settings: Settings,
    name: str = "",
    *,
    sha256: str = "",
    watch: Watch | None = None,
    progress: Callable[[int, float], None] = lambda images, share: None,
) -> Evaluated:
    """The rows of the recording at ``path``, called ``name`` in them: a function of its bytes and ``settings``.

    ``watch`` is given each image with its grounding, as the node would publish it; ``progress`` the number of images
    and the share of the recording done. Nothing but rows is kept. :class:`GemError` where the recording or the model
    cannot be used; what cannot be read of it is said in ``input.problems``. ``sha256`` is :func:`inputs_hash`, where
    it is known already.
    """
    begin, settings = time.monotonic(), reproducible(settings)
    task, name = prepare(path, settings), name or path.name
    grounder = load_grounder(settings.config)
    loaded, (first, last) = time.monotonic(), bag.time_range(path, task.note)
    rows: list[Row] = []
    stamps: list[int] = []
    for step in steps(grounder, task, settings.every):
        rows += step_rows(name, task, step)
        stamps.append(step.observation.stamp)
        if watch is not None:
            watch(step.observation, step.grounding)
        progress(len(stamps), min(max((stamps[-1] - first) / max(last - first, 1), 0.0), 1.0))
    seconds = {"load_s": loaded - begin, "evaluate_s": time.monotonic() - loaded}
    return Evaluated(describe(task, name, sha256 or inputs_hash(path, settings), stamps), rows, seconds)


def describe(task: Task, name: str, sha256: str, stamps: Collection[int]) -> Input:
    """The recording as evaluated: its images had ``stamps``."""
    if not stamps:
        task.note(f"{task.path}: expected images, got none that can be evaluated")
    start, end = min(stamps, default=0), max(stamps, default=0)
    return Input(name, str(task.path), sha256, task.topics.describe(), len(stamps), start, end, task.lines())


@lru_cache(maxsize=1)
def load_grounder(config: Config) -> Grounder:
    """Loaded once per process."""
    from gem_ros.pipeline import Grounder  # here: reports of what the node said need no PyTorch

    return Grounder.load(config=config)


def steps(grounder: Grounder, task: Task, every: int = 1) -> Iterator[Step]:
    """Every image, or each ``every``-th, as the node would answer it, one after the other."""
    config, tracker, before = task.config, Tracker(), None
    images = read_observations(
        task.path, task.topics, config.sync_slop, target_frame=config.target_frame, problems=task.note
    )
    for observation in map(aligned, islice(images, None, None, every)):
        try:
            found = _ground(grounder, task, observation, tracker)
        except GemError as error:
            task.note(str(error))
            continue
        now = seen(observation, found)
        placed = found
        if config.target_frame:
            pose = observation.pose if observation.pose and observation.pose.frame_id == config.target_frame else None
            placed = dataclasses.replace(found, targets=tuple(in_frame(each, pose) for each in found.targets))
        tracked = tracker.update(placed, observation.stamp, task.queries, config)
        yield Step(observation, tracked, config.target_frame or observation.frame_id, before, now)
        before = now


def _ground(grounder: Grounder, task: Task, observation: Observation, tracker: Tracker) -> Grounding:
    """What is found, in the camera's frame."""
    found = grounder.ground(
        grounder.encode_image(observation.image, config=task.config),
        tracker.asked(task.queries, task.config),
        image=observation.image,
        depth=observation.depth,
        camera=observation.camera,
        missing=observation.missing,
        config=task.config,
    )
    for line in found.problems:
        task.note(line)
    return found


def step_rows(name: str, task: Task, step: Step) -> Iterator[Row]:
    """A row for each query, of what the node would say in ``~/result``."""
    said = result(step.grounding, step.observation.stamp, step.frame_id, 0, 0.0)
    nothing = np.zeros(step.observation.image.shape[:2], bool)
    for index, answer in enumerate(best_answers(said)):
        maps = Maps(step.now.regions.get(index, nothing), partial(_relevancy, step.grounding, index))
        agree = agreement(step.before, step.now, index)
        found = row(name, answer, step.observation, task.truth, absent=task.absent, maps=maps)
        yield dataclasses.replace(found, overlap=agree.overlap, moved_m=agree.moved)


def _relevancy(grounding: Grounding, index: int) -> npt.NDArray[np.float32]:
    """(H, W) of one query, without those of all the others."""
    relevancy: npt.NDArray[np.float32] = grounding.upsample(grounding.patch_relevancy[index : index + 1])[0]
    return relevancy

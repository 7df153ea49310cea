"""Part ``queries``: what a query costs once the image's features are there, and what a new one costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch

from gem_ros.benchmarks.inference import await_compilation
from gem_ros.benchmarks.results import Measurement
from gem_ros.benchmarks.subject import texts
from gem_ros.benchmarks.timing import Progress, Work, in_turns, ratio
from gem_ros.data import Observation, Query
from gem_ros.pipeline import Grounder

COUNTS = (1, 8, 64)
IN_VIEW, ABSENT = 0.0, 1.0  # thresholds: whatever the model says, the first is found and the others are not


def measure(
    grounder: Grounder, scene: Observation, queries: int, seconds: float, progress: Progress
) -> Iterator[Measurement]:
    """Similarity and targets of 1, 8 and 64 cached queries on an image with depth, and of a new one.

    No full-size map is asked for. Of the queries the first is in view, so that the same targets are made.
    """
    cuda = grounder.device.type == "cuda"
    finish = torch.cuda.synchronize if cuda else (lambda: None)
    grounder.encode_image(scene.image)
    await_compilation(grounder)
    features = grounder.encode_image(scene.image)
    fresh = texts()
    known = [next(fresh) for _ in range(max(COUNTS))]
    asked = [Query(known[0], IN_VIEW), *(Query(each, ABSENT) for each in known[1:])]

    def ground(queries: Sequence[Query]) -> object:
        return grounder.ground(features, queries, image=scene.image, depth=scene.depth, camera=scene.camera)

    works: dict[str, Work] = {str(count): partial(ground, asked[:count]) for count in COUNTS}
    works["in view"] = partial(ground, [Query(each, IN_VIEW) for each in known[:queries]])
    times = in_turns(works, seconds, finish=finish, progress=lambda share: progress(share / 2))
    for count in COUNTS:
        what = f"similarity and targets of {count} cached {'query' if count == 1 else 'queries, one of them in view'}"
        yield Measurement(f"queries.cached.{count}", times[str(count)].wall_ms(50), "ms", "lower", what)
    growth = ratio(times["64"], times["1"], cpu=not cuda)
    yield Measurement("queries.ratio.64", growth, "x", "lower", "64 cached queries, in times of one")
    what = f"similarity and targets of {queries} cached queries, all in view"
    yield Measurement("queries.in_view", times["in view"].wall_ms(50), "ms", "lower", what)

    works = {
        "forward": lambda: grounder.encode_image(scene.image),
        "text": lambda: grounder.text.embed([next(fresh)]),
        "new": lambda: ground([*asked[: queries - 1], Query(next(fresh), ABSENT)]),
    }
    times = in_turns(works, seconds, finish=finish, progress=lambda share: progress((1 + share) / 2))
    yield Measurement("queries.text", times["text"].wall_ms(50), "ms", "lower", "encoding one text")
    what = f"answer to {queries} queries, one of them new, on a live image"
    yield Measurement("queries.new", times["new"].wall_ms(50), "ms", "lower", what)
    forward, text, new = (
        times[name].wall_ms(50) if cuda else times[name].cpu_ms for name in ("forward", "text", "new")
    )
    what = f"of it beyond the text, in forwards of the model, by {'wall' if cuda else 'CPU'} time"
    yield Measurement("queries.new.share", 100 * (new - text) / forward, "%", "lower", what)

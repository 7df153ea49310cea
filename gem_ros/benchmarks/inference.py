"""Part ``model``: how fast images become features, beside the published algorithm, and how equal to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gem_ros.benchmarks.published import Published, agreement
from gem_ros.benchmarks.reference import no_form
from gem_ros.benchmarks.results import Measurement
from gem_ros.benchmarks.subject import square
from gem_ros.benchmarks.timing import Progress, Times, in_turns, ratio
from gem_ros.core.encoder import input_size
from gem_ros.core.runtime import select_precision
from gem_ros.core.similarity import similarity_maps
from gem_ros.pipeline import Grounder

Images = Sequence[npt.NDArray[np.uint8]]
COMPILATION = 300.0  # s that a compilation in the background may take
MiB = 2**20
SPEEDUPS = {
    "fp32": "faster than the published algorithm in fp32",
    "published": "faster than it with its texts encoded for every image",
    "half": "faster than it in half precision",
}


def measure(
    grounder: Grounder,
    images: Images,
    queries: list[str],
    batches: Sequence[int],
    seconds: float,
    *,
    progress: Progress,
    note: Callable[[str], None],
) -> Iterator[Measurement]:
    """Latency, throughput, the published algorithm beside it, and how far the results agree.

    ``images`` (H, W, 3) uint8 RGB are cut to the model's input first, so that neither side resizes. ``note`` is told
    why the published algorithm is left out, where it is.
    """
    cuda, size = grounder.device.type == "cuda", grounder.image_size(grounder.config)
    images = [square(each, size) for each in images]
    finish = torch.cuda.synchronize if cuda else (lambda: None)
    grounder.encode_image(images[0])
    await_compilation(grounder)
    steps = 2 + len(batches)

    def part(step: int) -> Progress:
        return lambda share: progress((step + share) / steps)

    if cuda:
        torch.cuda.reset_peak_memory_stats()
    alone = in_turns({"": lambda: grounder.encode_image(images[0])}, seconds, finish=finish, progress=part(0))[""]
    yield from _latencies(alone)
    if cuda:
        peak = torch.cuda.max_memory_allocated() / MiB
        yield Measurement("model.gpu_memory", peak, "MiB", "lower", "most GPU memory of the model at batch 1")
    for step, batch in enumerate(batches, 1):
        stack = [images[index % len(images)] for index in range(batch)]
        encode = partial(grounder.encode_images, stack)
        encode()
        await_compilation(grounder)  # for this batch
        many = in_turns({"": encode}, seconds, finish=finish, progress=part(step))[""]
        rate = batch / float(np.median(many.wall))
        yield Measurement(f"model.throughput.{batch}", rate, "images/s", "higher", f"throughput at batch {batch}")
    if grounder.config.method == "gem":  # what is published is GEM
        exact = Published(grounder, torch.float32)
        if missing := no_form(exact.model.clip.visual):
            note(f"{missing}: it was not measured beside it")
            return
        yield from _beside(grounder, exact, images, queries, seconds, finish=finish, progress=part(steps - 1))


def await_compilation(grounder: Grounder) -> None:
    """Until what compiles in the background has come into use, or has failed."""
    deadline = time.monotonic() + COMPILATION
    while grounder.status["compile"].startswith("eager, compiling") and time.monotonic() < deadline:
        time.sleep(0.1)


def _latencies(alone: Times) -> Iterator[Measurement]:
    for percentile in (50, 95, 99):
        name, what = f"model.latency.p{percentile}", "image to features, batch 1"
        yield Measurement(name, alone.wall_ms(percentile), "ms", "lower", what)
    yield Measurement("model.cpu_time", alone.cpu_ms, "ms", "lower", "CPU time of it, all cores")


def _beside(
    grounder: Grounder,
    exact: Published,
    images: Images,
    queries: list[str],
    seconds: float,
    *,
    finish: Callable[[], object],
    progress: Progress,
) -> Iterator[Measurement]:
    """In pairs: image to the cosines of all queries, texts cached on both sides unless said."""
    cuda = grounder.device.type == "cuda"
    side = input_size((1, 1), images[0].shape[0], exact.model.patch_size)[0]
    images = [square(each, side) for each in images]
    text = grounder.text.embed(queries)
    works: dict[str, Callable[[], object]] = {
        "ours": lambda: similarity_maps(grounder.encode_image(images[0]).tokens, text),
        "fp32": lambda: exact.maps(images[0], text),
        "published": lambda: exact.maps(images[0], exact.encode(queries)),
    }
    if cuda:
        half = Published(grounder, select_precision("auto", grounder.device))
        works["half"] = lambda: half.maps(images[0], text)
    times = in_turns(works, 2 * seconds, finish=finish, progress=progress)
    ours, theirs = times["ours"].wall_ms(50), times["fp32"].wall_ms(50)
    yield Measurement("model.pair.ours", ours, "ms", "lower", "image to the cosines of all queries")
    yield Measurement(
        "model.pair.published", theirs, "ms", "neither", "the published algorithm in fp32, in turns with it"
    )
    for name, what in SPEEDUPS.items():
        if name in times:
            by, value = "wall" if cuda else "CPU", ratio(times[name], times["ours"], cpu=not cuda)
            yield Measurement(f"model.speedup.{name}", value, "x", "higher", f"{what}, by {by} time in pairs")
    yield from agreement(*zip(*_both(grounder, exact, images, text), strict=True))


def _both(grounder: Grounder, exact: Published, images: Images, text: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Per image: our tokens, theirs, our cosines, theirs."""
    for rgb in images:
        tokens = grounder.encode_image(rgb).tokens
        theirs, cosines = exact.maps(rgb, text)
        yield tokens, theirs, similarity_maps(tokens, text), cosines

"""What is measured: a model with its weights, pictures to look at and texts to look for."""

from __future__ import annotations

import itertools
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from gem_ros.errors import ModelError
from gem_ros.models import BUNDLED
from gem_ros.replay.observations import read_observations
from gem_ros.replay.truth import load_truth
from gem_ros.resources import resource

if TYPE_CHECKING:
    from gem_ros.data import Observation

RANDOM = "random"
# Words that the bundled model knows, too.
COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "white", "black", "cyan", "pink", "brown", "gray")
KINDS = ("ball", "cube", "mug", "bottle", "cone", "cylinder", "ring", "pyramid", "chair", "table")
SAMPLE = "data/tabletop"
EVERY = 10  # of the sample recording's images


def texts() -> Iterator[str]:
    """Different things to look for, thousands: the sample recording's, other colours, then pairs of them."""
    shown = load_truth(resource(SAMPLE)).queries
    things = dict.fromkeys([*shown, *(f"{colour} {kind}" for kind in KINDS for colour in COLOURS)])
    yield from things
    yield from (f"{one} {other}" for one, other in itertools.permutations(things, 2))


def scenes() -> list[Observation]:
    """Some observations of the sample recording: colour, depth, camera."""
    return list(itertools.islice(read_observations(resource(SAMPLE)), 0, None, EVERY))


def square(rgb: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """The middle of a picture as (size, size, 3): exactly what a ViT is fed, so that nobody has to resize."""
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    middle = rgb[top : top + side, left : left + side]
    return np.asarray(cv2.resize(middle, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def is_random(model: str, pretrained: str) -> bool:
    """Whether weights are to be drawn; the bundled model has its own."""
    return pretrained == RANDOM and model != BUNDLED


@contextmanager
def weights(model: str, pretrained: str) -> Iterator[str]:
    """``pretrained`` as every loader takes it; ``random`` is drawn (seed 0) into a file that is there meanwhile.

    A speed does not depend on the weights; what is found with random ones means nothing.
    """
    if not is_random(model, pretrained):
        yield pretrained
        return
    with tempfile.TemporaryDirectory(prefix="gem_ros_bench_") as folder:
        path = Path(folder) / f"{RANDOM}.safetensors"
        _draw(model, path)
        yield str(path)


def _draw(model: str, path: Path) -> None:
    import open_clip
    import torch
    from safetensors.torch import save_file

    if model not in open_clip.list_models():
        raise ModelError(f"model: expected 'bundled' or an open_clip architecture, got {model!r}; see gem-ros models")
    logging.disable(logging.WARNING)  # open_clip's, that the weights are random
    try:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            tensors = open_clip.create_model(model, load_weights=False).state_dict()
    finally:
        logging.disable(logging.NOTSET)
    # fp16 as published weights are; cloned, for safetensors refuses shared memory
    save_file({name: tensor.half().clone().contiguous() for name, tensor in tensors.items()}, path)

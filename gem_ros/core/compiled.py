"""Eager first, compiled in the background, swapped in once it is ready and gives the same."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue

import torch
from torch import Tensor

from gem_ros.core.encoder import DenseEncoder
from gem_ros.core.runtime import COSINE, cosine
from gem_ros.errors import ModelError

Step = Callable[[Tensor], Tensor]
MAX_SHAPES = 8  # input shapes compiled; each holds its own memory on the GPU
logger = logging.getLogger(__name__)


class CompiledEncoder:
    """A :class:`DenseEncoder` as a function of pixels (B, 3, H, W), faster for shapes that come again.

    The first image of a shape runs eagerly while a thread compiles that shape; ``compile`` makes the faster
    step of the encoder and pixels. What it makes is used only if every token keeps its direction (cosine >=
    :data:`COSINE`). A failure is logged once and leaves everything eager. ``status`` is a line for diagnostics.
    Any thread may call; ``running`` is held meanwhile, and while a GPU's work is recorded.
    """

    def __init__(self, encoder: DenseEncoder, compile: Callable[[DenseEncoder, Tensor, threading.Lock], Step]) -> None:
        self.status = "eager"
        self._encoder, self._compile = encoder, compile
        self._running = threading.Lock()
        self._steps: dict[torch.Size, Step | None] = {}  # None: not there yet
        self._wanted: SimpleQueue[Tensor] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._failed = False

    def __call__(self, pixels: Tensor) -> Tensor:
        """As :meth:`DenseEncoder.forward`."""
        with self._running:
            step = self._steps.get(pixels.shape)
            if step is not None:
                return step(pixels)
            if pixels.shape not in self._steps and len(self._steps) < MAX_SHAPES and not self._failed:
                self._steps[pixels.shape] = None
                self._want(pixels)
            tokens: Tensor = self._encoder(pixels)
            return tokens

    def _want(self, pixels: Tensor) -> None:
        self.status = f"eager, compiling for {_named(pixels)}"
        self._wanted.put(pixels.clone())
        if self._thread is None:
            # a daemon: nobody who ends the program waits for a compiler
            self._thread = threading.Thread(target=self._run, name="compile", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._failed:
            pixels = self._wanted.get()
            try:
                with torch.inference_mode():  # as the caller: other modes would be compiled anew
                    self._steps[pixels.shape] = self._checked(pixels)
                self.status = f"compiled for {_named(pixels)}"
            except Exception as error:  # whatever a compiler raises: eager works
                self._failed = True
                reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
                self.status = f"eager: compiling failed, {reason}"
                logger.warning("compile: going on without, %s; set compile to off to be quiet", reason)

    def _checked(self, pixels: Tensor) -> Step:
        step = self._compile(self._encoder, pixels, self._running)
        with self._running:
            found = cosine(self._encoder(pixels), step(pixels))
        if not found >= COSINE:
            raise ModelError(f"expected a cosine of {COSINE:g} to the eager features, got {found:.4f}")
        return step


def compile_for(device: torch.device) -> Callable[[DenseEncoder, Tensor, threading.Lock], Step]:
    """What makes an encoder faster on ``device``: torch.compile, and on a GPU one CUDA graph around it."""
    return _graphed if device.type == "cuda" else _compiled


def _compiled(encoder: DenseEncoder, pixels: Tensor, running: threading.Lock) -> Step:
    """torch.compile for exactly this shape; the position embedding is resized outside, once."""
    function = torch.compile(encoder.tokens, dynamic=False)
    position = encoder.position(pixels)

    def step(pixels: Tensor) -> Tensor:
        tokens: Tensor = function(pixels, position)
        return tokens

    step(pixels)  # compiles
    return step


def _graphed(encoder: DenseEncoder, pixels: Tensor, running: threading.Lock) -> Step:
    """The compiled step recorded as a CUDA graph, so that a forward is one launch."""
    with torch.cuda.device(pixels.device):
        step = _compiled(encoder, pixels, running)
        given = pixels.clone()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        with running:  # nothing else is launched while this is recorded
            torch.cuda.synchronize()
            with torch.cuda.stream(stream):
                for _ in range(3):
                    step(given)
            stream.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                made = step(given)

    def replay(pixels: Tensor) -> Tensor:
        given.copy_(pixels)
        graph.replay()
        return made.clone()

    return replay


def _named(pixels: Tensor) -> str:
    batch, _, height, width = pixels.shape
    return f"{batch} x {width}x{height} px"

"""Eager first, then what a compiler made, if it gives the same; tried with compilers of the tests' own."""

import threading

import pytest
import torch
from open_clip.transformer import VisionTransformer

from gem_ros.core import compiled
from gem_ros.core.compiled import MAX_SHAPES, CompiledEncoder, compile_for
from gem_ros.core.encoder import DenseEncoder


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    visual = VisionTransformer(32, 8, 32, 3, 2, 2.0, output_dim=12)
    return DenseEncoder(visual.eval().requires_grad_(False), blocks=2).eval()


def pixels(height=32, width=32):
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))


class Compiler:
    """Makes a step that counts its uses and gives ``result(tokens)``, once it is allowed to."""

    def __init__(self, result=lambda tokens: tokens):
        self.allowed, self.used, self.made, self.result = threading.Event(), 0, [], result

    def __call__(self, encoder, pixels, running):
        assert self.allowed.wait(60)
        self.made.append(tuple(pixels.shape))

        def step(pixels):
            self.used += 1
            return self.result(encoder(pixels))

        return step


def finished(encoder):
    """Wait until nothing is being compiled."""
    for _ in range(6000):
        if "compiling for" not in encoder.status:
            return encoder.status
        threading.Event().wait(0.01)
    raise AssertionError(encoder.status)


@torch.inference_mode()
def test_eager_until_the_compiled_step_is_ready(encoder):
    compiler = Compiler()
    fast = CompiledEncoder(encoder, compiler)
    assert fast.status == "eager"
    expected = encoder(pixels())
    for _ in range(3):
        torch.testing.assert_close(fast(pixels()), expected)
    assert (fast.status, compiler.used) == ("eager, compiling for 1 x 32x32 px", 0)
    compiler.allowed.set()
    assert finished(fast) == "compiled for 1 x 32x32 px"
    before = compiler.used
    torch.testing.assert_close(fast(pixels()), expected)
    assert (compiler.used, compiler.made) == (before + 1, [(1, 3, 32, 32)])


@torch.inference_mode()
def test_every_shape_gets_its_own_step_up_to_a_bound(encoder):
    compiler = Compiler()
    compiler.allowed.set()
    fast = CompiledEncoder(encoder, compiler)
    for rows in range(1, MAX_SHAPES + 3):
        assert fast(pixels(8 * rows, 16)).shape == (1, 2 * rows, 12)
        finished(fast)
    assert len(compiler.made) == len(set(compiler.made)) == MAX_SHAPES


@pytest.mark.parametrize("broken", [lambda tokens: tokens.flip(1), lambda tokens: tokens * torch.nan])
@torch.inference_mode()
def test_a_step_that_gives_something_else_is_never_used(encoder, broken, caplog):
    compiler = Compiler(broken)
    compiler.allowed.set()
    fast = CompiledEncoder(encoder, compiler)
    fast(pixels())
    assert finished(fast).startswith("eager: compiling failed, expected a cosine of 0.999 to the eager features, got")
    for height in (32, 16):  # neither this shape nor another
        torch.testing.assert_close(fast(pixels(height)), encoder(pixels(height)))
    assert (compiler.used, len(compiler.made)) == (1, 1)
    assert len([each for each in caplog.records if each.name == compiled.__name__]) == 1


@torch.inference_mode()
def test_a_compiler_that_fails_is_told_in_one_line(encoder, caplog):
    def fail(*given):
        raise RuntimeError("no C++ compiler\nTraceback of a hundred lines")

    fast = CompiledEncoder(encoder, fail)
    fast(pixels())
    assert finished(fast) == "eager: compiling failed, no C++ compiler"
    torch.testing.assert_close(fast(pixels()), encoder(pixels()))
    assert [each.message for each in caplog.records if each.name == compiled.__name__] == [
        "compile: going on without, no C++ compiler; set compile to off to be quiet"
    ]


@torch.inference_mode()
def test_the_whole_encoder_is_one_graph_for_the_compiler(encoder, monkeypatch):
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    original = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function, **how: original(function, backend=backend, fullgraph=True, **how)
    )
    fast = CompiledEncoder(encoder, compile_for(torch.device("cpu")))
    fast(pixels())
    assert finished(fast) == "compiled for 1 x 32x32 px"
    other = 0.5 * pixels()
    torch.testing.assert_close(fast(other), encoder(other))
    assert len(graphs) == 1


@pytest.mark.gpu
@pytest.mark.parametrize("batch", [1, 4])
@torch.inference_mode()
def test_a_cuda_graph_gives_what_eager_gives(encoder, batch):
    encoder = encoder.to("cuda", torch.bfloat16)
    fast = CompiledEncoder(encoder, compile_for(torch.device("cuda")))
    images = torch.randn(batch, 3, 32, 32, device="cuda")
    fast(images)
    assert finished(fast) == f"compiled for {batch} x 32x32 px"
    first, second = fast(images).clone(), fast(2 * images)
    assert compiled.cosine(first, encoder(images)) > 0.999
    assert compiled.cosine(second, encoder(2 * images)) > 0.999

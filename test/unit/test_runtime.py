"""How a CPU's way is chosen: by measurement, never bf16 without units for it, never at the features' cost."""

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import torch
from open_clip.transformer import VisionTransformer

from gem_ros.core import attention, runtime
from gem_ros.core.encoder import DenseEncoder
from gem_ros.core.runtime import agrees, fastest, fit_to_cpu, has_bf16_units, is_out_of_memory

MAKE = partial(DenseEncoder, method="gem", blocks=2)


@pytest.fixture
def visual():
    torch.manual_seed(0)
    shape = {"image_size": 32, "patch_size": 8, "width": 64, "layers": 3, "heads": 2, "mlp_ratio": 2.0}
    return VisionTransformer(**shape, output_dim=32).eval().requires_grad_(False)


@pytest.fixture
def measured(monkeypatch):
    """Pretend that the ways take these seconds; yields what they are."""
    seconds = []
    monkeypatch.setattr(runtime, "_measure", lambda ways: [second for _, second in zip(ways, seconds, strict=True)])
    monkeypatch.setattr(runtime, "has_bf16_units", lambda: True)
    return seconds


def test_the_usual_way_stays_unless_another_is_clearly_faster():
    assert fastest([1.0, 0.95, 2.0]) == 0
    assert fastest([1.0, 0.8, 0.7]) == 2
    assert fastest([1.0]) == 0


@pytest.mark.parametrize(
    ("seconds", "free", "chosen"),
    [
        ([1.0, 2.0, 3.0, 3.0], True, (torch.float32, attention.fused)),
        ([2.0, 1.0, 3.0, 3.0], True, (torch.float32, attention.explicit)),
        ([2.0, 2.0, 1.5, 1.0], True, (torch.bfloat16, attention.explicit)),
        ([2.0, 1.0], False, (torch.float32, attention.explicit)),
    ],
)
def test_what_measures_fastest_is_taken(visual, measured, caplog, *, seconds, free, chosen):
    measured += seconds
    with caplog.at_level(logging.INFO):
        encoder = fit_to_cpu(MAKE, visual, 17, free=free)
    assert (encoder.dtype, encoder.attend) == chosen
    assert encoder.blocks == 2
    assert visual.conv1.weight.dtype == torch.float32  # the caller's own stays as it is
    (line,) = [record.message for record in caplog.records if record.name == runtime.__name__]
    assert line.startswith(f"CPU: {runtime.precision_name(chosen[0])}, {chosen[1].__name__} attention (fp32 fused")
    assert ("bf16" in line) == free


def test_a_precision_that_changes_the_features_is_not_taken(visual, measured, monkeypatch, caplog):
    measured += [2.0, 1.0, 0.1, 0.1]
    monkeypatch.setattr(runtime, "agrees", lambda plain, other: False)
    with caplog.at_level(logging.INFO):
        encoder = fit_to_cpu(MAKE, visual, 17, free=True)
    assert (encoder.dtype, encoder.attend) == (torch.float32, attention.explicit)
    assert "bf16 changes the features too much" in caplog.text


def test_a_precision_that_was_asked_for_is_kept(visual, measured):
    measured += [1.0, 2.0]
    assert fit_to_cpu(MAKE, visual.to(torch.bfloat16), 17, free=False).dtype == torch.bfloat16


def test_the_real_measurement_chooses_something_that_works(visual):
    encoder = fit_to_cpu(MAKE, visual, 17, free=True)
    assert agrees(MAKE(visual), encoder)


def test_other_weights_do_not_agree(visual):
    other = VisionTransformer(32, 8, 64, 3, 2, 2.0, output_dim=32).eval().requires_grad_(False)
    assert agrees(MAKE(visual), MAKE(visual, attend=attention.explicit))
    assert not agrees(MAKE(visual), MAKE(other))
    other.proj.fill_(torch.nan)
    assert not agrees(MAKE(visual), MAKE(other))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [("avx2 avx512_bf16 amx_bf16", True), ("fp asimd bf16 i8mm", True), ("avx2 fma f16c", False)],
)
def test_bf16_units_are_read_from_the_cpus_flags(monkeypatch, flags, expected):
    monkeypatch.setattr(runtime.Path, "read_text", lambda path, **how: f"processor : 0\nflags : {flags}\n")
    assert has_bf16_units() is expected


def test_no_list_of_flags_means_no_units(monkeypatch):
    def lacking(path, **how):
        raise FileNotFoundError(path)

    monkeypatch.setattr(runtime.Path, "read_text", lacking)
    assert has_bf16_units() is False


def test_want_of_memory_is_told_from_other_errors():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 50)
    assert is_out_of_memory(raised.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"))
    assert not is_out_of_memory(RuntimeError("shapes do not fit"))


def test_images_at_once_share_the_cores():
    try:
        for images, threads in ((1, runtime.THREADS), (2, max(1, runtime.THREADS // 2)), (1000, 1)):
            runtime.share_threads(images)
            assert torch.get_num_threads() == threads
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(torch.get_num_threads).result() == threads
    finally:
        runtime.share_threads(1)

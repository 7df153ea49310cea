"""Parts ``model`` and ``queries`` on the small random model, and their agreement by hand."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import open_clip
import pytest
import timm
import torch
from safetensors.torch import load_file

from gem_ros import cli
from gem_ros.benchmarks import published, results, subject

QUICK = ["--seconds", "0.01", "--batch", "1,2", "--queries", "2"]


def test_agreement_by_hand():
    e = torch.eye(2)
    exact = torch.stack([e[0], e[0], e[1], e[1]]).reshape(1, 4, 2)  # (h, w, D) = (1, 4, 2)
    tokens = exact.clone()
    tokens[0, 3] = torch.tensor([0.6, 0.8])
    peaks = torch.eye(4)[:, None]  # map i (1, 4) peaks at column i
    maps, exact_maps = peaks[[0, 1, 3]], peaks[[0, 2, 1]]  # 0, 1 and 2 columns apart
    found = {each.name: each.value for each in published.agreement([tokens], [exact], [maps], [exact_maps])}
    assert found["model.agreement.cosine"] == pytest.approx((3 + 0.8) / 4)
    assert found["model.agreement.worst"] == pytest.approx(0.8)
    assert found["model.agreement.argmax"] == pytest.approx(200 / 3)


def test_the_last_column_is_not_near_the_next_rows_first():
    maps, exact = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
    maps[0, 0, 3] = exact[0, 1, 0] = 1
    (argmax,) = [each for each in published.agreement([maps], [maps], [maps], [exact]) if "argmax" in each.name]
    assert argmax.value == 0


def test_bench_measures_the_model(bundled, tmp_path, capsys):
    output = tmp_path / "results.json"
    assert cli.main(["bench", "--parts", "model,queries", *QUICK, "--output", str(output)]) == 0
    found = results.read(output)
    assert found.value("model.agreement.cosine") == pytest.approx(1, abs=1e-4)
    assert found.value("model.agreement.argmax") == 100
    measured = [each for each in found.measurements if not each.name.startswith("queries.new.share")]
    assert all(each.value > 0 for each in measured)
    names = {each.name for each in measured}
    assert {"model.latency.p99", "model.throughput.2", "model.speedup.published", "queries.cached.64"} <= names
    assert found.settings["image_size"] == "96" and found.settings["precision"] == "fp32"
    assert "model.latency.p50" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tower", "kind"), [("eva02_base_patch16_clip_224", "Eva"), ("vit_base_patch16_siglip_224", "VisionTransformer")]
)
def test_where_the_published_algorithm_has_no_form_that_is_said_and_left_out(
    tower, kind, tmp_path, monkeypatch, capsys
):
    pool = "token" if kind == "Eva" else "map"
    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 224, "timm_model_name": tower, "timm_pool": pool, "timm_proj": None},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
        "custom_text": True,
    }
    created, tiny = timm.create_model, {"embed_dim": 64, "depth": 6, "num_heads": 2}
    monkeypatch.setattr(timm, "create_model", lambda *given, **others: created(*given, **{**others, **tiny}))
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-timm", config)
    output, small = tmp_path / "results.json", ["--pretrained", "random", "--image-size", "32", "--plot"]
    arguments = ["--model", "tiny-timm", *small, "--parts", "model,queries", *QUICK, "--output", str(output)]
    assert cli.main(["bench", *arguments]) == 0
    found = results.read(output)
    assert [f"no form for {kind} of timm" in note for note in found.notes].count(True) == 1
    names = {each.name for each in found.measurements}
    assert {"model.latency.p50", "model.throughput.2", "queries.new"} <= names
    assert not [name for name in names if name.startswith(("model.pair", "model.speedup", "model.agreement"))]
    assert f"no form for {kind} of timm" in capsys.readouterr().out


def test_random_weights_are_the_same_each_time_and_gone_afterwards(bundled_folder, monkeypatch):
    small = json.loads((bundled_folder / "bundled.json").read_text())["architecture"]
    monkeypatch.setattr(open_clip, "create_model", lambda name, **options: open_clip.CLIP(**small))
    drawn = []
    for _ in range(2):
        with subject.weights("ViT-B-16", "random") as path:
            drawn.append(load_file(path)["visual.proj"])
        assert not Path(path).exists()
    assert torch.equal(*drawn) and drawn[0].dtype == torch.float16
    with subject.weights("bundled", "random") as path:
        assert path == "random"


def test_texts_are_different_and_many():
    found = list(islice(subject.texts(), 5000))
    assert len(set(found)) == 5000 and "red ball" in found[:8]


def test_a_square_is_the_middle():
    wide = np.zeros((4, 8, 3), np.uint8)
    wide[:, 2:6] = 9
    assert (subject.square(wide, 4) == 9).all() and subject.square(wide, 2).shape == (2, 2, 3)

"""A small random model with a card, as the bundled one is, for tests that need no trained weights."""

import json

import open_clip
import pytest
import torch

from gem_ros import models
from gem_ros.core.pretrained import load_model, save_bundled

ARCHITECTURE = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
VOCABULARY = ("a", "photo", "of", "red", "green", "ball", "door", "object", "things", "stuff", "texture")


@pytest.fixture(scope="session")
def random_clip():
    torch.manual_seed(0)
    return open_clip.CLIP(**ARCHITECTURE).eval()


@pytest.fixture(scope="session")
def bundled_folder(random_clip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    tokenizer = open_clip.SimpleTokenizer(context_length=16)
    used = tokenizer([*VOCABULARY, "."]).flatten().tolist()
    card = {
        "name": "bundled",
        "architecture": ARCHITECTURE,
        "preprocess": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3], "interpolation": "bicubic"},
        "vocabulary": VOCABULARY,
        "defaults": {"image_size": 96, "gem.blocks": 2},
        "relevancy": {"kind": "lerf", "scale": 10.0},
        "presence": {"evidence": "relevancy", "a": 1.0, "b": 0.0},
        "sha256": save_bundled(random_clip, used, folder / "bundled.safetensors"),
    }
    (folder / "bundled.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="session")
def loaded(bundled_folder):
    """The small random model on the CPU, loaded once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "FOLDER", bundled_folder)
        models.load_card.cache_clear()
        model = load_model("bundled", None, torch.device("cpu"), torch.float32)
    models.load_card.cache_clear()
    return model


@pytest.fixture
def bundled(bundled_folder, monkeypatch):
    """``bundled`` names the small random model; yields the folder with its card and weights."""
    monkeypatch.setattr(models, "FOLDER", bundled_folder)
    models.load_card.cache_clear()
    yield bundled_folder
    models.load_card.cache_clear()

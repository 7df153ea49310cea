"""Weights: bundled, from a tag, from a file; and every way in which they are refused."""

import hashlib
import json
import logging

import open_clip
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from gem_ros import models
from gem_ros.core import pretrained, weights
from gem_ros.core.encoder import DenseEncoder
from gem_ros.core.pretrained import load_model
from gem_ros.core.runtime import select_device, select_precision
from gem_ros.errors import ModelError

CPU, FP32 = torch.device("cpu"), torch.float32
SMALL = "tiny-ViT-16"


@pytest.fixture
def small(random_clip, tmp_path, monkeypatch):
    """An architecture that open_clip does not have otherwise, and a weights file of it."""
    config = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 64, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16},
        "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    }
    for name, quick in ((SMALL, False), (SMALL + "-quickgelu", True)):
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, {**config, "quick_gelu": quick})
    path = tmp_path / "small.safetensors"
    save_file(random_clip.state_dict(), path)
    return path


def refused(*given):
    with pytest.raises(ModelError) as error:
        load_model(*given, CPU, FP32)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_bundled_model_comes_back_as_it_was_saved(bundled, random_clip):
    loaded = load_model("bundled", None, CPU, FP32)
    assert not loaded.clip.training
    assert (loaded.mean, loaded.std, loaded.interpolation) == ((0.5, 0.4, 0.3), (0.2, 0.25, 0.3), "bicubic")
    assert loaded.patch_size == (16, 16)
    tokens = loaded.tokenizer(["a photo of a red ball."])
    assert tokens.shape == (1, 16)
    with torch.no_grad():
        torch.testing.assert_close(loaded.clip.encode_text(tokens), random_clip.encode_text(tokens), atol=2e-2, rtol=0)
    assert loaded.clip.token_embedding.weight.shape == (49408, 32)


def test_only_the_rows_in_use_are_stored(bundled):
    tensors = load_file(bundled / "bundled.safetensors")
    rows = tensors["token_rows"]
    assert rows.dtype == torch.int32
    assert len(rows) == len(tensors["token_embedding.weight"]) < 20
    assert {each.dtype for name, each in tensors.items() if name != "token_rows"} == {torch.float16}


def test_damaged_or_missing_bundled_weights_are_refused(bundled, tmp_path, monkeypatch):
    (tmp_path / "bundled.json").write_text((bundled / "bundled.json").read_text())
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    assert "expected its weights at" in refused("bundled", None)
    (tmp_path / "bundled.safetensors").write_bytes((bundled / "bundled.safetensors").read_bytes()[:-1] + b"x")
    assert "sha256" in refused("bundled", None)


def test_a_custom_text_tower_can_be_bundled(bundled, tmp_path, monkeypatch):
    card = json.loads((bundled / "bundled.json").read_text())
    clip = open_clip.CustomTextCLIP(**card["architecture"])
    card["architecture"]["custom_text"] = True
    card["sha256"] = pretrained.save_bundled(clip, [3, 1, 3], tmp_path / "bundled.safetensors")
    (tmp_path / "bundled.json").write_text(json.dumps(card))
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    models.load_card.cache_clear()
    table = load_model("bundled", None, CPU, FP32).clip.text.token_embedding.weight
    torch.testing.assert_close(table[[1, 3]], clip.text.token_embedding.weight[[1, 3]].half().float())
    assert table.count_nonzero() == 2 * 32


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".bin"])
def test_a_local_file(small, random_clip, suffix):
    path = small.with_suffix(suffix)
    if suffix != ".safetensors":
        torch.save({"state_dict": random_clip.state_dict()}, path)
    loaded = load_model(SMALL, str(path), CPU, FP32)
    torch.testing.assert_close(loaded.clip.state_dict(), random_clip.state_dict())
    assert loaded.card is models.DEFAULT_CARD


@pytest.mark.parametrize(
    ("tower", "change", "says"),
    [
        ("vision_cfg", {"patch_size": 32}, "size mismatch for visual.conv1.weight"),
        ("vision_cfg", {"width": 32}, "size mismatch for visual"),
        ("vision_cfg", {"layers": 4}, "visual.transformer.resblocks.3"),
        ("text_cfg", {"width": 16}, "text pos_embed width changed"),
    ],
)
def test_weights_of_another_architecture_name_the_mismatch(small, monkeypatch, tower, change, says):
    config = open_clip.get_model_config(SMALL)
    config[tower].update(change)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-other", config)
    message = refused("tiny-other", str(small))
    assert f"expected weights of tiny-other in {small}" in message
    assert says in message


def test_code_in_a_weights_file_is_not_run(small, tmp_path):
    path, ran = tmp_path / "evil.pt", tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    torch.save({"state_dict": Evil()}, path)
    refused(SMALL, str(path))
    assert not ran.exists()


@pytest.mark.parametrize(
    ("model", "weights", "says"),
    [
        ("ViT-B16", "openai", "architecture like ViT-B-16"),
        ("RN50", "openai", "got 'RN50' (a ConvNet"),
        ("MobileCLIP-B", "datacompdr", "got 'MobileCLIP-B' (vit_base_mci_224 of timm"),
        ("coca_ViT-B-32", "laion2b_s13b_b90k", "(attentional pooling (CoCa)"),
        ("ViT-B-16", "opnai", "a tag of ViT-B-16 (openai, "),
        ("ViT-B-16", "", "got none; random weights find nothing"),
        ("ViT-B-16", None, "got none; random weights find nothing"),
        (SMALL, "laion2b", "a tag of tiny-ViT-16 (it has none)"),
        (SMALL, "here.txt", "ending in .safetensors"),
        (SMALL, "damaged.pt", "damaged file"),
        (SMALL, "damaged.safetensors", "damaged file"),
    ],
)
def test_what_cannot_be_loaded_is_refused_in_one_line(small, monkeypatch, model, weights, says):
    monkeypatch.chdir(small.parent)
    for name in ("here.txt", "damaged.pt", "damaged.safetensors"):
        small.with_name(name).write_bytes(b"nothing")
    assert says in refused(model, weights)


def test_without_a_network_it_says_what_to_fetch(monkeypatch, tmp_path):
    monkeypatch.setattr(weights, "reachable", lambda url: False)
    monkeypatch.setattr(weights, "cached", lambda config: None)
    message = refused("ViT-B-16-quickgelu", "openai")
    assert "there is no network; fetch https://huggingface.co/timm/vit_base_patch16_clip_224.openai" in message
    assert "set pretrained to that file's path" in message


@pytest.mark.parametrize(
    "case",
    [
        (SMALL, True, SMALL + "-quickgelu"),
        (SMALL + "-quickgelu", False, SMALL),
        (SMALL, False, None),
        (SMALL + "-quickgelu", True, None),
    ],
)
def test_a_tags_activation_and_preprocessing_are_followed(small, monkeypatch, caplog, case):
    asked, tag_is_quick, loaded = case
    config = {"file": str(small), "mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "interpolation": "bilinear"}
    tags = {"mine": {**config, "quick_gelu": tag_is_quick}}
    for name in (SMALL, *([SMALL + "-quickgelu"] if tag_is_quick else [])):
        monkeypatch.setitem(open_clip.pretrained._PRETRAINED, name, tags)
    monkeypatch.setattr(weights, "reachable", lambda url: True)
    with caplog.at_level(logging.WARNING):
        model = load_model(asked, "mine", CPU, FP32)
    activation = type(model.clip.visual.transformer.resblocks[0].mlp.gelu).__name__
    assert activation == ("QuickGELU" if tag_is_quick else "GELU")
    assert (model.mean, model.std, model.interpolation) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bilinear")
    corrections = [record.message for record in caplog.records if "loading that" in record.message]
    assert len(corrections) == (loaded is not None)
    assert all(f"need {loaded}," in message for message in corrections)


def test_devices_and_precisions(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert select_device("auto") == CPU
    with pytest.raises(ModelError, match="set device to auto or cpu"):
        select_device("cuda:1")
    with pytest.raises(ModelError, match=r"expected auto, cpu, cuda or cuda:N; got 'gpu'"):
        select_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert [str(select_device(name)) for name in ("auto", "cuda", "cuda:0", "cpu")] == ["cuda", "cuda", "cuda:0", "cpu"]
    with pytest.raises(ModelError, match="PyTorch finds 1 here"):
        select_device("cuda:1")
    assert select_precision("auto", CPU) == torch.float32
    assert select_precision("bf16", CPU) == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 7))
    assert select_precision("auto", torch.device("cuda")) == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 2))
    assert select_precision("auto", torch.device("cuda")) == torch.float16
    with pytest.raises(ModelError, match="fp64"):
        select_precision("fp64", CPU)


def test_weights_downloaded_before_need_no_network(small, random_clip, monkeypatch, tmp_path):
    asked = []

    def cache(repository, name):
        asked.append((repository, name))
        return str(small) if name == "open_clip_model.safetensors" else None

    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, SMALL, {"mine": {"hf_hub": "somebody/model/"}})
    monkeypatch.setattr(weights, "try_to_load_from_cache", cache)
    monkeypatch.setattr(weights, "reachable", lambda url: pytest.fail("asked the network"))
    loaded = load_model(SMALL, "mine", CPU, FP32)
    torch.testing.assert_close(loaded.clip.state_dict(), random_clip.state_dict())
    assert asked == [("somebody/model", "open_clip_model.safetensors")]


def test_weights_are_what_their_digest_says(small):
    digest = hashlib.sha256(small.read_bytes()).hexdigest()
    assert load_model(SMALL, str(small), CPU, FP32, sha256=digest.upper()).clip is not None
    with pytest.raises(ModelError, match=r"expected sha256 000000000000… of .*, got .*…; fetch it anew"):
        load_model(SMALL, str(small), CPU, FP32, sha256="0" * 64)


def test_a_digest_is_never_passed_over(tmp_path):
    with pytest.raises(ModelError, match="weights_sha256: expected a weights file"):
        load_model(f"local-dir:{tmp_path}", None, CPU, FP32, sha256="0" * 64)


def test_weights_of_the_hub_are_what_its_cache_names_them(small, monkeypatch, tmp_path):
    """As huggingface_hub stores them: a link to a file whose name is its SHA-256."""
    blob = small.rename(tmp_path / hashlib.sha256(small.read_bytes()).hexdigest())
    link = tmp_path / "open_clip_model.safetensors"
    link.symlink_to(blob)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, SMALL, {"mine": {"hf_hub": "somebody/model/"}})
    monkeypatch.setattr(weights, "try_to_load_from_cache", lambda repository, name: str(link))
    assert load_model(SMALL, "mine", CPU, FP32).clip is not None
    data = bytearray(blob.read_bytes())
    data[-1] ^= 1
    blob.write_bytes(data)
    assert f"expected sha256 {blob.name[:12]}… of {link}" in refused(SMALL, "mine")


def test_a_failed_download_is_one_line(small, monkeypatch, caplog):
    def fail(url):
        raise RuntimeError("no route\nto host")

    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, SMALL, {"mine": {"hf_hub": "somebody/model/"}})
    monkeypatch.setattr(weights, "reachable", lambda url: True)
    monkeypatch.setattr(weights, "get_hf_file_metadata", fail)
    assert "cannot download tiny-ViT-16 'mine' (" in refused(SMALL, "mine")
    (said,) = [record.getMessage() for record in caplog.records if "downloading" in record.getMessage()]
    assert "the weights 'mine' are not on this machine" in said and "somebody/model" in said


@pytest.fixture
def hub_tokenizer(small, monkeypatch):
    """An architecture whose tokenizer is on the hub."""
    config = open_clip.get_model_config(SMALL)
    config["text_cfg"]["hf_tokenizer_name"] = "nobody/has-this"
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-hub", config)


def test_a_tokenizer_that_cannot_be_had_is_one_line(small, hub_tokenizer, monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    assert refused("tiny-hub", str(small)).endswith(
        "tiny-hub needs transformers for its tokenizer; pip install transformers"
    )
    monkeypatch.setattr(pretrained, "find_spec", lambda name: name)
    monkeypatch.setattr(weights, "reachable", lambda url: False)
    message = refused("tiny-hub", str(small))
    assert "no network; fetch tokenizer_config.json and the files beside it from " in message
    assert "nobody/has-this, and put them with open_clip_config.json" in message

    def fail(model):
        raise OSError("no such\nrepository")

    monkeypatch.setattr(weights, "reachable", lambda url: True)
    monkeypatch.setattr(open_clip, "get_tokenizer", fail)
    assert "cannot load the tokenizer of tiny-hub (repository); connect once" in refused("tiny-hub", str(small))


@pytest.fixture
def folder(small, tmp_path):
    """As a folder of the hub is: a config with its own preprocessing, and weights."""
    folder = tmp_path / "model"
    folder.mkdir()
    small.rename(folder / "open_clip_model.safetensors")
    preprocess = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6], "interpolation": "bilinear"}
    config = {"model_cfg": open_clip.get_model_config(SMALL), "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def test_a_folder_of_the_hub(folder, random_clip):
    loaded = load_model(f"local-dir:{folder}", "openai", CPU, FP32)
    torch.testing.assert_close(loaded.clip.state_dict(), random_clip.state_dict())
    assert (loaded.mean, loaded.std, loaded.interpolation) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), "bilinear")
    assert loaded.tokenizer(["red ball"]).shape == (1, 16)


def test_a_folder_with_a_tokenizer_of_its_own(folder):
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = {"[PAD]": 0, "[UNK]": 1, "red": 2, "ball": 3}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=model, pad_token="[PAD]", unk_token="[UNK]")
    fast.save_pretrained(folder)
    path = folder / "open_clip_config.json"
    config = json.loads(path.read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "somebody/elsewhere"
    path.write_text(json.dumps(config))
    tokens = load_model(f"local-dir:{folder}", None, CPU, FP32).tokenizer(["red ball zebra"])
    assert tokens.shape == (1, 16)
    assert tokens[0, :4].tolist() == [2, 3, 1, 0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda folder: (folder / "open_clip_config.json").unlink(), "expected a folder with open_clip_config.json"),
        (lambda folder: (folder / "open_clip_config.json").write_text("no JSON"), "expected open_clip's config in"),
        (lambda folder: (folder / "open_clip_config.json").write_text("[1]"), "expected open_clip's config in"),
        (lambda folder: (folder / "open_clip_config.json").write_text('{"model_cfg": {}}'), "KeyError('vision_cfg')"),
        (
            lambda folder: (folder / "open_clip_model.safetensors").unlink(),
            "expected weights (open_clip_model.safetens",
        ),
        (lambda folder: (folder / "open_clip_model.safetensors").write_bytes(b"x"), "a damaged file"),
        (
            lambda folder: (folder / "open_clip_config.json").write_text(
                '{"model_cfg": {"embed_dim": 8, "vision_cfg": {"layers": [1, 1, 1, 1]}, "text_cfg": {}}}'
            ),
            "got one with a ConvNet",
        ),
    ],
)
def test_a_folder_that_is_none_is_refused_in_one_line(folder, change, says):
    change(folder)
    assert says in refused(f"local-dir:{folder}", None)


def test_a_folder_that_is_not_there_is_refused_in_one_line():
    assert "expected a folder with open_clip_config.json, got '.'" in refused("local-dir:", None)
    assert "got '/no/such' (No such file or directory)" in refused("local-dir:/no/such", None)


@pytest.mark.parametrize("model", ["EVA02-B-16", "ViT-B-16-SigLIP", "PE-Core-T-16-384", "ViT-L-14-CLIPA"])
def test_weights_of_every_family_are_loaded_from_a_file(monkeypatch, tmp_path, model):
    """The real loading, with towers made small; their tokenizers would come from the hub."""
    created = timm.create_model
    small = {"embed_dim": 64, "depth": 2, "num_heads": 2}
    if "PE" in model:
        small["attn_pool_num_heads"] = 2
    monkeypatch.setattr(timm, "create_model", lambda *given, **others: created(*given, **{**others, **small}))
    config = open_clip.get_model_config(model)
    if "timm_model_name" not in config["vision_cfg"]:
        config["vision_cfg"].update(width=64, layers=2, head_width=32)
    elif config["vision_cfg"]["timm_proj"] == "none":
        config["embed_dim"] = 64
    config["text_cfg"].update(width=64, layers=1, heads=2, vocab_size=64)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, model, config)
    monkeypatch.setattr(pretrained, "_tokenizer", lambda model: open_clip.SimpleTokenizer())
    torch.manual_seed(0)
    made = open_clip.create_model(model, pretrained=None, load_weights=False)
    save_file(made.state_dict(), tmp_path / "weights.safetensors")
    loaded = load_model(model, str(tmp_path / "weights.safetensors"), CPU, FP32)
    torch.testing.assert_close(loaded.clip.state_dict(), made.state_dict())
    pixels = torch.randn(1, 3, 2 * loaded.patch_size[0], 3 * loaded.patch_size[1])
    with torch.no_grad():
        tokens = DenseEncoder(loaded.clip.visual, blocks=2)(pixels)
    assert tokens.shape == (1, 6, config["embed_dim"]) and tokens.isfinite().all()

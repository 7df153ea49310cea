"""Text towers of transformers in a folder of open_clip's: tiny, with random weights, never from the hub."""

import json

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from gem_ros.config import Config, replace
from gem_ros.core import text_tower
from gem_ros.core.text_tower import own_text_tower
from gem_ros.errors import ModelError
from gem_ros.pipeline import Grounder

WORDS = {"[PAD]": 0, "[UNK]": 1, "red": 2, "ball": 3, "a": 4, "photo": 5, "of": 6}
VISION = {"image_size": 64, "layers": 3, "width": 64, "head_width": 32, "patch_size": 16}
SMALL = {"vocab_size": len(WORDS), "pad_token_id": 0}
ROBERTA = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
KINDS = {
    "XLMRobertaConfig": {**ROBERTA, "max_position_embeddings": 40},
    "BertConfig": {**ROBERTA, "max_position_embeddings": 40},
    "MT5Config": {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2},
    "M2M100Config": {"d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 32}
    | {"decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 32, "max_position_embeddings": 40},
}


@pytest.fixture
def transformers(monkeypatch):
    found = pytest.importorskip("transformers", reason="needs transformers, an extra")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return found


def written(folder, transformers, kind):
    """A folder with a tower of a ``kind``, a tokenizer of seven words, and an open_clip config that names others."""
    import tokenizers

    words = tokenizers.Tokenizer(tokenizers.models.WordLevel(WORDS, unk_token="[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=words, **special).save_pretrained(folder)
    getattr(transformers, kind)(**SMALL, **KINDS[kind]).save_pretrained(folder)
    text = {"hf_model_name": "nobody/has-this", "hf_tokenizer_name": "nobody/has-this", "context_length": 16}
    text |= {"hf_proj_type": "mlp", "hf_pooler_type": "mean_pooler"}
    config = {"embed_dim": 32, "vision_cfg": VISION, "text_cfg": text}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    here = {**text, "hf_model_name": str(folder), "hf_model_pretrained": False}
    torch.manual_seed(0)
    clip = open_clip.CustomTextCLIP(32, VISION, here).eval()
    save_file({name: each.clone() for name, each in clip.state_dict().items()}, folder / "open_clip_model.safetensors")
    return clip


def grounder(folder):
    changes = {"model": f"local-dir:{folder}", "device": "cpu", "gem.blocks": 2, "image_size": 64}
    return Grounder.load(config=replace(Config(), {**changes, "text_cache": str(folder / "cache")}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_with_its_text_tower_and_tokenizer_needs_no_network(tmp_path, transformers, kind):
    clip, loaded = written(tmp_path, transformers, kind), grounder(tmp_path)
    embeddings = loaded.text.embed(["red ball", "ball", "red ball|ball"])
    assert embeddings.shape == (3, 32) and embeddings.isfinite().all()
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(3))
    assert not torch.allclose(embeddings[0], embeddings[1], atol=1e-3)
    ids = torch.tensor([[WORDS[each] for each in ("a", "photo", "of", "a", "red", "ball")] + [1] + 9 * [0]])  # 1: the .
    with torch.no_grad():
        expected = clip.encode_text(ids, normalize=True)[0]
    torch.testing.assert_close(embeddings[0], expected, atol=1e-5, rtol=0)
    again = grounder(tmp_path)
    torch.testing.assert_close(again.text.embed(["red ball"])[0], embeddings[0], atol=0, rtol=0)
    assert again.text.encodings == 0  # from the folder text_cache


@pytest.mark.parametrize("content", [None, '{"model_type": "clip"}'])
def test_a_config_that_is_nowhere_is_one_line(tmp_path, transformers, content):
    written(tmp_path, transformers, "XLMRobertaConfig")
    if content is None:
        (tmp_path / "config.json").unlink()
    else:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=r"cannot load config\.json of the text tower nobody/has-this") as refused:
        grounder(tmp_path)
    assert str(refused.value).endswith(f"put that file into {tmp_path}") and "\n" not in str(refused.value)


def test_without_transformers_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(text_tower, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="needs transformers for its text tower; pip install transformers"):
        own_text_tower(tmp_path, {"hf_model_name": "xlm-roberta-base"})
    assert own_text_tower(tmp_path, {"width": 64}) == {}


@pytest.mark.parametrize(
    ("content", "is_one"),
    [('{"model_type": "mt5"}', True), ('{"model_type": "clip"}', False), ("[1]", False), ("", False)],
)
def test_which_config_is_a_text_towers(tmp_path, content, is_one):
    (tmp_path / "config.json").write_text(content)
    assert text_tower._is_text_tower(tmp_path / "config.json") == is_one

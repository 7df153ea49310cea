"""Architectures and weights: open_clip's tags, local files, and the bundled model."""

from __future__ import annotations

import difflib
import json
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import open_clip
import torch
from huggingface_hub import constants, try_to_load_from_cache
from safetensors.torch import load_file, save_file
from torch import Tensor

from gem_ros.core import weights
from gem_ros.core.architectures import applies
from gem_ros.core.download import digest
from gem_ros.core.text_tower import own_text_tower
from gem_ros.core.towers import tower_of
from gem_ros.core.weights import first_line
from gem_ros.errors import ModelError
from gem_ros.models import BUNDLED, ModelCard, load_card

TOKEN_ROWS = "token_rows"
TOKEN_TABLE = "token_embedding.weight"
QUICK = "-quickgelu"
LOCAL_DIR, CONFIG, TOKENIZER = "local-dir:", "open_clip_config.json", "tokenizer_config.json"  # open_clip's, the hub's
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A CLIP in eval mode with what its inputs need: ``mean``, ``std`` of RGB in [0, 1], ``interpolation``
    (``bicubic`` or ``bilinear``), ``patch_size`` (height, width) px, and its card."""

    clip: Any
    tokenizer: Callable[[list[str]], Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str
    patch_size: tuple[int, int]
    card: ModelCard


def load_model(
    model: str, pretrained: str | None, device: torch.device, precision: torch.dtype, *, sha256: str = ""
) -> LoadedModel:
    """Load ``bundled``, ``local-dir:FOLDER`` (``pretrained`` unused), or an open_clip architecture with a tag or file.

    Downloads what a tag names unless it is on this machine already. The file must have ``sha256`` (hex), where it
    is given. Raises :class:`ModelError` where the architecture, the tag or the weights cannot be used; never leaves
    a weight random.
    """
    card = load_card(model)
    if model == BUNDLED:
        clip, tokenizer, preprocess = _load_bundled(card)
    else:
        clip, tokenizer, preprocess = _load_open_clip(model, pretrained, sha256)
    clip = clip.to(device, precision).eval().requires_grad_(False)
    patch = tower_of(clip.visual).patch_size
    mean, std = tuple(preprocess["mean"]), tuple(preprocess["std"])
    return LoadedModel(clip, tokenizer, mean, std, preprocess["interpolation"], patch, card)


def save_bundled(clip: Any, token_ids: Iterable[int], path: Path) -> str:
    """Write ``clip`` as fp16 safetensors with the token table reduced to ``token_ids``; return its sha256.

    ``token_rows`` (int32, ascending) are the ids of the rows that ``token_embedding.weight`` keeps.
    """
    rows = torch.tensor(sorted(set(token_ids)), dtype=torch.int32)
    tensors = {name: tensor.detach().cpu().to(torch.float16) for name, tensor in clip.state_dict().items()}
    table = _table_name(tensors)
    tensors[table] = tensors[table][rows.long()]
    save_file({**{name: tensor.contiguous() for name, tensor in tensors.items()}, TOKEN_ROWS: rows}, path)
    return digest(path)


def _load_bundled(card: ModelCard) -> tuple[Any, Callable[[list[str]], Tensor], dict[str, Any]]:
    if not card.weights.is_file():
        raise ModelError(f"model 'bundled': expected its weights at {card.weights}; reinstall gem_ros")
    found = digest(card.weights)
    if found != card.sha256:
        raise ModelError(
            f"model 'bundled': expected sha256 {card.sha256[:12]} of {card.weights}, got {found[:12]}; reinstall"
        )
    architecture = dict(card.architecture)
    kind = open_clip.CustomTextCLIP if architecture.pop("custom_text", False) else open_clip.CLIP
    clip = kind(**architecture)
    tensors = load_file(card.weights)
    rows, table = tensors.pop(TOKEN_ROWS).long(), _table_name(tensors)
    full = torch.zeros_like(clip.state_dict()[table])
    full[rows] = tensors[table].float()
    clip.load_state_dict({**tensors, table: full})
    tokenizer = open_clip.SimpleTokenizer(context_length=clip.context_length)
    return clip, tokenizer, card.preprocess


def _table_name(tensors: Iterable[str]) -> str:
    """``token_embedding.weight``, or with the prefix that open_clip's CustomTextCLIP gives it."""
    return next(name for name in tensors if name.endswith(TOKEN_TABLE))


def _load_open_clip(
    model: str, pretrained: str | None, sha256: str
) -> tuple[Any, Callable[[list[str]], Tensor], dict[str, Any]]:
    if model.startswith(LOCAL_DIR):
        if sha256:
            raise ModelError(
                f"weights_sha256: expected a weights file in pretrained, got {model}; name its file instead"
            )
        return _load_folder(Path(model.removeprefix(LOCAL_DIR)).expanduser())
    _check_architecture(model)
    if not pretrained:
        raise ModelError(f"pretrained: expected {_choices(model)}, got none; random weights find nothing")
    preprocess: dict[str, Any] = {}
    path = Path(pretrained).expanduser()
    if not path.is_file():
        model, tag = _matching_activation(model, pretrained)
        preprocess = {name: tag[name] for name in ("mean", "std", "interpolation") if name in tag}
        path = weights.fetch(model, pretrained, tag)
    elif path.suffix not in SUFFIXES:
        raise ModelError(f"pretrained: expected a file ending in {', '.join(SUFFIXES)}; got {path.name}")
    weights.check(path, sha256)
    tokenizer = _tokenizer(model)
    clip = _create(model, path, preprocess)
    return clip, tokenizer, open_clip.get_model_preprocess_cfg(clip)


def _load_folder(folder: Path) -> tuple[Any, Callable[[list[str]], Tensor], dict[str, Any]]:
    """A folder with open_clip_config.json, weights and, where it names one, a tokenizer, as the hub has them."""
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
        usable, why = applies(config)
        text = config["text_cfg"]
    except OSError as error:
        raise ModelError(f"model: expected a folder with {CONFIG}, got {str(folder)!r} ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"model: expected open_clip's config in {path}, got something else ({error!r})") from error
    if usable == "no":
        raise ModelError(f"model: expected a vision transformer that GEM applies to in {folder}, got one with {why}")
    if not any(found.suffix in SUFFIXES and found.suffix != ".pt" for found in folder.iterdir()):
        raise ModelError(f"model: expected weights (open_clip_model.safetensors) beside {path}, found none")
    model = f"{LOCAL_DIR}{folder}"
    tokenizer = _tokenizer(model, text)
    clip = _create(model, None, {}, **own_text_tower(folder, text))
    return clip, tokenizer, open_clip.get_model_preprocess_cfg(clip)


def _check_architecture(model: str) -> None:
    """Refuse before anything is downloaded."""
    config = open_clip.get_model_config(model) if model in open_clip.list_models() else None
    if config is None:
        close = difflib.get_close_matches(model, open_clip.list_models(), n=3) or ["ViT-B-16-quickgelu"]
        raise ModelError(
            f"model: expected 'bundled', {LOCAL_DIR}FOLDER or an open_clip architecture like {', '.join(close)}; "
            f"got {model!r}"
        )
    usable, why = applies(config)
    if usable == "no":
        raise ModelError(
            f"model: expected a vision transformer that GEM applies to, got {model!r} ({why}); "
            "choose a ViT such as ViT-B-16-quickgelu"
        )


def is_quick(config: Mapping[str, Any]) -> bool:
    """Whether an architecture has, or a tag's weights need, QuickGELU."""
    return bool(config.get("quick_gelu", False))


def _choices(model: str) -> str:
    base = model.removesuffix(QUICK)
    tags = [tag for name in (base, base + QUICK) for tag in open_clip.list_pretrained_tags_by_model(name)]
    return f"a weights file or a tag of {model} ({', '.join(dict.fromkeys(tags)) or 'it has none'})"


def _matching_activation(model: str, tag: str) -> tuple[str, dict[str, Any]]:
    """The architecture with the activation that the tag's weights were trained with, and the tag's config.

    With the other one the features are wrong without any error, so it is not left to the user.
    """
    base = model.removesuffix(QUICK)
    config = open_clip.get_pretrained_cfg(model, tag) or open_clip.get_pretrained_cfg(base, tag)
    if not config:
        raise ModelError(f"pretrained: expected {_choices(model)}, got {tag!r}")
    if is_quick(config) == is_quick(open_clip.get_model_config(model)):
        return model, config
    right = base + QUICK if is_quick(config) else base
    _check_architecture(right)
    logger.warning("model %s: the weights %r need %s, loading that", model, tag, right)
    return right, config


def _tokenizer(model: str, text: Mapping[str, Any] | None = None) -> Callable[[list[str]], Tensor]:
    """open_clip's own, or one of the hub (SigLIP, CLIPA, XLM-R), which needs transformers and, once, a network.

    ``text`` is the text tower's config where ``model`` is a folder, which has the files then.
    """
    name = (text or open_clip.get_model_config(model)["text_cfg"]).get("hf_tokenizer_name")
    if name and find_spec("transformers") is None:
        raise ModelError(f"model: {model} needs transformers for its tokenizer; pip install transformers")
    if name and text is None and not isinstance(try_to_load_from_cache(name, TOKENIZER), str):
        source = f"{constants.ENDPOINT}/{name}"
        if not weights.reachable(source):
            raise ModelError(
                f"model: the tokenizer of {model} is not on this machine and there is no network; fetch {TOKENIZER} "
                f"and the files beside it from {source}, and put them with {CONFIG} and the weights into a folder: "
                "model: local-dir:FOLDER"
            )
    try:
        tokenizer: Callable[[list[str]], Tensor] = open_clip.get_tokenizer(model)
    except Exception as error:  # whatever transformers raises
        raise ModelError(
            f"model: cannot load the tokenizer of {model} ({first_line(error)}); connect once, or choose another model"
        ) from error
    return tokenizer


def _create(model: str, path: Path | None, preprocess: dict[str, Any], **changes: Any) -> Any:
    """The model with the weights at ``path``, or those beside a folder's config; ``changes`` to what that says."""
    file = None if path is None else os.fspath(path)
    given = {"pretrained": file, "require_pretrained": True, "force_preprocess_cfg": preprocess}
    try:
        return open_clip.create_model(model, weights_only=True, **given, **changes)
    except Exception as error:  # whatever a foreign file makes torch and open_clip raise
        where = file or model.removeprefix(LOCAL_DIR)
        raise ModelError(
            f"pretrained: expected weights of {model} in {where}, got others or a damaged file ({first_line(error)})"
        ) from error

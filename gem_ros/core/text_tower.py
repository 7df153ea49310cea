"""Text towers of transformers (XLM-R, mT5, NLLB, BERT) in a folder of open_clip's, built without the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from open_clip.hf_configs import arch_dict

from gem_ros.errors import ModelError

CONFIG = "config.json"  # as transformers writes it


def own_text_tower(folder: Path, text: Mapping[str, Any]) -> dict[str, Any]:
    """What to tell open_clip beside the folder, so that the tower is built as the folder's own config.json says.

    Where the folder has none, transformers looks for the one that ``text`` names in the hub's cache, then on the hub.
    Raises :class:`ModelError` where it is nowhere.
    """
    name = text.get("hf_model_name")
    if not name:
        return {}
    if find_spec("transformers") is None:
        raise ModelError(f"model: {folder} needs transformers for its text tower; pip install transformers")
    if _is_text_tower(folder / CONFIG):
        return {"text_cfg": {**text, "hf_model_name": str(folder), "hf_model_pretrained": False}}
    from transformers import AutoConfig

    try:
        AutoConfig.from_pretrained(name)
    except Exception as error:  # whatever transformers raises
        what = f"cannot load {CONFIG} of the text tower {name} ({type(error).__name__})"
        raise ModelError(f"model: {what}; put that file into {folder}") from error
    return {}


def _is_text_tower(path: Path) -> bool:
    """Whether it is the config of a tower that open_clip takes; repositories also have one of the whole CLIP there."""
    try:
        return json.loads(path.read_text(encoding="utf-8")).get("model_type") in arch_dict
    except (OSError, ValueError, AttributeError):
        return False

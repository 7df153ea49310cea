"""Text embeddings kept in a folder, so that the next start encodes nothing."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from gem_ros.errors import ConfigError

SUFFIX, PART = ".embedding", ".part-of-embedding"  # our own: nothing else in the folder is ever deleted
ABANDONED = 3600.0  # s; a process that lives finishes a file sooner
EMBEDDING, DIGEST = "embedding", "sha256"


def fingerprint(model: Any, tokenizer: Any, templates: Sequence[str]) -> str:
    """What an embedding depends on beside its text: the text tower, bit by bit, its tokenizer and the templates.

    A weights file's name, size and date would be cheaper, and could lie.
    """
    said = hashlib.sha256()
    of_tokenizer = type(tokenizer).__name__, getattr(tokenizer, "context_length", None)
    said.update(repr((open_clip.__version__, of_tokenizer, tuple(templates))).encode())
    for name, module in model.named_modules():
        if not name.startswith("visual"):  # numbers of heads, activations, pooling: none of them are in the weights
            settings = {key: value for key, value in vars(module).items() if isinstance(value, str | int | float)}
            said.update(repr((name, type(module).__name__, settings)).encode())
    for name, tensor in model.state_dict().items():
        if not name.startswith("visual."):
            said.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
            said.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return said.hexdigest()


class TextCache:
    """One small file per text in ``folder``, for the ``capacity`` texts used last by any model.

    ``identity`` is :func:`fingerprint`'s. Several processes may share a folder: files appear whole or not at all.
    A damaged one counts as missing, which is said. Raises :class:`ConfigError` where there can be no folder.
    """

    def __init__(self, folder: str | Path, identity: str, capacity: int = 4096) -> None:
        self._folder = Path(folder).expanduser()
        self._identity, self._capacity = identity, capacity
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"text_cache: expected a folder, or where one can be made, got {str(folder)!r} ({error.strerror})"
            ) from error

    def load(self, text: str) -> Tensor | None:
        """(D,) float32 on the CPU as it was stored, or None."""
        path = self._path(text)
        try:
            os.utime(path)  # used now
        except FileNotFoundError:
            return None
        except OSError:
            pass  # of somebody else, who lets us read it
        try:
            with safe_open(path, "pt") as file:
                embedding: Tensor = file.get_tensor(EMBEDDING)
                intact = file.metadata()[DIGEST] == _digest(embedding)
        except FileNotFoundError:  # forgotten meanwhile by another process
            return None
        except (SafetensorError, OSError, KeyError, TypeError):  # TypeError: no metadata at all
            intact = False
        if not intact:
            self._warn(f"expected an embedding in {path}, got a damaged file; it is made anew")
            return None
        return embedding.clone()  # not the file's own memory

    def store(self, embeddings: dict[str, Tensor]) -> None:
        """Keep the embeddings (D,) float32 of some texts; what cannot be written is said, and no more."""
        try:
            for text, embedding in embeddings.items():
                plain = embedding.detach().cpu().contiguous()
                data = save({EMBEDDING: plain}, {DIGEST: _digest(plain)})
                with tempfile.NamedTemporaryFile(dir=self._folder, suffix=PART, delete=False) as file:
                    file.write(data)
                Path(file.name).replace(self._path(text))
            self._forget()
        except OSError as error:
            self._warn(f"expected to write to {self._folder}, got {error.strerror}; the next start encodes texts again")

    def _forget(self) -> None:
        """Delete what was used longest ago, and what a process that died left half written."""
        ours = {suffix: sorted(self._folder.glob(f"*{suffix}"), key=_used) for suffix in (SUFFIX, PART)}
        dead = [path for path in ours[PART] if _used(path) < time.time() - ABANDONED]
        for path in [*ours[SUFFIX][: -self._capacity], *dead]:
            path.unlink(missing_ok=True)

    def _path(self, text: str) -> Path:
        name = hashlib.sha256(f"{self._identity} {text}".encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / f"{name[:40]}{SUFFIX}"

    def _warn(self, line: str) -> None:
        warnings.warn(f"text_cache: {line}", stacklevel=2)


def _digest(embedding: Tensor) -> str:
    return hashlib.sha256(embedding.numpy().tobytes()).hexdigest()


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0

"""Weights files of open_clip's tags: on this machine, or fetched once; and whether a file is what it should be."""

from __future__ import annotations

import logging
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import EntryNotFoundError, build_hf_headers  # type: ignore[attr-defined]

from gem_ros.core.download import digest, download
from gem_ros.errors import ModelError

HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")
CLIP_CACHE = Path("~/.cache/clip")  # open_clip's, of what has an address and no repository
DIGEST = re.compile(r"[0-9a-f]{64}")
OF_ADDRESS = (re.compile(r"openaipublic.*/([0-9a-f]{64})/[^/]+$"), re.compile(r"mlfoundations.*-([0-9a-f]{8})\.\w+$"))
logger = logging.getLogger(__name__)


def fetch(model: str, tag: str, config: dict[str, Any]) -> Path:
    """The weights file of a tag: from this machine's cache, else downloaded; :class:`ModelError` says what to do."""
    here = Path(config["file"]) if "file" in config else cached(config)
    repository, name = _on_hub(config)
    if here is not None and (repository or _intact(here, config)):
        return here
    source = f"{constants.ENDPOINT}/{config['hf_hub'].strip('/')}" if repository else config.get("url", "")
    advice = f"fetch {source} on a machine with a network and set pretrained to that file's path here"
    if not reachable(source):
        raise ModelError(f"pretrained: {model} {tag!r} is not on this machine and there is no network; {advice}")
    logger.warning(
        "model %s: the weights %r are not on this machine, downloading them from %s, once", model, tag, source
    )
    try:
        return _from_hub(repository, name) if repository else _from_address(source)
    except Exception as error:  # whatever the hub's HTTP library raises
        raise ModelError(f"pretrained: cannot download {model} {tag!r} ({first_line(error)}); {advice}") from error


def cached(config: dict[str, Any]) -> Path | None:
    """Where the weights lie if they were downloaded before; asks no network, so that a robot starts at once."""
    repository, name = _on_hub(config)
    for each in _names(name) if repository else ():
        found = try_to_load_from_cache(repository, each)
        if isinstance(found, str):
            return Path(found)
    path = None if repository else _of_address(config.get("url", ""))
    return path if path and path.is_file() else None


def check(path: Path, sha256: str) -> None:
    """Refuse a file that is not what it should be, before anything of it is read.

    Without ``sha256``, that is what the hub said of it: its cache names large files by their SHA-256. That finds
    what was damaged on the way or here; a hub that lies is found only by a ``sha256`` of the user's own.
    """
    stored = path.resolve().name
    expected = sha256.lower() or (stored if DIGEST.fullmatch(stored) else "")
    if expected and (found := digest(path)) != expected:
        raise ModelError(
            f"pretrained: expected sha256 {expected[:12]}… of {path}, got {found[:12]}…; fetch it anew, "
            "or set weights_sha256 to that of the file you trust"
        )


def reachable(url: str) -> bool:
    """Whether the host has an address (or a proxy stands in between); spares a minute of vain retries."""
    if constants.HF_HUB_OFFLINE:
        return False
    if getproxies():
        return True
    try:
        socket.getaddrinfo(urlsplit(url).hostname or url, 443)
    except OSError:
        return False
    return True


def first_line(error: Exception) -> str:
    """What a long error says first; of load_state_dict's list one mismatch that names a shape."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    chosen = next((line for line in lines if line.startswith("size mismatch")), lines[min(1, len(lines) - 1)])
    return chosen if len(chosen) <= 200 else chosen[:200] + "…"


def _from_hub(repository: str, name: str) -> Path:
    """Fetch into the hub's cache, under the name that its library looks for; that puts it in its place.

    The library (2.4) gives each process's part a name of its own and removes it when that fails, so that nothing can
    be gone on with; this one's is what its versions before 2 named theirs.
    """
    found = None
    for each in _names(name):
        try:
            found, name = get_hf_file_metadata(hf_hub_url(repository, each)), each
            break
        except EntryNotFoundError:
            continue
    if found is None:
        raise OSError(f"expected one of {', '.join(_names(name))} there, got none")
    if found.etag and DIGEST.fullmatch(found.etag):  # a small file has another: that is quickly begun anew
        cache, folder = Path(constants.HF_HUB_CACHE), repo_folder_name(repo_id=repository, repo_type="model")
        blob = cache / folder / "blobs" / found.etag
        download(
            hf_hub_url(repository, name, revision=found.commit_hash),
            blob,
            found.etag,
            part=blob.with_name(f"{blob.name}.incomplete"),
            lock=cache / ".locks" / folder / f"{found.etag}.lock",
            what=_described(f"{repository}/{name}", found.size),
            headers=build_hf_headers(),
        )
    return Path(hf_hub_download(repository, name))


def _from_address(url: str) -> Path:
    """Fetch to where open_clip would, checked against the hash in the address where there is one."""
    path = _of_address(url)
    if path is None:
        raise OSError("expected an address, got none")
    path.unlink(missing_ok=True)  # it was not whole
    part, lock = path.with_name(f"{path.name}.part"), path.with_name(f"{path.name}.lock")
    download(url, path, _digest_in(url), part=part, lock=lock, what=_described(path.name, None))
    return path


def _intact(path: Path, config: dict[str, Any]) -> bool:
    """Whether it is what its address says; open_clip leaves half a file under its name where it is stopped."""
    return digest(path).startswith(_digest_in(config.get("url", "")))


def _digest_in(url: str) -> str:
    """The SHA-256 in an address, or how it begins; empty: there is none."""
    return next((found[1] for each in OF_ADDRESS if (found := each.search(url))), "")


def _of_address(url: str) -> Path | None:
    name = url.rpartition("/")[2]
    return CLIP_CACHE.expanduser() / name if name else None


def _on_hub(config: dict[str, Any]) -> tuple[str, str]:
    """A tag's repository and the file's name there, both empty where there is none."""
    repository, _, name = config.get("hf_hub", "").rpartition("/")
    return repository, name


def _names(name: str) -> tuple[str, ...]:
    """What a file may be called, the safe ones first, as open_clip looks for it."""
    if not name:
        return HUB_FILES
    stem, _, suffix = name.rpartition(".")
    return (f"{stem}.safetensors", name) if suffix in ("bin", "pth") else (name,)


def _described(name: str, size: int | None) -> str:
    return f"downloading {name}" + (f", {size / 1e6:.0f} MB" if size else "")

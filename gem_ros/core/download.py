"""A large file over HTTP: with progress, checked, and going on where an earlier process was stopped."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from filelock import FileLock, Timeout

PIECE = 1 << 20  # bytes read at once
PATIENCE = 30.0  # s without a byte
RETRIES = 5  # times in a row that nothing comes
PAUSE = 1.0  # s before trying again
STEP, SECONDS = 0.1, 10.0  # a line in the log for each, whichever comes first
LOST = (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
Say = Callable[[str, float], None]  # what is downloaded, and which share of it is here
logger = logging.getLogger(__name__)
_say: ContextVar[Say | None] = ContextVar("say", default=None)


@contextmanager
def told(say: Say) -> Iterator[None]:
    """Call ``say`` while something is downloaded in here; without it the log has lines."""
    token = _say.set(say)
    try:
        yield
    finally:
        _say.reset(token)


class Lines:
    """Hands ``write`` a line at the beginning, and after each 10 % or 10 s."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._last: tuple[str, float, float] | None = None  # what, share, when (monotonic s)

    def __call__(self, what: str, share: float) -> None:
        """See :data:`Say`."""
        now = time.monotonic()
        if self._last and self._last[0] == what:
            _, before, when = self._last
            if share < min(before + STEP, 1.0) and now < when + SECONDS:
                return
        self._last = what, share, now
        self._write(f"{what}: {share:.0%}")


def download(
    url: str, target: Path, sha256: str, *, part: Path, lock: Path, what: str, headers: Mapping[str, str] | None = None
) -> None:
    """Fetch ``url`` to ``target``, by way of ``part``, which is gone on with where there is some of it.

    ``sha256`` is the file's in hex, or how that begins: what is not it, is removed. Where it is not known (empty),
    nothing is gone on with, for it might be of another file. ``headers`` are for this host alone, not for one that
    it redirects to. One process at a time: others wait at ``lock``. Raises :class:`OSError` and
    :class:`http.client.HTTPException`.
    """
    say = _say.get() or Lines(logger.warning)
    for folder in {target.parent, part.parent, lock.parent}:
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(lock, what):
        if target.is_file():  # by the process that was waited for
            return
        if not sha256:
            part.unlink(missing_ok=True)

        def fetched() -> bool:
            _fill(part, url, headers or {}, lambda share: say(what, share))
            return not sha256 or digest(part).startswith(sha256)

        old, good = part.is_file(), fetched()
        if old and not good:  # the part was damaged, or of another file
            part.unlink()
            good = fetched()
        if not good:
            found = digest(part)
            part.unlink()
            raise OSError(f"expected sha256 {sha256[:12]}…, got {found[:12]}…, which was removed")
        part.replace(target)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            found.update(piece)
    return found.hexdigest()


@contextmanager
def _alone(lock: Path, what: str) -> Iterator[None]:
    held = FileLock(str(lock))
    try:
        held.acquire(timeout=0)
    except Timeout:
        logger.warning("%s: another process is at it, waiting for that", what)
        held.acquire()
    try:
        yield
    finally:
        held.release()


def _fill(part: Path, url: str, headers: Mapping[str, str], say: Callable[[float], None]) -> None:
    """Fetch until ``part`` is whole; a connection that is lost is made anew as long as something comes."""
    failures, before = 0, -1
    while True:
        have = part.stat().st_size if part.is_file() else 0
        failures, before = 0 if have > before else failures, have
        try:
            if _go_on(part, have, url, headers, say):
                return
            lost: Exception = ConnectionError("the connection was closed in the middle")
        except HTTPError as error:
            if error.code == 416 and have:  # nothing comes after it
                if error.headers.get("Content-Range", "").endswith(f"/{have}"):
                    return
                part.unlink()  # it is of another file
                continue
            if error.code < 500 and error.code != 429:
                raise
            lost = error
        except LOST as error:
            lost = error
        failures += 1
        if failures > RETRIES:
            raise lost
        time.sleep(PAUSE)


def _go_on(part: Path, have: int, url: str, headers: Mapping[str, str], say: Callable[[float], None]) -> bool:
    """Fetch what is missing after the first ``have`` bytes, or all where a server cannot; whether all came."""
    request = Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    context = ssl.create_default_context(cafile=os.environ.get("REQUESTS_CA_BUNDLE") or None)
    with urlopen(request, timeout=PATIENCE, context=context) as response:
        have, total = _extent(response, have)
        missing, free = total - have, shutil.disk_usage(part.parent).free
        if free < missing:
            raise OSError(f"expected {missing / 1e6:.0f} MB of room in {part.parent}, got {free / 1e6:.0f} MB")
        with part.open("ab" if have else "wb") as file:
            while have < total and (piece := response.read1(min(PIECE, total - have))):
                file.write(piece)
                have += len(piece)
                say(have / total)
    return have == total


def _extent(response: HTTPResponse, have: int) -> tuple[int, int]:
    """Where the answer begins, and how many bytes the whole file has."""
    if response.status == 206:
        span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if span.partition("-")[0] == str(have) and total.isdigit():
            return have, int(total)
        raise OSError(f"expected bytes from {have} on, got {response.headers.get('Content-Range')!r}")
    length = response.headers.get("Content-Length", "")
    if not length.isdigit():
        raise OSError("expected a server that says how large the file is, got one that does not")
    return 0, int(length)

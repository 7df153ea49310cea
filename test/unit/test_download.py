"""Large files over HTTP, from a server of the test's own: dropped, killed, gone on with, and what is refused."""

import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from gem_ros.commands._session import downloads
from gem_ros.core import download as downloading
from gem_ros.core import weights
from gem_ros.core.download import Lines, download, told
from gem_ros.errors import ModelError

ROOT = Path(__file__).parents[2]
DATA = bytes(range(251)) * 4000  # a megabyte of which no two parts are alike
DIGEST = hashlib.sha256(DATA).hexdigest()
COMMIT = "c" * 40
HUB_PATH = f"/somebody/model/resolve/{COMMIT}/open_clip_model.safetensors"


class Handler(BaseHTTPRequestHandler):
    """Sends ``server.data``; what else it does is in the server's attributes."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(False)

    def do_GET(self):
        self._answer(True)

    def _answer(self, body):
        server = self.server
        server.heard.append((self.command, self.path, self.headers.get("Range"), self.headers.get("Authorization")))
        if server.statuses:
            return self._head(server.statuses.pop(0), {"Content-Length": "0"})
        if "/resolve/" in self.path:
            if not self.path.endswith("/open_clip_model.safetensors"):
                return self._head(404, {"Content-Length": "0", "X-Error-Code": "EntryNotFound"})
            stated = {"X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{server.stated}"', "X-Linked-Size": str(len(DATA))}
            return self._head(302, {**stated, "Location": f"{server.elsewhere}/cdn", "Content-Length": "0"})
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1]) if server.ranges else 0
        if start >= len(server.data):
            span = {"Content-Range": f"bytes */{len(server.data)}"}
            return self._head(416, {**span, "Content-Length": "0"})
        headers = {"Content-Length": str(len(server.data) - start)} if server.tells_length else {"Connection": "close"}
        if start:
            headers["Content-Range"] = f"bytes {start + server.off}-{len(server.data) - 1}/{len(server.data)}"
        self._head(206 if start else 200, headers)
        if body:
            end = start + server.drops.pop(0) if server.drops else len(server.data)
            for at in range(start, min(end, len(server.data)), 32768):
                self.wfile.write(server.data[at : min(at + 32768, end)])
                time.sleep(server.slow)
            self.close_connection = end < len(server.data) or not server.tells_length

    def _head(self, status, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *args):
        pass

    def handle(self):
        with suppress(ConnectionError):  # whoever asked was killed
            super().handle()


@pytest.fixture
def server(monkeypatch):
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.data, made.stated, made.ranges, made.tells_length = DATA, DIGEST, True, True
    made.heard, made.statuses, made.drops, made.slow, made.off = [], [], [], 0.0, 0
    made.url = f"http://127.0.0.1:{made.server_port}"
    made.elsewhere = f"http://localhost:{made.server_port}"  # another host, as the hub's files are on
    thread = threading.Thread(target=made.serve_forever, args=(0.05,))
    thread.start()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(downloading, "PAUSE", 0.0)
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def place(tmp_path):
    names = {"target": "model", "part": "model.part", "lock": "model.lock"}
    return SimpleNamespace(**{each: tmp_path / "cache" / name for each, name in names.items()})


def get(server, place, sha256=DIGEST, **more):
    where = {"part": place.part, "lock": place.lock, "what": "the model"}
    download(f"{server.url}/file", place.target, sha256, **where, **more)
    assert place.target.read_bytes() == DATA and not place.part.exists()


def ranges(server):
    return [each[2] for each in server.heard]


def test_a_file_comes_and_its_progress_is_told(server, place):
    said = []
    with told(lambda *each: said.append(each)):
        get(server, place)
    shares = [share for _, share in said]
    assert {what for what, _ in said} == {"the model"}
    assert shares == sorted(shares) and 0 < shares[0] <= 1.0 and shares[-1] == 1.0
    assert ranges(server) == [None]


def test_what_is_here_is_not_fetched(server, place):
    place.target.parent.mkdir()
    place.target.write_bytes(DATA)
    get(server, place)
    assert not server.heard


def test_a_lost_connection_is_made_anew_where_it_was_lost(server, place):
    server.drops = [300_000, 0, 0, 5, 200_000]
    get(server, place)
    assert ranges(server) == [None, *["bytes=300000-"] * 3, "bytes=300005-", "bytes=500005-"]


def test_a_server_that_is_busy_is_asked_again(server, place):
    server.statuses = [503, 429]
    get(server, place)
    assert len(server.heard) == 3


def test_it_is_given_up_when_nothing_comes_and_the_part_is_kept(server, place):
    server.drops = [1000] + [0] * 50
    with pytest.raises(ConnectionError, match="closed in the middle"):
        get(server, place)
    assert place.part.read_bytes() == DATA[:1000] and len(server.heard) == 2 + downloading.RETRIES
    server.drops = []
    get(server, place)
    assert ranges(server)[-1] == "bytes=1000-"


def test_without_ranges_it_begins_anew(server, place):
    server.ranges, server.drops = False, [400_000]
    get(server, place)
    assert ranges(server) == [None, "bytes=400000-"]


@pytest.mark.parametrize("damage", ["a byte", "too much", "another file"])
def test_a_part_that_is_of_something_else_is_begun_anew_once(server, place, damage):
    place.part.parent.mkdir()
    kept = {"a byte": b"x" + DATA[1:5000], "too much": DATA + b"more", "another file": b"y" * len(DATA)}
    place.part.write_bytes(kept[damage])
    get(server, place)


def test_a_part_that_was_whole_is_only_checked(server, place):
    place.part.parent.mkdir()
    place.part.write_bytes(DATA)
    get(server, place)
    assert ranges(server) == [f"bytes={len(DATA)}-"]


def test_another_file_than_stated_is_refused_and_removed(server, place):
    with pytest.raises(OSError, match=rf"expected sha256 {'0' * 12}…, got {DIGEST[:12]}…, which was removed"):
        get(server, place, "0" * 64)
    assert not place.target.exists() and not place.part.exists()


def test_what_cannot_be_checked_is_not_gone_on_with(server, place):
    place.part.parent.mkdir()
    place.part.write_bytes(DATA[:1000])
    get(server, place, "")
    assert ranges(server) == [None]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_is_not_given_is_refused_at_once(server, place, status):
    server.statuses = [status]
    with pytest.raises(OSError, match=str(status)):
        get(server, place)
    assert len(server.heard) == 1


def test_a_server_that_answers_with_another_part_is_refused(server, place):
    server.off, server.drops = 7, [1000]
    with pytest.raises(OSError, match="expected bytes from 1000 on, got 'bytes 1007-"):
        get(server, place)


def test_a_file_of_no_stated_size_could_fill_the_disk(server, place):
    server.tells_length = False
    with pytest.raises(OSError, match="says how large the file is"):
        get(server, place)


def test_a_file_that_does_not_fit_is_not_begun(server, place, monkeypatch):
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda path: SimpleNamespace(free=500_000))
    with pytest.raises(OSError, match=r"expected 1 MB of room in .*, got 0 MB"):
        get(server, place)
    assert not place.part.exists()


def test_two_processes_fetch_it_once(server, place, caplog):
    place.lock.parent.mkdir()
    with FileLock(place.lock):
        second = threading.Thread(target=get, args=(server, place))
        second.start()
        deadline = time.monotonic() + 5
        while "another process is at it" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        place.target.write_bytes(DATA)
    second.join()
    assert "the model: another process is at it" in caplog.text and not server.heard


def test_a_process_that_was_killed_is_gone_on_with_by_the_next(server, place):
    code = "import sys, pathlib; from gem_ros.core.download import download; p = pathlib.Path(sys.argv[2]); "
    code += "download(sys.argv[1], p, sys.argv[3], part=p.with_suffix('.part'), lock=p.with_suffix('.lock'), what='it')"
    command = [sys.executable, "-c", code, f"{server.url}/file", str(place.target), DIGEST]
    server.slow = 0.05
    first = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + 30
    while not (place.part.exists() and place.part.stat().st_size > 200_000):
        assert time.monotonic() < deadline and first.poll() is None
        time.sleep(0.01)
    first.kill()
    first.wait()
    kept, server.slow = place.part.stat().st_size, 0.0
    assert 200_000 < kept < len(DATA)
    get(server, place)
    assert ranges(server) == [None, f"bytes={kept}-"]


def test_the_log_has_a_line_for_each_tenth_or_ten_seconds(monkeypatch):
    lines, now = [], [0.0]
    monkeypatch.setattr(downloading.time, "monotonic", lambda: now[0])
    say = Lines(lines.append)
    for percent in range(1, 101):
        say("it", percent / 100)
    assert [line for line in lines if line.endswith((": 1%", ": 100%"))] == ["it: 1%", "it: 100%"]
    assert 10 <= len(lines) <= 12
    lines.clear()
    for number in range(100):
        now[0] += 1
        say("slow", number / 1e6)
    assert len(lines) == 10


def test_the_command_line_shows_a_bar(server, place, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # to rich a terminal
    with downloads():
        get(server, place)
    shown = capsys.readouterr()
    assert "the model" in shown.err and "100%" in shown.err and not shown.out
    with downloads():
        pass
    assert capsys.readouterr().err == ""


def test_without_a_terminal_the_log_has_lines(server, place, monkeypatch, capsys, caplog):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    with downloads():
        get(server, place)
    assert capsys.readouterr().out == "" and "the model: 100%" in caplog.text


def test_without_anybody_told_it_is_logged(server, place, caplog):
    with caplog.at_level(logging.WARNING):
        get(server, place)
    assert "the model: 100%" in caplog.text


FETCH = """
import sys
from gem_ros.core.weights import cached, fetch
config = {"hf_hub": "somebody/model/"}
path = fetch("tiny", "mine", config)
assert path == cached(config)
print(path)
"""


def hub(server, tmp_path, **more):
    """Another process fetches a tag from the server, as if that were the hub."""
    own = {"HF_ENDPOINT": server.url, "HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HOME": str(tmp_path / "home")}
    environment = {**os.environ, **own, **more}
    return subprocess.Popen(
        [sys.executable, "-c", FETCH],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_hub_s_files_are_gone_on_with_and_lie_where_its_library_finds_them(server, tmp_path):
    server.slow = 0.05
    part = tmp_path / "hub" / "models--somebody--model" / "blobs" / f"{DIGEST}.incomplete"
    first = hub(server, tmp_path)
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size > 200_000):
        assert time.monotonic() < deadline and first.poll() is None, first.communicate()[1]
        time.sleep(0.01)
    first.kill()
    first.communicate()
    kept, server.slow = part.stat().st_size, 0.0
    second = hub(server, tmp_path)
    out, said = second.communicate(timeout=60)
    assert second.returncode == 0, said
    path = Path(out.strip())
    assert path.read_bytes() == DATA and path.resolve().name == DIGEST and not part.exists()
    assert path.name == "open_clip_model.safetensors" and "snapshots" in path.parts
    assert [each[2] for each in server.heard if each[:2] == ("GET", "/cdn")] == [None, f"bytes={kept}-"]
    assert "downloading somebody/model/open_clip_model.safetensors, 1 MB: 100%" in said


def test_a_token_is_for_the_hub_alone(server, tmp_path):
    done = hub(server, tmp_path, HF_TOKEN="hf_secret")
    _, said = done.communicate(timeout=60)
    assert done.returncode == 0, said
    tokens = {each[1]: each[3] for each in server.heard if each[:2] in (("GET", HUB_PATH), ("GET", "/cdn"))}
    assert tokens == {HUB_PATH: "Bearer hf_secret", "/cdn": None}


def test_a_file_that_is_not_what_the_hub_states_is_one_line(server, tmp_path):
    server.stated = "0" * 64
    done = hub(server, tmp_path)
    _, said = done.communicate(timeout=60)
    assert done.returncode == 1
    last = said.strip().splitlines()[-1]
    assert f"cannot download tiny 'mine' (expected sha256 {'0' * 12}…, got {DIGEST[:12]}…, which was removed)" in last
    assert f"fetch {server.url}/somebody/model on a machine with a network" in last


@pytest.fixture
def address(server, tmp_path, monkeypatch):
    """A tag as older versions of open_clip have them: an address with the file's hash in it."""
    monkeypatch.setattr(weights, "CLIP_CACHE", tmp_path / "clip")
    return {"url": f"{server.url}/openaipublic/clip/models/{DIGEST}/ViT-B-16.pt"}


def test_an_address_is_gone_on_with_and_checked_too(server, address, tmp_path):
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip/ViT-B-16.pt.part").write_bytes(DATA[:70_000])
    path = weights.fetch("ViT-B-16", "openai", address)
    assert path == tmp_path / "clip/ViT-B-16.pt" and path.read_bytes() == DATA
    assert ranges(server) == ["bytes=70000-"]
    assert weights.fetch("ViT-B-16", "openai", address) == path and len(server.heard) == 1


def test_half_a_file_that_open_clip_left_is_fetched_anew(server, address, tmp_path):
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip/ViT-B-16.pt").write_bytes(DATA[:70_000])
    assert weights.fetch("ViT-B-16", "openai", address).read_bytes() == DATA


def test_an_address_that_has_moved_says_what_to_do(server, address):
    server.statuses = [404]
    with pytest.raises(ModelError, match=r"cannot download ViT-B-16 'openai' \(HTTP Error 404.*\); fetch http"):
        weights.fetch("ViT-B-16", "openai", address)


@pytest.mark.parametrize(
    ("url", "begins"),
    [
        (f"https://openaipublic.azureedge.net/clip/models/{DIGEST}/ViT-B-16.pt", DIGEST),
        ("https://github.com/mlfoundations/open_clip/releases/v0.2/vit_b_16-laion400m_e31-00efa78f.pt", "00efa78f"),
        ("https://dl.fbaipublicfiles.com/MMPT/metaclip/b32_400m.pt", ""),
        ("", ""),
    ],
)
def test_hashes_in_addresses(url, begins):
    assert weights._digest_in(url) == begins


def test_names_of_files_are_tried_as_open_clip_does():
    assert weights._names("") == weights.HUB_FILES
    assert weights._names("pytorch_model.bin") == ("pytorch_model.safetensors", "pytorch_model.bin")
    assert weights._names("model.safetensors") == ("model.safetensors",)

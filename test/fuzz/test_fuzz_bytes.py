"""What reads bytes, given bytes that were once right: nothing escapes but an error of one line."""

import random
import subprocess
import sys
import tracemalloc
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from seeds import seeds
from targets import TARGETS

from gem_ros.errors import GemError
from gem_ros.messages import cdr, decode
from gem_ros.replay import recovery

LIES = [b"\xff" * 4, bytes(4), b"\0\0\0\x80", b"\x80\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\xf0\x7f"]
SLOWEST = 200  # mutations in the quick lane


def mutate(data, chance):
    """Some of: another byte, a length that lies, cut off, a piece twice, noise."""
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        at = chance.randrange(len(data)) if data else 0
        kind = chance.randrange(5)
        if kind == 0:
            data[at : at + 1] = chance.randbytes(1)
        elif kind == 1:
            data[at : at + 4] = chance.choice(LIES)
        elif kind == 2:
            del data[at:]
        elif kind == 3:
            data[at:at] = data[chance.randrange(len(data)) :][:9] if data else b""
        else:
            data[at : at + 8] = chance.randbytes(8)
    return bytes(data)


def check(name, count):
    begun, chance = seeds()[name], random.Random(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        for _ in range(count):
            TARGETS[name](mutate(chance.choice(begun), chance))


@pytest.mark.parametrize("name", TARGETS)
def test_a_few_mutations(name):
    check(name, SLOWEST)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_many_mutations(name):
    check(name, 5_000)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.binary(max_size=300))
def test_any_bytes(name, data):
    TARGETS[name](data)


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_whole(name, tmp_path):
    """Else mutations of them would only find the first check."""
    for data in seeds()[name]:
        TARGETS[name](data)
    if name in ("mcap", "ros1", "sqlite"):
        suffix = {"mcap": ".mcap", "ros1": ".bag", "sqlite": ".db3"}[name]
        for data in seeds()[name]:
            (tmp_path / "x").write_bytes(data)
            said = []
            assert list(recovery.SCANS[suffix](tmp_path / "x", said.append)) and not said
    if name == "image":
        assert decode.image(cdr.image(seeds()[name][0])).shape == (4, 6, 3)
    if name == "compressed":
        first = seeds()[name]
        assert decode.compressed_image(SimpleNamespace(format="jpeg", data=first[0][1:])).shape == (4, 6, 3)


@pytest.mark.parametrize("name", ["image", "compressed", "a PNG's chunk", "a PNG's size"])
def test_a_size_that_lies_allocates_nothing(name):
    image, (jpeg, png, *_) = seeds()["image"][0], (each[1:] for each in seeds()["compressed"])
    sixty_thousand, at = (60_000).to_bytes(4, "little") * 2, image.index(b"camera\0\0") + 8
    cases = {
        "image": (decode.image, cdr.image(image[:at] + sixty_thousand + image[at + 8 :])),
        "compressed": (decode.compressed_image, jpeg.replace(b"\0\4\0\6\3", b"\xff\xdc\xff\xdc\3")),
        "a PNG's chunk": (decode.compressed_image, png.replace(png[33:37], b"\x20\0\0\x1e")),
        "a PNG's size": (decode.compressed_image, png[:16] + (9_000).to_bytes(4, "big") * 2 + png[24:]),
    }
    read, made = cases[name]
    message = SimpleNamespace(format="", data=made) if isinstance(made, bytes) else made
    tracemalloc.start()
    try:
        with pytest.raises(GemError, match="at most 8256 for a byte" if name == "a PNG's size" else "expected"):
            read(message)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_coverage_guided_fuzzing_runs(tmp_path):
    pytest.importorskip("atheris", reason="needs atheris (pip install gem_ros[fuzz])")
    command = [sys.executable, str(Path(__file__).parent / "cover.py"), "image", str(tmp_path), "-runs=300"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "Done 300 runs" in done.stderr, done.stderr[-2000:]
    assert len(list(tmp_path.iterdir())) >= len(seeds()["image"])

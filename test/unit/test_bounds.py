"""Files that ask for more memory than they are worth are one line; nothing large is made for these tests."""

import json

import pytest
from backports import zstd

from gem_ros.errors import BagError
from gem_ros.replay import fields, recovery
from gem_ros.replay.masks import decode_mask, decode_runs


@pytest.mark.parametrize("counts", [[10**10], "P_f1P_f1"])
def test_a_mask_of_gigabytes_is_refused(counts):
    with pytest.raises(BagError, match=r"expected a size of \[height, width\], at most 100000000 pixels, got \[100000"):
        decode_runs({"size": [100_000, 100_000], "counts": counts})
    assert decode_mask({"size": [100, 100], "counts": [10_000]}).shape == (100, 100)


def test_json_of_gigabytes_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "truth.json"
    file.write_text(json.dumps({"objects": []}))
    assert fields.read_json(file, "truth") == {"objects": []}
    monkeypatch.setattr(fields, "MAX_BYTES", 10)
    with pytest.raises(BagError, match=r"expected at most 10 bytes of JSON, got 15; split it"):
        fields.read_json(file, "truth")


def test_json_that_is_nested_without_end_is_refused(tmp_path):
    file = tmp_path / "truth.json"
    file.write_text("[" * 200_000)
    with pytest.raises(BagError, match="expected JSON"):
        fields.read_json(file, "truth")


def test_a_message_unpacks_to_so_much_and_no_more(monkeypatch):
    packed = zstd.compress(bytes(50_000))
    assert recovery.unpack_message(packed) == bytes(50_000)
    monkeypatch.setattr(recovery, "MAX_UNPACKED", 10_000)
    with pytest.raises(ValueError, match="more than 10000 bytes"):
        recovery.unpack_message(packed)


def test_half_a_message_is_none():
    with pytest.raises(ValueError, match="ends too early"):
        recovery.unpack_message(zstd.compress(bytes(range(256)) * 99)[:-20])


@pytest.mark.parametrize("compression", ["zstd", "lz4", "bz2"])
def test_a_damaged_recordings_chunk_unpacks_to_so_much_and_no_more(compression, monkeypatch, tmp_path):
    import bz2

    from lz4 import frame

    pack = {"zstd": zstd.compress, "lz4": frame.compress, "bz2": bz2.compress}[compression]
    said = []
    assert recovery._unpacked(pack(bytes(50_000)), compression, 50_000, tmp_path, said.append) == bytes(50_000)
    monkeypatch.setattr(recovery, "MAX_UNPACKED", 10_000)
    assert len(recovery._unpacked(pack(bytes(50_000)), compression, 50_000, tmp_path, said.append)) == 10_000
    assert len(said) == 1 and "expected a chunk of 50000 bytes, got 10000" in said[0]

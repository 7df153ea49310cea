"""Recordings of every kind, whole and damaged: what can be read is, what cannot is said in one line."""

import re
import shutil
import sqlite3
import struct
from contextlib import closing

import numpy as np
import pytest
from backports import zstd
from rosbags import rosbag1, rosbag2
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_typestore

from gem_ros.errors import BagError
from gem_ros.replay import bag

COUNT, STEP, SIDE = 60, 100_000_000, 96
ROUNDS = 49  # of random damage
TOPIC, TYPE = "/camera/image", "sensor_msgs/msg/Image"
NOISE = np.random.default_rng(3).integers(0, 256, (COUNT, 3 * SIDE * SIDE), np.uint8)  # no compression: two chunks
MCAP, SQLITE = StoragePlugin.MCAP, StoragePlugin.SQLITE3
KINDS = {
    "mcap": (MCAP, None),
    "mcap zstd chunks": (MCAP, CompressionMode.STORAGE),
    "mcap zstd messages": (MCAP, CompressionMode.MESSAGE),
    "mcap zstd file": (MCAP, CompressionMode.FILE),
    "sqlite": (SQLITE, None),
    "sqlite zstd messages": (SQLITE, CompressionMode.MESSAGE),
    "sqlite zstd file": (SQLITE, CompressionMode.FILE),
}


def image(types, index, seq=()):
    """An image that says its index in its stamp and its first pixel."""
    data = NOISE[index].copy()
    data[0] = index
    time = types.types["builtin_interfaces/msg/Time"](1, index)
    header = types.types["std_msgs/msg/Header"](*seq, time, "camera")
    return types.types[TYPE](header, SIDE, SIDE, "rgb8", 0, 3 * SIDE, data)


def write(path, kind="mcap", first=0, count=COUNT):
    """A rosbag2 folder of ``count`` images and texts, one after the other."""
    plugin, mode = KINDS[kind]
    types = bag.typestore()
    writer = rosbag2.Writer(path, version=8, storage_plugin=plugin)
    if mode:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        images = writer.add_connection(TOPIC, TYPE, typestore=types)
        texts = writer.add_connection("/text", "std_msgs/msg/String", typestore=types)
        for index in range(first, first + count):
            message = image(types, index)
            writer.write(images, index * STEP, types.serialize_cdr(message, TYPE))
            text = types.types["std_msgs/msg/String"](f"text {index}")
            writer.write(texts, index * STEP, types.serialize_cdr(text, "std_msgs/msg/String"))
    return path


def write_ros1(path, compression=None, first=0, count=COUNT):
    types = get_typestore(Stores.ROS1_NOETIC)
    writer = rosbag1.Writer(path)
    if compression:
        writer.set_compression(compression)
    with writer:
        images = writer.add_connection(TOPIC, TYPE, typestore=types)
        infos = writer.add_connection("/camera/camera_info", "sensor_msgs/msg/CameraInfo", typestore=types)
        for index in range(first, count):
            message = image(types, index, seq=(7,))
            writer.write(images, index * STEP, types.serialize_ros1(message, TYPE))
            roi = types.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
            matrices = np.arange(2.0), np.arange(9.0), np.eye(3).ravel(), np.arange(12.0)
            info = types.types["sensor_msgs/msg/CameraInfo"](message.header, 64, 64, "plumb_bob", *matrices, 1, 1, roi)
            writer.write(infos, index * STEP, types.serialize_ros1(info, "sensor_msgs/msg/CameraInfo"))
    return path


def indices(path, **options):
    """Which images are read, each whole."""
    found = []
    for record in bag.messages(path, {TOPIC}, **options):
        message = record.decode()
        assert message.header.stamp.nanosec == record.stamp % bag.NS == message.data[0] == record.time // STEP
        assert (message.data[1:] == NOISE[record.time // STEP, 1:]).all() and message.header.frame_id == "camera"
        found.append(int(message.data[0]))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_rosbag2_is_read(tmp_path, kind):
    path = write(tmp_path / "bag", kind)
    assert indices(path) == list(range(COUNT))
    assert bag.time_range(path) == (0, (COUNT - 1) * STEP + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_without_metadata_the_files_are_read_and_it_is_said(tmp_path, kind):
    path = write(tmp_path / "bag", kind)
    (path / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=r"metadata"):
        bag.topics(path)
    said = []
    assert indices(path, problems=said.append) == list(range(COUNT))
    assert len(said) == 1 and "metadata" in said[0]


@pytest.mark.parametrize("kind", ["mcap zstd file", "sqlite zstd file"])
def test_a_compressed_file_alone_is_read(tmp_path, kind):
    (file,) = write(tmp_path / "bag", kind).glob("*.zstd")
    assert indices(file) == list(range(COUNT))


@pytest.mark.parametrize(
    "compression", [None, rosbag1.Writer.CompressionFormat.BZ2, rosbag1.Writer.CompressionFormat.LZ4]
)
def test_ros1_messages_are_those_of_ros2(tmp_path, compression):
    path = write_ros1(tmp_path / "old.bag", compression)
    assert indices(path) == list(range(COUNT))
    record = next(bag.messages(path, {"/camera/camera_info"}))
    info = record.decode()
    assert record.type == "sensor_msgs/msg/CameraInfo" and info.k.tolist() == list(range(9))
    assert (info.d.tolist(), info.binning_x, info.header.frame_id) == ([0, 1], 1, "camera")
    with bag.BagWriter(tmp_path / "new") as writer:
        writer.write("/info", record.type, record.time, info)
    write_ros1(tmp_path / "old_1.bag", compression, first=COUNT // 2)
    path.rename(tmp_path / "old_0.bag")
    shutil.rmtree(tmp_path / "new")
    assert indices(tmp_path) == [*range(COUNT), *range(COUNT // 2, COUNT)]  # a folder of parts


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.999, 0.5])
def test_a_cut_file_is_read_up_to_the_cut(tmp_path, kind, share):
    path = write(tmp_path / "bag", kind)
    (file,) = (each for each in path.iterdir() if each.suffix != ".yaml")
    cut(file, share)
    said = []
    found = indices(path, problems=said.append)
    assert found == list(range(len(found)))
    lost = COUNT * (1 - share) + 6  # a zstd block holds nearly five
    assert len(found) >= COUNT - lost and len(found) < COUNT + (share == 0.999)
    assert said and all(("\n" not in line and str(path) in line) or "bag." in line for line in said)
    with pytest.raises(BagError):
        indices(path)


@pytest.mark.parametrize(
    "compression", [None, rosbag1.Writer.CompressionFormat.BZ2, rosbag1.Writer.CompressionFormat.LZ4]
)
@pytest.mark.parametrize("share", [0.999, 0.5])
def test_a_cut_ros1_bag_is_read_up_to_the_cut(tmp_path, compression, share):
    path = write_ros1(tmp_path / "old.bag", compression)
    cut(path, share)
    said = []
    found = indices(path, problems=said.append)
    assert found == list(range(len(found))) and len(found) >= share * COUNT - 36 and said  # a block of bz2 holds 32
    with pytest.raises(BagError):
        indices(path)


def test_a_killed_recorders_bag_has_no_index(tmp_path):
    path = write_ros1(tmp_path / "old.bag")
    data = bytearray(path.read_bytes())
    at = data.index(b"index_pos=") + len(b"index_pos=")
    data[at : at + 8] = bytes(8)
    active = tmp_path / "old.bag.active"
    active.write_bytes(data)
    said = []
    assert indices(active, problems=said.append) == list(range(COUNT)) and "index" in said[0]


@pytest.mark.parametrize("chunk", [0, 1])
def test_behind_a_damaged_place_reading_goes_on(tmp_path, chunk):
    """One of two chunks is lost; the first describes the channels, the summary does it again."""
    path = write(tmp_path / "bag", "mcap zstd chunks")
    file = path / "bag.mcap"
    data = bytearray(file.read_bytes())
    starts = [match.start() for match in re.finditer(re.escape(b"\x28\xb5\x2f\xfd"), data)]
    assert len(starts) == 2
    data[starts[chunk] : starts[chunk] + 40] = bytes(range(40))
    file.write_bytes(data)
    said = []
    found = indices(path, problems=said.append)
    whole = list(range(COUNT))
    assert found == (whole[-len(found) :] if chunk == 0 else whole[: len(found)]) and COUNT / 4 < len(found) < COUNT
    assert said


@pytest.mark.parametrize("size", [0, 4, 30, 300])
@pytest.mark.parametrize("name", ["bag.mcap", "bag.db3", "bag.bag", "bag.mcap.zstd", "bag.db3.zstd"])
def test_what_is_hardly_begun_is_empty(tmp_path, name, size):
    if name.endswith(".bag"):
        whole = write_ros1(tmp_path / name, count=3)
    else:
        suffix = ".db3" if "db3" in name else ".mcap"
        whole = write(tmp_path / "bag", "sqlite" if "db3" in name else "mcap", count=3) / f"bag{suffix}"
    data = whole.read_bytes()
    file = tmp_path / "cut" / name
    file.parent.mkdir()
    file.write_bytes((zstd.compress(data) if name.endswith("zstd") else data)[:size])
    said = []
    assert bag.topics(file, said.append) == {} and list(bag.messages(file, None, said.append)) == [] and said
    assert bag.time_range(file, said.append) == (0, 0)
    with pytest.raises(BagError, match="cut"):
        bag.topics(file)


def test_random_damage_never_crashes(tmp_path):
    random = np.random.default_rng(5)
    paths = [write(tmp_path / kind, kind, count=12) for kind in KINDS if kind != "sqlite zstd file"]
    originals = [each for path in paths for each in path.iterdir() if each.suffix != ".yaml"]
    originals.append(write_ros1(tmp_path / "old.bag", rosbag1.Writer.CompressionFormat.LZ4, count=12))
    for number in range(ROUNDS):
        whole = originals[number % len(originals)]
        data = bytearray(whole.read_bytes())
        for at in random.integers(0, len(data), 4):
            data[at : at + 8] = random.bytes(len(data[at : at + 8]))
        file = tmp_path / f"damaged{''.join(whole.suffixes)}"
        file.write_bytes(data)
        for record in bag.messages(file, None, lambda line: None):
            try:
                record.decode()
            except BagError as error:
                assert "\n" not in str(error)


def test_no_messages_at_all(tmp_path):
    for kind in KINDS:
        path = write(tmp_path / kind, kind, count=0)
        assert bag.topics(path)[TOPIC] == TYPE and indices(path) == [] and bag.time_range(path) == (0, 0)
    old = write_ros1(tmp_path / "old.bag", count=0)
    assert indices(old) == []


@pytest.mark.parametrize("definition", [b"?!? ?!? ?!?", b"own/Wheel a"])
def test_types_that_nobody_knows_do_no_harm(tmp_path, definition):
    """A definition that is none, and one that leaves out what it uses."""
    path = write(tmp_path / "bag", count=3)
    file = path / "bag.mcap"
    data = file.read_bytes().replace(b"std_msgs/msg/String", b"own_msgs/msg/Thing_")
    file.write_bytes(data.replace(b"string data", definition))
    said = []
    assert indices(file, problems=said.append) == [0, 1, 2]
    assert [line.split(":")[0] for line in said] == ["own_msgs/msg/Thing_"] * (b"?" in definition)
    (record, *_) = bag.messages(file, {"/text"})
    with pytest.raises(BagError, match="/text"):
        record.decode()


def test_a_message_that_does_not_unpack_is_left_out(tmp_path):
    file = write(tmp_path / "bag", "sqlite zstd messages", count=5) / "bag.db3"
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE messages SET data = substr(data, 1, 900) WHERE id = 5")  # of image 2
    for path, lines in ((file, 1), (file.parent, 2)):  # rosbags stops at it, where it knows of the compression
        said = []
        assert indices(path, problems=said.append) == [0, 1, 3, 4] and len(said) == lines
        with pytest.raises(BagError):
            indices(path)


def test_bytes_that_are_no_message_of_their_type_are_said_once(tmp_path):
    types = get_typestore(Stores.ROS1_NOETIC)
    with rosbag1.Writer(tmp_path / "old.bag") as writer:
        images = writer.add_connection(TOPIC, TYPE, typestore=types)
        for index in range(4):
            whole = bytes(types.serialize_ros1(image(types, index, seq=(1,)), TYPE))
            writer.write(images, index * STEP, whole[:20] if index in (1, 2) else whole)
    said = []
    assert indices(tmp_path / "old.bag", problems=said.append) == [0, 3]
    assert len(said) == 1 and TOPIC in said[0]
    with pytest.raises(BagError, match=TOPIC):
        indices(tmp_path / "old.bag")


def split(path, parts=11):
    """A recording of numbered files, as ``ros2 bag record --max-bag-duration`` leaves it."""
    path.mkdir()
    for part in range(parts):
        one = write(path.parent / f"part{part}", first=2 * part, count=2)
        shutil.move(one / f"part{part}.mcap", path / f"run_{part}.mcap")
        text = (one / "metadata.yaml").read_text()
        shutil.rmtree(one)
    names = "".join(f"\n  - run_{part}.mcap" for part in range(parts))
    (path / "metadata.yaml").write_text(
        text.replace("\n  - part10.mcap", names).replace(" part10.mcap", " run_10.mcap")
    )
    return path


def test_parts_are_read_one_after_another_and_a_cut_one_loses_its_own(tmp_path):
    path = split(tmp_path / "run")
    assert indices(path) == list(range(22))
    cut(path / "run_10.mcap", 0.6)
    said = []
    assert indices(path, problems=said.append)[:21] == list(range(21)) and said
    (path / "metadata.yaml").unlink()
    (path / "run_3.mcap").unlink()
    assert indices(path, problems=said.append)[:19] == [each for each in range(21) if each not in (6, 7)]


def test_bags_are_found(tmp_path):
    runs = tmp_path / "runs"
    split(runs / "c" / "parts", 2) if (runs / "c").mkdir(parents=True) is None else None
    write(runs / "whole", count=1)
    bare = runs / "bare"
    bare.mkdir()
    for name in ("x10.mcap", "x9.mcap"):
        shutil.copy(runs / "whole" / "whole.mcap", bare / name)
    write_ros1(runs / "old.bag", count=1)
    (runs / "notes.txt").write_text("none")
    (runs / ".hidden").mkdir()
    shutil.copy(runs / "whole" / "whole.mcap", runs / ".hidden" / "x.mcap")
    expected = [runs / "old.bag", bare / "x9.mcap", bare / "x10.mcap", runs / "c" / "parts", runs / "whole"]
    assert bag.find_bags([runs]) == expected
    (runs / "c" / "parts" / "metadata.yaml").unlink()
    assert bag.find_bags([str(runs)]) == expected
    assert bag.find_bags([runs / "bare" / "x9.mcap", f"{runs}/**/*.mcap"]) == [
        *expected[1:3],
        *(runs / "c" / "parts" / f"run_{part}.mcap" for part in range(2)),
        runs / "whole" / "whole.mcap",
    ]
    for nothing in (runs / "none", runs / "notes.txt", f"{runs}/*.txt", f"{runs}/*.nothing"):
        with pytest.raises(BagError, match="expected recordings") as caught:
            bag.find_bags([runs, nothing])
        assert str(nothing) in str(caught.value) and "\n" not in str(caught.value)


def test_a_size_out_of_this_world_asks_for_no_memory(tmp_path):
    file = tmp_path / "bag.mcap"
    file.write_bytes(b"\x89MCAP0\r\n" + struct.pack("<BQ", 0x05, 2**62) + b"rest")
    assert list(bag.messages(file, None, lambda line: None)) == []

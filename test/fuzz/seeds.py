"""What fuzzing of bytes begins with: something whole for every target, made by code."""

import bz2
import json
import sqlite3
import struct
import tempfile
from pathlib import Path

import cv2
import numpy as np
from backports import zstd

RGB = (np.arange(4 * 6 * 3, dtype=np.uint8) * 3).reshape(4, 6, 3)
DEPTH = np.full((4, 6), 1500, np.uint16)
RVL = bytes.fromhex("0000 0810 7777 7777".replace(" ", ""))


def _image(encoding, pixels, order="<"):
    head = struct.pack(order + "iII", 100, 5, 7) + b"camera\0\0" + struct.pack(order + "II", *pixels.shape[:2])
    name = encoding.encode() + b"\0"
    head += struct.pack(order + "I", len(name)) + name + b"\0"
    head += bytes(-len(head) % 4) + struct.pack(order + "II", pixels.strides[0], pixels.nbytes)
    return (b"\0\1\0\0" if order == "<" else b"\0\0\0\0") + head + pixels.tobytes()


def _point(order, frame="camera"):
    head = {"<": b"\0\1\0\0", ">": b"\0\0\0\0"}[order] + struct.pack(f"{order}iII", 100, 7, len(frame) + 1)
    head += frame.encode() + b"\0"
    return head + bytes(-(len(head) - 4) % 8) + struct.pack(f"{order}ddd", 5.0, 7.5, 0.0)


def _file(codec, pixels):
    return cv2.imencode(codec, pixels)[1].tobytes()


def _camera(model, d):
    k, p = (6.0, 0, 2.5, 0, 6.0, 1.5, 0, 0, 1), (6.0, 0, 2.5, 0, 0, 6.0, 1.5, 0, 0, 0, 1, 0)
    width = 640 + (model - 640) % 5
    return struct.pack(f"<8I9d12d{len(d)}d", width, 480, 0, 0, 0, 0, 1, 1, *k, *p, *d)


def _truth():
    box = {"id": "mug", "visible_fraction": 0.1, "bbox": [0, 0, 2, 3]}
    mask = {"size": [4, 6], "counts": [3, 4, 17]}
    seen = [
        {**box, "mask": mask, "position": [0, 0, 1], "surface": [0, 0, 0.9]},
        {**box, "mask": {**mask, "counts": "34A"}},
    ]
    frames = [{"stamp": 5, "objects": seen[:1]}, {"stamp": 6, "objects": []}, {"stamp": 7, "objects": [box]}]
    values = {"objects": [{"id": "mug", "query": "red mug"}], "frames": frames, "absent_queries": ["door"]}
    return [json.dumps(values).encode(), json.dumps({**values, "frames": [{"stamp": 1, "objects": seen[1:]}]}).encode()]


def _counted(*texts):
    return b"".join(struct.pack("<I", len(each)) + each for each in texts)


def _mcap(compression=b""):
    def record(opcode, content):
        return struct.pack("<BQ", opcode, len(content)) + content

    known = record(3, struct.pack("<H", 1) + _counted(b"std_msgs/msg/String", b"ros2msg", b"string data\n"))
    known += record(4, struct.pack("<HH", 1, 1) + _counted(b"/talk", b"cdr", b""))
    known += record(5, struct.pack("<HIQQ", 1, 0, 7, 7) + b"\0\1\0\0\2\0\0\0a\0")
    packed = zstd.compress(known) if compression else known
    chunk = struct.pack("<QQQI", 7, 7, len(known), 0) + _counted(compression) + struct.pack("<Q", len(packed)) + packed
    body = record(1, _counted(b"ros2", b"")) + record(6, chunk) + record(0x0F, bytes(4))
    return b"\x89MCAP0\r\n" + body + b"\x89MCAP0\r\n"


def _ros1(compression=b"none"):
    def record(fields, data):
        head = _counted(*(name + b"=" + value for name, value in fields.items()))
        return _counted(head, data)

    number = struct.pack("<I", 0)
    said = _counted(b"type=std_msgs/String", b"message_definition=string data\n", b"md5sum=x")
    inside = record({b"op": b"\7", b"conn": number, b"topic": b"/talk"}, said)
    inside += record({b"op": b"\2", b"conn": number, b"time": struct.pack("<II", 1, 2)}, b"\1\0\0\0a")
    packed = bz2.compress(inside) if compression == b"bz2" else inside
    chunk = record({b"op": b"\5", b"compression": compression, b"size": struct.pack("<I", len(inside))}, packed)
    return b"#ROSBAG V2.0\n" + record({b"op": b"\3", b"index_pos": bytes(8)}, b"    ") + chunk


def _sqlite():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.db3"
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA page_size=512")
        connection.execute("CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT)")
        connection.execute(
            "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB)"
        )
        connection.execute("INSERT INTO topics VALUES(1, '/talk', 'std_msgs/msg/String')")
        connection.executemany("INSERT INTO messages VALUES(?, 1, ?, ?)", [(n, n, b"\0\1\0\0abcd") for n in range(9)])
        connection.commit()
        connection.close()
        return path.read_bytes()


def seeds():
    """Target's name -> the bytes to begin with."""
    pictures = [_file(".jpg", RGB), _file(".png", RGB), _file(".png", DEPTH)]
    head = bytes(4) + struct.pack("<ff", 2000.0, -1.0)
    stream = struct.pack("<II", 6, 4) + RVL
    return {
        "point": [_point("<"), _point(">", "")],
        "image": [_image("rgb8", RGB), _image("rgb8", RGB, ">"), _image("16UC1", DEPTH), _image("nv12", RGB[..., 0])],
        "pixels": [bytes([number, 6, 4, 0, 0]) + RGB.tobytes() for number in range(30)],
        "compressed": [b"\0" + each for each in pictures]
        + [bytes([number]) + head + pictures[2] for number in (2, 3)]
        + [b"\4" + head + stream],
        "rvl": [bytes([6, 4]) + RVL, bytes([1, 1, 0, 0, 0, 0x10])],
        "camera_info": [_camera(number, d) for number, d in enumerate(([], [0.1] * 8, [0.1] * 4, [], [0.0] * 5))],
        "queries": [b"red mug:0.6; ball", b"a:b:0.5", "sch\u00f6n:1".encode(), b"x;" * 20, b"\xff\0:nan"],
        "truth": _truth(),
        "mcap": [_mcap(), _mcap(b"zstd")],
        "ros1": [_ros1(), _ros1(b"bz2")],
        "sqlite": [_sqlite()],
    }


def write(name, folder):
    """The seeds of a target as files, as libFuzzer reads them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()[name]):
        (folder / f"seed-{number}").write_bytes(data)

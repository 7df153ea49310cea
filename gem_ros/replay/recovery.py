"""Damaged recordings, read record by record up to where they end: rosbags wants the index that comes last.

MCAP: https://mcap.dev/spec; ROS 1: http://wiki.ros.org/Bags/Format/2.0. Each scan yields (channel, time in ns,
bytes) as stored, and tells what is wrong. Of a chunk that is cut, what unpacks is read.
"""

from __future__ import annotations

import bz2
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from backports import zstd
from lz4.frame import LZ4FrameDecompressor
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat

Tell = Callable[[str], None]
PIECE = 1 << 16  # bytes unpacked at once: so much is lost at a damaged place
_MCAP, _ROS1 = b"\x89MCAP0\r\n", b"#ROSBAG V2.0\n"
MAX_SIZE = 1 << 40  # bytes of a record; more is damage
MAX_UNPACKED = 1 << 30  # bytes of a chunk or a message: a few kilobytes can be made to unpack to any size
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _DATA_END = 0x03, 0x04, 0x05, 0x06, 0x0F  # MCAP's opcodes
_MSGDATA, _CHUNK1, _CONNECTION = 2, 5, 7  # ROS 1's
_FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}
_UNPACKERS: dict[str, Callable[[], Any]] = {
    "zstd": zstd.ZstdDecompressor,
    "lz4": LZ4FrameDecompressor,
    "bz2": bz2.BZ2Decompressor,
}


class Channel(NamedTuple):
    """What is recorded under one name: its type as ROS 2 writes it, the definition the recording brings."""

    topic: str
    type: str
    definition: MessageDefinition
    latched: bool = False


Scan = Iterator[tuple[Channel, int, bytes]]


@dataclass
class _Mcap:
    """What an MCAP file has said so far about its schemas and channels, by their numbers."""

    path: Path
    tell: Tell
    schemas: dict[int, tuple[str, MessageDefinition]] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)

    def learn(self, opcode: int, content: bytes) -> None:
        """From a schema or channel record."""
        if opcode == _SCHEMA:
            (number,) = struct.unpack_from("<H", content)
            name, encoding, text = _strings(content, 2, 3)
            definition = MessageDefinition(_FORMATS.get(encoding, MessageDefinitionFormat.NONE), text)
            self.schemas[number] = name, definition
        elif opcode == _CHANNEL:
            number, schema = struct.unpack_from("<HH", content)
            self.channels[number] = Channel(_strings(content, 4, 1)[0], *self.schemas[schema])

    def summary(self, file: BinaryIO) -> None:
        """Learn what stands outside of chunks, at the end most often: the chunk that said it first may be lost."""
        while len(head := file.read(9)) == 9:
            opcode, size = struct.unpack("<BQ", head)
            if opcode in (_SCHEMA, _CHANNEL):
                with suppress(struct.error, KeyError, UnicodeDecodeError):
                    self.learn(opcode, _read(file, size))
            elif size > MAX_SIZE:
                return
            else:
                file.seek(size, 1)

    def records(self, file: BinaryIO) -> Scan:
        """The messages from here on, those in chunks among them."""
        while head := file.read(9):
            if len(head) < 9 or head[0] == _DATA_END:
                return
            opcode, size = struct.unpack("<BQ", head)
            content = _read(file, size)
            try:
                if opcode == _CHUNK:
                    yield from self.records(BytesIO(_chunk(content, self.path, self.tell)))
                elif len(content) < size:
                    return
                elif opcode == _MESSAGE:
                    number, _, time = struct.unpack_from("<HIQ", content)
                    yield self.channels[number], time, content[22:]
                else:
                    self.learn(opcode, content)
            except (struct.error, KeyError, UnicodeDecodeError) as error:
                reason = f"{type(error).__name__} at opcode {opcode}"
                self.tell(f"{self.path.name}: expected readable records, got {reason}; left out")


def mcap(path: Path, tell: Tell) -> Scan:
    """The messages of an MCAP file without its index."""
    with path.open("rb") as file:
        if file.read(len(_MCAP)) != _MCAP:
            tell(f"{path.name}: expected an MCAP file, got other bytes at its beginning")
            return
        known = _Mcap(path, tell)
        known.summary(file)
        file.seek(len(_MCAP))
        yield from known.records(file)


def _chunk(content: bytes, path: Path, tell: Tell) -> bytes:
    """The records of an MCAP chunk, or of its beginning."""
    (size,) = struct.unpack_from("<Q", content, 16)
    (name,) = _strings(content, 28, 1)
    return _unpacked(content[28 + 4 + len(name) + 8 :], name, size, path, tell)


def _strings(content: bytes, offset: int, count: int) -> list[str]:
    found = []
    for _ in range(count):
        (size,) = struct.unpack_from("<I", content, offset)
        found.append(content[offset + 4 : offset + 4 + size].decode())
        offset += 4 + size
    return found


def ros1(path: Path, tell: Tell) -> Scan:
    """The messages of a ROS 1 bag without its index."""
    with path.open("rb") as file:
        if file.read(len(_ROS1)) != _ROS1:
            tell(f"{path.name}: expected a ROS 1 bag of version 2.0, got other bytes at its beginning")
            return
        yield from _ros1(file, path, {}, tell)


def _ros1(file: BinaryIO, path: Path, known: dict[bytes, Channel], tell: Tell) -> Scan:
    while True:
        head, data, whole = _ros1_record(file)
        try:
            operation = head["op"][0]
            if operation == _CHUNK1:
                (size,) = struct.unpack("<I", head["size"])
                records = _unpacked(data, head["compression"].decode(), size, path, tell)
                yield from _ros1(BytesIO(records), path, known, tell)
            elif whole and operation == _CONNECTION:
                known[head["conn"]] = _connection(head["topic"].decode(), _fields(data))
            elif whole and operation == _MSGDATA:
                seconds, nanoseconds = struct.unpack("<II", head["time"])
                yield known[head["conn"]], seconds * 1_000_000_000 + nanoseconds, data
        except (struct.error, KeyError, IndexError, UnicodeDecodeError) as error:
            if whole:
                tell(f"{path.name}: expected a readable record, got {type(error).__name__}; left out")
        if not whole:
            return


def _ros1_record(file: BinaryIO) -> tuple[dict[str, bytes], bytes, bool]:
    """Header fields and data of the next record, and whether it is all there."""
    parts = []
    for _ in range(2):
        head = file.read(4)
        size = struct.unpack("<I", head)[0] if len(head) == 4 else -1
        parts.append(_read(file, max(size, 0)))
        if len(parts[-1]) != size:
            break
    else:
        return _fields(parts[0]), parts[1], True
    return (_fields(parts[0]) if len(parts) == 2 else {}), parts[-1], False


def _connection(topic: str, fields: dict[str, bytes]) -> Channel:
    package, _, name = fields["type"].decode().partition("/")
    definition = MessageDefinition(MessageDefinitionFormat.MSG, fields["message_definition"].decode())
    return Channel(topic, f"{package}/msg/{name}", definition, fields.get("latching") == b"1")


def _fields(data: bytes) -> dict[str, bytes]:
    """``name=value`` pairs with their sizes before them."""
    found, at = {}, 0
    while at + 4 <= len(data):
        (size,) = struct.unpack_from("<I", data, at)
        name, _, value = data[at + 4 : at + 4 + size].partition(b"=")
        found[name.decode(errors="replace")] = value
        at += 4 + size
    return found


def sqlite(path: Path, tell: Tell) -> Scan:
    """The messages of a rosbag2 SQLite file in the order of their rows, without its index."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        connection.execute("PRAGMA writable_schema=ON")  # a file shorter than it says is refused otherwise
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        definitions = {}
        if "message_definitions" in tables:
            columns = "topic_type, encoding, encoded_message_definition"
            for kind, encoding, text in connection.execute(f"SELECT {columns} FROM message_definitions"):
                if isinstance(text, str):
                    definitions[kind] = MessageDefinition(_FORMATS.get(encoding, MessageDefinitionFormat.NONE), text)
        none = MessageDefinition(MessageDefinitionFormat.NONE, "")
        topics = connection.execute("SELECT id, name, type FROM topics")
        known = {
            number: Channel(topic, kind, definitions.get(kind, none))
            for number, topic, kind in topics
            if isinstance(topic, str) and isinstance(kind, str)
        }
        for number, time, data in connection.execute("SELECT topic_id, timestamp, data FROM messages"):
            if number in known and isinstance(time, int) and isinstance(data, bytes):
                yield known[number], time, data
    except sqlite3.DatabaseError as error:
        tell(f"{path.name}: expected a whole SQLite file, got: {error}")
    finally:
        connection.close()


SCANS: dict[str, Callable[[Path, Tell], Scan]] = {".mcap": mcap, ".db3": sqlite, ".bag": ros1, ".active": ros1}


def decompressed(path: Path, folder: Path, tell: Tell) -> Path:
    """``x.mcap.zstd`` unpacked into ``folder``, as far as it goes."""
    target = folder / path.stem
    with path.open("rb") as packed, target.open("wb") as plain:
        unpacker = zstd.ZstdDecompressor()
        try:
            while not unpacker.eof and (piece := packed.read(PIECE)):
                plain.write(unpacker.decompress(piece))
        except zstd.ZstdError as error:
            tell(f"{path.name}: expected zstd, got: {error}")
            return target
    if not unpacker.eof:
        tell(f"{path.name}: expected a whole zstd file, got one that ends too early")
    return target


def unpack_message(data: bytes) -> bytes:
    """A message that was compressed for itself; as it is where it was not (CDR begins with a zero)."""
    if not data.startswith(b"\x28\xb5\x2f\xfd"):
        return data
    try:
        unpacker = zstd.ZstdDecompressor()
        message: bytes = unpacker.decompress(data, MAX_UNPACKED)
    except zstd.ZstdError as error:
        raise ValueError(str(error)) from error
    if not unpacker.eof:
        raise ValueError(f"a compressed message that ends too early, or of more than {MAX_UNPACKED} bytes")
    return message


def _read(file: BinaryIO, size: int) -> bytes:
    """At most ``size`` bytes; a damaged size asks for no more memory than the file has."""
    here = file.tell()
    left = file.seek(0, 2) - here
    file.seek(here)
    return file.read(min(size, left))


def _unpacked(data: bytes, compression: str, size: int, path: Path, tell: Tell) -> bytes:
    """``size`` bytes of records, or as many as can be unpacked."""
    if compression in ("", "none"):
        return data
    if compression not in _UNPACKERS:
        tell(f"{path.name}: expected a chunk of {', '.join(_UNPACKERS)}, got {compression!r}; left out")
        return b""
    unpacker, found = _UNPACKERS[compression](), bytearray()
    try:
        for at in range(0, len(data), PIECE):
            if unpacker.eof:
                break
            found += unpacker.decompress(data[at : at + PIECE], MAX_UNPACKED - len(found))
            if len(found) >= MAX_UNPACKED:
                break
    except (zstd.ZstdError, OSError, RuntimeError, EOFError) as error:
        tell(f"{path.name}: expected a chunk that unpacks, got: {error}; read as far as it goes")
        return bytes(found)
    if len(found) < size:
        tell(f"{path.name}: expected a chunk of {size} bytes, got {len(found)}; read as far as it goes")
    return bytes(found)

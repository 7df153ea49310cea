"""Recordings, read (rosbag2 and ROS 1) and written (rosbag2) through rosbags: no ROS installation needed."""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError
from rosbags.typesys.store import Typestore

from gem_ros.errors import BagError
from gem_ros.replay import storage
from gem_ros.replay.storage import BAD_BYTES, Tell, open_recording, typestore

# Version 8 spells QoS the way Humble reads it, and newer rosbag2 still reads it.
METADATA_VERSION = 8
NS = 1_000_000_000
_STAMP_OFFSET = 4  # a header comes first in its message, and its stamp first in the header, after 4 bytes of CDR
_FOREVER = QosTime(0, 0)
RELIABLE = Qos(
    QosHistory.KEEP_LAST,
    10,
    QosReliability.RELIABLE,
    QosDurability.VOLATILE,
    _FOREVER,
    _FOREVER,
    QosLiveliness.AUTOMATIC,
    _FOREVER,
    False,
)
LATCHED = RELIABLE._replace(durability=QosDurability.TRANSIENT_LOCAL)


def message_class(name: str) -> type:
    """rosbags' class of a message, for example ``sensor_msgs/msg/Image``."""
    found: type = typestore().types[name]
    return found


@dataclass(frozen=True, eq=False)
class Record:
    """One recorded message: ``time`` (ns) of its arrival at the recorder, ``data`` its CDR bytes."""

    topic: str
    type: str
    time: int
    data: bytes
    types: Typestore = field(repr=False)

    def decode(self) -> Any:
        """The message as rosbags' dataclass; :class:`BagError` where the bytes do not fit its type."""
        try:
            return self.types.deserialize_cdr(self.data, self.type)
        except BAD_BYTES as error:
            raise BagError(f"{self.topic}: expected a {self.type}, got bytes that are none ({error})") from error

    @property
    def stamp(self) -> int:
        """ns of the header's stamp, read without decoding; only for types that start with a header."""
        return self._header[0]

    @property
    def frame_id(self) -> str:
        """The header's, read as the stamp is."""
        return self._header[1]

    @property
    def _header(self) -> tuple[int, str]:
        try:
            seconds, nanoseconds, size = struct.unpack_from(self._stamp_format + "I", self.data, _STAMP_OFFSET)
            text = self.data[_STAMP_OFFSET + 12 : _STAMP_OFFSET + 12 + size].rstrip(b"\0")
            return int(seconds) * NS + int(nanoseconds), text.decode()
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise BagError(
                f"{self.topic}: expected a {self.type}, got {len(self.data)} bytes without header"
            ) from error

    @property
    def has_header(self) -> bool:
        """Whether the type starts with a std_msgs/Header."""
        fields = self.types.fielddefs[self.type][1]
        return bool(fields) and fields[0][1][1] == "std_msgs/msg/Header"

    def with_stamp(self, stamp: int) -> bytes:
        """The CDR bytes with the header's stamp set to ``stamp`` ns."""
        data = bytearray(self.data)
        struct.pack_into(self._stamp_format, data, _STAMP_OFFSET, *divmod(stamp, NS))
        return bytes(data)

    @property
    def _stamp_format(self) -> str:
        return ("<" if self.data[1] & 1 else ">") + "iI"  # the CDR header's second byte is the byte order


def find_bags(arguments: Iterable[Path | str]) -> list[Path]:
    """The recordings that files, folders (with all below them) and patterns like ``runs/*.mcap`` name, each once.

    A folder with metadata.yaml is one recording, and so are files that are numbered parts of one (``x_0.mcap``,
    ``x_1.mcap``); other files are one each. :class:`BagError` where an argument names none.
    """
    found: dict[Path, None] = {}
    for argument in arguments:
        path = Path(argument)
        named = [argument] if path.exists() else glob(str(path), recursive=True)  # noqa: PTH207 (absolute patterns)
        matches = sorted(map(Path, named), key=storage.natural)
        bags = [bag for match in matches for bag in _bags_at(match)]
        if not bags:
            raise BagError(f"{path}: expected recordings, found {'none' if matches else 'nothing'}; {storage.HINT}")
        found.update(dict.fromkeys(bags))
    return list(found)


def _bags_at(path: Path) -> list[Path]:
    if path.is_file() or (path / "metadata.yaml").exists():
        return [path] if storage.storage_files(path) else []
    files = storage.storage_files(path)
    series = {re.sub(r"_\d+(?=\.)", "", each.name) for each in files}
    parts = len(files) > 1 and len(series) == 1 and series.isdisjoint(each.name for each in files)
    folders = sorted((each for each in path.iterdir() if each.is_dir() and each.name[0] != "."), key=storage.natural)
    return ([path] if parts else files) + [bag for folder in folders for bag in _bags_at(folder)]


def topics(path: Path | str, problems: Tell | None = None) -> dict[str, str]:
    """Every topic of a recording with its type; :class:`BagError` where it cannot be read.

    With ``problems``, here and below, a damaged recording is read as far as it goes, and ``problems`` gets one line
    for each thing that is wrong.
    """
    with open_recording(Path(path), problems) as recording:
        return {each.topic: each.type for each in recording.channels}


def latched(path: Path | str) -> set[str]:
    """The topics that were offered as transient local, like ``/tf_static``."""
    with open_recording(Path(path)) as recording:
        return {each.topic for each in recording.channels if each.latched}


def time_range(path: Path | str, problems: Tell | None = None) -> tuple[int, int]:
    """Arrival of the first and the last message, ns."""
    with open_recording(Path(path), problems) as recording:
        return recording.span


def messages(path: Path | str, topics: Collection[str] | None = None, problems: Tell | None = None) -> Iterator[Record]:
    """The messages of a recording in order of arrival; only those of ``topics`` where given."""
    with open_recording(Path(path), problems) as recording:
        wanted = {each.topic for each in recording.channels if topics is None or each.topic in topics}
        for channel, time, data in recording.messages(wanted) if wanted else ():
            yield Record(channel.topic, channel.type, time, data, recording.types)


class BagWriter:
    """Writes a rosbag2 folder (MCAP, zstd chunks as ``ros2 bag`` reads by default) as a context manager.

    ``path`` must not exist yet (:class:`BagError`). Messages are rosbags' (:func:`message_class`).
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        if self._path.exists():
            raise BagError(f"{path}: expected a new path to record to, but it exists; remove it or choose another")
        self._writer = Writer(self._path, version=METADATA_VERSION, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> BagWriter:
        try:
            self._writer.open()
        except (OSError, WriterError) as error:
            raise BagError(f"{self._path}: expected a place that can be written, got: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)

    def write(self, topic: str, type: str, stamp: int, message: Any) -> None:
        """Append ``message`` of ``type`` (``sensor_msgs/msg/Image``) as arrived at ``stamp`` ns."""
        connection = self._connection(topic, type, typestore(), RELIABLE)
        self._writer.write(connection, stamp, typestore().serialize_cdr(message, type))

    def copy(self, record: Record, *, latched: bool = False) -> None:
        """Append a recorded message as it is; ``latched`` topics, like ``/tf_static``, are offered to latecomers."""
        connection = self._connection(record.topic, record.type, record.types, LATCHED if latched else RELIABLE)
        self._writer.write(connection, record.time, record.data)

    def _connection(self, topic: str, type: str, types: Typestore, qos: Qos) -> Any:
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, type, typestore=types, offered_qos_profiles=[qos]
            )
        return self._connections[topic]

"""rosbag2 recordings, read and written through rosbags: no ROS installation needed."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, ReaderError, StoragePlugin, Writer, WriterError
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from gem_ros.errors import BagError

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


@cache
def typestore() -> Typestore:
    """The message definitions that bags are written with."""
    return get_typestore(Stores.ROS2_KILTED)


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
        except (SerdeError, IndexError, KeyError, ValueError, AssertionError, struct.error) as error:
            raise BagError(f"{self.topic}: expected a {self.type}, got bytes that are none ({error})") from error

    @property
    def stamp(self) -> int:
        """ns of the header's stamp, read without decoding; only for types that start with a header."""
        seconds, nanoseconds = struct.unpack_from(self._stamp_format, self.data, _STAMP_OFFSET)
        return int(seconds) * NS + int(nanoseconds)

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


@contextmanager
def _reader(path: Path) -> Iterator[AnyReader]:
    """An open reader; everything that can be wrong with a recording becomes one :class:`BagError`."""
    hint = "give a rosbag2 folder, .mcap or .db3 file"
    if not path.exists():
        raise BagError(f"{path}: expected a recording, found nothing; {hint}")
    if path.suffix == ".bag":
        raise BagError(f"{path}: expected a ROS 2 recording, got one of ROS 1; convert it with rosbags-convert")
    try:
        with AnyReader([path], default_typestore=typestore()) as reader:
            yield reader
    except (AnyReaderError, ReaderError, OSError, KeyError, ValueError, struct.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise BagError(f"{path}: expected a readable recording, got: {reason}; {hint}") from error


def topics(path: Path | str) -> dict[str, str]:
    """Every topic of a recording with its type; :class:`BagError` where it cannot be read."""
    with _reader(Path(path)) as reader:
        return {each.topic: each.msgtype for each in reader.connections}


def latched(path: Path | str) -> set[str]:
    """The topics that were offered as transient local, like ``/tf_static``."""
    with _reader(Path(path)) as reader:
        return {
            each.topic
            for each in reader.connections
            if any(qos.durability is QosDurability.TRANSIENT_LOCAL for qos in each.ext.offered_qos_profiles)
        }


def time_range(path: Path | str) -> tuple[int, int]:
    """Arrival of the first and the last message, ns."""
    with _reader(Path(path)) as reader:
        return reader.start_time, reader.end_time


def messages(path: Path | str, topics: Collection[str] | None = None) -> Iterator[Record]:
    """The messages of a recording in order of arrival; only those of ``topics`` where given."""
    with _reader(Path(path)) as reader:
        wanted = [each for each in reader.connections if topics is None or each.topic in topics]
        if not wanted:  # an empty list means "all" to rosbags
            return
        for connection, time, data in reader.messages(wanted):
            yield Record(connection.topic, connection.msgtype, time, bytes(data), reader.typestore)


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
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic, type, typestore=typestore(), offered_qos_profiles=[RELIABLE]
            )
        self._writer.write(self._connections[topic], stamp, typestore().serialize_cdr(message, type))

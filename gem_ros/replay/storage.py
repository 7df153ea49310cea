"""An open recording: rosbag2 (MCAP, SQLite, zstd), ROS 1, whole through rosbags, damaged as far as it goes."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

from rosbags import rosbag1, rosbag2
from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
    QosDurability,
)
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from gem_ros.errors import BagError
from gem_ros.replay import recovery
from gem_ros.replay.recovery import Channel

Tell = Callable[[str], None]
BAD_BYTES = (SerdeError, IndexError, KeyError, ValueError, AssertionError, struct.error)  # rosbags' own, decoding
SUFFIXES = (".mcap", ".db3", ".bag", ".active")  # .active: a ROS 1 recorder that was killed leaves it
COMPRESSED_FILE = ".zstd"
HINT = "give a rosbag2 folder, an .mcap or .db3 file, or a ROS 1 .bag"
_FOREVER = 2**63 - 1
_RENAMED = {"tf/msg/tfMessage": "tf2_msgs/msg/TFMessage"}
# ROS 2 lays these out as ROS 1 does but for Header's seq, and writes CameraInfo's D, K, R, P small.
_OF_ROS2 = ("std_msgs/msg/Header", "sensor_msgs/msg/CameraInfo", "tf2_msgs/msg/TFMessage")


class Message(NamedTuple):
    """``time`` (ns) of arrival at the recorder; ``data`` in CDR, of ROS 1 too."""

    channel: Channel
    time: int
    data: bytes


class _Part(Protocol):
    """One file of a recording, or all of them where rosbags reads them together."""

    channels: list[Channel]
    span: tuple[int, int]

    def messages(self, topics: Collection[str]) -> Iterator[tuple[Channel, int, bytes]]: ...


@cache
def typestore() -> Typestore:
    """The message definitions that bags are written with."""
    return get_typestore(Stores.ROS2_KILTED)


@dataclass(eq=False)
class Recording:
    """Channels, types and messages of what could be opened; ``tell`` hears what could not, None: it is an error."""

    path: Path
    parts: list[_Part]
    is_ros1: bool
    types: Typestore
    tell: Tell | None

    @property
    def channels(self) -> list[Channel]:
        """Every channel once."""
        return list(dict.fromkeys(each for part in self.parts for each in part.channels))

    @property
    def span(self) -> tuple[int, int]:
        """Arrival of the first and after the last message, ns; (0, 0) without any."""
        spans = [each.span for each in self.parts if each.span[1] > each.span[0]]
        return (min(first for first, _ in spans), max(last for _, last in spans)) if spans else (0, 0)

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Those of ``topics``, in order of arrival; behind a damaged place comes what can be read after it."""
        newest = -1
        try:
            for message in self._read(self.parts, topics):
                newest = message.time
                yield message
        except Exception as error:  # rosbags raises whatever its parsers stumble over in damaged bytes
            refuse(self.path, error, self.tell)
            with _salvaged(self.path, self.is_ros1) as parts:
                yield from (each for each in self._read(parts, topics) if each.time > newest)

    def _read(self, parts: list[_Part], topics: Collection[str]) -> Iterator[Message]:
        said: set[str] = set()
        for part in parts:
            for channel, time, data in part.messages(topics):
                try:
                    yield Message(channel, time, self._cdr(channel, data))
                except BAD_BYTES as error:
                    line = f"{channel.topic}: expected a {channel.type}, got bytes that are none ({error})"
                    if self.tell is None:
                        raise BagError(line) from error
                    if channel.topic not in said:
                        self.tell(f"{line}; left out, and others like it")
                    said.add(channel.topic)

    def _cdr(self, channel: Channel, data: bytes) -> bytes:
        return bytes(self.types.ros1_to_cdr(data, channel.type) if self.is_ros1 else recovery.unpack_message(data))


def refuse(path: Path, error: Exception, tell: Tell | None) -> None:
    """Say in one line that ``path`` is damaged, as an error where nobody wants to hear it."""
    reason = " ".join(str(error).split()) or type(error).__name__
    if tell is None:
        raise BagError(f"{path}: expected a readable recording, got: {reason}; {HINT}") from error
    tell(f"{path}: damaged ({reason}); read as far as it goes")


@contextmanager
def open_recording(path: Path, tell: Tell | None = None) -> Iterator[Recording]:
    """Open the recording at ``path``.

    With ``tell`` a damaged one is read as far as it goes, and ``tell`` gets a line for each thing that is wrong;
    without, and where nothing is a recording at all, :class:`BagError` says so.
    """
    if not path.exists():
        raise BagError(f"{path}: expected a recording, found nothing; {HINT}")
    files = storage_files(path)
    if not files:
        raise BagError(f"{path}: expected a recording, got none; {HINT}")
    is_ros1 = _kind(files[0]) in (".bag", ".active")
    with ExitStack() as stack:
        parts: list[_Part]
        try:
            sources = files if is_ros1 else [path]
            if path.suffix == COMPRESSED_FILE:  # one file of its own: rosbags unpacks those of a folder only
                folder = Path(stack.enter_context(TemporaryDirectory()))
                sources = [recovery.decompressed(path, folder, tell or _raise)]
            parts = [_Whole(stack, each, is_ros1) for each in sources]
        except Exception as error:  # as in Recording.messages
            refuse(path, error, tell)
            parts = stack.enter_context(_salvaged(path, is_ros1, tell or _quiet))
        channels = [channel for part in parts for channel in part.channels]
        yield Recording(path, parts, is_ros1, _types(channels, is_ros1, tell), tell)


def storage_files(path: Path) -> list[Path]:
    """The files that hold a recording's messages, in their order: ``x_9.mcap`` before ``x_10.mcap``."""
    if path.is_file():
        return [path] if _kind(path) in SUFFIXES else []
    return sorted((each for each in path.iterdir() if each.is_file() and _kind(each) in SUFFIXES), key=natural)


def natural(path: Path) -> list[tuple[int, str]]:
    """Sorts numbers in names by value."""
    return [(int(each), "") if each.isdigit() else (-1, each) for each in re.split(r"(\d+)", str(path))]


def _kind(path: Path) -> str:
    return path.with_suffix("").suffix if path.suffix == COMPRESSED_FILE else path.suffix


class _Whole:
    """A recording that rosbags opens, with metadata.yaml where there is one."""

    def __init__(self, stack: ExitStack, path: Path, is_ros1: bool) -> None:
        self._reader = stack.enter_context(rosbag1.Reader(path) if is_ros1 else rosbag2.Reader(path))
        self._known = {each.id: _channel(each) for each in self._reader.connections}
        self.channels = list(self._known.values())
        empty = self._reader.start_time == _FOREVER
        self.span = (0, 0) if empty else (self._reader.start_time, self._reader.end_time)

    def messages(self, topics: Collection[str]) -> Iterator[tuple[Channel, int, bytes]]:
        wanted = [each for each in self._reader.connections if each.topic in topics]
        for connection, time, data in self._reader.messages(wanted) if wanted else ():  # an empty list means "all"
            yield self._known[connection.id], time, data


class _Salvaged:
    """One damaged file, read from its beginning to where it ends."""

    def __init__(self, path: Path, tell: Tell) -> None:
        self._scan = recovery.SCANS[path.suffix]
        self._path = path
        self.span = (0, 0)
        seen: dict[Channel, None] = {}
        for channel, time, _ in self._scan(path, cache(tell)):  # a line once
            first, last = self.span if seen else (time, time)
            seen[channel] = None
            self.span = (min(first, time), max(last, time + 1))
        self.channels = [_renamed(each) for each in seen]

    def messages(self, topics: Collection[str]) -> Iterator[tuple[Channel, int, bytes]]:
        for channel, time, data in self._scan(self._path, _quiet):
            if channel.topic in topics:
                yield _renamed(channel), time, data


def _raise(line: str) -> None:
    raise BagError(line)


def _quiet(line: str) -> None:
    """For a second look: it was said at the first."""


@contextmanager
def _salvaged(path: Path, is_ros1: bool, tell: Tell | None = None) -> Iterator[list[_Part]]:
    """Every file of a recording for itself; ``tell`` where the files are opened for the first time.

    Those that are whole go through rosbags then, which has their index.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        parts: list[_Part] = []
        for each in storage_files(path):
            packed = each.suffix == COMPRESSED_FILE
            file = recovery.decompressed(each, folder, tell or _quiet) if packed else each
            parts.append((tell and _whole(stack, file, is_ros1)) or _Salvaged(file, tell or _quiet))
        yield parts


def _whole(stack: ExitStack, file: Path, is_ros1: bool) -> _Whole | None:
    try:
        return _Whole(stack, file, is_ros1)
    except Exception:  # as in Recording.messages
        return None


def _channel(connection: Connection) -> Channel:
    ext = connection.ext
    if isinstance(ext, ConnectionExtRosbag2):
        latched = any(each.durability is QosDurability.TRANSIENT_LOCAL for each in ext.offered_qos_profiles)
    else:
        latched = bool(ext.latching)
    return _renamed(Channel(connection.topic, connection.msgtype, connection.msgdef, latched))


def _renamed(channel: Channel) -> Channel:
    return channel._replace(type=_RENAMED.get(channel.type, channel.type))


def _types(channels: list[Channel], is_ros1: bool, tell: Tell | None) -> Typestore:
    """The definitions that the recording brings; those of :func:`typestore` where it brings none."""
    found: dict[str, Any] = {}
    for kind, definition in dict.fromkeys((each.type, each.definition) for each in channels):
        try:
            found.update(_parsed(kind, definition))
        except (TypesysError, AssertionError, ValueError) as error:
            if tell:
                tell(
                    f"{kind}: expected a readable definition, got: {' '.join(str(error).split())}; its topics are lost"
                )
    known = typestore().fielddefs
    if not found and not is_ros1:
        return typestore()
    if any(each.type not in found for each in channels):
        found = {**known, **found}
    if is_ros1:
        found.update({each: known[each] for each in _OF_ROS2})
    store = get_typestore(Stores.EMPTY)
    store.register(found)
    return store


def _parsed(kind: str, definition: MessageDefinition) -> dict[str, Any]:
    if definition.format is MessageDefinitionFormat.MSG:
        return dict(get_types_from_msg(definition.data, kind))
    found: dict[str, Any] = {}
    if definition.format is MessageDefinitionFormat.IDL:
        rule = "=" * 80 + "\n"  # MCAP strings several files together, each below its name
        parts = definition.data.split(rule)
        for part in [each.split("\n", 1)[1] for each in parts[1:]] if len(parts) > 1 else parts:
            found.update(get_types_from_idl(part))
    return found

"""The depth and camera_info that belong to an image, whether they came before it or come after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.data import CameraIntrinsics, Reason
from gem_ros.errors import GemError
from gem_ros.messages import decode
from gem_ros.ros.buffers import StampBuffer, check_stamp


@dataclass(frozen=True, eq=False)
class Partners:
    """What goes with an image into ``Grounder.ground``."""

    depth: npt.NDArray[np.float32] | None = None
    camera: CameraIntrinsics | None = None
    missing: Reason | None = None


class Partner:
    """One such topic: its last messages, how to read them, and whether somebody publishes it."""

    def __init__(self, read: Callable[[Any], Any], is_live: Callable[[], bool]) -> None:
        self._read, self._is_live = read, is_live
        self._buffer: StampBuffer[Any] = StampBuffer()

    def add(self, message: Any) -> None:
        """Keep a message that came in."""
        self._buffer.add(decode.stamp_ns(message.header.stamp), message)

    def find(self, stamp: int, slop: float) -> Any:
        """The message of ``stamp`` ± ``slop`` s, waited for at most ``slop`` if its topic is alive; or None."""
        awaited = not self._buffer.reached(stamp) and self._is_live()  # asking who publishes takes longer
        return self._buffer.find(stamp, slop, wait=slop if awaited else 0.0)

    def away(self, stamp: int) -> int | None:
        """ns from ``stamp`` to the nearest message, negative where that is older; None where none ever came."""
        return self._buffer.away(stamp)

    @property
    def is_live(self) -> bool:
        """Whether anybody publishes it."""
        return self._is_live()

    def rewind(self, stamp: int) -> None:
        """Time jumped back to ``stamp``: what is of the time before goes."""
        self._buffer.rewind(stamp)

    def read(self, message: Any, complain: Callable[[GemError], None]) -> Any:
        """What the message says; None, and a complaint, if it cannot be read."""
        try:
            return None if message is None else self._read(message)
        except GemError as error:
            complain(error)
            return None

    def close(self) -> None:
        """Forget everything, and wait no longer."""
        self._buffer.close()


def find_partners(
    stamp: int, frame_id: str, *, depth: Partner, info: Partner, slop: float, complain: Callable[[GemError], None]
) -> Partners:
    """Depth and camera of an image; what is in another frame than the image is misaligned with it.

    So is what comes with other stamps; where only older ones have come, the right one may still be on its way.
    """
    try:
        check_stamp(stamp)
    except GemError as error:
        complain(error)  # all that come without a stamp would fit each other
        return Partners(missing="misaligned")
    messages = [each.find(stamp, slop) for each in (depth, info)]
    frames = {each.header.frame_id for each in messages if each is not None} - {"", frame_id}
    if frames and frame_id:
        others = ", ".join(map(repr, sorted(frames)))
        complain(GemError(f"depth and camera_info: expected the image's frame {frame_id!r}, got {others}; register"))
        return Partners(missing="misaligned")
    missing: Reason | None = None
    for name, partner, message in zip(("depth", "camera_info"), (depth, info), messages, strict=True):
        if message is None and (away := partner.away(stamp)) is not None:
            got = f"the nearest {abs(away) / 1e9:.3f} s {'after' if away > 0 else 'before'} it"
            expected = f"{name}: expected one at most {slop:g} s from the image's stamp"
            cure = "synchronise their clocks, or raise sync_slop" if partner.is_live else "nobody publishes it any more"
            complain(GemError(f"{expected}, got {got}; {cure}"))
            missing = "misaligned" if away > 0 else missing
    if messages[0] is not None and messages[1] is None and info.away(stamp) is None:
        complain(GemError("camera_info: expected one with the depth, got none; publish it, or remap camera_info"))
    return Partners(depth.read(messages[0], complain), info.read(messages[1], complain), missing)

"""Faults of what comes in, as rows of tables: how to break a frame, what the node then answers and what it says.

A :class:`Rig` is a robot with a camera, and the real node in a process of its own with a grounder that needs no model.
"""

import array
import contextlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from robot import DOMAIN, FRAME, SIZE, SLOP, K, Node, Robot, header, info_message, stamp_of
from sensor_msgs.msg import CameraInfo, Image

TOLD_WITHIN = 1.0  # s from a fault to its diagnostic, where nothing else runs
BUSY = 10.0  # s more that a machine under test may take for anything
RECOVERED_AFTER = 2  # good frames
PERIOD = 1.2 * SLOP  # s between frames: none finds the partners of another
NOTHING = None  # what is answered to an image that cannot be read
OK = "ok"
BLOCK = slice(16, 32), slice(24, 40)  # rows and columns of a red thing, in an image of SIZE
PIXEL, NEAR, FAR = (31.5, 23.5), 1.5, 2.0  # its middle, its distance and that of what is behind it, m
POINT = (0.0, 0.0, NEAR)
MS = 1_000_000  # ns


@dataclass
class Frame:
    """What a camera sends of one moment; None or bytes in a message's place: nothing, or as it goes over the wire."""

    image: Image | bytes | None
    depth: Image | bytes | None
    info: CameraInfo | None


@dataclass(frozen=True)
class Fault:
    """``spoil`` breaks a frame; the target's reason is ``reason`` then (:data:`NOTHING`: no result at all).

    ``says`` is in what the diagnostics tell; where it is empty, the reason is counted there.
    """

    id: str
    spoil: Callable[[Frame], object]
    reason: str | None
    says: str = ""


def soon():
    """:data:`TOLD_WITHIN` on this machine as busy as it is now, s."""
    return TOLD_WITHIN * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def rows(faults):
    """The test's parameters, each with the fault's id."""
    return pytest.mark.parametrize("fault", faults, ids=[each.id for each in faults])


def scene(size=SIZE):
    """(H, W, 3) uint8: a red block in the middle of a dark room."""
    rgb = np.full((*SIZE, 3), 16, np.uint8)
    rgb[BLOCK] = 220, 40, 40
    return scaled(rgb, size)


def distances(size=SIZE):
    """(H, W) float32 m that belong to :func:`scene`."""
    metres = np.full(SIZE, FAR, np.float32)
    metres[BLOCK] = NEAR
    return scaled(metres, size)


def scaled(pixels, size):
    down, across = size[0] // SIZE[0], size[1] // SIZE[1]
    return pixels.repeat(down, axis=0).repeat(across, axis=1)


def pixels_message(stamp, pixels, encoding, frame=FRAME, **fields):
    """An Image of (H, W[, C]) pixels."""
    made = Image(header=header(stamp, frame), height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    made.step, made.data = pixels[0].nbytes, as_data(pixels)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def as_data(pixels):
    return array.array("B", np.ascontiguousarray(pixels).tobytes())


def good_frame(stamp, size=SIZE):
    millimetres = (distances(size) * 1000).astype("<u2")
    times = size[0] // SIZE[0]
    k = tuple(K[index] * times if index in (0, 4) else K[index] for index in range(9))
    if times > 1:  # integers are pixel centres
        k = (*k[:2], (K[2] + 0.5) * times - 0.5, *k[3:5], (K[5] + 0.5) * times - 0.5, *k[6:])
    return Frame(
        pixels_message(stamp, scene(size), "rgb8"),
        pixels_message(stamp, millimetres, "16UC1"),
        info_message(stamp, size, k),
    )


class Rig:
    """A robot, the node, and how its diagnostics went."""

    def __init__(self, robot, node):
        self.robot, self.node = robot, node
        self._last = 0.0

    def pace(self):
        """Wait until it is time for the next frame; its stamp, ns."""
        time.sleep(max(self._last + PERIOD - time.monotonic(), 0))
        return time.time_ns()

    def send(self, spoil=None, size=SIZE, stamp=None, image_first=False):
        """Send a frame, broken by ``spoil``; its stamp, or None of one that has none."""
        self.pace()
        self._last = time.monotonic()
        stamp = time.time_ns() if stamp is None else stamp
        frame = good_frame(stamp, size)
        if spoil:
            spoil(frame)
        robot = self.robot
        robot.results[:] = [each for each in robot.results if each[1]["stamp"] != stamp]  # of a run before
        messages = [(robot.depth, frame.depth), (robot.info, frame.info), (robot.image, frame.image)]
        for publisher, message in messages[::-1] if image_first else messages:
            if message is not None:
                publisher.publish(message)
                time.sleep(0.005)
        return stamp_of(frame.image) if isinstance(frame.image, Image) else stamp

    def answer(self, stamp, seconds=BUSY):
        """The first target of the result about ``stamp``, all its numbers finite; None if none comes."""
        result = self.robot.result_of(stamp, seconds)
        if result is None:
            return None
        json.dumps(result, allow_nan=False)
        return result["targets"][0]

    def recovered(self, see=None, frames=RECOVERED_AFTER):
        """The stamp of the first good frame that is answered as if nothing had been, of at most ``frames``."""
        for _ in range(frames):
            stamp = (see or self.send)()
            if is_good(target := self.answer(stamp)):
                return stamp
        raise AssertionError(f"not recovered after {frames} frames: {target}\n{self.node.log}")

    def told(self, text, keep_on=None, within=BUSY):
        """Call ``keep_on`` until the diagnostics tell ``text``; how long that took, s."""
        start, health = time.monotonic(), self.robot.health
        told = lambda: any(text in line for each in health for line in lines(each))  # noqa: E731
        while time.monotonic() < start + within:
            if self.robot.wait(told, PERIOD):
                return time.monotonic() - start
            if keep_on:
                keep_on()
        raise AssertionError(f"not told: {text!r}, but {[lines(each) for each in health]}")

    def over(self, text):
        """Whether the diagnostics stop telling ``text``."""
        return self.robot.wait(
            lambda: self.robot.health and not any(text in each for each in lines(self.robot.health[-1]))
        )

    def counted(self, reason):
        """How often the diagnostics say that ``reason`` was given."""
        values = {each.key: each.value for each in self.robot.health[-1].values} if self.robot.health else {}
        return int(values.get(f"reason_{reason}", 0))

    def check(self, fault):
        """Break frames until the diagnostics tell, hold every answer against the row, and mend it."""
        self.recovered()
        self.robot.wait(lambda: self.robot.health)
        before, said = self.counted(fault.reason), self.node.log.count(fault.says)
        self.robot.health.clear()
        sent = []
        spoilt = lambda: sent.append(self.send(fault.spoil))  # noqa: E731
        spoilt()
        if fault.reason is not NOTHING:
            assert self.answer(sent[0]), f"no result\n{self.node.log}"
        if fault.says:
            assert self.told(fault.says, spoilt) < soon()
        else:
            assert self.robot.wait(lambda: self.counted(fault.reason) > before, BUSY)
        for stamp in sent:
            target = self.answer(stamp, 0.0 if fault.reason is NOTHING else BUSY)
            if fault.reason is NOTHING:
                assert target is None
            else:
                assert (target["found"], target["reason"]) == (True, fault.reason)
                assert (target["point"] is None) == (fault.reason != OK)
        self.recovered()
        self.send()
        assert not fault.says or self.over(fault.says), self.node.log
        self.alive()
        if fault.says:  # once in five seconds, however often it occurs
            assert self.node.log.count(fault.says) - said <= 2

    def alive(self):
        assert self.node.process.poll() is None and "Traceback" not in self.node.log, self.node.log


def is_good(target, query="red"):
    """Whether a target is the block, where it is."""
    return bool(
        target
        and (target["query"], target["found"], target["reason"]) == (query, True, OK)
        and target["point"] == pytest.approx(POINT, abs=0.03)
    )


def lines(status):
    """What a status tells: its message, and what else is wrong."""
    return [status.message, *(each.value for each in status.values if each.key.startswith("also_"))]


@contextlib.contextmanager
def rig(folder: Path, number: int, *arguments, see=None, reason=OK):
    """A robot in a domain of its own and the node, which answers with ``reason`` already to what ``see(rig)`` sends."""
    robot = Robot(DOMAIN + number)
    parameters = ["-p", "queries:=[red]", "-p", f"sync_slop:={SLOP}", *arguments]
    node = Node(folder / "log", DOMAIN + number, *parameters, script=Path(__file__).with_name("colour_node.py"))
    made = Rig(robot, node)
    ready = lambda stamp: robot.answered(stamp) and made.answer(stamp)["reason"] == reason  # noqa: E731
    try:
        assert robot.see_until(ready, lambda: see(made) if see else made.send()), node.log
        yield made
    finally:
        node.kill()
        robot.close()

"""``/diagnostics``: once a second, and at once when something goes wrong or is well again."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode

from gem_ros.models import BUNDLED
from gem_ros.process import memory
from gem_ros.ros import verdict
from gem_ros.ros.cameras import Seat
from gem_ros.ros.continuity import silent_clock
from gem_ros.ros.graph import namesakes
from gem_ros.ros.qos import NO_PUBLISHER_EVENTS, mismatches, unheard
from gem_ros.ros.verdict import Around, Finding
from gem_ros.ros.views import Asked

PERIOD = 1.0  # s between statuses while nothing changes
POLL = 0.2  # s between looks whether something has: at most five statuses a second
GRAPH = 0.5  # s between looks at the other nodes: asking for them costs more than all the rest
START = "start the camera, or remap image to its topic"
ALSO = 5  # findings beside the first that a status lists


@dataclass(frozen=True)
class Situation:
    """The node at this moment. ``failure``: why it could not be configured; ``status``: how the model runs;
    ``dropped``: images of each camera that were replaced by newer ones; ``degraded``: what was given up for memory.
    """

    asked: Asked
    device: str
    active: bool
    enabled: bool = True
    failure: str = ""
    status: Mapping[str, str] = field(default_factory=dict)
    dropped: Mapping[str, int] = field(default_factory=dict)
    degraded: str = ""


class Diagnostics:
    """The publisher of ``/diagnostics``; :meth:`tick` is to be called every :data:`POLL` s.

    ``announced`` is the publisher and ``asked`` the topic that all cameras share.
    """

    def __init__(self, node: LifecycleNode, seats: Sequence[Seat], announced: Any, asked: str) -> None:
        self._node, self._seats, self._announced, self._asked = node, seats, announced, asked
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", 10, **NO_PUBLISHER_EVENTS)
        self._told: list[list[str]] = []  # what the findings of each status were about
        self._at = self._looked = -PERIOD
        self._graph: list[tuple[tuple[str, ...], dict[str, str]]] = []

    def tick(self, situation: Situation) -> None:
        """Publish if it is time or something has changed; inactive, only that configuring failed."""
        if not situation.active and not situation.failure:
            self._told = []
            return
        now = time.monotonic()
        around = self._around(situation, now) if situation.active else []
        reports = [
            seat.health.report(each.listened and each.enabled) for seat, each in zip(self._seats, around, strict=False)
        ]
        found = [verdict.judge(report, each) for report, each in zip(reports, around, strict=True)]
        found = found or [[verdict.unconfigured(situation.failure, self._node.get_fully_qualified_name())]]
        about = [[each.about for each in findings] for findings in found]
        if about == self._told and now - self._at < PERIOD:
            return
        common = _common(situation)
        if not around:
            statuses = [self._status("", found[0], common)]
        else:
            statuses = [
                self._status(seat.name, findings, verdict.values(report, each) | common | _own(situation, seat))
                for seat, findings, report, each in zip(self._seats, found, reports, around, strict=True)
            ]
            self._log(found)
        self._told, self._at = about, now
        array = DiagnosticArray(status=statuses)
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)
        for seat in self._seats:
            seat.health.told()

    def _around(self, situation: Situation, now: float) -> list[Around]:
        if now - self._looked >= GRAPH:
            self._looked, self._graph = now, [self._look(seat) for seat in self._seats]
        return [
            Around(
                config=situation.asked.config,
                enabled=situation.enabled,
                listened=seat.outputs.wanted(),
                asked=bool(situation.asked.queries),
                mismatched=mismatched,
                unheard=silent,
                degraded=situation.degraded,
                clock=silent_clock(self._node),
            )
            for seat, (mismatched, silent) in zip(self._seats, self._graph, strict=True)
        ]

    def _look(self, seat: Seat) -> tuple[tuple[str, ...], dict[str, str]]:
        """Who cannot be talked to, and why topics may be silent. The first camera has what concerns all."""
        first = seat is self._seats[0]
        publishers = [*seat.outputs.publishers.values(), *([self._announced] if first else [])]
        subscribed = [*seat.inputs.reliable, *([self._asked] if first else [])]
        silent = {name: unheard(self._node, topic, kind) for name, (topic, kind) in seat.inputs.topics.items()}
        silent["image"] = silent["image"] or f"nobody publishes {seat.inputs.topics['image'][0]}; {START}"
        others = [*mismatches(self._node, publishers, subscribed), *(namesakes(self._node) if first else [])]
        return tuple(others), silent

    def _status(self, camera: str, found: Sequence[Finding], values: Mapping[str, str]) -> DiagnosticStatus:
        name = self._node.get_fully_qualified_name() + (f": {camera}" if camera else "")
        status = DiagnosticStatus(
            level=found[0].level, name=name, message=found[0].message, hardware_id=values["device"]
        )
        also = {f"also_{index}": each.message for index, each in enumerate(found[1 : 1 + ALSO], 1)}
        status.values = [KeyValue(key=key, value=value) for key, value in {**also, **values}.items()]
        return status

    def _log(self, found: Sequence[Sequence[Finding]]) -> None:
        """What was not told before; a problem of an image has been logged when it occurred."""
        before = [*self._told, *([] for _ in found)]
        for seat, findings, told in zip(self._seats, found, before, strict=False):
            for each in findings:
                if each.level != verdict.OK and each.about not in told:
                    seat.health.warn(each.about, each.message)


def _common(situation: Situation) -> dict[str, str]:
    """What all cameras share."""
    config, device = situation.asked.config, situation.device
    model = config.model if config.model == BUNDLED else f"{config.model}/{config.pretrained}"
    used = {}
    with contextlib.suppress(OSError):
        used["memory_mib"] = f"{memory(os.getpid()):.0f}"
    if device.startswith("cuda") and situation.active:
        from gem_ros.core.runtime import memory_in_use

        used["gpu_memory_mib"] = f"{memory_in_use(device):.0f}"
    return {"epoch": str(situation.asked.epoch), "model": model, "device": device, **situation.status, **used}


def _own(situation: Situation, seat: Seat) -> dict[str, str]:
    topics = {f"{name}_topic": topic for name, (topic, _) in seat.inputs.topics.items()}
    return {"dropped": str(situation.dropped.get(seat.name, 0)), **topics}

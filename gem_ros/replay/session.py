"""What a listener noted while a recording was played into a node, and how timely the answers were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gem_ros.replay.metrics import Summary, summary

MS = 1e-6  # of a nanosecond


@dataclass
class Pass:
    """One pass over a recording with the same ``queries`` all along; times are ns of the listener's clock.

    ``images``: stamp -> arrival of the played image; ``results``: (arrival, ``~/result``) in order of
    arrival; ``overlays``: stamp -> the node's JPEG file; ``usage``: what the node used of the machine meanwhile.
    """

    title: str
    queries: tuple[str, ...]
    images: dict[int, int] = field(default_factory=dict)
    results: list[tuple[int, Mapping[str, Any]]] = field(default_factory=list)
    overlays: dict[int, bytes] = field(default_factory=dict)
    usage: dict[str, float] = field(default_factory=dict)

    def latencies(self) -> list[float]:
        """ms from the arrival of each answered image to that of its answer."""
        return [(arrival - self.images[result["stamp"]]) * MS for arrival, result in self.answered()]

    def answered(self) -> list[tuple[int, Mapping[str, Any]]]:
        """The first result for each image that came after that image, about these queries.

        Answers to a new query on a stored image, and what was still under way for the last queries,
        are left out: they say nothing about how images are processed.
        """
        first: dict[int, tuple[int, Mapping[str, Any]]] = {}
        for arrival, result in self.results:
            stamp = result["stamp"]
            asked = {target["query"] for target in result["targets"]} == set(self.queries)
            if asked and stamp not in first and arrival > self.images.get(stamp, arrival):
                first[stamp] = arrival, result
        return list(first.values())


@dataclass(frozen=True)
class Timing:
    """``images`` played, ``answers`` given, answers per second, and ms from image to answer.

    Both image and answer are timed where they arrive at the same outside subscriber, over DDS.
    ``busy`` ms is the time the node spent on one image: from the image, or from the answer before it
    where that came later, to the answer. ``age`` is latency in units of the median ``busy``.
    """

    images: int
    answers: int
    rate: float
    latency: Summary
    busy: Summary
    age: Summary


def timing(passes: Sequence[Pass]) -> Timing:
    """How timely the answers of ``passes`` were, all together."""
    latencies = [latency for each in passes for latency in each.latencies()]
    busy: list[float] = []
    seconds = 0.0
    for each in passes:
        answered = each.answered()
        before = 0
        for arrival, result in answered:
            image = each.images[result["stamp"]]
            busy.append((arrival - max(image, before)) * MS)
            before = arrival
        if len(answered) > 1:
            seconds += (answered[-1][0] - answered[0][0]) / 1e9
    spans = max(len(latencies) - len(passes), 0)  # n answers have n - 1 intervals
    inference = summary(busy)
    return Timing(
        images=sum(len(each.images) for each in passes),
        answers=len(latencies),
        rate=spans / seconds if seconds else 0.0,
        latency=summary(latencies),
        busy=inference,
        age=summary(latency / inference.median for latency in latencies),
    )

"""What a camera's numbers mean to who runs the robot: a level, what is wrong, and what to do; docs/diagnostics.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticStatus

from gem_ros.config import Config
from gem_ros.ros.health import Report

OK, WARN, ERROR, STALE = (
    getattr(DiagnosticStatus, name) for name in ("OK", "WARN", "ERROR", "STALE")
)  # bytes of one each
FAILED = 3  # images that failed one after the other: it is not this image
STUCK = 10.0  # s without a result although images come; a model that is slower says so by its latency
FUTURE = 0.5  # s that a stamp may be ahead of the node's clock
LISTED = 16  # queries
LONGEST = 60  # characters of a query


class Finding(NamedTuple):
    """A level, its message, and what it is about: the same while only numbers change."""

    level: bytes
    message: str
    about: str


@dataclass(frozen=True)
class Around:
    """What a camera's own numbers do not say. ``mismatched`` are lines about quality of service; ``unheard`` says
    for ``image``, ``depth`` and ``camera_info`` why nothing is heard (empty: nobody publishes it, as is allowed for
    the latter two); ``degraded`` what has been given up for want of memory, ``clock`` why the node does not know the
    time.
    """

    config: Config
    enabled: bool = True
    listened: bool = True
    asked: bool = True
    mismatched: tuple[str, ...] = ()
    unheard: Mapping[str, str] = field(default_factory=dict)
    degraded: str = ""
    clock: str = ""


def judge(report: Report, around: Around) -> list[Finding]:
    """What is to be said, the worst first; one OK where nothing is wrong."""
    if not around.enabled:
        return [Finding(OK, "paused; the service ~/enable resumes", "paused")]
    found = [*_stopped(report, around), *_degraded(report, around)]
    return found or [Finding(OK, _well(around), "well")]


def unconfigured(failure: str, node: str) -> Finding:
    """The model could not be loaded."""
    again = f"then: ros2 lifecycle set {node} configure"
    return Finding(ERROR, f"not configured: {with_advice(failure)}; {again}", "not configured")


def _well(around: Around) -> str:
    if not around.listened:
        return "running; nobody subscribes to a result, so none is made"
    return "running" if around.asked else "running; nothing is asked: publish on query, or set queries"


def _stopped(report: Report, around: Around) -> Iterator[Finding]:
    """There are no results."""
    config = around.config
    silence = report.silence["image"]
    if min(silence, report.up) > config.diagnostics.max_silence:
        told = "no image yet" if math.isinf(silence) else f"no image for {silence:.0f} s"
        yield Finding(STALE, f"{told}: {around.unheard.get('image', 'start the camera, or remap image')}", "no image")
        return
    if line := _failing(report):
        yield Finding(ERROR, f"no results, the last {report.failures} images failed: {with_advice(line)}", "failing")
    patience = max(STUCK, 3 * report.latency[1], 2 / config.max_rate if config.max_rate else 0.0)
    if report.waiting > patience:
        expected = f"no result for {report.waiting:.0f} s although images come"
        yield Finding(ERROR, f"{expected}: the model hangs or is that slow; restart the node, see its log", "stuck")


def _failing(report: Report) -> str:
    """The newest problem, where image after image fails; else empty."""
    newest = max(report.problems.values(), key=lambda each: each.at, default=None)
    return newest.line if newest and report.failures >= FAILED else ""


def _degraded(report: Report, around: Around) -> Iterator[Finding]:
    """There are results, but not as they should be."""
    limits = around.config.diagnostics
    for line in around.mismatched:
        yield Finding(WARN, line, line)
    for name in ("depth", "camera_info"):
        why = around.unheard.get(name)
        if why and min(report.silence[name], report.up) > limits.max_silence:
            yield Finding(WARN, f"no {name}: {why}", f"no {name}")
    failing = _failing(report)
    for what, problem in report.problems.items():
        if problem.line == failing:
            continue
        yield Finding(WARN, with_advice(problem.line), what)
    if around.degraded:
        line = f"out of memory: going on with {around.degraded}; free memory, or set a smaller image_size or model"
        yield Finding(WARN, line, "degraded")
    if around.clock:
        yield Finding(WARN, around.clock, "clock")
    elif report.stamp_age < -FUTURE:
        line = f"image: stamped {-report.stamp_age:.1f} s after the node's clock"
        advice = "synchronise the clocks (chrony), or set use_sim_time alike on both sides and publish /clock"
        yield Finding(WARN, f"{line}; {advice}", "future")
    if report.up > limits.max_silence and report.rates["image"] < limits.min_rate:
        line = f"image: expected at least {limits.min_rate:g} Hz, got {report.rates['image']:.1f} Hz"
        yield Finding(WARN, f"{line}; look at the camera and the network, or lower diagnostics.min_rate", "rate")
    if 0 < limits.max_latency < report.latency[1]:
        line = f"latency: expected at most {limits.max_latency:g} s, got {report.latency[1]:.2f} s (p95)"
        advice = "use a GPU, a smaller image_size or model, or raise diagnostics.max_latency"
        yield Finding(WARN, f"{line}; {advice}", "latency")
    if report.depth_valid < limits.min_depth_valid:
        line = f"depth: expected {limits.min_depth_valid:.0%} of it to be valid, got {report.depth_valid:.1%}"
        advice = "look at the sensor (too near, covered, sunlight), or lower diagnostics.min_depth_valid"
        yield Finding(WARN, f"{line}; {advice}", "depth valid")


def with_advice(line: str) -> str:
    """Ends with what to do, also where ``line`` does not say it itself."""
    return line if "; " in line else f"{line}; gem-ros doctor looks closer, the node's log has details"


def values(report: Report, around: Around) -> dict[str, str]:
    """A camera's numbers for a DiagnosticStatus: NaN where nothing is known."""
    found = {
        "image_rate_hz": f"{report.rates['image']:.1f}",
        "depth_rate_hz": f"{report.rates['depth']:.1f}",
        "camera_info_rate_hz": f"{report.rates['camera_info']:.1f}",
        "result_rate_hz": f"{report.rates['result']:.1f}",
        "image_age_s": f"{report.silence['image']:.1f}",
        "result_age_s": f"{report.silence['result']:.1f}",
        "stamp_age_ms": f"{report.stamp_age * 1e3:.1f}",
        "latency_p50_ms": f"{report.latency[0] * 1e3:.1f}",
        "latency_p95_ms": f"{report.latency[1] * 1e3:.1f}",
        "inference_p50_ms": f"{report.inference[0] * 1e3:.1f}",
        "inference_p95_ms": f"{report.inference[1] * 1e3:.1f}",
        "problems": str(report.problem_count),
        "depth_valid": f"{report.depth_valid:.2f}",
        "pose": _pose(report, around.config),
        "qos": f"{len(around.mismatched)} mismatched" if around.mismatched else "ok",
        "memory_limit": around.degraded or "none",
    }
    for index, (text, reasons) in enumerate(report.by_query[:LISTED]):
        short = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
        counts = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
        found[f"query_{index}"] = f"{short}: {counts or 'no result lately'}"
    return found | {f"reason_{name}": str(count) for name, count in sorted(report.reasons.items())}


def _pose(report: Report, config: Config) -> str:
    """Whether 3D points could be taken to ``target_frame`` lately."""
    if not config.target_frame:
        return "not used"
    reasons = {reason for _, counts in report.by_query for reason in counts}
    if "no_transform" in reasons:
        return f"missing in {config.target_frame}"
    return "ok" if "ok" in reasons else "nothing to place"

"""Limits that an evaluation must keep: what ``--fail-under`` and ``--fail-over`` say, and whether it holds."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gem_ros.errors import ConfigError
from gem_ros.replay.evaluation import Evaluation
from gem_ros.replay.measures import BY_NAME

# Measured in live mode only, over everything: name -> whether higher is better.
LIVE = {
    **dict.fromkeys(("latency_p50_ms", "latency_p95_ms", "latency_p99_ms"), False),
    **{"drop_rate": False, "results_per_s": True},
    **dict.fromkeys(("cpu_percent", "memory_mb", "gpu_memory_mb"), False),
}


@dataclass(frozen=True)
class Limit:
    """``name`` of a metric, and the ``value`` that it must not be ``under``, or else not over."""

    name: str
    value: float
    under: bool


@dataclass(frozen=True)
class Check:
    """A limit held against what was measured; ``text`` says it in a line."""

    met: bool
    text: str


def parse_limits(texts: Sequence[str], *, under: bool, queries: Collection[str], live: bool) -> list[Limit]:
    """``found_recall=0.9`` or ``red ball/iou=0.5`` -> limits; :class:`ConfigError` for what cannot be one.

    A value that is better higher has a lower limit, one that is better lower an upper one: the wrong way round would
    pass whatever comes.
    """
    option = "--fail-under" if under else "--fail-over"
    limits = []
    for text in texts:
        name, sign, number = text.rpartition("=")
        try:
            value = float(number) if sign else math.nan
        except ValueError:
            value = math.nan
        if not name or not math.isfinite(value):
            raise ConfigError(f"{option}: expected NAME=NUMBER like found_recall=0.9, got {text!r}")
        higher = _better(option, name, queries, live)
        if higher is not None and higher != under:
            right = "--fail-under" if higher else "--fail-over"
            raise ConfigError(f"{option} {text}: {'more' if higher else 'less'} of it is better; use {right} {text}")
        limits.append(Limit(name, value, under))
    return limits


def _better(option: str, name: str, queries: Collection[str], live: bool) -> bool | None:
    """Whether more of a metric is better; refuses a name that is none."""
    query, slash, metric = name.rpartition("/")
    if not slash and name in LIVE:
        if not live:
            raise ConfigError(f"{option}: {name} is measured by --mode live only")
        return LIVE[name]
    if metric in BY_NAME and (not slash or query in queries):
        return BY_NAME[metric].higher
    known = [*BY_NAME, *(LIVE if live else ()), *(f"{each}/{one}" for each in queries for one in BY_NAME)]
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or list(BY_NAME)
    raise ConfigError(f"{option}: no metric {name!r}; did you mean {', '.join(close)}?")


def check(evaluation: Evaluation, limits: Sequence[Limit]) -> list[Check]:
    """Hold every limit against ``evaluation``; what could not be measured keeps none."""
    return [_check(evaluation, each) for each in limits]


def _check(evaluation: Evaluation, limit: Limit) -> Check:
    wanted = f"at {'least' if limit.under else 'most'} {limit.value:g}"
    value = {**evaluation.timing, **evaluation.metrics}.get(limit.name, math.nan)
    if not math.isfinite(value):
        return Check(False, f"{limit.name}: expected {wanted}, but nothing in these recordings measures it")
    met = value >= limit.value if limit.under else value <= limit.value
    return Check(met, f"{limit.name}: expected {wanted}, got {value:.4g}")

"""Numbers as people read them: which metrics a page shows first, under which title, in which unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Interval = tuple[float, float]


def percent(share: float) -> str:
    """Of [0, 1]; a decimal where it is little or nearly all, so that a few are not taken for none."""
    value = 100 * share
    return f"{value:.1f} %" if 0 < value < 9.95 or 99.5 <= value < 100 else f"{value:.0f} %"


def length(metres: float) -> str:
    """In the unit that leaves a number people can read."""
    if abs(metres) < 0.01:
        return f"{1000 * metres:.1f} mm"
    return f"{100 * metres:.1f} cm" if abs(metres) < 1 else f"{metres:.2f} m"


def ratio(value: float) -> str:
    """A number in [0, 1] that is no share of anything."""
    return f"{value:.3f}"


def milliseconds(value: float) -> str:
    return f"{value:.0f} ms"


def seconds(value: float) -> str:
    return f"{value:.1f} s"


def plain(value: float) -> str:
    """At most four digits, as many as there are."""
    return f"{value:.4g}"


@dataclass(frozen=True)
class Shown:
    """A metric on the page, by its ``name`` in metrics.json; ``bar``: it lies in [0, 1] and is drawn, too."""

    name: str
    title: str
    show: Callable[[float], str]
    bar: bool = False


# What comes first matters most. A metric that is not here is in the list of all numbers only.
AGAINST_TRUTH = (
    Shown("found_recall", "found when in view", percent, True),
    Shown("pointing_accuracy", "pointed at", percent, True),
    Shown("found_precision", "right when found", percent, True),
    Shown("absent_rate", "rightly not found", percent, True),
    Shown("presence_auroc", "AUROC", ratio),
    Shown("iou", "IoU", ratio, True),
    Shown("error_median_m", "3D error, median", length),
    Shown("error_p90_m", "3D error, p90", length),
)
WITHOUT_TRUTH = (
    Shown("found_rate", "found", percent, True),
    Shown("absent_rate", "rightly not found", percent, True),
    Shown("located_rate", "found with a 3D point", percent, True),
    Shown("depth_valid", "valid depth where found", percent, True),
    Shown("stability_overlap", "same region in the next image", percent, True),
    Shown("stability_m", "moved to the next image", length),
    Shown("flip_rate", "changed its mind", percent, True),
)
LIVE = (
    Shown("latency_p50_ms", "latency, median", milliseconds),
    Shown("latency_p95_ms", "latency, p95", milliseconds),
    Shown("results_per_s", "answers per second", lambda value: f"{value:.1f}"),
    Shown("drop_rate", "images without an answer", percent, True),
)
OTHERS = (
    Shown("pointing_when_found", "pointed at when found", percent),
    Shown("found_f1", "F1", ratio),
    Shown("best_iou", "IoU at the best threshold", ratio),
    Shown("jitter_m", "movement of tracks", length),
    Shown("first_hit_s", "time to the first hit", seconds),
)
_BY_NAME = {each.name: each for each in (*OTHERS, *LIVE, *WITHOUT_TRUTH, *AGAINST_TRUTH)}


def chosen(metrics: Mapping[str, float]) -> tuple[Shown, ...]:
    """The metrics that are shown first: those against the truth where there is one."""
    return AGAINST_TRUTH if is_known(metrics, "found_recall") else WITHOUT_TRUTH


def is_known(values: Mapping[str, float], name: str) -> bool:
    """Whether it was measured."""
    return math.isfinite(values.get(name, math.nan))


def by_name(name: str) -> Shown:
    """How any number is shown."""
    return _BY_NAME.get(name) or Shown(name, name, plain)


def show(name: str, value: float) -> str:
    """A number by the name of its metric."""
    return by_name(name).show(value)


def between(shown: Shown, interval: Interval | None) -> str:
    """``81–90 %``: an interval, its unit once where both ends have the same; empty where it is not known."""
    if interval is None:
        return ""
    low, high = (shown.show(each) for each in interval)
    value, _, unit = low.partition(" ")
    return f"{value}–{high}" if unit and high.endswith(f" {unit}") else f"{low}–{high}"


def sentence(metrics: Mapping[str, float]) -> str:
    """The main numbers in words."""
    words = {
        "found_recall": "{} of what is in view is found",
        "pointing_accuracy": "{} is pointed at",
        "absent_rate": "{} of what is not in view is rightly not found",
        "error_median_m": "the 3D point is off by {} in the median",
    }
    if not is_known(metrics, "found_recall"):
        words = {
            "found_rate": "found in {} of the images",
            "absent_rate": words["absent_rate"],
            "stability_overlap": "from image to image {} of a region stays",
        }
    said = "; ".join(text.format(show(name, metrics[name])) for name, text in words.items() if is_known(metrics, name))
    return f"{said[:1].upper()}{said[1:]}." if said else "Nothing could be measured."

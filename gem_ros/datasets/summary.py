"""What was measured of a data set: numbers for a file, and a table beside what the papers report."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from gem_ros.datasets.published import PAPER, published
from gem_ros.datasets.run import Measured
from gem_ros.datasets.samples import Dataset
from gem_ros.datasets.scores import best_threshold
from gem_ros.datasets.variants import Variant


def row(dataset: Dataset, variant: Variant, measured: Measured, threshold: float) -> dict[str, Any]:
    """Shares in [0, 1]. ``miou`` is at ``threshold``; ``best_miou`` at the best of a grid, chosen here."""
    tally, config = measured.tally, variant.config
    by_threshold = tally.by_threshold
    used = min(by_threshold, key=lambda each: abs(each - threshold))
    best = best_threshold(by_threshold)
    paper = published(dataset.name, config.method, config.model, config.pretrained)
    counts = by_threshold[best]
    return {
        "variant": variant.name,
        "method": config.method,
        "model": config.model,
        "pretrained": config.pretrained,
        "images": tally.images,
        "metric": "p-mIoU" if dataset.points else "mIoU",
        "threshold": used,
        "miou": _known(by_threshold[used].mean_iou),
        "best_threshold": best,
        "best_miou": _known(counts.mean_iou),
        "pointing_accuracy": _known(tally.pointing),
        "images_per_second": _known(1 / float(np.median(measured.seconds)) if measured.seconds else math.nan),
        "published_miou": None if paper is None else paper / 100,
        "classes": {name: _known(value) for name, value in zip(dataset.labels, counts.iou.tolist(), strict=True)},
    }


def table(dataset: Dataset, rows: Sequence[Mapping[str, Any]]) -> Table:
    """A line per variant: in percent, with the difference to what was published for it."""
    metric = rows[0]["metric"]
    title = f"{dataset.name}: {rows[0]['images']} images, {len(dataset.classes)} classes"
    made = Table(title=title, box=SIMPLE_HEAD, title_justify="left", caption=f"published: {PAPER}")
    made.add_column("variant", overflow="fold", min_width=12)
    for name in (metric, f"best {metric}", "at", "published", "difference", "pointing", "images/s"):
        made.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)
    for each in rows:
        paper, best = each["published_miou"], each["best_miou"]
        difference = None if paper is None or best is None else best - paper
        made.add_row(
            escape(each["variant"]),
            _percent(each["miou"]),
            _percent(best),
            f"{each['best_threshold']:.2f}",
            _percent(paper),
            "" if difference is None else f"{100 * difference:+.1f}",
            _percent(each["pointing_accuracy"]),
            "" if each["images_per_second"] is None else f"{each['images_per_second']:.1f}",
        )
    return made


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"

"""What the papers report, to be shown beside what was measured. In percent, ViT-B/16.

GEM (arXiv 2312.00878), its tables of zero-shot segmentation: mIoU on VOC, Context and ADE20K, p-mIoU on OpenImages V7.
The others' own papers report other protocols; what GEM's authors measured of them is comparable with it.
"""

from __future__ import annotations

PAPER = "GEM, arXiv 2312.00878"
_ROWS = {
    ("clip", "openai"): (10.4, 7.7, 1.7, 27.6),
    ("maskclip", "openai"): (28.6, 23.8, 10.2, 42.0),
    ("clip_surgery", "openai"): (41.2, 30.5, 12.9, 47.8),
    ("gem", "openai"): (46.2, 32.6, 15.7, 50.9),
    ("gem", "metaclip_400m"): (46.8, 34.5, 17.1, 51.9),
}
_COLUMNS = ("voc", "context", "ade20k", "openimages-points")
ARCHITECTURES = ("ViT-B-16", "ViT-B-16-quickgelu")


def published(dataset: str, method: str, model: str, pretrained: str) -> float | None:
    """The papers' number for this, in percent; None where there is none."""
    row = _ROWS.get((method, pretrained)) if model in ARCHITECTURES else None
    return row[_COLUMNS.index(dataset)] if row and dataset in _COLUMNS else None

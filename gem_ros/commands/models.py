"""``gem-ros models``: what ``--model`` and ``--pretrained`` can be."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gem-ros models``."""
    parser.add_argument("filter", nargs="?", default="", help="only models whose name or tags contain this")


def run(args: argparse.Namespace) -> int:
    """Print a table of models, their weights' tags, and which of these are on this machine."""
    from rich.console import Console
    from rich.table import Table

    from gem_ros.core.pretrained import list_models
    from gem_ros.errors import ModelError
    from gem_ros.models import BUNDLED

    table = Table(title="models", caption="bold: on this machine; the others are downloaded when first used")
    table.add_column("model", no_wrap=True)
    table.add_column("pretrained")
    for name, tags in ((BUNDLED, {"needs none": True}), *list_models()):
        if args.filter.lower() in f"{name} {' '.join(tags)}".lower():
            table.add_row(name, ", ".join(f"[bold]{tag}[/]" if here else tag for tag, here in tags.items()))
    if not table.row_count:
        raise ModelError(f"models: expected a part of a name or tag, got {args.filter!r}; try ViT-B-16")
    Console().print(table)
    return 0

"""``gem-ros models``: what ``--model`` and ``--pretrained`` can be."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gem_ros.core.catalogue import Architecture

CAPTION = """\
verified: its own forward is reproduced, and patches go CLS's way to the texts; experimental: see docs/models.md.
M: parameters of the image tower, in millions. GFLOP: gem with 6 blocks and 1 iteration on a 4:3 image, {size} px long.
Bold: on this machine; the others are downloaded when first used. Licences are those of the weights."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gem-ros models``."""
    parser.add_argument("filter", nargs="?", default="", help="only models whose name or tags contain this")
    parser.add_argument("--image-size", type=int, default=448, metavar="PX", help="for GFLOP; default: 448")


def run(args: argparse.Namespace) -> int:
    """Print a table of models with their weights; those that cannot be used only where they are asked for."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from gem_ros.core.catalogue import architectures
    from gem_ros.errors import ConfigError, ModelError
    from gem_ros.models import BUNDLED

    if not 1 <= args.image_size <= 4096:
        raise ConfigError(f"--image-size: expected a value in [1, 4096] px, got {args.image_size}")
    table = Table(
        box=SIMPLE_HEAD, caption=CAPTION.format(size=args.image_size), caption_justify="left", padding=(0, 1, 0, 0)
    )
    table.add_column("model", no_wrap=True)
    table.add_column("GEM")
    for name in ("patch", "M", "GFLOP"):
        table.add_column(name, justify="right")
    table.add_column("pretrained (licence)", overflow="fold")
    asked = args.filter.lower()
    if asked in BUNDLED:
        table.add_row(BUNDLED, "verified", "", "", "", "[bold]needs none[/] (apache-2.0)")
    unusable = 0
    for each in architectures():
        if asked in f"{each.name} {' '.join(weights.tag for weights in each.weights)}".lower():
            unusable += each.applies == "no"
            if asked or each.applies != "no":
                table.add_row(*_row(each, args.image_size))
    if not table.row_count:
        raise ModelError(f"models: expected a part of a name or tag, got {args.filter!r}; try ViT-B-16")
    Console().print(table)
    if not asked:
        print(f"{unusable} more of open_clip's models cannot be used (ConvNets, CoCa, hybrids); name one to see why")
    return 0


def _row(each: Architecture, longer: int) -> tuple[str, ...]:
    from gem_ros.core.encoder import input_size

    numbers = ("", "", "")
    if each.shape is not None:
        size = input_size((3, 4), longer, (each.shape.patch, each.shape.patch))
        numbers = str(each.shape.patch), f"{each.shape.parameters / 1e6:.0f}", f"{each.shape.flop(size) / 1e9:.0f}"
    if each.applies == "no":
        return each.name, "no", *numbers, each.why
    licences = dict.fromkeys(weights.licence for weights in each.weights)
    listed = {
        licence: [f"[bold]{one.tag}[/]" if one.here else one.tag for one in each.weights if one.licence == licence]
        for licence in licences
    }
    tags = "; ".join(f"{', '.join(names)} ({licence})" for licence, names in listed.items())
    return each.name, each.applies, *numbers, tags or "a file of your own"

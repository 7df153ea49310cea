"""``gem-ros import-truth``: annotations that exist already into a recording's ``truth.json``."""

from __future__ import annotations

import argparse
from functools import cache
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gem-ros import-truth``."""
    kinds = parser.add_subparsers(dest="kind", metavar="coco|masks", required=True)
    coco = kinds.add_parser("coco", help="COCO instances (polygons, run lengths, boxes)")
    coco.add_argument("source", type=Path, metavar="FILE", help="JSON with images, categories, annotations")
    masks = kinds.add_parser("masks", help="PNG masks")
    masks.add_argument(
        "source", type=Path, metavar="FOLDER", help="objects.json and PNGs of numbers, or a folder of PNGs per query"
    )
    for each in (coco, masks):
        each.add_argument("--bag", type=Path, required=True, help="the recording whose images are annotated")
        each.add_argument("--output", type=Path, help="file to write (default: truth.json in the recording's folder)")
        each.add_argument("--by-order", action="store_true", help="images in order of their names, not named by stamp")
        each.add_argument(
            "--absent", default="", metavar="QUERIES", help="things that are never in view: 'violin; door'"
        )
        each.add_argument("--image-topic", help="topic of the images (default: found by type)")
        each.add_argument("--depth-topic", help="topic of the depth (default: found by type)")


def run(args: argparse.Namespace) -> int:
    """Write the truth and say what is in it; :class:`GemError` says in a line what cannot be used."""
    from rich.console import Console
    from rich.progress import Progress

    from gem_ros.errors import BagError
    from gem_ros.queries import SEPARATOR, parse_query
    from gem_ros.replay import importers
    from gem_ros.replay.importing import import_truth
    from gem_ros.replay.topics import camera_topics
    from gem_ros.replay.truth import FILE, load_truth, write_truth

    output = args.output or (args.bag if args.bag.is_dir() else args.bag.parent) / FILE
    if output.exists():
        raise BagError(f"{output}: expected a new file to write, but it exists; remove it or choose another --output")
    absent = [parse_query(each).text for each in args.absent.split(SEPARATOR) if each.strip()]
    images = (importers.coco if args.kind == "coco" else importers.masks)(args.source)
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    tell = cache(console.print)  # each line once
    topics = camera_topics(args.bag, image=args.image_topic, depth=args.depth_topic, problems=tell)
    console.print(topics.describe())
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(f"reading {args.bag.name}", total=1.0)
        truth = import_truth(
            images,
            args.bag,
            topics,
            absent,
            by_order=args.by_order,
            problems=tell,
            progress=lambda share: bars.update(task, completed=share),
        )
    write_truth(output, truth)
    seen = [each for frame in load_truth(output).frames.values() for each in frame]
    masks, surfaces = sum(each.runs is not None for each in seen), sum(each.surface is not None for each in seen)
    print(f"{output}: {len(truth.frames)} images, {len(seen)} things in them, {masks} with mask, {surfaces} with depth")
    return 0

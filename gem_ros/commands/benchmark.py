"""``gem-ros benchmark``: the open data sets of dense grounding, by their protocols, beside the published numbers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gem_ros.config import METHODS
from gem_ros.errors import ConfigError

if TYPE_CHECKING:
    from gem_ros.config import Config
    from gem_ros.datasets.samples import Dataset
    from gem_ros.datasets.variants import Variant

DATASETS = (
    *("voc", "voc20", "context", "context60", "ade20k", "coco-object", "coco-stuff", "cityscapes"),
    *("openimages-points", "tabletop"),
)
THRESHOLD = 0.5
SUMMARY = "benchmark.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gem-ros benchmark``."""
    add = parser.add_argument
    add("--dataset", required=True, choices=DATASETS, help="which one; in its own layout, as it is unpacked")
    add("--root", type=Path, help="its folder (tabletop: default the sample recording)")
    add("--method", default="gem", help=f"one or several of {','.join(METHODS)} (default: gem)")
    add("--set", action="append", default=[], metavar="NAME=V,V", help="values of a parameter, each measured")
    add("--model", help="open_clip architecture (default: ViT-B-16-quickgelu; bundled for tabletop)")
    add("--pretrained", help="open_clip tag or weights file (default: openai; unused by bundled)")
    add("--templates", help="prompts around the classes' names (default: gem)")
    add("--image-size", type=int, help="longer side of the whole image, px (default: the model's, else 448)")
    add("--slide", type=int, default=0, metavar="PX", help="windows of 224 px over a shorter side of PX, such as 336")
    add("--threshold", type=float, default=THRESHOLD, help=f"what is background (default: {THRESHOLD:g}); see the docs")
    add("--max-images", type=int, help="at most so many, evenly spaced (default: all)")
    add("--device", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--output", type=Path, default=Path("benchmark_output"), help="folder; an interrupted run goes on there")


def run(args: argparse.Namespace) -> int:
    """Measure, print, write; :class:`GemError` says in a line what cannot be used."""
    # What can be wrong is read before anything that takes time is loaded.
    choices, dataset = prepare(args)

    from rich.console import Console

    from gem_ros.commands._session import progress
    from gem_ros.core.download import told
    from gem_ros.datasets import summary

    folder = _folder(args.output / args.dataset)
    rows: list[dict[str, Any]] = []
    with progress() as say, told(say):
        for variant in choices:
            rows.append(_measure(args, dataset, variant, folder, lambda share, name=variant.name: say(name, share)))
            _write(folder / SUMMARY, args, dataset, rows)
    Console().print(summary.table(dataset, rows))
    print(f"written: {folder / SUMMARY}")
    return 0


def prepare(args: argparse.Namespace) -> tuple[list[Variant], Dataset]:
    """What is to be measured on what, with everything checked that can be wrong."""
    from gem_ros.datasets.layouts import open_dataset
    from gem_ros.datasets.variants import variants
    from gem_ros.replay.labelled import evenly

    if not 0 <= args.threshold < 1:
        raise ConfigError(f"--threshold: expected a value in [0, 1), got {args.threshold:g}")
    if args.slide and not 224 <= args.slide <= 4096:
        raise ConfigError(f"--slide: expected a shorter side of 224 to 4096 px, got {args.slide}")
    if args.max_images is not None and args.max_images < 1:
        raise ConfigError(f"--max-images: expected at least 1, got {args.max_images}")
    methods = [each.strip() for each in args.method.split(",")]
    for each in methods:
        if each not in METHODS:
            raise ConfigError(f"--method: expected some of {','.join(METHODS)}; got {each!r}")
    choices = variants(_config(args), methods, args.set)
    dataset = open_dataset(args.dataset, _root(args))
    if args.max_images:
        import dataclasses

        kept = [dataset.samples[index] for index in evenly(len(dataset.samples), args.max_images)]
        dataset = dataclasses.replace(dataset, samples=kept)
    return choices, dataset


def _root(args: argparse.Namespace) -> Path:
    if args.root:
        root: Path = args.root
        return root
    if args.dataset != "tabletop":
        from gem_ros.datasets.layouts import SOURCES

        raise ConfigError(
            f"--root: expected the folder of {args.dataset}, got none; get it from {SOURCES[args.dataset]}"
        )

    from gem_ros.resources import resource

    return resource("data/tabletop")


def _config(args: argparse.Namespace) -> Config:
    from gem_ros.config import replace
    from gem_ros.models import default_config

    model = args.model or ("bundled" if args.dataset == "tabletop" else "ViT-B-16-quickgelu")
    names = ("pretrained", "templates", "image_size", "device")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    return replace(default_config(model), given)


def _folder(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--output {path}: expected a writable folder, got: {error.strerror}") from error
    return path


def _measure(args: argparse.Namespace, dataset: Dataset, variant: Variant, folder: Path, say: Any) -> dict[str, Any]:
    from gem_ros.datasets import summary
    from gem_ros.datasets.protocol import Protocol
    from gem_ros.datasets.run import measure
    from gem_ros.pipeline import Grounder

    grounder = Grounder.load(config=variant.config)
    strange = [each for each in dataset.classes if not grounder.text.knows(each)]
    if strange:
        what = f"{len(strange)} of {len(dataset.classes)} classes, such as {strange[0]!r}"
        print(f"gem-ros benchmark: model {variant.config.model!r} does not know {what}", file=sys.stderr)
    file, settings = folder / variant.file, _settings(args, dataset, variant)
    found = measure(grounder, dataset, Protocol(args.slide), file=file, settings=settings, progress=say)
    return summary.row(dataset, variant, found, args.threshold)


def _settings(args: argparse.Namespace, dataset: Dataset, variant: Variant) -> dict[str, Any]:
    """What an image's counts depend on."""
    import dataclasses

    config = dataclasses.asdict(variant.config)
    kept = ("model", "pretrained", "method", "image_size", "templates", "precision", "gem", "feature_surgery")
    return {
        "dataset": args.dataset,
        "images": len(dataset.samples),
        "classes": list(dataset.classes),
        "slide": args.slide,
        **{name: config[name] for name in kept},
    }


def _write(file: Path, args: argparse.Namespace, dataset: Dataset, rows: list[dict[str, Any]]) -> None:
    from gem_ros import __version__
    from gem_ros.datasets.published import PAPER

    values = {
        "gem_ros": __version__,
        "dataset": dataset.name,
        "protocol": f"windows of 224 px, shorter side {args.slide}" if args.slide else "whole image",
        "published": PAPER,
        "rows": rows,
    }
    file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")

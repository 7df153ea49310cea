"""``gem-ros calibrate``: scores that are probabilities, fitted to images of one's own."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gem_ros.config import METHODS
from gem_ros.errors import GemError

if TYPE_CHECKING:
    from gem_ros.config import Config
    from gem_ros.replay.calibration_run import Calibration, Collected

MAX_IMAGES = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gem-ros calibrate``."""
    parser.add_argument("source", type=Path, help="recording (rosbag2) or folder of images, with a truth.json")
    parser.add_argument("--truth", type=Path, help="the file that says what is in view (default: truth.json there)")
    parser.add_argument("--query", action="append", default=[], help="one more query for something absent; repeatable")
    parser.add_argument("--model", default="bundled", help="open_clip architecture (default: bundled)")
    parser.add_argument("--pretrained", help="open_clip tag or weights file (default: openai; unused by bundled)")
    parser.add_argument("--method", choices=METHODS, help="dense features by this rule (default: gem)")
    parser.add_argument("--image-size", type=int, help="longer side fed to the model, px (default: the model's)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument(
        "--max-images", type=int, default=MAX_IMAGES, help=f"at most so many, evenly spaced (default: {MAX_IMAGES})"
    )
    parser.add_argument("--output", type=Path, default=Path("calibration"), help="folder for card.json and the plot")


def run(args: argparse.Namespace) -> int:
    """Fit, print, write; :class:`GemError` says in a line what cannot be used."""
    # What can be wrong is read before anything that takes time is loaded.
    config = _config(args)

    from gem_ros.replay.labelled import open_labelled

    source = open_labelled(args.source, args.truth, args.query, args.max_images)
    _make_folder(args.output)

    from gem_ros.commands._session import downloads
    from gem_ros.pipeline import Grounder
    from gem_ros.replay import calibration_run

    with downloads():
        grounder = Grounder.load(config=config)
    with _progress() as progress:
        collected = calibration_run.collect(grounder, source, progress)
    found = calibration_run.calibrate(collected)
    card, plot = args.output / calibration_run.CARD, args.output / calibration_run.PLOT
    calibration_run.write_card(card, grounder, collected, found)

    from gem_ros.replay.calibration_plot import write_plot

    write_plot(plot, found, _title(args, collected, found))
    _show(args, collected, found)
    return 0


def _config(args: argparse.Namespace) -> Config:
    from gem_ros.config import replace
    from gem_ros.models import default_config

    given = {"pretrained": args.pretrained, "device": args.device, "method": args.method, "image_size": args.image_size}
    return replace(default_config(args.model), {name: value for name, value in given.items() if value is not None})


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GemError(f"--output {path}: expected a writable folder, got: {error.strerror}") from error


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """A bar with the time, on the terminal's error stream."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = TextColumn("looking at images"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda share: bar.update(task, completed=share)


def _title(args: argparse.Namespace, collected: Collected, found: Calibration) -> str:
    how = "measured on images held out" if found.held_out else "measured on the images fitted on"
    return f"{args.model} on {args.source.resolve().name}, {collected.images} images, {how}"


def _show(args: argparse.Namespace, collected: Collected, found: Calibration) -> None:
    from rich.console import Console
    from rich.markup import escape

    from gem_ros.replay import calibration_run, calibration_tables

    console = Console()

    def say(text: str) -> None:
        console.print(escape(text), soft_wrap=True, highlight=False)

    for table in (
        calibration_tables.evidence_table(found),
        calibration_tables.points_table(found),
        calibration_tables.reliability_table(found),
    ):
        console.print(table)
    if collected.left_out:
        say(f"left out, as the model does not know every word: {', '.join(collected.left_out)}")
    say(calibration_tables.summary_line(found))
    card = args.output / calibration_run.CARD
    presence = found.presence
    say(f"score = sigmoid({presence.a:g} * {presence.evidence} {presence.b:+g}), fitted on {collected.images} images")
    say(f"written: {card}, {args.output / calibration_run.PLOT}")
    say(f"use it: the node's parameter card:={card.resolve()}, with model:={args.model}")

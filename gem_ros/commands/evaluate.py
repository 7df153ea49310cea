"""``gem-ros evaluate``: from recordings to numbers, and whether they are good enough."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gem_ros.config import METHODS
from gem_ros.errors import BagError, ConfigError

if TYPE_CHECKING:
    from gem_ros.replay.checks import Check, Limit
    from gem_ros.replay.engine import Job
    from gem_ros.replay.evaluation import Evaluation
    from gem_ros.replay.settings import Settings

DONE, MISSED, BAD_INPUT = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gem-ros evaluate``."""
    add = parser.add_argument
    add("bags", nargs="*", metavar="BAG", help="recording, folder of recordings, or pattern such as 'runs/*.mcap'")
    add("--truth", type=Path, help="what is really in view (default: truth.json beside each recording, if any)")
    add("--queries", help="what to look for, 'red mug; door:0.6' (default: what the truth names)")
    add("--absent", default="", metavar="QUERIES", help="also ask for these, which are nowhere in view")
    add("--mode", choices=("offline", "live"), default="offline", help="every image once; or the real node over DDS")
    add("--report", type=Path, metavar="DIR", help="folder for numbers and rows; what is there already is kept")
    add("--annotate", action="store_true", help="write a bag of each recording with what was found, to DIR/annotated")
    add("--video", action="store_true", help="and a video of it; MP4 with gem_ros[video], else GIF")
    add("--fail-under", action="append", default=[], metavar="NAME=VALUE", help="exit 1 where a metric is lower")
    add("--fail-over", action="append", default=[], metavar="NAME=VALUE", help="exit 1 where a metric is higher")
    add("--compare", nargs=2, type=Path, metavar="METRICS", help="two metrics.json: what differs, and is it chance?")
    add("--model", help="open_clip architecture (default: the parameter file's, else bundled)")
    add("--pretrained", help="open_clip tag or weights file (default: openai; unused by bundled)")
    add("--method", choices=METHODS, help="dense features by this rule (default: the parameter file's, else gem)")
    add("--device", help="auto, cpu, cuda or cuda:N (default: auto)")
    add("--params-file", type=Path, help="the node's parameters")
    for name in ("image", "depth", "camera-info", "pose"):
        add(f"--{name}-topic", metavar="TOPIC", help=f"recorded topic of the {name.replace('-', ' ')} (default: found)")
    add("--every", type=int, default=1, metavar="N", help="only each N-th image (default: 1)")
    add("--rate", type=float, default=1.0, help="playing speed in live mode (default: 1.0)")
    add("--workers", type=int, default=1, metavar="N", help="processes, of one thread each (default: 1, of all cores)")
    add("--engine", choices=("local", "ray"), default="local", help="where they run: here, or on a Ray cluster")
    add("--min-visible", type=float, default=0.01, metavar="SHARE", help="of the image to be in view (default: 0.01)")
    add("--seed", type=int, default=0, help="of the confidence intervals (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Evaluate, print, write; 1 where a limit is not kept, 2 where a recording cannot be used."""
    if args.compare:
        return compare(args)
    # What can be wrong in the arguments is said before anything that takes time is loaded.
    settings = read_settings(args)

    from gem_ros.replay.bag import find_bags
    from gem_ros.replay.checks import check
    from gem_ros.replay.engine import jobs_of
    from gem_ros.replay.store import make_folder

    jobs = jobs_of(find_bags(args.bags))
    limits = read_limits(args, settings, jobs)
    if args.report:
        make_folder(args.report)

    from gem_ros.commands._evaluate import evaluate, summed_up
    from gem_ros.replay.evaluate import reproducible

    settings = settings if args.mode == "live" else reproducible(settings)
    results = evaluate(args, settings, jobs)
    for job, error in results.failed.values():
        print(f"gem-ros evaluate: {job.path}: {error}", file=sys.stderr)
    if not results.evaluated:
        return BAD_INPUT
    evaluation = summed_up(settings, jobs, results)
    checks = check(evaluation, limits)
    write(args, evaluation, checks)
    if args.report:
        write_report(args, settings, jobs, evaluation, checks)
    if results.failed:
        return BAD_INPUT
    return DONE if all(each.met for each in checks) else MISSED


def read_settings(args: argparse.Namespace) -> Settings:
    """Check all arguments that need no recording."""
    from gem_ros.commands._config import read_config
    from gem_ros.config import MAX_QUERIES
    from gem_ros.queries import parse_queries
    from gem_ros.replay.settings import Settings

    if not args.bags:
        raise BagError("BAG: expected at least one recording, got none; give a bag, or --compare A.json B.json")
    for name, value, right in (
        ("--every", args.every, args.every >= 1),
        ("--workers", args.workers, args.workers >= 1),
        ("--rate", args.rate, 0 < args.rate < math.inf),
        ("--min-visible", args.min_visible, 0 < args.min_visible <= 1),
        ("--seed", args.seed, args.seed >= 0),
    ):
        if not right:
            raise ConfigError(f"{name}: expected {_RANGES[name]}, got {value:g}")
    if args.mode == "live" and (args.every != 1 or args.workers != 1 or args.engine != "local"):
        raise ConfigError("--mode live: plays every image into one node; leave out --every, --workers and --engine")
    if (args.annotate or args.video) and (args.mode == "live" or not args.report):
        raise ConfigError(
            "--annotate, --video: expected --report DIR and --mode offline; live, record the node's topics"
        )
    given = {"model": args.model, "pretrained": args.pretrained, "device": args.device, "method": args.method}
    return Settings(
        config=read_config(args.params_file, given),
        queries=parse_queries(args.queries or "", MAX_QUERIES),
        absent=parse_queries(args.absent, MAX_QUERIES),
        truth=args.truth,
        image_topic=args.image_topic,
        depth_topic=args.depth_topic,
        camera_info_topic=args.camera_info_topic,
        pose_topic=args.pose_topic,
        every=args.every,
        min_visible=args.min_visible,
        seed=args.seed,
        mode=args.mode,
        rate=args.rate,
    )


_RANGES = {
    **dict.fromkeys(("--every", "--workers"), "a whole number of at least 1"),
    **{"--rate": "a number above 0", "--min-visible": "a share in (0, 1]", "--seed": "a whole number of at least 0"},
}


def read_limits(args: argparse.Namespace, settings: Settings, jobs: Sequence[Job]) -> list[Limit]:
    """``--fail-under`` and ``--fail-over``; what they name must exist before anything is computed."""
    from gem_ros.replay.checks import parse_limits
    from gem_ros.replay.evaluate import truth_file
    from gem_ros.replay.truth import load_truth

    queries = [each.text for each in (*settings.queries, *settings.absent)]
    if not settings.queries and any("/" in text for text in (*args.fail_under, *args.fail_over)):
        for file in filter(None, {truth_file(job.path, settings.truth) for job in jobs}):
            truth = load_truth(file)
            queries += [*truth.queries, *truth.absent_queries]
    live = settings.mode == "live"
    return [
        *parse_limits(args.fail_under, under=True, queries=queries, live=live),
        *parse_limits(args.fail_over, under=False, queries=queries, live=live),
    ]


def write(args: argparse.Namespace, evaluation: Evaluation, checks: Sequence[Check]) -> None:
    """Print the tables and the outcome of the limits; write the files where ``--report`` says so."""
    from rich.console import Console
    from rich.markup import escape

    from gem_ros.replay import evaluation_tables, store

    console = Console()

    def say(text: str) -> None:
        console.print(escape(text), soft_wrap=True, highlight=False)

    for each in evaluation.inputs:
        for line in (f"{each.name}: {each.topics}", *(f"{each.name}: {problem}" for problem in each.problems)):
            say(line)
    console.print(evaluation_tables.queries_table(evaluation), evaluation_tables.overall_table(evaluation))
    console.print(evaluation_tables.timing_table(evaluation))
    if args.report:
        say("written: " + ", ".join(map(str, store.save(args.report, evaluation))))
    for check in checks:
        say(f"{'kept' if check.met else 'FAILED'}: {check.text}")


def write_report(
    args: argparse.Namespace,
    settings: Settings,
    jobs: Sequence[Job],
    evaluation: Evaluation,
    checks: Sequence[Check],
) -> None:
    """The page, with pictures of the images that tell most; its path is the last line."""
    from rich.console import Console
    from rich.markup import escape

    from gem_ros.replay.evaluate import load_grounder, prepare
    from gem_ros.replay.report import gallery, html

    paths = {job.name: job.path for job in jobs}
    pictures = gallery.ground_again(
        evaluation, lambda name: prepare(paths[name], settings), lambda: load_grounder(settings.config)
    )
    console = Console()
    with console.status("drawing the report"):
        path = html.write(evaluation, args.report, pictures=pictures, checks=checks)
    if args.annotate or args.video:
        console.print(escape(f"recordings with what was found: {args.report / 'annotated'}"), soft_wrap=True)
    console.print(escape(f"the report, to open in a browser: {path}"), soft_wrap=True, highlight=False)


def compare(args: argparse.Namespace) -> int:
    """Print what differs between two evaluations."""
    from rich.console import Console
    from rich.markup import escape

    from gem_ros.replay import compare as comparing
    from gem_ros.replay import evaluation_tables, store

    if args.bags or args.fail_under or args.fail_over:
        raise ConfigError("--compare: expected two metrics.json and nothing else to evaluate; leave out the rest")
    before, after = map(store.load, args.compare)
    comparison = comparing.compare(before, after, seed=args.seed)
    console = Console()
    console.print(evaluation_tables.comparison_table(comparison))
    for line in (*comparison.notes, "p: paired block bootstrap, not corrected for the number of metrics"):
        console.print(escape(line), soft_wrap=True, highlight=False)
    return DONE

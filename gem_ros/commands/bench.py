"""``gem-ros bench``: how fast this is on this machine, beside the published algorithm, and against older results."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from gem_ros.benchmarks.plan import PARTS, Plan
from gem_ros.config import METHODS
from gem_ros.errors import GemError

if TYPE_CHECKING:
    from gem_ros.benchmarks.results import Results
MISSED = 1
SECONDS = 10.0
MOST_QUERIES = 255


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gem-ros bench``."""
    parser.add_argument("--model", default="bundled", help="open_clip architecture (default: bundled)")
    parser.add_argument(
        "--pretrained", default="openai", help="open_clip tag, weights file, or 'random': enough for speed"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--precision", default="auto", help="auto, fp32, bf16 or fp16 (default: auto)")
    parser.add_argument("--method", choices=METHODS, default="gem", help="dense features by this rule (default: gem)")
    parser.add_argument("--image-size", type=int, default=0, help="side fed to the model, px (default: the model's)")
    parser.add_argument("--queries", type=int, default=8, help="texts looked for at a time (default: 8)")
    parser.add_argument("--batch", default="", help="batches, like 1,8,32 (default: these on a GPU, 1,4 on a CPU)")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"what to measure (default: {','.join(PARTS)})")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"time for each measurement, s (default: {SECONDS:g})"
    )
    parser.add_argument("--output", type=Path, help="write the numbers to this JSON file")
    parser.add_argument("--plot", action="store_true", help="draw them beside the file, as PNG")
    parser.add_argument("--compare", type=Path, metavar="OLD.json", help="show what changed against older results")
    parser.add_argument("--fail-above", metavar="SHARE", help="1 where anything got worse by more, like 10%%")


def run(args: argparse.Namespace) -> int:
    """Measure, print, write, compare; 1 where something got worse by more than ``--fail-above``."""
    # What can be wrong is read before anything that takes time is loaded.
    plan, bound = prepare(args), _share(args.fail_above)
    if args.plot and not args.output:
        raise GemError("--plot: expected --output too, for the picture lies beside that file")
    if bound is not None and not args.compare:
        raise GemError("--fail-above: expected --compare with older results, got none")

    from gem_ros.benchmarks import results

    before = results.read(args.compare) if args.compare else None
    if args.output:
        _check_writable(args.output)
    now = _measure(plan)
    _show(now)
    if args.output:
        results.write(now, args.output)
    if args.plot:
        from gem_ros.benchmarks.plot import write_plot

        write_plot(now, args.output.with_suffix(".png"))
    return _compare(before, now, bound) if before else 0


def prepare(args: argparse.Namespace) -> Plan:
    """What is to be measured, with everything checked that can be wrong."""
    from gem_ros.config import replace
    from gem_ros.models import default_config

    parts = tuple(filter(None, (each.strip() for each in args.parts.split(","))))
    if not parts or set(parts) - set(PARTS):
        raise GemError(f"--parts: expected some of {','.join(PARTS)}; got {args.parts!r}")
    if not 1 <= args.queries <= MOST_QUERIES:
        raise GemError(f"--queries: expected 1 to {MOST_QUERIES}, got {args.queries}")
    if not 0 < args.seconds <= 3600:
        raise GemError(f"--seconds: expected more than 0 and at most 3600, got {args.seconds:g}")
    values = {"device": args.device, "precision": args.precision, "image_size": args.image_size}
    values["method"] = args.method
    replace(default_config(args.model), values)
    return Plan(args.model, args.pretrained, values, args.queries, _batches(args.batch), parts, args.seconds)


def _batches(text: str) -> tuple[int, ...]:
    sizes = [each.strip() for each in text.split(",")] if text else []
    if not all(each.isdecimal() and 1 <= int(each) <= 1024 for each in sizes):
        raise GemError(f"--batch: expected numbers of images, like 1,8,32; got {text!r}")
    return tuple(map(int, sizes))


def _share(text: str | None) -> float | None:
    """``10%`` or ``0.1`` -> 0.1."""
    if text is None:
        return None
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < float("inf"):
        raise GemError(f"--fail-above: expected a share like 10% or 0.1, got {text!r}")
    return share


def _check_writable(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise GemError(f"--output {path}: expected a writable file, got: {error.strerror}") from error
    if not path.stat().st_size:
        path.unlink()  # nothing of an interrupted run stays behind


def _measure(plan: Plan) -> Results:
    from gem_ros.benchmarks.suite import perform
    from gem_ros.commands._session import interruptible, progress, use_own_network
    from gem_ros.core.download import told

    use_own_network()
    with interruptible(), progress() as say, told(say):
        return perform(plan, say)


def _show(now: Results) -> None:
    from rich.console import Console

    from gem_ros.benchmarks.tables import results_table

    Console().print(results_table(now))


def _compare(before: Results, now: Results, bound: float | None) -> int:
    from rich.console import Console
    from rich.markup import escape

    from gem_ros.benchmarks import results
    from gem_ros.benchmarks.tables import changes_table

    console, changes = Console(), results.compare(before, now)
    if not changes:
        raise GemError("--compare: expected results of the same parts, got none in common; measure the same --parts")
    console.print(changes_table(changes, bound))
    for line in results.reservations(before, now):
        console.print(f"[yellow]not the same[/]: {escape(line)}", soft_wrap=True)
    return MISSED if bound is not None and any(each.worse > bound for each in changes) else 0

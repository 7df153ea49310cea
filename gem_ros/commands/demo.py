"""``gem-ros demo``: the real node, a recording played into it over DDS, and what came of it against the truth."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gem_ros.commands._session import Asked, Session, interruptible, open_session, perform, progress, use_own_network
from gem_ros.errors import BagError, GemError

if TYPE_CHECKING:
    from gem_ros.replay.truth import Truth


@dataclass(frozen=True)
class Plan:
    """What to play, where the results go, and what is asked in each pass."""

    session: Session
    output: Path
    truth: Truth
    passes: tuple[Asked, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gem-ros demo``."""
    parser.add_argument("--bag", type=Path, help="recording with a truth.json (default: the sample bag)")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for pictures and numbers")
    parser.add_argument("--rate", type=float, default=1.0, help="playing speed (default: 1.0)")
    parser.add_argument("--query", default="red ball", help="what the first pass asks for (default: red ball)")
    parser.add_argument("--params-file", type=Path, help="the node's parameters (default: config/demo.yaml)")


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 when it went through. :class:`GemError` says in a line what went wrong."""
    plan = prepare(args)
    session = plan.session
    use_own_network()
    with interruptible(), progress() as say:
        passes = perform(session, plan.passes, say)
        say("drawing", 0.0)
        from gem_ros.replay.session_report import write_report  # with PyTorch: seconds
        from gem_ros.replay.session_tables import show

        report = write_report(
            session.bag,
            plan.truth,
            session.topics,
            passes,
            output=plan.output,
            progress=lambda share: say("drawing", share),
        )
    show(report)
    return 0


def prepare(args: argparse.Namespace) -> Plan:
    """Read everything that can be wrong before anything is started."""
    from gem_ros.replay import bag
    from gem_ros.replay.observations import find_topics
    from gem_ros.replay.truth import load_truth
    from gem_ros.resources import resource

    if not 0 < args.rate < float("inf"):
        raise BagError(f"--rate: expected a number above 0, got {args.rate:g}")
    path = args.bag or resource("data/tabletop")
    topics, truth = find_topics(bag.topics(path)), load_truth(path if path.is_dir() else path.parent)
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GemError(f"--output {args.output}: expected a writable folder, got: {error.strerror}") from error
    params = args.params_file or resource("config/demo.yaml")
    images = len(truth.frames)
    session = open_session(path, topics, params=params, logs=args.output, rate=args.rate, images=images)
    return Plan(session, args.output, truth, choose_passes(args.query, truth))


def choose_passes(query: str, truth: Truth) -> tuple[Asked, ...]:
    """One thing, everything at once, and what is not there."""
    if query not in truth.queries:
        known = ", ".join(truth.queries)
        raise BagError(f"--query: expected something this recording shows ({known}), got {query!r}")
    passes = (
        ("one thing", (query,)),
        ("several things at once", truth.queries),
        ("things that are not there", truth.absent_queries),
    )
    return tuple(each for each in passes if each[1])

"""``gem-ros play``: a recording into real ROS 2 topics."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gem-ros play``."""
    parser.add_argument("bag", type=Path, help="folder of a rosbag2 recording, or an .mcap or .db3 file")
    parser.add_argument("--rate", type=float, default=1.0, help="speed, 2.0 is twice as fast (default: 1.0)")
    parser.add_argument("--loop", action="store_true", help="start over at the end, until interrupted")
    parser.add_argument("--clock", action="store_true", help="publish /clock from the recording's time")
    parser.add_argument("--restamp", action="store_true", help="move header stamps to now")
    parser.add_argument(
        "--remap", action="append", default=[], metavar="RECORDED:=NEW", help="rename a topic; can be repeated"
    )
    parser.add_argument(
        "--wait", type=float, default=0.0, metavar="SECONDS", help="wait at most so long until someone listens"
    )
    parser.add_argument("--wait-topic", metavar="RECORDED", help="topic whose listener is waited for (default: any)")
    parser.add_argument(
        "--listeners", type=int, default=1, metavar="N", help="so many are waited for on one topic (default: 1)"
    )


def run(args: argparse.Namespace) -> int:
    """Play to the end; :class:`GemError` says in a line what cannot be played."""
    from rich.console import Console
    from rich.progress import Progress

    from gem_ros.replay.player import Playback, parse_remaps, play

    playback = Playback(
        path=args.bag,
        rate=args.rate,
        loop=args.loop,
        clock=args.clock,
        restamp=args.restamp,
        remaps=parse_remaps(args.remap),
        wait=args.wait,
        wait_topic=args.wait_topic,
        listeners=args.listeners,
    )
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task(f"playing {args.bag.name}", total=1.0)
        count = play(playback, lambda share: bars.update(task, completed=share))
    console.print(f"played {count} messages")
    return 0

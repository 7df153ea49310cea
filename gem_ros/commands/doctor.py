"""``gem-ros doctor``: what this machine lacks, what is wrong around a running node, and how to mend both."""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gem_ros.ros.graph_doctor import Finding

COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}
FIND = 6.0  # s until a node is found; one without our profile tells of itself every 3 s


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gem-ros doctor``."""
    parser.add_argument(
        "--graph",
        choices=("auto", "on", "off"),
        default="auto",
        help="look at a running node and its topics: where there is one, by all means, never (default: auto)",
    )
    parser.add_argument("--node", default="", metavar="NAME", help="full name, like /grounding (default: all)")
    parser.add_argument("--seconds", type=float, default=3.0, help="listen so long to the topics (default: 3)")


def run(args: argparse.Namespace) -> int:
    """Print what was found; 1 if there is a problem, else 0. :class:`GemError` where it cannot be looked."""
    from rich.console import Console
    from rich.markup import escape

    from gem_ros.commands import _machine
    from gem_ros.errors import GemError
    from gem_ros.resources import dds_environment

    if not 0 < args.seconds <= 600:
        raise GemError(f"--seconds: expected more than 0 and at most 600, got {args.seconds:g}")
    console, problems = Console(highlight=False), 0

    def show(each: Finding) -> None:
        nonlocal problems
        problems += each.state == "problem"
        fix = f"; [dim]{escape(each.fix)}[/]" if each.fix else ""
        line = f"[{COLOURS[each.state]}]{each.state:>7}[/]  [bold]{escape(each.name)}[/]: {escape(each.found)}{fix}"
        console.print(line, soft_wrap=True)

    for check in _machine.CHECKS:
        for each in check():
            show(each)
    os.environ.update(dds_environment())
    for each in _graph(args):
        show(each)
    console.print("all is well" if not problems else f"{problems} {'problem' if problems == 1 else 'problems'}")
    return 1 if problems else 0


def _graph(args: argparse.Namespace) -> Iterator[Finding]:
    """What is wrong around each grounding node that runs."""
    from gem_ros.errors import GemError
    from gem_ros.ros.graph_doctor import Finding, examine

    if args.graph == "off":
        return
    if importlib.util.find_spec("rclpy") is None:
        if args.graph == "on" or args.node:
            raise GemError("--graph: expected ROS 2's rclpy, which is not here; source your ROS 2")
        return
    from gem_ros.ros.graph_probe import probe

    wanted = f"/{args.node.lstrip('/')}" if args.node else ""
    with probe() as looking:
        nodes = looking.find(FIND, wanted)
        if not nodes:
            domain = os.environ.get("ROS_DOMAIN_ID") or "0"
            found = f"no {wanted or 'grounding node'} in domain {domain}"
            if args.graph == "on" or args.node:
                raise GemError(f"--graph: {found}; start it, or set ROS_DOMAIN_ID as it has it")
            yield Finding("node", "note", found, "its topics are checked while it runs, with the same ROS_DOMAIN_ID")
        for node in nodes:
            yield from examine(looking.look(node, args.seconds))

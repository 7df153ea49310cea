"""``gem-ros``: arguments, and nothing else.

Every command is a module of :mod:`gem_ros.commands` with ``add_arguments(parser)`` and
``run(args) -> int``; it imports what is heavy inside ``run``, so that ``--help`` needs no torch.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from gem_ros import __version__
from gem_ros.errors import GemError
from gem_ros.process import share_cores

DESCRIPTION = "Say what you are looking for; the robot gets where it is, in 3D."
COMMANDS = {
    "demo": "run the real node on the sample recording, and draw and measure what it finds",
    "ground": "find things in a picture of your own",
    "evaluate": "measure how right the answers to a recording are, and compare",
    "bench": "measure how fast this is here, beside the published algorithm",
    "benchmark": "measure methods and models on the open data sets, beside the published numbers",
    "calibrate": "fit a model's scores to images of your own with known content",
    "import-truth": "make a recording's truth.json of COCO annotations or a folder of masks",
    "play": "play a recording into ROS 2 topics",
    "models": "list the models that can be used",
    "doctor": "check this machine, and say how to fix what is missing",
}
# What a command may need that a plain install does not bring, and how to get it.
OPTIONAL = {
    "rclpy": "source your ROS 2 installation, or pip install 'gem_ros[ros]'",
    "mujoco": "pip install 'gem_ros[sim]'",
    "transformers": "pip install 'gem_ros[sam]'",
}
DONE, BAD_INPUT, INTERRUPTED = 0, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0: done; 1: a threshold was missed; 2: bad input or environment, said in one line."""
    args = _parse(argv)
    share_cores()
    try:
        status: int = args.run(args)
        sys.stdout.flush()
        return status
    except GemError as error:
        return _refuse(args.command, str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in OPTIONAL:
            raise
        return _refuse(args.command, f"expected {package}, which is not installed here; {OPTIONAL[package]}")
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Words may stand behind options, too: argparse leaves them over where there may be none (``nargs="*"``)."""
    parser = build_parser()
    args, rest = parser.parse_known_args(argv)
    words = getattr(args, args.words) if "words" in args else None
    if rest and (words is None or any(each.startswith("-") for each in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if words is not None:
        words.extend(rest)
    return args


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="gem-ros", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"gem_ros {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        module = import_module(f"gem_ros.commands.{name.replace('-', '_')}")
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser


def _refuse(command: str, reason: str) -> int:
    print(f"gem-ros {command}: {reason}", file=sys.stderr)
    return BAD_INPUT

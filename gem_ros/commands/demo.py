"""``gem-ros demo``: the real node, a recording played into it over DDS, and what came of it against the truth."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gem_ros.errors import BagError, GemError

if TYPE_CHECKING:
    from gem_ros.commands._live import Listener, Running
    from gem_ros.replay.observations import CameraTopics
    from gem_ros.replay.session import Pass
    from gem_ros.replay.truth import Truth

START_UP = 120.0  # s for the node to load and warm up its model
PATIENCE = 20.0  # s for processes to find each other and for a query to be taken over
DRAIN = 1.0  # s after the last image in which its answer may still come
REFUSALS = 10  # times that the node may say "not configured"; the first come before it has begun to load
Say = Callable[[str, float], None]


@dataclass(frozen=True)
class Plan:
    """What to play, where it goes, and what is asked in each pass."""

    bag: Path
    output: Path
    params: Path
    rate: float
    truth: Truth
    topics: CameraTopics
    types: dict[str, str]
    remaps: dict[str, str]
    world: str
    passes: tuple[tuple[str, tuple[str, ...]], ...]
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gem-ros demo``."""
    parser.add_argument("--bag", type=Path, help="recording with a truth.json (default: the sample bag)")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for pictures and numbers")
    parser.add_argument("--rate", type=float, default=1.0, help="playing speed (default: 1.0)")
    parser.add_argument("--query", default="red ball", help="what the first pass asks for (default: red ball)")
    parser.add_argument("--params-file", type=Path, help="the node's parameters (default: config/demo.yaml)")


def run(args: argparse.Namespace) -> int:
    """Run the demo; 0 when it went through. :class:`GemError` says in a line what went wrong."""
    from gem_ros.replay.report import write_report
    from gem_ros.replay.tables import show

    plan = prepare(args)
    use_own_network()
    with interruptible(), ExitStack() as stack:
        say = stack.enter_context(progress())
        passes = perform(plan, say)
        say("drawing", 0.0)
        report = write_report(
            plan.bag, plan.truth, plan.topics, passes, output=plan.output, progress=lambda share: say("drawing", share)
        )
    show(report)
    return 0


def prepare(args: argparse.Namespace) -> Plan:
    """Read everything that can be wrong before anything is started."""
    from gem_ros.replay import bag
    from gem_ros.replay.observations import find_topics, node_inputs
    from gem_ros.replay.truth import load_truth
    from gem_ros.resources import resource

    if not 0 < args.rate < float("inf"):
        raise BagError(f"--rate: expected a number above 0, got {args.rate:g}")
    path = args.bag or resource("data/tabletop")
    types, truth = bag.topics(path), load_truth(path if path.is_dir() else path.parent)
    topics = find_topics(types)
    first, last = bag.time_range(path)
    try:
        args.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GemError(f"--output {args.output}: expected a writable folder, got: {error.strerror}") from error
    return Plan(
        bag=path,
        output=args.output,
        params=args.params_file or resource("config/demo.yaml"),
        rate=args.rate,
        truth=truth,
        topics=topics,
        types=types,
        remaps=node_inputs(topics, types),
        world=world_frame(path, topics),
        passes=choose_passes(args.query, truth),
        seconds=(last - first) / 1e9 / args.rate,
    )


def world_frame(path: Path, topics: CameraTopics) -> str:
    """The frame that the recorded camera poses are in; empty without any."""
    from gem_ros.replay import bag

    poses = bag.messages(path, {topics.pose} if topics.pose else ())
    return next((str(record.decode().header.frame_id) for record in poses), "")


def choose_passes(query: str, truth: Truth) -> tuple[tuple[str, tuple[str, ...]], ...]:
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


def node_command(plan: Plan) -> list[str]:
    """The real node of this environment, set to the recording's kinds of pictures and its frame."""
    script = Path(sys.executable).with_name("grounding_node")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "gem_ros.ros.main"]
    command += ["--ros-args", "--params-file", str(plan.params)]
    for name, topic in (("image_transport", plan.topics.image), ("depth_transport", plan.topics.depth)):
        if topic:
            compressed = plan.types[topic].endswith("CompressedImage")
            command += ["-p", f"{name}:={'compressed' if compressed else 'raw'}"]
    if plan.world:
        command += ["-p", f"target_frame:={plan.world}", "-p", "pose_source:=topic"]
    return command


def player_command(plan: Plan) -> list[str]:
    """``gem-ros play`` into the node's own topics, once it listens."""
    command = [sys.executable, "-m", "gem_ros", "play", str(plan.bag), "--rate", f"{plan.rate:g}"]
    for recorded, played in plan.remaps.items():
        command += ["--remap", f"{recorded}:={played}"]
    # This process listens to the image too: only a topic of the node's alone says that the node is there.
    watched = plan.topics.camera_info or plan.topics.depth or plan.topics.image
    return [*command, "--wait", f"{PATIENCE:g}", "--wait-topic", watched]


def use_own_network() -> None:
    """Stay on this machine, and off a running robot's domain, unless the environment says otherwise."""
    from gem_ros.resources import dds_environment

    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.update(dds_environment())


def perform(plan: Plan, say: Say) -> list[Pass]:
    """Start the node, play every pass into it, and return what was heard; all that was started has ended then."""
    from gem_ros.commands._live import Listener, running, wait_until

    say("starting the node", 0.0)
    with ExitStack() as stack:
        node = stack.enter_context(running("grounding_node", node_command(plan), plan.output / "node.log"))
        image = plan.topics.image
        listener = stack.enter_context(Listener(plan.remaps[image], plan.types[image]))

        def ready() -> bool:
            if listener.refusals > REFUSALS:
                raise node.failure("expected it to load its model, but it stays unconfigured")
            return listener.is_active()

        wait_until(ready, START_UP, node, "it to become active")
        wait_until(listener.can_ask, PATIENCE, node, "it to listen to /query")
        return [play_pass(plan, each, node, listener, say) for each in plan.passes]


def play_pass(plan: Plan, asked: tuple[str, tuple[str, ...]], node: Running, listener: Listener, say: Say) -> Pass:
    """Ask, wait until that is what the node looks for, play the recording, and collect the answers."""
    from gem_ros.commands._live import running, wait_until

    title, queries = asked
    listener.ask(queries)
    wait_until(lambda: listener.is_asked(queries), PATIENCE, node, f"it to look for {'; '.join(queries)}")
    heard = listener.collect(title, queries)
    expected = len(plan.truth.frames)
    deadline = time.monotonic() + plan.seconds + 2 * PATIENCE
    with running("gem-ros play", player_command(plan), plan.output / "player.log") as player:
        while player.ended is None:
            node.check()
            if time.monotonic() > deadline:
                raise player.failure(f"expected the recording to end within {plan.seconds + 2 * PATIENCE:.0f} s")
            say(f"asking for {title}", len(heard.images) / max(expected, 1))
            time.sleep(0.1)
        if player.ended != 0:
            raise player.failure(f"expected it to play to the end, but it ended with status {player.ended}")
    time.sleep(DRAIN)
    node.check()
    if not heard.answered():
        raise node.failure(f"expected answers to {'; '.join(queries)}, got none for {len(heard.images)} images")
    return heard


@contextmanager
def progress() -> Iterator[Say]:
    """One line that says what is going on, with a bar and the time."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(TextColumn("{task.description:32}"), BarColumn(), TimeElapsedColumn()) as bars:
        tasks: dict[str, Any] = {}

        def say(what: str, share: float) -> None:
            if what not in tasks:
                tasks.update({what: bars.add_task(what, total=1.0)})
            for name, task in tasks.items():
                bars.update(task, completed=share if name == what else 1.0)

        yield say


@contextmanager
def interruptible() -> Iterator[None]:
    """A polite request to end is handled like Ctrl-C, so that nothing started stays behind."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

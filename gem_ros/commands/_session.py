"""The real node in its own process, a recording played into it over DDS, and what was heard: demo and evaluation."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from gem_ros.commands._live import Listener, Running
    from gem_ros.replay.observations import CameraTopics
    from gem_ros.replay.session import Pass

START_UP = 120.0  # s for the node to load and warm up its model
PATIENCE = 20.0  # s for processes to find each other and for a query to be taken over
DRAIN = 1.0  # s after the last image in which its answer may still come
REFUSALS = 10  # times that the node may say "not configured"; the first come before it has begun to load
Say = Callable[[str, float], None]
Asked = tuple[str, tuple[str, ...]]  # title of a pass, and its queries as a user types them


@dataclass(frozen=True)
class Session:
    """What is played into which node.

    ``params`` is the node's parameter file; ``logs`` the folder for what the processes say; ``remaps`` and ``types``
    of the recorded topics; ``world`` the frame of the recorded poses, empty without; ``seconds`` that playing takes
    at ``rate``; with ``clock`` the node lives in the recording's time; ``overlays`` are kept where they are wanted.
    """

    bag: Path
    params: Path
    logs: Path
    rate: float
    topics: CameraTopics
    types: dict[str, str]
    remaps: dict[str, str]
    world: str
    seconds: float
    images: int
    clock: bool = False
    overlays: bool = True


def open_session(
    bag: Path, topics: CameraTopics, *, params: Path, logs: Path, rate: float, images: int, **more: Any
) -> Session:
    """Read off the recording what a session needs to know; ``images`` are expected."""
    from gem_ros.replay import bag as bags
    from gem_ros.replay.observations import node_inputs, world_frame

    types = bags.topics(bag)
    first, last = bags.time_range(bag)
    return Session(
        bag=bag,
        params=params,
        logs=logs,
        rate=rate,
        topics=topics,
        types=types,
        remaps=node_inputs(topics, types),
        world=world_frame(bag, topics),
        seconds=(last - first) / 1e9 / rate,
        images=images,
        **more,
    )


def node_command(session: Session) -> list[str]:
    """The real node of this environment, set to the recording's kinds of pictures and its frame."""
    script = Path(sys.executable).with_name("grounding_node")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "gem_ros.ros.main"]
    command += ["--ros-args", "--params-file", str(session.params)]
    for name, topic in (("image_transport", session.topics.image), ("depth_transport", session.topics.depth)):
        if topic:
            compressed = session.types[topic].endswith("CompressedImage")
            command += ["-p", f"{name}:={'compressed' if compressed else 'raw'}"]
    if session.clock:
        command += ["-p", "use_sim_time:=true"]
    if session.world:
        command += ["-p", f"target_frame:={session.world}", "-p", "pose_source:=topic"]
    return command


def player_command(session: Session) -> list[str]:
    """``gem-ros play`` into the node's own topics, once all listen."""
    command = [sys.executable, "-m", "gem_ros", "play", str(session.bag), "--rate", f"{session.rate:g}"]
    if session.clock:
        command.append("--clock")
    for recorded, played in session.remaps.items():
        command += ["--remap", f"{recorded}:={played}"]
    # The node and this process: DDS may find the one seconds after the other.
    return [*command, "--wait", f"{PATIENCE:g}", "--wait-topic", session.topics.image, "--listeners", "2"]


def use_own_network() -> None:
    """Stay on this machine, and off a running robot's domain, unless the environment says otherwise."""
    from gem_ros.resources import dds_environment

    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.update(dds_environment())


def perform(session: Session, passes: Sequence[Asked], say: Say) -> list[Pass]:
    """Start the node, play every pass into it, and return what was heard; all that was started has ended then."""
    from gem_ros.commands._live import Listener, running, wait_until

    say("starting the node", 0.0)
    with ExitStack() as stack:
        node = stack.enter_context(running("grounding_node", node_command(session), session.logs / "node.log"))
        image = session.topics.image
        listener = stack.enter_context(Listener(session.remaps[image], session.types[image], session.overlays))

        def ready() -> bool:
            if listener.refusals > REFUSALS:
                raise node.failure("expected it to load its model, but it stays unconfigured")
            return listener.is_active()

        wait_until(ready, START_UP, node, "it to become active")
        wait_until(listener.can_ask, PATIENCE, node, "it to listen to /query")
        return [play_pass(session, each, node, listener, say) for each in passes]


def play_pass(session: Session, asked: Asked, node: Running, listener: Listener, say: Say) -> Pass:
    """Ask, wait until that is what the node looks for, play the recording, and collect the answers."""
    from gem_ros.commands._live import running, wait_until
    from gem_ros.commands._usage import Usage
    from gem_ros.queries import parse_query

    title, typed = asked
    queries = tuple(parse_query(each).text for each in typed)
    listener.ask(typed)
    wait_until(lambda: listener.is_asked(queries), PATIENCE, node, f"it to look for {'; '.join(queries)}")
    heard = listener.collect(title, queries)
    usage = Usage(node.pid)
    deadline = time.monotonic() + session.seconds + 2 * PATIENCE
    with running("gem-ros play", player_command(session), session.logs / "player.log") as player:
        while player.ended is None:
            node.check()
            if time.monotonic() > deadline:
                raise player.failure(f"expected the recording to end within {session.seconds + 2 * PATIENCE:.0f} s")
            say(f"asking for {title}", len(heard.images) / max(session.images, 1))
            usage.look()
            time.sleep(0.1)
        if player.ended != 0:
            raise player.failure(f"expected it to play to the end, but it ended with status {player.ended}")
    time.sleep(DRAIN)
    node.check()
    heard.usage = usage.values()
    if not heard.answered():
        raise node.failure(f"expected answers to {'; '.join(queries)}, got none for {len(heard.images)} images")
    return heard


@contextmanager
def progress() -> Iterator[Say]:
    """One line that says what is going on, with a bar and the time."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(TextColumn("{task.description:32}"), BarColumn(), TimeElapsedColumn()) as bars:
        yield _said_by(bars)


@contextmanager
def downloads() -> Iterator[None]:
    """A line with a bar on stderr for what is downloaded in here; where that is no terminal, the log has lines."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from gem_ros.core.download import told

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    bars = Progress(*columns, console=Console(stderr=True))
    if not bars.console.is_terminal:
        yield
        return
    show = _said_by(bars)

    def say(what: str, share: float) -> None:
        bars.start()  # once there is something to show
        show(what, share)

    try:
        with told(say):
            yield
    finally:
        bars.stop()


def _said_by(bars: Progress) -> Say:
    tasks: dict[str, Any] = {}

    def say(what: str, share: float) -> None:
        if what not in tasks:
            tasks.update({what: bars.add_task(what, total=1.0)})
        for name, task in tasks.items():
            bars.update(task, completed=share if name == what else 1.0)

    return say


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

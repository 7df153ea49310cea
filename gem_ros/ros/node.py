"""The lifecycle node ``grounding``: decode, hand over, publish. What it thinks is in the pipeline."""

from __future__ import annotations

import dataclasses
import time
import traceback
from collections import Counter
from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from gem_ros.config import Config
from gem_ros.core.download import Lines, told
from gem_ros.errors import GemError
from gem_ros.messages import cdr
from gem_ros.process import give_back_memory
from gem_ros.queries import format_query, parse_queries
from gem_ros.ros import parameters
from gem_ros.ros.bond import Bond
from gem_ros.ros.cameras import make_seats
from gem_ros.ros.continuity import watch_clock
from gem_ros.ros.diagnostics import POLL, Diagnostics, Situation
from gem_ros.ros.image_queries import ImageQueries
from gem_ros.ros.mailbox import Allowance
from gem_ros.ros.outputs import Announcement
from gem_ros.ros.qos import NO_SUBSCRIPTION_EVENTS
from gem_ros.ros.views import Asked
from gem_ros.ros.worker import Worker

if TYPE_CHECKING:
    from gem_ros.pipeline import Grounder

SUCCESS, FAILURE, ERROR = (getattr(TransitionCallbackReturn, name) for name in ("SUCCESS", "FAILURE", "ERROR"))
COMPLAINTS = 10  # about queries, at once; one per second after that
GIVE_BACK = 60.0  # s
WARM_UP = (480, 640)  # (H, W) of most cameras' images


def load_grounder(config: Config) -> Grounder:
    """The model that ``config`` names, warmed up. Imports torch: seconds, so never before the node is visible."""
    from gem_ros.core.runtime import share_threads
    from gem_ros.pipeline import Grounder

    share_threads(config.images_at_once)
    grounder = Grounder.load(config=config)
    grounder.warm_up(WARM_UP)
    return grounder


def _import_late() -> None:
    """What tracking and poses need: seconds, too, and not to be paid for by the first image."""
    import scipy.optimize
    import scipy.spatial.transform  # noqa: F401


def _told(transition: Callable[..., TransitionCallbackReturn]) -> Callable[..., TransitionCallbackReturn]:
    """rclpy answers an exception with error processing, and not a word; the word is said here."""

    @wraps(transition)
    def told(self: GroundingNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except Exception as error:
            self._failure = f"{transition.__name__}: {_first_line(error)}"
            trace = "" if isinstance(error, GemError) else f"\n{traceback.format_exc().rstrip()}"
            self.get_logger().error(f"error in {self._failure}{trace}")
            return ERROR

    return told


def _first_line(error: Exception) -> str:
    line = next(iter(str(error).splitlines()), "")
    return line if isinstance(error, GemError) and line else f"{type(error).__name__}: {line}".rstrip(": ")


class GroundingNode(LifecycleNode):  # type: ignore[misc]  # rclpy is untyped here
    """Subscribes, asks, publishes; ``load`` makes the grounder when the node is configured.

    Raises :class:`GemError` where a parameter that was set does not fit.
    """

    _worker: Worker | None = None  # there while active
    _jumps: Any = None  # the watch on ROS time

    def __init__(self, load: Callable[[Config], Grounder] = load_grounder, **options: Any) -> None:
        with parameters.refused():
            super().__init__("grounding", **options)
        config = parameters.declare(self)
        self._asked = Asked(0, parse_queries(config.queries, config.max_queries), config)
        self._load = load
        self._grounder: Grounder | None = None
        self._dropped, self._enabled, self._failure = Counter[str](), True, ""
        self._announcement, self._bond = Announcement(self), Bond(self)
        self._complaints = Allowance(COMPLAINTS)
        self._seats = make_seats(self, config)
        self._jumps = watch_clock(self, self._on_time_jump)
        self.add_pre_set_parameters_callback(parameters.coerced)
        self.add_on_set_parameters_callback(lambda changes: parameters.verdict(self._asked.config, changes))
        self.add_post_set_parameters_callback(self._on_parameters)
        self._query = self.create_subscription(String, "query", self._on_query, 10, raw=True, **NO_SUBSCRIPTION_EVENTS)
        self._image_queries = ImageQueries(self, lambda: self._worker, self._ask_for_example, self._complain_of_query)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/clear", self._on_clear)
        self._diagnostics = Diagnostics(self, self._seats, self._announcement.publisher, self._query.topic_name)
        # wall time: with use_sim_time and no clock these would never fire
        wall = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(POLL, lambda: self._diagnostics.tick(self._situation()), clock=wall)
        self.create_timer(GIVE_BACK, give_back_memory, clock=wall)
        self._start = self.create_timer(0.0, self._autostart, clock=wall) if config.autostart else None

    # Lifecycle

    @_told
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load and warm up the model; what is wrong with it is one line, and the node stays unconfigured."""
        config = self._asked.config
        self.get_logger().info(f"loading {config.model} on {config.device}")
        start = time.monotonic()
        try:
            _import_late()
            with told(Lines(self.get_logger().info)):
                self._grounder = self._load(config)
        except (GemError, OSError, RuntimeError) as error:  # RuntimeError: no memory on the GPU
            self._failure = _first_line(error)
            self.get_logger().error(f"not configured: {self._failure}")
            return FAILURE
        self._failure = ""
        where, seconds = self._grounder.device, time.monotonic() - start
        self.get_logger().info(f"{config.model} ready on {where} after {seconds:.1f} s")
        self._warn_of_unknown_words()
        return super().on_configure(state)

    @_told
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the topics and start thinking."""
        done = super().on_activate(state)  # publishers first: the worker announces the queries
        if done == SUCCESS and self._grounder is not None:
            cameras = [seat.camera for seat in self._seats]
            self._worker = Worker(self._grounder, self._asked, cameras, self._announcement.announce)
            self._worker.enabled = self._enabled
            for seat in self._seats:
                seat.health.open()
                seat.inputs.open(partial(self._worker.put, seat.name))
            if not self._asked.config.autostart:
                self._bond.form()
        return done

    @_told
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the topics and finish the image at hand."""
        self._stop()
        return super().on_deactivate(state)

    @_told
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let the model go."""
        self._grounder, self._failure = None, ""
        return super().on_cleanup(state)

    @_told
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop thinking, whatever the state, and let the model go."""
        self._stop()
        self._grounder, self._failure = None, ""
        return super().on_shutdown(state)

    @_told
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop thinking; the node is unconfigured afterwards."""
        self._stop()
        self._grounder = None
        return super().on_error(state)

    def destroy_node(self) -> None:
        """Stop thinking before the publishers go."""
        self._stop()
        if self._jumps:  # not where a parameter was refused
            self._jumps.unregister()
        super().destroy_node()
        self._state_machine = None  # it holds the node: until it goes, others see this one, 20 s beyond its process

    def _stop(self) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        try:
            self._bond.end()
            for seat in self._seats:
                seat.inputs.close()
        finally:
            worker.stop()
            self._dropped.update(worker.dropped)

    def _autostart(self) -> None:
        if self._start:
            self.destroy_timer(self._start)
            self._start = None
            if self.trigger_configure() == SUCCESS:
                self.trigger_activate()

    def _on_time_jump(self, line: str, now: int) -> None:
        if self._worker:
            for seat in self._seats:
                seat.health.problem(line)
                seat.inputs.rewind(now)
            self._worker.forget()

    # Queries and parameters: one state, whichever way it is changed

    def _on_query(self, message: bytes) -> None:
        try:
            queries = parse_queries(cdr.string(message, "query"), self._asked.config.max_queries)
        except GemError as error:
            self._complain_of_query(f"query refused: {error}")
            return
        self._set_queries([format_query(query) for query in queries])

    def _ask_for_example(self, text: str) -> None:
        before = self._asked
        self._set_queries([text])
        if self._asked.epoch == before.epoch and self._worker:  # the same name, but another picture
            self._asked = dataclasses.replace(before, epoch=before.epoch + 1)
            self._worker.ask(self._asked)

    def _complain_of_query(self, line: str) -> None:
        if self._complaints.admits(time.monotonic()):
            self._seats[0].health.problem(line)

    def _set_queries(self, texts: list[str]) -> None:
        (result,) = self.set_parameters([parameters.to_ros("queries", texts)])
        if not result.successful:  # written out they may be longer than they were typed
            self.get_logger().warning(f"query refused: {result.reason}")

    def _on_parameters(self, changes: list[Parameter]) -> None:
        before = self._asked
        config = parameters.changed(before.config, changes)
        if config == before.config:
            return
        queries = parse_queries(config.queries, config.max_queries)
        self._asked = Asked(before.epoch + (queries != before.queries), queries, config)
        if (queries, config.negatives) != (before.queries, before.config.negatives):
            self._warn_of_unknown_words()
        if self._worker:
            self._worker.ask(self._asked)

    def _warn_of_unknown_words(self) -> None:
        if self._grounder is None:
            return
        queries, config = self._asked.queries, self._asked.config
        texts = [("query", each.text) for each in queries] + [("negative, left out", each) for each in config.negatives]
        for kind, text in texts:
            unknown = self._grounder.unknown(text)
            if unknown and self._complaints.admits(time.monotonic()):
                what = f"{kind} {text!r}" if not self._grounder.knows(text) else f"synonyms of {text!r}, left out"
                words = ", ".join(map(repr, unknown))
                self.get_logger().warning(f"{what}: model {config.model!r} does not know {words}")

    # Services

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._enabled = bool(request.data)
        if self._worker:
            self._worker.enabled = self._enabled
        response.success, response.message = True, "running" if self._enabled else "paused"
        return response

    def _on_clear(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self._set_queries([])
        response.success, response.message = True, "no queries"
        return response

    # Diagnostics

    def _situation(self) -> Situation:
        worker, grounder = self._worker, self._grounder
        return Situation(
            asked=self._asked,
            device=str(grounder.device) if grounder else self._asked.config.device,
            active=worker is not None,
            enabled=self._enabled,
            failure=self._failure,
            status=grounder.status if grounder else {},
            dropped=self._dropped + Counter(worker.dropped if worker else {}),
            degraded=worker.degraded if worker else "",
        )

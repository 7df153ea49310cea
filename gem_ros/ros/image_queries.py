"""The topics ``image_query`` and ``pixel_query``: what is shown, or pointed at, becomes a query like words."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from geometry_msgs.msg import PointStamped
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image

from gem_ros.config import Config
from gem_ros.errors import GemError
from gem_ros.messages import cdr, decode
from gem_ros.queries import EXAMPLE, example_name
from gem_ros.ros.qos import NO_SUBSCRIPTION_EVENTS
from gem_ros.ros.remembered import Spot

if TYPE_CHECKING:
    from gem_ros.ros.looking import Looker
    from gem_ros.ros.worker import Worker

UNNAMED = "example"  # what a picture without a frame_id is called
PIXEL = "pixel"  # and what somebody pointed at


class ImageQueries:
    """Hands pictures to the node's ``worker()``; when it knows them, ``ask`` is called with the query that they became.

    ``ask`` and ``complain`` run in the executor's thread; ``complain`` gets a line about what cannot be used.
    """

    def __init__(
        self,
        node: LifecycleNode,
        worker: Callable[[], Worker | None],
        ask: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._worker, self._ask, self._complain = worker, ask, complain
        self._done: deque[Callable[[], None]] = deque()
        self._learning = node.create_guard_condition(self.finish)
        node.create_subscription(Image, "image_query", self.hear, 1, raw=True, **NO_SUBSCRIPTION_EVENTS)
        node.create_subscription(PointStamped, "pixel_query", self.hear_pixel, 1, raw=True, **NO_SUBSCRIPTION_EVENTS)

    def hear(self, message: bytes) -> None:
        """A picture came, serialized."""
        try:
            worker = self._active()
            picture = cdr.image(message)
            name, rgb = example_name(picture.header.frame_id or UNNAMED), decode.image(picture)
        except GemError as error:
            self._complain(f"image_query refused: {error}")
            return

        def lesson(looker: Looker, config: Config) -> None:
            looker.learn(name, rgb)
            self._tell(lambda: self._ask(f"{EXAMPLE}{name}"))

        worker.learn(lesson)

    def hear_pixel(self, message: bytes) -> None:
        """Somebody pointed at a pixel; serialized."""
        try:
            worker = self._active()
            header, pixel = cdr.point(message, "pixel_query")
            spot = Spot(header.frame_id, decode.stamp_ns(header.stamp), pixel)
        except GemError as error:
            self._complain(f"pixel_query refused: {error}")
            return

        def lesson(looker: Looker, config: Config) -> None:
            try:
                looker.learn_at(PIXEL, spot, worker.remembered, config)
            except GemError as error:
                line = f"pixel_query refused: {error}"
                self._tell(lambda: self._complain(line))
            else:
                self._tell(lambda: self._ask(f"{EXAMPLE}{PIXEL}"))

        worker.learn(lesson)

    def finish(self) -> None:
        """Ask for what was learnt meanwhile, and say what was not."""
        while self._done:
            self._done.popleft()()

    def _active(self) -> Worker:
        worker = self._worker()
        if worker is None:
            raise GemError("expected an active node, which this is not; activate it first")
        return worker

    def _tell(self, what: Callable[[], None]) -> None:
        """Called by the worker: what follows is the executor's."""
        self._done.append(what)
        self._learning.trigger()

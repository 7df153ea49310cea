"""The topic ``image_query``: a picture that becomes a query like words."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import Image

from gem_ros.errors import GemError
from gem_ros.messages import cdr, decode
from gem_ros.queries import EXAMPLE, example_name
from gem_ros.ros.qos import NO_SUBSCRIPTION_EVENTS

if TYPE_CHECKING:
    from gem_ros.ros.worker import Worker

UNNAMED = "example"  # what a picture without a frame_id is called


class ImageQueries:
    """Hands pictures to the node's ``worker()``; when it knows them, ``ask`` is called with the query that they became.

    ``ask`` runs in the executor's thread; ``complain`` gets a line about a picture that cannot be used.
    """

    def __init__(
        self,
        node: LifecycleNode,
        worker: Callable[[], Worker | None],
        ask: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._worker, self._ask, self._complain = worker, ask, complain
        self._learnt: deque[str] = deque()
        self._learning = node.create_guard_condition(self._ask_for_learnt)
        node.create_subscription(Image, "image_query", self.hear, 1, raw=True, **NO_SUBSCRIPTION_EVENTS)

    def hear(self, message: bytes) -> None:
        """A picture came, serialized."""
        try:
            worker = self._worker()
            if worker is None:
                raise GemError("expected an active node, which this is not; activate it first")
            picture = cdr.image(message)
            name, rgb = example_name(picture.header.frame_id or UNNAMED), decode.image(picture)
        except GemError as error:
            self._complain(f"image_query refused: {error}")
            return
        worker.learn(name, rgb, partial(self._tell_learnt, name))

    def _tell_learnt(self, name: str) -> None:
        """Called by the worker: what follows is the executor's."""
        self._learnt.append(name)
        self._learning.trigger()

    def _ask_for_learnt(self) -> None:
        while self._learnt:
            self._ask(f"{EXAMPLE}{self._learnt.popleft()}")

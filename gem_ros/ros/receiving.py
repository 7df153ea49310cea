"""A camera's messages, taken in a thread of their own.

rclpy's executor builds the wait set of the whole node anew, twice for every message, its services' included: with
colour, depth and camera_info that was a third of what the node itself costs. Here only these topics are waited for,
with the wait set that rclpy's executor and ``wait_for_message`` are made with.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from rclpy.qos import QoSProfile

from gem_ros.ros.qos import NO_SUBSCRIPTION_EVENTS

POLL_NS = 100_000_000  # between looks at whether it is to end
PATIENCE = 5.0  # s for a callback to end


class _NotForTheExecutor(CallbackGroup):  # type: ignore[misc]  # rclpy is untyped here
    """What is in this group is never ready, as far as an executor is told."""

    def can_execute(self, entity: Any) -> bool:
        return False

    def beginning_execution(self, entity: Any) -> bool:
        return False

    def ending_execution(self, entity: Any) -> None:
        pass


class Receiver:
    """Subscriptions of ``node`` whose callbacks one thread of this object calls, from :meth:`start` to :meth:`close`.

    What goes wrong with a message is told to ``complain``.
    """

    def __init__(self, node: Node, complain: Callable[[str], None]) -> None:
        self._node, self._complain, self._group = node, complain, _NotForTheExecutor()
        self._subscriptions: list[tuple[Any, Callable[[Any], None]]] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="receiving", daemon=True)

    def subscribe(self, kind: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile, *, raw: bool) -> None:
        """Before :meth:`start`: give ``callback`` each message of ``topic``, as bytes where ``raw``."""
        subscription = self._node.create_subscription(
            kind, topic, callback, qos, raw=raw, callback_group=self._group, **NO_SUBSCRIPTION_EVENTS
        )
        self._subscriptions.append((subscription, callback))

    def start(self) -> None:
        """Begin to take messages."""
        self._thread.start()

    def close(self) -> None:
        """Finish the message at hand and unsubscribe."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        for subscription, _ in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()

    def _run(self) -> None:
        context = self._node.context
        with context.handle:  # else it could be taken away meanwhile
            wait_set = rclpy_implementation.WaitSet(len(self._subscriptions), 0, 0, 0, 0, 0, context.handle)
            while context.ok() and not self._closed.is_set():
                wait_set.clear_entities()
                for subscription, _ in self._subscriptions:
                    wait_set.add_subscription(subscription.handle)
                wait_set.wait(POLL_NS)
                ready = wait_set.get_ready_entities("subscription")
                for subscription, callback in self._subscriptions:
                    if subscription.handle.pointer in ready and not self._closed.is_set():
                        self._take(subscription, callback)

    def _take(self, subscription: Any, callback: Callable[[Any], None]) -> None:
        try:
            taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
            if taken is not None:
                callback(taken[0])
        except Exception as error:  # a thread that dies takes the robot's eyes with it
            self._complain(f"{subscription.topic_name}: {type(error).__name__}: {error}")

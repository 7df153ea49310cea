"""The bond by which Nav2's lifecycle manager notices when this process dies; only where bondpy is installed."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

TOPIC = "bond"
PERIOD, TIMEOUT = 0.1, 4.0  # s: heartbeats of Nav2's own nodes, and how long it waits for one


class Bond:
    """Heartbeats under the node's name while it is active. Without bondpy there are none: set bond_timeout to 0."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._bond: Any = None

    def form(self) -> None:
        """Start the heartbeats."""
        try:
            from bondpy.bondpy import Bond as Heartbeats
        except ImportError:  # part of few distributions
            return
        self._bond = Heartbeats(TOPIC, self._node.get_name(), self._node)
        self._bond.heartbeat_period, self._bond.heartbeat_timeout = PERIOD, TIMEOUT
        self._bond.start()

    def end(self) -> None:
        """Say that they end, and stop."""
        bond, self._bond = self._bond, None
        if bond is None:
            return
        bond.shutdown()
        # bondpy destroys them behind the node's back, whose lists would grow with every activation
        self._node.destroy_subscription(bond.sub)
        self._node.destroy_publisher(bond.pub)

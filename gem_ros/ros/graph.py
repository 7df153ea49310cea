"""Who else is in the graph that should not be."""

from __future__ import annotations

from rclpy.node import Node


def namesakes(node: Node) -> list[str]:
    """A line where other nodes have this one's name, none where it is the only one.

    What they are asked by service either may answer, and what they publish is mixed.
    """
    own = node.get_name(), node.get_namespace()
    others = node.get_node_names_and_namespaces().count(own) - 1
    if others < 1:
        return []
    name = node.get_fully_qualified_name()
    expected = f"name: expected one node {name} in the graph, got {others + 1}"
    return [
        f"{expected}; give each its own (-r __ns:=/robot1), or wait 20 s if one was killed: DDS has not noticed yet"
    ]

"""The SROS2 policy allows what the node does in the graph, and nothing else."""

import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from rclpy.lifecycle import TransitionCallbackReturn  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402

from gem_ros.benchmarks.stub import StubGrounder  # noqa: E402
from gem_ros.ros.node import GroundingNode  # noqa: E402
from gem_ros.ros.outputs import TOPICS  # noqa: E402

POLICY = Path(__file__).parents[2] / "config" / "sros2_policy.xml"
NODE = "/grounding"
# With pose_source tf (tf2 is not among the wheels) and with use_sim_time.
ON_DEMAND = {"/tf", "/tf_static", "/clock"}
# ROS 2 Humble has it not.
SINCE_JAZZY = {f"{NODE}/get_type_description"}
SETTINGS = ({}, {"image_transport": "compressed", "depth_transport": "compressed"}, {"target_frame": "map"})


def allowed(kind, attribute):
    """Names that the policy allows, as SROS2's stylesheet expands them in the root namespace."""
    (profile,) = ET.parse(POLICY).getroot().iter("profile")
    assert (profile.get("ns"), f"/{profile.get('node')}") == ("/", NODE)
    names = [each.text for rules in profile.findall(f"{kind}s[@{attribute}='ALLOW']") for each in rules.findall(kind)]
    assert len(set(names)) == len(names)
    return {each if each.startswith("/") else NODE + each[1:] if each.startswith("~") else f"/{each}" for each in names}


@pytest.fixture(scope="module")
def offered():
    """What the active node publishes, subscribes and serves in the graph, with all settings that change topics."""
    context, found = rclpy.Context(), {"publish": set(), "subscribe": set(), "reply": set()}
    rclpy.init(context=context, args=[])
    try:
        for settings in SETTINGS:
            given = {"autostart": False, "pose_source": "topic", **settings}
            overrides = [Parameter(name, value=value) for name, value in given.items()]
            node = GroundingNode(lambda config: StubGrounder(0.0), context=context, parameter_overrides=overrides)
            try:
                assert node.trigger_configure() == node.trigger_activate() == TransitionCallbackReturn.SUCCESS
                own = "grounding", "/"
                wanted = {each.topic_name for each in (*node.subscriptions, *node.publishers)}
                deadline = time.monotonic() + 10  # s for the graph to know what was just made
                by_node = node.get_publisher_names_and_types_by_node, node.get_subscriber_names_and_types_by_node
                while not wanted <= {topic for asked in by_node for topic, _ in asked(*own)}:
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                for name, asked in (
                    ("publish", node.get_publisher_names_and_types_by_node),
                    ("subscribe", node.get_subscriber_names_and_types_by_node),
                    ("reply", node.get_service_names_and_types_by_node),
                ):
                    found[name] |= {topic for topic, _ in asked(*own)}
            finally:
                node.destroy_node()
    finally:
        context.try_shutdown()
    return found


def test_it_allows_every_topic_that_is_published_and_no_other(offered):
    not_installed = {f"{NODE}/{name}" for name, kind in TOPICS.items() if kind.startswith("vision_msgs")}
    assert allowed("topic", "publish") - not_installed == offered["publish"] - not_installed
    assert not_installed <= allowed("topic", "publish")


def test_it_allows_every_topic_that_is_subscribed_and_no_other(offered):
    assert allowed("topic", "subscribe") - ON_DEMAND == offered["subscribe"]
    assert allowed("topic", "subscribe") >= ON_DEMAND


def test_it_allows_every_service_and_no_other(offered):
    assert allowed("service", "reply") - SINCE_JAZZY == offered["reply"] - SINCE_JAZZY


def test_it_allows_nothing_else():
    """No request to others, no action, nothing to everybody; denied is what is not allowed."""
    root = ET.parse(POLICY).getroot()
    rules = [each for profile in root.iter("profile") for each in profile]
    assert [(each.tag, dict(each.attrib)) for each in rules] == [
        ("topics", {"subscribe": "ALLOW"}),
        ("topics", {"publish": "ALLOW"}),
        ("services", {"reply": "ALLOW"}),
    ]
    assert not any("*" in (each.text or "") for each in root.iter())

"""docs/navigation.md: its trees name what Nav2 has, its Python does what it says."""

import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from gem_ros.config import Config, parameters
from gem_ros.data import Grounding, Query, Target, Track
from gem_ros.geometry.goal import CLEARANCE
from gem_ros.messages.encode import Encoder
from gem_ros.ros.goals import TURNED

PAGE = (Path(__file__).parents[2] / "docs" / "navigation.md").read_text(encoding="utf-8")
# Ports that a node has in Nav2's branches humble and jazzy both (nav2_behavior_tree), or in BehaviorTree.CPP 3.8 and 4.
NODES = {
    "PipelineSequence": set(),
    "RateController": {"hz"},
    "GoalUpdater": {"input_goal", "output_goal"},
    "ComputePathToPose": {"goal", "start", "path", "planner_id", "server_name", "server_timeout"},
    "FollowPath": {"path", "controller_id", "goal_checker_id", "server_name", "server_timeout"},
    "KeepRunningUntilFailure": set(),
}
DECORATORS = {"RateController", "GoalUpdater", "KeepRunningUntilFailure"}


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", blocks("xml"))
def test_trees_name_nodes_and_ports_that_nav2_has(text):
    root = ElementTree.fromstring(text)
    trees = {tree.get("ID"): tree for tree in root}
    assert root.tag == "root" and root.get("BTCPP_format") == "4"  # BehaviorTree.CPP 3 does not read it, 4 must
    main = trees[root.get("main_tree_to_execute")]
    assert main.tag == "BehaviorTree" and len(main) == 1
    for node in main.iter():
        if node is not main:
            assert set(node.attrib) - {"name"} <= NODES[node.tag]
            assert len(node) == 1 or node.tag not in DECORATORS


def test_a_tree_plans_to_the_updated_goal_and_drives_the_planned_path():
    (text,) = blocks("xml")
    nodes = {node.tag: node for node in ElementTree.fromstring(text).iter()}
    assert nodes["GoalUpdater"].get("input_goal") == "{goal}"  # where Nav2 puts the action's goal
    assert nodes["GoalUpdater"].get("output_goal") == nodes["ComputePathToPose"].get("goal")
    assert nodes["ComputePathToPose"].get("path") == nodes["FollowPath"].get("path")
    assert nodes["ComputePathToPose"] in list(nodes["GoalUpdater"])


def test_python_is_python():
    for text in blocks("python"):
        compile(text, "docs/navigation.md", "exec")


def test_the_reader_reads_what_the_node_writes():
    (text,) = [each for each in blocks("python") if "def things" in each]
    space = {}
    exec(text, space)
    track = Track(7, "ball", 0, 0, 0, 1, 0.9, (1.0, 2.0))
    ball = Target("ball", 0, True, 0.5, 0.5, "ok", (1.0, 2.0), None, None, np.array([1.0, 2.0, 3.0]), track=track)
    seen = Grounding((Query("ball"),), (ball, ball), (8, 12), np.zeros((1, 1, 1), np.float32), lambda maps: maps)
    encoder = Encoder(lambda name: SimpleNamespace)
    header = encoder.header(0, "map")
    first, _ = space["things"](encoder.targets(header, seen, 3))
    assert first.tolist() == (1.0, 2.0, 3.0, 1.0, 2.0, 0.5, 0, 3, 7)
    assert len(space["things"](encoder.targets(header, Grounding((), (), (8, 12), seen.patch_relevancy, None), 3))) == 0


def test_numbers_are_those_of_the_code():
    assert f"{np.degrees(TURNED):.0f}°" in PAGE
    assert f"{CLEARANCE * 100:.0f} cm" in PAGE
    given = dict(re.findall(r"-p (\w+):=(\S+)", PAGE))
    known = {each.name for each in parameters()}
    assert set(given) <= known
    assert (float(given["standoff"]), float(given["goal_hysteresis"])) == (Config().standoff, Config().goal_hysteresis)

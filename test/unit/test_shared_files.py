"""What users start with: launch arguments, parameter files, views and the DDS profile say what the code says."""

import ast
import json
import os
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import yaml

from gem_ros import process, resources
from gem_ros.config import parameters, replace
from gem_ros.errors import ConfigError
from gem_ros.models import default_config

ROOT = Path(__file__).parents[2]
CONTRACT = [
    "image",
    "camera_info",
    "depth",
    "query",
    "params_file",
    "model",
    "pretrained",
    "device",
    "namespace",
    "use_sim_time",
    "rviz",
    "log_level",
]


def literal(path, name):
    """A constant of a launch file that cannot be imported without ROS 2: its keys, or its values."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            elements = node.value.keys if isinstance(node.value, ast.Dict) else node.value.elts
            return [ast.literal_eval(each) for each in elements]
    raise AssertionError(f"{name} not in {path}")


def test_launch_files_have_the_contracts_arguments():
    arguments = literal(ROOT / "launch/grounding.launch.py", "ARGUMENTS")
    assert set(CONTRACT) <= set(arguments)
    # a recording's topics are given one by one
    assert set(literal(ROOT / "launch/replay.launch.py", "GROUNDING")) == set(arguments) - {"cameras"}
    assert "bag" in literal(ROOT / "launch/replay.launch.py", "ARGUMENTS")


def test_launch_overrides_are_parameters():
    assert set(literal(ROOT / "launch/grounding.launch.py", "OVERRIDES")) <= {each.name for each in parameters()}


def test_launch_connects_the_topics_of_each_camera(monkeypatch):
    for name in ("launch", "launch.actions", "launch.conditions", "launch.substitutions", "launch_ros.actions"):
        monkeypatch.setitem(sys.modules, name, MagicMock())
    space = {"__name__": "grounding.launch"}
    exec(compile((ROOT / "launch/grounding.launch.py").read_text(), "grounding.launch.py", "exec"), space)
    values = {name: default for name, (default, _) in space["ARGUMENTS"].items()}
    assert space["connect"](values, []) == space["connect"](values, ["front"]) == []
    values |= {"image": "color/image_raw", "query": "/ask", "pixel_query": "/click"}
    assert space["connect"](values, []) == [
        ("query", "/ask"),
        ("pixel_query", "/click"),
        ("image", "color/image_raw"),
    ]
    assert space["connect"](values, ["front", "left"]) == [
        ("query", "/ask"),
        ("pixel_query", "/click"),
        ("front/image", "front/color/image_raw"),
        ("left/image", "left/color/image_raw"),
    ]


@pytest.mark.parametrize("name", ["grounding.launch.py", "replay.launch.py"])
def test_launch_files_build(name):
    pytest.importorskip("launch_ros", reason="needs a ROS 2 installation; wheels have no launch")
    space = {"__name__": name}
    exec(compile((ROOT / "launch" / name).read_text(), name, "exec"), space)
    assert space["generate_launch_description"]().entities


@pytest.mark.parametrize("name", ["grounding.yaml", "demo.yaml"])
def test_parameter_files_hold_parameters_that_fit(name, bundled):
    values = yaml.safe_load((ROOT / "config" / name).read_text())["/**"]["ros__parameters"]
    assert replace(default_config(values["model"]), values)


def test_views_show_topics_that_there_are():
    encoded = (ROOT / "gem_ros/ros/outputs.py").read_text()
    rviz = yaml.safe_load((ROOT / "config/grounding.rviz").read_text())
    shown = [each["Topic"]["Value"] for each in rviz["Visualization Manager"]["Displays"] if "Topic" in each]
    panels = json.loads((ROOT / "config/foxglove.json").read_text())["configById"]
    shown += panels["3D!targets"]["topics"]
    shown += [panels["Image!overlay"]["imageMode"]["imageTopic"], panels["RawMessages!result"]["topicPath"]]
    assert len(shown) >= 7
    for topic in shown:
        assert f'"{topic.removeprefix("/grounding/")}"' in encoded, topic


def test_the_profile_has_room_for_images_and_still_speaks_to_other_machines():
    space = {"dds": "http://www.eprosima.com"}
    root = ET.parse(ROOT / "config/fastdds.xml").getroot()
    kinds = {
        each.findtext("dds:transport_id", namespaces=space): each.findtext("dds:type", namespaces=space)
        for each in root.iterfind(".//dds:transport_descriptor", space)
    }
    used = [each.text for each in root.iterfind(".//dds:userTransports/dds:transport_id", space)]
    assert sorted(kinds[name] for name in used) == ["SHM", "UDPv4"]
    assert int(root.findtext(".//dds:segment_size", namespaces=space)) == 20 * 2**20
    assert int(root.findtext(".//dds:leaseAnnouncement/dds:sec", namespaces=space)) == 1


def test_resources_are_found_in_the_checkout_and_missing_ones_named():
    assert resources.resource("config/fastdds.xml") == ROOT / "config/fastdds.xml"
    with pytest.raises(ConfigError, match="config/nothing"):
        resources.resource("config/nothing")


def test_resources_are_found_where_pip_and_colcon_put_them(tmp_path, monkeypatch):
    installed = tmp_path / "lib/python3.12/site-packages/gem_ros/resources.py"
    monkeypatch.setattr(resources, "__file__", str(installed))
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    (tmp_path / "share/gem_ros/launch").mkdir(parents=True)
    assert resources.resource("launch") == tmp_path / "share/gem_ros/launch"
    (tmp_path / "install/share/gem_ros/config").mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path / 'install'}")
    assert resources.resource("config") == tmp_path / "install/share/gem_ros/config"


@pytest.mark.parametrize(("distribution", "variable"), [("jazzy", "FASTRTPS"), ("kilted", "FASTDDS"), ("", "FASTDDS")])
def test_the_profile_is_set_by_the_name_that_is_read_unless_the_user_chose(monkeypatch, distribution, variable):
    for name in resources.PROFILE_VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ROS_DISTRO", distribution)
    assert resources.dds_environment() == {f"{variable}_DEFAULT_PROFILES_FILE": str(ROOT / "config/fastdds.xml")}
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/mine.xml")
    assert resources.dds_environment() == {}


def test_threads_sleep_while_they_wait_unless_the_user_chose(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    process.share_cores()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    process.share_cores()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"

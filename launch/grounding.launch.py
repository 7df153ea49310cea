"""The grounding node on a camera's topics: ros2 launch gem_ros grounding.launch.py image:=/camera/color/image_raw"""

from typing import Any

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from gem_ros.resources import dds_environment, resource
from launch import LaunchContext, LaunchDescription

# name: (default, help)
ARGUMENTS = {
    "image": ("image", "colour image topic; with image_transport:=compressed its base name, without /compressed"),
    "camera_info": ("camera_info", "the colour camera's sensor_msgs/CameraInfo"),
    "depth": ("depth", "depth image topic, registered to the colour image"),
    "camera_pose": ("camera_pose", "pose of the camera's optical frame, for pose_source:=topic"),
    "cameras": ("", "names like front,left: the topics above and the outputs are below each of them"),
    "query": ("query", "std_msgs/String: what to look for, several separated by ';'"),
    "image_query": ("image_query", "sensor_msgs/Image: a crop of what to look for"),
    "pixel_query": (
        "pixel_query",
        "geometry_msgs/PointStamped: a pixel of what to look for, in a recent image",
    ),
    "params_file": (str(resource("config/grounding.yaml")), "parameters of the node"),
    "model": ("", "open_clip architecture, or bundled; empty: as the params_file says"),
    "pretrained": ("", "open_clip tag or path of a weights file; empty: as the params_file says"),
    "device": ("", "auto, cpu, cuda or cuda:N; empty: as the params_file says"),
    "target_frame": ("", "frame of 3D results, like map; empty: as the params_file says"),
    "pose_source": ("", "tf, topic or none; empty: as the params_file says"),
    "image_transport": ("", "raw or compressed; empty: as the params_file says"),
    "depth_transport": ("", "raw or compressed; empty: as the params_file says"),
    "namespace": ("", "of the node and its topics"),
    "use_sim_time": ("false", "take time from /clock"),
    "rviz": ("false", "show what is found in RViz"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
}
QUERIES = ("query", "image_query", "pixel_query")
TOPICS = ("image", "camera_info", "depth", "camera_pose")
SHOWN = ("grounding/overlay", "grounding/markers", "grounding/target")
OVERRIDES = ("model", "pretrained", "device", "target_frame", "pose_source", "image_transport", "depth_transport")


def connect(values: dict[str, str], cameras: list[str]) -> list[tuple[str, str]]:
    """Remappings of the node's topics to those of the arguments, for each camera below its name."""
    pairs = [(topic, values[topic]) for topic in QUERIES]
    for topic in TOPICS:
        pairs += [(f"{each}/{topic}", f"{each}/{values[topic]}") for each in cameras] or [(topic, values[topic])]
    return [(here, there) for here, there in pairs if here != there]


def start(context: LaunchContext) -> list[Node]:
    """The node, with what the arguments say; an empty one says nothing."""
    values = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    overrides: dict[str, Any] = {name: values[name] for name in OVERRIDES if values[name]}
    overrides["use_sim_time"] = values["use_sim_time"].lower() in ("true", "1")
    cameras = [name.strip() for name in values["cameras"].split(",") if name.strip()]
    if cameras:
        overrides["cameras"] = cameras
    node = Node(
        package="gem_ros",
        executable="grounding_node",
        name="grounding",
        namespace=values["namespace"],
        parameters=[values["params_file"], overrides],
        remappings=connect(values, cameras),
        arguments=["--ros-args", "--log-level", values["log_level"]],
        output="screen",
    )
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        remappings=[(f"/{topic}", topic) for topic in SHOWN],  # into the namespace
        arguments=["-d", str(resource("config/grounding.rviz"))],
        parameters=[{"use_sim_time": overrides["use_sim_time"]}],
        condition=IfCondition(LaunchConfiguration("rviz")),
    )
    return [node, rviz]


def generate_launch_description() -> LaunchDescription:
    """Arguments, the shared-memory profile (unless the user has chosen one), the node."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    profile = [SetEnvironmentVariable(name, value) for name, value in dds_environment().items()]
    return LaunchDescription([*declared, *profile, OpaqueFunction(function=start)])

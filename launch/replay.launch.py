"""A recording played into the grounding node, with views: ros2 launch gem_ros replay.launch.py bag:=my_bag

Without arguments it plays the sample recording. The player waits until the node has loaded its model, which
`ros2 bag play` cannot; to play with that instead: player:=false.
"""

from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.substitutions import ExecutableInPackage

from gem_ros.resources import dds_environment, resource
from launch import LaunchContext, LaunchDescription

# name: (default, help); the topics are those of the sample recording
ARGUMENTS = {
    "bag": (str(resource("data/tabletop")), "folder of a rosbag2 recording"),
    "player": ("true", "false: only the node and the views, the recording comes from elsewhere"),
    "rate": ("1.0", "speed, 2.0 is twice as fast"),
    "loop": ("false", "start over at the end"),
}
GROUNDING = {
    "image": ("/camera/color/image_raw", "recorded colour topic, without /compressed"),
    "image_transport": ("compressed", "raw or compressed"),
    "camera_info": ("/camera/color/camera_info", "recorded camera_info topic"),
    "depth": ("/camera/depth/image_raw", "recorded depth topic, without /compressedDepth"),
    "depth_transport": ("raw", "raw or compressed"),
    "camera_pose": ("/camera/pose", "recorded pose of the camera, for pose_source:=topic"),
    "target_frame": ("", "frame of 3D results; of the sample recording: map, with pose_source:=topic"),
    "pose_source": ("", "empty: as the params_file says"),
    "query": ("query", "topic to ask on"),
    "image_query": ("image_query", "topic to show a crop on"),
    "pixel_query": ("pixel_query", "topic to point at a pixel on"),
    "params_file": (str(resource("config/demo.yaml")), "parameters of the node"),
    "model": ("", "empty: as the params_file says"),
    "pretrained": ("", "empty: as the params_file says"),
    "device": ("", "empty: as the params_file says"),
    "namespace": ("", "of the node and its topics"),
    "use_sim_time": ("true", "take time from the recording's clock"),
    "rviz": ("true", "show what is found in RViz"),
    "log_level": ("info", "debug, info, warn, error or fatal"),
}
PATIENCE = "600"  # s that the player waits for the node: a model may be downloaded first


def play(context: LaunchContext) -> list[ExecuteProcess]:
    """The player, which waits until the node listens to the image topic."""
    values = {name: LaunchConfiguration(name).perform(context) for name in (*ARGUMENTS, "image", "image_transport")}
    if not is_true(values["player"]):
        return []
    image = values["image"] + ("/compressed" if values["image_transport"] == "compressed" else "")
    options = ["--clock", "--rate", values["rate"], "--wait", PATIENCE, "--wait-topic", image]
    options += ["--loop"] if is_true(values["loop"]) else []
    player = ExecutableInPackage("gem-ros", "gem_ros")
    return [ExecuteProcess(cmd=[player, "play", values["bag"], *options], output="screen")]


def is_true(text: str) -> bool:
    """As launch's own conditions read it."""
    return text.lower() in ("true", "1")


def generate_launch_description() -> LaunchDescription:
    """The node by its own launch file, and the player."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in (ARGUMENTS | GROUNDING).items()
    ]
    profile = [SetEnvironmentVariable(name, value) for name, value in dds_environment().items()]
    grounding = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(resource("launch/grounding.launch.py"))),
        launch_arguments={name: LaunchConfiguration(name) for name in GROUNDING}.items(),
    )
    return LaunchDescription([*declared, *profile, grounding, OpaqueFunction(function=play)])

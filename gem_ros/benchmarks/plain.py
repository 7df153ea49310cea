"""The least that a node of rclpy can do with a camera: its messages in, as bytes, and three answers out, ever the same.

``python -m gem_ros.benchmarks.plain``; what a machine's ROS costs anyway, to hold ours against.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from typing import Any

from gem_ros.messages import cdr, decode


def main(args: Sequence[str] | None = None) -> int:
    """Answer every image until interrupted."""
    import rclpy
    from geometry_msgs.msg import PointStamped
    from rclpy.executors import ExternalShutdownException
    from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, Image
    from std_msgs.msg import String

    rclpy.init(args=args)
    node = rclpy.create_node("grounding")
    publish = {
        name: node.create_publisher(kind, f"~/{name}", 1).publish
        for name, kind in (("target", PointStamped), ("result", String), ("heatmap", Image))
    }
    maps: dict[tuple[int, int], memoryview] = {}

    def answer(data: bytes) -> None:
        image = cdr.image(data)
        stamp, size = image.header.stamp, (image.height, image.width)
        target: Any = PointStamped()
        target.header.frame_id = image.header.frame_id
        target.header.stamp.sec, target.header.stamp.nanosec = stamp.sec, stamp.nanosec
        stamp_ns = decode.stamp_ns(stamp)
        publish["target"](target)
        publish["result"](String(data=json.dumps({"stamp": stamp_ns, "targets": [{}]})))
        relevancy = maps.setdefault(size, memoryview(bytes(4 * image.height * image.width)))
        publish["heatmap"](cdr.serialize_image(stamp_ns, image.header.frame_id, size, "32FC1", relevancy))

    for kind, topic in ((Image, "depth"), (CameraInfo, "camera_info")):
        node.create_subscription(kind, topic, lambda data: None, qos_profile_sensor_data, raw=True)
    node.create_subscription(Image, "image", answer, qos_profile_sensor_data, raw=True)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    node.create_publisher(String, "~/queries", latched).publish(String())
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)
    return 0


if __name__ == "__main__":
    sys.exit(main())

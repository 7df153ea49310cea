"""Stands for the grounding node where a test is about the demo: the contract's topics, the right answers.

``python stub_node.py MODE``: ``right``; ``dies`` before it is active; ``dies-later``, at the fifth image;
``silent`` never answers.
"""

import contextlib
import json
import sys

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.qos import DurabilityPolicy, QoSProfile
from recorded import START, STEP, answer
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import String


def main(mode):
    if mode == "dies":
        sys.exit("the model is not there")
    rclpy.init()
    node = rclpy.create_node("grounding")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    results = node.create_publisher(String, "~/result", 10)
    overlays = node.create_publisher(CompressedImage, "~/overlay/compressed", 10)
    listed = node.create_publisher(String, "~/queries", latched)
    asked = []
    images = []

    def on_query(message):
        asked[:] = [each.strip() for each in message.data.split(";")]
        listed.publish(
            String(data=json.dumps({"epoch": 1, "queries": [{"query": each, "threshold": 0.5} for each in asked]}))
        )

    def on_image(message):
        images.append(message)
        if mode == "dies-later" and len(images) == 5:
            sys.exit("out of memory")
        if mode != "silent":
            stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
            results.publish(String(data=json.dumps(answer((stamp - START) // STEP, asked))))
            overlays.publish(message)

    def on_get_state(request, response):
        response.current_state.id = State.PRIMARY_STATE_ACTIVE
        return response

    node.create_subscription(String, "query", on_query, 10)
    node.create_subscription(CompressedImage, "image/compressed", on_image, 10)
    node.create_subscription(CompressedImage, "depth/compressedDepth", lambda message: None, 10)
    node.create_subscription(CameraInfo, "camera_info", lambda message: None, 10)
    node.create_service(GetState, "~/get_state", on_get_state)
    with contextlib.suppress(KeyboardInterrupt):
        rclpy.spin(node)


main(sys.argv[1])

"""A robot for tests of the node: a camera, a person who asks, ears, and the node with a stub for the model."""

import array
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Point, PointStamped, PoseStamped, Quaternion
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header, String

STUB = Path(__file__).with_name("stub_grounding_node.py")
FRAME = "camera_optical"
SIZE = (48, 64)
K = (50.0, 0.0, 31.5, 0.0, 50.0, 23.5, 0.0, 0.0, 1.0)
PATIENCE = 20.0  # s; machines that test are busy
SILENCE = 0.6  # s in which nothing must come
SLOP = 0.2  # s, sync_slop of the nodes here: what belongs to an image comes late on a busy machine


class Robot:
    """A camera, a person who asks, and ears: one ROS node, spun only while it waits."""

    def __init__(self, domain):

        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node("robot", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        create = self.node.create_publisher
        self.image, self.depth = create(Image, "image", 1), create(Image, "depth", 1)
        self.jpeg = create(CompressedImage, "camera/image/compressed", 1)
        self.info, self.query = create(CameraInfo, "camera_info", 1), create(String, "query", 10)
        self.results, self.queries, self.health, self.other = [], [], [], []
        self.pose = create(PoseStamped, "camera_pose", 10)
        self.finger = create(PointStamped, "pixel_query", 1)
        self.listen("/grounding/result", String, lambda m: self.results.append((time.time_ns(), json.loads(m.data))))
        self.listen("/grounding/queries", String, lambda m: self.queries.append(json.loads(m.data)), latched)
        self.listen("/diagnostics", DiagnosticArray, lambda m: self.health.append(m.status[0]))

    def listen(self, topic, kind, heard, qos=50):
        return self.node.create_subscription(kind, topic, heard, qos)

    def close(self):
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()

    def wait(self, true, seconds=PATIENCE):
        """Spin until ``true()``; its value."""
        deadline = time.monotonic() + seconds
        while not (value := true()) and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.02)
        return value

    def quiet(self):
        """Spin while nothing should happen."""
        self.wait(lambda: False, SILENCE)

    def call(self, kind, service, **fields):
        client = self.node.create_client(kind, service)
        assert self.wait(client.service_is_ready), service
        request = kind.Request()
        for name, value in fields.items():
            setattr(request, name, value)
        future = client.call_async(request)
        assert self.wait(future.done), service
        self.node.destroy_client(client)
        return future.result()

    def state(self):

        return self.call(GetState, "/grounding/get_state").current_state.label

    def transition(self, number):

        return self.call(ChangeState, "/grounding/change_state", transition=Transition(id=number)).success

    def set(self, name, value):
        """(successful, reason) of setting a parameter."""

        message = Parameter(name, value=value).to_parameter_msg()
        result = self.call(SetParameters, "/grounding/set_parameters", parameters=[message]).results[0]
        return result.successful, result.reason

    def get(self, name):

        return parameter_value_to_python(self.call(GetParameters, "/grounding/get_parameters", names=[name]).values[0])

    def ask(self, text):
        """Ask and wait until the node says that it looks for it; the epoch."""

        self.wait(lambda: self.queries and self.query.get_subscription_count())
        before = self.queries[-1]["epoch"]
        self.query.publish(String(data=text))
        assert self.wait(lambda: self.queries[-1]["epoch"] > before)
        return self.queries[-1]["epoch"]

    def see(self, *, depth=SIZE, info=SIZE, encoding="rgb8", frame=FRAME, depth_first=True, stamp=None, k=K, mm=1500):
        """Publish one image with its partners; its stamp."""
        stamp = stamp or time.time_ns()
        partners = []
        if depth:
            partners.append((self.depth, depth_message(stamp, depth, frame, mm)))
        if info:
            partners.append((self.info, info_message(stamp, info, k)))
        picture = (self.image, image_message(stamp, encoding))
        for publisher, message in [*partners, picture] if depth_first else [picture, *partners]:
            publisher.publish(message)
            time.sleep(0.005)
        return stamp

    def see_until(self, true, see=None):
        """Publish images (by ``see``, which gives the stamp) until ``true(stamp)`` of one; its stamp, or None.

        Who has just subscribed is not known to the other side at once, and what was sent before that is lost.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            stamp = (see or self.see)()
            if self.wait(lambda stamp=stamp: true(stamp), 1.0):
                return stamp
        return None

    def point_at(self, u, v, stamp=0):
        """Point at a pixel of the image of ``stamp``, or of the newest one."""
        assert self.wait(self.finger.get_subscription_count)
        self.finger.publish(PointStamped(header=header(stamp), point=Point(x=float(u), y=float(v))))

    def answered(self, stamp):
        """Whether the image of ``stamp`` has a result."""
        return any(each["stamp"] == stamp for _, each in self.results)

    def stand(self, stamp, *position, frame="map"):
        """Publish where the camera is: at ``position`` and looking along x of ``frame``."""
        made = PoseStamped(header=header(stamp, frame))
        made.pose.position = Point(x=float(position[0]), y=float(position[1]), z=float(position[2]))
        made.pose.orientation = Quaternion(x=-0.5, y=0.5, z=-0.5, w=0.5)
        self.pose.publish(made)

    def result_of(self, stamp, seconds=PATIENCE):
        """The last result about the image of ``stamp``."""
        self.wait(lambda: self.answered(stamp), seconds)
        found = [each for _, each in self.results if each["stamp"] == stamp]
        return found[-1] if found else None


def header(stamp, frame=FRAME):

    made = Header(frame_id=frame)
    made.stamp.sec, made.stamp.nanosec = divmod(stamp, 1_000_000_000)
    return made


def image_message(stamp, encoding="rgb8"):

    made = Image(header=header(stamp), height=SIZE[0], width=SIZE[1], encoding=encoding, step=3 * SIZE[1])
    made.data = array.array("B", bytes(3 * SIZE[0] * SIZE[1]))
    return made


def depth_message(stamp, size=SIZE, frame=FRAME, mm=1500):

    made = Image(header=header(stamp, frame), height=size[0], width=size[1], encoding="16UC1", step=2 * size[1])
    made.data = array.array("B", np.full(size, mm, np.uint16).tobytes())
    return made


def info_message(stamp, size=SIZE, k=K):

    return CameraInfo(header=header(stamp), height=size[0], width=size[1], distortion_model="plumb_bob", k=k)


def stamp_of(message):
    """ns of a message's header."""
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


class Node:
    """The node's process and its log."""

    def __init__(self, log, domain, *arguments, script=STUB):
        environment = os.environ | {
            "ROS_DOMAIN_ID": str(domain),
            "PYTHONPATH": os.pathsep.join([str(STUB.parents[2]), os.environ.get("PYTHONPATH", "")]),
            "PYTHONUNBUFFERED": "1",
        }
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, script, "--ros-args", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
            )

    @property
    def log(self):
        return self._log.read_text()

    def end(self, number=signal.SIGINT):
        """Send a signal; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def kill(self):
        self.process.kill()
        self.process.wait()


DOMAIN = 101 + os.getpid() % 60


def texts(result):
    return [target["query"] for target in result["targets"]]

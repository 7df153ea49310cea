"""Processes that are made to fail, and what is seen of them from outside."""

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import rclpy.serialization
from lifecycle_msgs.srv import GetState
from robot import DOMAIN, Node

import gem_ros.ros.main
from gem_ros.process import memory

WITHIN = 2.0  # s from a fault to the diagnostic that names it
RECOVERY = 2  # images after a fault until one is answered
REAL = Path(gem_ros.ros.main.__file__)  # the node as installed, with a real model
FAULTY = Path(__file__).with_name("faulty_grounding_node.py")
BUNDLED = ("-p", "model:=bundled", "-p", "device:=cpu")
LITTLE = b"\0\1\0\0"  # how CDR begins


class Process(Node):
    """A node in a process of its own; ends with the block."""

    def __init__(self, folder, *arguments, script=REAL, domain=DOMAIN):
        super().__init__(folder / f"log{time.monotonic_ns()}", domain, *arguments, script=script)
        self.pid = self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *what):
        """Not by SIGKILL if it can be helped: DDS shows who was killed for 20 s more."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.kill()

    @property
    def threads(self):
        return len(list(Path(f"/proc/{self.pid}/task").iterdir()))

    @property
    def descriptors(self):
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    @property
    def memory(self):
        """MiB."""
        return memory(self.pid)

    @property
    def listens_to_signals(self):
        """Whether the node's own handler of SIGTERM is there, or that it has ended (before: Python's own start)."""
        try:
            caught = int(re.search(r"SigCgt:\s+(\w+)", Path(f"/proc/{self.pid}/status").read_text())[1], 16)
        except (OSError, TypeError):
            return True
        return bool(caught >> (signal.SIGTERM - 1) & 1)

    def wait_for(self, text, seconds=180.0):
        """Wait until the log says ``text``."""
        deadline = time.monotonic() + seconds
        while text not in self.log and time.monotonic() < deadline and self.process.poll() is None:
            time.sleep(0.02)
        assert text in self.log, self.log

    def seconds_to_end(self, number, patience=60.0):
        """Send a signal; the exit status and how long that took."""
        start = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(patience), time.monotonic() - start


def awake(robot):
    """Wait until the node's services answer: it may be seen seconds before it sees who asks, and the answer is lost."""
    client = robot.node.create_client(GetState, "/grounding/get_state")
    assert robot.wait(client.service_is_ready, 180)
    answers = []
    for _ in range(30):
        answers.append(client.call_async(GetState.Request()))
        if robot.wait(lambda: any(each.done() for each in answers), 1.0):
            break
    robot.node.destroy_client(client)
    assert any(each.done() for each in answers)


def busy():
    """How many times as long as alone everything takes on this machine at present, for limits on time."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def segments():
    """Fast DDS's files in shared memory."""
    return len(list(Path("/dev/shm").glob("*fastdds*")) + list(Path("/dev/shm").glob("*fastrtps*")))


def told(robot, *words, within=WITHIN, name="/grounding"):
    """The level and the line of the next diagnostic that says all ``words``, first or beside others; None."""
    start = len(robot.health)

    def found():
        for status in robot.health[start:]:
            also = [each.value for each in status.values if each.key.startswith("also_")]
            for line in (status.message, *also):
                if status.name == name and all(word in line for word in words):
                    return SimpleNamespace(level=status.level, message=line)
        return None

    return robot.wait(found, within * busy())


def recovered(robot, see=None):
    """How many images it took until one was answered, at most :data:`RECOVERY`; None."""
    for number in range(1, RECOVERY + 1):
        stamp = (see or robot.see)()
        if robot.wait(lambda stamp=stamp: robot.answered(stamp), WITHIN * busy()):
            return number
    return None


def cdr_string(text):
    """A serialized std_msgs/String of any bytes."""
    return LITTLE + (len(text) + 1).to_bytes(4, "little") + text + b"\0"


def truncated(message):
    """The first half of what goes over the wire."""
    data = rclpy.serialization.serialize_message(message)
    return data[: len(data) // 2]

"""For all tests: what they start over ROS 2 stays among themselves, also when pytest is called directly."""

import os

import pytest

from gem_ros.process import share_cores

os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
share_cores()  # with the processes that they start


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")

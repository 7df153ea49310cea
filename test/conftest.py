"""For all tests: what they start over ROS 2 stays among themselves, also when pytest is called directly; images pass
through a large enough shared memory from the first participant on, as Fast DDS reads its profile only once a process.
"""

import os

import pytest

from gem_ros.process import share_cores
from gem_ros.resources import dds_environment

if "PYTEST_XDIST_WORKER" in os.environ:  # beside others
    os.environ.pop("ROS_DOMAIN_ID", None)
os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.update(dds_environment())
share_cores()  # with the processes that they start


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")

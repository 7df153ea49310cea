"""For all tests of faults."""

import pytest


@pytest.fixture(scope="module")
def robot():
    """Where the node's process is started by the tests themselves; :mod:`harness` has a fixture of its own."""
    from robot import DOMAIN, Robot

    robot = Robot(DOMAIN)
    yield robot
    robot.close()

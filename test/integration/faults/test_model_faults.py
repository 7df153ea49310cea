"""What goes wrong inside the model, and who does not fit: the real node with the bundled model, over DDS."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from processes import BUNDLED, FAULTY, Process, recovered, told
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from robot import STUB
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

pytestmark = [pytest.mark.dds, pytest.mark.slow]


@pytest.fixture(scope="module")
def running(tmp_path_factory, robot):
    folder = tmp_path_factory.mktemp("node")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GEM_ROS_FAULT", str(folder / "fault"))
        (folder / "fault").write_text("")
        with Process(folder, *BUNDLED, "-p", "queries:=[red ball]", script=FAULTY) as node:
            node.wait_for("bundled ready on", 120)
            assert robot.see_until(robot.answered), node.log
            node.fault = folder / "fault"
            yield node


@pytest.fixture
def node(running, robot):
    running.fault.write_text("")
    assert recovered(robot)
    yield running
    running.fault.write_text("")


def unanswered(robot):
    """Send an image that gets no answer."""
    stamp = robot.see()
    robot.quiet()
    assert not robot.answered(stamp)


def test_exception_in_the_model_costs_its_images_only(node, robot):
    node.fault.write_text("raise")
    robot.see()
    status = told(robot, "ValueError: the model was told to fail")
    assert status and status.level in (b"\1", b"\2"), node.log  # an error where no image is answered
    for _ in range(3):
        unanswered(robot)
    assert node.log.count("told to fail\n") <= 6  # with its traceback once in 5 s
    node.fault.write_text("")
    assert recovered(robot)


def test_exception_while_queries_are_compared_costs_its_images_only(node, robot):
    node.fault.write_text("text")
    robot.see()
    assert told(robot, "ValueError: the texts were told to fail"), node.log
    node.fault.write_text("")
    assert recovered(robot)


def test_out_of_memory_for_big_images_goes_on_with_smaller_ones(node, robot):
    node.fault.write_text("memory 300")  # the bundled model's images have 384 px
    stamp = robot.see()
    assert told(robot, "out of memory with one image at 384 px: skipped; going on with", "at 288 px"), node.log
    assert not robot.answered(stamp)
    assert recovered(robot) == 1


def test_out_of_memory_for_any_image_skips_them_until_there_is_some(node, robot):
    node.fault.write_text("memory 0")
    for _ in range(4):
        robot.see()
        robot.quiet()
    assert told(robot, "out of memory with one image at 224 px, the smallest: image skipped"), node.log
    node.fault.write_text("")
    assert recovered(robot)
    assert "Traceback" not in node.log.rpartition("out of memory")[2]


def test_subscriber_of_other_quality_is_named_with_both_sides(node, robot):
    wants = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL, reliability=ReliabilityPolicy.RELIABLE)
    ears = robot.listen("/grounding/overlay/compressed", CompressedImage, lambda message: None, wants)
    status = told(robot, "/grounding/overlay/compressed", "expected a subscriber of compatible", "/robot")
    assert status and "Volatile publisher and transient local subscription" in status.message, node.log
    robot.node.destroy_subscription(ears)
    assert recovered(robot)


def test_publisher_of_other_quality_is_named_with_both_sides(node, robot):
    unreliable = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    mouth = robot.node.create_publisher(String, "query", unreliable)
    status = told(robot, "/query", "expected a publisher of compatible", "/robot")
    assert status and "Best effort publisher and reliable subscription" in status.message, node.log
    robot.node.destroy_publisher(mouth)
    assert recovered(robot)


def test_another_node_of_the_same_name_is_told_by_both(node, robot, tmp_path):
    with Process(tmp_path, "-p", "queries:=[red ball]", script=STUB) as other:
        assert told(robot, "expected one node /grounding in the graph, got 2", within=30), node.log
        other.wait_for("expected one node /grounding in the graph, got 2", 30)
        assert other.end() == 0
    assert recovered(robot)

"""The node in its own process, spoken to over DDS as a robot's other nodes would."""

import array
import json
import signal
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import SetParameters
from robot import DOMAIN, FRAME, PATIENCE, SIZE, SLOP, Node, Robot, header, stamp_of, texts
from std_msgs.msg import String

pytestmark = pytest.mark.dds


@pytest.fixture(scope="module")
def robot():
    robot = Robot(DOMAIN)
    yield robot
    robot.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory, robot):
    node = Node(
        tmp_path_factory.mktemp("node") / "log", DOMAIN, "-p", f"sync_slop:={SLOP}", "-p", "queries:=[anything]"
    )
    answered_with_3d = lambda stamp: robot.answered(stamp) and robot.results[-1][1]["targets"][0]["point"]  # noqa: E731
    try:
        assert robot.see_until(answered_with_3d), node.log
        yield node
    finally:
        node.kill()


@pytest.fixture
def node(running, robot):
    """The running node: active, asked for a cube and a door, nothing pending."""
    robot.ask("something else")
    robot.ask("red cube; door:0.9")
    robot.results.clear()
    return running


def test_an_image_with_depth_and_camera_info_gives_a_point_of_its_stamp(node, robot):
    result = robot.result_of(robot.see())
    assert result["frame_id"] == FRAME and result["epoch"] == robot.queries[-1]["epoch"]
    cube, door = result["targets"]
    assert (cube["query"], cube["found"], cube["reason"], cube["point"]) == ("red cube", True, "ok", [0.0, 0.0, 1.5])
    assert (door["query"], door["found"], door["reason"], door["threshold"]) == ("door", False, "absent", 0.9)
    assert 0 < result["latency_ms"] < 1e3 * PATIENCE


def test_partners_that_come_after_the_image_are_waited_for(node, robot):
    robot.see()
    assert robot.result_of(robot.see(depth_first=False))["targets"][0]["reason"] == "ok"


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"depth": None}, "no_depth_message"),
        ({"depth": (24, 32)}, "misaligned"),
        ({"frame": "other_camera"}, "misaligned"),
        ({"info": None}, "no_camera_info"),
        ({"k": (0.0,) * 9}, "no_camera_info"),
        ({"k": (float("nan"),) * 9}, "no_camera_info"),
    ],
)
def test_what_is_missing_is_said_and_never_blocks_the_2d_result(node, robot, seen, reason):
    time.sleep(1.2 * SLOP)  # the last image's partners are too old now
    target = robot.result_of(robot.see(**seen))["targets"][0]
    assert (target["found"], target["reason"], target["point"]) == (True, reason, None)
    assert target["pixel"] == [5.0, 7.0]


def test_a_new_query_is_answered_at_once_without_a_new_image(node, robot):
    stamp = robot.see()
    assert robot.result_of(stamp)
    epoch = robot.ask("blue mug")
    assert robot.wait(lambda: robot.results[-1][1]["epoch"] == epoch)
    result = robot.results[-1][1]
    assert (result["stamp"], texts(result), result["targets"][0]["reason"]) == (stamp, ["blue mug"], "ok")


def test_a_new_query_is_not_answered_on_old_features(node, robot):
    assert robot.result_of(robot.see())
    time.sleep(1.2)  # max_age is 1 s
    robot.results.clear()
    robot.ask("blue mug")
    robot.quiet()
    assert robot.results == []


def test_a_pixel_that_is_pointed_at_is_looked_for(node, robot):
    assert robot.result_of(robot.see())
    robot.point_at(40, 11.5)
    assert robot.wait(lambda: [each["query"] for each in robot.queries[-1]["queries"]] == ["@pixel"]), node.log
    result = robot.result_of(robot.see())
    assert (texts(result), result["targets"][0]["pixel"]) == (["@pixel"], [40.0, 11.5])


def test_a_pixel_of_an_earlier_image_too_and_of_one_that_is_forgotten_not(node, robot):
    first = robot.see()
    assert robot.result_of(first) and robot.result_of(robot.see())
    robot.point_at(3, 4, first)
    assert robot.wait(lambda: [each["query"] for each in robot.queries[-1]["queries"]] == ["@pixel"]), node.log
    epoch = robot.queries[-1]["epoch"]
    robot.point_at(3, 4, first - 10_000_000_000)
    assert robot.wait(lambda: "pixel_query refused" in node.log)
    assert "pixel_query refused: expected the stamp of an image that is still kept, got one " in node.log
    robot.quiet()
    assert robot.queries[-1]["epoch"] == epoch


def test_labels_never_mix_while_queries_change_under_load(node, robot):
    said = {}
    ears = robot.listen("/grounding/queries", String, lambda m: said.update({json.loads(m.data)["epoch"]: m.data}))
    number, checkable = 0, lambda: [each for _, each in robot.results if each["epoch"] in said]
    deadline = time.monotonic() + PATIENCE
    while len(checkable()) < 20 and time.monotonic() < deadline:
        number += 1
        robot.query.publish(String(data=f"thing {number}; other {number}"))
        robot.see()
        robot.wait(lambda: False, 0.01)
    robot.node.destroy_subscription(ears)
    assert len(checkable()) >= 20
    for result in checkable():
        assert texts(result) == [each["query"] for each in json.loads(said[result["epoch"]])["queries"]]
    last = [f"thing {number}", f"other {number}"]
    assert robot.wait(lambda: [each["query"] for each in robot.queries[-1]["queries"]] == last)
    assert texts(robot.result_of(robot.see())) == last


def test_epochs_grow_with_changes_only(node, robot):

    epoch = robot.queries[-1]["epoch"]
    robot.query.publish(String(data=" red cube ;door:0.9; "))
    robot.quiet()
    assert robot.queries[-1]["epoch"] == epoch
    assert robot.ask("red cube") == epoch + 1


def test_an_empty_query_clears(node, robot):
    epoch = robot.ask("")
    assert robot.queries[-1]["queries"] == [] and robot.get("queries") == []
    result = robot.result_of(robot.see())
    assert (result["epoch"], result["targets"]) == (epoch, [])


def test_topic_parameter_and_service_are_one_state(node, robot):
    robot.ask("red ball:0.6; door")
    assert robot.get("queries") == ["red ball:0.6", "door"]
    assert robot.set("queries", ["green bottle"]) == (True, "")
    assert robot.wait(lambda: robot.queries[-1]["queries"] == [{"query": "green bottle", "threshold": 0.5}])
    from std_srvs.srv import Trigger

    assert robot.call(Trigger, "/grounding/clear").success
    assert robot.wait(lambda: robot.queries[-1]["queries"] == [])
    assert robot.get("queries") == []


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("presence_threshold", 1.5, "presence_threshold"),
        ("min_depth", 20.0, "max_depth"),
        ("queries", ["door:7"], "threshold in [0, 1]"),
        ("queries", [str(number) for number in range(17)], "at most 16"),
        ("model", "bundled", "read-only"),
    ],
)
def test_a_bad_parameter_is_refused_with_its_reason(node, robot, name, value, reason):
    before = robot.get(name)
    successful, why = robot.set(name, value)
    assert not successful and reason in why
    assert robot.get(name) == before


def test_a_threshold_set_at_run_time_counts_from_the_next_result(node, robot):
    assert robot.set("presence_threshold", 1) == (True, "")  # as people type it
    try:
        assert robot.result_of(robot.see())["targets"][0]["reason"] == "absent"
    finally:
        assert robot.set("presence_threshold", 0.5)[0]


def test_an_image_of_unknown_encoding_is_told_and_the_node_goes_on(node, robot):
    stamp = robot.see(encoding="holographic")
    assert robot.wait(lambda: robot.health and "holographic" in robot.health[-1].message)
    assert robot.result_of(stamp, 0.0) is None
    assert node.log.count("holographic") == 1
    assert robot.result_of(robot.see())["targets"][0]["reason"] == "ok"


def test_a_model_that_crashes_does_not_take_the_node_with_it(node, robot):
    robot.ask("crash")
    robot.see()
    assert robot.wait(lambda: "ZeroDivisionError" in node.log)
    robot.ask("door")
    assert texts(robot.result_of(robot.see())) == ["door"]


def test_an_unknown_word_is_named_once(node, robot):
    robot.ask("red gleep")
    assert robot.wait(lambda: "'gleep'" in node.log)


def test_a_refused_query_changes_nothing(node, robot):

    before = robot.queries[-1]
    robot.query.publish(String(data="x" * 600))
    assert robot.wait(lambda: "query refused" in node.log)
    assert robot.queries[-1] == before


@pytest.mark.parametrize("text", ["x" * 10_000_000, "red\ncube\x07", "door:7", ";".join(map(str, range(17)))])
def test_hostile_queries_are_refused_in_one_line_and_the_node_goes_on(node, robot, text):
    before, refused = robot.queries[-1], node.log.count("query refused")
    robot.query.publish(String(data=text))
    assert robot.wait(lambda: node.log.count("query refused") > refused)
    assert robot.queries[-1] == before and len(node.log.splitlines()[-1]) < 400
    assert robot.result_of(robot.see())["targets"][0]["reason"] == "ok"


def test_a_query_may_be_in_any_script(node, robot):
    robot.ask("红色的杯子; 🍎 ; ٣ كرات:0.4")
    assert texts(robot.result_of(robot.see())) == ["红色的杯子", "🍎", "٣ كرات"]


def test_stamps_from_the_future_and_going_back_are_survived(node, robot):
    now = time.time_ns()
    for stamp in (now + 3_600_000_000_000, now - 3_600_000_000_000, 1):
        assert robot.result_of(robot.see(stamp=stamp))["targets"][0]["reason"] == "ok"
    assert robot.result_of(robot.see())["targets"][0]["reason"] == "ok"


def test_under_overload_results_stay_fresh_and_drops_are_counted(node, robot):
    slow = robot.ask("slow")
    ages = lambda: [(arrival - each["stamp"]) / 1e9 for arrival, each in robot.results if each["epoch"] == slow]  # noqa: E731
    deadline = time.monotonic() + PATIENCE
    while len(ages()) < 20 and time.monotonic() < deadline:  # some 50 Hz into 10 Hz
        robot.see()
        robot.wait(lambda: False, 0.005)
    # two looks of 0.1 s and the way; a queue would have grown to 1.6 s by now
    assert len(ages()) >= 20 and sorted(ages()[-10:])[5] < 0.8
    robot.health.clear()
    assert robot.wait(lambda: robot.health)
    values = {each.key: each.value for each in robot.health[-1].values}
    assert int(values["dropped"]) > 0
    assert float(values["latency_p95_ms"]) >= float(values["latency_p50_ms"]) > 0


def test_pausing_stops_and_resuming_starts_results(node, robot):
    from std_srvs.srv import SetBool

    assert robot.call(SetBool, "/grounding/enable", data=False).success
    try:
        stamp = robot.see()
        robot.quiet()
        assert robot.result_of(stamp, 0.0) is None
    finally:
        robot.call(SetBool, "/grounding/enable", data=True)
    assert robot.result_of(robot.see())


def test_every_output_carries_the_stamp_and_only_what_is_heard_is_made(node, robot):
    from geometry_msgs.msg import PointStamped
    from sensor_msgs.msg import CompressedImage, Image, PointCloud2

    kinds = {"heatmap": Image, "segmentation": Image, "overlay": Image, "overlay/compressed": CompressedImage}
    kinds |= {"target": PointStamped, "targets": PointCloud2, "rays": PointCloud2}
    heard = {name: {} for name in kinds}  # messages by stamp: answers about older images may still come
    ears = [
        robot.listen(
            f"/grounding/{name}", kind, lambda message, name=name: heard[name].update({stamp_of(message): message})
        )
        for name, kind in kinds.items()
    ]
    stamp = robot.see_until(lambda stamp: all(stamp in each for each in heard.values()))
    for ear in ears:
        robot.node.destroy_subscription(ear)
    assert stamp, {name: len(each) for name, each in heard.items()}
    heard = {name: each[stamp] for name, each in heard.items()}
    assert {each.header.frame_id for each in heard.values()} == {FRAME}
    heatmap = np.frombuffer(heard["heatmap"].data, "<f4").reshape(SIZE)
    assert (heatmap == 0.25).all() and heard["overlay"].encoding == "bgr8"
    assert heard["target"].point.z == 1.5 and heard["targets"].width == 1


def test_inactive_it_publishes_nothing_and_active_again_it_answers(node, robot):
    from lifecycle_msgs.msg import Transition

    assert robot.state() == "active"
    assert robot.transition(Transition.TRANSITION_DEACTIVATE)
    robot.quiet()  # what was on its way
    robot.results.clear()
    robot.health.clear()
    robot.see()
    robot.wait(lambda: False, 1.3)
    assert (robot.results, robot.health, robot.state()) == ([], [], "inactive")
    assert robot.transition(Transition.TRANSITION_CLEANUP) and robot.transition(Transition.TRANSITION_CONFIGURE)
    assert robot.transition(Transition.TRANSITION_ACTIVATE)
    assert robot.see_until(robot.answered)


def test_compressed_images_arrive_by_the_remapped_base_name_and_sigint_ends_it_cleanly(tmp_path, robot):
    from sensor_msgs.msg import CompressedImage

    arguments = ["-r", "image:=camera/image", "-r", "__node:=second", "-p", "image_transport:=compressed"]
    node = Node(tmp_path / "log", DOMAIN, *arguments, "-p", "queries:=[door]")
    heard = []
    try:
        robot.listen("/second/result", String, lambda message: heard.append(json.loads(message.data)))
        assert robot.wait(robot.jpeg.get_subscription_count), node.log
        data = cv2.imencode(".jpg", np.zeros((*SIZE, 3), np.uint8))[1].tobytes()

        deadline = time.monotonic() + PATIENCE
        while not heard and time.monotonic() < deadline:
            stamp = time.time_ns()
            robot.jpeg.publish(CompressedImage(header=header(stamp), format="jpeg", data=array.array("B", data)))
            robot.wait(lambda: heard, 0.3)
        assert texts(heard[-1]) == ["door"]
        assert node.end(signal.SIGINT) == 0
        assert "Traceback" not in node.log
    finally:
        node.kill()


def test_a_request_that_rclpy_cannot_read_is_left_out_and_told(node, robot):
    """A parameter of a type that ROS has not: rclpy's own service raises, which ended the node."""
    odd = ParameterMessage(name="max_rate", value=ParameterValue(type=77))
    client = robot.node.create_client(SetParameters, "/grounding/set_parameters")
    assert robot.wait(client.service_is_ready)
    answer = client.call_async(SetParameters.Request(parameters=[odd]))
    assert robot.wait(lambda: "a request or message was left out: " in node.log), node.log
    assert not answer.done() and node.process.poll() is None
    robot.node.destroy_client(client)
    assert robot.set("max_rate", 0.0) == (True, "") and robot.see_until(robot.answered)

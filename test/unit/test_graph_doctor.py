"""What the doctor says of a node and its topics, rule by rule: nothing where all is well, the fix where it is not."""

import dataclasses
import math

import pytest

from gem_ros.ros.graph_doctor import Camera, Sample, Snapshot, Topic, examine

NOW, STEP = 10**18, 100_000_000
IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"


def topic(role, *, publishers=None, rate=10.0, count=20, **changed):
    kind, encoding = {"image": (IMAGE, "rgb8"), "depth": (IMAGE, "16UC1"), "camera_info": (INFO, "")}[role]
    sample = Sample(0, 0, "camera_optical", (640, 480), encoding, 0 if role == "camera_info" else 921_600)
    sample = dataclasses.replace(sample, metres=1.5 if role == "depth" else math.nan)
    stamps = [NOW + STEP * number for number in range(count)]
    samples = [dataclasses.replace(sample, **{"arrival": each + 10**7, "stamp": each, **changed}) for each in stamps]
    there = (("/driver", kind, ""),) if publishers is None else publishers
    return Topic(f"/{role}", kind, there, tuple(samples), rate)


def snapshot(*, says=(0, "running"), **changed):
    roles = {role: changed.pop(role, topic(role)) for role in ("image", "depth", "camera_info")}
    return Snapshot("/grounding", **{"cameras": [Camera("", roles, says[0], says[1:])], **changed})


def problems(seen):
    return [(each.name, f"{each.found}; {each.fix}") for each in examine(seen) if each.state == "problem"]


def notes(seen):
    return [(each.name, f"{each.found}; {each.fix}") for each in examine(seen) if each.state == "note"]


def test_where_all_is_well_there_is_no_problem_and_each_topic_is_described():
    found = list(examine(snapshot()))
    assert {each.state for each in found} == {"ok"}
    described = {each.name: each.found for each in found}
    assert described["/depth"] == "10.0 Hz, 640x480, 16UC1, frame 'camera_optical', median 1.50 m"
    assert described["/camera_info"] == "10.0 Hz, 640x480, frame 'camera_optical'"


BAD = {
    "inactive": ({"lifecycle": "inactive"}, "/grounding", "ros2 lifecycle set /grounding activate"),
    "unconfigured": ({"lifecycle": "unconfigured"}, "/grounding", "ros2 lifecycle set /grounding configure"),
    "finalized": ({"lifecycle": "finalized"}, "/grounding", "restart"),
    "deaf": ({"lifecycle": ""}, "/grounding", "does not answer"),
    "mute": ({"cameras": []}, "/grounding", "without /diagnostics"),
    "its own word": ({"says": (2, "no results: odd; mend it")}, "/grounding", "says: no results: odd; mend it"),
    "no clock": ({"use_sim_time": True}, "/clock", "nobody publishes the time; publish it"),
    "unused clock": ({"clocks": 1}, "/clock", "use_sim_time true"),
    "two clocks": ({"clocks": 2, "use_sim_time": True}, "/clock", "end all but one"),
    "tf": ({"tf": "'map' does not exist", "target_frame": "map"}, "/tf", "does not exist; publish the chain"),
    "nobody": ({"image": topic("image", publishers=(), count=0)}, "/image", "nobody publishes sensor_msgs/msg/Image"),
    "type": (
        {"image": topic("image", publishers=(("/driver", "sensor_msgs/msg/CompressedImage", ""),), count=0)},
        "/image",
        "/driver publishes sensor_msgs/msg/CompressedImage",
    ),
    "qos": ({"image": topic("image", publishers=(("/driver", IMAGE, "best effort"),))}, "/image", "(best effort)"),
    "lost": ({"image": topic("image", count=0)}, "/image", "though camera_info does; start /driver with FASTDDS"),
    "rare": ({"image": topic("image", rate=2.0)}, "/image", "arrives at 2.0 Hz, its camera_info at 10.0 Hz; start"),
    "no stamps": ({"image": topic("image", stamp=0)}, "/image", "without stamps"),
    "future": ({"depth": topic("depth", arrival=NOW - 10**10)}, "/depth", "in the future; synchronise"),
    "backwards": (
        {"image": dataclasses.replace(topic("image"), samples=topic("image").samples[::-1])},
        "/image",
        "stamps that go back",
    ),
    "unreadable": ({"image": topic("image", error="image: odd; do this")}, "/image", "cannot be read: image: odd; do"),
    "no frame": ({"image": topic("image", frame_id="")}, "/image", "without a frame_id"),
    "no depth": ({"depth": topic("depth", metres=math.nan)}, "/depth", "no valid depth"),
    "metres in 16UC1": (
        {"depth": topic("depth", metres=0.002)},
        "/depth",
        "is millimetres: does it send metres?",
    ),
    "mm in 32FC1": ({"depth": topic("depth", metres=1500.0, encoding="32FC1")}, "/depth", "does it send millimetres?"),
    "other frame": ({"depth": topic("depth", frame_id="depth_optical")}, "/depth", "'depth_optical', the image in"),
    "other size": ({"depth": topic("depth", size=(640, 400))}, "/depth", "is 640x400, the image 640x480; subscribe"),
    "other camera": ({"camera_info": topic("camera_info", size=(1280, 720))}, "/camera_info", "its own camera_info"),
    "other stamps": (
        {"depth": topic("depth", stamp=NOW + 10**10, arrival=NOW + 10**10)},
        "/depth",
        "raise sync_slop",
    ),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_each_fault_is_one_problem_with_its_fix(case):
    changed, name, words = case
    found = problems(snapshot(**changed))
    assert [each for each, _ in found] == [name] and words in found[0][1]
    assert not found[0][1].endswith("; ")


def test_a_size_that_changes_is_told():
    image = topic("image")
    odd = dataclasses.replace(image.samples[3], size=(320, 240))
    image = dataclasses.replace(image, samples=(*image.samples[:3], odd, *image.samples[4:]))
    assert problems(snapshot(image=image)) == [
        ("/image", "changes its size (320x240, 640x480); is it published by two nodes?")
    ]


def test_depth_of_the_same_aspect_and_small_things_at_any_rate_are_well():
    assert problems(snapshot(depth=topic("depth", size=(320, 240)))) == []
    assert problems(snapshot(image=topic("image", rate=2.0, length=50_000))) == []


def test_what_only_some_need_is_a_note():
    quiet = topic("depth", publishers=(), count=0)
    old = topic("camera_info", arrival=NOW + 3 * 86400 * 10**9)
    found = notes(snapshot(depth=quiet, camera_info=old))
    assert [name for name, _ in found] == ["/depth", "/camera_info"]
    assert "no 3D" in found[0][1] and "3 days ago; a recording" in found[1][1]
    assert problems(snapshot(depth=quiet)) == []


def test_what_the_node_says_of_a_topic_is_not_said_twice():
    says = (3, "no image yet: nobody publishes /image; start the camera")
    found = problems(snapshot(image=topic("image", publishers=(), count=0), says=says))
    assert [name for name, _ in found] == ["/image"]
    assert [name for name, _ in problems(snapshot(says=says))] == ["/grounding"]


def test_who_cannot_ask_is_named():
    line = "Best effort publisher and reliable subscription"
    query = Topic("/query", "std_msgs/msg/String", (("/app", "std_msgs/msg/String", line),))
    assert problems(snapshot(others=[query])) == [
        ("/query", f"/app cannot be heard ({line}); change its quality of service there")
    ]
    assert problems(snapshot(others=[Topic("/query", "std_msgs/msg/String")])) == []


def test_tf_that_is_there_is_said():
    found = [each for each in examine(snapshot(tf="", target_frame="map")) if each.name == "/tf"]
    assert [each.state for each in found] == ["ok"] and "'map'" in found[0].found


def test_cameras_are_told_apart():
    seen = snapshot()
    front = dataclasses.replace(seen.cameras[0], name="front", level=1, messages=["odd; mend it", "too; mend that"])
    found = problems(dataclasses.replace(seen, cameras=[front]))
    assert found == [("/grounding: front", "says: odd; mend it"), ("/grounding: front", "says: too; mend that")]

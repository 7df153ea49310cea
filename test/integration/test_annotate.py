"""Annotated bags: the source's bytes and what was found, at the source's times and in its frames; all or nothing."""

import json

import cv2
import numpy as np
import pytest
import recorded
from recorded import HEIGHT, START, STEP, WIDTH

from gem_ros.config import Config
from gem_ros.data import Grounding, Query, Target
from gem_ros.errors import BagError
from gem_ros.messages import decode
from gem_ros.messages.encode import Encoder
from gem_ros.replay import bag
from gem_ros.replay.annotate import Annotation, write_video
from gem_ros.replay.observations import find_topics, read_observations

LATE = 7_000_000  # ns from an image's stamp to its arrival
IMAGE, TYPE = "/camera/color/image_raw/compressed", "sensor_msgs/msg/CompressedImage"
POINT = np.array([0.5, -0.25, 1.0])


def upsample(maps):
    return np.array([cv2.resize(each, (WIDTH, HEIGHT)) for each in maps])


def grounding(queries=("red ball", "violin")):
    """The first query is found at the top left, the second one is not there."""
    region = np.zeros((HEIGHT, WIDTH), bool)
    region[:20, :30] = True
    relevancy = np.zeros((2, 3, 4), np.float32)
    relevancy[0, 0, 0] = 0.8
    targets = (
        Target(queries[0], 0, True, 0.9, 0.5, "ok", (15.0, 10.0), region, None, POINT, np.eye(3) * 1e-4),
        Target(queries[1], 1, False, 0.1, 0.5, "absent"),
    )
    return Grounding(tuple(map(Query, queries)), targets, (HEIGHT, WIDTH), relevancy, upsample)


@pytest.fixture
def source(tmp_path):
    """Three late images with poses in the map."""
    encode = Encoder(bag.message_class)
    made = recorded.make(tmp_path / "made", count=3)
    with bag.BagWriter(tmp_path / "source") as writer:
        for record in bag.messages(made):
            if record.topic == IMAGE:
                pose = encode.make(
                    "geometry_msgs/msg/PoseStamped",
                    header=encode.header(record.stamp, "map"),
                    pose=encode.pose([1.0, 2.0, 3.0]),
                )
                writer.write("/camera/pose", "geometry_msgs/msg/PoseStamped", record.stamp, pose)
                writer.write(IMAGE, TYPE, record.time + LATE, record.decode())
            else:
                writer.copy(record)
    return tmp_path / "source"


def annotated(source, output, config=None):
    topics = find_topics(bag.topics(source))
    with Annotation(source, output, topics, config or Config(target_frame="map", pose_source="topic")) as annotation:
        for seen in read_observations(source, topics):
            annotation.add(seen, grounding())
    return output


def by_topic(path):
    found = {}
    for record in bag.messages(path):
        found.setdefault(record.topic, []).append(record)
    return found


def test_the_source_is_there_and_every_answer_at_its_image_s_time(source, tmp_path):
    before, after = by_topic(source), by_topic(annotated(source, tmp_path / "out"))
    for topic in (IMAGE, "/camera/color/camera_info", "/camera/pose"):
        assert [(each.time, each.data) for each in after[topic]] == [(each.time, each.data) for each in before[topic]]
    assert not any("depth" in topic for topic in after)
    answers = {topic: records for topic, records in after.items() if topic.startswith("/grounding/")}
    assert {topic.removeprefix("/grounding/") for topic in answers} == {
        *("overlay/compressed", "heatmap/compressed", "markers", "targets", "target", "result"),
    }
    stamps = [START + index * STEP for index in range(3)]
    for topic, records in answers.items():
        assert [each.time for each in records] == [stamp + LATE for stamp in stamps], topic
    for name, frame in {"overlay/compressed": "camera", "heatmap/compressed": "camera", "target": "map"}.items():
        headers = [each.decode().header for each in answers[f"/grounding/{name}"]]
        assert [decode.stamp_ns(each.stamp) for each in headers] == stamps and {each.frame_id for each in headers} == {
            frame
        }


def test_what_is_written_is_what_was_found(source, tmp_path):
    after = by_topic(annotated(source, tmp_path / "out"))
    said = json.loads(after["/grounding/result"][0].decode().data)
    assert (said["stamp"], said["frame_id"], said["latency_ms"]) == (START, "map", None)
    assert [each["found"] for each in said["targets"]] == [True, False]
    point = after["/grounding/target"][0].decode().point
    assert [point.x, point.y, point.z] == POINT.tolist()
    heatmap = cv2.imdecode(after["/grounding/heatmap/compressed"][0].decode().data, cv2.IMREAD_UNCHANGED)
    assert heatmap.shape == (HEIGHT, WIDTH) and heatmap[0, 0] == 204 and heatmap[-1, -1] == 0  # 0.8 of 255
    overlay = decode.compressed_image(after["/grounding/overlay/compressed"][0].decode())
    assert np.abs(overlay[:20, :30].astype(int) - recorded.scene(0)[0][:20, :30]).mean() > 20
    markers = after["/grounding/markers"][0].decode().markers
    assert {each.header.frame_id for each in markers} == {"map"} and any(
        each.text.startswith("red ball") for each in markers
    )


def test_poses_become_tf_where_there_is_none(source, tmp_path):
    transforms = [each.decode().transforms for each in by_topic(annotated(source, tmp_path / "out"))["/tf"]]
    assert [len(each) for each in transforms] == [1, 1, 1]
    first = transforms[0][0]
    assert (first.header.frame_id, first.child_frame_id, decode.stamp_ns(first.header.stamp)) == (
        "map",
        "camera",
        START,
    )
    moved, turned = first.transform.translation, first.transform.rotation
    assert [moved.x, moved.y, moved.z, turned.x, turned.y, turned.z, turned.w] == [1, 2, 3, 0, 0, 0, 1]


def test_tf_of_the_source_is_kept_alone_and_static_tf_stays_latched(source, tmp_path):
    encode = Encoder(bag.message_class)
    transform = encode.make(
        "geometry_msgs/msg/TransformStamped", header=encode.header(START, "odom"), child_frame_id="base"
    )
    with bag.BagWriter(tmp_path / "tf") as writer:
        for record in bag.messages(source):
            writer.copy(record)
        message = encode.make("tf2_msgs/msg/TFMessage", transforms=[transform])
        writer.write("/tf", "tf2_msgs/msg/TFMessage", START, message)
        store = bag.typestore()
        data = store.serialize_cdr(message, "tf2_msgs/msg/TFMessage")
        static = bag.Record("/tf_static", "tf2_msgs/msg/TFMessage", START, bytes(data), store)
        writer.copy(static, latched=True)
    output = annotated(tmp_path / "tf", tmp_path / "out")
    assert [each.decode().transforms[0].child_frame_id for each in by_topic(output)["/tf"]] == ["base"]
    assert bag.latched(output) == {"/tf_static"}


def test_without_a_target_frame_points_are_the_camera_s(source, tmp_path):
    after = by_topic(annotated(source, tmp_path / "out", Config()))
    assert after["/grounding/target"][0].decode().header.frame_id == "camera"


def test_an_older_one_is_replaced_and_an_error_leaves_it(source, tmp_path):
    output = tmp_path / "deep" / "out"
    annotated(source, output)
    written = (output / "metadata.yaml").read_bytes()
    with pytest.raises(KeyboardInterrupt), Annotation(source, output, find_topics(bag.topics(source)), Config()):
        raise KeyboardInterrupt
    assert (output / "metadata.yaml").read_bytes() == written
    annotated(source, output)
    assert [each.name for each in output.parent.iterdir()] == ["out"]
    assert sorted(each.name for each in output.iterdir()) == ["metadata.yaml", "out.mcap"]


def test_a_folder_of_something_else_is_left_alone(source, tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(BagError, match="expected a new folder or an older recording"):
        annotated(source, tmp_path / "photos")


def test_a_video_shows_every_overlay_at_the_recording_s_pace(source, tmp_path):
    video = write_video(annotated(source, tmp_path / "out"), tmp_path / "out.mp4")
    read = cv2.VideoCapture(str(video))
    assert read.get(cv2.CAP_PROP_FRAME_COUNT) == 3 and abs(read.get(cv2.CAP_PROP_FPS) - 10) < 0.1
    with pytest.raises(BagError, match="expected /grounding/overlay/compressed, got none"):
        write_video(source, tmp_path / "none.mp4")

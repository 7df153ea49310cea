"""Recordings round trip, and what cannot be read says so in one line."""

import numpy as np
import pytest

from gem_ros.errors import BagError
from gem_ros.replay import bag

TOPIC, TYPE = "/camera/color/image_raw/compressed", "sensor_msgs/msg/CompressedImage"


def compressed(stamp: int, data: bytes = b"\xff\xd8\xff"):
    """A CompressedImage with ``stamp`` ns."""
    header = bag.message_class("std_msgs/msg/Header")(
        bag.message_class("builtin_interfaces/msg/Time")(*divmod(stamp, 1_000_000_000)), "camera"
    )
    return bag.message_class(TYPE)(header, "jpeg", np.frombuffer(data, np.uint8))


@pytest.fixture
def recording(tmp_path):
    with bag.BagWriter(tmp_path / "bag") as writer:
        for index in range(5):
            writer.write(TOPIC, TYPE, 2_000_000_000 + index, compressed(1_000_000_000 + index))
            writer.write(
                "/other", "std_msgs/msg/String", 2_000_000_000 + index, bag.message_class("std_msgs/msg/String")("hi")
            )
    return tmp_path / "bag"


def test_round_trip(recording):
    records = list(bag.messages(recording, {TOPIC}))
    assert [record.time for record in records] == [2_000_000_000 + index for index in range(5)]
    assert [record.stamp for record in records] == [1_000_000_000 + index for index in range(5)]
    message = records[3].decode()
    assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1, 3)
    assert message.header.frame_id == "camera" and bytes(message.data) == b"\xff\xd8\xff"
    assert len(list(bag.messages(recording))) == 10
    assert bag.topics(recording) == {TOPIC: TYPE, "/other": "std_msgs/msg/String"}


def test_no_topic_means_no_message(recording):
    assert list(bag.messages(recording, {"/nothing"})) == []


def test_metadata_is_what_ros2_bag_expects(recording):
    text = (recording / "metadata.yaml").read_text()
    assert "storage_identifier: mcap" in text and "message_count: 10" in text
    assert "type_description_hash" in text and "reliability: 1" in text and "compression_mode: ''" in text


def test_never_overwrites(recording):
    with pytest.raises(BagError, match="exists"):
        bag.BagWriter(recording)


@pytest.mark.parametrize("broken", ["missing", "empty folder", "not a bag", "cut", "metadata"])
def test_what_cannot_be_read_is_one_line(recording, broken):
    path = recording
    if broken == "missing":
        path = recording / "nothing"
    elif broken == "empty folder":
        path = recording / "sub"
        path.mkdir()
    elif broken == "not a bag":
        path = recording / "metadata.yaml"
    elif broken == "cut":
        path = recording / "bag.mcap"
        path.write_bytes(path.read_bytes()[:400])
    else:
        (recording / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    with pytest.raises(BagError) as caught:
        list(bag.messages(path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_bytes_of_another_type_are_refused(recording):
    record = next(bag.messages(recording, {"/other"}))
    wrong = bag.Record(record.topic, TYPE, record.time, record.data, record.types)
    with pytest.raises(BagError, match="/other"):
        wrong.decode()

"""A recording becomes Observations: the right topics, partners by stamp, and what is missing said."""

import dataclasses
import gc
import tracemalloc

import cv2
import numpy as np
import pytest
import recorded
from rosbags import rosbag1
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from gem_ros.errors import BagError, DecodeError
from gem_ros.replay import bag
from gem_ros.replay.observations import CameraTopics, camera_topics, find_topics, node_inputs, read_observations

IMAGE, COMPRESSED, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/CameraInfo"


def test_every_image_comes_with_its_depth_and_camera(tmp_path):
    observations = list(read_observations(recorded.make(tmp_path / "bag")))
    assert [each.stamp for each in observations] == [recorded.START + index * recorded.STEP for index in range(8)]
    for index, each in enumerate(observations):
        rgb, depth, _ = recorded.scene(index)
        assert each.missing is None and each.frame_id == "camera"
        assert np.abs(each.image.astype(int) - rgb).mean() < 4  # JPEG
        assert each.depth == pytest.approx(depth / 1000.0)
        assert (each.camera.fx, each.camera.cx) == (recorded.FOCAL, 79.5)


def test_depth_may_arrive_late_but_is_never_another_images(tmp_path):
    path = recorded.make(tmp_path / "bag", late_depth=400_000_000, skip_depth=(3,))
    observations = list(read_observations(path))
    assert [each.missing for each in observations] == [None, None, None, "no_depth_message", *[None] * 4]
    assert all(
        (each.depth == recorded.scene(index)[1] / np.float32(1000)).all()
        for index, each in enumerate(observations)
        if index != 3
    )


POSE = "geometry_msgs/msg/PoseStamped"
TOPICS = CameraTopics(
    "/camera/color/image_raw/compressed",
    "/camera/depth/image_raw/compressedDepth",
    "/camera/color/camera_info",
    "/camera/pose",
)
HEIGHT, WIDTH = recorded.HEIGHT, recorded.WIDTH


def record(path, *messages, image=TOPICS.image, size=(HEIGHT, WIDTH), info=None):
    """A bag of one image at START, with depth of a size (H, W), camera_info, and (topic, type, stamp, message)."""
    rgb, depth, _ = recorded.scene(0)
    compressed = "sensor_msgs/msg/CompressedImage"
    picture = recorded.message(compressed, recorded.header(recorded.START), "jpeg", recorded.jpeg(rgb))
    scaled = cv2.resize(depth, size[::-1], interpolation=cv2.INTER_NEAREST)
    with bag.BagWriter(path) as writer:
        writer.write(image, compressed, recorded.START, picture)
        writer.write(TOPICS.depth, compressed, recorded.START, recorded.compressed_depth(recorded.START, scaled))
        writer.write(TOPICS.camera_info, INFO, recorded.START, info or recorded.camera_info(recorded.START))
        for topic, kind, stamp, message in messages:
            writer.write(topic, kind, stamp, message)
    return path


def pose(milliseconds, x=0.0, frame_id="map", turn=0.0, length=1.0):
    """A camera pose so long after START, at x m and turned about z by some degrees."""
    stamp = recorded.START + milliseconds * 1_000_000
    header = recorded.header(stamp)
    header.frame_id = frame_id
    half = np.radians(turn) / 2
    rotation = recorded.message("geometry_msgs/msg/Quaternion", 0.0, 0.0, length * np.sin(half), length * np.cos(half))
    position = recorded.message("geometry_msgs/msg/Point", x, 0.0, 0.0)
    value = recorded.message("geometry_msgs/msg/Pose", position, rotation)
    return TOPICS.pose, POSE, stamp, recorded.message(POSE, header, value)


def pose_of(path, **options):
    (observation,) = read_observations(path, **options)
    return observation.pose


def test_the_pose_is_the_one_between_those_around_the_image(tmp_path):
    found = pose_of(record(tmp_path / "bag", pose(-10, 1.0), pose(30, 2.0, turn=80), pose(200, 9.0)))
    assert found.frame_id == "map" and found.matrix[0, 3] == pytest.approx(1.25)
    assert found.matrix[:2, 0] == pytest.approx([np.cos(np.radians(20)), np.sin(np.radians(20))])
    exact = pose_of(record(tmp_path / "exact", pose(0, 7.0)), slop=0.0)
    assert exact.matrix[0, 3] == 7.0


@pytest.mark.parametrize("around", [[], [-10], [10], [-60, 60]])
def test_without_poses_around_the_image_there_is_none(tmp_path, around):
    (observation,) = read_observations(record(tmp_path / "bag", *map(pose, around)), TOPICS)
    assert observation.pose is None and observation.missing is None


def test_what_is_no_pose_is_left_out_and_frames_are_not_mixed(tmp_path):
    others = pose(-2, 50.0, length=0.0), pose(2, 60.0, "odom"), pose(3, np.nan)
    found = pose_of(record(tmp_path / "bag", pose(-1, 1.0), pose(4, 6.0), *others))
    assert found.frame_id == "map" and found.matrix[0, 3] == pytest.approx(2.0)


def test_a_pose_topic_of_another_type_is_said(tmp_path):
    path = record(tmp_path / "bag")
    topics = dataclasses.replace(TOPICS, pose=TOPICS.camera_info)
    with pytest.raises(BagError, match="of type geometry_msgs/msg/PoseStamped, got sensor_msgs/msg/CameraInfo"):
        list(read_observations(path, topics))


@pytest.mark.parametrize(
    ("image", "focal"), [(TOPICS.image, recorded.FOCAL), ("/camera/color/image_rect/compressed", 99.0)]
)
def test_a_rectified_image_has_the_camera_of_p(tmp_path, image, focal):
    info = recorded.camera_info(recorded.START)
    info.d, info.p = np.full(5, 0.1), np.array([99.0, 0, 79.5, 0, 0, 99.0, 59.5, 0, 0, 0, 1, 0])
    (observation,) = read_observations(record(tmp_path / "bag", image=image, info=info))
    assert observation.camera.fx == focal and bool(observation.camera.d) == (focal != 99.0)


@pytest.mark.parametrize(
    ("size", "missing"),
    [
        ((HEIGHT // 2, WIDTH // 2), None),
        ((2 * HEIGHT, 2 * WIDTH), None),
        ((45, 60), None),
        ((HEIGHT - 1, WIDTH), "misaligned"),
        ((45, 61), "misaligned"),
        ((WIDTH, HEIGHT), "misaligned"),
    ],
)
def test_depth_of_another_size_must_have_the_images_aspect(tmp_path, size, missing):
    (observation,) = read_observations(record(tmp_path / "bag", size=size))
    assert (observation.missing, observation.depth.shape) == (missing, size)


def test_a_camera_info_of_another_size_is_misaligned(tmp_path):
    info = recorded.camera_info(recorded.START)
    info.width, info.height = WIDTH // 2, HEIGHT // 2
    (observation,) = read_observations(record(tmp_path / "bag", info=info))
    assert observation.missing == "misaligned"


def test_an_image_topic_that_is_not_there_is_said(tmp_path):
    with pytest.raises(BagError, match="/nothing"):
        list(read_observations(recorded.make(tmp_path / "bag", count=1), CameraTopics("/nothing")))


def test_topics_are_found_by_type_and_name():
    types = {
        "/cam/infra1/image": IMAGE,
        "/cam/color/image_raw/compressed": COMPRESSED,
        "/cam/color/image_raw": IMAGE,
        "/cam/color/camera_info": INFO,
        "/cam/depth/image_raw": IMAGE,
        "/cam/depth/camera_info": INFO,
        "/cam/aligned_depth_to_color/image_raw/compressedDepth": COMPRESSED,
        "/other/camera_info": INFO,
        "/cam/pose": "geometry_msgs/msg/PoseStamped",
        "/pose": "geometry_msgs/msg/PoseStamped",
    }
    assert find_topics(types) == CameraTopics(
        image="/cam/color/image_raw",
        depth="/cam/aligned_depth_to_color/image_raw/compressedDepth",
        camera_info="/cam/color/camera_info",
        pose="/cam/pose",
    )
    assert find_topics({"/image": IMAGE}) == CameraTopics("/image")
    with pytest.raises(BagError, match="colour image"):
        find_topics({"/depth": IMAGE, "/info": INFO})


def test_topics_are_played_under_the_nodes_names(tmp_path):
    types = bag.topics(recorded.make(tmp_path / "bag", count=1))
    assert node_inputs(find_topics(types), types) == {
        "/camera/color/image_raw/compressed": "/image/compressed",
        "/camera/depth/image_raw/compressedDepth": "/depth/compressedDepth",
        "/camera/color/camera_info": "/camera_info",
    }
    raw = {"/a/rgb": IMAGE, "/a/depth": IMAGE}
    assert node_inputs(find_topics(raw), raw) == {"/a/rgb": "/image", "/a/depth": "/depth"}


ZSTD = b"\x28\xb5\x2f\xfd"
TF = "tf2_msgs/msg/TFMessage"


def tf(parent, child, milliseconds, x=0.0, topic="/tf"):
    """A transform that came so long after START: ``child`` lies at x in ``parent``."""
    stamp = recorded.START + milliseconds * 1_000_000
    header = recorded.header(stamp)
    header.frame_id = parent
    shift = recorded.message("geometry_msgs/msg/Vector3", x, 0.0, 0.0)
    motion = recorded.message(
        "geometry_msgs/msg/Transform", shift, recorded.message("geometry_msgs/msg/Quaternion", 0.0, 0.0, 0.0, 1.0)
    )
    one = recorded.message("geometry_msgs/msg/TransformStamped", header, child, motion)
    return topic, TF, stamp, recorded.message(TF, [one])


MOVING = (
    tf("odom", "base", -100),
    tf("odom", "base", 100, 4.0),
    tf("map", "odom", -300, 10.0),
    tf("map", "odom", 300, 10.0),
)


def test_the_pose_comes_from_tf_at_the_images_stamp(tmp_path):
    path = record(tmp_path / "bag", *MOVING, tf("base", "camera", 900, 0.5, "/tf_static"))
    found = pose_of(path)
    assert found.frame_id == "map" and found.matrix[:3, 3].tolist() == [12.5, 0, 0]
    assert pose_of(path, target_frame="odom").matrix[0, 3] == 2.5
    said = []
    assert pose_of(path, target_frame="moon", problems=said.append) is None
    assert len(said) == 1 and "images without a pose: 1, the first at 17" in said[0] and "moon" in said[0]


def test_tf_that_does_not_reach_the_camera_gives_no_pose_and_a_line(tmp_path):
    said = []
    assert pose_of(record(tmp_path / "bag", *MOVING), problems=said.append) is None
    assert len(said) == 1 and "camera" in said[0]
    late = tf("map", "camera", 50), tf("map", "camera", 100)
    assert pose_of(record(tmp_path / "late", *late), problems=said.append) is None
    assert len(said) == 2 and "tf map -> camera" in said[1] and "oldest 0.050 s after" in said[1]


def test_a_ros1_recording_is_read_with_its_tf(tmp_path):
    """Headers with seq, camera_info with K and D, tf/tfMessage, frames with a slash."""
    types = get_typestore(Stores.ROS1_NOETIC)
    types.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", "tf/msg/tfMessage"))
    make = types.types
    time = make["builtin_interfaces/msg/Time"](*divmod(recorded.START, bag.NS))
    rgb, depth, _ = recorded.scene(0)

    def header(frame_id):
        return make["std_msgs/msg/Header"](3, time, frame_id)

    size = recorded.HEIGHT, recorded.WIDTH
    like = recorded.camera_info(recorded.START)
    roi = make["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    info = make[INFO](header("/camera"), *size, "plumb_bob", np.zeros(5), like.k, like.r, like.p, 0, 0, roi)
    turn = make["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    motion = make["geometry_msgs/msg/Transform"](make["geometry_msgs/msg/Vector3"](1.0, 2.0, 3.0), turn)
    link = make["geometry_msgs/msg/TransformStamped"](header("/map"), "/camera", motion)
    picture, pixels = make[IMAGE], depth.view(np.uint8).ravel()
    messages = (
        ("/tf", "tf/msg/tfMessage", make["tf/msg/tfMessage"]([link])),
        ("/camera/rgb/image", IMAGE, picture(header("/camera"), *size, "rgb8", 0, 3 * size[1], rgb.ravel())),
        ("/camera/depth/image", IMAGE, picture(header("/camera"), *size, "16UC1", 0, 2 * size[1], pixels)),
        ("/camera/rgb/camera_info", INFO, info),
    )
    with rosbag1.Writer(tmp_path / "old.bag") as writer:
        for topic, kind, message in messages:
            connection = writer.add_connection(topic, kind, typestore=types)
            writer.write(connection, recorded.START, types.serialize_ros1(message, kind))
    said = []
    (found,) = read_observations(tmp_path / "old.bag", problems=said.append)
    assert said == [] and found.stamp == recorded.START and (found.image == rgb).all()
    assert (found.depth == depth / np.float32(1000)).all() and found.camera.fx == recorded.FOCAL
    assert found.missing is None and len(found.camera.d) == 5
    assert found.pose.frame_id == "map" and found.pose.matrix[:3, 3].tolist() == [1, 2, 3]


def damaged(topic, kind, milliseconds=0, data=b"\xff\xd8\xff none"):
    """A CompressedImage with bytes that are no picture."""
    stamp = recorded.START + milliseconds * 1_000_000
    name = "16UC1; compressedDepth png" if kind == "depth" else "jpeg"
    return (
        topic,
        COMPRESSED,
        stamp,
        recorded.message(COMPRESSED, recorded.header(stamp), name, np.frombuffer(data, "u1")),
    )


def test_a_picture_that_is_none_is_left_out_and_said(tmp_path):
    bad = [damaged(TOPICS.image, "color", each) for each in (20, 40)]
    path = record(tmp_path / "bag", *bad)
    with pytest.raises(DecodeError):
        list(read_observations(path))
    said = []
    (observation,) = read_observations(path, problems=said.append)
    assert observation.stamp == recorded.START
    assert len(said) == 1 and said[0].startswith(f"images left out: 2, the first at {recorded.START + 20_000_000}: ")


def test_depth_and_camera_info_that_are_none_are_missing(tmp_path):
    info = recorded.camera_info(recorded.START)
    info.k = np.zeros(9)
    said = []
    (observation,) = read_observations(record(tmp_path / "bag", info=info), problems=said.append)
    assert observation.missing == "no_camera_info" and len(said) == 1 and "camera_info" in said[0]
    topics = dataclasses.replace(TOPICS, depth="/d/compressedDepth", pose=None)
    path = record(tmp_path / "depth", damaged("/d/compressedDepth", "depth"))
    said.clear()
    (observation,) = read_observations(path, topics, problems=said.append)
    assert observation.missing == "no_depth_message" and len(said) == 1 and "depth" in said[0]


def test_a_cut_recording_gives_what_is_before_the_cut(tmp_path):
    path = recorded.make(tmp_path / "bag", count=500)
    file = path / "bag.mcap"
    data = file.read_bytes()
    second = data.index(ZSTD, data.index(ZSTD) + 1)  # of the chunks
    file.write_bytes(data[: second + 20])
    said = []
    found = [each.stamp for each in read_observations(path, problems=said.append)]
    assert found == [recorded.START + index * recorded.STEP for index in range(len(found))] and 0 < len(found) < 500
    assert said and len(said) == len(set(said)) and all("\n" not in line for line in said)


def test_stamps_out_of_order_find_their_partners(tmp_path):
    """Two images arrive in the other order than they were taken, their depth in any."""
    stamps = recorded.START, recorded.START + recorded.STEP
    scenes = [recorded.scene(index) for index in (0, 3)]
    with bag.BagWriter(tmp_path / "bag") as writer:
        for arrival, index in enumerate((1, 0)):
            picture = recorded.message(
                COMPRESSED, recorded.header(stamps[index]), "jpeg", recorded.jpeg(scenes[index][0])
            )
            writer.write(TOPICS.image, COMPRESSED, stamps[1] + arrival, picture)
        for index in (0, 1):
            depth = recorded.compressed_depth(stamps[index], scenes[index][1])
            writer.write(TOPICS.depth, COMPRESSED, stamps[1] + 5 + index, depth)
    found = list(read_observations(tmp_path / "bag"))
    assert [each.stamp for each in found] == [stamps[1], stamps[0]]
    for each, index in zip(found, (1, 0), strict=True):
        assert (each.depth == scenes[index][1] / np.float32(1000)).all()


def test_of_two_cameras_one_is_read_the_named_one(tmp_path):
    path = record(tmp_path / "bag", damaged("/zed/rgb/image/compressed", "color"))
    assert camera_topics(path).image == TOPICS.image
    topics = camera_topics(path, image="/zed/rgb/image/compressed")
    assert topics.camera_info == TOPICS.camera_info  # in the same frame
    assert list(read_observations(path, topics, problems=lambda line: None)) == []


def test_memory_does_not_grow_with_the_recording(tmp_path):
    """Twenty times as many raw images, tf as fast as a robot's: no more is kept."""

    def most(count):
        pixels = np.zeros(240 * 320 * 3, np.uint8)
        with bag.BagWriter(tmp_path / f"bag{count}") as writer:
            for index in range(count):
                stamp = recorded.START + index * recorded.STEP
                message = recorded.message(IMAGE, recorded.header(stamp), 240, 320, "rgb8", 0, 960, pixels)
                writer.write("/camera/image", IMAGE, stamp, message)
                for part in range(5):
                    writer.write(*tf("map", "camera", index * 100 + 20 * part))
        gc.collect()
        tracemalloc.start()
        assert sum(each.pose is not None for each in read_observations(tmp_path / f"bag{count}")) == count
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    most(2)  # whatever is loaded once
    assert most(600) < 1.1 * most(30) + 500_000

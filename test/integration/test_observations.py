"""A recording becomes Observations: the right topics, partners by stamp, and what is missing said."""

import dataclasses

import cv2
import numpy as np
import pytest
import recorded

from gem_ros.errors import BagError
from gem_ros.replay import bag
from gem_ros.replay.observations import CameraTopics, find_topics, node_inputs, read_observations

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
        "/pose": "geometry_msgs/msg/PoseStamped",
    }
    assert find_topics(types) == CameraTopics(
        image="/cam/color/image_raw",
        depth="/cam/aligned_depth_to_color/image_raw/compressedDepth",
        camera_info="/cam/color/camera_info",
        pose="/pose",
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

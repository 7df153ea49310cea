"""A recording becomes Observations: the right topics, partners by stamp, and what is missing said."""

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

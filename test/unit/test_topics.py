"""A camera's topics among a recording's: types, frames and names decide, and what is named."""

import pytest

from gem_ros.errors import BagError
from gem_ros.replay.topics import CAMERA_INFO, COMPRESSED, IMAGE, POSE, TF, find_topics

TWO = {
    "/back/color/image_raw": IMAGE,
    "/back/color/camera_info": CAMERA_INFO,
    "/back/aligned_depth/image_raw": IMAGE,
    "/front/color/image_raw": IMAGE,
    "/front/color/image_raw/compressed": COMPRESSED,
    "/front/color/camera_info": CAMERA_INFO,
    "/front/depth/image_raw": IMAGE,
    "/front/depth_to_color/image_raw": IMAGE,
    "/tf": TF,
    "/tf_static": TF,
}
FRAMES = {
    **dict.fromkeys(("/back/color/image_raw", "/back/color/camera_info", "/back/aligned_depth/image_raw"), "back"),
    **dict.fromkeys(("/front/color/image_raw", "/front/color/camera_info", "/front/depth_to_color/image_raw"), "front"),
    "/front/depth/image_raw": "front_depth",
    "/front/color/image_raw/compressed": "front",
}


def test_of_two_cameras_the_first_by_name_or_the_named_one():
    first = find_topics(TWO, FRAMES)
    assert (first.image, first.depth) == ("/back/color/image_raw", "/back/aligned_depth/image_raw")
    assert first.camera_info == "/back/color/camera_info" and first.tf == ("/tf", "/tf_static")
    assert first == find_topics(dict(reversed(TWO.items())), FRAMES)
    second = find_topics(TWO, FRAMES, image="/front/color/image_raw/compressed")
    assert second.depth == "/front/depth_to_color/image_raw" and second.camera_info == "/front/color/camera_info"
    said = first.describe()
    assert "\n" not in said and "pose from /tf, /tf_static" in said and "other images: /front/color/image_raw" in said


def test_depth_of_another_frame_is_not_registered():
    types = {"/cam/rgb/image": IMAGE, "/cam/depth/image": IMAGE}
    frames = {"/cam/rgb/image": "rgb", "/cam/depth/image": "depth"}
    found = find_topics(types, frames)
    assert found.depth is None and "not taken: depth /cam/depth/image (frame depth)" in found.describe()
    assert find_topics(types, frames, depth="/cam/depth/image").depth == "/cam/depth/image"
    assert find_topics(types).depth == "/cam/depth/image"  # nothing is known of frames
    assert find_topics(types, dict.fromkeys(types, "rgb")).depth == "/cam/depth/image"
    assert find_topics({"/cam/rgb/image": IMAGE, "/cam/depth_registered/image": IMAGE}, frames).depth


def test_the_camera_info_is_the_one_beside_the_image_or_in_its_frame():
    types = {"/a/image": IMAGE, "/b/camera_info": CAMERA_INFO, "/c/camera_info": CAMERA_INFO}
    frames = {"/a/image": "x", "/b/camera_info": "y", "/c/camera_info": "x"}
    assert find_topics(types, frames).camera_info == "/c/camera_info"
    beside = {**types, "/a/camera_info": CAMERA_INFO}
    assert find_topics(beside, {**frames, "/a/camera_info": "own"}).camera_info == "/a/camera_info"
    none = find_topics(types, {**frames, "/c/camera_info": "z"})
    assert none.camera_info is None and "not taken: camera_info" in none.describe()


@pytest.mark.parametrize(
    ("topic", "frame", "taken"),
    [
        ("/camera_pose", "map", True),
        ("/slam/camera/pose", "map", True),
        ("/front/pose_optical", "map", True),
        ("/front/color/pose", "map", True),
        ("/pose", "map", False),
        ("/robot/pose", "map", False),
        ("/goal_pose", "map", False),
        ("/camera/goal_pose", "map", False),
        ("/front/color/target", "map", False),
        ("/camera/pose", "front", False),  # a pose in the camera's own frame is not the camera's
        ("/campus/pose", "map", False),
    ],
)
def test_a_pose_that_is_not_the_cameras_misleads_nobody(topic, frame, taken):
    types = {"/front/color/image": IMAGE, topic: POSE, "/tf": TF}
    found = find_topics(types, {"/front/color/image": "front", topic: frame})
    assert (found.pose, found.tf) == ((topic, ()) if taken else (None, ("/tf",)))
    assert (f"not taken: pose {topic}" in found.describe()) != taken
    assert find_topics(types, pose=topic).pose == topic
    assert (find_topics(types, pose="tf").pose, find_topics(types, pose="/tf").tf) == (None, ("/tf",))


def test_pictures_that_someone_drew_on_come_last_and_silent_topics_too():
    types = {"/a/overlay_color": IMAGE, "/b/infra1/image": IMAGE, "/c/image": IMAGE, "/d/color/image": IMAGE}
    assert find_topics(types).image == "/d/color/image"
    assert find_topics(types, {"/c/image": "c"}).image == "/c/image"
    assert find_topics({"/b/infra1/image": IMAGE, "/c/image": IMAGE}).image == "/c/image"


def test_what_is_named_must_be_there_and_fit():
    with pytest.raises(BagError, match=r"image topic: .*\(/back/.*\), got /nothing"):
        find_topics(TWO, image="/nothing")
    with pytest.raises(BagError, match=f"camera_info topic: .*, got /tf of type {TF}"):
        find_topics(TWO, camera_info="/tf")
    with pytest.raises(BagError, match=r"pose topic: expected one of type .* \(none there\), got /pose"):
        find_topics(TWO, pose="/pose")
    with pytest.raises(BagError, match="colour image"):
        find_topics({"/depth/image": IMAGE, "/tf": TF})

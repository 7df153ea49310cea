"""Transforms that are missing, too old or of another run: the node places nothing by guess."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")
pytest.importorskip("tf2_ros", reason="needs tf2_ros, which a full ROS 2 installation has")

from geometry_msgs.msg import TransformStamped
from harness import MS, rig, soon
from placed import S, is_placed
from robot import FRAME, header
from tf2_ros import TransformBroadcaster

pytestmark = [pytest.mark.dds, pytest.mark.slow]
X = 1.0  # m, where the camera is
START = 1000 * S
HERE = f"tf: expected where '{FRAME}' is in 'map' at the image's stamp, got from tf2:"


def move(rig, stamp, x=X, frame="map", child=FRAME):
    """Broadcast that the camera is at ``x`` and looks along x of ``frame``."""
    made = TransformStamped(header=header(stamp, frame), child_frame_id=child)
    made.transform.translation.x, made.transform.translation.z = x, 1.0
    turned = made.transform.rotation
    turned.x, turned.y, turned.z, turned.w = -0.5, 0.5, -0.5, 0.5
    rig.broadcaster.sendTransform(made)


def around(rig, stamp, **how):
    for aside in (-20, 20):
        move(rig, stamp + aside * MS, **how)


def nobody_moves(rig, stamp):
    """No transform."""


def with_frame(name):
    return lambda frame: [setattr(each.header, "frame_id", name) for each in (frame.image, frame.depth, frame.info)]


# id -> what is broadcast at a stamp, how the frame is broken, what is told
FAULTS = {
    "tf-extrapolation-forward": (lambda rig, stamp: move(rig, stamp - 20 * MS), None, f"{HERE} Lookup would require"),
    "tf-extrapolation-backward": (
        lambda rig, stamp: move(rig, stamp + 20 * MS, child="late"),
        with_frame("late"),
        "in 'map' at the image's stamp, got from tf2: Lookup would require extrapolation",
    ),
    "tf-frame-missing": (around, with_frame("nowhere"), "tf: expected where 'nowhere' is in 'map'"),
    "tf-frame-empty": (around, with_frame(""), "image: expected a frame_id"),
    "tf-of-another-tree": (
        lambda rig, stamp: around(rig, stamp, frame="odom", child="left"),
        with_frame("left"),
        "tf: expected where 'left' is in 'map' at the image's stamp, got from tf2:",
    ),
}


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """In the map, by tf."""
    with rig(tmp_path_factory.mktemp("tf"), 18, "-p", "target_frame:=map", see=see_first) as made:
        yield made


def see_first(rig):
    if not hasattr(rig, "broadcaster"):
        rig.broadcaster = TransformBroadcaster(rig.robot.node)
    return send_from(rig)


def send_from(rig, moving=around, spoil=None, stamp=None, **how):
    stamp = stamp or rig.pace()
    moving(rig, stamp, **how)
    return rig.send(spoil, stamp=stamp)


def recovered(mapped):
    seen = [mapped.answer(send_from(mapped)) for _ in range(2)]
    assert is_placed(seen[1], X), mapped.node.log
    assert is_placed(seen[0], X) or seen[0]["point"] is None


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_transform(mapped, fault):
    moving, spoil, says = FAULTS[fault]
    recovered(mapped)
    mapped.robot.health.clear()
    spoilt = lambda: send_from(mapped, moving, spoil)  # noqa: E731
    target = mapped.answer(spoilt())
    assert (target["found"], target["reason"], target["point"]) == (True, "no_transform", None)
    assert target["pixel"]
    assert mapped.told(says, spoilt) < soon()
    recovered(mapped)
    mapped.alive()


def test_a_recording_that_begins_anew_is_not_placed_by_the_last_run(mapped):
    for x in (2.0, 6.0, 2.0):
        seen = [mapped.answer(send_from(mapped, stamp=START + index * 300 * MS, x=x)) for index in range(10)]
        assert all(is_placed(target, x) for target in seen[1:]), mapped.node.log
        assert is_placed(seen[0], x) or seen[0]["point"] is None
    recovered(mapped)

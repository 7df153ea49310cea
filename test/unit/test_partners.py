"""Which depth and camera_info belong to an image, and what is said where none does."""

import threading
import time
from types import SimpleNamespace

import pytest

from gem_ros.errors import DecodeError
from gem_ros.ros.partners import Partner, find_partners


def message(stamp, frame="camera"):
    return SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=0, nanosec=stamp), frame_id=frame))


def partner(*messages, read=lambda message: message, live=True):
    made = Partner(read, lambda: live)
    for each in messages:
        made.add(each)
    return made


def found(depth, info, slop=0.05):
    complaints = []
    partners = find_partners(1000, "camera", depth=depth, info=info, slop=slop, complain=complaints.append)
    return partners, complaints


def test_depth_of_another_frame_is_misaligned_and_says_so():
    partners, complaints = found(partner(message(1000, "other")), partner(message(1000)))
    assert (partners.depth, partners.missing) == (None, "misaligned")
    assert "'camera'" in str(complaints[0]) and "other" in str(complaints[0])


@pytest.mark.parametrize(
    ("stamp", "missing", "says"),
    [(1000 + 70_000_000, "misaligned", "0.070 s after it"), (1000 - 70_000_000, None, "0.070 s before it")],
)
@pytest.mark.parametrize("late", ["depth", "camera_info"])
def test_other_stamps_are_told_with_numbers_and_newer_ones_are_misaligned(stamp, missing, says, late):
    there, off = partner(message(1000)), partner(message(stamp - 10**9), message(stamp))
    depth, info = (off, there) if late == "depth" else (there, off)
    partners, complaints = found(depth, info, slop=0.05)
    assert (partners.missing, len(complaints)) == (missing, 1)
    assert (partners.depth is None, partners.camera is None) == (late == "depth", late != "depth")
    assert str(complaints[0]) == (
        f"{late}: expected one at most 0.05 s from the image's stamp, got the nearest {says}; "
        "synchronise their clocks, or raise sync_slop"
    )


def test_of_topics_that_were_never_heard_nothing_is_told():
    partners, complaints = found(partner(), partner(live=False), slop=0.01)
    assert (partners.depth, partners.camera, partners.missing, complaints) == (None, None, None, [])


def test_a_topic_that_has_gone_is_told():
    gone = partner(message(1000 - 10**9), live=False)
    partners, complaints = found(gone, partner(message(1000)))
    assert (partners.depth, partners.missing) == (None, None)
    assert "got the nearest 1.000 s before it; nobody publishes it any more" in str(complaints[0])


def test_depth_without_a_camera_info_is_told():
    partners, complaints = found(partner(message(1000)), partner(), slop=0.01)
    assert (partners.camera, partners.missing) == (None, None)
    assert str(complaints[0]).startswith("camera_info: expected one with the depth, got none")


def test_without_a_stamp_nothing_belongs_to_an_image():
    for other in (message(0), message(1)):
        complaints = []
        both = {"depth": partner(other), "info": partner(other)}
        partners = find_partners(0, "camera", **both, slop=5.0, complain=complaints.append)
        assert (partners.depth, partners.camera, partners.missing) == (None, None, "misaligned")
        assert str(complaints[0]).startswith("image: expected the stamp of its moment, got 0")


def test_what_cannot_be_read_is_missing_and_complained_about():
    def broken(message):
        raise DecodeError("depth: expected 16UC1")

    info = message(1000)
    partners, complaints = found(partner(message(1000), read=broken), partner(info))
    assert (partners.depth, partners.camera, str(complaints[0])) == (None, info, "depth: expected 16UC1")


def test_a_topic_that_nobody_publishes_is_not_waited_for():
    start = time.monotonic()
    found(partner(live=False), partner(live=False), slop=5.0)
    assert time.monotonic() - start < 1.0


def test_the_one_of_the_image_is_waited_for_although_the_one_before_is_near_enough():
    depth, info, right = (
        partner(message(1000 - 33_000_000 + 10**8)),
        partner(message(1000 + 10**8)),
        message(1000 + 10**8),
    )
    coming = threading.Timer(0.05, depth.add, [right])
    coming.start()
    partners = find_partners(1000 + 10**8, "camera", depth=depth, info=info, slop=0.2, complain=pytest.fail)
    coming.join()
    assert partners.depth is right


def test_who_publishes_is_not_asked_where_it_has_come():
    there = Partner(lambda message: message, lambda: pytest.fail("asked"))
    there.add(message(1000))
    assert found(there, there)[0].depth is not None

"""Images that are broken, change in mid-stream, or stop: what the node answers, says, and how it goes on."""

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from harness import (
    BUSY,
    NOTHING,
    OK,
    RECOVERED_AFTER,
    Fault,
    good_frame,
    is_good,
    pixels_message,
    rig,
    rows,
    scene,
    soon,
)
from pictures import ENCODINGS, GRAY, WIDE, encoded
from rclpy.serialization import serialize_message
from robot import FRAME, SIZE, stamp_of
from sensor_msgs.msg import Image

pytestmark = [pytest.mark.dds, pytest.mark.slow]
SILENCE = 2.0  # s without an image that count as a lost camera


def put(**fields):
    """Breaks a frame by these fields of its image."""

    def spoil(frame):
        for name, value in fields.items():
            setattr(frame.image, name, value(frame.image) if callable(value) else value)

    return spoil


def as_encoding(encoding, pixels=None, **fields):
    """Breaks a frame by an image of this encoding."""

    def spoil(frame):
        picture = scene() if pixels is None else pixels
        frame.image = pixels_message(stamp_of(frame.image), picture, encoding, **fields)

    return spoil


def cut_off(length):
    def spoil(frame):
        frame.image = bytes(serialize_message(frame.image))[:length]

    return spoil


def rename(**names):
    """Breaks a frame by other frame ids of its messages."""

    def spoil(frame):
        for part, name in names.items():
            getattr(frame, part).header.frame_id = name

    return spoil


def larger(frame):
    """The image alone has twice the resolution."""
    frame.image = good_frame(stamp_of(frame.image), (2 * SIZE[0], 2 * SIZE[1])).image


BROKEN = [
    Fault(
        "image-zero-size", put(height=0, width=0, step=0, data=b""), NOTHING, "expected 1 to 100000000 pixels, got 0x0"
    ),
    Fault("image-zero-width", put(width=0), NOTHING, "expected 1 to 100000000 pixels, got 0x48"),
    Fault("image-huge-size", put(height=2**32 - 1, width=2**32 - 1), NOTHING, "expected 1 to 100000000 pixels"),
    Fault("image-without-data", put(data=b""), NOTHING, "expected 9216 bytes (48 rows of 192), got 0"),
    Fault("image-step-too-small", put(step=191), NOTHING, "expected a step of at least 192 bytes"),
    Fault("image-step-zero", put(step=0), NOTHING, "expected a step of at least 192 bytes"),
    Fault("image-step-too-large", put(step=200), NOTHING, "expected 9600 bytes (48 rows of 200), got 9216"),
    Fault("image-data-too-short", put(data=lambda image: image.data[:-100]), NOTHING, "expected 9216 bytes"),
    Fault("image-data-too-long", put(data=lambda image: bytes(image.data) + b"!"), NOTHING, "got 9217"),
    Fault("image-encoding-unknown", put(encoding="holographic"), NOTHING, "got 'holographic' and no cv_bridge"),
    Fault("image-encoding-empty", put(encoding=""), NOTHING, "got '' and no cv_bridge"),
    Fault("image-encoding-float", as_encoding("32FC3", scene().astype("<f4")), NOTHING, "got '32FC3'"),
    Fault("image-encoding-depth", as_encoding("16UC1", scene()[..., 0].astype("<u2")), NOTHING, "got '16UC1'"),
    Fault("image-encoding-of-another-size", put(encoding="rgba8"), NOTHING, "expected a step of at least 256 bytes"),
    Fault("image-nv12-odd", put(encoding="nv12", height=47), NOTHING, "expected even sides for nv12, got 64x47"),
    Fault("image-yuv422-odd", put(encoding="yuv422", width=63), NOTHING, "expected an even width for yuv422, got 63"),
    Fault("image-message-cut-off", cut_off(40), NOTHING, "expected a whole sensor_msgs/Image"),
    Fault("image-message-cut-off-in-pixels", cut_off(5000), NOTHING, "expected 9216 bytes of pixels"),
    Fault("image-frame-empty", rename(image=""), OK, "image: expected a frame_id, got none"),
    Fault("image-frame-of-another-camera", rename(image="left"), "misaligned", "expected the image's frame 'left'"),
    Fault("image-resolution-alone", larger, "misaligned", "camera_info: expected the image's size 128x96, got 64x48"),
]


@pytest.fixture(scope="module")
def red(tmp_path_factory):
    with rig(tmp_path_factory.mktemp("red"), 10) as made:
        yield made


@pytest.fixture
def gray(red):
    """The node looks for what is bright, as long as the test lasts."""
    red.robot.ask("bright")
    yield red
    red.robot.ask("red")


@rows(BROKEN)
def test_a_broken_image(red, fault):
    red.check(fault)


def same_answer(rig, encoding, query="red", **fields):
    """Whether one image in this encoding is answered as the one in rgb8."""
    rig.recovered() if query == "red" else None
    stamp = rig.send(lambda frame: vars_of(frame, encoding, fields))
    target = rig.answer(stamp)
    assert is_good(target, query), (target, rig.node.log)
    assert target["pixel"] == pytest.approx((31.5, 23.5), abs=1.0)


def vars_of(frame, encoding, fields):
    frame.image = encoded(stamp_of(frame.image), scene(), encoding, **fields)


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name not in GRAY])
def test_every_colour_encoding_gives_the_answer_of_rgb(red, encoding):
    same_answer(red, encoding)


@pytest.mark.parametrize("encoding", GRAY)
def test_every_gray_encoding_gives_the_answer_of_rgb(gray, encoding):
    same_answer(gray, "rgb8", "bright")
    same_answer(gray, encoding, "bright")


@pytest.mark.parametrize("encoding", [name for name in WIDE if name not in GRAY])
def test_every_16_bit_encoding_may_be_big_endian(red, encoding):
    same_answer(red, encoding, big_endian=True)


def test_mono16_may_be_big_endian(gray):
    same_answer(gray, "mono16", "bright", big_endian=True)


@pytest.mark.parametrize("encoding", ["rgb8", "bgra8", "bayer_rggb8", "bayer_grbg16", "yuyv", "nv12"])
def test_padding_after_each_row_is_skipped(red, encoding):
    same_answer(red, encoding, padding=10)


def test_what_is_red_is_not_red_in_gray(red):
    """The answer depends on what is in the picture, or the tests above would show nothing."""
    target = red.answer(red.send(lambda frame: vars_of(frame, "mono8", {})))
    assert (target["found"], target["reason"]) == (False, "absent")


def test_the_encoding_changes_in_mid_stream(red):
    ids = set()
    for encoding in ("rgb8", "bgr8", "bayer_rggb8", "nv12", "rgb8"):
        target = red.answer(red.send(lambda frame, encoding=encoding: vars_of(frame, encoding, {})))
        assert is_good(target)
        ids.add(target["id"])
    assert len(ids) == 1


def test_the_resolution_changes_in_mid_stream(red):
    twice = 2 * SIZE[0], 2 * SIZE[1]
    small = red.answer(red.recovered())
    red.robot.health.clear()
    for size, says, pixel in ((twice, "64x48 px as before, got 128x96", 63.5), (SIZE, "128x96 px as before", 31.5)):
        seen = [red.answer(red.send(size=size)) for _ in range(RECOVERED_AFTER)]
        assert all(map(is_good, seen)) and seen[-1]["pixel"][0] == pytest.approx(pixel, abs=1.0)
        assert len({target["id"] for target in seen}) == 1 and seen[0]["id"] != small["id"]
        assert red.told(says, lambda size=size: red.send(size=size)) < soon()


def test_the_frame_id_changes_in_mid_stream(red):
    first = red.answer(red.recovered())
    red.robot.health.clear()
    other = lambda: red.send(rename(image="left", depth="left", info="left"))  # noqa: E731
    seen = [red.answer(other()) for _ in range(RECOVERED_AFTER)]
    assert all(map(is_good, seen)) and seen[0]["id"] == seen[1]["id"] != first["id"]
    assert red.told(f"expected frame '{FRAME}' as before, got 'left'", other) < soon()
    assert red.answer(red.recovered())["id"] not in (first["id"], seen[0]["id"])


def test_the_camera_stops_and_comes_back(red):
    red.recovered()
    red.robot.health.clear()
    assert red.told("no image for", within=SILENCE + BUSY) < SILENCE + soon()
    red.recovered(frames=1)
    assert red.over("no image for")


def test_the_camera_driver_is_started_anew(red):
    robot = red.robot
    red.recovered()
    robot.node.destroy_publisher(robot.image)
    robot.health.clear()
    assert red.told("nobody publishes /image", within=SILENCE + BUSY) < SILENCE + soon()
    robot.image = robot.node.create_publisher(Image, "image", 1)
    assert robot.wait(robot.image.get_subscription_count)
    assert robot.see_until(robot.answered, red.send)  # discovery takes its time
    red.recovered(frames=1)

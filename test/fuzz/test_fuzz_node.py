"""Whatever comes in, in whatever order: the node goes on, and what it says is whole, finite and of an image's stamp."""

import struct
import time
import warnings
import zlib
from collections import Counter
from contextlib import suppress

import pytest

rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (pip install gem_ros[ros])")

from given import steps  # noqa: E402
from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from made import messages_of, parameter_of, pixel_of, query_of  # noqa: E402
from rig import Clock, Rig, steady  # noqa: E402

from gem_ros.errors import GemError  # noqa: E402
from gem_ros.messages import cdr  # noqa: E402
from gem_ros.queries import parse_queries  # noqa: E402

LONGEST = 5.0  # s of CPU that one step may take, on a slow machine and with pictures of 70,000 px
NODES = {
    "raw": (("",), {}),
    "placed": (("",), {"target_frame": "map", "pose_source": "topic", "sync_slop": 0.0}),
    "compressed": (("",), {"image_transport": "compressed", "depth_transport": "compressed", "rectified": "yes"}),
    "two": (("front", "left"), {"cameras": ["front", "left"], "target_frame": "map", "pose_source": "topic"}),
}


@pytest.fixture(scope="module")
def rigs():
    """A node of each kind, made once: what a node has lived through is part of the test."""
    context, clock, made = rclpy.Context(), Clock(), {}
    rclpy.init(context=context, args=[])
    with steady(clock):
        for kind, (_, overrides) in NODES.items():
            made[kind] = Rig(context, clock, live=kind == "placed", **overrides)
        yield made
        for each in made.values():
            each.close()
    context.try_shutdown()


def show(rig, camera, message):
    """Note the stamp and the frame of an image, read apart from the node's own reader."""
    if isinstance(message, bytes):
        order = {b"\0\0": ">", b"\0\1": "<"}.get(message[:2])
        if order is None or len(message) < 12:
            return
        sec, nanosec = struct.unpack_from(f"{order}iI", message, 4)
        with suppress(GemError):
            rig.listener.show(camera, sec * 1_000_000_000 + nanosec, cdr.image(message).header.frame_id)
    else:
        stamp = message.header.stamp
        rig.listener.show(camera, stamp.sec * 1_000_000_000 + stamp.nanosec, message.header.frame_id)


def do(rig, kind, step, cameras):
    """One step; how many messages it was."""
    if kind == "shot":
        rig.clock.now += 0.033
        made = messages_of(step, rig.compressed)
        for number, (topic, message) in enumerate(made):
            camera = cameras[step[1]["seed"] % len(cameras)]
            if topic.startswith("image"):
                show(rig, camera, message)
            rig.hear(f"{camera}/{topic}".lstrip("/"), message)
            if (step[1]["seed"] >> number) & 1:  # before its partners, between them
                rig.think()
        rig.think()
        return len(made)
    if kind == "set":
        for result in rig.set(*(parameter_of(*each) for each in step[1]), together=step[2]):
            assert result.successful or result.reason
        rig.check_parameters()
        return len(step[1])
    if kind == "query":
        ask(rig, step[1])
        return 1
    if kind == "pixel":
        rig.hear("pixel_query", pixel_of(*step[1:]))
        rig.think()
        rig.check_parameters()
        return 1
    if kind == "tick":
        rig.clock.now += step[1]
    elif kind == "enable":
        rig.enable(step[1])
    elif kind == "restart":
        rig.deactivate()
        rig.activate()
    else:
        {"clear": rig.clear, "diagnose": rig.diagnose, "look": rig.look, "answer": rig.answer}[kind]()
    return 0


def ask(rig, text):
    """A query is taken as a whole, or nothing of it."""
    before = rig.asked.queries
    rig.hear("query", query_of(text))
    wanted = ()
    with suppress(GemError):
        wanted = parse_queries(text, rig.asked.config.max_queries)
    assert rig.asked.queries in (before, wanted)
    rig.check_parameters()


def run(rigs, kind, examples, length):
    """Sequences of ``length`` steps; how many messages came in.

    The first failure is told with its step, outside of Hypothesis: a node that has lived on cannot be asked the same
    again, so there is nothing to shrink.
    """
    rig, (cameras, _), count, failed = rigs[kind], NODES[kind], 0, []
    rig.compressed = kind == "compressed"

    @seed(zlib.crc32(kind.encode()))
    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate],
    )
    @given(st.lists(steps(rig.compressed), min_size=length, max_size=length))
    def sequence(all):
        nonlocal count
        rig.refresh()
        for step in () if failed else all:
            start = time.thread_time()
            try:
                count += do(rig, step[0], step, cameras)
                assert time.thread_time() - start < LONGEST
            except BaseException as error:
                failed.append((step, error))
                return

    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # numpy's: what overflowed, and nobody knows whose it is
        sequence()
    if failed:
        step, error = failed[0]
        raise AssertionError(f"after {count} messages: {step!r:.3000}") from error
    return count


QUICK, SLOW = 145, 2900  # sequences of each kind of node: more than 5,000 and 100,000 messages in all


def check(rigs, sequences, least):
    counts = {kind: run(rigs, kind, sequences, 8) for kind in NODES}
    heard = sum((each.listener.heard for each in rigs.values()), Counter())
    print(f"{sum(counts.values())} messages in: {counts}; out: {dict(heard)}")
    assert sum(counts.values()) >= least
    for topic in ("result", "heatmap", "target", "targets", "rays", "markers", "goal", "overlay/compressed", "queries"):
        assert heard[topic], f"never heard: {topic}"


def test_five_thousand_messages(rigs):
    check(rigs, QUICK, 5_000)


@pytest.mark.slow
def test_a_hundred_thousand_messages(rigs):
    check(rigs, SLOW, 100_000)


def test_pixels_are_among_what_comes_in(rigs):
    """Some of them must be good, or the rest shows nothing."""
    rig = rigs["raw"]
    rig.refresh()
    rig.compressed = False
    do(rig, "shot", ("shot", {**MOMENT, "stamp": (3000, 0)}, {}, {}, {}, None, (3, 1, 2, 0)), [""])
    do(rig, "pixel", ("pixel", {"stamp": (3000, 0), "frame": "", "at": (5.0, 7.0, 0.0)}, {}), [""])
    assert [each.text for each in rig.asked.queries] == ["@pixel"]


MOMENT = {
    "size": (48, 64),
    "stamp": (100, 0),
    "frame": "camera",
    "seed": 0,
    "pixels": "noise",
    "encoding": "rgb8",
    "depth": "16UC1",
}


def test_where_the_lens_model_has_no_answer_there_is_no_arrow(rigs):
    rig = rigs["raw"]
    rig.refresh()
    rig.compressed, before = False, rig.listener.heard["markers"]
    lens = {"d": [0.0, 0.0, -1.0, 0.0, 0.0], "stamp": (2000, 0)}
    do(rig, "shot", ("shot", {**MOMENT, "stamp": (2000, 0)}, {}, {"encoding": "mono8"}, lens, None, (3, 1, 2, 0)), [""])
    assert rig.listener.heard["markers"] == before + 1


def test_a_query_that_is_longer_written_out_is_refused_aloud(rigs, capfd):
    """It was passed over without a word."""
    rig, text = rigs["raw"], "a" * 509 + ":.5"
    rig.hear("query", query_of(text))
    assert not any(each.text.startswith("aaa") for each in rig.asked.queries)
    assert "query refused: query: expected at most 512 bytes" in capfd.readouterr().err

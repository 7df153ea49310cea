"""When ~/goal is sent: once for each reason, not with every image."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from gem_ros.config import Config
from gem_ros.data import Box, Grounding, Pose, Query, Target, Track
from gem_ros.ros.goals import TURNED, Goals, listeners

CONFIG = Config(target_frame="map", standoff=1.0, goal_hysteresis=0.25)
WHO = {b"planner"}


def pose(x=0.0, y=0.0):
    """A camera at (x, y), 1 m high, that looks along the map's x axis."""
    matrix = np.array([[0.0, 0.0, 1.0, x], [-1.0, 0.0, 0.0, y], [0.0, -1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
    return Pose("map", matrix)


def ball(point=(3.0, 0.0, 0.2), track=None, **changes):
    where = None if point is None else np.array(point)
    target = Target("ball", 0, True, 0.9, 0.5, "ok", (1.0, 2.0), None, None, where, np.eye(3), track=track)
    return dataclasses.replace(target, **changes)


def track(number, position=None):
    where = None if position is None else np.array(position)
    return Track(number, "ball", 0, 0, 0, 1, 0.9, (1.0, 2.0), where, None)


def seen(*targets):
    return Grounding((Query("ball"),), targets, (8, 12), np.zeros((1, 2, 3), np.float32), lambda maps: maps)


def ask(goals, *targets, at=None, epoch=1, who=WHO, config=CONFIG):
    return goals.next(seen(*targets), at or pose(), epoch, who, config)


@pytest.fixture
def goals():
    """A goal was sent for the ball at x = 3 m."""
    goals = Goals()
    assert ask(goals, ball()) == pytest.approx((2.0, 0.0, 0.0))
    return goals


def test_the_same_goal_is_sent_once(goals):
    assert ask(goals, ball()) is None


def test_a_goal_is_sent_again_once_it_has_moved_more_than_the_hysteresis(goals):
    assert ask(goals, ball((3.2, 0.0, 0.2))) is None
    assert ask(goals, ball((3.24, 0.0, 0.2))) is None  # measured from the one that was sent: nothing adds up unseen
    assert ask(goals, ball((3.26, 0.0, 0.2))) == pytest.approx((2.26, 0.0, 0.0))
    assert ask(goals, ball((3.1, 0.0, 0.2))) is None
    assert ask(goals, ball((3.0, 0.0, 0.2))) == pytest.approx((2.0, 0.0, 0.0))


def test_without_hysteresis_every_image_sends(goals):
    assert ask(goals, ball(), config=dataclasses.replace(CONFIG, goal_hysteresis=0.0)) is not None


@pytest.mark.parametrize("sign", [1, -1])
def test_a_turned_heading_is_a_new_goal(sign):
    goals, config = Goals(), dataclasses.replace(CONFIG, standoff=0.1)
    assert ask(goals, ball(), config=config)
    aside = 3 * math.tan(TURNED)
    assert ask(goals, ball(), at=pose(y=sign * aside * 0.95), config=config) is None
    assert ask(goals, ball(), at=pose(y=sign * aside * 1.05), config=config).yaw == pytest.approx(
        -sign * math.atan(1.05 * math.tan(TURNED))
    )


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 2},
        {"who": {b"planner", b"another"}},
        {"who": {b"another"}},  # as many as before, but not the same
        {"config": dataclasses.replace(CONFIG, standoff=1.1)},
    ],
)
def test_other_queries_listeners_and_standoffs_are_a_reason(goals, change):
    assert ask(goals, ball(), **change) is not None
    assert ask(goals, ball(), **change) is None


def test_another_thing_at_the_same_place_is_a_reason(goals):
    assert ask(goals, ball(track=track(7))) is not None
    assert ask(goals, ball(track=track(7))) is None
    assert ask(goals, ball(track=track(8))) is not None


def test_a_listener_that_leaves_is_no_reason_and_one_that_comes_while_nothing_is_seen_gets_the_next():
    goals, both = Goals(), {b"one", b"two"}
    assert ask(goals, ball(), who=both)
    assert ask(goals, ball(), who={b"one"}) is None
    assert ask(goals, ball(found=False), who={b"one", b"three"}) is None
    assert ask(goals, ball(), who={b"one", b"three"}) is not None
    assert ask(goals, ball(), who=both) is not None  # the second came back


def test_what_was_not_sent_for_want_of_listeners_is_not_remembered():
    goals = Goals()
    assert ask(goals, ball(), who=set()) is None
    assert ask(goals, ball()) is not None


@pytest.mark.parametrize(
    "targets",
    [
        (),
        (ball(found=False, reason="unconfirmed"),),
        (ball(None, reason="no_depth"),),
        (ball(query_index=1),),
        (ball((math.nan, 0.0, 0.0)),),
        (ball((0.0, 0.0, 0.2), box=Box(np.full(3, math.nan), np.ones(3), np.eye(3))),),
    ],
)
def test_without_a_place_there_is_no_goal(targets):
    assert ask(Goals(), *targets) is None


def test_without_a_pose_there_is_no_goal():
    assert Goals().next(seen(ball()), None, 1, WHO, CONFIG) is None


def test_the_filtered_position_counts_where_there_is_one():
    assert ask(Goals(), ball(track=track(1, (4.0, 0.0, 0.2)))) == pytest.approx((3.0, 0.0, 0.0))
    assert ask(Goals(), ball(track=track(1))) == pytest.approx((2.0, 0.0, 0.0))


def test_the_best_that_has_a_point_counts_and_its_box():
    box = Box(np.array([5.0, 0.0, 0.5]), np.array([4.0, 1.0, 1.0]), np.eye(3))  # from x = 3 m on
    targets = (ball(None, score=0.95), ball((4.0, 0.0, 0.2), box=box), ball((9.0, 0.0, 0.2), score=0.8))
    assert ask(Goals(), *targets) == pytest.approx((2.95, 0.0, 0.0))


def test_listeners_are_known_by_their_identity():
    asked = []

    def infos(topic):
        asked.append(topic)
        return [SimpleNamespace(endpoint_gid=[1, 2, 255]), SimpleNamespace(endpoint_gid=[1, 2, 254])]

    node = SimpleNamespace(get_subscriptions_info_by_topic=infos)
    assert listeners(node, "/grounding/goal") == {b"\x01\x02\xff", b"\x01\x02\xfe"}
    assert asked == ["/grounding/goal"]


def test_of_two_look_alikes_the_goal_stays_with_the_one_it_was_for():
    goals, near, far = Goals(), ball((3.0, 0.0, 0.2), track(4)), ball((6.0, 0.0, 0.2), track(5))
    assert ask(goals, near, far) == pytest.approx((2.0, 0.0, 0.0))
    assert ask(goals, far, near) is None
    assert ask(goals, far, dataclasses.replace(near, found=False)) == pytest.approx((5.0, 0.0, 0.0))
    assert ask(goals, near, far) is None
    assert ask(goals, near, far, epoch=2) == pytest.approx((2.0, 0.0, 0.0))  # asked anew: the best

"""When ~/goal is sent: a planner starts anew with every goal, so only for a reason."""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable
from typing import Any

from gem_ros.config import Config
from gem_ros.data import Grounding, Pose, Target
from gem_ros.geometry.goal import Goal, standoff_goal, turn

TURNED = math.radians(15)  # a heading that turned by more is a new goal


class Goals:
    """Remembers what was sent; :meth:`next` gives the goal of an image that is worth sending."""

    def __init__(self) -> None:
        self._sent: Goal | None = None
        self._reason: tuple[Any, ...] = ()  # what that goal was for
        self._told: frozenset[Hashable] = frozenset()  # who got it

    def next(
        self, grounding: Grounding, pose: Pose | None, epoch: int, subscribers: Collection[Hashable], config: Config
    ) -> Goal | None:
        """The goal of the first query's best found thing with a 3D point, or None where there is nothing to send.

        The thing that the last goal was for stays the one while it is found: of two look-alikes now the one,
        now the other may be the best.

        ``pose`` is the camera's in ``target_frame``, the frame of the points; without one there is no goal.
        ``subscribers`` names who listens (:func:`listeners`). Sent again if it moved more than
        ``goal_hysteresis`` (0: with every image) or turned more than :data:`TURNED`, for another thing,
        other queries, another ``standoff``, and for a subscriber that has not got it.
        """
        target = self._choose(grounding, epoch)
        if target is None or pose is None or not subscribers:
            return None
        filtered = None if target.track is None else target.track.position
        at = target.point if filtered is None else filtered
        goal = None if at is None else standoff_goal(at, pose.matrix, config.standoff, target.box)
        if goal is None:
            return None
        reason = (epoch, 0 if target.track is None else target.track.id, config.standoff, pose.frame_id)
        told = self._told.issuperset(subscribers)
        if told and reason == self._reason and not self._moved(goal, config.goal_hysteresis):
            return None
        self._sent, self._reason, self._told = goal, reason, frozenset(subscribers)
        return goal

    def _choose(self, grounding: Grounding, epoch: int) -> Target | None:
        placed = [each for each in grounding.targets if each.found and each.query_index == 0 and each.point is not None]
        same = [each for each in placed if each.track and (epoch, each.track.id) == self._reason[:2]]
        return next(iter(same or placed), None)

    def _moved(self, goal: Goal, hysteresis: float) -> bool:
        if self._sent is None or hysteresis == 0:
            return True
        way = math.hypot(goal.x - self._sent.x, goal.y - self._sent.y)
        return way > hysteresis or turn(goal.yaw, self._sent.yaw) > TURNED


def listeners(node: Any, topic: str) -> frozenset[Hashable]:
    """Who subscribes to ``topic`` (resolved name), each by its own identity.

    A count would miss a subscriber that takes another's place, as Nav2's behaviour tree does when it is loaded anew.
    """
    return frozenset(bytes(each.endpoint_gid) for each in node.get_subscriptions_info_by_topic(topic))

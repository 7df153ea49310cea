"""What was found as vision_msgs/Detection2DArray and Detection3DArray (vision_msgs 4)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from gem_ros.data import Grounding, Target
from gem_ros.messages.build import Builder, Numbers


def detections_2d(build: Builder, header: Any, grounding: Grounding) -> Any:
    """One Detection2D per found target; ``header`` is the image's. Its hypothesis has no pose: see the 3D ones."""
    found = [_detection_2d(build, header, target) for target in grounding.targets if target.found]
    return build.make("vision_msgs/msg/Detection2DArray", header=header, detections=found)


def detections_3d(build: Builder, header: Any, grounding: Grounding) -> Any:
    """One Detection3D per found target with a point; ``header`` has the points' frame."""
    found = [
        _detection_3d(build, header, target, target.point)
        for target in grounding.targets
        if target.found and target.point is not None
    ]
    return build.make("vision_msgs/msg/Detection3DArray", header=header, detections=found)


def _detection_2d(build: Builder, header: Any, target: Target) -> Any:
    (u, v), (width, height) = _pixel_box(target)
    at = build.make("vision_msgs/msg/Point2D", x=u, y=v)
    centre = build.make("vision_msgs/msg/Pose2D", position=at, theta=0.0)
    box = build.make("vision_msgs/msg/BoundingBox2D", center=centre, size_x=width, size_y=height)
    results = [_hypothesis(build, target, np.zeros(3), None)]
    return build.make("vision_msgs/msg/Detection2D", header=header, results=results, bbox=box, id=_id(target))


def _detection_3d(build: Builder, header: Any, target: Target, point: Numbers) -> Any:
    """Without a known extent the box has no size and lies at the point."""
    if target.box is None:
        centre, size = build.pose(point), np.zeros(3)
    else:
        centre, size = build.pose(target.box.centre, target.box.rotation), target.box.size
    box = build.make("vision_msgs/msg/BoundingBox3D", center=centre, size=build.vector(size))
    results = [_hypothesis(build, target, point, target.covariance)]
    return build.make("vision_msgs/msg/Detection3D", header=header, results=results, bbox=box, id=_id(target))


def _hypothesis(build: Builder, target: Target, position: Numbers, covariance: Numbers | None) -> Any:
    """The query with its score; position and its covariance (3, 3) m², no orientation."""
    spread = np.zeros((6, 6))  # x, y, z, rotations about them
    if covariance is not None:
        spread[:3, :3] = covariance
    kind = "geometry_msgs/msg/PoseWithCovariance"
    pose = build.make(kind, pose=build.pose(position), covariance=spread.ravel())
    said = build.make("vision_msgs/msg/ObjectHypothesis", class_id=target.query, score=float(target.score))
    return build.make("vision_msgs/msg/ObjectHypothesisWithPose", hypothesis=said, pose=pose)


def _pixel_box(target: Target) -> tuple[tuple[float, float], tuple[float, float]]:
    """Centre (u, v) and size (width, height) px around the region; integers are pixel centres, so pixel 0 has size 1.

    Without a region: the peak, without a size.
    """
    if target.region is not None and target.region.any():
        left, top, width, height = cv2.boundingRect(np.ascontiguousarray(target.region).view(np.uint8))
        return (left + (width - 1) / 2, top + (height - 1) / 2), (float(width), float(height))
    u, v = target.pixel or (0.0, 0.0)
    return (float(u), float(v)), (0.0, 0.0)


def _id(target: Target) -> str:
    return "" if target.track is None else str(target.track.id)

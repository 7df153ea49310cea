"""The pictures in docs/images, drawn from the sample recording: ``python docs/make_pictures.py``.

Those of targets go the node's way: ground each image, place it in the map, track, encode; the last image is shown.
``python docs/make_pictures.py report`` evaluates the recording: ``docs/evaluation/metrics.json``, and, where a Chromium
is installed, the picture of its report.
"""

import dataclasses
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure
from scipy.spatial.transform import Rotation

from gem_ros import cli
from gem_ros.data import CameraIntrinsics, Grounding, Observation, Pose, Query
from gem_ros.geometry.camera import back_project
from gem_ros.geometry.frames import in_frame
from gem_ros.geometry.goal import standoff_goal
from gem_ros.geometry.tracking import Tracker
from gem_ros.messages.encode import Encoder
from gem_ros.messages.overlay import draw
from gem_ros.pipeline import Grounder
from gem_ros.replay.bag import message_class
from gem_ros.replay.observations import read_observations
from gem_ros.resources import resource

FOLDER = Path(__file__).parent / "images"
LAST, EVERY = 52, 4  # image of the recording that is shown, and which before it are looked at
ABSENT = ("black chair", "violin")
TABLE = ("red ball", "yellow cone", "blue mug")
CUBE, SPHERE, TEXT = 1, 2, 9  # visualization_msgs/Marker
STANDOFF = 0.4  # m; the table is small
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAGE = 1180, 2330  # px of the report that are shown: its summary, table and first charts
LIMITS = ("--fail-under", "found_recall=0.8", "--fail-over", "error_p90_m=0.05")


def look(grounder: Grounder, queries: tuple[str, ...]) -> tuple[Observation, Grounding]:
    """The shown image and what is known of it after all the images before."""
    tracker, asked = Tracker(), tuple(map(Query, queries))
    config = dataclasses.replace(grounder.config, target_frame="map", pose_source="topic")
    for index, seen in enumerate(read_observations(resource("data/tabletop"))):
        if index % EVERY == LAST % EVERY:
            features = grounder.encode_image(seen.image)
            known = {"image": seen.image, "depth": seen.depth, "camera": seen.camera, "missing": seen.missing}
            found = grounder.ground(features, tracker.asked(asked, config), **known)
            placed = tuple(in_frame(each, seen.pose) for each in found.targets)
            found = tracker.update(dataclasses.replace(found, targets=placed), seen.stamp, asked, config)
        if index == LAST:
            return seen, found
    raise SystemExit(f"the recording has fewer than {LAST + 1} images")


def overlay(name: str, seen: Observation, found: Grounding) -> None:
    """What ~/overlay shows."""
    assert seen.pose is not None
    cv2.imwrite(str(FOLDER / name), draw(seen.image, found, 0.5, seen.pose.matrix[:3, 3]))


def cloud(seen: Observation, step: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) m in the map and their colours (N, 3) in [0, 1]."""
    assert seen.depth is not None and isinstance(seen.camera, CameraIntrinsics) and isinstance(seen.pose, Pose)
    rows, columns = np.nonzero(np.isfinite(seen.depth[::step, ::step]) & (seen.depth[::step, ::step] < 1.8))
    rows, columns = rows * step, columns * step
    points = back_project(seen.camera, np.column_stack([columns, rows]).astype(float), seen.depth[rows, columns])
    return points @ seen.pose.matrix[:3, :3].T + seen.pose.matrix[:3, 3], seen.image[rows, columns] / 255


def markers(name: str, seen: Observation, found: Grounding) -> None:
    """~/markers as RViz would show them, in the coloured depth, with the camera and the goal."""
    assert seen.pose is not None
    encoder = Encoder(message_class)
    header, image_header = encoder.header(seen.stamp, "map"), encoder.header(seen.stamp, seen.frame_id)
    figure = Figure(figsize=(9, 5.2), facecolor="#11141a")
    # larger than the figure: what matplotlib leaves free around a 3D plot is cut off
    axes = figure.add_axes((-0.35, -0.8, 1.7, 2.6), projection="3d", computed_zorder=False, facecolor="#11141a")
    points, colours = cloud(seen)
    kept = points[:, 2] > points[:, 2].max() - 0.5  # the table and what stands on it
    points, colours = points[kept], colours[kept]
    axes.scatter(*points.T, c=colours, s=2.0, linewidths=0, zorder=1)
    for each in encoder.markers(header, image_header, found, z_up=True).markers:
        at = np.array([each.pose.position.x, each.pose.position.y, each.pose.position.z])
        colour = (each.color.r, each.color.g, each.color.b, each.color.a)
        if each.type == SPHERE:
            axes.scatter(*at, color=colour, s=130, edgecolors="white", linewidths=1.2, zorder=3)
        elif each.type == TEXT:
            axes.text(*at, each.text, color="white", fontsize=10, ha="center", zorder=4)
        elif each.type == CUBE:
            turned = each.pose.orientation
            box(axes, at, each.scale, Rotation.from_quat([turned.x, turned.y, turned.z, turned.w]), colour[:3])
    best = found.best(0)
    if best.point is not None and (goal := standoff_goal(best.point, seen.pose.matrix, STANDOFF, best.box)):
        floor = points[:, 2].min()
        axes.quiver(goal.x, goal.y, floor, np.cos(goal.yaw), np.sin(goal.yaw), 0, length=0.25, color="#3fb950", lw=3)
        axes.text(goal.x, goal.y, floor + 0.06, "~/goal", color="#3fb950", fontsize=10, ha="center")
    for axis, colour in zip(seen.pose.matrix[:3, :3].T, ("#f06054", "#3fb950", "#4f9dff"), strict=True):
        axes.quiver(*seen.pose.matrix[:3, 3], *axis, length=0.15, color=colour, lw=2.5)
    axes.set_axis_off()
    axes.set_box_aspect(np.ptp(points, axis=0), zoom=1.2)
    axes.view_init(elev=28, azim=-65)
    figure.savefig(FOLDER / name, dpi=110)


def box(axes, centre, scale, rotation, colour) -> None:
    """The twelve edges of a cube marker."""
    half = np.array([scale.x, scale.y, scale.z]) / 2
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    for first in range(8):
        for second in range(first):
            if np.abs(corners[first] - corners[second]).sum() == 2:
                ends = rotation.apply(corners[[first, second]] * half) + centre
                axes.plot(*ends.T, color=colour, lw=1.3, zorder=2)


def report(name: str) -> None:
    """What gem-ros evaluate makes of the recording."""
    numbers = FOLDER.parent / "evaluation"
    numbers.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if cli.main(["evaluate", str(resource("data/tabletop")), "--report", str(folder), *LIMITS]):
            raise SystemExit("the recording could not be evaluated")
        shutil.copy(folder / "metrics.json", numbers)
        browser = next(filter(None, map(shutil.which, BROWSERS)), None)
        if browser is None:
            raise SystemExit(f"{name} is left as it is: expected one of {', '.join(BROWSERS)}; apt install chromium")
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={PAGE[0]},{PAGE[1]}"]
        shot = folder / "report.png"
        page = (folder / "report.html").as_uri()
        subprocess.run([browser, *options, f"--screenshot={shot}", page], check=True, capture_output=True)
        cv2.imwrite(str(FOLDER / name), cv2.imread(str(shot)), [cv2.IMWRITE_JPEG_QUALITY, 72])


def main(chosen: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    if chosen == ["report"]:
        report("report.jpg")
        return
    grounder = Grounder.load("bundled")
    overlay("target.jpg", *look(grounder, ("red ball",)))
    overlay("absent.jpg", *look(grounder, ABSENT))
    markers("markers.jpg", *look(grounder, TABLE))


if __name__ == "__main__":
    main(sys.argv[1:])

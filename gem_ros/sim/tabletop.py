"""The sample recording: ten seconds of a camera that moves past things on a table.

``python -m gem_ros.sim.tabletop data/tabletop`` writes the bag and its truth.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.transform import Rotation

from gem_ros.data import CameraIntrinsics
from gem_ros.geometry.camera import back_project
from gem_ros.replay.bag import BagWriter, message_class
from gem_ros.replay.masks import encode_mask
from gem_ros.replay.truth import FILE
from gem_ros.sim.render import Frame, Renderer
from gem_ros.sim.scene import Light, Scene, SceneObject, Surface, look_at

WIDTH, HEIGHT = 640, 480
RATE, SECONDS = 10, 10
START = 1_750_000_000_000_000_000  # ns; any fixed time makes the same bytes
NS = 1_000_000_000
FRAME_ID, WORLD = "camera_color_optical_frame", "map"
IMAGE, DEPTH = "/camera/color/image_raw/compressed", "/camera/depth/image_raw"
INFO, POSE = "/camera/color/camera_info", "/camera/pose"
TABLE = 0.74
MAX_RANGE = 6.0  # m; farther depth is invalid, as on a real sensor
JPEG_QUALITY = 92
ABSENT = ("black chair", "green cone", "yellow ball", "violin")

# kind, colour, RGB, (x, y) on the table, size in m, yaw, seed of its proportions
_THINGS: tuple[tuple[str, str, tuple[float, float, float], tuple[float, float], float, float, int], ...] = (
    ("ball", "red", (0.85, 0.07, 0.06), (0.02, -0.02), 0.14, 0.0, 1),
    ("cube", "red", (0.82, 0.08, 0.07), (0.48, 0.10), 0.12, 0.5, 2),
    ("mug", "blue", (0.08, 0.20, 0.80), (-0.36, -0.04), 0.13, 2.4, 3),
    ("bottle", "green", (0.07, 0.55, 0.16), (-0.17, -0.24), 0.25, 0.0, 4),
    ("cone", "yellow", (0.95, 0.85, 0.06), (0.27, -0.12), 0.15, 0.0, 5),
    ("ring", "purple", (0.48, 0.12, 0.65), (-0.62, 0.08), 0.17, 0.0, 6),
    ("cylinder", "white", (0.94, 0.94, 0.92), (0.72, -0.10), 0.16, 0.0, 7),
    ("pyramid", "orange", (0.95, 0.48, 0.05), (0.20, 0.27), 0.15, 0.6, 8),
)


def tabletop() -> Scene:
    """Eight things on a table in a room, and the camera's poses along its way."""
    rng = np.random.default_rng(20)
    things = tuple(
        SceneObject(kind, colour, rgb, (x, y, TABLE), size, yaw, 0.0, seed, 0.25)
        for kind, colour, rgb, (x, y), size, yaw, seed in _THINGS
    )
    wood = _planks(rng, (0.55, 0.42, 0.29))
    surfaces = (
        Surface("floor", (0, 0, -0.05), (5, 5, 0.05), (1, 1, 1), _planks(rng, (0.46, 0.45, 0.44)), 0.7),
        Surface("wall", (0, 2.2, 1.4), (3, 0.05, 1.4), (0.80, 0.79, 0.74)),
        Surface("wall", (-2.6, 0, 1.4), (0.05, 3, 1.4), (0.72, 0.75, 0.77)),
        Surface("wall", (2.6, 0, 1.4), (0.05, 3, 1.4), (0.72, 0.75, 0.77)),
        Surface("table top", (0, 0, TABLE - 0.02), (1.0, 0.48, 0.02), (1, 1, 1), wood, 1.2),
        *(
            Surface("other", (x, y, TABLE / 2 - 0.02), (0.03, 0.03, TABLE / 2 - 0.02), (0.3, 0.23, 0.16))
            for x in (-0.92, 0.92)
            for y in (-0.42, 0.42)
        ),
    )
    lights = (
        Light((-0.6, -0.8, 2.6), (0.2, 0.3, -0.93), 0.45),
        Light((1.2, -1.5, 2.5), (-0.4, 0.5, -0.77), 0.3, shadow=False),
    )
    return Scene(things, surfaces, lights, 0.25, 0.15, cameras=tuple(_path()), fovy=46.0)


def _planks(rng: np.random.Generator, colour: tuple[float, float, float]) -> npt.NDArray[np.uint8]:
    """A quiet wooden texture (128, 128, 3)."""
    grain = ndimage.gaussian_filter(rng.normal(0, 1, (128, 128)), (0.8, 14.0), mode="wrap")
    grain += 0.25 * np.repeat(rng.normal(0, 1, 4), 32)[:, None] * np.abs(grain).max()
    shade = 1.0 + 0.10 * grain / np.abs(grain).max()
    shade[::32] *= 0.75
    return np.asarray(255 * np.clip(shade[..., None] * np.array(colour), 0, 1), np.uint8)


def _path() -> Iterator[npt.NDArray[np.float64]]:
    """Left to right past the table, nearer in the middle, a little higher at the end."""
    for t in np.linspace(0.0, 1.0, RATE * SECONDS):
        swing = np.sin(np.pi * (t - 0.5))
        eye = np.array([0.95 * swing - 0.12, -0.80 + 0.05 * np.cos(2 * np.pi * t), TABLE + 0.28 + 0.20 * t])
        aim = np.array([0.50 * swing, 0.06, TABLE + 0.04])
        yield look_at(eye, aim, 0.03 * np.sin(4 * np.pi * t))


def record(folder: Path) -> dict[str, Any]:
    """Write the bag into ``folder`` with ``truth.json`` beside it; returns the truth."""
    scene = tabletop()
    frames: list[dict[str, Any]] = []
    with Renderer(WIDTH, HEIGHT, shadow_size=4096, samples=8) as renderer, BagWriter(folder) as bag:
        renderer.load(scene)
        camera = renderer.intrinsics(scene)
        for index, pose in enumerate(scene.cameras):
            stamp = START + index * NS // RATE
            frame = renderer.render(pose)
            _write(bag, stamp, frame, camera, pose)
            frames.append({"stamp": stamp, "objects": _sightings(scene, frame, camera, pose)})
    objects = [{"id": index, "query": thing.query} for index, thing in enumerate(scene.objects)]
    truth = {"objects": objects, "frames": frames, "absent_queries": list(ABSENT)}
    (folder / FILE).write_text(json.dumps(truth, separators=(",", ":")) + "\n", encoding="utf-8")
    return truth


def _sightings(
    scene: Scene, frame: Frame, camera: CameraIntrinsics, pose: npt.NDArray[np.float64]
) -> list[dict[str, Any]]:
    """What of each object is visible, where its body and its visible surface are in the camera optical frame."""
    found = []
    for index, thing in enumerate(scene.objects):
        mask = frame.instances == index
        if not mask.any():
            continue
        rows, columns = np.nonzero(mask)
        pixels = np.stack([columns, rows], axis=1).astype(np.float64)
        points = back_project(camera, pixels, frame.depth[mask].astype(np.float64))
        x, y, foot = thing.position
        centre = np.array([x, y, foot + thing.size / 2, 1.0])
        found.append(
            {
                "id": index,
                "visible_fraction": round(float(mask.mean()), 6),
                "bbox": [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1],
                "mask": encode_mask(mask),
                "position": _rounded((np.linalg.inv(pose) @ centre)[:3]),
                "surface": _rounded(np.median(points, axis=0)),
            }
        )
    return found


def _rounded(point: npt.NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in point]


def _write(bag: BagWriter, stamp: int, frame: Frame, camera: CameraIntrinsics, pose: npt.NDArray[np.float64]) -> None:
    header = _header(stamp, FRAME_ID)
    ok, jpeg = cv2.imencode(".jpg", frame.rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert ok
    image = _message(
        "sensor_msgs/msg/CompressedImage", header=header, format="rgb8; jpeg compressed bgr8", data=jpeg.ravel()
    )
    millimetres = np.where(frame.depth < MAX_RANGE, np.rint(frame.depth * 1000), 0).astype("<u2")
    depth = _message(
        "sensor_msgs/msg/Image",
        header=header,
        height=HEIGHT,
        width=WIDTH,
        encoding="16UC1",
        is_bigendian=0,
        step=2 * WIDTH,
        data=millimetres.view(np.uint8).ravel(),
    )
    messages = {
        INFO: _camera_info(header, camera),
        POSE: _pose(stamp, pose),
        DEPTH: depth,
        IMAGE: image,
    }
    for topic, message in messages.items():
        bag.write(topic, message.__msgtype__, stamp, message)


def _message(name: str, **fields: Any) -> Any:
    return message_class(name)(**fields)


def _header(stamp: int, frame_id: str) -> Any:
    seconds, nanoseconds = divmod(stamp, NS)
    time = _message("builtin_interfaces/msg/Time", sec=seconds, nanosec=nanoseconds)
    return _message("std_msgs/msg/Header", stamp=time, frame_id=frame_id)


def _camera_info(header: Any, camera: CameraIntrinsics) -> Any:
    k = [camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1]
    p = [camera.fx, 0, camera.cx, 0, 0, camera.fy, camera.cy, 0, 0, 0, 1, 0]
    roi = _message("sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return _message(
        "sensor_msgs/msg/CameraInfo",
        header=header,
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=np.zeros(5),
        k=np.array(k, np.float64),
        r=np.eye(3).ravel(),
        p=np.array(p, np.float64),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def _pose(stamp: int, pose: npt.NDArray[np.float64]) -> Any:
    x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat()
    point = _message("geometry_msgs/msg/Point", x=pose[0, 3], y=pose[1, 3], z=pose[2, 3])
    quaternion = _message("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)
    value = _message("geometry_msgs/msg/Pose", position=point, orientation=quaternion)
    return _message("geometry_msgs/msg/PoseStamped", header=_header(stamp, WORLD), pose=value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; must not exist")
    folder = parser.parse_args().folder
    truth = record(folder)
    size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    print(f"{folder}: {len(truth['frames'])} images, {len(truth['objects'])} objects, {size:.1f} MB")


if __name__ == "__main__":
    main()

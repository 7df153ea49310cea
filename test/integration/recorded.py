"""A small recording with truth, drawn and not simulated: for tests of everything that plays or reads one."""

import json

import cv2
import numpy as np

from gem_ros.replay import bag
from gem_ros.replay.masks import encode_mask

WIDTH, HEIGHT, FOCAL = 160, 120, 130.0
START, STEP = 1_700_000_000 * bag.NS, 100_000_000
THINGS = {"red ball": (220, 40, 40), "blue cube": (40, 70, 220)}
ABSENT = ("green chair",)


def message(name, *values):
    return bag.message_class(name)(*values)


def header(stamp):
    return message("std_msgs/msg/Header", message("builtin_interfaces/msg/Time", *divmod(stamp, bag.NS)), "camera")


def scene(index):
    """(rgb (H, W, 3), depth (H, W) uint16 mm, {query: mask}): the ball moves and leaves on the left, the cube stays."""
    rgb, depth = np.full((HEIGHT, WIDTH, 3), 150, np.uint8), np.full((HEIGHT, WIDTH), 2000, np.uint16)
    masks = {}
    for query, (column, row, z) in {"red ball": (50 - 12 * index, 50, 900), "blue cube": (110, 80, 1200)}.items():
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        if "ball" in query:
            cv2.circle(mask, (column, row), 16, 1, -1)
        else:
            cv2.rectangle(mask, (column - 14, row - 14), (column + 14, row + 14), 1, -1)
        masks[query] = mask.astype(bool)
        rgb[masks[query]], depth[masks[query]] = THINGS[query], z
    return rgb, depth, masks


def jpeg(rgb):
    return cv2.imencode(".jpg", rgb[..., ::-1])[1].ravel()


def camera_info(stamp):
    k = np.array([FOCAL, 0, (WIDTH - 1) / 2, 0, FOCAL, (HEIGHT - 1) / 2, 0, 0, 1])
    roi = message("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
    matrices = np.zeros(0), k, np.eye(3).ravel(), np.zeros(12)
    return message("sensor_msgs/msg/CameraInfo", header(stamp), HEIGHT, WIDTH, "plumb_bob", *matrices, 0, 0, roi)


def compressed_depth(stamp, millimetres):
    data = np.concatenate([np.zeros(12, np.uint8), cv2.imencode(".png", millimetres)[1].ravel()])
    return message("sensor_msgs/msg/CompressedImage", header(stamp), "16UC1; compressedDepth png", data)


def make(path, count=8, late_depth=0, skip_depth=()):
    """Write a recording of ``count`` images and its truth; depth arrives ``late_depth`` ns after its stamp."""
    frames = []
    with bag.BagWriter(path) as writer:
        for index in range(count):
            stamp = START + index * STEP
            rgb, depth, masks = scene(index)
            picture = message("sensor_msgs/msg/CompressedImage", header(stamp), "jpeg", jpeg(rgb))
            writer.write("/camera/color/image_raw/compressed", "sensor_msgs/msg/CompressedImage", stamp, picture)
            writer.write("/camera/color/camera_info", "sensor_msgs/msg/CameraInfo", stamp, camera_info(stamp))
            if index not in skip_depth:
                writer.write(
                    "/camera/depth/image_raw/compressedDepth",
                    "sensor_msgs/msg/CompressedImage",
                    stamp + late_depth,
                    compressed_depth(stamp, depth),
                )
            seen = [(query, mask) for query, mask in masks.items() if mask.any()]
            frames.append({"stamp": stamp, "objects": [sighting(query, mask) for query, mask in seen]})
    objects = [{"id": query, "query": query} for query in THINGS]
    truth = {"objects": objects, "frames": frames, "absent_queries": list(ABSENT)}
    (path / "truth.json").write_text(json.dumps(truth))
    return path


def sighting(query, mask):
    rows, columns = np.nonzero(mask)
    box = [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]
    place = {"bbox": box, "mask": encode_mask(mask), "position": [0, 0, 1], "surface": [0, 0, 1]}
    return {"id": query, "visible_fraction": float(mask.mean()), **place}


def answer(index, queries):
    """The contract's ``~/result`` of a node that is always right."""
    targets = []
    masks = scene(index)[2]
    for place, query in enumerate(queries):
        rows, columns = np.nonzero(masks.get(query, np.zeros((1, 1))))
        seen = rows.size > 0
        u, v, z = (columns.mean(), rows.mean(), 0.9 if "ball" in query else 1.2) if seen else (0, 0, 0)
        point = [(u - (WIDTH - 1) / 2) / FOCAL * z, (v - (HEIGHT - 1) / 2) / FOCAL * z, z]
        targets.append(
            {
                **{"query": query, "query_index": place, "found": seen, "score": 0.9 if seen else 0.1},
                **{"threshold": 0.5, "id": None, "covariance": None, "reason": "ok" if seen else "absent"},
                **{"pixel": [u, v] if seen else None, "point": point if seen else None},
            }
        )
    return {"stamp": START + index * STEP, "frame_id": "camera", "epoch": 1, "latency_ms": 1.0, "targets": targets}

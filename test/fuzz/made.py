"""From what was drawn (:mod:`given`) to what the executor would hand to the node's callbacks."""

import array
import struct

import cv2
import numpy as np
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage

from gem_ros.messages.cdr import LITTLE
from gem_ros.messages.decode import FORMATS, PLANAR

MAP = "map"  # the frame of good poses


def _noise(kind, seed, count):
    if kind == "zero":
        return np.zeros(count, np.uint8)
    if kind == "full":
        return np.full(count, 255, np.uint8)
    if kind == "gradient":
        return (np.arange(count) * seed // 64).astype(np.uint8)
    return np.frombuffer(np.random.default_rng(seed).bytes(count), np.uint8)


def depth_of(encoding, pixels, seed, size):
    """(H, W) uint16 mm or float32 m: a slope with a thing in front of it, or what ``pixels`` says instead."""
    rows, columns = np.indices(size)
    metres = 1.5 + rows / size[0] + 0.001 * np.random.default_rng(seed).normal(size=size)
    metres[(rows - size[0] / 2) ** 2 + (columns - size[1] / 2) ** 2 < (size[0] / 4) ** 2] -= 0.6
    odd = {"zero": 0, "full": 65.535, "nan": np.nan, "inf": np.inf, "huge": 1e38, "tiny": 1e-45, "negative": -1}
    if pixels in odd:
        metres[:, :: 1 + seed % 2] = odd[pixels]
    if pixels == "bits":
        bits = np.frombuffer(np.random.default_rng(seed).bytes(4 * rows.size), np.uint32).reshape(size)
        return bits.view(np.float32) if encoding == "32FC1" else bits.astype(np.uint16)
    if encoding == "32FC1":
        return metres.astype(np.float32)
    return np.nan_to_num(np.clip(metres, 0, 65), nan=0).__mul__(1000).astype(np.uint16)


def raw(encoding, data, size, width_bytes, it):
    """A sensor_msgs/Image as CDR, with what is wrong of ``it``."""
    height, step = size[0], width_bytes
    frame = it["frame"].encode() + b"\0"
    head = struct.pack("<iI", *it["stamp"]) + struct.pack("<I", len(frame)) + frame
    head += bytes(-len(head) % 4) + struct.pack("<II", it.get("height", height), it.get("width", size[1]))
    name = encoding.encode() + b"\0"
    head += struct.pack("<I", len(name)) + name + bytes([it.get("bigendian", 0)])
    head += bytes(-len(head) % 4) + struct.pack("<I", it.get("step", step))
    return it.get("order", b"\0\1") + b"\0\0" + head + struct.pack("<I", len(data)) + data


def mutated(data, it):
    """Cut, with bytes changed, with a length that lies."""
    data = bytearray(data)
    if "lie" in it:
        order, at, value = it["lie"]
        at -= at % 4
        data[at : at + 4] = struct.pack(f"{order}I", value)
    for at, value in it.get("flips", ()):
        data[at % len(data)] = value
    return bytes(data[: max(len(data) - it["cut"], 0)] if "cut" in it else data)


def image_of(it):
    size, encoding = it["size"], it["encoding"]
    bits, channels, _ = FORMATS.get(encoding, (8, 1, None))
    rows = size[0] * 3 // 2 if encoding in PLANAR else size[0]
    row = size[1] * channels * bits // 8
    return mutated(raw(encoding, _noise(it["pixels"], it["seed"], rows * row).tobytes(), size, row, it), it)


def depth_image_of(it):
    pixels = depth_of(it["encoding"], it["pixels"], it["seed"], it["size"])
    return mutated(raw(it["encoding"], pixels.tobytes(), it["size"], pixels.strides[0], it), it)


def _stamped(message, it):
    message.header.stamp.sec, message.header.stamp.nanosec = it["stamp"]
    message.header.frame_id = it["frame"]
    return message


def compressed_of(it):
    size = it["size"]
    pixels = _noise(it["pixels"], it["seed"], size[0] * size[1] * 3).reshape(*size, 3)
    codec = it.get("codec", "jpg")
    data = pixels.tobytes() if codec in ("none", "rvl") or max(size) > 65_500 else encoded(f".{codec}", pixels)
    return _stamped(_compressed(it.get("format", "jpeg"), mutated(data, it)), it)


def compressed_depth_of(it):
    codec, kind = it.get("codec", "png"), it["encoding"]
    depth = depth_of("16UC1", it["pixels"], it["seed"], it["size"])
    data = rvl_of(depth) if codec == "rvl" else encoded(".png", depth)
    with np.errstate(over="ignore"):
        scale = np.array(it.get("numbers", (2000.0, -1.0)), np.float32).tobytes()
    head = bytes(4) + scale
    name = it.get("format", it.get("depth_format", f"{kind}; compressedDepth {codec}"))
    return _stamped(_compressed(name, mutated(head + data, it)), it)


def encoded(codec, pixels):
    return cv2.imencode(codec, pixels)[1].tobytes()


def _compressed(name, data):
    return CompressedImage(format=name, data=array.array("B", data))


def rvl_of(depth):
    """(H, W) uint16 -> width, height and one RVL stream: all pixels as one run, zeros among them."""
    flat = depth.ravel().astype(np.int64)
    nibbles = []
    for value in [0, len(flat), *(_zigzag(each) for each in np.diff(flat, prepend=0).tolist())]:
        digits = f"{value:o}"[::-1]  # of three bits, the lowest first
        nibbles += [8 | int(each) for each in digits[:-1]] + [int(digits[-1])]
    nibbles += [0] * (-len(nibbles) % 8)
    words = [int("".join(f"{each:x}" for each in nibbles[at : at + 8]), 16) for at in range(0, len(nibbles), 8)]
    return struct.pack("<II", *depth.shape[::-1]) + struct.pack(f"<{len(words)}I", *words)


def _zigzag(value):
    return (value << 1) ^ (value >> 63)


def info_of(it):
    height, width = it["size"]
    message = CameraInfo(height=it.get("height", height), width=it.get("width", width))
    message.distortion_model = it.get("model", "plumb_bob")
    message.d = it.get("d", it.get("lens", [0.0] * 5))
    f = float(max(width, height))
    k, p = [f, 0, (width - 1) / 2, 0, f, (height - 1) / 2, 0, 0, 1], [f, 0, 1, 0, 0, f, 1, 0, 0, 0, 1, 0]
    for matrix, name in ((k, "k"), (p, "p")):
        if name in it:
            matrix[it[name][0]] = it[name][1]
    message.k, message.p = [float(each) for each in k], [float(each) for each in p]
    roi = message.roi
    roi.x_offset, roi.y_offset, roi.width, roi.height = it.get("roi", (0, 0, 0, 0))
    message.binning_x, message.binning_y = it.get("binning", (0, 0))
    return _stamped(message, it)


def pose_of(it):
    message = PoseStamped()
    place, turn = message.pose.position, message.pose.orientation
    turn_of_seed = (0.5, -0.5, 0.5, -0.5)
    place.x, place.y, place.z = map(float, it.get("position", (0.01 * it["seed"], 0.0, 1.0)))
    turn.x, turn.y, turn.z, turn.w = map(float, it.get("orientation", turn_of_seed))
    return _stamped(message, {**it, "frame": it["frame_of_pose"]})


def messages_of(description, compressed):
    """(topic, message, stamp ns and frame of an image) of a moment, in its order."""
    _, base, image, depth, info, pose, order = description
    found = []
    if image is not None:
        it = {**base, **image}
        made = compressed_of(it) if compressed else image_of(it)
        found.append((0, "image/compressed" if compressed else "image", made))
    if depth is not None:
        it = {**base, "encoding": base["depth"], **depth}
        made = compressed_depth_of(it) if compressed else depth_image_of(it)
        found.append((1, "depth/compressedDepth" if compressed else "depth", made))
    if info is not None:
        found.append((2, "camera_info", info_of({**base, **info})))
    if pose is not None:
        it = {**base, **pose}
        found.append((3, "camera_pose", pose_of({**it, "frame_of_pose": pose.get("frame", MAP)})))
    return [(topic, _over_the_wire(made)) for _, topic, made in sorted(found, key=lambda each: order[each[0]])]


def _over_the_wire(message):
    """As rclpy hands it over: there a text is over at its first NUL."""
    return message if isinstance(message, bytes) else deserialize_message(serialize_message(message), type(message))


def query_of(text):
    """Serialized std_msgs/String, of text that is no UTF-8, too."""
    data = text.encode("utf-8", "surrogatepass") + b"\0"
    return LITTLE + struct.pack("<I", len(data)) + data


def pixel_of(it, wrong):
    """Serialized geometry_msgs/PointStamped."""
    head = struct.pack("<iI", *it["stamp"]) + struct.pack("<I", len(it["frame"].encode()) + 1)
    head += it["frame"].encode() + b"\0"
    return mutated(LITTLE + head + bytes(-len(head) % 8) + struct.pack("<ddd", *it["at"]), wrong)


def parameter_of(name, fields):
    return ParameterMessage(name=name, value=ParameterValue(**fields))

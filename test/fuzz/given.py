"""Strategies for everything that comes into the node: as it should be, with one thing wrong, and wild.

What is drawn is a description; :mod:`made` makes messages of it.
Pixels are made from a seed: Hypothesis has better things to choose than noise.
"""

import numpy as np
from hypothesis import strategies as st
from made import MAP

from gem_ros.config import parameters
from gem_ros.messages.decode import FORMATS, PLANAR

CAMERA = "camera"
SIZES = [(48, 64), (48, 64), (48, 64), (32, 32), (1, 1), (2, 2), (3, 5), (7, 300), (200, 3)]  # (H, W)
STAMPS = [(100, each * 33_000_000) for each in range(6)]
ODD_STAMPS = [(0, 0), (-1, 5), (-(2**31), 0), (2**31 - 1, 999_999_999), (50, 0), (100, 999_999_999), (101, 1)]
OVERFULL = [(2**31 - 1, 2**32 - 1), (100, 2**32 - 1), (100, 10**9)]  # more nanoseconds than a second has
FRAMES = [CAMERA] * 8 + ["", MAP, "other", "caméra 📷", "a" * 300, "a/b", "new\nline", "nul\0in it"]
FLOATS = [0.0, -0.0, -1.0, 1.0, 0.5, np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 1e-300, 1e-30, 1e38, 1e8, 1e-8]
INTEGERS = [0, 1, 2, 3, 63, 64, 255, 2**16, 60_000, 2**31 - 1, 2**31, 2**32 - 1]
PIXELS = ["noise", "noise", "gradient", "zero", "full", "bits"]
WORDS = ["red mug", "ball", "door", "gleep", "x", "schöne Tasse", "杯子", "📷", "a:b", "\u202etrof", "शक्ति", "क़" * 99]
NUMBERS = ["", ":0.5", ":0", ":1", ":.3", ":1e-3", ":nan", ":inf", ":-1", ":2", ":", ":0x1", ":1_0", " : 0.7 "]

stamps = st.sampled_from(STAMPS * 10 + ODD_STAMPS + OVERFULL)
seeds = st.integers(0, 255)
nothing = st.just({})


def broken(fields):
    """Mostly nothing, sometimes one of ``fields`` (name -> strategy), seldom several."""
    one = st.one_of([strategy.map(lambda value, name=name: {name: value}) for name, strategy in fields.items()])
    several = st.lists(one, min_size=2, max_size=4).map(lambda all: {k: v for each in all for k, v in each.items()})
    return st.one_of(*[nothing] * 8, one, one, one, several)


uint32 = st.one_of(st.sampled_from(INTEGERS), st.integers(0, 2**32 - 1))
number = st.one_of(st.sampled_from(FLOATS), st.floats(width=64))
mutation = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=4)
of_picture = {
    "size": st.sampled_from([(1, 70_000), (70_000, 1), (1, 2), (2, 1), (33, 47)]),
    "height": uint32,
    "width": uint32,
    "step": uint32,
    "bigendian": st.integers(0, 255),
    "encoding": st.sampled_from([*FORMATS, *PLANAR, "32FC1", "16UC1", "64FC1", "", "RGB8", "rgb8\0", "a" * 1000]),
    "frame": st.sampled_from(FRAMES),
    "stamp": stamps,
    "cut": st.integers(0, 120),
    "lie": st.tuples(st.sampled_from(["<", ">"]), st.integers(0, 80), uint32),
    "flips": mutation,
    "order": st.sampled_from([b"\0\0", b"\0\7", b"\7\1", b""]),
}
of_compressed = {
    "format": st.sampled_from(["", "jpeg", "png", ";;;", "a" * 1000, "mono16;compressedDepth", "x; compressedDepth"]),
    "depth_format": st.sampled_from(
        [f"{kind}; compressedDepth{codec}" for kind in ("16UC1", "32FC1") for codec in ("", " png", " rvl")]
    ),
    "size": of_picture["size"],
    "frame": of_picture["frame"],
    "stamp": stamps,
    "cut": st.integers(0, 200),
    "lie": of_picture["lie"],
    "flips": mutation,
    "numbers": st.tuples(number, number),
    "codec": st.sampled_from(["jpg", "png", "rvl", "none", "bmp"]),
}
of_info = {
    "stamp": stamps,
    "frame": st.sampled_from(FRAMES),
    "height": uint32,
    "width": uint32,
    "d": st.lists(number, max_size=14),
    "lens": st.lists(st.floats(-1, 1), min_size=4, max_size=14),
    "model": st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant", "fisheye", "", "none", "a" * 300]),
    "k": st.tuples(st.integers(0, 8), number),
    "p": st.tuples(st.integers(0, 11), number),
    "roi": st.tuples(uint32, uint32, uint32, uint32),
    "binning": st.tuples(uint32, uint32),
}
of_pose = {
    "stamp": stamps,
    "frame": st.sampled_from([MAP, *FRAMES]),
    "position": st.tuples(number, number, number),
    "orientation": st.tuples(number, number, number, number),
}
of_depth = {**of_picture, "pixels": st.sampled_from(["zero", "full", "nan", "inf", "huge", "tiny", "negative"])}


def shot(compressed):
    """A moment: image, depth, camera_info and pose of the same stamp, in any order, each perhaps missing or broken."""
    base = st.fixed_dictionaries(
        {
            "size": st.sampled_from(SIZES),
            "stamp": stamps,
            "frame": st.sampled_from([CAMERA] * 20 + FRAMES),
            "seed": seeds,
            "pixels": st.sampled_from(PIXELS),
            "encoding": st.sampled_from(["rgb8"] * 6 + ["bgr8", "mono8", "bayer_rggb8", "yuyv", "nv12", "mono16"]),
            "depth": st.sampled_from(["16UC1", "16UC1", "32FC1", "mono16"]),
        }
    )
    faults = of_compressed if compressed else of_picture, of_compressed if compressed else of_depth, of_info, of_pose
    parts = [st.one_of(*[broken(each)] * 5, st.none()) for each in faults]
    return st.tuples(st.just("shot"), base, *parts, st.permutations(range(4)))


queries = st.one_of(
    st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(NUMBERS)).map("".join), max_size=4).map(";".join),
    st.lists(st.sampled_from(WORDS[:4]), min_size=1, max_size=2).map(lambda words: ";".join(f"{w}:0" for w in words)),
    st.text(max_size=40),
    st.sampled_from(
        ["", ";", " ; ", "a" * 513, "a" * 511 + ":.5", "क़" * 170, ";".join("abcdefghijklmnopqrstu"), "a;" * 9000]
    ),
)
NAMES = {each.name: each for each in parameters()}
DYNAMIC = [name for name, each in NAMES.items() if each.dynamic]
# beyond this a picture takes seconds, as it is meant to
SIZE_LIMITS = {"image_size": 128}
wild_values = st.one_of(
    st.booleans().map(lambda v: {"type": 1, "bool_value": v}),
    st.sampled_from([-(2**63), -1, 0, 1, 5, 100, 256, 2**63 - 1]).map(lambda v: {"type": 2, "integer_value": v}),
    number.map(lambda v: {"type": 3, "double_value": v}),
    st.one_of(st.sampled_from(["", "0.5", "map", "a" * 5000, "nul\0"]), st.text(max_size=9)).map(
        lambda v: {"type": 4, "string_value": v}
    ),
    st.sampled_from([[], [b"\0"], [b"a"] * 9]).map(lambda v: {"type": 5, "byte_array_value": v}),
    st.lists(st.booleans(), max_size=3).map(lambda v: {"type": 6, "bool_array_value": v}),
    st.lists(st.integers(-9, 9), max_size=3).map(lambda v: {"type": 7, "integer_array_value": v}),
    st.lists(number, max_size=3).map(lambda v: {"type": 8, "double_array_value": v}),
    st.lists(st.one_of(st.sampled_from(["", " ", "ball", "a" * 600, "nul\0"]), queries), max_size=20).map(
        lambda v: {"type": 9, "string_array_value": v}
    ),
    st.just({"type": 0}),
    # no more than 9: rclpy's own service ends in a traceback with types that it does not know
    st.integers(0, 9).map(lambda v: {"type": v}),
)


def _fitting(name):
    each = NAMES[name]
    if each.type is bool:
        return st.booleans().map(lambda v: {"type": 1, "bool_value": v})
    if each.choices:
        return st.sampled_from(each.choices).map(lambda v: {"type": 4, "string_value": v})
    if each.type is int:
        high = SIZE_LIMITS.get(name, int(each.high))
        return st.integers(int(each.low), high).map(lambda v: {"type": 2, "integer_value": v})
    if each.type is float:
        return st.floats(each.low, each.high).map(lambda v: {"type": 3, "double_value": v})
    if each.type is tuple:
        return st.lists(st.sampled_from(WORDS[:6]), max_size=3).map(lambda v: {"type": 9, "string_array_value": v})
    return st.sampled_from(["", "map", "cpu"]).map(lambda v: {"type": 4, "string_value": v})


def _huge(value):
    return value.get("integer_value", 0) > 128


fitting = {name: _fitting(name) for name in NAMES}
one_parameter = st.one_of(
    st.sampled_from(DYNAMIC).flatmap(lambda name: st.tuples(st.just(name), fitting[name])),
    st.tuples(st.sampled_from(DYNAMIC), wild_values),
    st.tuples(st.sampled_from([*NAMES, "use_sim_time", "no_such", ""]), wild_values),
).filter(lambda each: each[0] != "image_size" or not _huge(each[1]))
changes = st.tuples(st.just("set"), st.lists(one_parameter, min_size=1, max_size=3), st.booleans())

controls = st.one_of(
    st.tuples(st.just("tick"), st.sampled_from([0.0, 0.03, 0.03, 0.3, 2.0, 100.0])),
    st.tuples(st.just("enable"), st.booleans()),
    st.sampled_from([("clear",), ("diagnose",), ("restart",), ("look",), ("answer",)]),
)


pixels = st.tuples(
    st.just("pixel"),
    st.fixed_dictionaries(
        {
            "stamp": st.one_of(st.just((0, 0)), stamps),
            "frame": st.sampled_from([CAMERA, CAMERA, "front", "left", *FRAMES]),
            "at": st.tuples(*[st.one_of(st.integers(-1, 70).map(float), number)] * 3),
        }
    ),
    broken({"cut": st.integers(0, 60), "flips": mutation, "lie": of_picture["lie"]}),
)


def steps(compressed):
    """What happens to a node: mostly moments, and between them questions, parameters and the rest."""
    asked = st.tuples(st.just("query"), queries)
    return st.one_of(*[shot(compressed)] * 6, asked, asked, pixels, changes, controls)

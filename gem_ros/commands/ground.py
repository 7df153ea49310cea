"""``gem-ros ground``: things named in words, found in a picture of one's own."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gem_ros.config import METHODS
from gem_ros.errors import DecodeError, QueryError

if TYPE_CHECKING:
    from typing import TypeAlias

    import numpy as np
    import numpy.typing as npt

    from gem_ros.config import Config
    from gem_ros.core.sam import Prompter
    from gem_ros.data import CameraIntrinsics, Grounding, Query, Target

    Example: TypeAlias = tuple[npt.NDArray[np.uint8], tuple[float, float] | None]  # a picture, and a pixel of it

POINTED = re.compile(r"(.+)@(-?\d{1,9}\.?\d{0,9}),(-?\d{1,9}\.?\d{0,9})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gem-ros ground``."""
    parser.add_argument("image", type=Path, help="picture: JPEG, PNG or whatever else OpenCV reads")
    parser.add_argument("queries", nargs="*", metavar="QUERY", help="'red mug', or 'red mug:0.6' for a threshold")
    parser.add_argument(
        "--like",
        type=Path,
        action="append",
        default=[],
        metavar="CROP",
        help="find what this picture shows, or what is at a pixel of it: earlier.png@320,240; repeatable",
    )
    parser.set_defaults(words="queries")
    parser.add_argument("--depth", type=Path, help="depth of the same size: 16-bit PNG in mm, or .npy in m")
    parser.add_argument(
        "--intrinsics", nargs=4, type=float, metavar=("FX", "FY", "CX", "CY"), help="pinhole camera in px, for 3D"
    )
    parser.add_argument("--model", default="bundled", help="open_clip architecture (default: bundled)")
    parser.add_argument("--pretrained", help="open_clip tag or weights file (default: openai; unused by bundled)")
    parser.add_argument("--method", choices=METHODS, help="dense features by this rule (default: gem)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    parser.add_argument("--threshold", type=float, help="score from which a thing counts as in view")
    parser.add_argument("--card", help="calibration to use, a file that gem-ros calibrate wrote")
    parser.add_argument("--sam", type=Path, metavar="DIR", help="sharpen regions with the SAM in this folder")
    parser.add_argument("--output", type=Path, help="where the picture with the answer goes (default: none)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")


def run(args: argparse.Namespace) -> int:
    """Answer and print; :class:`GemError` says in a line what cannot be used. Found or not, the status is 0."""
    # What can be wrong is read before anything that takes time is loaded.
    config = _config(args)

    from gem_ros.replay.labelled import read_picture

    examples = _examples(args.like)
    queries = _queries([*args.queries, *(f"@{name}" for name in examples)], config.max_queries)
    rgb = read_picture(args.image)
    depth = _read_depth(args.depth) if args.depth else None
    camera = _camera(args.intrinsics, rgb.shape)

    from gem_ros.commands._session import downloads
    from gem_ros.messages.result import result
    from gem_ros.pipeline import Grounder

    prompter = _prompter(args.sam) if args.sam else None
    with downloads():
        grounder = Grounder.load(config=config)
    for name, (picture, pixel) in examples.items():
        if pixel is None:
            grounder.add_example(name, picture, of=rgb.shape[:2])
        else:
            grounder.add_example_at(name, grounder.encode_image(picture), pixel)
    grounding = grounder.ground(grounder.encode_image(rgb), queries, image=rgb, depth=depth, camera=camera)
    if prompter:
        grounding = prompter.sharpen(grounding, rgb)
    for line in grounding.problems:
        print(f"gem-ros ground: {line}", file=sys.stderr)
    if args.output:
        _write_picture(args.output, rgb, grounding)
    if args.json:
        print(json.dumps(result(grounding, 0, "", 0, 0.0)["targets"]))
    else:
        _show(grounding)
    return 0


def _config(args: argparse.Namespace) -> Config:
    from gem_ros.config import replace
    from gem_ros.models import default_config

    given = {"pretrained": args.pretrained, "device": args.device, "presence_threshold": args.threshold}
    given |= {"card": args.card, "method": args.method}
    return replace(default_config(args.model), {name: value for name, value in given.items() if value is not None})


def _prompter(folder: Path) -> Prompter:
    from gem_ros.core.sam import Prompter

    return Prompter(folder)


def _queries(texts: list[str], most: int) -> tuple[Query, ...]:
    """What is asked for; an empty text is refused here, where it can only be a slip."""
    from gem_ros.queries import SEPARATOR, parse_queries, parse_query

    if not texts:
        raise QueryError("QUERY: expected words, or a picture with --like; got none")
    for text in texts:
        parse_query(text.replace(SEPARATOR, " "))
    return parse_queries(texts, most)


def _examples(paths: list[Path]) -> dict[str, Example]:
    """Pictures of what to look for, by the names that they can be asked for; with ``@U,V`` behind a file, its pixel."""
    from gem_ros.queries import example_name
    from gem_ros.replay.labelled import read_picture

    found = {}
    for given in paths:
        path, pixel, at = given, None, ""
        if (split := POINTED.fullmatch(str(given))) and not given.exists():  # a file's own name may have an @
            path, pixel, at = Path(split[1]), (float(split[2]), float(split[3])), f"@{split[2]},{split[3]}"
        name = example_name(f"{path.stem}{at}")
        if name in found:
            raise QueryError(f"--like {given}: expected pictures of different names, got {name!r} twice; rename one")
        found[name] = read_picture(path), pixel
    return found


def _read_depth(path: Path) -> npt.NDArray[np.float32]:
    """(H, W) float32 m, NaN where invalid."""
    import cv2
    import numpy as np

    from gem_ros.replay.labelled import decode_picture

    if path.suffix == ".npy":
        try:
            depth = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DecodeError(f"{path}: expected a numpy array of metres, got: {error}") from error
        if depth.ndim != 2 or not np.issubdtype(depth.dtype, np.floating):
            raise DecodeError(
                f"{path}: expected a (height, width) array of float metres, got {depth.dtype} {depth.shape}"
            )
        return np.asarray(np.where(np.isfinite(depth) & (depth > 0), depth, np.nan), np.float32)
    depth = decode_picture(path, cv2.IMREAD_UNCHANGED)
    if depth.dtype != np.uint16 or depth.ndim != 2:
        raise DecodeError(f"{path}: expected one 16-bit channel of millimetres, got {depth.dtype} {depth.shape}")
    return np.asarray(np.where(depth > 0, depth / 1000, np.nan), np.float32)


def _camera(values: list[float] | None, shape: tuple[int, ...]) -> CameraIntrinsics | None:
    """A pinhole camera of the image's size; :class:`GeometryError` for one that cannot be computed with."""
    from gem_ros.data import CameraIntrinsics
    from gem_ros.geometry.camera import check

    if values is None:
        return None
    fx, fy, cx, cy = values
    camera = CameraIntrinsics(shape[1], shape[0], fx, fy, cx, cy)
    check(camera)
    return camera


def _write_picture(path: Path, rgb: npt.NDArray[np.uint8], grounding: Grounding) -> None:
    import cv2

    from gem_ros.messages.overlay import draw

    try:
        written = cv2.imwrite(str(path), draw(rgb, grounding))
    except cv2.error:  # no such format
        written = False
    if not written:
        raise DecodeError(f"--output {path}: expected a place that can be written, ending in .png or .jpg")


def _show(grounding: Grounding) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    table.add_column("query", overflow="fold")
    for name in ("in view", "score", "u, v", "x, y, z (m)", "reason"):
        table.add_column(name, no_wrap=True)
    for target in grounding.targets:
        table.add_row(*_row(target), style=None if target.found else "dim")
    Console().print(table)


def _row(target: Target) -> tuple[str, ...]:
    from rich.markup import escape

    pixel = "" if target.pixel is None else ", ".join(f"{each:.0f}" for each in target.pixel)
    point = "" if target.point is None else ", ".join(f"{each:.3f}" for each in target.point)
    return escape(target.query), "yes" if target.found else "no", f"{target.score:.2f}", pixel, point, target.reason

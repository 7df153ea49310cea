"""Pictures of answers for people: captioned frames, a sheet of them, a video."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from gem_ros.errors import GemError

Picture = npt.NDArray[np.uint8]  # (H, W, 3) RGB
BACKGROUND, TEXT, QUIET = (17, 20, 26), (240, 242, 245), (150, 158, 170)
GOOD, BAD, NEUTRAL = (63, 200, 120), (240, 96, 84), (120, 130, 145)
CAPTION = 80  # px under a frame
MARGIN = 14  # px between the frames of a sheet
HEADING = 84  # px above them


def captioned(picture: Picture, title: str, line: str, colour: tuple[int, int, int] = NEUTRAL) -> Picture:
    """``picture`` with two lines of text below it, and a mark that says how it went; even height and width."""
    height, width = picture.shape[:2]
    canvas = Image.new("RGB", (width + width % 2, height + height % 2 + CAPTION), BACKGROUND)
    canvas.paste(Image.fromarray(picture))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((0, height, 7, canvas.height), fill=colour)
    for text, size, top, shade in ((title, 26, 8, TEXT), (line, 21, 45, QUIET)):
        draw.text((20, height + top), fitted(text, width - 32, size), shade, font=font(size))
    return np.array(canvas, np.uint8)


def sheet(frames: Sequence[Picture], columns: int, heading: str, line: str) -> Picture:
    """``frames`` (all of one size) in rows of ``columns``, under a heading."""
    height, width = frames[0].shape[:2]
    rows = -(-len(frames) // columns)
    size = columns * (width + MARGIN) + MARGIN, HEADING + rows * (height + MARGIN) + MARGIN
    canvas = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN + 4, 22), heading, TEXT, font=font(36))
    draw.text((size[0] - MARGIN - 4, 34), line, QUIET, font=font(24), anchor="ra")
    for index, frame in enumerate(frames):
        row, column = divmod(index, columns)
        place = MARGIN + column * (width + MARGIN), HEADING + MARGIN + row * (height + MARGIN)
        canvas.paste(Image.fromarray(frame), place)
    return np.array(canvas, np.uint8)


def outlined(picture: Picture, mask: npt.NDArray[np.bool_]) -> Picture:
    """A copy of ``picture`` with a thin white line around ``mask`` (H, W): the truth."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(cv2.drawContours(picture.copy(), contours, -1, (255, 255, 255), 2, cv2.LINE_AA), np.uint8)


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """The font that matplotlib brings along: the same everywhere, nothing to install."""
    from matplotlib.font_manager import findfont

    return ImageFont.truetype(findfont("DejaVu Sans"), size)


def fitted(text: str, width: int, size: int) -> str:
    """``text``, cut with an ellipsis where it is wider than ``width`` px."""
    measure = font(size)
    if measure.getlength(text) <= width:
        return text
    while text and measure.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text.rstrip(' ,;')}..."


def read_jpeg(data: bytes) -> Picture:
    """The bytes of a JPEG or PNG file -> RGB."""
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise GemError(f"picture: expected JPEG or PNG, got {len(data)} bytes that are neither")
    return np.asarray(picture, np.uint8)


def write_png(path: Path, picture: Picture) -> None:
    """Write a picture; :class:`GemError` where that is impossible."""
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise GemError(f"{path}: expected a place that can be written; choose another folder")


def write_video(path: Path, frames: Iterable[Picture], fps: float) -> Path:
    """Write ``frames`` (one size, even sides) as a video that browsers play; returns the file's path.

    H.264 in ``.mp4`` where imageio-ffmpeg is installed, otherwise a ``.gif`` of half the size (OpenCV's
    wheel writes only MPEG-4 of a kind that no browser plays).
    """
    try:
        import imageio_ffmpeg
    except ImportError:
        return _write_gif(path.with_suffix(".gif"), frames, fps)
    target, writer = path.with_suffix(".mp4"), None
    settings = ["-crf", "23", "-preset", "fast", "-movflags", "+faststart"]
    try:
        for frame in frames:
            if writer is None:
                size = frame.shape[1], frame.shape[0]
                options = {"fps": fps, "quality": None, "macro_block_size": 2, "output_params": settings}
                writer = imageio_ffmpeg.write_frames(str(target), size, **options)
                writer.send(None)
            writer.send(np.ascontiguousarray(frame))
    finally:
        if writer is not None:
            writer.close()
    return target


def _write_gif(path: Path, frames: Iterable[Picture], fps: float) -> Path:
    halves = (Image.fromarray(frame).reduce(2).quantize(128, dither=Image.Dither.NONE) for frame in frames)
    first = next(halves, None)
    if first is not None:
        first.save(path, save_all=True, append_images=halves, duration=round(1000 / fps), loop=0)
    return path

"""A grounding as people like to see it: what was found tinted, outlined and named in the image itself."""

from __future__ import annotations

import unicodedata

import cv2
import numpy as np
import numpy.typing as npt

from gem_ros.data import Grounding, Target

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

# One hue per query, BGR, bright enough to be told apart on a dark and on a light image.
COLOURS: tuple[Colour, ...] = (
    (80, 230, 255),
    (255, 200, 60),
    (200, 110, 255),
    (120, 255, 130),
    (60, 150, 255),
    (255, 130, 150),
    (220, 255, 90),
    (180, 180, 255),
)
_WHITE, _GRAY, _DARK = (255, 255, 255), (190, 190, 190), (24, 22, 20)
_DIM = (np.arange(256)[:, None] * 0.25 + np.array(_DARK) * 0.75).astype(np.uint8)[None]  # behind letters, (1, 256, 3)
_FONT = cv2.FONT_HERSHEY_DUPLEX
_FAINT, _FULL = 0.4, 0.8  # relevancy at which the tint begins and is complete
_WHY_NOT = {"unknown_word": "unknown word: ", "unconfirmed": "unconfirmed: "}  # else it is not in view
CAMERA = (0.0, 0.0, 0.0)  # where the camera is in its own frame


def colour(query_index: int) -> Colour:
    """The colour (B, G, R) of a query in pictures and markers."""
    return COLOURS[query_index % len(COLOURS)]


def draw(rgb: Picture, grounding: Grounding, alpha: float = 0.5, camera: npt.ArrayLike = CAMERA) -> Picture:
    """(H, W, 3) RGB and its grounding -> (H, W, 3) BGR picture; ``alpha`` [0, 1] is the tint's opacity.

    Found targets are tinted, outlined and labelled with score, distance and track; queries for which nothing
    was found are listed in the lower left corner. Distances are from ``camera`` (3,) m, its position in the
    frame of the points.
    """
    picture = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR).view(np.uint8)
    found = [target for target in grounding.targets if target.found]
    for index in sorted({target.query_index for target in found}):
        _tint(picture, grounding.relevancy_of(index), colour(index), alpha)
    pen = _Pen(picture)
    for target in found:
        pen.outline(target)
    pen.list_missing(_missing(grounding))
    for target in found:
        pen.label(target, camera)
    return picture


def _missing(grounding: Grounding) -> list[Target]:
    """The best target of each query that was not found; one that was found elsewhere is not missing."""
    found = {target.query_index for target in grounding.targets if target.found}
    best: dict[int, Target] = {}
    for target in grounding.targets:
        if target.query_index not in found:
            best.setdefault(target.query_index, target)
    return list(best.values())


def _tint(picture: Picture, relevancy: npt.NDArray[np.float32], tone: Colour, alpha: float) -> None:
    """Blend a colour into the part of the picture where relevancy is more than faint."""
    left, top, width, height = cv2.boundingRect((relevancy > _FAINT).view(np.uint8))
    if not width:
        return
    window = slice(top, top + height), slice(left, left + width)
    opacity = np.clip((relevancy[window] - _FAINT) * np.float32(alpha / (_FULL - _FAINT)), 0, np.float32(alpha))
    below = [cv2.multiply(channel, 1 - opacity, dtype=cv2.CV_32F) for channel in cv2.split(picture[window])]
    picture[window] = cv2.merge(
        [cv2.addWeighted(each, 1, opacity, value, 0, dtype=cv2.CV_8U) for each, value in zip(below, tone, strict=True)]
    )


class _Pen:
    """Draws on one picture in strokes and letters that fit its size."""

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self._height, self._width = picture.shape[:2]
        self._scale = min(max(min(self._height, self._width) / 960, 0.4), 2.0)
        self._line = max(round(self._scale * 2.4), 1)
        self._taken: list[tuple[int, int, int, int]] = []

    def outline(self, target: Target) -> None:
        """The region's contour and a cross at its peak, each with a dark rim."""
        if target.region is not None:
            mask, (left, top, width, height) = _box_of(target.region)
            part = np.ascontiguousarray(mask[top : top + height, left : left + width])
            contours, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top))
            cv2.drawContours(self._picture, contours, -1, _DARK, self._line + 2, cv2.LINE_AA)
            cv2.drawContours(self._picture, contours, -1, colour(target.query_index), self._line, cv2.LINE_AA)
        if target.pixel is not None:
            at, size = (round(target.pixel[0]), round(target.pixel[1])), round(28 * self._scale)
            cv2.drawMarker(self._picture, at, _DARK, cv2.MARKER_CROSS, size + 2, self._line + 2, cv2.LINE_AA)
            cv2.drawMarker(self._picture, at, _WHITE, cv2.MARKER_CROSS, size, self._line, cv2.LINE_AA)

    def label(self, target: Target, camera: npt.ArrayLike) -> None:
        """What it is, how sure, how far, which; above the region, below it at the top, beside other labels."""
        if target.pixel is None:
            return
        numbers = _numbers(target, camera)
        words, width, height = self._fit(target, numbers)
        top = bottom = round(target.pixel[1])
        if target.region is not None:
            _, (_, top, _, rows) = _box_of(target.region)
            bottom = top + rows - 1
        x = min(max(round(target.pixel[0] - width / 2), 0), max(self._width - width, 0))
        y = top - height - 6 if top >= height + 6 else bottom + 6
        self._box(words + numbers, x, self._free(x, y, width, height), colour(target.query_index))

    def list_missing(self, missing: list[Target]) -> None:
        """Gray lines from the lower left corner upwards, as many as a third of the picture holds."""
        height = self._fit(None, "")[2]
        room = max(self._height // (3 * (height + 2)), 1)
        shown = missing if len(missing) <= room else missing[: room - 1]
        y = self._height - 4
        for target in shown:
            begin = _WHY_NOT.get(target.reason, "not in view: ")
            numbers = "" if target.reason == "unknown_word" else f" {target.score:.2f}"
            words = self._fit(target, begin + numbers)[0]
            y -= height + 2
            self._box(begin + words + numbers, 4, y, None)
        if len(shown) < len(missing):
            self._box(f"and {len(missing) - len(shown)} more", 4, y - height - 2, None)

    def _fit(self, target: Target | None, rest: str) -> tuple[str, int, int]:
        """The query in letters that there are, cut to fit beside ``rest``; the label's width and height."""
        words = "" if target is None else _ascii(target.query) or f"query {target.query_index + 1}"
        full, short = words, words
        while short and self._size(short + rest)[0] > self._width - 8:
            short = short[: min(len(short) - 1, int(len(short) * 0.9))]
        words = short if short == full else short[:-2] + ".."
        return words, *self._size(words + rest)

    def _size(self, text: str) -> tuple[int, int]:
        (width, height), base = cv2.getTextSize(text, _FONT, self._scale, 1)
        return width + round(20 * self._scale), height + base + round(8 * self._scale)

    def _free(self, x: int, y: int, width: int, height: int) -> int:
        """A row near ``y`` inside the picture where no other label lies."""
        last = max(self._height - height, 0)
        candidates: list[int] = [
            min(max(y + step * (height + 2) * sign, 0), last) for step in range(8) for sign in (1, -1)
        ]
        for row in candidates:
            box = (x, row, x + width, row + height)
            if not any(_overlap(box, other) for other in self._taken):
                return row
        return candidates[0]

    def _box(self, text: str, x: int, y: int, tone: Colour | None) -> None:
        width, height = self._size(text)
        self._taken.append((x, y, x + width, y + height))
        window = self._picture[max(y, 0) : y + height, max(x, 0) : x + width]
        if window.size:
            window[:] = cv2.LUT(window, _DIM)
        if tone is not None:
            window[:, : max(round(6 * self._scale), 2)] = tone
        base = cv2.getTextSize(text, _FONT, self._scale, 1)[1]
        at = x + round(12 * self._scale), y + height - base - round(2 * self._scale)
        cv2.putText(self._picture, text, at, _FONT, self._scale, _GRAY if tone is None else _WHITE, 1, cv2.LINE_AA)


def _numbers(target: Target, camera: npt.ArrayLike) -> str:
    """What follows a target's name: score, distance from ``camera`` where it is known, track where it is tracked."""
    distance = "" if target.point is None else f" {float(np.linalg.norm(target.point - np.asarray(camera))):.2f} m"
    number = "" if target.track is None else f" #{target.track.id}"
    return f" {target.score:.2f}{distance}{number}"


def _box_of(region: npt.NDArray[np.bool_]) -> tuple[Picture, tuple[int, int, int, int]]:
    """A region as OpenCV takes it, and its bounding box (left, top, width, height)."""
    mask = np.ascontiguousarray(region).view(np.uint8)
    left, top, width, height = cv2.boundingRect(mask)
    return mask, (left, top, width, height)


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _ascii(text: str) -> str:
    """OpenCV's letters are ASCII: accents are dropped, other scripts vanish."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().strip()

"""One row per image and query: all that is kept of an evaluated recording; as CSV, and as Parquet where wanted."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gem_ros.errors import BagError, GemError


@dataclass(frozen=True, slots=True)
class Row:
    """The best answer to one ``query`` in one image of a recording, and what is known about it.

    ``visible`` is the share of the image that the queried thing really fills: 0.0 where it is not in view, None
    where nobody says. ``distance_m`` is the camera's distance to what is visible of it, without truth that of the
    answered point. Pixels ``u, v`` as everywhere (integers are pixel centres), ``x, y, z`` m in the camera optical
    frame. ``id`` is the track's.

    Against the truth: ``hit``, the pixel lies on the thing ``thing`` (its id there); ``iou``, the found regions
    against all there is of the query, 0.0 where nothing was found; ``best_iou``, the same of the relevancy map at
    its best threshold; ``error_m``, from the point to the nearest visible surface; ``dx_m, dy_m, dz_m``, from the
    true position to the track's, in the camera optical frame.

    Without: ``depth_valid``, the share of the region's pixels with valid depth; ``overlap`` (Dice) of the regions
    and ``moved_m`` between the points of this image and the one before it, brought together by pose and depth.
    """

    bag: str
    stamp: int
    query: str
    visible: float | None
    distance_m: float | None
    score: float
    threshold: float
    found: bool
    reason: str
    id: int | None = None
    u: float | None = None
    v: float | None = None
    x: float | None = None
    y: float | None = None
    z: float | None = None
    thing: str | None = None
    hit: bool | None = None
    iou: float | None = None
    best_iou: float | None = None
    error_m: float | None = None
    dx_m: float | None = None
    dy_m: float | None = None
    dz_m: float | None = None
    depth_valid: float | None = None
    overlap: float | None = None
    moved_m: float | None = None

    def present(self, min_visible: float) -> bool | None:
        """Whether the thing is in view; None where nobody says, or where too little of it is visible to say."""
        if self.visible is None or 0.0 < self.visible < min_visible:
            return None
        return self.visible > 0.0


NAMES = tuple(each.name for each in dataclasses.fields(Row))
_KINDS = {each.name: str(each.type).partition(" ")[0] for each in dataclasses.fields(Row)}
_OPTIONAL = {each.name for each in dataclasses.fields(Row) if "None" in str(each.type)}
_PARSERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": {"0": False, "1": True}.__getitem__,
}


def values(row: Row) -> tuple[Any, ...]:
    """The fields of ``row`` in the order of :data:`NAMES`."""
    return tuple(getattr(row, name) for name in NAMES)


def write_csv(path: Path, rows: Iterable[Row]) -> None:
    """A header and a line per row; None is empty, booleans are 0 and 1, floats have all their digits."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(NAMES)
        table.writerows(map(_texts, rows))


def read_csv(path: Path) -> list[Row]:
    """What :func:`write_csv` wrote, exactly; :class:`BagError` where it is something else."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.reader(file)
            header = tuple(next(table, ()))
            if header != NAMES:
                raise BagError(f"{path}: expected the columns {', '.join(NAMES)}; got {', '.join(header) or 'none'}")
            return [Row(**dict(zip(NAMES, map(_parsed, NAMES, texts), strict=True))) for texts in table]
    except (OSError, ValueError, KeyError) as error:
        raise BagError(f"{path}: expected rows of gem-ros evaluate, got: {error}; run it again") from error


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    """The same columns as Parquet; needs the extra ``parquet`` (:class:`GemError` without)."""
    pyarrow, parquet = _pyarrow()
    kinds = {"str": pyarrow.string(), "int": pyarrow.int64(), "float": pyarrow.float64(), "bool": pyarrow.bool_()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in _KINDS.items()])
    columns = [[getattr(row, name) for row in rows] for name in NAMES]
    parquet.write_table(pyarrow.table(columns, schema=schema), path)


def can_write_parquet() -> bool:
    """Whether the extra ``parquet`` is installed."""
    try:
        _pyarrow()
    except GemError:
        return False
    return True


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise GemError("parquet: expected pyarrow, which is not installed; pip install 'gem_ros[parquet]'") from error
    return pyarrow, pyarrow.parquet


def _texts(row: Row) -> list[str]:
    return ["" if each is None else str(int(each)) if isinstance(each, bool) else str(each) for each in values(row)]


def _parsed(name: str, text: str) -> Any:
    return None if not text and name in _OPTIONAL else _PARSERS[_KINDS[name]](text)

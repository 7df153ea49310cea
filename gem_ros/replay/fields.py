"""Fields of a JSON file that somebody wrote: each there and of its kind, or a :class:`BagError` says which is not."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gem_ros.errors import BagError

MAX_BYTES = 1 << 30  # twice COCO's largest file; Python needs ten times as much for what is in it


def read_json(file: Path, what: str) -> Any:
    """The content of ``file``; ``what`` says what it should hold."""
    try:
        if (size := file.stat().st_size) > MAX_BYTES:
            raise BagError(f"{file}: expected at most {MAX_BYTES} bytes of JSON, got {size}; split it")
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BagError(f"{file}: expected {what}, got: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BagError(f"{file}: expected JSON, got: {error}; write it again") from error


def get(values: Any, key: str) -> Any:
    if not isinstance(values, Mapping) or key not in values:
        raise BagError(f"{key}: expected in an object, got {str(values)[:60]!r}")
    return values[key]


def items(values: Any, key: str, length: int | None = None) -> list[Any]:
    found = get(values, key)
    if not isinstance(found, list) or (length is not None and len(found) != length):
        size = "" if length is None else f" of {length}"
        raise BagError(f"{key}: expected a list{size}, got {str(found)[:60]}")
    return found


def text(values: Any, key: str) -> str:
    found = get(values, key)
    if not isinstance(found, str) or not found:
        raise BagError(f"{key}: expected a text, got {found!r}")
    return found


def integer(value: Any, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise BagError(f"{key}: expected an integer, got {value!r}")
    return value


def numbers(values: list[Any], key: str) -> npt.NDArray[np.float64]:
    # an integer may be larger than any float, and math.isfinite raises then
    if not all(type(each) in (int, float) and abs(each) <= sys.float_info.max for each in values):
        raise BagError(f"{key}: expected finite numbers, got {values!r}")
    return np.array(values, np.float64)

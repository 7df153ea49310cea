"""Rows as files: what is read is what was written."""

import dataclasses
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gem_ros.errors import BagError, GemError
from gem_ros.replay import rows
from gem_ros.replay.rows import Row, read_csv, write_csv, write_parquet

BARE = Row("a bag", 1, "ball", None, None, 0.1 + 0.2, 0.5, False, "absent")
FULL = dataclasses.replace(
    BARE, visible=0.1, distance_m=1.0, found=True, id=3, u=1.5, x=1e-17, thing="7", hit=False, iou=1 / 3
)
texts = st.text(min_size=1).filter(lambda text: "\r" not in text and "\0" not in text)
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.none()


def test_presence_is_known_above_the_least_visible_and_at_nothing():
    found = [dataclasses.replace(BARE, visible=each).present(0.01) for each in (None, 0.0, 0.009, 0.01)]
    assert found == [None, False, None, True]


@given(
    st.text(min_size=1).filter(lambda text: "\r" not in text and "\0" not in text), numbers, st.none() | st.booleans()
)
def test_csv_holds_every_digit(tmp_path_factory, query, number, flag):
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    written = [BARE, FULL, dataclasses.replace(FULL, query=query, error_m=number, hit=flag)]
    try:
        write_csv(path, written)
    except UnicodeEncodeError:  # half a surrogate pair is no query
        return
    assert read_csv(path) == written


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "binary\0", None])
def test_other_files_are_refused(tmp_path, text):
    path = tmp_path / "rows.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BagError, match="expected"):
        read_csv(path)


def test_a_cut_line_is_refused(tmp_path):
    path = tmp_path / "rows.csv"
    write_csv(path, [FULL])
    path.write_text(path.read_text()[:-20])
    with pytest.raises(BagError, match="expected rows"):
        read_csv(path)


def test_parquet_holds_the_same(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs gem_ros[parquet]")
    write_parquet(tmp_path / "rows.parquet", [BARE, FULL])
    assert [Row(**each) for each in parquet.read_table(tmp_path / "rows.parquet").to_pylist()] == [BARE, FULL]


def test_parquet_without_pyarrow_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # import fails
    with pytest.raises(GemError, match=r"gem_ros\[parquet\]"):
        write_parquet(tmp_path / "rows.parquet", [BARE])
    assert not rows.can_write_parquet()

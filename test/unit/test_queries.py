"""What people type becomes queries: separated, trimmed, each once, with thresholds; or one line that says why not."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gem_ros.config import MAX_QUERIES, MAX_QUERY_BYTES
from gem_ros.data import Query
from gem_ros.errors import QueryError
from gem_ros.queries import check_negatives, format_query, parse_queries, parse_query, synonyms


@pytest.mark.parametrize(
    ("text", "queries"),
    [
        ("red mug", [("red mug", None)]),
        (" red \t mug ;door:0.6; ", [("red mug", None), ("door", 0.6)]),
        ("red mug:0; red  mug:1", [("red mug", 1.0)]),  # the last word on it counts
        ("clock: 12; it's", None),
        ("label: left; a:b:0.5", [("label: left", None), ("a:b", 0.5)]),
        ("rote Tür; 🔴⚽; 赤い球", [("rote Tür", None), ("🔴⚽", None), ("赤い球", None)]),
        (unicodedata.normalize("NFD", "Tür") + "; Tür", [("Tür", None)]),  # the same letters in other characters
        ("mug | coffee  cup ;door|gate:0.6", [("mug|coffee cup", None), ("door|gate", 0.6)]),
        ("mug|cup|mug; mug|mug", [("mug|cup", None), ("mug", None)]),
        ("", []),
        (" ; ;; ", []),
    ],
)
def test_queries_are_separated_trimmed_and_each_taken_once(text, queries):
    if queries is None:
        with pytest.raises(QueryError, match="threshold"):
            parse_queries(text, 16)
    else:
        assert parse_queries(text, 16) == tuple(Query(*each) for each in queries)
        assert parse_queries(text.split(";"), 16) == parse_queries(text, 16)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a\0b", "control characters"),
        ("a\x1b[31mb", "control characters"),
        ("a\ud800b", "control characters"),
        (":0.5", "expected a few words"),
        ("red mug:1.5", r"threshold in \[0, 1\], got 1.5"),
        ("red mug:-0.1", "threshold"),
        ("red mug:nan", "got nan"),
        ("x" * (MAX_QUERY_BYTES + 1), "at most 512 bytes, got 513 characters"),
        ("ü" * (MAX_QUERY_BYTES // 2 + 1), "at most 512 bytes, got 257 characters"),
        ("x" * 10_000_000, "got 10000000 characters"),
        (";".join(f"ball {number}" for number in range(17)), "at most 16 queries, got 17"),
        ("mug|", r"query: expected up to 16 synonyms, like mug\|cup, got 'mug\|'"),
        ("|", "synonyms"),
        ("mug||cup", "synonyms"),
        ("mug|:0.5", "synonyms"),
        ("|".join(f"ball {number}" for number in range(17)), "up to 16 synonyms, like .*, got 17 of them"),
        ("|" * 512, "synonyms"),
    ],
)
def test_what_is_no_query_is_one_line(text, says):
    with pytest.raises(QueryError, match=says) as error:
        parse_queries(text, 16)
    assert len(str(error.value)) < 200 and "\n" not in str(error.value)


def test_the_longest_and_the_most_are_taken():
    assert parse_query("ü" * (MAX_QUERY_BYTES // 2)).text == "ü" * (MAX_QUERY_BYTES // 2)
    texts = [f"ball {number}".ljust(MAX_QUERY_BYTES, "x") for number in range(16)]
    assert len(parse_queries(";".join(texts), 16)) == 16


@given(st.text(max_size=40), st.none() | st.floats(0, 1))
def test_a_query_is_written_as_it_is_read(text, threshold):
    try:
        query = Query(parse_query(text).text, threshold)
        written = format_query(query)
        again = parse_query(written)
    except QueryError:
        return
    assert again == query or threshold is None  # without one, "a:1" may be left of "a:0.5:1"


def test_synonyms_are_each_name_of_one_thing():
    assert synonyms("mug|coffee cup") == ("mug", "coffee cup")
    assert synonyms("mug") == ("mug",)
    assert synonyms("|") == ("|",)  # never nothing
    assert len(parse_query("|".join("abcdefghijklmnop")).text) == 31


def test_negatives_are_phrases_and_not_without_end():
    check_negatives(("wall", "door 5:3", *["floor"] * (MAX_QUERIES - 2)))
    for bad, says in (
        (["a\0"], "negatives: expected printable text"),
        (["x" * 513], "negatives: expected at most 512 bytes"),
        (["wall"] * 256, "negatives: expected at most 255, got 256"),
        (["wall|"], "negatives: expected up to 16 synonyms"),
    ):
        with pytest.raises(QueryError, match=says):
            check_negatives(bad)

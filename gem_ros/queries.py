"""From what a person types to :class:`~gem_ros.data.Query` values, and no further."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable
from functools import lru_cache

from gem_ros.config import MAX_QUERIES, MAX_QUERY_BYTES
from gem_ros.data import Query
from gem_ros.errors import QueryError

SEPARATOR = ";"
EXAMPLE = "@"  # begins the name of something that was shown
SYNONYM = "|"
MAX_SYNONYMS = 16


def parse_query(text: str) -> Query:
    """``red mug:0.6`` -> ``Query("red mug", 0.6)``; a colon not followed by a number is text.

    A query with synonyms, ``mug|cup``, keeps them all as its text, by which it is known from then on.

    Raises :class:`QueryError` for what is no :func:`phrase`, or has a threshold outside [0, 1].
    """
    words, threshold = phrase(text), None
    head, colon, tail = words.rpartition(":")
    if colon:
        try:
            threshold = float(tail)
        except ValueError:
            pass
        else:
            words = phrase(head)
            if not 0.0 <= threshold <= 1.0:
                raise QueryError(f"query {words!r}: expected a threshold in [0, 1], got {tail.strip()}")
    return Query(words, threshold)


def phrase(text: str, name: str = "query") -> str:
    """``text`` with single spaces, and the same letters always as the same characters (Unicode's form NFC).

    ``mug | cup``, two words for one thing, becomes ``mug|cup``. Raises :class:`QueryError` that begins with ``name``
    for text that is empty, too long, or holds control characters, and for too many synonyms or an empty one.
    """
    if len(text) > MAX_QUERY_BYTES or len(text.encode(errors="replace")) > MAX_QUERY_BYTES:
        raise QueryError(f"{name}: expected at most {MAX_QUERY_BYTES} bytes, got {len(text)} characters; shorten it")
    words = unicodedata.normalize("NFC", " ".join(text.split()))
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in words):
        raise QueryError(f"{name}: expected printable text, got control characters; send plain UTF-8")
    if not words:
        raise QueryError(f"{name}: expected a few words, got none; say what to look for, like 'red ball'")
    if SYNONYM not in words:
        return words
    names = [each.strip() for each in words.split(SYNONYM)]
    if not all(names) or len(names) > MAX_SYNONYMS:
        got = f"{len(names)} of them" if all(names) else repr(words if len(words) <= 60 else f"{words[:60]}…")
        raise QueryError(f"{name}: expected up to {MAX_SYNONYMS} synonyms, like mug|cup, got {got}")
    return SYNONYM.join(dict.fromkeys(names))


@lru_cache(maxsize=4096)  # the same queries are asked of every image
def synonyms(text: str) -> tuple[str, ...]:
    """``mug|cup`` -> ("mug", "cup"), what one thing may be called; any other text alone."""
    return tuple(name for name in text.split(SYNONYM) if name.strip()) or (text,)


def example_name(text: str) -> str:
    """The name under which something that is shown can be asked for, as ``@name``; :class:`QueryError`."""
    name = phrase(text, "example")
    if name.startswith(EXAMPLE) or any(each in name for each in (SEPARATOR, SYNONYM, ":")):
        raise QueryError(f"example: expected a name without @ before it and ; | : in it, got {name!r}; rename it")
    return name


def check_negatives(texts: Collection[str]) -> None:
    """Raise :class:`QueryError` for what cannot be competed with: no phrase, or more than a node has queries."""
    if len(texts) > MAX_QUERIES:
        raise QueryError(f"negatives: expected at most {MAX_QUERIES}, got {len(texts)}")
    for text in texts:
        phrase(text, "negatives")


def format_query(query: Query) -> str:
    """``Query("red mug", 0.6)`` -> ``red mug:0.6``; :func:`parse_query` makes the same query of it."""
    return query.text if query.threshold is None else f"{query.text}:{query.threshold!r}"


def parse_queries(text: str | Iterable[str], max_queries: int) -> tuple[Query, ...]:
    """All queries of ``red ball; door:0.6`` (or of a list), in order, each text once.

    Empty text gives no query. Raises :class:`QueryError` for a bad one or more than ``max_queries``.
    """
    if isinstance(text, str) and len(text) > (max_queries + 1) * (MAX_QUERY_BYTES + 1):
        raise QueryError(
            f"query: expected at most {max_queries} queries of {MAX_QUERY_BYTES} bytes, got {len(text)} characters"
        )
    pieces = [text] if isinstance(text, str) else list(text)
    pieces = [piece for item in pieces for piece in item.split(SEPARATOR) if piece.strip()]
    found = {query.text: query for query in map(parse_query, pieces)}
    if len(found) > max_queries:
        raise QueryError(
            f"query: expected at most {max_queries} queries, got {len(found)}; raise max_queries or ask for fewer"
        )
    return tuple(found.values())

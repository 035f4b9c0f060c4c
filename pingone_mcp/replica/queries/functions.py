"""Functions of SQLite that may take minutes for one value, replaced by some that have a bound."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from typing import Any

from pingone_mcp.replica.queries.allowed import LONGEST_VALUE, MOST_STRIPPED


@contextmanager
def own_functions(connection: sqlite3.Connection) -> Iterator[None]:
    """Replace what takes minutes or longer for one value, uninterrupted, by what has a bound."""
    for name, strip in (("trim", str.strip), ("ltrim", str.lstrip), ("rtrim", str.rstrip)):
        connection.create_function(name, 2, _stripping(strip), deterministic=True)
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as plain:
        plain.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
        for name in ("printf", "format"):
            connection.create_function(name, -1, _formatting(plain), deterministic=True)
        yield


def _stripping(strip: Callable[[str, str], str]) -> Callable[[Any, Any], str | None]:
    """Make a trim of few characters: SQLite's own takes the time of both lengths multiplied."""

    def trim(text: Any, characters: Any) -> str | None:
        if text is None or characters is None:
            return None
        if not isinstance(text, str | int) or not isinstance(characters, str) or len(characters) > MOST_STRIPPED:
            raise ValueError
        return strip(str(text), characters)

    return trim


def _formatting(plain: sqlite3.Connection) -> Callable[..., Any]:
    """Make a printf whose widths have a bound: SQLite's own counts to two billion. `plain` has the one of SQLite."""

    def printf(*arguments: Any) -> Any:
        if not arguments or arguments[0] is None:
            return None
        pattern, *values = arguments
        text = pattern.decode(errors="replace") if isinstance(pattern, bytes) else str(pattern)
        _check_widths(text)
        marks = ", ".join("?" * len(arguments))
        try:
            (formatted,) = plain.execute(f"SELECT printf({marks})", (text, *values)).fetchone()
        except sqlite3.DataError:  # too long
            raise OverflowError from None  # which sqlite3 hands on as SQLITE_TOOBIG
        return formatted

    return printf


@lru_cache
def _check_widths(pattern: str) -> None:
    """Raise ValueError for a width that an argument gives, OverflowError for more than a value may be long.

    Every % counts as the start of a part, up to a letter: no part that SQLite reads is missed.
    """
    parts = re.findall(r"%[^%a-z]+", pattern, re.IGNORECASE | re.ASCII)
    if any("*" in part for part in parts):
        raise ValueError
    if sum(int(width) for part in parts for width in re.findall(r"[0-9]+", part)) > LONGEST_VALUE:
        raise OverflowError

"""Letters beyond ASCII for the SQL of the local copy, as functions of Python: SQLite alone knows no others."""

from __future__ import annotations

import re
import sqlite3

from pingone_mcp.directory.matching.identity import folded
from pingone_mcp.directory.text.harmless import unaccented

_BETWEEN_WORDS = re.compile(r"(?:[^\w\n]|_)+")


def teach(connection: sqlite3.Connection) -> None:
    """Teach a connection to compare letters beyond ASCII in any case, with their accents and without."""
    connection.create_function("lowered", 1, _lowered, deterministic=True)
    connection.create_function("unaccented", 1, _unaccented, deterministic=True)
    connection.create_function("folded", 1, folded, deterministic=True)
    connection.create_function("begins_words", 2, _begins_words, deterministic=True)


def _lowered(text: object) -> str | None:
    return text.lower() if isinstance(text, str) else None


def _unaccented(text: object) -> str | None:
    return unaccented(text) if isinstance(text, str) else None


def spoken(text: str) -> str:
    """Return the words of a text as the index of words has them: letters and digits, without case and accents."""
    return _BETWEEN_WORDS.sub(" ", unaccented(text)).strip()


def _begins_words(texts: str, wanted: str) -> bool:
    """Say whether words of texts begin with all words wanted; both have a line each, and those wanted are `spoken`."""
    there = f" {_BETWEEN_WORDS.sub(' ', unaccented(texts))}".replace("\n", "\n ")
    return all(f" {word}" in there for word in wanted.split("\n"))

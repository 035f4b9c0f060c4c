"""Letters beyond ASCII for the SQL of the local copy, as functions of Python: SQLite alone knows no others."""

from __future__ import annotations

import sqlite3

from pingone_mcp.directory.matching.identity import folded
from pingone_mcp.directory.text.harmless import unaccented


def teach(connection: sqlite3.Connection) -> None:
    """Teach a connection to compare letters beyond ASCII in any case, with their accents and without."""
    connection.create_function("lowered", 1, _lowered, deterministic=True)
    connection.create_function("unaccented", 1, _unaccented, deterministic=True)
    connection.create_function("folded", 1, folded, deterministic=True)


def _lowered(text: object) -> str | None:
    return text.lower() if isinstance(text, str) else None


def _unaccented(text: object) -> str | None:
    return unaccented(text) if isinstance(text, str) else None

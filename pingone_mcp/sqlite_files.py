"""SQLite files: found to be damaged, removed with what lies beside them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

SIDE_FILES = ("", "-wal", "-shm")


def remove_database(path: Path) -> None:
    """Remove a database file and what SQLite put beside it."""
    for suffix in SIDE_FILES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def is_damage(error: sqlite3.DatabaseError) -> bool:
    return primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def primary_code(error: sqlite3.Error) -> int:
    """Return the primary result code of SQLite, 0 where Python itself raised."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF

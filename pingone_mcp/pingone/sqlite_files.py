"""SQLite files that nobody else may read: made, told to be damaged, removed with what lies beside them."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

SIDE_FILES = ("", "-wal", "-shm")


def make_file(path: Path) -> None:
    """Make an empty file that nobody else may read, unless there is one; SQLite gives its side files the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def remove_database(path: Path) -> None:
    """Remove a database file and what SQLite put beside it."""
    for suffix in SIDE_FILES:
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def is_damage(error: sqlite3.DatabaseError) -> bool:
    return primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def primary_code(error: sqlite3.Error) -> int:
    """Return the primary result code of SQLite, 0 where Python itself raised."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF

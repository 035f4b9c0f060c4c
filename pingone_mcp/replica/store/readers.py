"""Connections that only read, kept open between two uses: to open one takes as long as a page of users does."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

_MOST = 12
"""So many are kept: each may hold two MiB of a file in memory."""

Looks = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    path: Path
    looks: Looks
    connection: sqlite3.Connection


class Readers:
    """Keep what several local copies were read with. What was used longest ago is closed first.

    A connection is given only while its file looks as it did: one that was replaced, or written beside SQLite's back,
    is opened anew. All of it may be used from any thread.
    """

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._kept: list[_Kept] = []  # the newest last
        self._turn = Lock()

    def take(self, path: Path, looks: Looks) -> sqlite3.Connection | None:
        """Return a connection to a file, which nobody else has until it is put back; None where none is kept."""
        with self._turn:
            of_file = [one for one in self._kept if one.path == path]
            stale = [one for one in of_file if one.looks != looks]
            fresh = next((one for one in reversed(of_file) if one.looks == looks), None)
            self._kept = [one for one in self._kept if one is not fresh and one not in stale]
        _close(stale)
        return None if fresh is None else fresh.connection

    def put(self, path: Path, looks: Looks, connection: sqlite3.Connection) -> None:
        """Keep a connection, which was opened or last used when its file looked so."""
        with self._turn:
            self._kept.append(_Kept(path, looks, connection))
            beyond = self._kept[: -self._most] if self._most else self._kept
            self._kept = self._kept[len(beyond) :]
        _close(beyond)

    def close(self, path: Path | None = None) -> None:
        """Close what is kept of a file, or of all."""
        with self._turn:
            closed = [one for one in self._kept if path in (None, one.path)]
            self._kept = [one for one in self._kept if one not in closed]
        _close(closed)


def looks_of(path: Path) -> Looks:
    """Return what tells a file of a local copy, and the log beside it, from another one, or from a changed one.

    The log itself changes with each transaction, which SQLite sees by itself. Raises OSError.
    """
    file, log = path.stat(), Path(f"{path}-wal")
    try:
        beside = log.stat()
    except FileNotFoundError:
        return file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns
    return file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, beside.st_dev, beside.st_ino


def _close(kept: list[_Kept]) -> None:
    for one in kept:
        one.connection.close()

"""What a walk has done so far: whose users it has handed over, and which parts are still to be read.

It lies in SQLite, so that memory stays small however large the directory is; in a file, it outlives its process, and a
walk that was killed goes on where it was. Pages are noted in one transaction until whoever takes them keeps them
(`kept`): what was handed over and not kept before a kill comes again.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pingone_mcp.advice import setting
from pingone_mcp.errors import Refused, UpstreamProblem
from pingone_mcp.private_files import make_file
from pingone_mcp.sqlite_files import is_damage, primary_code, remove_database

# `after` is how many users had been handed over before the page that an id came with first.
_SCHEMA = """
    CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS parts (name TEXT PRIMARY KEY, link TEXT);
    CREATE TABLE IF NOT EXISTS seen (id BLOB PRIMARY KEY, after INTEGER) WITHOUT ROWID;
"""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class NotKept(UpstreamProblem):
    """The notes of a walk cannot be written: the disk is full, or not to be written to."""


@dataclass(frozen=True, slots=True)
class OpenPart:
    """A part that is still to be read, from the page at `link` on (None: from its first)."""

    name: str
    link: str | None


class Ledger:
    """The notes of one walk of one `purpose`; those that were made for another are thrown away.

    `delivered` is how many users were handed over. Without `path` they lie in a temporary file that has no name and
    goes with the process. Close with `close`.
    Raises Refused when another process uses the file, and NotKept when it cannot be written.
    """

    def __init__(self, path: Path | None, purpose: str) -> None:
        self._path = path
        self._purpose = purpose
        with self._noted():
            try:
                self._database = self._open()
            except sqlite3.DatabaseError as error:
                if path is None or not is_damage(error):
                    raise
                remove_database(path)
                self._database = self._open()
            if self.fact("purpose") != purpose:
                self.start_over()
            self.delivered = int(self._database.execute("SELECT count(*) FROM seen").fetchone()[0])

    def _open(self) -> sqlite3.Connection:
        if self._path is not None:
            make_file(self._path)
        database = sqlite3.connect(self._path or "", isolation_level=None, timeout=0.0)
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = " + ("WAL" if self._path else "OFF"))
            database.execute("PRAGMA synchronous = " + ("NORMAL" if self._path else "OFF"))
            database.executescript(_SCHEMA)
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Forget what was not noted, and let go of the file."""
        self._database.close()

    def remove(self) -> None:
        """Close, and remove the file: the walk is over."""
        self.close()
        if self._path is not None:
            with suppress(OSError):
                remove_database(self._path)

    def start_over(self) -> None:
        with self._noted():
            self._database.executescript("BEGIN; DELETE FROM facts; DELETE FROM parts; DELETE FROM seen; COMMIT")
            self.note("purpose", self._purpose)

    def fact(self, name: str) -> Any:
        """Return what was noted under a name; None when nothing was."""
        row = self._database.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def note(self, name: str, value: Any) -> None:
        with self._noted():
            self._database.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value)))

    def open_parts(self) -> list[OpenPart]:
        rows = self._database.execute("SELECT name, link FROM parts ORDER BY rowid").fetchall()
        return [OpenPart(name, link) for name, link in rows]

    def plan(self, parts: Iterable[str]) -> None:
        """Put the parts of these names in the place of all that are open."""
        with self._noted(), self._transaction():
            self._database.execute("DELETE FROM parts")
            self._database.executemany("INSERT INTO parts VALUES (?, NULL)", [(name,) for name in parts])

    def begin_page(self, ids: Iterable[str]) -> set[str]:
        """Return which of these ids are new. They count as handed over once the page has ended and is kept."""
        blobs, after = {identity: _blob(identity) for identity in ids}, self.delivered
        with self._noted():
            if not self._database.in_transaction:
                self._database.execute("BEGIN")
            new = self._database.execute(_see(len(blobs)), (after, *blobs.values())).rowcount if blobs else 0
            self.delivered += new
            if new == len(blobs):  # as of nearly all pages
                return set(blobs)
            return {identity for identity, blob in blobs.items() if self._after(blob) == after}

    def _after(self, blob: bytearray) -> int:
        after: int
        (after,) = self._database.execute("SELECT after FROM seen WHERE id = ?", (blob,)).fetchone()
        return after

    def end_page(self, part: str, link: str | None, children: Iterable[str] = ()) -> None:
        """Note that a page was handed over: its part goes on at `link`, or has ended, or was split into `children`."""
        with self._noted():
            if link is not None:
                self._database.execute("UPDATE parts SET link = ? WHERE name = ?", (link, part))
            else:
                self._database.execute("DELETE FROM parts WHERE name = ?", (part,))
                rows = [(name,) for name in children]
                self._database.executemany("INSERT OR IGNORE INTO parts VALUES (?, NULL)", rows)

    def kept(self) -> None:
        """Note all pages that have ended for good, and what was noted since them: they are kept."""
        with self._noted():
            if self._database.in_transaction:
                self._database.execute("COMMIT")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Do everything or nothing; with the pages that are not kept yet, where there are any."""
        if self._database.in_transaction:
            yield
            return
        self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise Refused(
                    "Another process is walking this directory with the same notes.",
                    "Wait for its end, then try again.",
                    code="WALK_IN_PROGRESS",
                ) from None
            raise _not_kept() from error
        except (OSError, sqlite3.DatabaseError) as error:
            raise _not_kept() from error


def _not_kept() -> NotKept:
    return NotKept(
        "The notes of this walk cannot be written, so it was not finished.",
        f"Make room on the disk of {setting('cache_dir')} and of the folder for temporary files, and see that both may be written to.",
        code="NOTES_NOT_KEPT",
    )


@lru_cache
def _see(number: int) -> str:
    """Return what notes so many ids at once: one by one they take twice as long."""
    values = ", ".join(f"(?{place}, ?1)" for place in range(2, number + 2))
    return f"INSERT OR IGNORE INTO seen VALUES {values}"  # noqa: S608 - nothing but marks


def _blob(identity: str) -> bytearray:
    """Return an id in 16 bytes where it is a UUID as PingOne writes them; `sqlite3` takes longer for `bytes`."""
    if _UUID.fullmatch(identity):
        return bytearray.fromhex(identity.replace("-", ""))
    return bytearray(identity.encode(errors="surrogatepass"))

"""What all that is taken over of one environment has in common: the transaction, and the changes that are noted."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from pingone_mcp.directory.changes import ChangeKind, Evidence
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.replica.findings import Findings
from pingone_mcp.replica.store.rows import storable

T = TypeVar("T")

_CHUNK = 500


class ChangeRow(NamedTuple):
    """One change as a row of the copy; times are RFC 3339 in UTC, `before` and `after` JSON objects."""

    at: str
    seen_at: str
    kind: ChangeKind
    user_id: str
    username: str | None
    email: str | None
    environment_id: str
    evidence: Evidence
    actor: str | None
    group_id: str | None = None
    group_name: str | None = None
    before: str | None = None
    after: str | None = None


class KnownTrace(NamedTuple):
    """When a change was made, how that is known, and by whom where an event says so."""

    at: str
    evidence: Evidence
    actor: str | None


_NOTE = f"INSERT INTO changes_ ({', '.join(ChangeRow._fields)}) VALUES ({', '.join('?' * len(ChangeRow._fields))})"  # noqa: S608 - our names


@dataclass(slots=True, kw_only=True)
class Takeover:
    """One environment that is taken over in a transaction that the caller has begun; `staged` is attached.

    `now` is when that happens: no change is later. `entered` are users who came into scope, `created` those who are new
    in the directory, `kinds` counts the changes. `is_first` says that the copy held nobody before.
    """

    database: sqlite3.Connection
    found: Findings
    now: str
    entered: set[str] = field(default_factory=set[str])
    created: set[str] = field(default_factory=set[str])
    kinds: Counter[str] = field(default_factory=Counter[str])
    is_first: bool = False

    def list_ids(self, name: str, ids: Iterable[str]) -> None:
        """Put ids into a temporary table of their own."""
        self.make_table(name, "id TEXT PRIMARY KEY")
        self.database.executemany(
            f"INSERT OR IGNORE INTO temp.{name} VALUES (?)",  # noqa: S608 - our names
            ((identity,) for identity in ids),
        )

    def make_table(self, name: str, columns: str) -> None:
        """Make a temporary table in the place of one that an environment before this one has left."""
        self.database.execute(f"DROP TABLE IF EXISTS temp.{name}")
        self.database.execute(f"CREATE TEMP TABLE {name} ({columns}) WITHOUT ROWID")

    def unseen(self, at: str | None) -> KnownTrace:
        """Return the trace of a change that no event is about: seen now, and made at a time, where that is known."""
        return KnownTrace(at or self.now, "walk" if self.found.mode == "full" else "read", None)

    def note(self, changes: Iterable[ChangeRow], *, counted: bool = True) -> None:
        """Write changes down; those that are not `counted` are none since the last sync."""
        rows = list(changes)
        if counted:
            self.kinds.update(row.kind for row in rows)
        self.database.executemany(_NOTE, map(storable, rows))


def chunks(rows: Iterable[T]) -> Iterator[list[T]]:
    """Give rows some hundreds at a time."""
    chunk: list[T] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def as_json(value: JsonObject | str | None) -> str | None:
    """Return a part of a change as it is kept; nothing for what is empty."""
    return None if not value else json.dumps(value, separators=(",", ":"), sort_keys=True)

"""What the syncs have noted about themselves in the local copy: facts and runs, read here and believed nowhere else.

They lie in it as JSON. Raises Damaged for what no sync has written.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

from pydantic import Json, TypeAdapter

from pingone_mcp.replica.evidence import TRIES, Shortage, Vanished
from pingone_mcp.replica.store.retention import forget_runs
from pingone_mcp.replica.store.store import Damaged
from pingone_mcp.replica.watermark import Moment, Watermark

UNREADABLE = "unreadable"
"""What is noted of users, groups, populations or roles that a sync could not read."""
ALL = "all"
NAMED = "named in events"


class Shape(NamedTuple):
    """What makes the records as they are: in another shape all of them are made anew."""

    version: int
    attributes: dict[str, str]
    remote_data: bool


@dataclass(slots=True, kw_only=True)
class EnvironmentCoverage:
    """What was read of an environment, and what was not.

    `users` is UNREADABLE where no sync could read it at all, `memberships` ALL or UNREADABLE, `roles` ALL (of
    everybody), NAMED or UNREADABLE, `roles_missed` of how many users they could not be read whole, `events` whether the
    audit could be read, and `audited_since` how far back the first sync read it. `users_short`, `populations_short` and
    `groups_short` say that the provider counts more than its lists showed; `without_id` counts what could not be told
    apart. `unseen` and `unseen_groups` could not be found although nothing proves that they are gone, `homes` is where
    events say that such users are.
    """

    users: str | None = None
    memberships: str | None = None
    roles: str | None = None
    events: bool | None = None
    populations: str | None = None
    audited_since: Moment | None = None
    users_short: Shortage | None = None
    populations_short: dict[str, Shortage] = field(default_factory=dict[str, Shortage])
    groups_short: bool = False
    roles_missed: int = 0
    without_id: int = 0
    unseen: list[str] = field(default_factory=list[str])
    unseen_groups: list[str] = field(default_factory=list[str])
    homes: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def wants_full_sync(self) -> bool:
        """Say whether everybody is to be read again although what has changed would be enough: some were missed."""
        short = self.users_short
        return (short is not None and short.tries < TRIES) or any(
            one.tries == TRIES for one in self.populations_short.values()
        )


@dataclass(frozen=True, slots=True)
class ReadBy:
    """The sync (its number) that really read an environment, and when it began."""

    run: int
    at: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRemovals:
    """What a person is asked about: who vanished, of whom one may say that they are gone, and who loses memberships."""

    at: Moment
    vanished: tuple[Vanished, ...]
    ids: tuple[str, ...]
    memberships: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """All that the last syncs have noted, by environment where it is about one; the first five once one was complete.

    `watched_since` is from when on every change was written down, `held` what a sync waits for, and `damaged` why the
    copy before this one was set aside.
    """

    watermarks: dict[str, Watermark] = field(default_factory=dict[str, Watermark])
    coverage: dict[str, EnvironmentCoverage] = field(default_factory=dict[str, EnvironmentCoverage])
    shape: Annotated[Shape, Json] | None = None
    last_sync: Moment | None = None
    last_full: Moment | None = None
    read: dict[str, ReadBy] = field(default_factory=dict[str, ReadBy])
    read_in_full: dict[str, Moment] = field(default_factory=dict[str, Moment])
    watched_since: dict[str, Moment] = field(default_factory=dict[str, Moment])
    held: HeldRemovals | None = None
    damaged: str | None = None

    @property
    def doubtful(self) -> frozenset[str]:
        """Users and groups that could not be found and are in the copy all the same: a person may say they are gone."""
        covered = self.coverage.values()
        unseen = {one for place in covered for one in (*place.unseen, *place.unseen_groups)}
        return frozenset((*(self.held.ids if self.held is not None else ()), *unseen))

    @property
    def losing(self) -> Mapping[str, int]:
        """How many users of each environment would lose a membership, where that waits for a person."""
        return self.held.memberships if self.held is not None else {}

    @property
    def edition_of_doubt(self) -> str:
        """What tells all that a person may say yes to from anything else that this may be at another time."""
        text = json.dumps([sorted(self.doubtful), sorted(self.losing.items())])
        return hashlib.sha256(text.encode()).hexdigest()


_ALWAYS = frozenset({"watermarks", "coverage", "shape", "last_sync", "last_full"})


@functools.cache
def _adapters() -> Mapping[str, TypeAdapter[Any]]:
    hints = get_type_hints(Memory, include_extras=True)
    return MappingProxyType({name: TypeAdapter(hint) for name, hint in hints.items()})


def recalled(connection: sqlite3.Connection) -> Memory:
    """Return what the last syncs have noted; nothing before the first one. Raises Damaged."""
    found: dict[str, Any] = {}
    for name, value in connection.execute("SELECT name, value FROM facts_"):
        adapter = _adapters().get(name)
        if adapter is None:  # a newer version may note more
            continue
        try:
            found[name] = adapter.validate_json(value, strict=True)
        except (ValueError, TypeError, RecursionError):  # no JSON, or of another shape
            raise Damaged(f"what the syncs have noted as {name} cannot be read") from None
    missing = _ALWAYS - found.keys()
    if missing and last_run(connection, "outcome = 'complete'") is not None:
        raise Damaged(f"what the syncs have noted as {min(missing)} is missing")
    return Memory(**found)


def note(connection: sqlite3.Connection, **noted: object) -> None:
    """Note facts, named as in `Memory`, in the place of what was noted.

    An older version, which may share the copy, knows every member but those of a coverage to be always there.
    """
    for name, value in noted.items():
        written = _adapters()[name].dump_json(value, exclude_defaults=name == "coverage", round_trip=True)
        connection.execute("INSERT OR REPLACE INTO facts_ VALUES (?, ?)", (name, written.decode()))


# Groups nested in groups: noted by rereads too, which note nothing else of these, and so no part of `Memory`.

Noted = Literal["partly nested", "read through"]
"""Groups in which others are nested that are not all known; and those whose members through others were read from the
provider, because what is known of the others does not lead to all of them."""


def groups_noted(connection: sqlite3.Connection, what: Noted, environment: str) -> set[str]:
    """Return the groups of an environment of which something is noted. Raises Damaged."""
    row = connection.execute("SELECT value FROM facts_ WHERE name = ?", (f"{what}: {environment}",)).fetchone()
    try:
        return _ids().validate_json(row[0], strict=False) if row is not None else set()
    except (ValueError, TypeError):
        raise Damaged(f"which groups are noted as {what} cannot be read") from None


def note_groups(connection: sqlite3.Connection, what: Noted, environment: str, groups: Iterable[str]) -> None:
    """Note the groups of an environment of which something is so, in the place of those of before."""
    row = f"{what}: {environment}", json.dumps(sorted(groups))
    connection.execute("INSERT OR REPLACE INTO facts_ VALUES (?, ?)", row)


@functools.cache
def _ids() -> TypeAdapter[set[str]]:
    return TypeAdapter(set[str])


# Runs


@dataclass(frozen=True, slots=True)
class RunCounts:
    """What a run counted: the rows that there are since, by table."""

    rows: KnownRows


@dataclass(frozen=True, slots=True)
class KnownRows:
    users: int
    groups: int
    memberships: int


@dataclass(frozen=True, slots=True)
class Run:
    """One sync; `counts` where it was taken over."""

    id: int
    mode: Literal["full", "incremental"]
    started_at: Moment
    outcome: str
    reason: str | None
    counts: Json[RunCounts] | None


_COLUMNS = ", ".join(one.name for one in fields(Run))


@functools.cache
def _run() -> TypeAdapter[Run]:
    return TypeAdapter(Run)


def counts_of(text: object) -> RunCounts:
    """Return what was counted, of the text in which it is noted. Raises Damaged."""
    try:
        return _counts().validate_json(str(text))
    except ValueError:
        raise Damaged("what was counted when users were read again cannot be read") from None


@functools.cache
def _counts() -> TypeAdapter[RunCounts]:
    return TypeAdapter(RunCounts)


def last_run(connection: sqlite3.Connection, which: str, order: Literal["DESC", "ASC"] = "DESC") -> Run | None:
    """Return the last sync (or the first) of those that a condition, our own text, chooses. Raises Damaged."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM sync_runs_ WHERE {which} ORDER BY id {order} LIMIT 1"  # noqa: S608 - our own text
    ).fetchone()
    if row is None:
        return None
    try:
        run = _run().validate_python(dict(zip(_COLUMNS.split(", "), row, strict=True)))
    except ValueError:
        raise Damaged("what is noted of the last syncs cannot be read") from None
    if run.outcome == "complete" and run.counts is None:
        raise Damaged("what the last sync has counted is missing")
    return run


class EndedRun(NamedTuple):
    """How a sync ended: times are RFC 3339 in UTC; `counts` has rows by table and changes by kind."""

    mode: Literal["full", "incremental"]
    started_at: str
    ended_at: str
    outcome: Literal["complete", "incomplete", "held", "failed"]
    reason: str | None
    counts: Mapping[str, Mapping[str, int]] | None = None


def note_run(connection: sqlite3.Connection, ended: EndedRun) -> int:
    """Note a sync, and return its number; of the oldest ones nothing stays."""
    counts = json.dumps(ended.counts) if ended.counts is not None else None
    added = connection.execute(
        "INSERT INTO sync_runs_ (mode, started_at, ended_at, outcome, reason, counts) VALUES (?, ?, ?, ?, ?, ?)",
        (*ended[:-1], counts),
    )
    forget_runs(connection)
    return int(added.lastrowid or 0)

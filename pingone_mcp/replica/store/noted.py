"""What the syncs have noted about themselves in the local copy: facts and runs, read here and believed nowhere else.

Raises Damaged for what no sync has written.
"""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Json, TypeAdapter

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.replica.store.store import Damaged

if TYPE_CHECKING:
    from pingone_mcp.directory.models import JsonObject


def _moment(text: str) -> str:
    if timestamp(datetime.fromisoformat(text)) != text:  # they are compared as texts
        raise ValueError("a time that no sync has written")
    return text


Moment = Annotated[str, AfterValidator(_moment)]
"""RFC 3339 in UTC with milliseconds and Z."""


@dataclass(frozen=True, slots=True)
class Run:
    """One sync; `counts` where it was taken over."""

    id: int
    mode: Literal["full", "incremental"]
    started_at: Moment
    outcome: str
    reason: str | None
    counts: Json[_Counts] | None


@dataclass(frozen=True, slots=True)
class _Counts:
    rows: _Rows


@dataclass(frozen=True, slots=True)
class _Rows:
    users: int
    groups: int
    memberships: int


@dataclass(frozen=True, slots=True)
class _Mark:
    updated: Moment
    events: Moment
    seen: dict[str, Moment]
    ahead: float | None = None


@dataclass(frozen=True, slots=True)
class _Short:
    counted: int
    found: int
    tries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Coverage:
    """What was read of an environment, and what was not; see `Reading.coverage`."""

    users: str | None = None
    memberships: str | None = None
    roles: str | None = None
    events: bool | None = None
    populations: str | None = None
    audited_since: Moment | None = None
    users_short: _Short | None = None
    populations_short: dict[str, _Short] | None = None
    groups_short: bool | None = None
    without_id: int | None = None
    unseen: list[str] | None = None
    unseen_groups: list[str] | None = None
    homes: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    run: int
    at: Moment


@dataclass(frozen=True, slots=True)
class _Vanished:
    what: str
    environment: str
    population: str | None
    missing: int
    known: int
    examples: list[str]


@dataclass(frozen=True, slots=True)
class _Held:
    at: Moment
    vanished: list[_Vanished]
    ids: list[str]
    memberships: dict[str, int]


# The first ones are always there once a sync was taken over.
_ALWAYS: Mapping[str, Any] = {
    "watermarks": dict[str, _Mark],
    "coverage": dict[str, _Coverage],
    "shape": Annotated[tuple[int, dict[str, str], bool], Json],
    "last_sync": Moment,
    "last_full": Moment,
}
_SHAPES: Mapping[str, Any] = {
    **_ALWAYS,
    "read": dict[str, _Read],
    "read_in_full": dict[str, Moment],
    "watched_since": dict[str, Moment],
    "held": _Held | None,
    "damaged": str | None,
}
_COLUMNS = ", ".join(field.name for field in fields(Run))


@functools.cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(_SHAPES[name])


@functools.cache
def _run() -> TypeAdapter[Run]:
    return TypeAdapter(Run)


def facts(connection: sqlite3.Connection) -> JsonObject:
    """Return what the last syncs have noted, by name; nothing before the first one."""
    found: JsonObject = {}
    for name, value in connection.execute("SELECT name, value FROM facts_"):
        try:
            if name in _SHAPES:  # a newer version may note more
                _adapter(name).validate_json(value, strict=True)
            found[name] = json.loads(value)
        except (ValueError, TypeError, RecursionError):  # no JSON, or of another shape
            raise Damaged(f"what the syncs have noted as {name} cannot be read") from None
    missing = _ALWAYS.keys() - found.keys()
    if missing and last_run(connection, "outcome = 'complete'") is not None:
        raise Damaged(f"what the syncs have noted as {min(missing)} is missing")
    return found


def last_run(connection: sqlite3.Connection, which: str, order: Literal["DESC", "ASC"] = "DESC") -> Run | None:
    """Return the last sync (or the first) of those that a condition, our own text, chooses."""
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

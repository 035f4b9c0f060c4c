"""One state of the local copy, for the length of one transaction: what is in it, how old it is, and what is missing."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pingone_mcp.pingone.served import UNREADABLE_ENVIRONMENT
from pingone_mcp.replica.conditions import NotHeld, teach
from pingone_mcp.replica.places import Places
from pingone_mcp.replica.state import fact
from pingone_mcp.replica.store import no_replica
from pingone_mcp.settings import Connection

UNREADABLE = "unreadable"
"""What a sync notes as the coverage of users, or of roles, that it may not read."""

# A sync notes times by PingOne's clock, which it knows to the second, and by ours before the first answer.
_SEVERAL_CLOCKS = timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """The times that say how far the copy can be relied on.

    It is as PingOne was at `synced`, everybody was walked over at `full`, and every change has been written down from
    `watched` on. `audited` says whether audit events could be read.
    """

    synced: datetime
    full: datetime
    watched: datetime
    audited: bool


class Standing:
    """Read what the syncs have noted. Raises NoReplica before the first one has been taken over."""

    def __init__(self, database: sqlite3.Connection, connection: Connection) -> None:
        teach(database)
        self.database = database
        newest = self._run("DESC")
        oldest = self._run("ASC")
        if newest is None or oldest is None:
            raise no_replica()
        self.version = int(newest[0])
        """Grows with every sync that is taken over."""
        self.places = Places(database, connection)
        self._coverage: dict[str, dict[str, Any]] = fact(database, "coverage") or {}
        synced = datetime.fromisoformat(newest[1])
        full = fact(database, "last_full")
        watched: dict[str, str] = fact(database, "watched_since") or {}
        self.since = Since(
            synced=synced,
            full=datetime.fromisoformat(full) if full is not None else synced,
            watched=max(map(datetime.fromisoformat, watched.values() or (oldest[1],))),
            audited=self._everywhere("events", True),
        )
        self._gaps = (*self._left_out(), *self._older(synced), *self._unaudited(full))

    def _run(self, order: str) -> tuple[int, str] | None:
        row: tuple[int, str] | None = self.database.execute(
            f"SELECT id, started_at FROM sync_runs_ WHERE outcome = 'complete' ORDER BY id {order} LIMIT 1"  # noqa: S608 - one of two words
        ).fetchone()
        return row

    def _left_out(self) -> tuple[str, ...]:
        """Name the environments that no sync could read: those configured, or those that there are."""
        unreadable = {place for place, covered in self._coverage.items() if covered.get("users") == UNREADABLE}
        wanted = unreadable.union(self.places.connection.environments or ())
        return tuple(f"{UNREADABLE_ENVIRONMENT} {place}" for place in sorted(wanted - self.places.organizations.keys()))

    def _older(self, synced: datetime) -> tuple[str, ...]:
        """Name the environments that the last sync could not read, and that stay as they were."""
        marks: dict[str, dict[str, Any]] = fact(self.database, "watermarks") or {}
        times = {place: str(mark["updated"]) for place, mark in marks.items() if place in self.places.organizations}
        return tuple(
            f"not read since {at}: environment {place}"
            for place, at in sorted(times.items())
            if datetime.fromisoformat(at) < synced - _SEVERAL_CLOCKS
        )

    def _unaudited(self, full: str | None) -> tuple[str, ...]:
        """Name the environments whose removals only a full sync sees."""
        return tuple(
            f"removals since {full} not seen, for audit events cannot be read: environment {place}"
            for place, covered in sorted(self._coverage.items())
            if place in self.places.organizations and covered.get("events") is False
        )

    def _everywhere(self, what: str, value: object) -> bool:
        return all(self._coverage.get(place, {}).get(what) == value for place in self.places.organizations)

    def gaps(self, environment: str | None) -> tuple[str, ...]:
        """Return what could not be read of the environments that a question is about: one, or all."""
        if environment is None:
            return self._gaps
        (place,) = self.places.environments(environment)
        return tuple(gap for gap in self._gaps if gap.endswith(place))

    @property
    def has_memberships(self) -> bool:
        return self._everywhere("memberships", "all")

    @property
    def has_roles(self) -> bool:
        """Say whether the roles of all users were read: where they are read of some only, none is no answer."""
        return self._everywhere("roles", "all")

    @property
    def has_remote_data(self) -> bool:
        shape = fact(self.database, "shape")
        return shape is not None and bool(json.loads(shape)[2])

    def need_memberships(self) -> None:
        """Raise NotHeld where groups, or who is in them, are not in the copy."""
        if not self.has_memberships:
            raise NotHeld

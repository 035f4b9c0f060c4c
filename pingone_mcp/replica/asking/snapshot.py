"""One state of the local copy, for the length of one transaction: what is in it, how old it is, and what is missing."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.text import candidate
from pingone_mcp.pingone.served import UNREADABLE_ENVIRONMENT
from pingone_mcp.replica.asking.conditions import NotHeld, teach
from pingone_mcp.replica.asking.places import Places
from pingone_mcp.replica.evidence import Vanished
from pingone_mcp.replica.state import age_of
from pingone_mcp.replica.store.noted import facts, last_run
from pingone_mcp.replica.store.schema import HAS_UNREADABLE, UNREADABLE_INDEX
from pingone_mcp.replica.store.store import no_replica
from pingone_mcp.settings import Connection

UNREADABLE = "unreadable"
"""What a sync notes as the coverage of users, or of roles, that it may not read."""

_NAMED = 5
_WRONG_CLOCK = "a clock is or was wrong, and a sync finds out which"


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """The times that say how far the copy can be relied on.

    It is as PingOne was at `synced`, everybody was walked over at `full`, and every change has been written down from
    `watched` on. `audited` says whether audit events could be read; of removals and deactivations they told back to
    `told`.
    """

    synced: datetime
    full: datetime
    watched: datetime
    told: datetime
    audited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceState:
    """One environment of the copy: when it was read last, and what its part of the copy lacks."""

    id: str
    name: str | None
    read_at: datetime
    age_seconds: int
    is_stale: bool
    gaps: tuple[str, ...] = ()


class Snapshot:
    """Read what the syncs have noted. Raises NoReplica before the first one has been taken over.

    By `now`, where it is given, a copy from the future is known.
    """

    def __init__(self, database: sqlite3.Connection, connection: Connection, now: datetime | None = None) -> None:
        teach(database)
        self.database = database
        newest = last_run(database, "outcome = 'complete'")
        oldest = last_run(database, "outcome = 'complete'", "ASC")
        if newest is None or oldest is None:
            raise no_replica()
        self.version = newest.id
        """Grows with every sync that is taken over."""
        self.places = Places(database, connection)
        self._facts = facts(database)
        self._coverage: dict[str, dict[str, Any]] = self._facts["coverage"]
        self._read: dict[str, dict[str, Any]] = self._facts.get("read", {})
        in_full: dict[str, str] = self._facts.get("read_in_full", {})
        synced = datetime.fromisoformat(newest.started_at)
        watched: dict[str, str] = self._facts.get("watched_since", {})
        began = max(map(datetime.fromisoformat, watched.values() or (oldest.started_at,)))
        copied = [covered for covered in self._coverage.values() if covered.get("users") != UNREADABLE]
        reached = [str(covered["audited_since"]) for covered in copied if "audited_since" in covered]
        self.since = Since(
            synced=synced,
            full=min(map(datetime.fromisoformat, in_full.values() or (self._facts["last_full"],))),
            watched=began,
            told=datetime.fromisoformat(max(reached)) if len(reached) == len(copied) > 0 else began,
            audited=self._everywhere("events", True),
        )
        self._is_ahead = now is not None and age_of(synced, now) < 0
        self._gaps = self._all_gaps()

    def read_at(self, place: str) -> datetime:
        """Return when an environment of the copy was really read last."""
        read = self._read.get(place)
        if read is None:
            return self.since.synced
        run = last_run(self.database, f"id = {int(read['run'])}")
        return datetime.fromisoformat(run.started_at if run is not None else read["at"])

    def read_before(self, environment: str | None) -> datetime:
        """Return when the environments that a question is about were read, the one that was read longest ago."""
        return min((self.read_at(place) for place in self.places.environments(environment)), default=self.since.synced)

    def states(self, now: datetime) -> tuple[PlaceState, ...]:
        """Say of each environment when it was read and what is missing of it."""
        return tuple(
            PlaceState(
                id=place,
                name=organization.name,
                read_at=self.read_at(place),
                age_seconds=age_of(self.read_at(place), now),
                is_stale=self._is_stale(place),
                gaps=tuple(gap for where, gap in self._gaps if where == place),
            )
            for place, organization in self.places.organizations.items()
        )

    # Gaps: the environment that one is about (None: all), and what is missing

    def _all_gaps(self) -> tuple[tuple[str | None, str], ...]:
        found: list[tuple[str | None, str]] = [(place, gap) for place, gap in self._left_out()]
        if self._is_ahead:
            found.append(
                (None, f"the copy is of {timestamp(self.since.synced)}, which has not come yet: {_WRONG_CLOCK}")
            )
        found += self._last_sync()
        found += self._no_populations()
        for place in self.places.organizations:
            found += [
                (place, f"{gap}: environment {place}") for gap in self._gaps_of(place, self._coverage.get(place, {}))
            ]
        return tuple(found)

    def _left_out(self) -> list[tuple[str, str]]:
        """Name the environments that no sync could read: those configured, or those that there are."""
        unreadable = {place for place, covered in self._coverage.items() if covered.get("users") == UNREADABLE}
        wanted = unreadable.union(self.places.connection.scope.environments or ())
        missing = sorted(wanted - self.places.organizations.keys())
        return [(place, f"{UNREADABLE_ENVIRONMENT} {place}") for place in missing]

    def _last_sync(self) -> list[tuple[str | None, str]]:
        """Say that a sync is held, or that the last one came to nothing."""
        held: dict[str, Any] | None = self._facts.get("held")
        if held:
            names = self.places.environment_names | self.places.population_names
            found = [Vanished(**{**one, "examples": ()}) for one in held["vanished"]]
            listed = "; ".join(one.told(lambda place: candidate(place, names.get(place))) for one in found)
            return [(None, f"held since {held['at']}, nothing of it was taken over: {listed} could not be found")]
        run = last_run(self.database, f"id > {self.version}")
        return [] if run is None else [(None, f"the sync of {run.started_at} came to nothing ({run.outcome})")]

    def _no_populations(self) -> list[tuple[str | None, str]]:
        """Name the configured populations that no environment has."""
        missing = sorted(self.places.connection.scope.populations - self.places.population_names.keys())
        return [(None, f"no environment served has the configured population {place}") for place in missing]

    def _is_stale(self, place: str) -> bool:
        return bool(self._read.get(place, {"run": self.version})["run"] != self.version)

    def _gaps_of(self, place: str, covered: dict[str, Any]) -> list[str]:
        found: list[str] = []
        if self._is_stale(place):
            found.append(f"not read since {timestamp(self.read_at(place))}")
        if covered.get("events") is False:
            full = timestamp(self.since.full)
            found.append(f"removals since {full} not seen, for audit events cannot be read")
        if covered.get("memberships") == UNREADABLE:
            found.append("groups cannot be read")
        if covered.get("groups_short"):
            found.append("PingOne counts more groups than its list showed")
        if covered.get("populations") == UNREADABLE:
            found.append("populations could not be read whole")
        if short := covered.get("users_short"):
            found.append(f"PingOne counts {short['counted']:,} users, and {short['found']:,} could be read")
        if unseen := covered.get("unseen"):
            found.append(
                f"{len(unseen):,} users could not be found, and nothing proves that they were removed; they are shown as "
                "they were"
            )
        if left_out := covered.get("without_id"):
            found.append(f"{left_out:,} users without an id are left out")
        found += self._unreadable_users(place)
        found += self._miscounted_populations(covered)
        if short_groups := self._short_groups(place):
            found.append(short_groups)
        return found

    def _unreadable_users(self, place: str) -> list[str]:
        rows = self.database.execute(
            f"SELECT id FROM users_ INDEXED BY {UNREADABLE_INDEX} WHERE environment_id = ? AND {HAS_UNREADABLE} "  # noqa: S608 - our own text
            "AND json_type(record, '$.unreadable') IS NOT NULL ORDER BY id",
            (place,),
        ).fetchall()
        if not rows:
            return []
        listed = ", ".join(user for (user,) in rows[:_NAMED])
        more = f" and {len(rows) - _NAMED:,} more" if len(rows) > _NAMED else ""
        return [f"some values of {len(rows):,} users could not be read, {listed}{more}"]

    def _miscounted_populations(self, covered: dict[str, Any]) -> list[str]:
        """Name the populations of which PingOne counts more users than the copy holds."""
        short: dict[str, dict[str, int]] = covered.get("populations_short", {})
        return [
            f"PingOne counts {one['counted']:,} users in population {population}, and the copy holds {one['found']:,}"
            for population, one in sorted(short.items())
        ]

    def _short_groups(self, place: str) -> str | None:
        rows = self.database.execute(
            """SELECT s.group_id, s.counted, s.in_copy FROM short_groups_ s JOIN groups_ g ON g.id = s.group_id
            WHERE g.environment_id = ? ORDER BY coalesce(s.counted, 0) - s.in_copy DESC, s.group_id""",
            (place,),
        ).fetchall()
        if not rows:
            return None
        listed = ", ".join(
            group if counted is None or counted <= held else f"{group} ({held:,} of {counted:,})"
            for group, counted, held in rows[:_NAMED]
        )
        more = f" and {len(rows) - _NAMED:,} more" if len(rows) > _NAMED else ""
        return f"members of {len(rows):,} groups could not be read whole, {listed}{more}"

    def _everywhere(self, what: str, value: object) -> bool:
        return all(self._coverage.get(place, {}).get(what) == value for place in self.places.organizations)

    def gaps(self, environment: str | None) -> tuple[str, ...]:
        """Return what could not be read of the environments that a question is about: one, or all."""
        if environment is None:
            return tuple(gap for _, gap in self._gaps)
        (place,) = self.places.environments(environment)
        return tuple(gap for where, gap in self._gaps if where in (place, None))

    @property
    def has_memberships(self) -> bool:
        return self._everywhere("memberships", "all")

    @property
    def has_roles(self) -> bool:
        """Say whether the roles of all users were read: where they are read of some only, none is no answer."""
        return self._everywhere("roles", "all")

    @property
    def has_remote_data(self) -> bool:
        return bool(json.loads(self._facts["shape"])[2])

    def need_memberships(self) -> None:
        """Raise NotHeld where groups, or who is in them, are not in the copy."""
        if not self.has_memberships:
            raise NotHeld

"""One state of the local copy, for the length of one transaction: what is in it, how old it is, and what is missing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pingone_mcp.directory.gaps import (
    CopyFromFuture,
    FailedSync,
    Gap,
    HeldSync,
    MissingUsers,
    NotCopied,
    PopulationNotCopied,
    ShortGroups,
    ShortPopulation,
    UnprovenRemovals,
    UnreadableEnvironment,
    UnreadableValues,
    Unrefreshed,
    UnseenRemovals,
    UsersWithoutId,
    WhyNoRoles,
)
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.scope import Scope
from pingone_mcp.directory.text.harmless import candidate
from pingone_mcp.replica.asking.conditions import NotHeld
from pingone_mcp.replica.asking.places import Places
from pingone_mcp.replica.state import age_of
from pingone_mcp.replica.store.noted import ALL, UNREADABLE, EnvironmentCoverage, last_run, recalled
from pingone_mcp.replica.store.schema import HAS_UNREADABLE, UNREADABLE_INDEX
from pingone_mcp.replica.store.store import no_replica

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """The times that say how far the copy can be relied on.

    It is as the provider's directory was at `synced`, everybody was read at `full`, and every change has been written
    down from `watched` on. `audited` says whether audit events could be read; with them, removals and deactivations are
    known back to `audited_since`.
    """

    synced: datetime
    full: datetime
    watched: datetime
    audited_since: datetime
    audited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceState:
    """One environment of the copy: when it was read last, and what its part of the copy lacks."""

    id: str
    name: str | None
    read_at: datetime
    age_seconds: int
    is_stale: bool
    gaps: tuple[Gap, ...] = ()


class Snapshot:
    """Read what the syncs have noted. Raises NoReplica before the first one has been taken over.

    By `now`, where it is given, a copy from the future is known.
    """

    def __init__(self, database: sqlite3.Connection, scope: Scope, now: datetime | None = None) -> None:
        self.database = database
        newest = last_run(database, "outcome = 'complete'")
        oldest = last_run(database, "outcome = 'complete'", "ASC")
        if newest is None or oldest is None:
            raise no_replica()
        self.version = newest.id
        """Grows with every sync that is taken over."""
        self.places = Places(database, scope)
        self._memory = memory = recalled(database)
        synced = datetime.fromisoformat(newest.started_at)
        began = max(map(datetime.fromisoformat, memory.watched_since.values() or (oldest.started_at,)))
        in_full = memory.read_in_full.values() or (memory.last_full or newest.started_at,)
        copied = [covered for covered in memory.coverage.values() if covered.users != UNREADABLE]
        reached = [covered.audited_since for covered in copied if covered.audited_since is not None]
        self.since = Since(
            synced=synced,
            full=min(map(datetime.fromisoformat, in_full)),
            watched=began,
            audited_since=datetime.fromisoformat(max(reached)) if len(reached) == len(copied) > 0 else began,
            audited=all(self._covered(place).events for place in self.places.organizations),
        )
        self._is_ahead = now is not None and age_of(synced, now) < 0
        self._gaps = self._all_gaps()

    def read_at(self, place: str) -> datetime:
        """Return when an environment of the copy was really read last."""
        read = self._memory.read.get(place)
        if read is None:
            return self.since.synced
        run = last_run(self.database, f"id = {read.run}")
        return datetime.fromisoformat(run.started_at if run is not None else read.at)

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
                gaps=tuple(gap for gap in self._gaps if gap.place == place),
            )
            for place, organization in self.places.organizations.items()
        )

    # Gaps

    def _all_gaps(self) -> tuple[Gap, ...]:
        found: list[Gap] = [UnreadableEnvironment(place=place) for place in self._left_out()]
        if self._is_ahead:
            found.append(CopyFromFuture(at=timestamp(self.since.synced)))
        found += self._last_sync()
        missing = sorted(self.places.scope.populations - self.places.population_names.keys())
        found += [PopulationNotCopied(population=population) for population in missing]
        for place in self.places.organizations:
            found += self._gaps_of(place, self._covered(place))
        return tuple(found)

    def _left_out(self) -> list[str]:
        """Return the environments that no sync could read: those configured, or those that there are."""
        unreadable = {place for place, covered in self._memory.coverage.items() if covered.users == UNREADABLE}
        wanted = unreadable.union(self.places.scope.environments or ())
        return sorted(wanted - self.places.organizations.keys())

    def _last_sync(self) -> list[Gap]:
        """Say that a sync is held, or that the last one came to nothing."""
        held = self._memory.held
        if held is not None:
            names = self.places.environment_names | self.places.population_names
            missing = (one.facts(lambda place: candidate(place, names.get(place))) for one in held.vanished)
            return [HeldSync(at=held.at, missing=tuple(missing))]
        run = last_run(self.database, f"id > {self.version}")
        return [] if run is None else [FailedSync(at=run.started_at, outcome=run.outcome)]

    def _is_stale(self, place: str) -> bool:
        read = self._memory.read.get(place)
        return read is not None and read.run != self.version

    def _covered(self, place: str) -> EnvironmentCoverage:
        return self._memory.coverage.get(place, EnvironmentCoverage())

    def _gaps_of(self, place: str, covered: EnvironmentCoverage) -> Iterator[Gap]:
        if self._is_stale(place):
            yield Unrefreshed(place=place, read_at=timestamp(self.read_at(place)))
        if covered.events is False:
            yield UnseenRemovals(place=place, since=timestamp(self.since.full))
        if covered.memberships == UNREADABLE:
            yield NotCopied(place=place, what="groups")
        if covered.groups_short:
            yield NotCopied(place=place, what="some groups")
        if covered.populations == UNREADABLE:
            yield NotCopied(place=place, what="populations")
        if short := covered.users_short:
            yield MissingUsers(place=place, counted=short.counted, came=short.found)
        if covered.unseen:
            yield UnprovenRemovals(place=place, count=len(covered.unseen))
        if covered.without_id:
            yield UsersWithoutId(place=place, count=covered.without_id)
        yield from self._unreadable_users(place)
        yield from self._miscounted_populations(place, covered)
        yield from self._short_groups(place)

    def _unreadable_users(self, place: str) -> Iterator[Gap]:
        users = [
            user
            for (user,) in self.database.execute(
                f"SELECT id FROM users_ INDEXED BY {UNREADABLE_INDEX} WHERE environment_id = ? AND {HAS_UNREADABLE} "  # noqa: S608 - our own text
                "ORDER BY id",
                (place,),
            )
        ]
        if users:
            yield UnreadableValues(place=place, count=len(users), users=tuple(users[:_NAMED]))

    def _miscounted_populations(self, place: str, covered: EnvironmentCoverage) -> Iterator[Gap]:
        """Name the populations of which PingOne counts more users than the copy holds."""
        for population, short in sorted(covered.populations_short.items()):
            yield ShortPopulation(place=place, population=population, counted=short.counted, held=short.found)

    def _short_groups(self, place: str) -> Iterator[Gap]:
        groups: list[tuple[str, int | None, int]] = self.database.execute(
            """SELECT s.group_id, s.counted, s.in_copy FROM short_groups_ s JOIN groups_ g ON g.id = s.group_id
            WHERE g.environment_id = ? ORDER BY coalesce(s.counted, 0) - s.in_copy DESC, s.group_id""",
            (place,),
        ).fetchall()
        if groups:
            yield ShortGroups(place=place, count=len(groups), groups=tuple(groups[:_NAMED]))

    def gaps(self, environment: str | None) -> tuple[Gap, ...]:
        """Return what could not be read of the environments that a question is about: one, or all."""
        if environment is None:
            return self._gaps
        (place,) = self.places.environments(environment)
        return tuple(gap for gap in self._gaps if gap.place in (place, None))

    @property
    def has_memberships(self) -> bool:
        return all(self._covered(place).memberships == ALL for place in self.places.organizations)

    @property
    def has_roles(self) -> bool:
        """Say whether the roles of all users were read: where they are read of some only, none is no answer."""
        return all(self._covered(place).roles == ALL for place in self.places.organizations)

    @property
    def why_no_roles(self) -> WhyNoRoles:
        """Return why the roles of somebody are unknown: the last sync says so of each environment."""
        found = {self.why_no_roles_of(place) for place in self.places.organizations}
        return next((why for why in ("refused", "missed") if why in found), "not asked for")

    def why_no_roles_of(self, place: str) -> WhyNoRoles | None:
        """Return why the roles of somebody of an environment are unknown; None where those of everybody were read."""
        covered = self._covered(place)
        if covered.roles == ALL:
            return None
        if covered.roles == UNREADABLE:
            return "refused"
        return "missed" if covered.roles_missed else "not asked for"

    def has_groups_of(self, place: str) -> bool:
        """Say whether the groups of an environment, and who is in them, could be read."""
        return self._covered(place).memberships == ALL

    @property
    def has_remote_data(self) -> bool:
        return self._memory.shape is not None and self._memory.shape.remote_data

    def need_memberships(self) -> None:
        """Raise NotHeld where groups, or who is in them, are not in the copy."""
        if not self.has_memberships:
            raise NotHeld

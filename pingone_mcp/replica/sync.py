"""Bringing the local copy up to date with PingOne: by a walk over everybody, or by what has changed since.

PingOne has no list of changes. So an incremental sync asks for users by `updatedAt`, and for audit events, which name
who and what is to be read again; a full one walks. Either way what was read is compared with the copy, and what differs
is the change. Only evidence removes a user: an event, or a 404; that a walk did not meet somebody is none.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import anyio
import anyio.to_thread

from pingone_mcp.directory.models import Group, JsonObject, User
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import FilterRefused, NotPermitted, Problem, Refused
from pingone_mcp.pingone import audit, wire
from pingone_mcp.pingone.served import Served, each
from pingone_mcp.pingone.sqlite_files import remove_database
from pingone_mcp.pingone.walk import walking
from pingone_mcp.replica import schema
from pingone_mcp.replica.events import ROLE_TYPES, changes_from
from pingone_mcp.replica.merge import Findings, Gone, Mode, Nesting, closure, merge
from pingone_mcp.replica.retention import KEPT_CHANGES, change_ids, forget_changes, forget_runs
from pingone_mcp.replica.rows import Row, group_row
from pingone_mcp.replica.staging import Staging, leftovers
from pingone_mcp.replica.standing import UNREADABLE
from pingone_mcp.replica.store import Store, told, transaction
from pingone_mcp.replica.upstream import Pair, Upstream

if TYPE_CHECKING:
    from filelock import BaseFileLock

Report = Callable[[str, int, int | None], None]
"""Told of progress: the stage, how much of it is done, and how much it is about in all, where that is known."""

# How far behind a watermark is read again: what PingOne shows late is found so.
UPDATES_OVERLAP = timedelta(minutes=2)
EVENTS_OVERLAP = timedelta(minutes=5)
# Events are there for fourteen days; an incremental sync does not rely on the last of them.
LONGEST_GAP = audit.WINDOW - timedelta(days=1)
# What a killed sync has left is taken up again for so long.
RESUMED_FOR = timedelta(hours=6)
_POLL_SECONDS = 0.25
_NAMED = "named in events"
_SHAPE = 1  # of the records: a higher number makes them all anew
_T = TypeVar("_T")


def _silent(stage: str, done: int, about: int | None) -> None:
    """Tell nobody of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What a sync did. `counts` has rows by table, `changes` how many were written down by kind.

    `watermark` is PingOne's time up to which the copy is known to be right; `reason` says why a sync was not complete,
    or what could not be read.
    """

    mode: Mode
    complete: bool
    reason: str | None = None
    counts: dict[str, int] = field(default_factory=dict[str, int])
    changes: dict[str, int] = field(default_factory=dict[str, int])
    seconds: float = 0.0
    watermark: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Up to where an environment was read: by `updatedAt`, and by events, with those of the last minutes by id."""

    updated: str
    events: str
    seen: dict[str, str] = field(default_factory=dict[str, str])

    def written(self) -> JsonObject:
        return {"updated": self.updated, "events": self.events, "seen": self.seen}


class Incomplete(Problem):
    """A walk did not find everybody for certain, so that nothing was taken over."""


class Sync:
    """Bring one store up to date; `run` may be called again and again, and by several processes.

    `roles` reads the role assignments of every user, one request each, with each full sync; otherwise those of the
    users that events name. `remote_data` keeps PingOne's own objects too. A full sync is due `full_after` the last one.
    `patience` is how many seconds to wait for another process that is syncing.
    """

    def __init__(
        self,
        served: Served,
        store: Store,
        *,
        roles: bool = False,
        remote_data: bool = False,
        full_after: timedelta = timedelta(hours=24),
        patience: float = 30.0,
        report: Report | None = None,
    ) -> None:
        self._served = served
        self._store = store
        self._roles = roles
        self._remote_data = remote_data
        self._full_after = full_after
        self._patience = patience
        self._report: Report = report or _silent

    async def run(self, mode: Mode | Literal["auto"] = "auto") -> SyncReport:
        """Sync, and say what was done. Raises Problem: what cannot be read or written, or another sync that goes on."""
        async with self._alone():
            began = self._served.clock.monotonic()
            memory = await self._store.write(_memory)
            shape = json.dumps([_SHAPE, dict(self._served.connection.attributes), self._remote_data], sort_keys=True)
            chosen = self._choose(mode, memory, shape)
            if chosen == "full":
                await anyio.to_thread.run_sync(self._store.check)
                memory = await self._store.write(_memory)
            try:
                report = await _Run(self, memory, shape).run(chosen)
            except FilterRefused:
                if chosen == "full":
                    raise
                report = await _Run(self, memory, shape).run("full")  # PingOne cannot tell who was changed
            return replace(report, seconds=self._served.clock.monotonic() - began)

    def _choose(self, mode: Mode | Literal["auto"], memory: JsonObject, shape: str) -> Mode:
        last_full, last = memory.get("last_full"), memory.get("last_sync")
        if mode == "full" or last_full is None or last is None or memory.get("shape") != shape:
            return "full"
        now = datetime.fromtimestamp(self._served.client.server_now() or self._served.clock.wall(), UTC)
        if now - datetime.fromisoformat(last) > LONGEST_GAP:
            return "full"
        overdue = now - datetime.fromisoformat(last_full) > self._full_after
        return "full" if mode == "auto" and overdue else "incremental"

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Let one process at a time sync, by a lock that the operating system drops when its holder dies."""
        from filelock import FileLock  # noqa: PLC0415 - start-up: only needed once something is synced

        with told():
            self._store.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock: BaseFileLock = FileLock(self._store.path.with_suffix(".lock"), mode=0o600, thread_local=False)
        waited = 0.0
        while not _takes(lock):
            if waited >= self._patience:
                raise Refused(
                    "Another process is syncing this local copy.",
                    "Wait for its end, then try again; the copy can be read meanwhile.",
                    code="SYNC_IN_PROGRESS",
                )
            await self._served.clock.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
        try:
            yield
        finally:
            lock.release()

    # What a run needs

    @property
    def served(self) -> Served:
        return self._served

    @property
    def store(self) -> Store:
        return self._store

    @property
    def roles(self) -> bool:
        return self._roles

    @property
    def remote_data(self) -> bool:
        return self._remote_data

    @property
    def report(self) -> Report:
        return self._report


class _Run:
    """One sync under way."""

    def __init__(self, sync: Sync, memory: JsonObject, shape: str) -> None:
        self._served = sync.served
        self._store = sync.store
        self._report = sync.report
        self._all_roles = sync.roles
        self._remote_data = sync.remote_data
        self._memory = memory
        self._shape = shape
        self._staging = Staging(sync.store.path.with_suffix(".staged"), remote_data=sync.remote_data)
        self._marks: dict[str, Mark] = {}
        self._coverage: dict[str, JsonObject] = {}
        self._notes: list[str] = []

    async def run(self, mode: Mode) -> SyncReport:
        started = self._now()
        try:
            if self._served.client.server_now() is None:
                await self._served.names.environments()  # the first answer tells PingOne's time
                started = self._now()
            findings = await self._read(mode)
            self._report("merge", 0, None)
            await self._staging.close()
            report = await anyio.to_thread.run_sync(partial(self._merge, findings, mode, started))
        except Problem as problem:
            with anyio.CancelScope(shield=True):
                await self._staging.close()
                with suppress(Problem):  # what went wrong first is told
                    outcome = "incomplete" if isinstance(problem, Incomplete) else "failed"
                    row = (mode, timestamp(started), timestamp(self._now()), outcome, str(problem), None)
                    await self._store.write(lambda connection: _note_run(connection, row))
            if not isinstance(problem, Incomplete):
                raise
            return SyncReport(mode=mode, complete=False, reason=str(problem))
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._staging.close()
            raise
        await anyio.to_thread.run_sync(self._tidy)
        return report

    def _now(self) -> datetime:
        """Return PingOne's time, by its last answer; ours before the first one."""
        told_now = self._served.client.server_now()
        return datetime.fromtimestamp(told_now if told_now is not None else self._served.clock.wall(), UTC)

    async def _read(self, mode: Mode) -> list[Findings]:
        """Read all environments served. One of several that may not be read is a gap, and stays as it is."""
        connection = self._served.connection
        purpose = [connection.api_base, connection.client_id, sorted(connection.populations), self._shape]
        if mode == "incremental":
            self._tidy()  # what a killed full sync has left is older than what will be read now
        await self._staging.open(json.dumps(purpose))
        await self._staging.forget_members()
        findings: list[Findings] = []
        environments = await self._served.environment_ids(None)
        for environment in environments:
            try:
                findings.append(await self._read_environment(environment, mode))
            except NotPermitted:
                if len(environments) == 1:
                    raise
                self._notes.append(f"The environment {environment} may not be read (403), and stays as it was.")
                if environment not in self._memory.get("watermarks", {}):
                    self._coverage[environment] = {"users": UNREADABLE}
        if not findings:
            raise NotPermitted(
                "None of the environments served may be read.",
                "Give the worker application a role over them.",
                code="NOTHING_SERVED",
            )
        return findings

    async def _read_environment(self, environment: str, mode: Mode) -> Findings:
        upstream = Upstream(self._served, environment, await self._served.population_filters(environment, None))
        self._report("places", 0, None)
        populations = await upstream.populations()
        names = {place.id: place for place in await self._served.names.environments()}
        place = names.get(environment)
        marks = self._memory.get("watermarks", {})
        found = Findings(
            environment=(environment, place and place.name, place and place.type, place and place.region),
            populations=[(one.id, environment, one.name, one.is_default) for one in populations],
            quiet=environment not in marks or self._memory.get("shape") != self._shape,
        )
        mark = Mark(**marks[environment]) if environment in marks else None
        reading = _Reading(self, upstream, found)
        if mode == "full" or mark is None:
            self._marks[environment] = await reading.full(mark)
        else:
            self._marks[environment] = await reading.incremental(mark)
        self._coverage[environment] = reading.coverage
        self._notes += reading.notes
        return found

    # Both kinds of reading use these

    @property
    def served(self) -> Served:
        return self._served

    @property
    def staging(self) -> Staging:
        return self._staging

    @property
    def report(self) -> Report:
        return self._report

    @property
    def all_roles(self) -> bool:
        return self._all_roles

    @property
    def remote_data(self) -> bool:
        return self._remote_data

    @property
    def now(self) -> datetime:
        return self._now()

    def coverage_of(self, environment: str) -> JsonObject:
        """Return what the last sync has noted of how much of an environment is covered."""
        known: JsonObject = self._memory.get("coverage", {}).get(environment, {})
        return known

    def ledger(self, environment: str) -> Path:
        return self._store.path.with_suffix(f".{environment}.ledger")

    async def look(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Return what `work` makes of the local copy, with what is staged attached as `staged`."""

        def looked() -> _T:
            with self._store.writer() as connection:
                connection.execute("ATTACH DATABASE ? AS staged", (str(self._staging.path),))
                return work(connection)

        return await anyio.to_thread.run_sync(looked)

    def _merge(self, findings: Sequence[Findings], mode: Mode, started: datetime) -> SyncReport:
        """Take over everything that was found, in one transaction."""
        now = timestamp(self._now())
        kinds = Counter[str]()
        with self._store.writer() as connection:
            connection.execute("ATTACH DATABASE ? AS staged", (str(self._staging.path),))
            with transaction(connection):
                _, newest = change_ids(connection)
                for found in findings:
                    kinds += merge(connection, found, mode, now)
                _number_by_time(connection, newest)
                counts = _counts(connection)
                self._note_facts(connection, mode, started)
                self._note_watched(connection, now, [found.id for found in findings if found.quiet])
                if mode == "full":  # by how many there are of what, SQLite chooses the index of a question
                    connection.execute("ANALYZE main")
                reason = " ".join(self._notes) or None
                told_counts = json.dumps({"rows": counts, "changes": dict(kinds)})
                _note_run(connection, (mode, timestamp(started), now, "complete", reason, told_counts))
        return SyncReport(
            mode=mode,
            complete=True,
            reason=reason,
            counts=counts,
            changes=dict(kinds),
            watermark=min((mark.updated for mark in self._marks.values()), default=None),
        )

    def _note_facts(self, connection: sqlite3.Connection, mode: Mode, started: datetime) -> None:
        marks = {**self._memory.get("watermarks", {}), **{place: mark.written() for place, mark in self._marks.items()}}
        known: dict[str, JsonObject] = self._memory.get("coverage", {})
        coverage = {place: told for place, told in known.items() if told.get("users") != UNREADABLE} | self._coverage
        facts: JsonObject = {
            "watermarks": marks,
            "coverage": coverage,
            "shape": self._shape,
            "last_sync": timestamp(started),
        }
        if mode == "full":
            facts["last_full"] = timestamp(started)
        for name, value in facts.items():
            _note_fact(connection, name, value)

    def _note_watched(self, connection: sqlite3.Connection, now: str, anew: Iterable[str]) -> None:
        """Note since when all changes of each environment are known: of those read `anew`, what was before is not.

        What is too old is forgotten here.
        """
        watched: dict[str, str] = {**self._memory.get("watched_since", {}), **dict.fromkeys(anew, now)}
        kept_since = timestamp(datetime.fromisoformat(now) - KEPT_CHANGES)
        if forget_changes(connection, kept_since):
            watched = {place: max(since, kept_since) for place, since in watched.items()}
        _note_fact(connection, "watched_since", watched)

    def _tidy(self) -> None:
        """Remove what this sync and those that were killed have left."""
        with told():
            for path in leftovers(self._store.path.parent, self._store.path.stem):
                remove_database(path)


class _Reading:
    """What is read of one environment, for one sync."""

    def __init__(self, run: _Run, upstream: Upstream, found: Findings) -> None:
        self._run = run
        self._upstream = upstream
        self._found = found
        self._staging = run.staging
        self._environment = found.id
        self.notes: list[str] = []
        known: JsonObject = run.coverage_of(found.id)
        self.coverage: JsonObject = {
            "memberships": "all",
            "roles": known.get("roles", _NAMED),
            "events": True,
        }

    # A full sync

    async def full(self, mark: Mark | None) -> Mark:
        """Stage everybody who is there and every membership; find out who is gone."""
        began, resumed = await self._began()
        await self._walk(resumed=resumed)
        await self._events(self._since(mark, began), mark, began)
        await self._staging.drop_users(self._found.wanted.removed)
        await self._missing()
        groups = await self._list_groups()
        await self._children_of(group for group in groups if group.group_count != 0)
        self._found.reread = {group.id for group in groups if group.member_count != 0}
        old_groups = await self._run.look(partial(_groups_known, environment=self._environment))
        self._found.whole = {group.id for group in groups} | old_groups.keys()
        await self._read_members(groups)
        if mark is None or began - datetime.fromisoformat(mark.events) > LONGEST_GAP:
            self.coverage["roles"] = _NAMED  # nobody knows who has got a role before the audit begins
        await self._roles(everybody=self._run.all_roles)
        return self._mark(mark, began)

    async def _began(self) -> tuple[datetime, bool]:
        """Return when the reading of users began, and whether a sync that was killed has already walked to the end."""
        began, walked = await self._staging.fact(f"{self._environment} began"), False
        if began is not None:
            at = datetime.fromisoformat(began)
            walked = bool(await self._staging.fact(f"{self._environment} walked"))
            if self._run.now - at <= RESUMED_FOR:
                return at, walked
        await self._start_over()
        now = self._run.now
        await self._staging.note(f"{self._environment} began", timestamp(now))
        return now, False

    async def _start_over(self) -> None:
        with told():
            await anyio.to_thread.run_sync(remove_database, self._run.ledger(self._environment))
        await self._staging.forget_users(self._environment)
        await self._staging.note(f"{self._environment} walked", False)

    async def _walk(self, *, resumed: bool) -> None:
        """Stage all users. Raises Incomplete."""
        environment = self._environment
        if resumed:
            await self._staging_since(datetime.fromisoformat(await self._staging.fact(f"{environment} began")))
            return
        for _ in range(2):
            async with walking(
                self._run.served,
                environment,
                ledger=self._run.ledger(environment),
                remote_data=self._run.remote_data,
            ) as walk:
                staged = await self._staging.count_users(environment)
                agreed = staged >= walk.delivered  # else a crash of the machine has lost what the notes speak of
                if agreed and not walk.delivered:
                    await self._staging.forget_users(environment)
                if agreed:
                    async for page in walk:
                        await self._staging.put_users((*page.users, *page.changed), environment)
                        self._run.report("users", walk.delivered, walk.about)
                    if walk.verdict.complete:
                        await self._staging.note(f"{environment} walked", True)
                        return
                    raise Incomplete(
                        walk.verdict.reason or "The walk was not complete.", "Sync again.", code="WALK_INCOMPLETE"
                    )
            await self._start_over()
        raise Incomplete(
            "The notes of the walk do not agree with what was kept.", "Sync again.", code="WALK_INCOMPLETE"
        )

    async def _staging_since(self, at: datetime) -> None:
        done = 0
        async for users in self._upstream.users_since(at - UPDATES_OVERLAP):
            await self._staging.put_users(users, self._environment)
            done += len(users)
            self._run.report("users", done, None)

    async def _missing(self) -> None:
        """Find out about everybody whom the copy has and the walk did not meet."""
        missing = await self._run.look(partial(_not_staged, environment=self._environment))
        await self._settle_missing(missing)

    async def _settle_missing(self, missing: Iterable[str]) -> None:
        """Note who is gone by an event or a 404; who is there after all is staged; who may not be read stays."""
        removed = self._found.wanted.removed
        unknown = 0
        asked: list[str] = []
        for user in missing:
            if user in removed:
                self._found.gone[user] = Gone(at=removed[user].at, evidence="event", actor=removed[user].actor)
            else:
                asked.append(user)
        done = 0

        async def ask(user: str) -> None:
            nonlocal unknown, done
            try:
                raw = await self._upstream.user(user)
            except NotPermitted:
                unknown += 1
            else:
                await self._settle(user, raw)
            done += 1
            self._run.report("removals", done, len(asked))

        await each(ask, asked)
        if unknown:
            self.notes.append(f"{unknown} users may not be read any more (403); they stay as they were.")

    async def _settle(self, user: str, raw: JsonObject | None) -> None:
        """Stage a user who is there; who is gone, or was moved out of the populations served, is gone."""
        if raw is not None and self._upstream.serves(raw):
            await self._staging.put_users((self._unified(raw),), self._environment)
        else:
            self._found.gone[user] = Gone(at=timestamp(self._run.now), evidence="read")

    def _unified(self, raw: JsonObject) -> User:
        """Return a user as the lists tell it: a single read has links and memberships besides."""
        user = self._upstream.unified(raw)
        return replace(user, remote_data=raw) if self._run.remote_data else user

    # An incremental sync

    async def incremental(self, mark: Mark) -> Mark:
        """Stage who has changed since the last sync, and verify the memberships that may have changed."""
        began = self._run.now
        self._run.report("users", 0, None)
        await self._staging_since(datetime.fromisoformat(mark.updated))
        await self._events(self._since(mark, began), mark, began)
        await self._named()
        await self._changed_groups()
        await self._roles(everybody=False)
        return self._mark(mark, began)

    async def _named(self) -> None:
        """Read again who is named in events and was not among those changed."""
        wanted, environment = self._found.wanted, self._environment
        await self._staging.drop_users(wanted.removed)
        staged = await self._staging.user_ids(environment)
        in_groups = {user for user, _ in wanted.memberships}
        known = await self._run.look(partial(_existing, ids=wanted.users | in_groups | wanted.removed.keys()))
        named = (wanted.users | (in_groups - known)) - staged - wanted.removed.keys()
        raws = await self._upstream.users_by_id(named)
        there = {user: raw for user, raw in raws.items() if self._upstream.serves(raw)}
        await self._staging.put_users([self._unified(raw) for raw in there.values()], environment)
        elsewhere = {user for user in raws if user in known and user not in there}
        self._found.gone.update((user, Gone(at=timestamp(self._run.now), evidence="read")) for user in elsewhere)
        absent = (named - raws.keys()) & known
        await self._settle_missing(sorted(absent | (wanted.removed.keys() & known)))

    async def _changed_groups(self) -> None:
        """Find the groups, nestings and memberships that may have changed, and read them again."""
        found, wanted = self._found, self._found.wanted
        old = await self._run.look(partial(_groups_known, environment=self._environment))
        old_nestings = await self._run.look(partial(_nestings_known, environment=self._environment))
        groups = await self._list_groups()
        now = {row[0]: row for row in found.groups}
        created, deleted = now.keys() - old.keys(), old.keys() - now.keys()
        named = wanted.groups & now.keys()
        if not self.coverage["events"]:  # then only its `updatedAt` can tell of a group
            named = {group for group, row in now.items() if group in old and row[_UPDATED] != old[group][_UPDATED]}
            found.reread |= named
        await self._renest(groups, named | created, old_nestings)
        refiltered = {group for group in now.keys() & old.keys() if now[group][_FILTER] != old[group][_FILTER]}
        found.reread |= refiltered | {group.id for group in groups if group.id in created and group.member_count != 0}
        await self._verify()
        if not self._run.served.connection.populations:
            found.reread |= await self._miscounted(groups)
        moved = {parent for _, parent in old_nestings ^ found.nestings}
        seeds = found.reread | moved | deleted
        above, above_before = closure(found.nestings), closure(old_nestings)
        found.whole = seeds.union(*(above.get(seed, set()) | above_before.get(seed, set()) for seed in seeds))
        found.reread |= found.whole & found.dynamic
        await self._read_members(groups)

    async def _renest(self, groups: Sequence[Group], named: set[str], old: set[Nesting]) -> None:
        """Find the nestings: of groups that are named, and in groups that hold another number of groups than before."""
        present = {group.id for group in groups}
        self._found.nestings = {(group, parent) for group, parent in old if group in present and parent in present}
        children = Counter(parent for _, parent in self._found.nestings)
        recounted = [
            group for group in groups if group.group_count is not None and group.group_count != children[group.id]
        ]
        holders = [group for group in groups if group.group_count != 0]
        if len(named) + len(recounted) >= len(holders):
            self._found.nestings.clear()
            await self._children_of(holders)
            return
        await self._children_of(recounted)

        async def read(group: str) -> None:
            parents = await self._upstream.parents(group)
            self._found.nestings = {nesting for nesting in self._found.nestings if nesting[0] != group}
            self._found.nestings |= {(group, parent) for parent in parents & present}

        await each(read, sorted(named))

    async def _verify(self) -> None:
        """Ask of users who changed, or whom events of memberships name, whether they are in the groups in question."""
        found, wanted = self._found, self._found.wanted
        changed = await self._run.look(partial(_changed, environment=self._environment))
        present = {row[0]: row for row in found.groups}
        told_of = {(user, group) for user, group in wanted.memberships if group in present and user not in found.gone}
        moved = {user for user, new, old in changed if old is not None and new != old}
        held = await self._run.look(
            partial(_held, ids=moved | {user for user, _ in told_of} | {user for user, *_ in changed})
        )
        # Who moves to another population leaves the groups of the old one, and no event tells.
        left = {
            pair
            for pair, kind in held.items()
            if kind == "direct"
            and pair[0] in moved
            and pair[1] in present
            and present[pair[1]][_POPULATION] is not None
        }
        touched = {user for user, *_ in changed} | {user for user, _ in told_of}
        found.touched |= touched - found.gone.keys()
        direct = {pair for pair in told_of | left if pair[1] not in found.reread}
        found.reread |= {group for group in found.dynamic if await self._better_whole(group, len(found.touched))}
        indirect = {(user, group) for group in found.dynamic - found.reread for user in found.touched}
        self._run.report("memberships", 0, len(direct) + len(indirect))
        directly = await self._upstream.holding(direct, "direct")
        indirectly = await self._upstream.holding(indirect, "indirect")
        rows: dict[Pair, str | None] = {pair: "direct" if pair in directly else None for pair in direct}
        for pair in indirect:
            if rows.get(pair) is None and (pair in rows or held.get(pair) != "direct"):
                rows[pair] = "indirect" if pair in indirectly else None
        await self._staging.put_verified((group, user, kind) for (user, group), kind in rows.items())

    async def _better_whole(self, group: str, users: int) -> bool:
        """Say whether all members of a group are fewer pages than so many users are questions."""
        members = await self._run.look(partial(_count_members, group=group))
        return users / _USERS_PER_QUESTION > members / self._run.served.connection.page_size + 2

    async def _miscounted(self, groups: Sequence[Group]) -> set[str]:
        """Return the groups of which PingOne counts more or fewer direct members than there would be in the copy."""
        counts = await self._run.look(partial(_direct_counts, gone=list(self._found.gone)))
        return {
            group.id
            for group in groups
            if group.member_count is not None
            and group.id not in self._found.reread
            and group.member_count != counts.get(group.id, 0)
        }

    # Both

    def _since(self, mark: Mark | None, began: datetime) -> datetime:
        """Return from when on events are wanted: since the last one seen, or since a first sync began to read."""
        return (datetime.fromisoformat(mark.events) if mark is not None else began) - EVENTS_OVERLAP

    async def _events(self, since: datetime, mark: Mark | None, began: datetime) -> None:
        """Read the events, those that were seen before aside."""
        seen = mark.seen if mark is not None else {}
        self._run.report("events", 0, None)
        try:
            activities = await self._upstream.activities(since, self._run.now)
            if mark is None:  # who has got a role in the last fourteen days
                activities += await self._upstream.activities(began - audit.WINDOW, self._run.now, types=ROLE_TYPES)
        except NotPermitted:
            self.coverage["events"] = False
            self.notes.append(
                f"The audit of {self._environment} may not be read (403): between full syncs, removals are not seen."
            )
            return
        self._found.wanted = changes_from(one for one in activities if one.get("id") not in seen)

    def _mark(self, before: Mark | None, began: datetime) -> Mark:
        seen = {**(before.seen if before is not None else {}), **self._found.wanted.seen}
        last = max([*self._found.wanted.seen.values(), before.events if before is not None else timestamp(began)])
        edge = timestamp(datetime.fromisoformat(last) - EVENTS_OVERLAP)
        return Mark(updated=timestamp(began), events=last, seen={event: at for event, at in seen.items() if at >= edge})

    async def _list_groups(self) -> list[Group]:
        self._run.report("groups", 0, None)
        groups = await self._upstream.groups()
        self._found.groups = [group_row(group, self._environment) for group in groups]
        return groups

    async def _children_of(self, groups: Iterable[Group]) -> None:
        present = {row[0] for row in self._found.groups}
        parents = [group.id for group in groups]

        async def read(parent: str) -> None:
            children = await self._upstream.children(parent)
            self._found.nestings = {nesting for nesting in self._found.nestings if nesting[1] != parent}
            self._found.nestings |= {(child, parent) for child in children & present}

        await each(read, parents)

    async def _read_members(self, groups: Sequence[Group]) -> None:
        """Stage the members of the groups that are to be read whole, several groups at a time."""
        reread = [group for group in groups if group.id in self._found.reread]
        done = 0

        async def read(group: Group) -> None:
            nonlocal done
            await self._staging.forget_members(group.id)
            async for users in self._upstream.members(group.id, "direct"):
                await self._staging.put_members(group.id, users, "direct")
            if group.user_filter is not None:
                async for users in self._upstream.members(group.id, "indirect"):
                    await self._staging.put_members(group.id, users, "indirect")
            done += 1
            self._run.report("memberships", done, len(reread))

        await each(read, reread)

    async def _roles(self, *, everybody: bool) -> None:
        found, served = self._found, self._run.served
        wanted = found.wanted.roles - found.gone.keys()
        users = await self._staging.user_ids(self._environment) if everybody else wanted
        if not users:
            return
        roles = await served.names.role_names()
        places = {row[0]: row[2] for row in found.populations} | await served.names.environment_names()
        done = 0

        async def read(user: str) -> None:
            nonlocal done
            raws = await self._upstream.role_assignments(user)
            rows = [_role_row(user, raw, roles, places) for raw in raws]
            if rows or not everybody:
                found.roles[user] = rows
            done += 1
            self._run.report("roles", done, len(users))

        try:
            await each(read, sorted(users))
        except NotPermitted:
            self.coverage["roles"] = UNREADABLE
            found.roles.clear()
            self.notes.append("Role assignments may not be read (403).")
        else:
            found.all_roles = everybody
            self.coverage["roles"] = "all" if everybody else self.coverage["roles"]


_USERS_PER_QUESTION = 40
_FILTER, _POPULATION, _UPDATED = (
    schema.GROUP_COLUMNS.index(name) for name in ("user_filter", "population_id", "updated_at")
)


def _role_row(user: str, raw: JsonObject, roles: dict[str, str | None], places: dict[str, str | None]) -> Row:
    held = wire.role_assignment(raw, roles=roles, places=places)
    scope = held.scope
    return (user, held.id, held.name, scope and scope.type, scope and scope.id, scope and scope.name)


def _takes(lock: BaseFileLock) -> bool:
    """Take a lock, and say whether it was free."""
    from filelock import Timeout  # noqa: PLC0415 - as FileLock

    with told():
        try:
            lock.acquire(blocking=False)
        except Timeout:  # an OSError too
            return False
        return True


# Looks at the local copy


def _memory(connection: sqlite3.Connection) -> JsonObject:
    """Return what the last syncs have noted."""
    return {name: json.loads(value) for name, value in connection.execute("SELECT name, value FROM facts_")}


def _note_fact(connection: sqlite3.Connection, name: str, value: object) -> None:
    connection.execute("INSERT OR REPLACE INTO facts_ VALUES (?, ?)", (name, json.dumps(value)))


def _number_by_time(connection: sqlite3.Connection, newest: int) -> None:
    """Give the changes of this sync, those behind `newest`, numbers in the order in which they happened."""
    connection.execute("UPDATE changes_ SET id = -id WHERE id > ?", (newest,))
    connection.execute(
        "UPDATE changes_ SET id = ? + placed.place FROM ("
        "SELECT id AS old, row_number() OVER (ORDER BY at, -id) AS place FROM changes_ WHERE id < 0"
        ") AS placed WHERE changes_.id = placed.old",
        (newest,),
    )


def _note_run(connection: sqlite3.Connection, row: Row) -> None:
    connection.execute(
        "INSERT INTO sync_runs_ (mode, started_at, ended_at, outcome, reason, counts) VALUES (?, ?, ?, ?, ?, ?)", row
    )
    forget_runs(connection)


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    tables = {
        "users": "users_ WHERE removed_at IS NULL",
        "removed_users": "users_ WHERE removed_at IS NOT NULL",
        **{name: f"{name}_" for name in ("groups", "memberships", "populations", "environments", "role_assignments")},
    }
    return {
        name: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our names
        for name, table in tables.items()
    }


def _not_staged(connection: sqlite3.Connection, environment: str) -> list[str]:
    return [
        row[0]
        for row in connection.execute(
            """SELECT id FROM main.users_ WHERE environment_id = ? AND removed_at IS NULL
            AND id NOT IN (SELECT id FROM staged.users_)""",
            (environment,),
        )
    ]


def _changed(connection: sqlite3.Connection, environment: str) -> list[tuple[str, str | None, str | None]]:
    """Return who is new or different: id, and the population now and before."""
    return connection.execute(
        """SELECT s.id, s.population_id, u.population_id FROM staged.users_ s LEFT JOIN main.users_ u ON u.id = s.id
        WHERE s.environment_id = ? AND (u.id IS NULL OR u.removed_at IS NOT NULL OR u.digest IS NOT s.digest)""",
        (environment,),
    ).fetchall()


def _existing(connection: sqlite3.Connection, ids: Iterable[str]) -> set[str]:
    _list(connection, ids)
    query = "SELECT id FROM main.users_ WHERE id IN (SELECT id FROM temp.listed) AND removed_at IS NULL"
    return {row[0] for row in connection.execute(query)}


def _held(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[Pair, str]:
    """Return the memberships of these users, with their types."""
    _list(connection, ids)
    query = "SELECT user_id, group_id, type FROM memberships_ WHERE user_id IN (SELECT id FROM temp.listed)"
    return {(user, group): kind for user, group, kind in connection.execute(query)}


def _groups_known(connection: sqlite3.Connection, environment: str) -> dict[str, Row]:
    columns = ", ".join(schema.GROUP_COLUMNS)
    query = f"SELECT {columns} FROM groups_ WHERE environment_id = ?"  # noqa: S608 - our names
    return {row[0]: row for row in connection.execute(query, (environment,))}


def _nestings_known(connection: sqlite3.Connection, environment: str) -> set[Nesting]:
    query = (
        """SELECT group_id, parent_id FROM nestings_ JOIN groups_ ON groups_.id = group_id WHERE environment_id = ?"""
    )
    return set(connection.execute(query, (environment,)))


def _count_members(connection: sqlite3.Connection, group: str) -> int:
    (count,) = connection.execute("SELECT count(*) FROM memberships_ WHERE group_id = ?", (group,)).fetchone()
    return int(count)


def _direct_counts(connection: sqlite3.Connection, gone: Iterable[str]) -> dict[str, int]:
    """Return how many direct members each group has in the copy, once what was verified is taken over."""
    _list(connection, gone)
    counts: dict[str, int] = dict(
        connection.execute("SELECT group_id, count(*) FROM memberships_ WHERE type = 'direct' GROUP BY group_id")
    )
    less = connection.execute(
        """SELECT group_id, count(*) FROM memberships_ m WHERE type = 'direct'
        AND (user_id IN (SELECT id FROM temp.listed) OR (group_id, user_id) IN (SELECT group_id, user_id FROM staged.verified))
        GROUP BY group_id"""
    )
    more = connection.execute("SELECT group_id, count(*) FROM staged.verified WHERE type = 'direct' GROUP BY group_id")
    total = defaultdict[str, int](int, counts)
    for group, count in less.fetchall():
        total[group] -= count
    for group, count in more.fetchall():
        total[group] += count
    return dict(total)


def _list(connection: sqlite3.Connection, ids: Iterable[str]) -> None:
    connection.execute("CREATE TEMP TABLE listed (id TEXT PRIMARY KEY) WITHOUT ROWID")
    connection.executemany("INSERT OR IGNORE INTO temp.listed VALUES (?)", [(identity,) for identity in ids])

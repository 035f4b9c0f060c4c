"""Bringing the local copy up to date with PingOne: by a walk over everybody, or by what has changed since.

PingOne has no list of changes. So an incremental sync asks for users by `updatedAt`, and for audit events, which name
who and what is to be read again; a full one walks. Either way what was read is compared with the copy, and what differs
is the change. Only evidence removes a user (`evidence`); that a walk did not meet somebody is none.
"""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

import anyio

from pingone_mcp.directory.gaps import Gap
from pingone_mcp.directory.models import JsonObject, Organization
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import FilterRefused, NotFound, NotPermitted, Problem, Refused, RequestRefused, UnexpectedAnswer
from pingone_mcp.replica.asking.snapshot import UNREADABLE, Snapshot
from pingone_mcp.replica.evidence import HELD_SHARE, Held
from pingone_mcp.replica.merge import LOSING, Bounds, Findings, Mode, merge
from pingone_mcp.replica.reading import (
    LATE,
    Incomplete,
    Reading,
    Report,
    Task,
    longest_gap,
    why_unread,
)
from pingone_mcp.replica.source import Source
from pingone_mcp.replica.store.looks import called_in
from pingone_mcp.replica.store.noted import facts
from pingone_mcp.replica.store.retention import KEPT_CHANGES, change_ids, forget_changes, forget_runs
from pingone_mcp.replica.store.rows import Row
from pingone_mcp.replica.store.schema import REMOVED, REMOVED_AT_IN
from pingone_mcp.replica.store.staging import Staging, leftovers
from pingone_mcp.replica.store.store import Damaged, NoReplica, ReplicaProblem, Store, told, transaction
from pingone_mcp.replica.watermark import UPDATES_OVERLAP, Watermark
from pingone_mcp.sqlite_files import remove_database
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:
    from filelock import BaseFileLock

_POLL_SECONDS = 0.25
_SHAPE = 1  # of the records: a higher number makes them all anew
# What concerns one environment only, so that the others are read all the same.
_ONE_ENVIRONMENT = (NotPermitted, NotFound, RequestRefused, UnexpectedAnswer, Incomplete)


def _silent(stage: str, done: int, about: int | None) -> None:
    """Tell nobody of progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What a sync did. `counts` has rows by table, `changes` how many were written down by kind.

    `complete` says that everybody was read and taken over. Where it is not, `held` says that nothing was taken over
    until a person says so, and `taken_over` that what could be read was. `watermark` is PingOne's time up to which the
    copy is known to be right; `reason` says why a sync was not complete, or what could not be read; `gaps` are what the
    copy lacks now.
    """

    mode: Mode
    complete: bool
    held: bool = False
    taken_over: bool = False
    reason: str | None = None
    gaps: tuple[Gap, ...] = ()
    counts: dict[str, int] = field(default_factory=dict[str, int])
    changes: dict[str, int] = field(default_factory=dict[str, int])
    seconds: float = 0.0
    watermark: str | None = None


class Sync:
    """Bring one store up to date; `run` may be called again and again, and by several processes.

    `roles` reads the role assignments of every user, one request each, with each full sync; otherwise those of the
    users that events name. `remote_data` keeps PingOne's own objects too. A full sync is due `full_after` the last one.
    When more than `held_share` of an environment or a population would be gone without an event, the sync is held.
    `by_counts` holds the copy against PingOne's `userCount` of each population.
    `patience` is how many seconds to wait for another process that is syncing.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        *,
        roles: bool = False,
        remote_data: bool = False,
        full_after: timedelta = timedelta(hours=24),
        held_share: float = HELD_SHARE,
        by_counts: bool = True,
        patience: float = 30.0,
        report: Report | None = None,
    ) -> None:
        self._source = source
        self._store = store
        self._roles = roles
        self._remote_data = remote_data
        self._full_after = full_after
        self._held_share = held_share
        self._by_counts = by_counts
        self._patience = patience
        self._report: Report = report or _silent

    async def run(self, mode: Mode | Literal["auto"] = "auto", *, accept_removals: bool = False) -> SyncReport:
        """Sync, and say what was done. Raises Problem: what cannot be read or written, or another sync that goes on.

        `accept_removals` is a person's word that those of whom the last sync could not tell are gone, if they still
        answer 404.
        """
        async with self._alone():
            began = self._source.clock.monotonic()
            try:
                report = await self._run(mode, accept_removals=accept_removals)
            except Damaged:  # by now it is set aside, and there is an empty one
                report = await self._run("full", accept_removals=accept_removals)
            return replace(report, seconds=self._source.clock.monotonic() - began)

    async def _run(self, mode: Mode | Literal["auto"], *, accept_removals: bool) -> SyncReport:
        memory = await self._store.write(facts)
        await self._settle_time(mode)
        shape = json.dumps([_SHAPE, dict(self._source.attributes), self._remote_data], sort_keys=True)
        chosen = self._choose(mode, memory, shape, accept_removals=accept_removals)
        if chosen == "full":
            await in_thread(self._store.check, pool="copy")
        try:
            return await self._once(memory, shape, accept_removals=accept_removals).run(chosen)
        except FilterRefused:
            if chosen == "full":
                raise
            # PingOne cannot tell who was changed.
            return await self._once(memory, shape, accept_removals=accept_removals).run("full")

    async def _settle_time(self, mode: Mode | Literal["auto"]) -> None:
        """Find out what time it is at PingOne: everything below goes by it. Raises Problem."""
        started = self._source.now()
        try:
            await self._source.settle_time()
        except Problem as problem:
            with suppress(Problem):  # what went wrong first is told
                tried: Mode = "full" if mode == "full" else "incremental"
                row = (tried, timestamp(started), timestamp(self._source.now()), "failed", str(problem), None)
                await self._store.write(partial(_note_run, row=row))
            raise

    def _once(self, memory: JsonObject, shape: str, *, accept_removals: bool) -> _Run:
        return _Run(
            self._source,
            self._store,
            self._report,
            roles=self._roles,
            remote_data=self._remote_data,
            share=self._held_share,
            by_counts=self._by_counts,
            memory=memory,
            shape=shape,
            accept_removals=accept_removals,
        )

    def _choose(self, mode: Mode | Literal["auto"], memory: JsonObject, shape: str, *, accept_removals: bool) -> Mode:
        last_full, last = memory.get("last_full"), memory.get("last_sync")
        if mode == "full" or last_full is None or last is None or memory.get("shape") != shape:
            return "full"
        if accept_removals or (mode == "auto" and memory.get("held")):
            return "full"  # only that tells whether they are still gone
        now = self._source.now()
        if now - datetime.fromisoformat(last) > longest_gap(self._source) or not self._is_sound(memory):
            return "full"
        overdue = now - datetime.fromisoformat(last_full) > self._full_after
        return "full" if mode == "auto" and overdue else "incremental"

    def _is_sound(self, memory: JsonObject) -> bool:
        """Say whether no clock was wrong when the last syncs noted up to where they had read."""
        now, ahead = self._source.now(), self._source.ahead()
        marks = [Watermark(**mark) for mark in memory.get("watermarks", {}).values()]
        in_future = memory["last_full"] > timestamp(now + UPDATES_OVERLAP)
        return not in_future and all(mark.is_sound(now, ahead) for mark in marks)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Let one process at a time sync, by a lock that the operating system drops when its holder dies."""
        from filelock import FileLock  # noqa: PLC0415 - start-up: only needed once something is synced

        with told():
            self._store.folder.make()
            self._store.folder.claim_files()
        lock: BaseFileLock = FileLock(self._store.path.with_suffix(".lock"), mode=0o600, thread_local=False)
        waited = 0.0
        while not _takes(lock):
            if waited >= self._patience:
                raise Refused(
                    "Another process is syncing this local copy.",
                    "Wait for its end, then try again; the copy can be read meanwhile.",
                    code="SYNC_IN_PROGRESS",
                )
            await self._source.clock.sleep(_POLL_SECONDS)
            waited += _POLL_SECONDS
        try:
            yield
        finally:
            lock.release()


class _Run:
    """One sync under way. `memory` is what the last ones have noted."""

    def __init__(
        self,
        source: Source,
        store: Store,
        report: Report,
        *,
        roles: bool,
        remote_data: bool,
        share: float,
        by_counts: bool,
        memory: JsonObject,
        shape: str,
        accept_removals: bool,
    ) -> None:
        self._source = source
        self._store = store
        self._report = report
        self._memory = memory
        self._shape = shape
        self._remote_data = remote_data
        self._staging = Staging(store.path.with_suffix(".staged"), remote_data=remote_data)
        self._marks: dict[str, Watermark] = {}
        self._coverage: dict[str, JsonObject] = {}
        self._notes: list[str] = []
        if why := memory.get("damaged"):
            self._notes.append(
                f"The local copy was damaged: {why}. It was set aside, and what changed before is not known any more."
            )
        self._readings: list[Reading] = []
        self._accepts = accept_removals
        held: JsonObject = (memory.get("held") or {}) if accept_removals else {}
        self._accepted_ids: list[str] = held.get("ids", [])
        unseen = [
            one
            for told in memory.get("coverage", {}).values()
            for one in (*told.get("unseen", ()), *told.get("unseen_groups", ()))
        ]
        self._bounds = Bounds(share=share, accepted=held.get("memberships", {}))
        self._task = Task(
            source=source,
            store=store,
            staging=self._staging,
            report=report,
            now=self._now,
            all_roles=roles,
            remote_data=remote_data,
            share=share,
            by_counts=by_counts,
            accepted=frozenset((*held.get("ids", ()), *unseen) if accept_removals else ()),
            coverage=memory.get("coverage", {}),
        )

    async def run(self, mode: Mode) -> SyncReport:
        begun = self._source.clock.monotonic()
        try:
            findings = await self._read(mode)
            self._report("merge", 0, None)
            await self._staging.close()
            report = await in_thread(self._merge, findings, mode, begun, pool="copy")
        except Problem as problem:
            with anyio.CancelScope(shield=True):
                await self._staging.close()
                with suppress(Problem):  # ids must do where names cannot be read
                    if isinstance(problem, Held):
                        called = await self._store.read(partial(called_in, ids=problem.named()))
                        problem = Held(problem.vanished, problem.ids, called)
                with suppress(Problem):  # what went wrong first is told
                    started = self._at(begun)
                    row = (mode, timestamp(started), timestamp(self._now()), _outcome(problem), str(problem), None)
                    await self._store.write(
                        partial(_note_end, row=row, problem=problem, started=started, accepted=self._accepted_ids)
                    )
            if not isinstance(problem, Incomplete | Held):
                raise
            report = SyncReport(
                mode=mode, complete=False, held=isinstance(problem, Held), reason=str(problem), gaps=await self._gaps()
            )
            if not isinstance(problem, Held):
                return report
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._staging.close()
            raise
        await in_thread(self._tidy, pool="copy")
        return report

    def _now(self) -> datetime:
        return self._source.now()

    def _at(self, instant: float) -> datetime:
        """Return PingOne's time at an instant of our monotonic clock, by what is known of it now."""
        return self._source.now() - timedelta(seconds=self._source.clock.monotonic() - instant)

    async def _gaps(self) -> tuple[Gap, ...]:
        try:
            return await self._store.read(lambda database: Snapshot(database, self._source.scope).gaps(None))
        except NoReplica:
            return ()

    async def _read(self, mode: Mode) -> list[Findings]:
        """Read all environments served. One of several that cannot be read is a gap, and stays as it is."""
        purpose = [*self._source.identity, sorted(self._source.scope.populations), self._shape]
        if mode == "incremental":
            self._tidy()  # what a killed full sync has left is older than what will be read now
        await self._staging.open(json.dumps(purpose))
        await self._staging.forget_members()
        findings: list[Findings] = []
        first: Problem | None = None
        environments = await self._source.environments()
        for environment in environments:
            try:
                findings.append(await self._read_environment(environment, mode))
            except _ONE_ENVIRONMENT as problem:
                if len(environments) == 1:
                    raise
                first = first or problem
                self._notes.append(f"The environment {environment.id} {why_unread(problem)}, and stays as it was.")
                if environment.id not in self._memory.get("watermarks", {}):
                    self._coverage[environment.id] = {"users": UNREADABLE}
        if not findings:
            raise first or NotPermitted(
                "None of the environments served may be read.",
                "Give the worker application a role over them.",
                code="NOTHING_SERVED",
            )
        vanished = [one for reading in self._readings for one in reading.vanished]
        if vanished:
            raise Held(vanished, set[str]().union(*(reading.held for reading in self._readings)))
        return findings

    async def _read_environment(self, place: Organization, mode: Mode) -> Findings:
        environment = place.id
        upstream = self._source.environment(environment, remote_data=self._remote_data)
        self._report("places", 0, None)
        marks = self._memory.get("watermarks", {})
        mark = Watermark(**marks[environment]) if environment in marks else None
        now = self._now()
        if mark is not None and not mark.is_sound(now, self._source.ahead()):
            mark = mark.as_far_back(now, longest_gap(self._source))
        late = mark is not None and now - datetime.fromisoformat(mark.updated) > longest_gap(self._source)
        if mark is None or late or Reading.is_to_be_full(self._task.coverage.get(environment, {})):
            mode = "full"
        found = Findings(
            environment=(environment, place.name, place.type, place.region),
            mode=mode,
            quiet=mark is None or self._memory.get("shape") != self._shape,
            seen_before=timestamp(datetime.fromisoformat(mark.updated) - LATE) if mark is not None else None,
        )
        reading = Reading(self._task, upstream, found)
        self._readings.append(reading)
        await reading.populations()
        self._marks[environment] = await (
            reading.full(mark) if mode == "full" or mark is None else reading.incremental(mark)
        )
        self._coverage[environment] = reading.coverage
        self._notes += reading.notes
        return found

    def _merge(self, findings: Sequence[Findings], mode: Mode, begun: float) -> SyncReport:
        """Take over everything that was found, in one transaction. Raises Held, with nothing taken over."""
        now, started = timestamp(self._now()), self._at(begun)
        kinds = Counter[str]()
        with self._store.writer() as connection:
            connection.execute("ATTACH DATABASE ? AS staged", (str(self._staging.path),))
            with transaction(connection):
                if facts(connection) != self._memory:  # what was found is only what has changed since
                    raise ReplicaProblem(
                        "The local copy is not the one that this sync began with: it was removed, or changed by "
                        "something else.",
                        "Sync again.",
                        code="REPLICA_CHANGED",
                    )
                _, newest = change_ids(connection)
                for found in findings:
                    kinds += merge(connection, found, self._bounds, now)
                _number_by_time(connection, newest)
                counts = _counts(connection)
                self._note_watched(connection, now, [found.id for found in findings if found.quiet])
                if mode == "full":  # by how many there are of what, SQLite chooses the index of a question
                    connection.execute("ANALYZE main")
                    _mind_who_exists(connection)
                short = [told["users_short"] for told in self._coverage.values() if "users_short" in told]
                notes = [
                    *self._notes,
                    *(f"PingOne counts {one['counted']:,} users, and {one['found']:,} could be read." for one in short),
                ]
                reason = " ".join(notes) or None
                told_counts = json.dumps({"rows": counts, "changes": dict(kinds)})
                run = _note_run(connection, (mode, timestamp(started), now, "complete", reason, told_counts))
                self._note_facts(connection, mode, started, findings, run)
            gaps = Snapshot(connection, self._source.scope).gaps(None)
        return SyncReport(
            mode=mode,
            complete=not short,
            taken_over=True,
            reason=reason,
            gaps=gaps,
            counts=counts,
            changes=dict(kinds),
            watermark=min((mark.updated for mark in self._marks.values()), default=None),
        )

    def _note_facts(
        self, connection: sqlite3.Connection, mode: Mode, started: datetime, findings: Sequence[Findings], run: int
    ) -> None:
        """Note up to where everything was read: each environment by the sync, `run`, that really read it."""
        marks = {
            **self._memory.get("watermarks", {}),
            **{place: dataclasses.asdict(mark) for place, mark in self._marks.items()},
        }
        known: dict[str, JsonObject] = self._memory.get("coverage", {})
        coverage = {place: told for place, told in known.items() if told.get("users") != UNREADABLE} | self._coverage
        at = timestamp(started)
        facts: JsonObject = {
            "watermarks": marks,
            "coverage": coverage,
            "shape": self._shape,
            "last_sync": at,
            "damaged": None,
            "read": {**self._memory.get("read", {}), **{found.id: {"run": run, "at": at} for found in findings}},
            "read_in_full": {
                **self._memory.get("read_in_full", {}),
                **{found.id: at for found in findings if found.mode == "full"},
            },
        }
        if mode == "full":
            facts["last_full"] = at
            held: JsonObject = self._memory.get("held") or {"vanished": ()}
            looked_at = {one["environment"] for one in held["vanished"]} <= {found.id for found in findings}
            if looked_at or self._accepts:
                facts["held"] = None
        for name, value in facts.items():
            _note_fact(connection, name, value)

    def _note_watched(self, connection: sqlite3.Connection, now: str, anew: Sequence[str]) -> None:
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


def _outcome(problem: Problem) -> str:
    match problem:
        case Held():
            return "held"
        case Incomplete():
            return "incomplete"
        case _:
            return "failed"


def _note_end(
    connection: sqlite3.Connection, row: Row, problem: Problem, started: datetime, accepted: Sequence[str]
) -> None:
    """Note a sync that took nothing over; of a held one, what a person may say yes to, or has said in this sync."""
    _note_run(connection, row)
    if not isinstance(problem, Held):
        return
    losing = {one.environment: one.missing for one in problem.vanished if one.what == LOSING and one.population is None}
    _note_fact(
        connection,
        "held",
        {
            "at": timestamp(started),
            "vanished": [one.to_json() for one in problem.vanished],
            "ids": sorted({*problem.ids, *accepted}),
            "memberships": losing,
        },
    )


def _takes(lock: BaseFileLock) -> bool:
    """Take a lock, and say whether it was free."""
    from filelock import Timeout  # noqa: PLC0415 - as FileLock

    with told():
        try:
            lock.acquire(blocking=False)
        except Timeout:  # an OSError too
            return False
        return True


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


def _note_run(connection: sqlite3.Connection, row: Row) -> int:
    """Note a sync, and return its number."""
    added = connection.execute(
        "INSERT INTO sync_runs_ (mode, started_at, ended_at, outcome, reason, counts) VALUES (?, ?, ?, ?, ?, ?)", row
    )
    forget_runs(connection)
    return int(added.lastrowid or 0)


def _mind_who_exists(connection: sqlite3.Connection) -> None:
    """Let SQLite know that `removed_at IS NULL` chooses nearly everybody: it goes by how many values there are.

    The statistics are, by index, how many rows there are and how many agree in the first column, in the first two, …
    (SQLite, "The sqlite_stat1 table").
    """
    for index, place in REMOVED_AT_IN.items():
        row = connection.execute("SELECT stat FROM sqlite_stat1 WHERE idx = ?", (index,)).fetchone()
        numbers = row[0].split() if row is not None else []
        if len(numbers) > place:
            numbers[place] = numbers[place - 1]
            stat = " ".join(numbers)
            connection.execute("UPDATE sqlite_stat1 SET stat = ? WHERE idx = ?", (stat, index))


def _counts(connection: sqlite3.Connection) -> dict[str, int]:
    tables = {
        "users": "users_ WHERE removed_at IS NULL",
        "removed_users": f"users_ u WHERE {REMOVED}",
        **{name: f"{name}_" for name in ("groups", "memberships", "populations", "environments", "role_assignments")},
    }
    return {
        name: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608 - our names
        for name, table in tables.items()
    }

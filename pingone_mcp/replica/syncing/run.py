"""One sync under way: all environments are read, and what was found is taken over in one transaction, or nothing is."""

from __future__ import annotations

import dataclasses
import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

import anyio

from pingone_mcp.directory.gaps import Gap, RolesRefused
from pingone_mcp.directory.models import Organization
from pingone_mcp.directory.rights import USERS
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import NoReplica, NotFound, NotPermitted, Problem, RequestRefused, UnexpectedAnswer
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.evidence import Held
from pingone_mcp.replica.findings import Findings, Mode
from pingone_mcp.replica.merging.memberships import LOSING, Bounds
from pingone_mcp.replica.merging.merge import merge
from pingone_mcp.replica.source import Source
from pingone_mcp.replica.store.feed import note_feed
from pingone_mcp.replica.store.looks import called_in
from pingone_mcp.replica.store.noted import (
    UNREADABLE,
    EndedRun,
    EnvironmentCoverage,
    HeldRemovals,
    Memory,
    ReadBy,
    Shape,
    note,
    note_run,
    recalled,
)
from pingone_mcp.replica.store.rereads import forget_counts, rereads_of
from pingone_mcp.replica.store.retention import KEPT_CHANGES, change_ids, forget_changes
from pingone_mcp.replica.store.staging import Staging, leftovers
from pingone_mcp.replica.store.store import ReplicaProblem, Store, as_problems, transaction
from pingone_mcp.replica.store.upkeep import analyze, count_rows, number_by_time
from pingone_mcp.replica.syncing.environment import coverage_before, read_fully, read_what_changed
from pingone_mcp.replica.syncing.task import (
    EnvironmentSync,
    Incomplete,
    Report,
    SyncOptions,
    Task,
    longest_gap,
    seen_before,
    sound_mark,
    why_unread,
)
from pingone_mcp.replica.watermark import Watermark
from pingone_mcp.sqlite_files import remove_database
from pingone_mcp.tasks import in_thread

# What concerns one environment only, so that the others are read all the same.
_ONE_ENVIRONMENT = (NotPermitted, NotFound, RequestRefused, UnexpectedAnswer, Incomplete)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What a sync did. `counts` has rows by table, `changes` how many were written down by kind.

    `complete` says that everybody was read and taken over. Where it is not, `held` says that nothing was taken over
    until a person says so, and `taken_over` that what could be read was. `watermark` is the provider's time up to which
    the copy is known to be right; `reason` says why a sync was not complete, or what could not be read; `gaps` are what
    the copy lacks now.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a sync begins with: what the last ones noted, in which `shape` records are made, and a person's word.

    `accepts_removals` says that those whom the last sync was held for are gone, if they still answer 404.
    """

    memory: Memory
    shape: Shape
    accepts_removals: bool = False

    @property
    def accepted_users(self) -> tuple[str, ...]:
        held = self.memory.held
        return held.ids if held is not None and self.accepts_removals else ()

    def accepted(self) -> frozenset[str]:
        """Return the users and groups that a person has said to be gone."""
        return self.memory.doubtful if self.accepts_removals else frozenset()

    def bounds(self, share: float) -> Bounds:
        return Bounds(share=share, accepted=self.memory.losing if self.accepts_removals else {})


class SyncRun:
    """One sync of all environments that are served; `run` it once."""

    def __init__(
        self, source: Source, store: Store, options: SyncOptions, report: Report, beginning: Beginning
    ) -> None:
        self._source = source
        self._store = store
        self._options = options
        self._report = report
        self._beginning = beginning
        self._memory = beginning.memory
        self._staging = Staging(store.path.with_suffix(".staged"), source.clock)
        self._marks: dict[str, Watermark] = {}
        self._coverage: dict[str, EnvironmentCoverage] = {}
        self._notes: list[str] = []
        if why := self._memory.damaged:
            self._notes.append(
                f"The local copy was damaged: {why}. It was set aside, and what changed before is not known any more."
            )
        self._reading: list[EnvironmentSync] = []
        self._task = Task(
            source=source,
            store=store,
            staging=self._staging,
            report=report,
            options=options,
            accepted=beginning.accepted(),
        )

    async def run(self, mode: Mode) -> SyncReport:
        """Read, and take over. Raises Problem: what cannot be read or written.

        A walk that is not complete, and removals that wait for a person, are no Problem but a report.
        """
        begun = self._source.clock.monotonic()
        try:
            findings = await self._read(mode)
            self._report("merge", 0, None)
            await self._staging.keep()
            await self._staging.close()
            report = await in_thread(self._take_over, findings, mode, begun, pool="copy")
        except Problem as problem:
            with anyio.CancelScope(shield=True):
                await self._staging.close()
                problem = await self._named(problem)
                await self._note_failure(mode, begun, problem)
            if not isinstance(problem, Incomplete | Held):
                raise
            report = SyncReport(
                mode=mode, complete=False, held=isinstance(problem, Held), reason=str(problem), gaps=await self._gaps()
            )
            if isinstance(problem, Incomplete):  # what was read so far serves the next sync
                return report
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._staging.close()
            raise
        await in_thread(self._tidy, pool="copy")
        return report

    async def _named(self, problem: Problem) -> Problem:
        """Return a problem with the names of those whom it is about; ids must do where names cannot be read."""
        if isinstance(problem, Held):
            with suppress(Problem):
                called = await self._store.read(lambda database: called_in(database, problem.named()))
                return Held(problem.vanished, problem.ids, called)
        return problem

    async def _note_failure(self, mode: Mode, begun: float, problem: Problem) -> None:
        """Note a sync that took nothing over; of a held one, what a person may say yes to, or has said in this sync."""
        started = timestamp(self._at(begun))
        ended = EndedRun(mode, started, timestamp(self._source.now()), _outcome(problem), str(problem))

        def work(connection: sqlite3.Connection) -> None:
            note_run(connection, ended)
            if isinstance(problem, Held):
                note(connection, held=self._held(problem, started))

        with suppress(Problem):  # what went wrong first is what is shown
            await self._store.write(work)

    def _held(self, problem: Held, at: str) -> HeldRemovals:
        whole = (one for one in problem.vanished if one.what == LOSING and one.population is None)
        return HeldRemovals(
            at=at,
            vanished=problem.vanished,
            ids=tuple(sorted({*problem.ids, *self._beginning.accepted_users})),
            memberships={one.environment: one.missing for one in whole},
        )

    def _at(self, instant: float) -> datetime:
        """Return the provider's time at an instant of our monotonic clock, by what is known of it now."""
        return self._source.now() - timedelta(seconds=self._source.clock.monotonic() - instant)

    async def _gaps(self) -> tuple[Gap, ...]:
        try:
            return await self._store.read(lambda database: Snapshot(database, self._source.scope).gaps(None))
        except NoReplica:
            return ()

    async def _read(self, mode: Mode) -> list[Findings]:
        """Read all environments served. One of several that cannot be read is a gap, and stays as it is."""
        if mode == "incremental":
            self._tidy()  # what a killed full sync has left is older than what will be read now
        purpose = [*self._source.identity, sorted(self._source.scope.populations), self._beginning.shape]
        await self._staging.open(json.dumps(purpose, sort_keys=True))
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
                self._notes.append(
                    f"The environment {environment.id} {why_unread(problem, USERS)}, and stays as it was."
                )
                if environment.id not in self._memory.watermarks:
                    self._coverage[environment.id] = EnvironmentCoverage(users=UNREADABLE)
        if not findings:
            raise first or _nothing_served()
        self._hold()
        return findings

    def _hold(self) -> None:
        """Raise Held where too many could not be found anywhere."""
        vanished = [one for reading in self._reading for one in reading.vanished]
        if vanished:
            raise Held(vanished, set[str]().union(*(reading.held for reading in self._reading)))

    async def _read_environment(self, environment: Organization, mode: Mode) -> Findings:
        self._report("places", 0, None)
        mark = sound_mark(self._memory, environment.id, self._source)
        known = self._memory.coverage.get(environment.id, EnvironmentCoverage())
        late = mark is not None and self._source.now() - datetime.fromisoformat(mark.updated) > longest_gap(
            self._source
        )
        if mark is None or late or known.wants_full_sync:
            mode = "full"
        here = EnvironmentSync(
            task=self._task,
            source=self._source.environment(environment.id, remote_data=self._options.remote_data),
            found=Findings(
                environment=environment,
                mode=mode,
                quiet=mark is None or self._memory.shape != self._beginning.shape,
                seen_before=seen_before(mark) if mark is not None else None,
            ),
            known=known,
            coverage=coverage_before(known),
        )
        self._reading.append(here)
        if mode == "full" or mark is None:
            self._marks[environment.id] = await read_fully(here, mark)
        else:
            self._marks[environment.id] = await read_what_changed(here, mark)
        self._coverage[environment.id] = here.coverage
        self._notes += here.notes
        return here.found

    def _take_over(self, findings: Sequence[Findings], mode: Mode, begun: float) -> SyncReport:
        """Take over everything that was found, in one transaction. Raises Held, with nothing taken over."""
        now, started = timestamp(self._source.now()), timestamp(self._at(begun))
        short = [one.users_short for one in self._coverage.values() if one.users_short is not None]
        counted = (f"PingOne counts {one.counted:,} users, and {one.found:,} could be read." for one in short)
        reason = " ".join((*self._notes, *counted)) or None
        with self._store.writer() as connection:
            connection.execute("ATTACH DATABASE ? AS staged", (str(self._staging.path),))
            with transaction(connection):
                if recalled(connection) != self._memory:  # what was found is only what has changed since
                    raise _other_copy()
                _, before = change_ids(connection)
                kinds = self._merge(connection, findings, now)
                note_feed(connection, change_ids(connection)[1] if self._memory.last_sync is None else before)
                counts = count_rows(connection)
                self._note_watched(connection, now, [found.id for found in findings if found.quiet])
                if mode == "full":
                    analyze(connection)
                run = note_run(
                    connection,
                    EndedRun(mode, started, now, "complete", reason, {"rows": counts, "changes": dict(kinds)}),
                )
                self._note_facts(connection, mode, ReadBy(run, started), findings)
                forget_counts(connection)
            gaps = Snapshot(connection, self._source.scope).gaps(None)
        refused = (place for place, covered in self._coverage.items() if covered.roles == UNREADABLE)
        return SyncReport(
            mode=mode,
            complete=not short,
            taken_over=True,
            reason=reason,
            gaps=(*gaps, *(RolesRefused(place=place) for place in refused)),
            counts=counts,
            changes=dict(kinds),
            watermark=min((mark.updated for mark in self._marks.values()), default=None),
        )

    def _merge(self, connection: sqlite3.Connection, findings: Sequence[Findings], now: str) -> Counter[str]:
        _, newest = change_ids(connection)
        bounds = self._beginning.bounds(self._options.held_share)
        kinds = Counter[str]()
        for found in findings:
            since = rereads_of(connection, found.id).since
            if since is not None:  # what was read again is left alone, so that the next sync looks after it
                self._marks[found.id] = self._marks[found.id].back_to(since)
            kinds += merge(connection, found, bounds, now)
        number_by_time(connection, newest)
        return kinds

    def _note_facts(
        self, connection: sqlite3.Connection, mode: Mode, read: ReadBy, findings: Sequence[Findings]
    ) -> None:
        """Note up to where everything was read: each environment by the sync that really read it."""
        before = self._memory
        known = {place: covered for place, covered in before.coverage.items() if covered.users != UNREADABLE}
        in_full = {found.id: read.at for found in findings if found.mode == "full"}
        after = dataclasses.replace(
            before,
            watermarks=before.watermarks | self._marks,
            coverage=known | self._coverage,
            shape=self._beginning.shape,
            last_sync=read.at,
            damaged=None,
            read=before.read | {found.id: read for found in findings},
            read_in_full=before.read_in_full | in_full,
        )
        if mode == "full":
            still = None if self._has_settled(findings) else before.held
            after = dataclasses.replace(after, last_full=read.at, held=still)
        names = {one.name for one in dataclasses.fields(Memory)} - {"watched_since"}
        note(connection, **{name: getattr(after, name) for name in sorted(names)})

    def _has_settled(self, findings: Sequence[Findings]) -> bool:
        """Say whether what the last sync was held for is settled: a person has said so, or it was all looked at."""
        held = self._memory.held
        if held is None or self._beginning.accepts_removals:
            return True
        return {one.environment for one in held.vanished} <= {found.id for found in findings}

    def _note_watched(self, connection: sqlite3.Connection, now: str, anew: Sequence[str]) -> None:
        """Note since when all changes of each environment are known: of those read `anew`, what was before is not.

        What is too old is forgotten here.
        """
        watched = {**self._memory.watched_since, **dict.fromkeys(anew, now)}
        kept_since = timestamp(datetime.fromisoformat(now) - KEPT_CHANGES)
        if forget_changes(connection, kept_since):
            watched = {place: max(since, kept_since) for place, since in watched.items()}
        note(connection, watched_since=watched)

    def _tidy(self) -> None:
        """Remove what this sync and those that were killed have left."""
        with as_problems():
            for path in leftovers(self._store.path.parent, self._store.path.stem):
                remove_database(path)


def _outcome(problem: Problem) -> Literal["held", "incomplete", "failed"]:
    match problem:
        case Held():
            return "held"
        case Incomplete():
            return "incomplete"
        case _:
            return "failed"


def _nothing_served() -> NotPermitted:
    return NotPermitted(
        "None of the environments served may be read.",
        f"Give the worker application a role over them such as {USERS.given_by}.",
        code="NOTHING_SERVED",
    )


def _other_copy() -> ReplicaProblem:
    return ReplicaProblem(
        "The local copy is not the one that this sync began with: it was removed, or changed by something else.",
        "Sync again.",
        code="REPLICA_CHANGED",
    )

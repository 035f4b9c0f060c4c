"""Bringing the local copy up to date: in which mode, and by one process at a time.

There may be no list of changes. So an incremental sync asks for users by when they were changed, and for audit events,
which name who and what is to be read again; a full one walks over everybody. Either way what was read is compared with
the copy, and what differs is the change. Only evidence removes a user (`evidence`); that a walk did not meet somebody
is none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import FilterRefused, NoReplica, Problem, Refused
from pingone_mcp.replica.evidence import OtherRemovals
from pingone_mcp.replica.findings import Mode
from pingone_mcp.replica.source import Source, Wanted
from pingone_mcp.replica.store.noted import EndedRun, Memory, Shape, note_run, recalled
from pingone_mcp.replica.store.store import Damaged, Store, as_problems, no_replica
from pingone_mcp.replica.syncing.reread import RereadReport, RereadRun, SyncedMeanwhile
from pingone_mcp.replica.syncing.run import Beginning, SyncReport, SyncRun
from pingone_mcp.replica.syncing.task import Report, SyncOptions, longest_gap
from pingone_mcp.replica.watermark import UPDATES_OVERLAP
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:
    from filelock import BaseFileLock

_POLL_SECONDS = 0.25
_TRIED_AGAIN = 4  # a reread that a sync has overtaken
_SHAPE = 1  # of the records: a higher number makes them all anew


def _silent(stage: str, done: int, about: int | None) -> None:
    """Show nobody the progress."""


class Sync:
    """Bring one store up to date; `run` may be called again and again, and by several processes.

    `patience` is how many seconds to wait for another process that is syncing.
    """

    def __init__(
        self,
        source: Source,
        store: Store,
        options: SyncOptions | None = None,
        *,
        patience: float = 30.0,
        report: Report = _silent,
    ) -> None:
        self._source = source
        self._store = store
        self._options = options or SyncOptions()
        self._patience = patience
        self._report = report

    async def run(
        self, mode: Mode | Literal["auto"] = "auto", *, accept_removals: bool = False, as_shown: str | None = None
    ) -> SyncReport:
        """Sync, and say what was done. Raises Problem: what cannot be read or written, or another sync that goes on.

        `accept_removals` is a person's word that those of whom the last sync could not tell are gone, if they still
        answer 404; `as_shown` is the edition of them that the person saw (`Memory.edition_of_doubt`; None: whoever
        they are). Raises OtherRemovals, before anything is read, where they are others by now.
        """
        async with self._alone(".lock"):
            began = self._source.clock.monotonic()
            try:
                report = await self._run(mode, accept_removals=accept_removals, as_shown=as_shown)
            except Damaged:  # by now it is set aside, and there is an empty one
                report = await self._run("full", accept_removals=accept_removals, as_shown=as_shown)
            return replace(report, seconds=self._source.clock.monotonic() - began)

    async def reread(self, events: Iterable[JsonObject]) -> RereadReport:
        """Read what events that the provider has sent name, and take it over, beside whatever sync goes on.

        What is not in the copy's environments asks for nothing. Raises Problem: what cannot be read or written, another
        reread that goes on, and NoReplica where there is no copy yet, or one that is to be made anew.
        """
        wanted = self._source.wanted(events)
        async with self._alone(".reread.lock"):
            await self._source.settle_time()
            reports = [await self._reread(environment, one) for environment, one in sorted(wanted.items())]
        changes = sum((Counter(one.changes) for one in reports), Counter[str]())
        return RereadReport(
            changes=dict(changes),
            held=any(one.held for one in reports),
            notes=tuple(note for one in reports for note in one.notes),
        )

    async def _reread(self, environment: str, wanted: Wanted) -> RereadReport:
        """Read one environment again; once more where a sync was taken over meanwhile, or is just being."""
        for tries in range(1, _TRIED_AGAIN + 1):
            memory = await self._recalled()
            if memory.last_sync is None or memory.shape != self._shape():
                raise no_replica()
            if environment not in memory.watermarks:
                break
            try:
                return await RereadRun(self._source, self._store, self._options, memory).run(
                    environment, deepcopy(wanted)
                )
            except Problem as problem:
                if tries == _TRIED_AGAIN or not (
                    isinstance(problem, SyncedMeanwhile) or problem.code == "REPLICA_BUSY"
                ):
                    raise
        return RereadReport()

    async def _recalled(self) -> Memory:
        """Return what the last syncs have noted, of a copy that may be of an older version. Raises NoReplica."""
        try:
            return await self._store.read(recalled)
        except NoReplica:
            if not self._store.path.is_file():
                raise
            return await self._store.write(recalled)

    def _shape(self) -> Shape:
        return Shape(_SHAPE, dict(self._source.attributes), self._options.remote_data)

    async def _run(self, mode: Mode | Literal["auto"], *, accept_removals: bool, as_shown: str | None) -> SyncReport:
        memory = await self._store.write(recalled)
        if as_shown is not None and memory.edition_of_doubt != as_shown:
            raise OtherRemovals
        beginning = Beginning(
            memory=memory,
            shape=self._shape(),
            accepts_removals=accept_removals,
        )
        await self._settle_time(mode)
        chosen = self._choose(mode, beginning)
        if chosen == "full":
            await in_thread(self._store.check, pool="copy")
        try:
            return await self._once(beginning).run(chosen)
        except FilterRefused:
            if chosen == "full":
                raise
            return await self._once(beginning).run("full")  # the provider cannot tell who was changed

    def _once(self, beginning: Beginning) -> SyncRun:
        return SyncRun(self._source, self._store, self._options, self._report, beginning)

    async def _settle_time(self, mode: Mode | Literal["auto"]) -> None:
        """Find out what time it is at the provider: everything below goes by it. Raises Problem."""
        started = self._source.now()
        try:
            await self._source.settle_time()
        except Problem as problem:
            tried: Mode = "full" if mode == "full" else "incremental"
            ended = EndedRun(tried, timestamp(started), timestamp(self._source.now()), "failed", str(problem))
            with suppress(Problem):  # what went wrong first is what is shown
                await self._store.write(lambda connection: note_run(connection, ended))
            raise

    def _choose(self, mode: Mode | Literal["auto"], beginning: Beginning) -> Mode:
        memory, now = beginning.memory, self._source.now()
        if mode == "full" or memory.last_full is None or memory.last_sync is None or memory.shape != beginning.shape:
            return "full"
        if beginning.accepts_removals or (mode == "auto" and memory.held is not None):
            return "full"  # only that tells whether they are still gone
        last_full, last = map(datetime.fromisoformat, (memory.last_full, memory.last_sync))
        if now - last > longest_gap(self._source) or not self._is_sound(memory, last_full):
            return "full"
        overdue = now - last_full > self._options.full_after
        return "full" if mode == "auto" and overdue else "incremental"

    def _is_sound(self, memory: Memory, last_full: datetime) -> bool:
        """Say whether no clock was wrong when the last syncs noted up to where they had read."""
        now, ahead = self._source.now(), self._source.ahead()
        in_future = last_full > now + UPDATES_OVERLAP
        return not in_future and all(mark.is_sound(now, ahead) for mark in memory.watermarks.values())

    @asynccontextmanager
    async def _alone(self, suffix: str) -> AsyncIterator[None]:
        """Let one process at a time sync, or reread, by a lock that the operating system drops when its holder dies."""
        from filelock import FileLock  # noqa: PLC0415 - start-up: only needed once something is synced

        with as_problems():
            self._store.folder.make()
            self._store.folder.claim_files()
        lock: BaseFileLock = FileLock(self._store.path.with_suffix(suffix), mode=0o600, thread_local=False)
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


def _takes(lock: BaseFileLock) -> bool:
    """Take a lock, and say whether it was free."""
    from filelock import Timeout  # noqa: PLC0415 - as FileLock

    with as_problems():
        try:
            lock.acquire(blocking=False)
        except Timeout:  # an OSError too
            return False
        return True

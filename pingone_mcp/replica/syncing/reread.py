"""One reread under way: what events name is read again beside whatever sync goes on, and taken over at once.

It leaves up to where everything was read as it is, so that the next sync reads the same events again: a reread makes
the copy right sooner, and what it cannot settle is settled by the sync.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import anyio

from pingone_mcp.directory.models import Organization
from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import Problem
from pingone_mcp.replica.evidence import Held
from pingone_mcp.replica.findings import Findings
from pingone_mcp.replica.merging.memberships import Bounds
from pingone_mcp.replica.merging.merge import merge
from pingone_mcp.replica.source import Source, Wanted
from pingone_mcp.replica.store.noted import EnvironmentCoverage, Memory, recalled
from pingone_mcp.replica.store.rereads import Reread, note_reread
from pingone_mcp.replica.store.retention import change_ids
from pingone_mcp.replica.store.staging import Staging
from pingone_mcp.replica.store.store import Store, as_problems, transaction
from pingone_mcp.replica.store.upkeep import count_rows, number_by_time
from pingone_mcp.replica.syncing.rereading import read_wanted
from pingone_mcp.replica.syncing.task import EnvironmentSync, SyncOptions, Task, seen_before, sound_mark
from pingone_mcp.sqlite_files import remove_database
from pingone_mcp.tasks import in_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class RereadReport:
    """What a reread did: `changes` says how many were written down by kind, of what was taken over.

    `held` says that of an environment nothing was: too many would have lost memberships, which the next sync asks a
    person about. `notes` say what could not be read, and is left to that sync, too.
    """

    changes: dict[str, int] = field(default_factory=dict[str, int])
    held: bool = False
    notes: tuple[str, ...] = ()


class SyncedMeanwhile(Problem):
    """A sync was taken over while something was read again, so that it must be compared with another copy."""


class RereadRun:
    """One reread of one environment that the copy holds, after syncs that noted what is in `memory`; `run` it once."""

    def __init__(self, source: Source, store: Store, options: SyncOptions, memory: Memory) -> None:
        self._source = source
        self._store = store
        self._options = options
        self._memory = memory

    async def run(self, environment: str, wanted: Wanted) -> RereadReport:
        """Read what is wanted, and take it over. Raises Problem, and SyncedMeanwhile to have it read once more."""
        path = self._store.path.with_suffix(".reread")
        staging = Staging(path, self._source.clock)
        await in_thread(_remove, path, pool="copy")  # what a kill has left
        try:
            await staging.open(environment)
            at = timestamp(self._source.now())
            here = await self._read(environment, wanted, staging)
            things = [thing for some in [_things(here), await _staged(staging, environment)] for thing in some]
            await staging.keep()
            await staging.close()
            return await in_thread(self._take_over, here, path, things, at, pool="copy")
        finally:
            with anyio.CancelScope(shield=True):
                await staging.close()
                await in_thread(_remove, path, pool="copy")

    async def _read(self, environment: str, wanted: Wanted, staging: Staging) -> EnvironmentSync:
        mark = sound_mark(self._memory, environment, self._source)
        assert mark is not None
        known = self._memory.coverage.get(environment, EnvironmentCoverage())
        here = EnvironmentSync(
            task=Task(source=self._source, store=self._store, staging=staging, report=_silent, options=self._options),
            source=self._source.environment(environment, remote_data=self._options.remote_data, urgent=True),
            found=Findings(
                environment=Organization(id=environment, name=None),
                mode="incremental",
                seen_before=seen_before(mark),
                populations=None,
                wanted=wanted,
                is_reread=True,
            ),
            known=known,
            coverage=EnvironmentCoverage(),
        )
        await read_wanted(here, datetime.fromisoformat(mark.updated))
        return here

    def _take_over(self, here: EnvironmentSync, staged: Path, things: list[Reread], at: str) -> RereadReport:
        """Take over what was read, in one transaction, unless a sync was taken over since that began."""
        notes = tuple(here.notes)
        with self._store.writer() as connection:
            connection.execute("ATTACH DATABASE ? AS staged", (str(staged),))
            try:
                with transaction(connection):
                    if recalled(connection) != self._memory:
                        raise SyncedMeanwhile("The local copy was synced meanwhile.", "Read it again.")
                    kinds = self._merge(connection, here.found)
                    note_reread(connection, here.id, things, at=at, rows=count_rows(connection))
            except Held:
                return RereadReport(held=True, notes=notes)
        return RereadReport(changes=dict(kinds), notes=notes)

    def _merge(self, connection: sqlite3.Connection, found: Findings) -> Counter[str]:
        _, newest = change_ids(connection)
        kinds = merge(connection, found, Bounds(share=self._options.held_share), timestamp(self._source.now()))
        number_by_time(connection, newest)
        return kinds


def _things(here: EnvironmentSync) -> Iterator[Reread]:
    """Yield what was read again, beside what is staged."""
    found = here.found
    yield from (Reread("user", user=user) for user in found.gone)
    yield from (Reread("roles", user=user) for user in found.roles)
    yield from (Reread("group", group=group) for group in found.renewed)
    yield from (Reread("members", group=group) for group in found.reread - found.short_of_members)


async def _staged(staging: Staging, environment: str) -> list[Reread]:
    pairs = await staging.verified()
    return [
        *(Reread("user", user=user) for user in await staging.user_ids(environment)),
        *(Reread("membership", user=pair.user, group=pair.group) for pair in pairs),
    ]


def _remove(path: Path) -> None:
    with as_problems():
        remove_database(path)


def _silent(stage: str, done: int, about: int | None) -> None:
    """Show nobody the progress."""

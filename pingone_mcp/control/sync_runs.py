"""Runs of syncs: asked for, under way, and what came of them. Of one connection at most one waits and one goes on."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, get_args

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from pingone_mcp.clock import Clock
from pingone_mcp.control.database import Database
from pingone_mcp.control.tables import SYNC_RUNS

_TRIES = 3
RunEnd = Literal["completed", "failed", "held"]
RunStatus = Literal["created", "running", "completed", "failed", "held"]
RunEvent = Literal["created", "started", "completed", "failed", "held"]
RunCause = Literal["schedule", "request", "connected", "event", "full_sync"]
"""Why it was asked for; `full_sync`: so that everything is read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """A run as it is known. `counts` are those of a sync, by their names; `reason` says in a sentence why it failed."""

    id: str
    connection_id: str
    cause: RunCause
    status: RunStatus
    counts: Mapping[str, int]
    reason: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class RunNews(Protocol):
    """Hears what becomes of runs, inside the transaction in which it happens."""

    async def run(self, event: RunEvent, run: RunRecord) -> None: ...

    async def held(self, run: RunRecord) -> None:
        """Hear that a sync is held, and the last one that read everything was not."""


class SyncRuns:
    """The runs of one database, which say what becomes of them."""

    def __init__(self, database: Database, news: RunNews, clock: Clock) -> None:
        self._database, self._news, self._clock = database, news, clock

    async def request(self, connection_id: str, cause: RunCause) -> RunRecord:
        """Return a run that waits: the one that does already, or a new one. Raises LookupError for no connection.

        One that waits reads everything where that is asked for.
        """
        waits = (SYNC_RUNS.c.connection_id == connection_id) & (SYNC_RUNS.c.status == "created")
        for _ in range(_TRIES):
            if waiting := await self._select(waits):
                [run] = waiting
                if cause != "full_sync" or run.cause == cause:
                    return run
                if (changed := await self._change(run.id, "created", cause=cause)) is not None:
                    return changed
                continue  # it has begun meanwhile
            with suppress(IntegrityError):  # another one asked meanwhile
                return await self._add(connection_id, cause)
        raise LookupError("no such connection")

    async def start(self, run_id: str) -> RunRecord | None:
        """Let a run that waits begin; None where it does not wait, or another one of its connection goes on."""
        try:
            async with self._database.write():
                started = await self._change(run_id, "created", status="running", started_at=self._clock.now())
                if started is not None:
                    await self._news.run("started", started)
                return started
        except IntegrityError:
            return None

    async def end(
        self, run_id: str, status: RunEnd, *, counts: Mapping[str, int] | None = None, reason: str | None = None
    ) -> RunRecord | None:
        """Say what came of a run that went on; None where it did not."""
        ended = {"status": status, "counts": dict(counts or {}), "reason": reason, "ended_at": self._clock.now()}
        async with self._database.write():
            done = await self._change(run_id, "running", **ended)
            if done is None:
                return None
            await self._news.run(status, done)
            if status == "held" and not await self._was_held(done):
                await self._news.held(done)
        return done

    async def end_interrupted(self) -> int:
        """Give up what went on when a process ended without a word, as the next one starts; return how many."""
        reason = "The process ended before the sync did. What it had read is kept, and the next sync goes on."
        async with self._database.write():
            interrupted = await self._select(SYNC_RUNS.c.status == "running")
            for run in interrupted:
                await self.end(run.id, "failed", reason=reason)
        return len(interrupted)

    async def get(self, run_id: str) -> RunRecord | None:
        found = await self._select(SYNC_RUNS.c.id == run_id)
        return found[0] if found else None

    async def listed(
        self,
        *,
        connections: Collection[str] | None = None,
        status: RunStatus | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """Return runs, the newest first, of these connections (None: of all), and behind one of them."""
        conditions: list[ColumnElement[bool]] = []
        if connections is not None:
            conditions.append(SYNC_RUNS.c.connection_id.in_(connections))
        if status is not None:
            conditions.append(SYNC_RUNS.c.status == status)
        if after is not None:
            place = select(SYNC_RUNS.c.number).where(SYNC_RUNS.c.id == after)
            conditions.append(SYNC_RUNS.c.number < place.scalar_subquery())
        return await self._select(*conditions, limit=limit)

    async def latest_counts(self, connections: Collection[str]) -> dict[str, Mapping[str, int]]:
        """Return what each of these connections had at the end of its last sync that came to one, where it had one."""
        is_ended = SYNC_RUNS.c.status.in_(("completed", "held")) & SYNC_RUNS.c.connection_id.in_(connections)
        newest = select(func.max(SYNC_RUNS.c.number)).where(is_ended).group_by(SYNC_RUNS.c.connection_id)
        return {run.connection_id: run.counts for run in await self._select(SYNC_RUNS.c.number.in_(newest))}

    async def held(self, connections: Collection[str]) -> dict[str, RunRecord]:
        """Return the runs of these connections that are held: the last one of each that came to anything."""
        is_ended = SYNC_RUNS.c.status.in_(("completed", "held")) & SYNC_RUNS.c.connection_id.in_(connections)
        newest = select(func.max(SYNC_RUNS.c.number)).where(is_ended).group_by(SYNC_RUNS.c.connection_id)
        found = await self._select(SYNC_RUNS.c.number.in_(newest), SYNC_RUNS.c.status == "held")
        return {run.connection_id: run for run in found}

    async def forget_before(self, instant: datetime) -> int:
        """Remove what ended before; return how many."""
        ended = SYNC_RUNS.c.status.in_(get_args(RunEnd)) & (SYNC_RUNS.c.ended_at < instant)
        async with self._database.write() as connection:
            return (await connection.execute(delete(SYNC_RUNS).where(ended))).rowcount

    async def _was_held(self, run: RunRecord) -> bool:
        """Say whether the run before one of the same connection was held too: then nothing new is held."""
        place = select(SYNC_RUNS.c.number).where(SYNC_RUNS.c.id == run.id).scalar_subquery()
        earlier = (SYNC_RUNS.c.connection_id == run.connection_id) & (SYNC_RUNS.c.number < place)
        before = await self._select(earlier, SYNC_RUNS.c.status.in_(("completed", "held")), limit=1)
        return bool(before) and before[0].status == "held"

    async def _add(self, connection_id: str, cause: RunCause) -> RunRecord:
        values = {
            "id": str(uuid.uuid4()),
            "connection_id": connection_id,
            "cause": cause,
            "status": "created",
            "counts": {},
            "created_at": self._clock.now(),
        }
        async with self._database.write() as connection:
            row = await connection.execute(insert(SYNC_RUNS).values(values).returning(*_COLUMNS))
            added = _run(row.one())
            await self._news.run("created", added)
        return added

    async def _change(self, run_id: str, present: RunStatus, /, **changes: object) -> RunRecord | None:
        here = (SYNC_RUNS.c.id == run_id) & (SYNC_RUNS.c.status == present)
        async with self._database.write() as connection:
            row = await connection.execute(update(SYNC_RUNS).where(here).values(changes).returning(*_COLUMNS))
            found = row.one_or_none()
        return None if found is None else _run(found)

    async def _select(self, *conditions: ColumnElement[bool], limit: int | None = None) -> list[RunRecord]:
        query = select(*_COLUMNS).where(*conditions).order_by(SYNC_RUNS.c.number.desc()).limit(limit)
        async with self._database.read() as connection:
            return [_run(row) for row in await connection.execute(query)]


_COLUMNS = [column for column in SYNC_RUNS.c if column.name != "number"]


def _run(row: Row[*tuple[Any, ...]]) -> RunRecord:
    return RunRecord(**row._mapping)  # noqa: SLF001 - the public name of it

"""Schedules: what is done for connections by the hour, when next, what came of it, and what a check had found.

A schedule is due until what was done is written down. That is done only while it is as it was when the work began: of
two who do the same work, or where a person has changed it meanwhile, nobody writes over the other.
"""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update

from pingone_mcp.clock import Clock
from pingone_mcp.control.database import Database
from pingone_mcp.control.sealing import Seals, of_connection
from pingone_mcp.control.tables import CONNECTIONS, SCHEDULES
from pingone_mcp.errors import Refused
from pingone_mcp.tasks import in_thread

ScheduleOutcome = Literal[
    "asked", "pulled", "baseline", "new", "nothing_new", "unsure", "compared_nobody", "not_comparable", "failed"
]
"""What may have come of the last run.

asked: a full sync was asked for. pulled: a roster was read. Of checks: baseline (the first one), new, nothing_new,
unsure (nothing new among what can be compared, but not all can), compared_nobody, not_comparable (with the one before).
"""
OUTCOMES: tuple[ScheduleOutcome, ...] = get_args(ScheduleOutcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRecord:
    """A schedule, without what its last check found.

    `cron` and `zone` say when it is due, `next_at` the next time; `arguments` are those of its `kind`. `ran_at` is when
    it was done last (None: never), `summary` says in sentences what came of it.
    """

    id: str
    connection_id: str
    kind: str
    cron: str
    zone: str
    arguments: Mapping[str, JsonValue]
    is_active: bool
    next_at: datetime
    ran_at: datetime | None
    outcome: ScheduleOutcome | None
    summary: str | None
    created_at: datetime


class ScheduleRecords:
    """The schedules of one database. What checks found is sealed by the key of their connection."""

    def __init__(self, database: Database, seals: Seals, clock: Clock) -> None:
        self._database, self._seals, self._clock = database, seals, clock

    async def add(
        self,
        connection_id: str,
        *,
        kind: str,
        cron: str,
        zone: str,
        arguments: Mapping[str, JsonValue],
        next_at: datetime,
        is_active: bool = True,
        most: int = 100,
    ) -> ScheduleRecord:
        """Add a schedule. Raises LookupError for no connection, and Refused for one that has `most` already."""
        added = ScheduleRecord(
            id=str(uuid.uuid4()),
            connection_id=connection_id,
            kind=kind,
            cron=cron,
            zone=zone,
            arguments=arguments,
            is_active=is_active,
            next_at=next_at,
            ran_at=None,
            outcome=None,
            summary=None,
            created_at=self._clock.now(),
        )
        async with self._database.write() as connection:
            here = select(CONNECTIONS.c.id).where(CONNECTIONS.c.id == connection_id).with_for_update()
            if await connection.scalar(here) is None:
                raise LookupError("no such connection")
            own = select(func.count()).where(SCHEDULES.c.connection_id == connection_id)
            if (await connection.scalar(own) or 0) >= most:
                raise Refused(
                    f"A connection has {most} schedules at most.",
                    "Remove one, or change one.",
                    code="TOO_MANY_SCHEDULES",
                )
            await connection.execute(insert(SCHEDULES).values({one.name: getattr(added, one.name) for one in _COLUMNS}))
        return added

    async def get(self, schedule_id: str) -> ScheduleRecord | None:
        found = await self._select(SCHEDULES.c.id == schedule_id)
        return found[0] if found else None

    async def listed(self, *, connections: Collection[str] | None = None) -> list[ScheduleRecord]:
        """Return the schedules of these connections (None: of all), the oldest first."""
        return await self._select(*([] if connections is None else [SCHEDULES.c.connection_id.in_(connections)]))

    async def due(self, now: datetime) -> list[ScheduleRecord]:
        """Return what is to be done by now, the longest due first; nothing of connections that are paused."""
        unpaused = SCHEDULES.c.connection_id.in_(select(CONNECTIONS.c.id).where(~CONNECTIONS.c.is_paused))
        found = await self._select(SCHEDULES.c.is_active, SCHEDULES.c.next_at <= now, unpaused)
        return sorted(found, key=lambda one: one.next_at)

    async def update(
        self,
        schedule_id: str,
        *,
        next_at: datetime | None = None,
        cron: str | None = None,
        zone: str | None = None,
        arguments: Mapping[str, JsonValue] | None = None,
        is_active: bool | None = None,
    ) -> ScheduleRecord | None:
        """Change what is given; other arguments forget what was found by those before. None where there is none."""
        given = {"next_at": next_at, "cron": cron, "zone": zone, "arguments": arguments, "is_active": is_active}
        changes: dict[str, object] = {name: value for name, value in given.items() if value is not None}
        if arguments is not None:
            changes["found"] = None
        if not changes:
            return await self.get(schedule_id)
        change = update(SCHEDULES).where(SCHEDULES.c.id == schedule_id).values(changes)
        async with self._database.write() as connection:
            row = (await connection.execute(change.returning(*_COLUMNS))).one_or_none()
        return None if row is None else _schedule(row)

    async def remove(self, schedule_id: str) -> bool:
        """Remove a schedule and what its checks found; say whether there was one."""
        async with self._database.write() as connection:
            removed = await connection.execute(delete(SCHEDULES).where(SCHEDULES.c.id == schedule_id))
            if removed.rowcount:
                self._database.scrub()
        return removed.rowcount > 0

    async def found(self, schedule: ScheduleRecord) -> bytes | None:
        """Return what the last check found; None before the first one. Raises BrokenSeal."""
        query = select(SCHEDULES.c.found).where(SCHEDULES.c.id == schedule.id)
        async with self._database.read() as connection:
            sealed = await connection.scalar(query)
            if sealed is None:
                return None
            key = await self._seals.key_of(of_connection(schedule.connection_id))
        return await in_thread(lambda: zlib.decompress(key.open(_field(schedule.id), sealed)), pool="copy")

    async def settle(
        self,
        schedule: ScheduleRecord,
        *,
        outcome: ScheduleOutcome,
        summary: str,
        next_at: datetime,
        found: bytes | None = None,
    ) -> bool:
        """Write down what came of a run of a schedule, which is due again then; say whether it is as it was before.

        Where it is not, because somebody changed, removed or ran it meanwhile, nothing is written. `found` None leaves
        what was found before.
        """
        values: dict[str, object] = {
            "outcome": outcome,
            "summary": summary,
            "next_at": next_at,
            "ran_at": self._clock.now(),
        }
        packed = None if found is None else await in_thread(zlib.compress, found, pool="copy")
        async with self._database.write() as connection:
            row = (await connection.execute(_locked(schedule.id))).one_or_none()
            if row is None or _schedule(row) != schedule:
                return False
            if packed is not None:
                key = await self._seals.key_of(of_connection(schedule.connection_id))
                values["found"] = key.seal(_field(schedule.id), packed)
            await connection.execute(update(SCHEDULES).where(SCHEDULES.c.id == schedule.id).values(values))
        return True

    async def outcomes(self) -> dict[str, int]:
        """Count the active schedules by what came of their last run; `none`: of no run yet."""
        what = func.coalesce(SCHEDULES.c.outcome, "none")
        query = select(what, func.count()).where(SCHEDULES.c.is_active).group_by(what)
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(query)}

    async def _select(self, *conditions: ColumnElement[bool]) -> list[ScheduleRecord]:
        query = select(*_COLUMNS).where(*conditions).order_by(SCHEDULES.c.created_at, SCHEDULES.c.id)
        async with self._database.read() as connection:
            return [_schedule(row) for row in await connection.execute(query)]


_COLUMNS = [column for column in SCHEDULES.c if column.name != "found"]


def _locked(schedule_id: str) -> Any:
    """Return the question for a schedule whose row nobody else changes until the transaction ends."""
    return select(*_COLUMNS).where(SCHEDULES.c.id == schedule_id).with_for_update()


def _schedule(row: Row[*tuple[Any, ...]]) -> ScheduleRecord:
    return ScheduleRecord(**row._mapping)  # noqa: SLF001 - the public name of it


def _field(schedule_id: str) -> str:
    return f"found by schedule: {schedule_id}"

"""Events that a provider sent, kept until their work is done, and afterwards so long that none is taken twice."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import delete, func, insert, select, update

from pingone_mcp.clock import Clock
from pingone_mcp.control.database import Database
from pingone_mcp.control.sealing import Seals, of_connection
from pingone_mcp.control.tables import CONNECTIONS, INBOX

_KEPT = timedelta(days=14)
"""How long an event is known after it came; PingOne sends one again for less long."""
UNREADABLE = "unreadable:"
"""What begins the id of a thing that came and has none of its own."""
_AT_ONCE = 500  # ids in one statement


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingEvent:
    """An event as it came. `body` is what was sent for it; `is_readable` is False where that could not be parsed."""

    event_id: str
    body: bytes = field(repr=False)
    is_readable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    """An event in the inbox, by its number there."""

    number: int
    event: IncomingEvent
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxState:
    """What is in the inbox for a connection, or for all.

    `waiting` counts the events whose work is not done, and `waiting_since` says when the oldest of them came. Of what
    came in the last fourteen days, `unreadable` counts what could not be parsed, and `set_aside` the events whose work
    failed again and again; the newest of each came at `unreadable_at` and `set_aside_at`.
    """

    waiting: int = 0
    waiting_since: datetime | None = None
    unreadable: int = 0
    set_aside: int = 0
    unreadable_at: datetime | None = None
    set_aside_at: datetime | None = None


class Inbox:
    """The inbox of one database. Bodies are sealed by their connection's key: they are about people.

    `kept` is for how long events are.
    """

    kept = _KEPT

    def __init__(self, database: Database, seals: Seals, clock: Clock) -> None:
        self._database, self._seals, self._clock = database, seals, clock

    async def add(self, connection_id: str, events: Iterable[IncomingEvent]) -> int:
        """Keep those events that are new, in their order, all of them or none; return how many those are.

        Raises LookupError for a connection that there is not, ControlUnavailable where nothing can be written.
        """
        by_id = {event.event_id: event for event in events}
        async with self._database.write() as connection:
            key = await self._seals.key_of(of_connection(connection_id))
            # The same events may come twice at once: the second waits here.
            here = select(CONNECTIONS.c.id).where(CONNECTIONS.c.id == connection_id).with_for_update()
            if await connection.scalar(here) is None:  # removed just now
                raise LookupError("no such connection")
            known = await self._known(connection_id, list(by_id))
            rows = [
                {
                    "connection_id": connection_id,
                    "event_id": event.event_id,
                    "is_readable": event.is_readable,
                    "body": key.seal(_field(event.event_id), event.body),
                    "received_at": self._clock.now(),
                }
                for event in by_id.values()
                if event.event_id not in known
            ]
            if rows:
                await connection.execute(insert(INBOX), rows)
        return len(rows)

    async def pending(self, connection_id: str, limit: int = 500) -> list[ReceivedEvent]:
        """Return readable events whose work is not done, the oldest first."""
        here = (INBOX.c.connection_id == connection_id) & INBOX.c.done_at.is_(None) & INBOX.c.is_readable
        async with self._database.read() as connection:
            rows = (await connection.execute(select(INBOX).where(here).order_by(INBOX.c.number).limit(limit))).all()
            if not rows:
                return []
            key = await self._seals.key_of(of_connection(connection_id))
        return [
            ReceivedEvent(
                number=row.number,
                event=IncomingEvent(event_id=row.event_id, body=key.open(_field(row.event_id), row.body)),
                received_at=row.received_at,
            )
            for row in rows
        ]

    async def done(self, numbers: Collection[int]) -> None:
        """Note that the work of these events is done."""
        given = sorted(numbers)
        async with self._database.write() as connection:
            for start in range(0, len(given), _AT_ONCE):
                these = INBOX.c.number.in_(given[start : start + _AT_ONCE])
                await connection.execute(update(INBOX).where(these).values(done_at=self._clock.now()))

    async def depth(self) -> dict[str, int]:
        """Count the events whose work is not done, by connection."""
        query = select(INBOX.c.connection_id, func.count()).where(INBOX.c.done_at.is_(None), INBOX.c.is_readable)
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(query.group_by(INBOX.c.connection_id))}

    async def set_aside(self, numbers: Collection[int]) -> None:
        """Note that nothing is tried any more for these events: they are kept for fourteen days, and not pending."""
        given = sorted(numbers)
        async with self._database.write() as connection:
            for start in range(0, len(given), _AT_ONCE):
                these = INBOX.c.number.in_(given[start : start + _AT_ONCE])
                await connection.execute(update(INBOX).where(these).values(is_readable=False))

    async def state(self, connection_id: str) -> InboxState:
        """Return what is in the inbox for a connection; nothing for one that there is not."""
        return (await self.states(connection_id)).get(connection_id, InboxState())

    async def states(self, *connection_ids: str) -> dict[str, InboxState]:
        """Return what is in the inbox for these connections, or for all, where anything waits or is kept aside."""
        aside = ~INBOX.c.is_readable & (INBOX.c.received_at > self._clock.now() - self.kept)
        has_no_id = INBOX.c.event_id.startswith(UNREADABLE, autoescape=True)
        query = select(
            INBOX.c.connection_id,
            func.count().filter(INBOX.c.is_readable),
            func.min(INBOX.c.received_at).filter(INBOX.c.is_readable),
            func.count().filter(aside & has_no_id),
            func.count().filter(aside & ~has_no_id),
            func.max(INBOX.c.received_at).filter(aside & has_no_id),
            func.max(INBOX.c.received_at).filter(aside & ~has_no_id),
        )
        query = query.where(INBOX.c.done_at.is_(None)).group_by(INBOX.c.connection_id)
        if connection_ids:
            query = query.where(INBOX.c.connection_id.in_(connection_ids))
        async with self._database.read() as connection:
            return {
                row[0]: InboxState(
                    waiting=row[1],
                    waiting_since=row[2],
                    unreadable=row[3],
                    set_aside=row[4],
                    unreadable_at=row[5],
                    set_aside_at=row[6],
                )
                for row in await connection.execute(query)
            }

    async def last_received_at(self, connection_id: str) -> datetime | None:
        """Return when the newest event came."""
        query = select(INBOX.c.received_at).where(INBOX.c.connection_id == connection_id)
        async with self._database.read() as connection:
            return await connection.scalar(query.order_by(INBOX.c.number.desc()).limit(1))

    async def latest(self) -> dict[str, datetime]:
        """Return when the newest event of each connection came."""
        query = select(INBOX.c.connection_id, func.max(INBOX.c.received_at)).group_by(INBOX.c.connection_id)
        async with self._database.read() as connection:
            return {row[0]: row[1] for row in await connection.execute(query)}

    async def sweep(self) -> int:
        """Remove what came fourteen days ago and is done, or never could be; return how many."""
        old = INBOX.c.received_at <= self._clock.now() - self.kept
        async with self._database.write() as connection:
            removed = await connection.execute(
                delete(INBOX).where(old, INBOX.c.done_at.is_not(None) | ~INBOX.c.is_readable)
            )
        return removed.rowcount

    async def _known(self, connection_id: str, ids: list[str]) -> set[str]:
        known: set[str] = set()
        async with self._database.read() as connection:
            for start in range(0, len(ids), _AT_ONCE):
                these = INBOX.c.event_id.in_(ids[start : start + _AT_ONCE])
                query = select(INBOX.c.event_id).where(INBOX.c.connection_id == connection_id, these)
                known.update(await connection.scalars(query))
        return known


def _field(event_id: str) -> str:
    return f"event in: {event_id}"

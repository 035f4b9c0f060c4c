"""Events to be sent, written in the transaction of what they are about, and sent in order for each connection.

An event waits until it was delivered, or its webhook was given up. Behind one that waits, no other of its webhook and
connection is sent. Those that were delivered or given up are kept for a while, to be sent again when a person says so.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Row, delete, func, insert, or_, select, update

from pingone_mcp.clock import Clock
from pingone_mcp.control.database import Database
from pingone_mcp.control.sealing import Seals, of_webhook
from pingone_mcp.control.tables import OUTBOX, WEBHOOKS
from pingone_mcp.control.webhooks import Webhooks, anew

EventState = Literal["waiting", "delivered", "failed"]
"""What may have become of an event; `failed`: its webhook was given up before it arrived."""
_NAMES = uuid.UUID("6d1f3f0e-8c0b-5d0c-9d5e-7f6f0b1d2c3a")
_AT_ONCE = 500  # ids in one statement


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event that is to be written for whoever wants it.

    `name` tells it from all others: what is written again under a name is the same event. Without one it is another
    event each time. `at` is when it happened (None: now).
    """

    event: str
    payload: Mapping[str, JsonValue] = field(repr=False)
    name: str | None = None
    at: datetime | None = None

    def id_for(self, webhook_id: str) -> str:
        """Return the id that it has for a webhook (RFC 9562 §5.5)."""
        return str(uuid.uuid4() if self.name is None else uuid.uuid5(_NAMES, f"{self.name}|{webhook_id}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingEvent:
    """An event for one webhook. `attempts` failed, since `failing_since`; `created_at` is when it happened."""

    id: str
    webhook_id: str
    connection_id: str
    event: str
    payload: Mapping[str, JsonValue] = field(repr=False)
    created_at: datetime
    attempts: int
    failing_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextEvent:
    """The event of a webhook and a connection whose turn it is, once `next_try_at` has come."""

    id: str
    webhook_id: str
    connection_id: str
    target_url: str
    next_try_at: datetime

    @property
    def line(self) -> tuple[str, str]:
        """What stands in line behind it: the events of this webhook and connection."""
        return self.webhook_id, self.connection_id


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """What is known of an event, without its payload. `last_error` says in a sentence why it did not arrive."""

    id: str
    webhook_id: str
    connection_id: str
    event: str
    state: EventState
    created_at: datetime
    attempts: int
    last_error: str | None
    next_try_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingSince:
    """Since when the events of a webhook do not arrive, and in a sentence why the one that waits longest did not."""

    since: datetime
    error: str | None


class Outbox:
    """The outbox of one database. Payloads are sealed by their webhook's key: they are about people."""

    def __init__(self, database: Database, seals: Seals, webhooks: Webhooks, clock: Clock) -> None:
        self._database, self._seals, self._webhooks, self._clock = database, seals, webhooks, clock
        self._listeners: list[Callable[[], None]] = []

    @contextmanager
    def on_events(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call a listener, for as long as the block lasts, whenever this process has written events."""
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    async def add(self, event: str, payload: Mapping[str, JsonValue], *, connection_id: str, tenant: str | None) -> int:
        """Write an event for every active webhook that wants it; return how many those are."""
        return await self.add_all([NewEvent(event=event, payload=payload)], connection_id=connection_id, tenant=tenant)

    async def add_all(self, events: Sequence[NewEvent], *, connection_id: str, tenant: str | None) -> int:
        """Write events in their order for every active webhook that wants them; return how many were written.

        One that has been written under its name before is not written again.
        """
        written = 0
        async with self._database.write():
            for webhook in await self._webhooks.active(tenant):
                wanted = {event.id_for(webhook.id): event for event in events if webhook.wants(event.event)}
                written += await self._write(webhook.id, wanted, connection_id)
        return written

    async def add_for(
        self, webhook_id: str, event: str, payload: Mapping[str, JsonValue], *, connection_id: str
    ) -> str:
        """Write an event for one webhook, whatever it wants; return the event's id. Raises LookupError."""
        new = NewEvent(event=event, payload=payload)
        event_id = new.id_for(webhook_id)
        await self._write(webhook_id, {event_id: new}, connection_id)
        return event_id

    async def heads(self) -> list[NextEvent]:
        """Return the first event that waits of each active webhook and connection, the oldest first."""
        first = select(func.min(OUTBOX.c.number)).where(*_WAITS).group_by(OUTBOX.c.webhook_id, OUTBOX.c.connection_id)
        return await self._next(OUTBOX.c.number.in_(first))

    async def head(self, line: tuple[str, str]) -> NextEvent | None:
        """Return the first event that waits of one webhook and connection."""
        here = (OUTBOX.c.webhook_id == line[0]) & (OUTBOX.c.connection_id == line[1])
        found = await self._next(here, *_WAITS, limit=1)
        return found[0] if found else None

    async def read(self, event_id: str) -> OutgoingEvent | None:
        """Return an event with its payload."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(OUTBOX).where(OUTBOX.c.id == event_id))).one_or_none()
            if row is None:
                return None
            key = await self._seals.key_of(of_webhook(row.webhook_id))
        return OutgoingEvent(
            id=row.id,
            webhook_id=row.webhook_id,
            connection_id=row.connection_id,
            event=row.event,
            payload=json.loads(key.open(_field(row.id), row.payload)),
            created_at=row.created_at,
            attempts=row.attempts,
            failing_since=row.failing_since,
        )

    async def delivered(self, event_id: str) -> None:
        """Note that an event arrived: the next one has its turn."""
        async with self._database.write() as connection:
            change = update(OUTBOX).where(OUTBOX.c.id == event_id)
            done = {"delivered_at": self._clock.now(), "given_up_at": None, "last_error": None}
            await connection.execute(change.values(done))

    async def failed(self, event_id: str, error: str, next_try_at: datetime) -> None:
        """Note that an event did not arrive, why (one sentence without anything secret), and when to try again."""
        async with self._database.write() as connection:
            change = update(OUTBOX).where(OUTBOX.c.id == event_id)
            tried = {
                "attempts": OUTBOX.c.attempts + 1,
                "failing_since": func.coalesce(OUTBOX.c.failing_since, self._clock.now()),
                "last_error": error,
                "next_try_at": next_try_at,
            }
            await connection.execute(change.values(tried))

    async def give_up(self, webhook_id: str, reason: str) -> int:
        """Switch a webhook off, and send nothing of what waits for it; return how many events that were."""
        async with self._database.write() as connection:
            await self._webhooks.update(webhook_id, is_active=False, reason=reason)
            waits = (OUTBOX.c.webhook_id == webhook_id) & _STATES["waiting"]
            given_up = update(OUTBOX).where(waits).values(given_up_at=self._clock.now())
            return (await connection.execute(given_up)).rowcount

    async def listed(
        self, *, state: EventState | None = None, webhook_id: str | None = None, limit: int = 100
    ) -> list[EventRecord]:
        """Return events, the newest first."""
        conditions = [*([] if state is None else [_STATES[state]]), *_of(webhook_id)]
        query = select(*_RECORDED).where(*conditions).order_by(OUTBOX.c.number.desc()).limit(limit)
        async with self._database.read() as connection:
            return [_record(row) for row in await connection.execute(query)]

    async def get(self, event_id: str) -> EventRecord | None:
        """Return what is known of one event."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(*_RECORDED).where(OUTBOX.c.id == event_id))).one_or_none()
        return None if row is None else _record(row)

    async def resend(self, event_id: str) -> bool:
        """Let an event wait again, under its id, whatever became of it; say whether there is one."""
        return await self._wait_again(OUTBOX.c.id == event_id) > 0

    async def resend_since(self, since: datetime, *, webhook_id: str | None = None) -> int:
        """Let all events of active webhooks wait again that happened since a time; return how many those are."""
        return await self._wait_again(OUTBOX.c.created_at >= since, _OF_ACTIVE, *_of(webhook_id))

    async def resend_failed(self, *, webhook_id: str | None = None) -> int:
        """Let all events of active webhooks wait again that were given up; return how many those are."""
        return await self._wait_again(_STATES["failed"], _OF_ACTIVE, *_of(webhook_id))

    async def counts(self, webhook_id: str) -> dict[EventState, int]:
        """Count the events of a webhook by what became of them, as far as they are kept."""
        columns = [func.count().filter(condition).label(state) for state, condition in _STATES.items()]
        query = select(*columns).select_from(OUTBOX).where(OUTBOX.c.webhook_id == webhook_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one()
        return dict(zip(_STATES, row, strict=True))

    async def failing(self, webhook_ids: Collection[str]) -> dict[str, FailingSince]:
        """Return which of these webhooks have events that wait because tries failed, with the one that has longest."""
        here = OUTBOX.c.webhook_id.in_(webhook_ids) & OUTBOX.c.failing_since.is_not(None) & _STATES["waiting"]
        query = select(OUTBOX.c.webhook_id, OUTBOX.c.failing_since, OUTBOX.c.last_error).where(here)
        found: dict[str, FailingSince] = {}
        async with self._database.read() as connection:
            for webhook_id, since, error in await connection.execute(query.order_by(OUTBOX.c.failing_since)):
                found.setdefault(webhook_id, FailingSince(since=since, error=error))
        return found

    async def depth(self) -> int:
        """Count the events that wait."""
        query = select(func.count()).select_from(OUTBOX).where(*_WAITS)
        async with self._database.read() as connection:
            return await connection.scalar(query) or 0

    async def sweep(self, before: datetime) -> int:
        """Remove what was delivered or given up before; return how many."""
        old = or_(OUTBOX.c.delivered_at < before, OUTBOX.c.given_up_at < before)
        async with self._database.write() as connection:
            return (await connection.execute(delete(OUTBOX).where(old))).rowcount

    async def _write(self, webhook_id: str, events: Mapping[str, NewEvent], connection_id: str) -> int:
        now = self._clock.now()
        async with self._database.write() as connection:
            key = await self._seals.key_of(of_webhook(webhook_id))
            known = await self._known([one for one, event in events.items() if event.name is not None])
            rows = [
                {
                    "id": event_id,
                    "webhook_id": webhook_id,
                    "connection_id": connection_id,
                    "event": event.event,
                    "payload": key.seal(_field(event_id), json.dumps(event.payload).encode()),
                    "created_at": event.at or now,
                    "attempts": 0,
                    "next_try_at": now,
                }
                for event_id, event in events.items()
                if event_id not in known
            ]
            if rows:
                await connection.execute(insert(OUTBOX), rows)
                self._database.once_kept(self._heard)
        return len(rows)

    async def _known(self, ids: list[str]) -> set[str]:
        known: set[str] = set()
        async with self._database.read() as connection:
            for start in range(0, len(ids), _AT_ONCE):
                these = OUTBOX.c.id.in_(ids[start : start + _AT_ONCE])
                known.update(await connection.scalars(select(OUTBOX.c.id).where(these)))
        return known

    async def _wait_again(self, *conditions: ColumnElement[bool]) -> int:
        async with self._database.write() as connection:
            changed = await connection.execute(update(OUTBOX).where(*conditions).values(anew(self._clock.now())))
            self._database.once_kept(self._heard)
        return changed.rowcount

    async def _next(self, *conditions: ColumnElement[bool], limit: int | None = None) -> list[NextEvent]:
        columns = (OUTBOX.c.id, OUTBOX.c.webhook_id, OUTBOX.c.connection_id, WEBHOOKS.c.target_url)
        query = select(*columns, OUTBOX.c.next_try_at).join(WEBHOOKS, WEBHOOKS.c.id == OUTBOX.c.webhook_id)
        query = query.where(*conditions).order_by(OUTBOX.c.number).limit(limit)
        async with self._database.read() as connection:
            return [NextEvent(**row._mapping) for row in await connection.execute(query)]  # noqa: SLF001 - its public name

    def _heard(self) -> None:
        for listener in self._listeners:
            listener()


_OF_ACTIVE = OUTBOX.c.webhook_id.in_(select(WEBHOOKS.c.id).where(WEBHOOKS.c.is_active))
_STATES: dict[EventState, ColumnElement[bool]] = {
    "waiting": OUTBOX.c.delivered_at.is_(None) & OUTBOX.c.given_up_at.is_(None),
    "delivered": OUTBOX.c.delivered_at.is_not(None),
    "failed": OUTBOX.c.delivered_at.is_(None) & OUTBOX.c.given_up_at.is_not(None),
}
# What was written for a webhook before it was switched off waits until it is switched on again.
_WAITS = (_STATES["waiting"], _OF_ACTIVE)
_RECORDED = [column for column in OUTBOX.c if column.name not in ("number", "payload", "failing_since")]


def _of(webhook_id: str | None) -> list[ColumnElement[bool]]:
    """Return the condition of an event of one webhook; none for all."""
    return [] if webhook_id is None else [OUTBOX.c.webhook_id == webhook_id]


def _record(row: Row[*tuple[Any, ...]]) -> EventRecord:
    columns = dict(row._mapping)  # noqa: SLF001 - the public name of it
    given_up = columns.pop("given_up_at")
    state: EventState = "delivered" if row.delivered_at else "failed" if given_up else "waiting"
    if state != "waiting":
        columns["next_try_at"] = None
    return EventRecord(**columns, state=state)


def _field(event_id: str) -> str:
    return f"event out: {event_id}"

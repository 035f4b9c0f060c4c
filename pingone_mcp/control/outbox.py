"""Events to be sent, written in the transaction of what they are about, and sent in order for each connection.

An event waits until it was delivered. Behind one that waits, no other of its webhook and connection is sent.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import JsonValue
from sqlalchemy import delete, func, insert, select, update

from pingone_mcp.clock import Clock
from pingone_mcp.control.database import Database
from pingone_mcp.control.sealing import Seals, of_webhook
from pingone_mcp.control.tables import OUTBOX, WEBHOOKS
from pingone_mcp.control.webhooks import Webhooks


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingEvent:
    """An event for one webhook. `attempts` are those that failed; `created_at` is when it happened."""

    id: str
    webhook_id: str
    connection_id: str
    event: str
    payload: Mapping[str, JsonValue] = field(repr=False)
    created_at: datetime
    attempts: int


class Outbox:
    """The outbox of one database. Payloads are sealed by their webhook's key: they are about people."""

    def __init__(self, database: Database, seals: Seals, webhooks: Webhooks, clock: Clock) -> None:
        self._database, self._seals, self._webhooks, self._clock = database, seals, webhooks, clock

    async def add(self, event: str, payload: Mapping[str, JsonValue], *, connection_id: str, tenant: str | None) -> int:
        """Write an event for every active webhook that wants it; return how many those are."""
        async with self._database.write():
            wanting = await self._webhooks.wanting(event, tenant)
            for webhook in wanting:
                await self.add_for(webhook.id, event, payload, connection_id=connection_id)
        return len(wanting)

    async def add_for(
        self, webhook_id: str, event: str, payload: Mapping[str, JsonValue], *, connection_id: str
    ) -> str:
        """Write an event for one webhook, whatever it wants; return the event's id. Raises LookupError."""
        now = self._clock.now()
        event_id = str(uuid.uuid4())
        async with self._database.write() as connection:
            key = await self._seals.key_of(of_webhook(webhook_id))
            values = {
                "id": event_id,
                "webhook_id": webhook_id,
                "connection_id": connection_id,
                "event": event,
                "payload": key.seal(_field(event_id), json.dumps(payload).encode()),
                "created_at": now,
                "attempts": 0,
                "next_try_at": now,
            }
            await connection.execute(insert(OUTBOX).values(values))
        return event_id

    async def due(self, limit: int = 100) -> list[OutgoingEvent]:
        """Return the events whose turn it is: of each webhook and connection the first, where its next try has come."""
        first = select(func.min(OUTBOX.c.number)).where(*_WAITS)
        first = first.group_by(OUTBOX.c.webhook_id, OUTBOX.c.connection_id)
        due = select(OUTBOX).where(OUTBOX.c.number.in_(first), OUTBOX.c.next_try_at <= self._clock.now())
        async with self._database.read() as connection:
            rows = (await connection.execute(due.order_by(OUTBOX.c.number).limit(limit))).all()
            keys = {
                webhook: await self._seals.key_of(of_webhook(webhook)) for webhook in {row.webhook_id for row in rows}
            }
        return [
            OutgoingEvent(
                id=row.id,
                webhook_id=row.webhook_id,
                connection_id=row.connection_id,
                event=row.event,
                payload=json.loads(keys[row.webhook_id].open(_field(row.id), row.payload)),
                created_at=row.created_at,
                attempts=row.attempts,
            )
            for row in rows
        ]

    async def next_try_at(self) -> datetime | None:
        """Return when the next event may be due; None while none waits."""
        async with self._database.read() as connection:
            at: datetime | None = await connection.scalar(select(func.min(OUTBOX.c.next_try_at)).where(*_WAITS))
        return at

    async def delivered(self, event_id: str) -> None:
        """Note that an event arrived: the next one has its turn."""
        async with self._database.write() as connection:
            change = update(OUTBOX).where(OUTBOX.c.id == event_id)
            await connection.execute(change.values(delivered_at=self._clock.now(), last_error=None))

    async def failed(self, event_id: str, error: str, next_try_at: datetime) -> None:
        """Note that an event did not arrive, why (one sentence without anything secret), and when to try again."""
        async with self._database.write() as connection:
            change = update(OUTBOX).where(OUTBOX.c.id == event_id)
            tried = {"attempts": OUTBOX.c.attempts + 1, "last_error": error, "next_try_at": next_try_at}
            await connection.execute(change.values(tried))

    async def give_up(self, webhook_id: str, reason: str) -> int:
        """Switch a webhook off and drop what waits for it; return how many events that were."""
        waits = (OUTBOX.c.webhook_id == webhook_id) & OUTBOX.c.delivered_at.is_(None)
        async with self._database.write() as connection:
            await self._webhooks.update(webhook_id, is_active=False, reason=reason)
            return (await connection.execute(delete(OUTBOX).where(waits))).rowcount

    async def depth(self) -> int:
        """Count the events that wait."""
        query = select(func.count()).select_from(OUTBOX).where(*_WAITS)
        async with self._database.read() as connection:
            return await connection.scalar(query) or 0

    async def sweep(self, before: datetime) -> int:
        """Remove what was delivered before; return how many."""
        async with self._database.write() as connection:
            return (await connection.execute(delete(OUTBOX).where(OUTBOX.c.delivered_at < before))).rowcount


# What was written for a webhook before it was switched off waits until it is switched on again.
_WAITS = (OUTBOX.c.delivered_at.is_(None), OUTBOX.c.webhook_id.in_(select(WEBHOOKS.c.id).where(WEBHOOKS.c.is_active)))


def _field(event_id: str) -> str:
    return f"event out: {event_id}"

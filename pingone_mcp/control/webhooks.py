"""Where events are sent: addresses of programs, the kinds of events each wants, and the secret that signs them."""

from __future__ import annotations

import base64
import secrets
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import ColumnElement, Row, delete, insert, select, update

from pingone_mcp.clock import Clock
from pingone_mcp.control.database import Database
from pingone_mcp.control.sealing import Seals, of_webhook
from pingone_mcp.control.tables import OUTBOX, WEBHOOKS

_SECRET = "signing_secret"  # noqa: S105 - the name of a field
PREFIX = "whsec_"
"""What a secret begins with; the bytes behind it, out of their base64, sign as Standard Webhooks says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A target of events, without its secret.

    `tenant` bounds it to the events of one customer's connections (None: of all). `event_types` are whole names
    (`record:created`) or `record:*`; empty stands for all. `reason` says why it was switched off.
    """

    id: str
    tenant: str | None
    target_url: str
    event_types: tuple[str, ...]
    is_active: bool
    reason: str | None
    created_at: datetime
    updated_at: datetime

    def wants(self, event: str) -> bool:
        kind = event.partition(":")[0]
        return not self.event_types or event in self.event_types or f"{kind}:*" in self.event_types


class Webhooks:
    """The webhooks of one database. Methods that name one return None, or raise LookupError, where there is none."""

    def __init__(self, database: Database, seals: Seals, clock: Clock) -> None:
        self._database, self._seals, self._clock = database, seals, clock

    async def create(
        self, *, target_url: str, event_types: Collection[str] = (), tenant: str | None = None, is_active: bool = True
    ) -> tuple[Webhook, SecretStr]:
        """Add a webhook; return it with its secret, which is shown this once."""
        now = self._clock.now()
        secret = new_secret()
        webhook = Webhook(
            id=str(uuid.uuid4()),
            tenant=tenant,
            target_url=target_url,
            event_types=tuple(event_types),
            is_active=is_active,
            reason=None,
            created_at=now,
            updated_at=now,
        )
        values = {name: getattr(webhook, name) for name in WEBHOOKS.c.keys()}  # noqa: SIM118 - not a dict
        async with self._database.write() as connection:
            await connection.execute(insert(WEBHOOKS).values(values))
            await self._seals.put(await self._seals.add_owner(of_webhook(webhook.id)), {_SECRET: secret})
        return webhook, secret

    async def get(self, webhook_id: str) -> Webhook | None:
        found = await self._select(WEBHOOKS.c.id == webhook_id)
        return found[0] if found else None

    async def listed(self, *, tenant: str | None = None) -> list[Webhook]:
        """Return the webhooks of a tenant (None: of everybody), the oldest first."""
        return await self._select(*([] if tenant is None else [WEBHOOKS.c.tenant == tenant]))

    async def active(self, tenant: str | None) -> list[Webhook]:
        """Return the active webhooks that get events of connections of this tenant."""
        return await self._select(WEBHOOKS.c.is_active, WEBHOOKS.c.tenant.is_(None) | (WEBHOOKS.c.tenant == tenant))

    async def update(
        self,
        webhook_id: str,
        *,
        target_url: str | None = None,
        event_types: Collection[str] | None = None,
        is_active: bool | None = None,
        reason: str | None = None,
    ) -> Webhook | None:
        """Change what is given. One that is switched on has no reason any more, and what waits for it is due now."""
        types = None if event_types is None else list(event_types)
        given = {"target_url": target_url, "event_types": types, "is_active": is_active}
        changes: dict[str, object] = {name: value for name, value in given.items() if value is not None}
        if is_active is not None:
            changes["reason"] = None if is_active else reason
        change = update(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id).values(updated_at=self._clock.now(), **changes)
        async with self._database.write() as connection:
            row = (await connection.execute(change.returning(WEBHOOKS))).one_or_none()
            if is_active:
                waits = (OUTBOX.c.webhook_id == webhook_id) & OUTBOX.c.delivered_at.is_(None)
                waits &= OUTBOX.c.given_up_at.is_(None)
                await connection.execute(update(OUTBOX).where(waits).values(anew(self._clock.now())))
        return None if row is None else _webhook(row)

    async def secret(self, webhook_id: str) -> SecretStr:
        """Return what signs its events. Raises LookupError, Unconfigured and BrokenSeal."""
        return (await self._seals.values(of_webhook(webhook_id)))[_SECRET]

    async def remove(self, webhook_id: str) -> bool:
        """Remove a webhook, its secret and what was to be sent to it; say whether there was one."""
        async with self._database.write() as connection:
            removed = await connection.execute(delete(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id))
            if removed.rowcount:
                await self._seals.forget_owner(of_webhook(webhook_id))
                self._database.scrub()
        return removed.rowcount > 0

    async def _select(self, *conditions: ColumnElement[bool]) -> list[Webhook]:
        query = select(WEBHOOKS).where(*conditions).order_by(WEBHOOKS.c.created_at, WEBHOOKS.c.id)
        async with self._database.read() as connection:
            return [_webhook(row) for row in await connection.execute(query)]


def anew(now: datetime) -> dict[str, Any]:
    """Return the values of an event that waits as if it had never been tried."""
    return {
        "attempts": 0,
        "next_try_at": now,
        "failing_since": None,
        "last_error": None,
        "delivered_at": None,
        "given_up_at": None,
    }


def new_secret() -> SecretStr:
    """Make a secret as Standard Webhooks has them: 32 random bytes in base64, behind a prefix."""
    return SecretStr(f"{PREFIX}{base64.b64encode(secrets.token_bytes(32)).decode()}")


def _webhook(row: Row[*tuple[Any, ...]]) -> Webhook:
    columns = dict(row._mapping)  # noqa: SLF001 - the public name of it
    return Webhook(**columns | {"event_types": tuple(columns["event_types"])})

"""Keys of programs: shown once when they are made, and recognized by a digest ever after."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, NamedTuple

from pydantic import SecretStr
from sqlalchemy import ColumnElement, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from pingone_mcp.clock import Clock
from pingone_mcp.control.database import Database
from pingone_mcp.control.remembered import Remembered
from pingone_mcp.control.sealing import Seals
from pingone_mcp.control.tables import API_KEY_CONNECTIONS, API_KEYS

Reach = Literal["named", "tenant", "all"]
_FORM = re.compile(r"pmk_([0-9a-f]{16})_[0-9a-f]{48}")
_USE_IS_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key, without what it is recognized by.

    `connections` are the ids it reaches, which may be none any more; None stands for all connections of `tenant`, and
    that being None too, for all there are.
    """

    id: str
    name: str
    connections: frozenset[str] | None
    tenant: str | None
    permissions: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    def is_good(self, now: datetime) -> bool:
        """Say whether whoever shows it is let in: it was not revoked, and has not ended."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApiKey:
    """A key that was just made, and its text, which nobody can show again."""

    key: ApiKey
    text: SecretStr


class _Recognizable(NamedTuple):
    key: ApiKey
    digest: bytes


class ApiKeys:
    """The keys of one database."""

    def __init__(self, database: Database, seals: Seals, clock: Clock) -> None:
        self._database, self._seals, self._clock = database, seals, clock
        self._remembered = Remembered(self._recognizable, clock)

    async def create(
        self,
        *,
        name: str,
        permissions: Collection[str],
        connections: Collection[str] | None = None,
        tenant: str | None = None,
        expires_at: datetime | None = None,
    ) -> NewApiKey:
        """Make a key for these connections; without any, for all of a tenant; without that, for all there are.

        Raises LookupError for a connection that there is not, ValueError for an empty collection of them.
        """
        if connections is not None and not connections:
            raise ValueError("a key names at least one connection, or None for all")
        reach: Reach = "named" if connections is not None else "tenant" if tenant is not None else "all"
        key_id = secrets.token_hex(8)
        text = f"pmk_{key_id}_{secrets.token_hex(24)}"
        values = {
            "id": key_id,
            "name": name,
            "digest": self._seals.digest(text),
            "reach": reach,
            "tenant": tenant,
            "permissions": sorted(permissions),
            "created_at": self._clock.now(),
            "expires_at": expires_at,
        }
        rows = [{"api_key_id": key_id, "connection_id": one} for one in sorted(set(connections or ()))]
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(API_KEYS).values(values))
                if rows:
                    await connection.execute(insert(API_KEY_CONNECTIONS), rows)
                (made,) = await self._select(API_KEYS.c.id == key_id)
        except IntegrityError:
            raise LookupError("no such connection") from None
        return NewApiKey(key=made, text=SecretStr(text))

    async def verify(self, text: str) -> ApiKey | None:
        """Return the key of this text, unless it has ended or was revoked; note its use, once a minute at most.

        What another process has revoked ends within a second, what this one has, at once.
        """
        form = _FORM.fullmatch(text)
        if form is None:
            return None
        known = await self._remembered.get(form[1])
        # An unknown key takes as long as a wrong one.
        if not hmac.compare_digest(self._seals.digest(text), b"" if known is None else known.digest) or known is None:
            return None
        key, now = known.key, self._clock.now()
        if not key.is_good(now):
            return None
        if key.last_used_at is None or now - key.last_used_at >= _USE_IS_NOTED_EVERY:
            await self._note_use(key.id, now)
        return key

    async def listed(self) -> list[ApiKey]:
        """Return all keys, the oldest first."""
        return await self._select()

    async def get(self, key_id: str) -> ApiKey | None:
        found = await self._select(API_KEYS.c.id == key_id)
        return found[0] if found else None

    async def revoke(self, key_id: str) -> bool:
        """Let a key be valid no more; say whether there is one."""
        here = API_KEYS.c.id == key_id
        async with self._database.write() as connection:
            unrevoked = update(API_KEYS).where(here, API_KEYS.c.revoked_at.is_(None))
            await connection.execute(unrevoked.values(revoked_at=self._clock.now()))
            self._database.once_kept(partial(self._remembered.forget, key_id))
            return await connection.scalar(select(API_KEYS.c.id).where(here)) is not None

    async def _note_use(self, key_id: str, now: datetime) -> None:
        async with self._database.write() as connection:
            await connection.execute(update(API_KEYS).where(API_KEYS.c.id == key_id).values(last_used_at=now))
            self._database.once_kept(partial(self._remembered.forget, key_id))

    async def _recognizable(self, ids: Collection[str]) -> dict[str, _Recognizable]:
        here = API_KEYS.c.id.in_(ids)
        async with self._database.read() as connection:
            rows = (await connection.execute(select(API_KEYS).where(here))).all()
            reached = await self._reached(here) if any(row.reach == "named" for row in rows) else {}
        return {row.id: _Recognizable(_api_key(row, reached), row.digest) for row in rows}

    async def _select(self, *conditions: ColumnElement[bool]) -> list[ApiKey]:
        keys = select(API_KEYS).where(*conditions).order_by(API_KEYS.c.created_at, API_KEYS.c.id)
        async with self._database.read() as connection:
            reached = await self._reached(*conditions)
            return [_api_key(row, reached) for row in await connection.execute(keys)]

    async def _reached(self, *conditions: ColumnElement[bool]) -> dict[str, set[str]]:
        """Return the connections that keys name, by the ids of the keys."""
        reached: dict[str, set[str]] = {}
        async with self._database.read() as connection:
            for row in await connection.execute(select(API_KEY_CONNECTIONS).join(API_KEYS).where(*conditions)):
                reached.setdefault(row.api_key_id, set()).add(row.connection_id)
        return reached


def _api_key(row: Row[*tuple[Any, ...]], reached: dict[str, set[str]]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        connections=frozenset(reached.get(row.id, ())) if row.reach == "named" else None,
        tenant=row.tenant,
        permissions=frozenset(row.permissions),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )

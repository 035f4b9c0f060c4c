"""Tokens for a short time: a link token lets one customer connect once, an account token reads one connection."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr
from sqlalchemy import ColumnElement, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from pingone_mcp.clock import Clock
from pingone_mcp.control.database import Database
from pingone_mcp.control.sealing import Seals
from pingone_mcp.control.tables import ACCOUNT_TOKENS, LINK_TOKENS

LINK_TOKEN_LIVES = timedelta(days=7)
ACCOUNT_TOKEN_LIVES = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkToken:
    """What a link token is for: a new connection of a tenant, or new credentials of one of its connections."""

    tenant: str
    connection_id: str | None
    redirect_uri: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountToken:
    """What an account token is for."""

    connection_id: str
    permissions: frozenset[str]
    expires_at: datetime


class CustomerTokens:
    """The tokens of one database, shown once. None stands for one that has ended, was used, or never was."""

    def __init__(self, database: Database, seals: Seals, clock: Clock) -> None:
        self._database, self._seals, self._clock = database, seals, clock

    async def create_link(
        self, *, tenant: str, connection_id: str | None = None, redirect_uri: str | None = None
    ) -> SecretStr:
        """Make a link token for seven days. Raises LookupError for a connection that there is not."""
        text = f"plt_{secrets.token_hex(24)}"
        now = self._clock.now()
        values = {
            "digest": self._seals.digest(text),
            "tenant": tenant,
            "connection_id": connection_id,
            "redirect_uri": redirect_uri,
            "expires_at": now + LINK_TOKEN_LIVES,
        }
        try:
            async with self._database.write() as connection:
                await connection.execute(delete(LINK_TOKENS).where(LINK_TOKENS.c.expires_at <= now))
                await connection.execute(insert(LINK_TOKENS).values(values))
        except IntegrityError:
            raise LookupError("no such connection") from None
        return SecretStr(text)

    async def link(self, text: str) -> LinkToken | None:
        """Return what an unused link token is for, and leave it unused: to show the page that it opens."""
        query = select(*_LINK).where(self._is_unused(text))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else LinkToken(**row._mapping)  # noqa: SLF001 - the public name of it

    async def use_link(self, text: str) -> LinkToken | None:
        """Use up a link token, in the transaction of what it is used for; of two who try at once, one gets it."""
        change = update(LINK_TOKENS).where(self._is_unused(text)).values(used_at=self._clock.now()).returning(*_LINK)
        async with self._database.write() as connection:
            row = (await connection.execute(change)).one_or_none()
        return None if row is None else LinkToken(**row._mapping)  # noqa: SLF001

    async def create_account(self, connection_id: str, permissions: Collection[str]) -> tuple[SecretStr, AccountToken]:
        """Make an account token for fifteen minutes. Raises LookupError for a connection that there is not."""
        text = f"pat_{secrets.token_hex(24)}"
        now = self._clock.now()
        token = AccountToken(
            connection_id=connection_id, permissions=frozenset(permissions), expires_at=now + ACCOUNT_TOKEN_LIVES
        )
        values = {
            "digest": self._seals.digest(text),
            "connection_id": connection_id,
            "permissions": sorted(permissions),
            "expires_at": token.expires_at,
        }
        try:
            async with self._database.write() as connection:
                await connection.execute(delete(ACCOUNT_TOKENS).where(ACCOUNT_TOKENS.c.expires_at <= now))
                await connection.execute(insert(ACCOUNT_TOKENS).values(values))
        except IntegrityError:
            raise LookupError("no such connection") from None
        return SecretStr(text), token

    async def account(self, text: str) -> AccountToken | None:
        """Return what an account token is for."""
        query = select(ACCOUNT_TOKENS).where(
            ACCOUNT_TOKENS.c.digest == self._seals.digest(text), ACCOUNT_TOKENS.c.expires_at > self._clock.now()
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        return AccountToken(
            connection_id=row.connection_id, permissions=frozenset(row.permissions), expires_at=row.expires_at
        )

    def _is_unused(self, text: str) -> ColumnElement[bool]:
        return and_(
            LINK_TOKENS.c.digest == self._seals.digest(text),
            LINK_TOKENS.c.used_at.is_(None),
            LINK_TOKENS.c.expires_at > self._clock.now(),
        )


_LINK = (LINK_TOKENS.c.tenant, LINK_TOKENS.c.connection_id, LINK_TOKENS.c.redirect_uri, LINK_TOKENS.c.expires_at)

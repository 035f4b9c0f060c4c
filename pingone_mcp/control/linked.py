"""Connections that were linked: what is known of each, and the credentials by which its directory is read."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal, Protocol

from pydantic import JsonValue, SecretStr
from sqlalchemy import ColumnElement, Row, delete, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from pingone_mcp.clock import Clock
from pingone_mcp.control.database import Database
from pingone_mcp.control.remembered import Remembered
from pingone_mcp.control.sealing import Seals, of_connection, of_hook, of_rosters
from pingone_mcp.control.tables import CONNECTIONS, OUTBOX
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import Refused

LinkStatus = Literal["connecting", "active", "needs_reauth", "validation_error", "post_install_error"]
NOT_WORKING: frozenset[LinkStatus] = frozenset({"needs_reauth", "validation_error"})
"""What a check-up may come to: credentials that are not accepted, and such that lack a right."""
AccountEvent = Literal[
    "created", "updated", "active", "reactivated", "authentication_error", "validation_error", "post_install_error"
]
SettingValues = Mapping[str, JsonValue]
"""Settings that are no secret, by their names (`settings.parts`)."""
_OF_SYNCS = frozenset({"sync_minutes"})
"""Settings that no client of PingOne is built from: they change without a new epoch."""


class NameTaken(Refused):
    """Another connection of the same tenant has this name."""

    def __init__(self) -> None:
        super().__init__(
            "Another connection has this name.", "Choose another name, or rename that one.", code="NAME_TAKEN"
        )


class ChangedMeanwhile(Refused):
    """A connection is not any more as it was when its new values were checked."""

    def __init__(self) -> None:
        super().__init__(
            "This connection was changed while its new values were checked, so nothing was kept.",
            "Look at it as it is now, and connect again.",
            code="CHANGED_MEANWHILE",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedConnection:
    """A connection, without its credentials.

    `tenant` is the customer it belongs to (None: nobody in particular). `reason` says in a sentence why the status is
    none that works. `epoch` grows with every change of what a client of PingOne is built from.
    """

    id: str
    name: str
    tenant: str | None
    provider: str
    settings: SettingValues
    status: LinkStatus
    reason: str | None
    is_paused: bool
    epoch: int
    created_at: datetime
    updated_at: datetime
    next_sync_at: datetime | None
    last_sync_at: datetime | None


class ConnectionNews(Protocol):
    """Hears what happens to connections, inside the transaction in which it happens."""

    async def account(self, event: AccountEvent, linked: LinkedConnection) -> None: ...

    async def turned(self, before: LinkStatus, linked: LinkedConnection) -> None:
        """Hear the status that a connection has, and the one that it had: it may be the same."""

    async def removed(self, linked: LinkedConnection) -> None: ...


class LinkedConnections:
    """The connections of one database, which say what happens to them.

    Methods that name one return None, or raise LookupError, where there is none.
    """

    def __init__(self, database: Database, seals: Seals, news: ConnectionNews, clock: Clock) -> None:
        self._database, self._seals, self._clock = database, seals, clock
        self._news = news
        self._has_default = False
        self._remembered = Remembered(self._by_id, clock)

    async def add(
        self,
        *,
        name: str,
        tenant: str | None = None,
        provider: str = "pingone",
        settings: SettingValues,
        credentials: Mapping[str, SecretStr],
        status: LinkStatus = "connecting",
        connection_id: str | None = None,
    ) -> LinkedConnection:
        """Add a connection together with its credentials, under a random id unless one is given. Raises NameTaken.

        One whose credentials lie elsewhere (`default`: in the environment) has none here, and the rest hangs on it too.
        """
        now = self._clock.now()
        added = LinkedConnection(
            id=connection_id or str(uuid.uuid4()),
            name=name,
            tenant=tenant,
            provider=provider,
            settings=settings,
            status=status,
            reason=None,
            is_paused=False,
            epoch=1,
            created_at=now,
            updated_at=now,
            next_sync_at=None,
            last_sync_at=None,
        )
        values = {column: getattr(added, column) for column in CONNECTIONS.c.keys()}  # noqa: SIM118 - not a dict
        try:
            async with self._database.write() as connection:
                await connection.execute(insert(CONNECTIONS).values(values))
                await self._seals.put(await self._seals.add_owner(of_connection(added.id)), credentials)
                await self._news.account("created", added)
                await self._news.turned("connecting", added)
        except IntegrityError:
            raise NameTaken from None
        return added

    async def keep_default(
        self, settings: SettingValues, provider: str = "pingone", *, renewed: bool = True
    ) -> LinkedConnection:
        """Keep the connection of the environment variables among the others; what is known of it is `renewed`.

        In a process that has not called this there is none, whatever was kept: its variables describe none.
        """
        self._has_default = True
        async with self._database.write():
            kept = await self.get(DEFAULT)
            if kept is None:
                return await self.add(
                    name=DEFAULT,
                    provider=provider,
                    settings=settings,
                    credentials={},
                    status="active",
                    connection_id=DEFAULT,
                )
            if not renewed or (kept.provider, dict(kept.settings)) == (provider, dict(settings)):
                return kept
            changes = {"provider": provider, "settings": settings, "epoch": CONNECTIONS.c.epoch + 1}
            return await self._updated(DEFAULT, **changes) or kept

    async def get(self, connection_id: str) -> LinkedConnection | None:
        found = await self._select(CONNECTIONS.c.id == connection_id)
        return found[0] if found else None

    async def lately(self, connection_id: str) -> LinkedConnection | None:
        """Return a connection, for whoever asks with every request: as another process left it up to a second ago.

        What this process changed is seen at once.
        """
        return await self._remembered.get(connection_id)

    async def by_name(self, name: str) -> list[LinkedConnection]:
        """Return those of this name, of which each tenant has one at most."""
        return await self._select(CONNECTIONS.c.name == name)

    async def check_free(self, name: str, tenant: str | None) -> None:
        """Raise NameTaken where a connection of the tenant has this name already."""
        if any(one.tenant == tenant for one in await self.by_name(name)):
            raise NameTaken

    async def listed(
        self,
        *,
        ids: Collection[str] | None = None,
        tenant: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[LinkedConnection]:
        """Return connections, the oldest first, of these ids or of a tenant (None: of all), and behind one of them.

        Nothing stands behind an id that there is not.
        """
        conditions: list[ColumnElement[bool]] = []
        if ids is not None:
            conditions.append(CONNECTIONS.c.id.in_(ids))
        if tenant is not None:
            conditions.append(CONNECTIONS.c.tenant == tenant)
        if after is not None:
            place = select(CONNECTIONS.c.created_at, CONNECTIONS.c.id).where(CONNECTIONS.c.id == after)
            conditions.append(tuple_(CONNECTIONS.c.created_at, CONNECTIONS.c.id) > place.scalar_subquery())
        return await self._select(*conditions, limit=limit)

    async def update(
        self,
        connection_id: str,
        *,
        name: str | None = None,
        settings: SettingValues | None = None,
        is_paused: bool | None = None,
    ) -> LinkedConnection | None:
        """Change what is given; settings that are not named stay as they are. Raises NameTaken."""
        given = {"name": name, "is_paused": is_paused}
        changes: dict[str, object] = {column: value for column, value in given.items() if value is not None}
        try:
            async with self._database.write():
                if settings is not None and (before := await self._locked(connection_id)) is not None:
                    changes["settings"] = {**before.settings, **settings}
                    changes["epoch"] = before.epoch + bool(settings.keys() - _OF_SYNCS)
                return await self._updated(connection_id, **changes)
        except IntegrityError:
            raise NameTaken from None

    async def set_status(
        self, connection_id: str, status: LinkStatus, reason: str | None = None, *, epoch: int | None = None
    ) -> LinkedConnection | None:
        """Say how a connection stands; that it stands so already is no news.

        `epoch` is the one of the values that this was found with: of values that are no longer there it says nothing.
        """
        async with self._database.write():
            before = await self._locked(connection_id)
            if before is None or (epoch is not None and before.epoch != epoch):
                return before
            if (before.status, before.reason) == (status, reason):
                return before
            changed = await self._update(connection_id, status=status, reason=reason)
            if changed is not None:
                await self._news.turned(before.status, changed)
        return changed

    async def set_next_sync(self, connection_id: str, at: datetime | None) -> None:
        await self._touch(connection_id, next_sync_at=at)

    async def set_last_sync(self, connection_id: str, at: datetime) -> None:
        await self._touch(connection_id, last_sync_at=at)

    async def credentials(self, connection_id: str) -> dict[str, SecretStr]:
        """Return the credentials by the names of their settings. Raises LookupError, Unconfigured and BrokenSeal."""
        return await self._seals.values(of_connection(connection_id))

    async def with_credentials(self, connection_id: str) -> tuple[LinkedConnection, dict[str, SecretStr]] | None:
        """Return a connection and its credentials as they were at one moment."""
        async with self._database.read():
            found = await self.get(connection_id)
            return None if found is None else (found, await self.credentials(connection_id))

    async def replace_credentials(
        self,
        connection_id: str,
        credentials: Mapping[str, SecretStr],
        settings: SettingValues | None = None,
        *,
        checked: LinkedConnection | None = None,
    ) -> LinkedConnection | None:
        """Put new credentials that work, and settings if given, in the place of the present ones; the id stays.

        `checked` is the connection as it was when they were made of its values: raises ChangedMeanwhile where its
        clients are built from others now. An interval that was changed meanwhile stays, unless they change it too.
        """
        changes: dict[str, object] = {} if settings is None else {"settings": settings}
        async with self._database.write():
            before = await self._locked(connection_id)
            if before is not None and checked is not None:
                if before.epoch != checked.epoch:
                    raise ChangedMeanwhile
                if settings is not None:
                    changes["settings"] = {**settings, **_own_since(before.settings, checked.settings, settings)}
            changed = await self._updated(
                connection_id, epoch=CONNECTIONS.c.epoch + 1, status="active", reason=None, **changes
            )
            if before is not None and changed is not None:
                await self._seals.put(await self._seals.key_of(of_connection(connection_id)), credentials)
                if before.status not in ("active", "connecting"):
                    await self._news.account("reactivated", changed)
                await self._news.account("active", changed)
        return changed

    async def remove(self, connection_id: str) -> bool:
        """Remove a connection, its credentials, and all that hangs on it; say whether there was one."""
        async with self._database.write() as connection:
            linked = await self.get(connection_id)
            removed = await connection.execute(delete(CONNECTIONS).where(CONNECTIONS.c.id == connection_id))
            self._database.once_kept(partial(self._remembered.forget, connection_id))
            if removed.rowcount:
                await connection.execute(delete(OUTBOX).where(OUTBOX.c.connection_id == connection_id))
                await self._seals.forget_owner(of_connection(connection_id))
                await self._seals.forget_owner(of_hook(connection_id))
                await self._seals.forget_owner(of_rosters(connection_id))
                self._database.scrub()
            if linked is not None:
                await self._news.removed(linked)
        return removed.rowcount > 0

    async def _locked(self, connection_id: str) -> LinkedConnection | None:
        """Return a connection that nobody else changes before the end of this transaction."""
        query = select(CONNECTIONS).where(CONNECTIONS.c.id == connection_id, *self._there()).with_for_update()
        async with self._database.write() as connection:
            found = (await connection.execute(query)).one_or_none()
        return None if found is None else _linked(found)

    async def _select(self, *conditions: ColumnElement[bool], limit: int | None = None) -> list[LinkedConnection]:
        conditions = (*conditions, *self._there())
        query = select(CONNECTIONS).where(*conditions).order_by(CONNECTIONS.c.created_at, CONNECTIONS.c.id).limit(limit)
        async with self._database.read() as connection:
            return [_linked(row) for row in await connection.execute(query)]

    async def _updated(self, connection_id: str, **changes: object) -> LinkedConnection | None:
        """Change what a person knows of a connection, and say so."""
        async with self._database.write():
            changed = await self._update(connection_id, **changes)
            if changed is not None and changes:
                await self._news.account("updated", changed)
        return changed

    async def _update(self, connection_id: str, **changes: object) -> LinkedConnection | None:
        return await self._touch(connection_id, updated_at=self._clock.now(), **changes)

    async def _touch(self, connection_id: str, **changes: object) -> LinkedConnection | None:
        here = CONNECTIONS.c.id == connection_id
        changed = update(CONNECTIONS).where(here, *self._there()).values(changes).returning(CONNECTIONS)
        async with self._database.write() as connection:
            found = (await connection.execute(changed)).one_or_none()
            self._database.once_kept(partial(self._remembered.forget, connection_id))
        return None if found is None else _linked(found)

    async def _by_id(self, ids: Collection[str]) -> dict[str, LinkedConnection]:
        return {one.id: one for one in await self._select(CONNECTIONS.c.id.in_(ids))}

    def _there(self) -> list[ColumnElement[bool]]:
        """Return what holds of the connections that there are for this process."""
        return [] if self._has_default else [CONNECTIONS.c.id != DEFAULT]


def _own_since(now: SettingValues, before: SettingValues, wanted: SettingValues) -> dict[str, JsonValue]:
    """Return the settings of syncs as they are now, but those that are wanted otherwise than they were before."""
    return {name: now[name] for name in _OF_SYNCS & now.keys() if wanted.get(name) == before.get(name)}


def _linked(row: Row[*tuple[Any, ...]]) -> LinkedConnection:
    return LinkedConnection(**row._mapping)  # noqa: SLF001 - the public name of it

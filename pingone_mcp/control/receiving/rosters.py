"""What is known of the user lists of applications that were pushed to a connection, or are pulled for it.

The lists themselves are files in the folder of the connection. A row is there before the first file of its name, and
goes after the last one; what it says of a list names the file that it says it of (`ListFile`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from pydantic import SecretStr
from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update

from pingone_mcp.control.sealing import of_rosters
from pingone_mcp.control.tables import CONNECTIONS, ROSTERS
from pingone_mcp.errors import NoSuchConnection

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from pingone_mcp.clock import Clock
    from pingone_mcp.control.database import Database
    from pingone_mcp.control.sealing import DataKey, Seals

RosterSource = Literal["pushed", "scim"]


class ListFile(TypedDict):
    """Which file of a list it is: what kind, how many bytes, and its time in nanoseconds."""

    kind: str
    bytes: int
    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterRecord:
    """A roster of a connection.

    `url` is where it is pulled from. `accounts`, `received_at` and `file` are of the last whole list (None: there was
    none); `tried_at` is when the last pull began, `reason` why it came to nothing.
    """

    connection_id: str
    name: str
    source: RosterSource
    url: str | None = None
    file: ListFile | None = None
    accounts: int | None = None
    received_at: datetime | None = None
    tried_at: datetime | None = None
    reason: str | None = None
    created_at: datetime


class RosterRecords:
    """The rosters of one database. A name that there is not is no error: None, or nothing done."""

    def __init__(self, database: Database, seals: Seals, clock: Clock) -> None:
        self._database, self._seals, self._clock = database, seals, clock

    async def get(self, connection_id: str, name: str) -> RosterRecord | None:
        async with self._database.read() as connection:
            row = (await connection.execute(select(ROSTERS).where(_is(connection_id, name)))).one_or_none()
        return None if row is None else _record(row)

    async def listed(self, connection_id: str) -> list[RosterRecord]:
        """Return the rosters of a connection by their names."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(ROSTERS).where(ROSTERS.c.connection_id == connection_id))
            return sorted(map(_record, rows), key=lambda one: one.name)

    async def enter(self, connection_id: str, name: str) -> RosterRecord:
        """Return a roster, entered where there is none of this name: one that was pushed, and of which nothing came.

        Raises NoSuchConnection.
        """
        async with self._database.write() as connection:
            await _hold(connection, connection_id)
            found = await self.get(connection_id, name)
            if found is not None:
                return found
            made = RosterRecord(connection_id=connection_id, name=name, source="pushed", created_at=self._clock.now())
            values = {"connection_id": connection_id, "name": name, "source": made.source, "options": {}}
            await connection.execute(insert(ROSTERS).values(**values, created_at=made.created_at))
        return made

    async def set_source(
        self, connection_id: str, name: str, url: str, token: SecretStr | None, *, keeps_token: bool = False
    ) -> RosterRecord:
        """Let a roster be pulled from a URL with a token, entered where there is none of this name.

        `keeps_token`: that which there is for this very URL stays. Raises NoSuchConnection.
        """
        async with self._database.write() as connection:
            found = await self.enter(connection_id, name)
            values = await self._tokens(connection_id)
            before = {field: value for field, value in values.items() if not _is_of(field, name)}
            kept = values.get(_field(name, url)) if keeps_token else token
            after = before if kept is None else {**before, _field(name, url): kept}
            if after or values:
                await self._seals.put(await self._key(connection_id), after)
                self._database.scrub()
            options = {"url": url} | ({} if found.file is None else {"file": found.file})
            changes: dict[str, Any] = {"source": "scim", "options": options, "tried_at": None, "reason": None}
            changed = update(ROSTERS).where(_is(connection_id, name)).values(changes).returning(ROSTERS)
            return _record((await connection.execute(changed)).one())

    async def token(self, record: RosterRecord) -> SecretStr | None:
        """Return the token of a roster, which is one for the URL that it was given with. Raises BrokenSeal."""
        if record.url is None:
            return None
        return (await self._tokens(record.connection_id)).get(_field(record.name, record.url))

    async def note_list(
        self, record: RosterRecord, file: ListFile, accounts: int, *, tried_at: datetime | None = None
    ) -> RosterRecord | None:
        """Note a list that has come whole, and lies in a file; None where the roster is there no more."""
        options = {**({} if record.url is None else {"url": record.url}), "file": file}
        changes: dict[str, Any] = {"options": options, "accounts": accounts, "received_at": self._clock.now()}
        if tried_at is not None:
            changes |= {"tried_at": tried_at, "reason": None}
        return await self._update(record, changes)

    async def note_failure(self, record: RosterRecord, tried_at: datetime, reason: str) -> RosterRecord | None:
        """Note why a pull came to nothing; of its list nothing is changed."""
        return await self._update(record, {"tried_at": tried_at, "reason": reason})

    async def forget_list(self, record: RosterRecord) -> None:
        """Say no more that there is a list: its file is about to be removed."""
        options = {} if record.url is None else {"url": record.url}
        await self._update(record, {"options": options, "accounts": None, "received_at": None})

    async def remove(self, connection_id: str, name: str) -> bool:
        """Remove a roster and its token; say whether there was one."""
        async with self._database.write() as connection:
            await _hold(connection, connection_id)
            removed = await connection.execute(delete(ROSTERS).where(_is(connection_id, name)))
            values = await self._tokens(connection_id)
            left = {field: value for field, value in values.items() if not _is_of(field, name)}
            if left != values:
                await self._seals.put(await self._key(connection_id), left)
                self._database.scrub()
        return removed.rowcount > 0

    async def count(self, connection_id: str) -> int:
        """Return how many a connection has."""
        query = select(func.count()).select_from(ROSTERS).where(ROSTERS.c.connection_id == connection_id)
        async with self._database.read() as connection:
            return (await connection.scalars(query)).one()

    async def _update(self, record: RosterRecord, changes: Mapping[str, Any]) -> RosterRecord | None:
        changed = update(ROSTERS).where(_is(record.connection_id, record.name)).values(changes).returning(ROSTERS)
        async with self._database.write() as connection:
            row = (await connection.execute(changed)).one_or_none()
        return None if row is None else _record(row)

    async def _tokens(self, connection_id: str) -> dict[str, SecretStr]:
        try:
            return await self._seals.values(of_rosters(connection_id))
        except LookupError:
            return {}

    async def _key(self, connection_id: str) -> DataKey:
        owner = of_rosters(connection_id)
        try:
            return await self._seals.key_of(owner)
        except LookupError:
            return await self._seals.add_owner(owner)


async def _hold(connection: AsyncConnection, connection_id: str) -> None:
    """Let others who change what hangs on a connection wait until this transaction ends. Raises NoSuchConnection."""
    here = select(CONNECTIONS.c.id).where(CONNECTIONS.c.id == connection_id).with_for_update()
    if await connection.scalar(here) is None:
        raise NoSuchConnection


def _is(connection_id: str, name: str) -> ColumnElement[bool]:
    return (ROSTERS.c.connection_id == connection_id) & (ROSTERS.c.name == name)


def _field(name: str, url: str) -> str:
    """Name the token of a roster by its URL too: who changes that in the database has none to send there."""
    return f"{name} {url}"


def _is_of(field: str, name: str) -> bool:
    return field.partition(" ")[0] == name


def _record(row: Row[*tuple[Any, ...]]) -> RosterRecord:
    columns = dict(row._mapping)  # noqa: SLF001 - the public name of it
    options = columns.pop("options")
    return RosterRecord(**columns, url=options.get("url"), file=options.get("file"))

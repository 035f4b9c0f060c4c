"""Up to which change of its local copy a connection's changes were written into the outbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from pingone_mcp.control.database import Database
from pingone_mcp.control.tables import CONNECTIONS, SENT_CHANGES


@dataclass(frozen=True, slots=True)
class SentUntil:
    """The last change that was written, by its number in a copy; `copy` tells that copy from one made in its place."""

    copy: str
    number: int


class SentChanges:
    """The positions of one database, one for each connection."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def until(self, connection_id: str) -> SentUntil | None:
        """Return up to where the changes of a connection were written; None where none ever was."""
        query = select(SENT_CHANGES.c.copy, SENT_CHANGES.c.number).where(SENT_CHANGES.c.connection_id == connection_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else SentUntil(row.copy, row.number)

    @asynccontextmanager
    async def moving(self, connection_id: str, before: SentUntil | None, after: SentUntil) -> AsyncIterator[bool]:
        """Give a transaction in which events are written and the position moves with them.

        It says whether the position is still the one `before`; where it is not, nothing is to be written and nothing
        moves. Raises LookupError for no connection.
        """
        async with self._database.write() as connection:
            here = select(CONNECTIONS.c.id).where(CONNECTIONS.c.id == connection_id).with_for_update()
            if await connection.scalar(here) is None:  # held until the end: nobody else moves it
                raise LookupError("no such connection")
            if await self.until(connection_id) != before:
                yield False
                return
            yield True
            await connection.execute(delete(SENT_CHANGES).where(SENT_CHANGES.c.connection_id == connection_id))
            values = {"connection_id": connection_id, "copy": after.copy, "number": after.number}
            await connection.execute(insert(SENT_CHANGES).values(values))

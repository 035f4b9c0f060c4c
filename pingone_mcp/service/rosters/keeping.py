"""Keep the user lists of applications that are pushed: the last whole one of each name, and what is known of it.

A row of control data comes before the file, and goes after it; it is told what it says of a list when that lies there.
So whatever ends this in the middle, the list is the old or the new one, nothing is said of one that is not there, and
no list is left without its row. What is said of another list than that which lies there is not shown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from pingone_mcp.errors import NoSuchConnection, NotFound, Refused
from pingone_mcp.nearest import did_you_mean
from pingone_mcp.service.rosters.shelf import FilesFailed, Shelf, Shelves, StoredList, check_name
from pingone_mcp.tasks import in_thread

if TYPE_CHECKING:
    from pingone_mcp.clock import Clock
    from pingone_mcp.control.receiving.rosters import ListFile, RosterRecord, RosterRecords, RosterSource
    from pingone_mcp.reports.rosters.files import RosterKind
    from pingone_mcp.reports.rosters.roster import Roster

MOST = 100
"""Rosters of one connection."""

ForgetFiles = Callable[[str], Awaitable[object]]
"""Removes every file of a connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRoster:
    """A roster as it is shown.

    `accounts`, `received_at` and `age_seconds` are of the list that lies there (None: there is none, or nothing is
    known of it, which `reason` says). `reason` is also why the last pull came to nothing. `url` is that of its source,
    never with the token.
    """

    name: str
    source: RosterSource
    url: str | None
    accounts: int | None
    received_at: datetime | None
    age_seconds: int | None
    tried_at: datetime | None
    reason: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedRoster:
    """A list that was kept; `notes` say what of it was not understood or left out."""

    roster: KeptRoster
    notes: tuple[str, ...]


class RosterKeeping:
    """The use cases of rosters of connections, of whom callers were found to reach them. Raises NoSuchConnection.

    `forget` removes what was written into the folder of a connection that was removed meanwhile.
    """

    def __init__(self, records: RosterRecords, shelves: Shelves, forget: ForgetFiles, clock: Clock) -> None:
        self._records, self._shelves, self._forget, self._clock = records, shelves, forget, clock

    async def push(self, connection: str, name: str, kind: RosterKind, content: bytes) -> PushedRoster:
        """Put a list in the place of the one before. Raises Refused for a wrong one; then that one stays."""
        check_name(name)
        roster = await parsed(kind, content)
        async with self._shelves.turn(connection) as shelf:
            record = await self.entered(connection, name)
            if record.source != "pushed":
                raise Refused(
                    "This roster is pulled from its application, so none is pushed to it.",
                    "Push it under another name; or remove this one first, with its source.",
                    code="ROSTER_IS_PULLED",
                )
            kept = await self.put(shelf, record, kind, content, len(roster.entries))
        return PushedRoster(roster=kept, notes=roster.notes)

    async def listed(self, connection: str) -> list[KeptRoster]:
        """Return all rosters of a connection by their names."""
        records = await self._records.listed(connection)
        shelf = self._shelves.of(connection)
        stored = await in_thread(lambda: [shelf.look(record.name) for record in records], pool="disk")
        return [self._shown(record, one) for record, one in zip(records, stored, strict=True)]

    async def find(self, connection: str, name: str) -> KeptRoster:
        """Return a roster. Raises NotFound."""
        record = await self._records.get(connection, name) if _may_be(name) else None
        if record is None:
            raise await self._none(connection, name)
        return self._shown(record, await in_thread(self._shelves.of(connection).look, name, pool="disk"))

    async def remove(self, connection: str, name: str) -> None:
        """Remove a roster: its list, its source and its token. Raises NotFound."""
        check_name(name)
        async with self._shelves.turn(connection) as shelf:
            record = await self._records.get(connection, name)
            if record is not None:
                await self._records.forget_list(record)
            try:
                was_there = await in_thread(shelf.remove, name, pool="disk")
            except OSError as error:
                raise FilesFailed(error) from None
            if not (await self._records.remove(connection, name) or was_there):
                raise await self._none(connection, name)

    async def entered(self, connection: str, name: str) -> RosterRecord:
        """Return what is known of a roster, entered where there is none, for whoever has the turn of the connection.

        Raises Refused where there is no room for another one, or one of the same letters in other cases.
        """
        found = await self._records.get(connection, name)
        if found is not None:
            return found
        others = [one.name for one in await self._records.listed(connection)]
        if len(others) >= MOST:
            raise Refused(
                f"A connection has {MOST} rosters at most.", "Remove one that is not needed.", code="TOO_MANY_ROSTERS"
            )
        same = next((other for other in others if other.casefold() == name.casefold()), None)
        if same is not None:  # on some disks that is the same file
            raise Refused(
                f"There is a roster `{same}`, whose name differs in capitals only.",
                "Use that name, or another one.",
                code="ROSTER_NAME_TAKEN",
            )
        try:
            return await self._records.enter(connection, name)
        except NoSuchConnection:
            await self._forget(connection)
            raise

    async def put(
        self,
        shelf: Shelf,
        record: RosterRecord,
        kind: RosterKind,
        content: bytes,
        accounts: int,
        *,
        tried_at: datetime | None = None,
    ) -> KeptRoster:
        """Put a parsed list on a shelf, for whoever has its turn. Raises FilesFailed: the one before stays then."""
        try:
            stored = await in_thread(shelf.put, record.name, kind, content, pool="disk")
        except OSError as error:
            is_new = record.file is None and record.source == "pushed"
            if is_new and await in_thread(shelf.look, record.name, pool="disk") is None:
                await self._records.remove(record.connection_id, record.name)
            raise FilesFailed(error) from None
        noted = await self._records.note_list(record, _file(stored), accounts, tried_at=tried_at)
        if noted is None:  # the connection was removed meanwhile, and its folder is there again
            await self._forget(record.connection_id)
            raise NoSuchConnection
        return self._shown(noted, stored)

    def _shown(self, record: RosterRecord, stored: StoredList | None) -> KeptRoster:
        shown = KeptRoster(
            name=record.name,
            source=record.source,
            url=record.url,
            accounts=record.accounts,
            received_at=record.received_at,
            age_seconds=self._age(record.received_at),
            tried_at=record.tried_at,
            reason=record.reason,
            created_at=record.created_at,
        )
        if record.file == (None if stored is None else _file(stored)):
            return shown
        said = "The list is not there any more." if stored is None else "Nothing is known of the list that lies there."
        how = "Push it again." if record.source == "pushed" else "Pull it again."
        return dataclasses.replace(
            shown, accounts=None, received_at=None, age_seconds=None, reason=record.reason or f"{said} {how}"
        )

    def _age(self, at: datetime | None) -> int | None:
        return None if at is None else max(0, int((self._clock.now() - at).total_seconds()))

    async def _none(self, connection: str, name: str) -> NotFound:
        names = [one.name for one in await self._records.listed(connection)]
        hint = did_you_mean(name[:128], names)
        return NotFound(
            f"There is no roster of this name. {hint}".rstrip(), "List those that there are.", code="NO_ROSTER"
        )


async def parsed(kind: RosterKind, content: bytes) -> Roster:
    """Return the accounts of a list. Raises Refused, with the lines and what to do."""
    from pingone_mcp.reports.rosters.files import parse_roster  # noqa: PLC0415 - hardly anybody pushes one

    return await in_thread(parse_roster, content, kind, pool="answers")


def _file(stored: StoredList) -> ListFile:
    return {"kind": stored.kind, "bytes": stored.size, "time": stored.time}


def _may_be(name: str) -> bool:
    try:
        check_name(name)
    except Refused:
        return False
    return True

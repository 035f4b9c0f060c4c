"""The connections of a process by the callers that reach them: opened as their rows say now, never for others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio

from pingone_mcp.errors import NoSuchConnection, Refused

if TYPE_CHECKING:
    from pingone_mcp.control.linked import LinkedConnection, LinkedConnections
    from pingone_mcp.service.backend import OpenBackend
    from pingone_mcp.service.callers import Caller
    from pingone_mcp.service.connections import Connections, ServedConnection

OpenLinked = Callable[["LinkedConnection"], "OpenBackend"]
"""Returns what opens the backend of a connection, with its credentials as they are then."""


class Paused(Refused):
    """A person has paused the connection."""

    def __init__(self) -> None:
        super().__init__(
            "This connection is paused, so nothing is asked for it.",
            "A person who manages connections resumes it.",
            code="CONNECTION_PAUSED",
        )


class Fleet:
    """Give connections to callers (`service.callers.ServedToCallers`). Rows may be changed by other processes too."""

    def __init__(self, linked: LinkedConnections, connections: Connections, open_linked: OpenLinked) -> None:
        self._linked = linked
        self._connections = connections
        self._open = open_linked
        self._epochs: dict[str, int] = {}
        self._turns: defaultdict[str, anyio.Lock] = defaultdict(anyio.Lock)

    async def served(self, caller: Caller, connection: str | None) -> ServedConnection:
        """Return a connection by its id; None names the only one that the caller reaches.

        Raises NoSuchConnection, also for one that the caller does not reach, Paused, and Refused where None could be
        several.
        """
        found = await self.find(caller, connection)
        if found.is_paused:
            raise Paused
        return await self.current(found)

    async def find(self, caller: Caller, connection: str | None) -> LinkedConnection:
        """Return what is known of a connection. Raises as `served` does, and nothing of one that is paused."""
        connection = connection or caller.only_connection
        if connection is None:
            return await self._only(caller)
        found = await self._linked.lately(connection)
        if found is None or not caller.reaches(found.id, found.tenant):
            raise NoSuchConnection
        return found

    async def meant(self, caller: Caller, connection: str | None) -> str | None:
        """Return the id of what `find` would return; None where it would raise."""
        try:
            return (await self.find(caller, connection)).id
        except (NoSuchConnection, Refused):
            return None

    async def reached(self, caller: Caller) -> list[LinkedConnection]:
        """Return all connections that a caller reaches, the oldest first."""
        tenant = caller.tenant if caller.connections is None else None
        found = await self._linked.listed(ids=caller.connections, tenant=tenant)
        return [one for one in found if caller.reaches(one.id, one.tenant)]

    async def current(self, linked: LinkedConnection) -> ServedConnection:
        """Return a connection opened as its row says: anew where that has changed since."""
        async with self._turns[linked.id]:
            if self._epochs.get(linked.id) != linked.epoch:
                await self._connections.add(linked.id, self._open(linked))
                self._epochs[linked.id] = linked.epoch
            return self._connections.find(linked.id)

    def opened(self) -> tuple[str, ...]:
        """Return the ids of the connections that are open."""
        return tuple(self._epochs)

    async def forget(self, connection: str) -> None:
        """Serve a connection no more, where it is served; returns when everything of it is closed."""
        async with self._turns[connection]:
            self._epochs.pop(connection, None)
            await self._connections.remove(connection)
        self._turns.pop(connection, None)

    async def _only(self, caller: Caller) -> LinkedConnection:
        reached = await self.reached(caller)
        if len(reached) == 1:
            return reached[0]
        if not reached:
            raise NoSuchConnection
        raise Refused(
            f"This credential reaches {len(reached)} connections, and it is not said which is meant.",
            "Name it with `integrated_account_id`.",
            code="WHICH_CONNECTION",
        )

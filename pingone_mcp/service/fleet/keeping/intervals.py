"""How often a connection is synced: changed by a caller without asking its provider anything."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pingone_mcp.advice import spelled
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import NoSuchConnection, Refused, Unconfigured
from pingone_mcp.service.fleet.linking import MadeByVariables

if TYPE_CHECKING:
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.service.callers import Caller
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.service.fleet.linking import Linking


class Intervals:
    """The use case."""

    def __init__(self, control: ControlData, fleet: Fleet, linking: Linking) -> None:
        self._control, self._fleet, self._linking = control, fleet, linking

    async def change(self, caller: Caller, connection: str, minutes: float) -> LinkedConnection:
        """Let so many minutes lie between two syncs of a connection; the next one comes no later than that.

        Raises NoSuchConnection, MadeByVariables, and Refused for what a setting may not be.
        """
        linked = await self._fleet.find(caller, connection)
        if linked.id == DEFAULT:
            raise MadeByVariables
        try:
            prepared = await self._linking.prepared({"sync_minutes": minutes}, linked.id)
        except Unconfigured as problem:
            why = " ".join(spelled(line, _plain) for line in problem.wrong) or spelled(problem.what, _plain)
            raise Refused(f"That is no interval. {why}", "Enter other minutes.", code="BAD_INTERVAL") from None
        connections = self._control.connections
        changed = await connections.update(linked.id, settings={"sync_minutes": prepared.settings["sync_minutes"]})
        if changed is None:
            raise NoSuchConnection
        soon = self._control.clock.now() + timedelta(minutes=minutes)
        if changed.next_sync_at is not None and changed.next_sync_at > soon:
            await connections.set_next_sync(linked.id, soon)
        return changed


def _plain(_: str, __: str | None = None) -> str:
    return "The number of minutes"

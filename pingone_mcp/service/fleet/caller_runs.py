"""The syncs of the connections that a caller reaches: which there were, and one more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pingone_mcp.errors import NoSuchConnection, Refused
from pingone_mcp.service.fleet.cursors import ListAsked, ListCursors, Paged
from pingone_mcp.service.fleet.fleet import Paused

if TYPE_CHECKING:
    from pingone_mcp.control.control import ControlData
    from pingone_mcp.control.sync_runs import RunRecord, RunStatus
    from pingone_mcp.service.callers import Caller
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.service.fleet.syncs import FleetSyncs


class CallerRuns:
    """The use cases of runs."""

    def __init__(self, control: ControlData, fleet: Fleet, syncs: FleetSyncs) -> None:
        self._runs, self._fleet, self._syncs = control.sync_runs, fleet, syncs
        self._cursors = ListCursors(control.derive("cursors of lists"), "runs")

    async def listed(
        self, asked: ListAsked, *, connection: str | None = None, status: RunStatus | None = None
    ) -> Paged[RunRecord]:
        """Return runs, the newest first, of one connection or of all that the caller reaches.

        Raises NoSuchConnection, and Refused for a cursor that is none, or whose place is gone.
        """
        if connection is None:
            ids = [one.id for one in await self._fleet.reached(asked.caller)]
        else:
            ids = [(await self._fleet.find(asked.caller, connection)).id]
        after = self._cursors.after(asked)
        if after is not None and await self._runs.get(after) is None:
            raise Refused("The run behind which this goes on is not kept any more.", code="STALE_CURSOR")
        found = await self._runs.listed(connections=ids, status=status, after=after, limit=asked.limit + 1)
        page, more = found[: asked.limit], len(found) > asked.limit
        return Paged(items=page, next_cursor=self._cursors.behind(asked, page[-1].id) if more else None)

    async def find(self, caller: Caller, run: str) -> RunRecord | None:
        """Return a run of a connection that the caller reaches; None for any other."""
        found = await self._runs.get(run)
        if found is None:
            return None
        try:
            await self._fleet.find(caller, found.connection_id)
        except NoSuchConnection:
            return None
        return found

    async def request(self, caller: Caller, connection: str | None) -> RunRecord:
        """Ask for a sync now; return its run. Raises NoSuchConnection, Paused, and Refused where several are meant."""
        linked = await self._fleet.find(caller, connection)
        if linked.is_paused:
            raise Paused
        try:
            return await self._syncs.request(linked)
        except LookupError:
            raise NoSuchConnection from None

"""Held removals: who could not be found, shown to a person, who says whether they are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pingone_mcp.errors import NoReplica, NoSuchConnection
from pingone_mcp.replica.evidence import OtherRemovals as OtherRemovals  # noqa: PLC0414 - faces name it from here
from pingone_mcp.service.fleet.fleet import Paused

if TYPE_CHECKING:
    from pingone_mcp.control.sync_runs import RunRecord
    from pingone_mcp.replica.browsing.doubtful import DoubtfulOnes as DoubtfulOnes  # noqa: PLC0414 - faces name it from here
    from pingone_mcp.service.callers import Caller
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.service.fleet.syncs import FleetSyncs

NAMED = 300
"""So many of those who could not be found are named to a person."""


class RemovalDesk:
    """The use cases. What is released is what was shown: of others, nothing is."""

    def __init__(self, fleet: Fleet, syncs: FleetSyncs) -> None:
        self._fleet, self._syncs = fleet, syncs

    async def shown(self, caller: Caller, connection: str) -> DoubtfulOnes | None:
        """Return who waits for a person's word; None where nobody does. Raises NoSuchConnection, Paused, Problem."""
        from pingone_mcp.replica.browsing.doubtful import doubtful_ones  # noqa: PLC0415 - start-up: hardly anybody asks

        served = await self._fleet.served(caller, connection)
        try:
            found, _ = await (await served.backend()).replica.read(lambda copy: doubtful_ones(copy, NAMED))
        except NoReplica:
            return None
        return found if found.are_there else None

    async def release(self, caller: Caller, connection: str, edition: str) -> RunRecord:
        """Ask for a sync that takes over that those are gone who were shown in an edition, if they still are not there.

        Return its run. Raises OtherRemovals where those who wait are not they any more, and as `shown` does.
        """
        linked = await self._fleet.find(caller, connection)
        if linked.is_paused:
            raise Paused
        found = await self.shown(caller, connection)
        if found is None or found.edition != edition:
            raise OtherRemovals
        try:
            return await self._syncs.release(linked, edition)
        except LookupError:
            raise NoSuchConnection from None

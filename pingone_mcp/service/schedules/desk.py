"""What the person who runs connections does with their schedules, at the shell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.service.schedules.schedules import ConnectionSchedules, NewSchedule, NoSchedule

if TYPE_CHECKING:
    from pingone_mcp.control.watching.schedules import ScheduleRecord
    from pingone_mcp.service.fleet.administration import FleetAdministration


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDesk:
    """The use cases by names of connections; None names that of the variables, and in a list all of them.

    `is_served` says whether a process of this state folder does what is due.
    """

    administration: FleetAdministration
    schedules: ConnectionSchedules
    is_served: Callable[[], bool]

    async def listed(self, connection: str | None) -> list[ScheduleRecord]:
        """Return schedules, the oldest first. Raises Refused for a connection that there is not."""
        if connection is None:
            return await self.schedules.listed([one.id for one in await self.administration.connections()])
        return await self.schedules.listed([(await self.administration.find(connection)).id])

    async def names(self) -> Mapping[str, str]:
        """Return what connections are called, by their ids."""
        return {linked.id: linked.name for linked in await self.administration.connections()}

    async def add(self, connection: str | None, new: NewSchedule) -> ScheduleRecord:
        """Add a schedule. Raises Refused for what it cannot be, and for a connection that there is not."""
        return await self.schedules.add((await self.administration.find(connection or DEFAULT)).id, new)

    async def remove(self, connection: str | None, schedule: str) -> ScheduleRecord:
        """Remove a schedule; return what it was. Raises NoSchedule, also for one of another connection."""
        found = await self._find(connection, schedule)
        await self.schedules.remove(found)
        return found

    async def run(self, connection: str | None, schedule: str) -> ScheduleRecord:
        """Let a schedule be due now. Raises as `remove` does, Refused and Paused."""
        return await self.schedules.run(await self._find(connection, schedule))

    async def _find(self, connection: str | None, schedule: str) -> ScheduleRecord:
        found = await self.schedules.find(schedule)
        if connection is not None and found.connection_id != (await self.administration.find(connection)).id:
            raise NoSchedule
        return found

"""Control data become the schedules of a person's commands."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from pingone_mcp.control.control import ControlPlace, open_control
from pingone_mcp.service.fleet.administration import FleetAdministration
from pingone_mcp.service.schedules.desk import ScheduleDesk
from pingone_mcp.service.schedules.kinds import kinds_of
from pingone_mcp.service.schedules.schedules import ConnectionSchedules
from pingone_mcp.wiring.alone import is_served
from pingone_mcp.wiring.fleet import LinkedFiles, keep_default, linking_of

if TYPE_CHECKING:
    from pingone_mcp.settings.parts import ConnectionSettings


@asynccontextmanager
async def open_schedules(place: ControlPlace, environment: ConnectionSettings | None) -> AsyncIterator[ScheduleDesk]:
    """Open control data for a person's commands on schedules. Raises Unconfigured."""
    async with open_control(place) as control:
        if environment is not None:  # what a process that serves has written of it stays
            await keep_default(control, environment, renewed=False)
        linking = linking_of(control, LinkedFiles(place.folder), _nothing, environment=environment)
        yield ScheduleDesk(
            administration=FleetAdministration(control, linking),
            schedules=ConnectionSchedules(control, kinds_of()),
            is_served=partial(is_served, place.folder),
        )


async def _nothing(_: str) -> None:
    """Close nothing: this process serves no connection."""

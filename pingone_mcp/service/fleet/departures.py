"""Connections that were paused or removed, by another process perhaps: nothing is asked for them here any more."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pingone_mcp.errors import Problem

if TYPE_CHECKING:
    from pingone_mcp.clock import Clock
    from pingone_mcp.control.linked import LinkedConnections
    from pingone_mcp.service.fleet.fleet import Fleet

LOOK_SECONDS = 2.0
_logger = logging.getLogger(__name__)

ForgetFiles = Callable[[str], Awaitable[object]]
"""Removes every file of a connection."""


class Departures:
    """Close what is open of such connections, as long as `run` goes on."""

    def __init__(self, fleet: Fleet, linked: LinkedConnections, forget_files: ForgetFiles, clock: Clock) -> None:
        self._fleet, self._linked, self._forget_files, self._clock = fleet, linked, forget_files, clock

    async def run(self) -> None:
        """Look again and again, for as long as this task lives."""
        while True:
            try:
                await self.look()
            except Problem as problem:
                _logger.warning("Whether connections were removed could not be found out: %s", problem)
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Close what was paused, and what was removed; of that no file stays, which a sync may just have written."""
        opened = self._fleet.opened()  # first: what is opened meanwhile is in no list of before
        if not opened:
            return
        there = {one.id: one for one in await self._linked.listed(ids=opened)}
        for connection in opened:
            one = there.get(connection)
            if one is None or one.is_paused:
                await self._fleet.forget(connection)
            if one is None:
                await self._forget_files(connection)

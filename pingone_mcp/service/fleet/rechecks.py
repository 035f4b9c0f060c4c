"""Connections whose credentials were refused, checked again: what their status says is true of today.

A question that PingOne refuses is noted here by whoever has opened the connection. A look checks each connection once,
however many of its questions were refused, and from time to time those that need new credentials: who has mended them
in PingOne need say so nowhere.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pingone_mcp.control.linked import NOT_WORKING
from pingone_mcp.current_connection import working_for
from pingone_mcp.errors import NoSuchConnection, Problem
from pingone_mcp.tasks import each

if TYPE_CHECKING:
    from pingone_mcp.clock import Clock
    from pingone_mcp.control.linked import LinkedConnection, LinkedConnections
    from pingone_mcp.service.checks import Heard, Step

LOOK_SECONDS = 1.0
"""Between two looks at what was refused."""
AGAIN_SECONDS = 60.0
"""Between two checks of a connection at least, while its questions are refused."""
RECOVERY_SECONDS = 300.0
"""Between two checks of a connection that needs new credentials."""
_AT_ONCE = 3
_logger = logging.getLogger(__name__)

Check = Callable[[str, "Heard"], Awaitable["LinkedConnection"]]
"""Checks the connection of an id, and notes what comes of it as its status (`Linking.check`)."""


class Refusals:
    """The connections that a question was refused for, each once until somebody looks."""

    def __init__(self) -> None:
        self._connections: set[str] = set()

    def note(self, connection: str) -> None:
        self._connections.add(connection)

    def noted(self) -> frozenset[str]:
        return frozenset(self._connections)

    def forget(self, connection: str) -> None:
        self._connections.discard(connection)


class Rechecks:
    """Check connections again as long as `run` goes on. What comes of one harms no other."""

    def __init__(self, refusals: Refusals, linked: LinkedConnections, check: Check, clock: Clock) -> None:
        self._refusals = refusals
        self._linked = linked
        self._check = check
        self._clock = clock
        self._checked_at: dict[str, float] = {}
        self._looked_at = -math.inf

    async def run(self) -> None:
        """Look again and again, for as long as this task lives."""
        while True:
            try:
                await self.look()
            except Problem as problem:
                _logger.warning("No connection was checked again just now: %s", problem)
            await self._clock.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Check those whose questions were refused, and those that have not worked for a while."""
        refused = [one for one in self._refusals.noted() if self._is_due(one, AGAIN_SECONDS)]
        await each(self._checked, [*refused, *await self._waiting(refused)], at_once=_AT_ONCE)

    async def _waiting(self, refused: list[str]) -> list[str]:
        now = self._clock.monotonic()
        if now - self._looked_at < AGAIN_SECONDS:
            return []
        self._looked_at = now
        listed = await self._linked.listed()
        there = {one.id for one in listed}
        self._checked_at = {one: at for one, at in self._checked_at.items() if one in there}
        need = [one.id for one in listed if one.status in NOT_WORKING and one.id not in refused]
        return [one for one in need if self._is_due(one, RECOVERY_SECONDS)]

    def _is_due(self, connection: str, seconds: float) -> bool:
        return self._clock.monotonic() - self._checked_at.get(connection, -math.inf) >= seconds

    async def _checked(self, connection: str) -> None:
        self._checked_at[connection] = self._clock.monotonic()
        # What is refused from now on may be news.
        self._refusals.forget(connection)
        with working_for(connection):
            try:
                await self._check_one(connection)
            except NoSuchConnection:
                pass  # it was removed meanwhile
            except Problem as problem:
                _logger.warning("The connection could not be checked: %s", problem)
            except Exception:  # whatever it is, it ends no check of another connection
                _logger.exception("The check of the connection failed")

    async def _check_one(self, connection: str) -> None:
        before = await self._linked.get(connection)
        if before is None or before.is_paused:
            return
        after = await self._check(connection, _unheard)
        if before.status != after.status:
            _logger.info("The status of the connection is %s now; it was %s.", after.status, before.status)
        if before.status in NOT_WORKING and after.status == "active":
            await self._linked.set_next_sync(connection, self._clock.now())  # its syncs wait for ever longer


def _unheard(_: Step) -> None:
    """Hear nothing: nobody waits for this check-up."""

"""Deliveries that show another secret: an alarm where there are several, for the provider sends nothing behind them.

Somebody has changed the secret here and not there, or there and not here; or a stranger tries.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.errors import Problem

if TYPE_CHECKING:
    from pingone_mcp.clock import Clock
    from pingone_mcp.control.receiving.hook_secrets import HookSecrets

LOOK_SECONDS = 60.0
BURST = 3
"""So many in one series are no accident. A provider may wait long before it sends a refused batch again."""
SILENT = timedelta(hours=1)
"""Between two warnings about one connection."""
_logger = logging.getLogger(__name__)


class HookRefusals:
    """Looks again and again at what was refused, and notes it where other processes read it.

    Not when it is refused: the answer takes as long for a connection that there is not.
    """

    def __init__(self, secrets: HookSecrets, clock: Clock) -> None:
        self._secrets, self._clock = secrets, clock
        self._noted: dict[str, int] = {}
        self._warned: dict[str, datetime] = {}

    async def run(self) -> None:
        """Look for as long as this task lives."""
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Problem as problem:
                _logger.warning("What hooks refused was not noted just now: %s", problem)

    async def look(self) -> None:
        """Note what was refused since the last look, and warn of a burst. Raises ControlUnavailable."""
        for connection, count in self._secrets.refused().items():
            more = count - self._noted.get(connection, 0)
            if not more:
                continue
            series = await self._secrets.note_refused(connection, more)
            self._noted[connection] = count
            if series is None or series.count < BURST or not self._may_warn(connection):
                continue
            self._warned[connection] = self._clock.now()
            _logger.warning(
                "%d deliveries to the hook of connection %s showed another secret since %s, and were refused. What "
                "`pingone-mcp connections hook` prints is to be entered at the provider; until then it sends nothing.",
                series.count,
                connection,
                timestamp(series.since),
            )

    def _may_warn(self, connection: str) -> bool:
        before = self._warned.get(connection)
        return before is None or self._clock.now() - before >= SILENT

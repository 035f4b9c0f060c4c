"""PingOne as the `Source` of a local copy; what is not urgent is read in the background."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from pingone_mcp.clock import Clock
from pingone_mcp.directory.models import JsonObject, Organization
from pingone_mcp.directory.scope import Scope
from pingone_mcp.pingone.feed import audit
from pingone_mcp.pingone.feed.environment import PingOneEnvironment
from pingone_mcp.pingone.feed.events import wanted_by_environment
from pingone_mcp.pingone.served import Served
from pingone_mcp.replica.source import Wanted


class PingOneSource:
    """Read PingOne for a sync; each method is explained in `replica.source.Source`."""

    keeps_events: timedelta = audit.WINDOW

    def __init__(self, served: Served) -> None:
        self._served = served
        connection = served.connection
        self.scope: Scope = connection.scope
        self.identity: tuple[str, ...] = (connection.api_base, connection.credentials.client_id)
        self.attributes: Mapping[str, str] = connection.attributes
        self.page_size: int = connection.pace.page_size
        self.clock: Clock = served.clock

    def now(self) -> datetime:
        return self._served.now()

    def ahead(self) -> float:
        return self._served.ahead()

    async def settle_time(self) -> None:
        client = self._served.client
        if client.server_now() is None:
            await self._served.names.environments()
        await client.settle_server_time()

    async def environments(self) -> tuple[Organization, ...]:
        return await self._served.names.environments()

    def wanted(self, events: Iterable[JsonObject]) -> dict[str, Wanted]:
        return wanted_by_environment(events)

    def environment(self, identity: str, *, remote_data: bool, urgent: bool = False) -> PingOneEnvironment:
        return PingOneEnvironment(self._served, identity, remote_data=remote_data, background=not urgent)

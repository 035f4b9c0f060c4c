"""What happens to connections and their syncs, said to webhooks: written in the transaction in which it happens."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import JsonValue
from sqlalchemy import select

from pingone_mcp.control.announcing.rows import shown_account, shown_run
from pingone_mcp.control.database import Database
from pingone_mcp.control.outbox import Outbox
from pingone_mcp.control.tables import CONNECTIONS

if TYPE_CHECKING:
    from pingone_mcp.control.linked import AccountEvent, LinkedConnection, LinkStatus
    from pingone_mcp.control.sync_runs import RunEvent, RunRecord

_BROKEN: Mapping[LinkStatus, AccountEvent] = MappingProxyType(
    {
        "needs_reauth": "authentication_error",
        "validation_error": "validation_error",
        "post_install_error": "post_install_error",
    }
)


class Announcements:
    """Write events of connections and runs into an outbox. Each method joins the transaction that is open."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        self._database, self._outbox = database, outbox

    async def account(self, event: AccountEvent, linked: LinkedConnection) -> None:
        """Say that something happened to a connection."""
        row = shown_account(linked)
        shown = {name: row["integration"][name] for name in ("id", "name")}
        payload = {**row, "integration": {**shown, "config": {"label": row["integration"]["label"]}}}
        await self._add(f"integrated_account:{event}", payload, linked.id, linked.tenant)

    async def turned(self, before: LinkStatus, linked: LinkedConnection) -> None:
        """Say how the status of a connection has changed, where it has."""
        if before == linked.status:
            return
        if linked.status == "active":
            await self.account("reactivated" if before in _BROKEN else "active", linked)
        elif linked.status in _BROKEN:
            await self.account(_BROKEN[linked.status], linked)

    async def removed(self, linked: LinkedConnection) -> None:
        """Say that a connection is gone; nothing else of it is said."""
        await self._add("integrated_account:deleted", {"id": linked.id}, linked.id, linked.tenant)

    async def run(self, event: RunEvent, run: RunRecord) -> None:
        """Say what became of a run of a sync."""
        await self._add(f"sync_job_run:{event}", shown_run(run), run.connection_id, await self._tenant(run))

    async def held(self, run: RunRecord) -> None:
        """Say that a sync found so many gone that a person is asked first."""
        payload: dict[str, JsonValue] = {
            "integrated_account_id": run.connection_id,
            "sync_job_run_id": run.id,
            "reason": run.reason,
        }
        await self._add("directory:held", payload, run.connection_id, await self._tenant(run))

    async def _tenant(self, run: RunRecord) -> str | None:
        async with self._database.read() as connection:
            return await connection.scalar(select(CONNECTIONS.c.tenant).where(CONNECTIONS.c.id == run.connection_id))

    async def _add(self, event: str, payload: Mapping[str, JsonValue], connection: str, tenant: str | None) -> None:
        await self._outbox.add(event, payload, connection_id=connection, tenant=tenant)

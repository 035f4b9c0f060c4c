"""A visitor who keeps a connection in order: its pages, and what happens to it meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio

from pingone_mcp.replica.syncing.run import SyncReport
from pingone_mcp.sandbox.company.roles import Narrowing
from tests.web.pages.linking.visitors import Visitor


@dataclass(kw_only=True)
class Keeper(Visitor):
    """The visitor of `acme`."""

    @property
    def root(self) -> str:
        return f"/c/{self.face.acme.id}"

    async def replica(self) -> Any:
        estate = self.face.estate
        return (await (await estate.fleet.current(self.face.acme)).backend()).replica

    async def sync(self) -> SyncReport:
        """Read everything, as somebody at the shell does."""
        report: SyncReport = await (await self.replica()).sync("full", report=lambda *_: None)
        return report

    def hide(self, count: int) -> list[str]:
        """Hide so many users, as a role that was narrowed does; return their user names."""
        sandbox = self.face.estate.company("acme").sandbox
        hidden = list(sandbox.users())[:count]
        sandbox.narrow(sandbox.environment_id, Narrowing(hidden=frozenset(user["id"] for user in hidden)))
        return [user["username"] for user in hidden]

    async def users(self) -> int:
        return int((await (await self.replica()).state()).users)

    async def until_synced(self) -> None:
        """Wait until no run of a sync waits or goes on."""
        runs = self.face.estate.control.sync_runs
        with anyio.fail_after(60):
            while any(one.ended_at is None for one in await runs.listed(connections=[self.face.acme.id])):  # noqa: ASYNC110 - as in test_syncs
                await anyio.sleep(0.005)

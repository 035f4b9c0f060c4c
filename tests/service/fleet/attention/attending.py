"""An estate whose matters are looked at, and its syncs, which are run one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import anyio

from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.control.sync_runs import RunRecord
from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.sandbox.options import Options
from pingone_mcp.service.callers import Permission
from pingone_mcp.service.fleet.attention.desk import KeepingDesk, keeping_desk
from pingone_mcp.service.fleet.attention.matters import Matter, MatterKind
from pingone_mcp.service.fleet.syncs import FleetSyncs
from pingone_mcp.tasks import background
from pingone_mcp.wiring.fleet import hook_place
from tests.fleets import Estate, caller, estate

ALL: tuple[Permission, ...] = get_args(Permission)
EVERYBODY = caller(permissions=ALL)


@dataclass(kw_only=True)
class Attended:
    """The estate, `acme` that is linked to it, and the use cases."""

    estate: Estate
    acme: LinkedConnection
    desk: KeepingDesk
    syncs: FleetSyncs

    async def matters(self, connection: LinkedConnection | None = None) -> list[Matter]:
        return await self.desk.attention.of_connection(EVERYBODY, (connection or self.acme).id)

    async def kinds(self) -> list[MatterKind]:
        """Return the kinds of what needs a person, of `acme`, as whoever may do everything sees them."""
        return [one.kind for one in await self.matters()]

    async def sync(self, linked: LinkedConnection | None = None) -> RunRecord:
        """Sync, and return what came of it."""
        return await self.ended(await self.syncs.request(linked or self.acme))

    async def ended(self, run: RunRecord) -> RunRecord:
        """Wait until a run has ended, and nothing of its connection is under way."""
        with anyio.fail_after(60):
            while True:
                while self.syncs._under_way:  # noqa: SLF001, ASYNC110 - nobody says so
                    await anyio.sleep(0.005)
                found = await self.estate.control.sync_runs.get(run.id)
                assert found is not None
                if found.ended_at is not None:
                    return found
                await anyio.sleep(0.005)

    def passes(self, seconds: float) -> None:
        """Let time pass, here and at every company."""
        self.estate.time.passed += seconds
        for world in self.estate.worlds.values():
            world.sandbox.clock.advance(seconds)

    def hide(self, count: int | None = None) -> list[str]:
        """Hide users of the company, as a role that was narrowed does; return their ids."""
        sandbox = self.estate.company("acme").sandbox
        hidden = [user["id"] for user in sandbox.users()][:count]
        sandbox.narrow(sandbox.environment_id, Narrowing(hidden=frozenset(hidden)))
        return hidden

    def show(self) -> None:
        """Let everybody be seen again."""
        sandbox = self.estate.company("acme").sandbox
        sandbox.narrow(sandbox.environment_id)

    async def users(self) -> int:
        """Return how many users the copy has who are not removed."""
        backend = await (await self.estate.fleet.current(self.acme)).backend()
        state = await backend.replica.state()
        assert state is not None
        return state.users


@asynccontextmanager
async def attended(folder: Path) -> AsyncIterator[Attended]:
    """Open an estate whose company hides whom a role does not reach: they answer 404, as who was removed."""
    async with estate(folder, options=Options(unreachable_user_status=404)) as opened, background() as tasks:
        syncs = FleetSyncs(opened.control, opened.fleet, tasks, opened.time.clock())
        desk = keeping_desk(
            opened.control,
            opened.fleet,
            opened.administration.linking,
            syncs,
            rosters=opened.rosters,
            hooks=hook_place("https://directory.example.com"),
        )
        acme = await opened.link("acme", tenant="customer")
        yield Attended(estate=opened, acme=acme, desk=desk, syncs=syncs)

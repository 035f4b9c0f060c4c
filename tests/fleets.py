"""Several companies, each behind a PingOne of its own, and what links and serves them in one process."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from pingone_mcp.control.control import ControlData, ControlPlace, open_control
from pingone_mcp.control.linked import LinkedConnection
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import Unreachable
from pingone_mcp.replica.queries.processes import Queries
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from pingone_mcp.service.callers import Caller, Permission
from pingone_mcp.service.checks import Step
from pingone_mcp.service.connections import Connections
from pingone_mcp.service.fleet.administration import FleetAdministration
from pingone_mcp.service.fleet.fleet import Fleet
from pingone_mcp.service.fleet.linking import LinkRequest
from pingone_mcp.service.fleet.rechecks import Refusals
from pingone_mcp.service.rosters.desk import RosterDesk
from pingone_mcp.service.rosters.pulling import Applications, ReadList, ReadUsers
from pingone_mcp.settings.parts import ConnectionSettings
from pingone_mcp.settings.targets import TargetRules
from pingone_mcp.tasks import background
from pingone_mcp.wiring import Provider, open_pingone
from pingone_mcp.wiring.fleet import LinkedBackends, LinkedFiles, linking_of, rosters_of
from tests.databases import make_tables
from tests.world import NOW, Time, World

SIZE = 40


@dataclass(kw_only=True)
class Estate:
    """Control data, the companies that connections lead to, and what serves them. `time` is everybody's."""

    folder: Path
    time: Time
    control: ControlData
    connections: Connections
    fleet: Fleet
    administration: FleetAdministration
    worlds: dict[str, World]
    steps: list[Step]
    refusals: Refusals
    rosters: RosterDesk
    applications: dict[str, ReadUsers]
    """What reads the list at each URL that a roster is pulled from."""
    size: int = SIZE
    options: Options = field(default_factory=Options)

    def company(self, name: str) -> World:
        """Return a company, founded when it is first asked for."""
        if name not in self.worlds:
            sandbox = Sandbox(
                self.size, seed=name, options=self.options, now=NOW, customers=4, base_url=f"https://{name}.test"
            )
            self.worlds[name] = World(sandbox=sandbox, cache=self.folder / "unused", time=self.time)
        return self.worlds[name]

    def values(self, name: str, **changes: Any) -> dict[str, Any]:
        """Return what a person enters to link a company."""
        sandbox = self.company(name).sandbox
        return {
            "environment_id": sandbox.environment_id,
            "client_id": sandbox.client_id,
            "client_secret": sandbox.client_secret,
            "api_url": f"{sandbox.base_url}/v1",
            "auth_url": sandbox.base_url,
            **changes,
        }

    async def link(self, name: str, *, tenant: str | None = None, **changes: Any) -> LinkedConnection:
        request = LinkRequest(values=self.values(name, **changes), name=name, tenant=tenant)
        return await self.administration.linking.connect(request, self.steps.append)

    @contextmanager
    def another_secret(self, name: str) -> Iterator[None]:
        """Let a company's application have another secret for a while, as somebody changes it in PingOne."""
        sandbox = self.company(name).sandbox
        application = sandbox.application
        sandbox.application = dataclasses.replace(application, client_secret="another")
        try:
            yield
        finally:
            sandbox.application = application

    @asynccontextmanager
    async def opened(self, settings: ConnectionSettings, identity: str = DEFAULT) -> AsyncIterator[Provider]:
        """Open the provider that settings lead to: the company at their address, or the one whose environment it is.

        The latter is what PingOne's own addresses are, which lead to all of them.
        """
        if settings.api_url is None:
            [world] = [one for one in self.worlds.values() if one.sandbox.environment_id == settings.environment_id]
            base = world.sandbox.base_url
            settings = settings.model_copy(update={"api_url": f"{base}/v1", "auth_url": base})
        else:
            [world] = [one for one in self.worlds.values() if f"{one.sandbox.base_url}/v1" == settings.api_url]
        transport, clock = world.sandbox.transport(), self.time.clock()
        async with open_pingone(settings, identity, transport=transport, clock=clock) as provider:
            yield provider


@asynccontextmanager
async def estate(
    folder: Path,
    *,
    size: int = SIZE,
    given: Mapping[str, str] | None = None,
    database_url: SecretStr | None = None,
    after: Estate | None = None,
    options: Options | None = None,
) -> AsyncIterator[Estate]:
    """Open an estate without companies, whose files are in a folder, as `serve` opens what it serves.

    Companies that are founded have `size` users and these `options`. `given` are settings that hold for each
    connection, such as files that somebody has laid out. One that comes `after` another has its time and its companies:
    it is the next process.
    """
    time, connections, refusals = after.time if after is not None else Time(), Connections(), Refusals()
    place = ControlPlace(folder=folder / "state", database_url=database_url)
    files = LinkedFiles(place.folder)
    applications: dict[str, ReadUsers] = {}

    async def read_users(url: str, token: SecretStr | None) -> ReadList:
        if url not in applications:
            raise Unreachable("No application answers there.")
        return await applications[url](url, token)

    def open_provider(settings: ConnectionSettings, identity: str) -> AbstractAsyncContextManager[Provider]:
        return made.opened(settings, identity)

    async with AsyncExitStack() as stack:
        make_tables(place)
        control = await stack.enter_async_context(open_control(place, time.clock()))
        tasks = await stack.enter_async_context(background())
        queries = await stack.enter_async_context(aclosing(Queries()))
        await stack.enter_async_context(connections.serving())
        backends = LinkedBackends(
            control=control,
            files=files,
            queries=queries,
            given=given or {},
            open_provider=open_provider,
            refused=refusals.note,
        )
        fleet = Fleet(control.connections, connections, backends)
        linking = linking_of(control, files, fleet.forget, open_provider)
        asked = Applications(read_users=read_users, may_read=TargetRules().allow_url, tasks=tasks)
        made = Estate(
            folder=folder,
            time=time,
            control=control,
            connections=connections,
            fleet=fleet,
            administration=FleetAdministration(control, linking),
            worlds=after.worlds if after is not None else {},
            steps=[],
            refusals=refusals,
            size=size,
            options=options or Options(),
            rosters=rosters_of(control, files, asked),
            applications=applications,
        )
        yield made


def caller(
    *connections: str, tenant: str | None = None, permissions: tuple[Permission, ...] = ("directory.read",)
) -> Caller:
    """Return a caller that reaches these connections; without any, those of a tenant or all."""
    return Caller(
        kind="api_key",
        client_id=f"key:{'-'.join(connections) or tenant or 'all'}",
        issuer="local",
        subject=tenant or "somebody",
        permissions=frozenset(permissions),
        connections=frozenset(connections) if connections else None,
        tenant=tenant,
    )


async def copy_of(opened: Estate, linked: LinkedConnection) -> Path:
    """Return the file of the local copy of a connection."""
    return (await (await opened.fleet.current(linked)).backend()).replica.store.path


async def damage_copy(opened: Estate, linked: LinkedConnection) -> None:
    """Write over the local copy of a connection what is no database."""
    file = await copy_of(opened, linked)
    for one in file.parent.glob(f"{file.name}-*"):
        one.unlink()
    file.write_bytes(b"no database" * 1_000)

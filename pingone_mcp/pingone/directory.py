"""PingOne as a `Directory`: environments and populations as one flat list, read live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx

from pingone_mcp.clock import Clock
from pingone_mcp.directory.coverage import DeactivatedPage
from pingone_mcp.directory.matching.filterable import configured
from pingone_mcp.directory.models import (
    AuditEntry,
    Description,
    Group,
    Member,
    Organization,
    Role,
    User,
    Workspace,
)
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import (
    AuditQuestion,
    DeactivatedQuestion,
    GroupQuestion,
    MemberQuestion,
    Profile,
    Provenance,
    Question,
    UserQuestion,
)
from pingone_mcp.errors import Refused
from pingone_mcp.pingone import filters
from pingone_mcp.pingone.api.client import Client, open_client
from pingone_mcp.pingone.asking.audit import Audit
from pingone_mcp.pingone.asking.deactivated import DeactivatedUsers
from pingone_mcp.pingone.asking.description import describe
from pingone_mcp.pingone.asking.groups import Groups
from pingone_mcp.pingone.asking.users import Users
from pingone_mcp.pingone.connection import Connection
from pingone_mcp.pingone.feed.hooks.subscriptions import PingOneSubscriptions
from pingone_mcp.pingone.feed.source import PingOneSource
from pingone_mcp.pingone.feed.walk import Walk, walking
from pingone_mcp.pingone.proxy.native import PingOneApi
from pingone_mcp.pingone.served import Served


@asynccontextmanager
async def open_directory(
    connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None, clock: Clock | None = None
) -> AsyncIterator[PingOneDirectory]:
    """Open the directory behind a connection; nothing is sent before the first question."""
    clock = clock or Clock()
    async with open_client(connection, transport=transport, clock=clock) as client:
        yield PingOneDirectory(client, clock)


class PingOneDirectory:
    """Answer directory questions from PingOne; each method is described in `Directory`."""

    def __init__(self, client: Client, clock: Clock) -> None:
        self._served = Served(client, clock)
        self.on_refusal = client.on_refusal
        self._users = Users(self._served)
        self._deactivated = DeactivatedUsers(self._served)
        self._groups = Groups(self._served)
        self._audit = Audit(self._served)
        self.native = PingOneApi(self._served)
        connection = client.connection
        self.profile = Profile(
            provider="PingOne",
            region=connection.endpoints.region,
            scope=connection.scope,
            filterable=configured(filters.USERS, connection.attributes),
        )
        self.feed = PingOneSource(self._served)
        """What the sync of a local copy reads."""
        self.subscriptions = PingOneSubscriptions(self._served)
        """What its environments were asked to send."""

    @property
    def served(self) -> Served:
        """What is read from PingOne, below the questions: for the sync of the local copy."""
        return self._served

    async def provenance(self, question: Question | None = None, at: Position | None = None) -> Provenance:  # noqa: ARG002 - always live
        return Provenance()

    async def users(
        self, question: UserQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[User]:
        return await self._users.page(question, at, page_size=page_size)

    async def user(self, reference: str, *, environment: str | None = None, remote_data: bool = False) -> User:
        return await self._users.get(reference, environment=environment, remote_data=remote_data)

    async def deactivated(
        self, question: DeactivatedQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> DeactivatedPage:
        return await self._deactivated.page(question, at, page_size=page_size)

    async def groups(
        self, question: GroupQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[Group]:
        return await self._groups.page(question, at, page_size=page_size)

    async def group(self, reference: str, *, environment: str | None = None) -> Group:
        return await self._groups.get(reference, environment=environment)

    async def members(
        self, question: MemberQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[Member]:
        return await self._groups.members(question, at, page_size=page_size)

    async def audit(
        self, question: AuditQuestion, at: Position | None = None, *, page_size: int | None = None
    ) -> Page[AuditEntry]:
        return await self._audit.page(question, at, page_size=page_size)

    async def roles(self) -> tuple[Role, ...]:
        return await self._served.names.roles()

    async def describe(self) -> Description:
        return await describe(self._served)

    @asynccontextmanager
    async def walk(
        self, environment: str | None = None, *, ledger: Path | None = None, remote_data: bool = False
    ) -> AsyncIterator[Walk[User]]:
        """Walk over all users of one environment (the only one, if none is named); see `walking`. Raises Refused."""
        places = await self._served.environment_ids(environment)
        if len(places) != 1:
            raise Refused(
                f"{len(places)} environments are served, and a walk goes over one.",
                "Give an `environment`.",
                code="AMBIGUOUS_NAME",
            )
        making = partial(self._served.people.made_users, places[0], remote_data=remote_data)
        async with walking(self._served, places[0], making, ledger=ledger) as walk:
            yield walk

    async def environments(self) -> tuple[Organization, ...]:
        return await self._served.names.environments()

    async def populations(self, environment: str | None = None) -> tuple[Workspace, ...]:
        served = self._served
        for first in await served.environment_ids(environment):
            found = await served.names.populations(first)
            return tuple(place for place in found if served.connection.scope.has_population(place.id))
        return ()

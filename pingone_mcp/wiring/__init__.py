"""Settings become a provider, its local copy and what answers for both: the only place that knows all of them.

A provider is one folder, a function here that opens it, and one line of `PROVIDERS`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import httpx

from pingone_mcp.clock import Clock
from pingone_mcp.current_connection import DEFAULT, working_for
from pingone_mcp.directory.models import Organization
from pingone_mcp.directory.native import NativeApi
from pingone_mcp.directory.paging.cursor import CursorSeal
from pingone_mcp.directory.provider import Directory
from pingone_mcp.directory.subscriptions import Subscriptions
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.pingone.checkup import open_checkup
from pingone_mcp.pingone.connection import Connection, connection_of
from pingone_mcp.pingone.directory import open_directory
from pingone_mcp.private_files import PrivateFolder
from pingone_mcp.replica.queries.processes import Queries
from pingone_mcp.replica.replica import Replica
from pingone_mcp.replica.source import Source
from pingone_mcp.replica.store.readers import Readers
from pingone_mcp.replica.store.store import Store, copy_path
from pingone_mcp.replica.syncing.task import SyncOptions
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.checks import KnownPlace, SeenPlace
from pingone_mcp.service.files.exports import Exports
from pingone_mcp.service.files.role_rules import RuleFiles
from pingone_mcp.service.files.rosters import Rosters
from pingone_mcp.service.journal import Journal
from pingone_mcp.service.rosters.shelf import shelf_in
from pingone_mcp.service.writes import WriteRules
from pingone_mcp.settings import Settings
from pingone_mcp.settings.given import state_folder
from pingone_mcp.settings.parts import ALL, ConnectionSettings
from pingone_mcp.tasks import each

if TYPE_CHECKING:
    from pingone_mcp.sandbox.app import Sandbox
    from pingone_mcp.service.checks import Step

    OpenCheckup = Callable[[], AbstractAsyncContextManager[AsyncIterator[Step]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """What a provider is to everybody above it.

    `key` names the files about what this connection shows of which directory, and `seal` the secret from which the
    seal of its cursors comes: its holder can ask the provider anyway, nobody else can forge a cursor. `checkup` opens
    what verifies the connection step by step, where there is such a thing. `on_refusal` takes what is to be called
    whenever the credentials are refused. `application` is the id of the client as which it is asked, where it has one,
    and `subscriptions` are what it was asked to send, where it sends events.
    """

    directory: Directory
    source: Source
    key: str
    seal: bytes
    native: NativeApi | None = None
    checkup: OpenCheckup | None = None
    on_refusal: Callable[[Callable[[], None]], None] | None = None
    application: str | None = None
    subscriptions: Subscriptions | None = None


CONNECTIONS = "connections"
"""What the folder of the folders of connections is called, in the state folder."""

OpenProvider = Callable[[ConnectionSettings, str], AbstractAsyncContextManager[Provider]]
"""Opens a provider as settings describe it, for the connection of an id."""


@asynccontextmanager
async def open_pingone(
    settings: ConnectionSettings,
    identity: str = DEFAULT,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Provider]:
    """Open PingOne over the network, or over a `transport` of the caller's. Raises Unconfigured."""
    connection = connection_of(settings, identity)
    async with open_directory(connection, transport=transport, clock=clock) as directory:
        yield Provider(
            directory=directory,
            source=directory.feed,
            key=connection.key,
            seal=_cursor_secret(connection),
            native=directory.native,
            checkup=partial(open_checkup, connection, transport=transport, clock=clock),
            on_refusal=directory.on_refusal,
            application=connection.credentials.client_id,
            subscriptions=directory.subscriptions,
        )


@asynccontextmanager
async def open_sample(settings: ConnectionSettings, identity: str = DEFAULT) -> AsyncIterator[Provider]:
    """Open the sample company, which lives in this process and sends its webhooks from here."""
    from pingone_mcp.sandbox.app import Sandbox  # noqa: PLC0415 - hardly anybody serves it

    sandbox = Sandbox()
    async with (
        sandbox.sending(),
        open_pingone(_leading_to(sandbox, settings), identity, transport=sandbox.transport()) as provider,
    ):
        yield provider


PROVIDERS: Mapping[str, OpenProvider] = MappingProxyType({"pingone": open_pingone, "sample": open_sample})


@asynccontextmanager
async def open_backend(
    settings: ConnectionSettings,
    open_provider: OpenProvider | None = None,
    *,
    identity: str = DEFAULT,
    queries: Queries | None = None,
    readers: Readers | None = None,
    refused: Callable[[], None] | None = None,
    own: PrivateFolder | None = None,
) -> AsyncIterator[Backend]:
    """Open the provider that is configured, or another one, and what answers about it, for the connection of an id.

    Connections of one process may share their `queries` and `readers`. `refused` is called whenever the provider
    refuses the credentials; `own` is the folder of what was pushed to this connection (`own_folder`). Raises
    Unconfigured.
    """
    opening = open_provider or _configured(settings)
    async with AsyncExitStack() as stack:
        stack.enter_context(working_for(identity))
        provider = await stack.enter_async_context(opening(settings, identity))
        if refused is not None and provider.on_refusal is not None:
            provider.on_refusal(refused)
        if queries is None:
            queries = await stack.enter_async_context(aclosing(Queries()))
        readers = readers or Readers()
        replica = replica_of(settings, provider, queries, readers)
        stack.callback(readers.close, replica.store.path)
        cache = settings.cache_folder()
        yield Backend(
            directory=provider.directory,
            native=provider.native,
            replica=replica,
            copy=replica.directory(provider.directory),
            exports=Exports(folder=PrivateFolder(cache, f"exports/{provider.key}")),
            # What was found belongs to the directory that was compared, as its copy does.
            rosters=Rosters(
                folder=settings.rosters_folder(),
                memory=PrivateFolder(cache, f"drift/{provider.key}"),
                pushed=None if own is None else shelf_in(own),
            ),
            rules=RuleFiles(named=settings.roles_path(), own=own),
            application=provider.application,
            sync_seconds=settings.sync_minutes * 60 if settings.sync_minutes is not None else None,
            cursors=CursorSeal(provider.seal),
            answer_characters=settings.answer_characters,
            answer_seconds=settings.answer_seconds,
            writes=_write_rules(settings, identity),
            subscriptions=provider.subscriptions,
        )


@asynccontextmanager
async def open_configured(env_file: Path | None) -> AsyncIterator[Backend]:
    """Open what the environment and a file of settings describe. Raises Unconfigured with all that is wrong."""
    async with open_backend(Settings.load(env_file), own=own_folder(state_folder(env_file), DEFAULT)) as backend:
        yield backend


def own_folder(state: Path, connection: str) -> PrivateFolder:
    """Name the folder of a connection in the state folder; it need not be there."""
    return PrivateFolder(state, f"{CONNECTIONS}/{connection}")


def replica_of(
    settings: ConnectionSettings, provider: Provider, queries: Queries, readers: Readers | None = None
) -> Replica:
    """Return the local copy of a directory; nothing is opened before it is asked."""
    return Replica(
        store=Store(copy_path(settings.cache_folder(), provider.key), readers),
        source=provider.source,
        queries=queries,
        options=SyncOptions(
            roles=settings.replica_roles,
            remote_data=settings.replica_remote_data,
            full_after=timedelta(hours=settings.full_sync_hours),
            held_share=settings.hold_removals_percent / 100,
            by_counts=settings.population_counts,
        ),
        max_age=timedelta(minutes=settings.replica_minutes),
    )


@asynccontextmanager
async def checking(
    settings: ConnectionSettings, open_provider: OpenProvider | None = None
) -> AsyncIterator[AsyncIterator[Step]]:
    """Open a check-up of the provider that is configured, or of another one; it yields findings as they come.

    Raises Unconfigured, and Refused for a provider that has none.
    """
    opening = open_provider or _configured(settings)
    async with opening(settings, DEFAULT) as provider:
        if provider.checkup is None:
            raise Refused("The provider of this directory has no check-up.", code="NO_CHECKUP")
        async with provider.checkup() as findings:
            yield findings


async def places_of(settings: ConnectionSettings, open_provider: OpenProvider | None = None) -> tuple[SeenPlace, ...]:
    """Return the environments that the credentials of settings see, whatever these serve, and their populations.

    Where they cannot be listed, that is the one of the application.
    """
    opening = open_provider or _configured(settings)
    everywhere = settings.model_copy(update={"environments": (ALL,), "populations": ()})
    async with opening(everywhere, DEFAULT) as provider:
        try:
            environments = await provider.directory.environments()
        except Problem:
            environments = (Organization(id=settings.environment_id),)

        async def seen(environment: Organization) -> SeenPlace:
            there = KnownPlace(environment.id, environment.name)
            try:
                found = await provider.directory.populations(environment.id)
            except Problem:
                return SeenPlace(environment=there, kind=environment.type, is_whole=False)
            populations = tuple(KnownPlace(place.id, place.name) for place in found)
            return SeenPlace(environment=there, kind=environment.type, populations=populations)

        return tuple(await each(seen, environments))


def provider_of(settings: ConnectionSettings) -> str:
    """Return the name of the provider that settings describe."""
    return "sample" if settings.sandbox else "pingone"


def _configured(settings: ConnectionSettings) -> OpenProvider:
    return PROVIDERS[provider_of(settings)]


def _write_rules(settings: ConnectionSettings, identity: str) -> WriteRules | None:
    if not settings.allow_writes:
        return None
    journal = Journal(settings.audit_path(), connection=identity)
    return WriteRules(journal=journal, allow_production=settings.allow_production_writes)


def settings_of(sandbox: Sandbox, base_url: str) -> dict[str, str]:
    """Return the settings that lead to a sandbox, which answers at `base_url`."""
    return {
        "api_url": f"{base_url}/v1",
        "auth_url": base_url,
        "environment_id": sandbox.environment_id,
        "client_id": sandbox.client_id,
        "client_secret": sandbox.client_secret,
    }


def _leading_to(sandbox: Sandbox, settings: ConnectionSettings) -> ConnectionSettings:
    """Return settings that lead to a sample company in this process."""
    embedded = settings_of(sandbox, sandbox.base_url) | {"auth_method": "client_secret_basic"}
    read = ConnectionSettings.model_validate({"sandbox": True} | embedded)
    # All else stays as it is: at the shell an answer may be longer than a setting allows.
    return settings.model_copy(update={name: getattr(read, name) for name in embedded})


def _cursor_secret(connection: Connection) -> bytes:
    """Return a secret that no other connection has; a cursor made before the scope was changed is ours, and stale."""
    application = connection.credentials
    of = (connection.api_base, application.environment_id, application.client_id, *connection.own_name)
    purpose = "\0".join(("pingone-mcp cursor", *of))
    return hmac.new(application.client_secret.get_secret_value().encode(), purpose.encode(), hashlib.sha256).digest()

"""Control data become connections that are served, and what a person does with them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pingone_mcp.control.control import ControlData, ControlPlace, open_control
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import NoSuchConnection, Problem
from pingone_mcp.http.outward.targets import Targets
from pingone_mcp.http.routes import trusted_certificates
from pingone_mcp.pingone.feed.hooks.action_types import ACTION_TYPES
from pingone_mcp.private_files import PrivateFolder, this_user
from pingone_mcp.replica.store.readers import Readers
from pingone_mcp.scim.bearer import bearer_get
from pingone_mcp.scim.reader import read_users
from pingone_mcp.service.fleet.administration import FleetAdministration
from pingone_mcp.service.fleet.fleet import Paused
from pingone_mcp.service.fleet.hook_form import HookPlace
from pingone_mcp.service.fleet.linking import Linking, Prepared, Providers
from pingone_mcp.service.fleet.subscribing.subscribing import HookSubscribing
from pingone_mcp.service.rosters.desk import RosterDesk, RosterFiles, roster_desk
from pingone_mcp.service.rosters.pulling import Applications
from pingone_mcp.settings.addresses import is_public
from pingone_mcp.settings.linked import check_given, kept, read, read_linked
from pingone_mcp.tasks import background, in_thread
from pingone_mcp.wiring import CONNECTIONS, OpenProvider, checking, open_backend, own_folder, places_of, provider_of

if TYPE_CHECKING:
    from anyio.abc import TaskGroup
    from pydantic import SecretStr

    from pingone_mcp.clock import Clock
    from pingone_mcp.control.linked import LinkedConnection, LinkedConnections
    from pingone_mcp.replica.queries.processes import Queries
    from pingone_mcp.service.backend import Backend, OpenBackend
    from pingone_mcp.service.rosters.pulling import ReadList
    from pingone_mcp.settings.parts import ConnectionSettings
    from pingone_mcp.settings.serving import Serving
    from pingone_mcp.settings.targets import TargetRules

_MARK = "removed"
_REMOVALS = 5
_SOON = {"retry_seconds": 10.0, "request_seconds": 10.0}
# The folders and files of a connection, and what is in them.
_FILES = {
    "replica": "its local copy",
    "tokens": "its access tokens",
    "exports": "its exports",
    "drift": "what comparisons had found",
    "rosters": "its rosters",
    "roles.toml": "its rules for roles",
}


@dataclass(frozen=True, slots=True)
class LinkedFiles:
    """The files of linked connections: each has a folder of its own, in the state folder."""

    root: Path

    def folder(self, connection: str) -> Path:
        return self.own(connection).path

    def own(self, connection: str) -> PrivateFolder:
        return own_folder(self.root, connection)

    @property
    def journal(self) -> Path:
        """Where writes are recorded: it outlives the connections that they went to."""
        return self.root / "writes.jsonl"

    def make(self, connection: str) -> None:
        """Make the folder of a connection. Raises OSError."""
        self.own(connection).make()

    async def condemn(self, connection: str) -> None:
        """Mark the files of a connection, where it has any, as those of one that is being removed."""
        await in_thread(self._condemn, connection, pool="disk")

    async def forget_condemned(self, linked: LinkedConnections) -> None:
        """Remove the files of connections whose removal came to a sudden end: marked, and no connection's any more."""
        for connection in await in_thread(self._condemned, pool="disk"):
            if await linked.get(connection) is None:
                await self.forget(connection)

    async def forget(self, connection: str) -> tuple[str, ...]:
        """Remove all files of a connection; return what there was."""
        return await in_thread(self._forget, connection, pool="disk")

    def _condemn(self, connection: str) -> None:
        if self.folder(connection).is_dir():
            self.own(connection).write(_MARK, [])

    def _condemned(self) -> list[str]:
        return [path.parent.name for path in (self.root / CONNECTIONS).glob(f"*/{_MARK}")]

    def _forget(self, connection: str) -> tuple[str, ...]:
        folder = self.own(connection)
        try:
            folder.check()
        except FileNotFoundError:
            return ()
        there = {entry.name for entry in folder.path.iterdir()}
        _remove_all(folder.path)
        return tuple(text for name, text in _FILES.items() if name in there)


def _remove_all(folder: Path) -> None:
    """Remove a folder, in which another process may be writing until it hears of it. Raises Problem."""
    for _ in range(_REMOVALS - 1):
        with suppress(OSError):
            shutil.rmtree(folder)
            return
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise Problem(
            f"Not every file of the connection could be removed: {error.strerror}.",
            f"Remove the folder {folder} yourself; the connection and its credentials are gone.",
            code="FILES_LEFT",
        ) from None


def control_place(settings: Serving) -> ControlPlace:
    """Say where control data are. Raises Unconfigured."""
    return ControlPlace(
        folder=settings.state_folder(), database_url=settings.database_url, key_file=settings.key_path()
    )


def applications_of(targets: Targets, rules: TargetRules, tasks: TaskGroup, clock: Clock) -> Applications:
    """Return how the lists of applications are read: from `targets`, which keep to the same rules."""
    return Applications(read_users=partial(_read_users, targets, clock), may_read=rules.allow_url, tasks=tasks)


def rosters_of(control: ControlData, files: LinkedFiles, applications: Applications) -> RosterDesk:
    """Return the use cases of rosters and rules of connections."""
    return roster_desk(control, RosterFiles(folder_of=files.own, forget=files.forget), applications)


@asynccontextmanager
async def open_administration(
    place: ControlPlace,
    environment: ConnectionSettings | None = None,
    public_url: str | None = None,
    switches: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[FleetAdministration]:
    """Open control data for a person's commands; no connection is served here. Raises Unconfigured.

    `switches` are what this command may write where a connection does not say so itself.
    """
    hooks = hook_place(public_url)
    async with open_control(place) as control:
        if environment is not None:  # what a process that serves has written of it stays
            await keep_default(control, environment, renewed=False)
        files = LinkedFiles(place.folder)
        await files.forget_condemned(control.connections)
        backends = LinkedBackends(
            control=control, files=files, environment=environment, given=switches, at_a_shell=True
        )
        subscribing = HookSubscribing(control, hooks, backends, f"local {this_user()}")
        linking = linking_of(control, files, _nothing, environment=environment)
        yield FleetAdministration(control, linking, hooks, subscribing)


def hook_place(public_url: str | None) -> HookPlace:
    """Say where providers send events to: to the public URL, where there is one.

    PingOne sends to https addresses of IPv4 alone.
    """
    if public_url is None:
        return HookPlace(action_types=ACTION_TYPES)
    parts = urlsplit(public_url)
    host = parts.hostname or ""
    is_reachable = parts.scheme == "https" and is_public(host) and ":" not in host
    return HookPlace(base=public_url, is_public=True, is_reachable=is_reachable, action_types=ACTION_TYPES)


@asynccontextmanager
async def open_rosters(
    place: ControlPlace, environment: ConnectionSettings | None, reference: str, rules: TargetRules
) -> AsyncIterator[tuple[str, RosterDesk]]:
    """Open what keeps the rosters of the connection of an id or a name, for a person's commands; gives its id too.

    `rules` say where lists may be pulled from. Raises Unconfigured, and Refused for a connection that there is not.
    """
    async with AsyncExitStack() as stack:
        control = await stack.enter_async_context(open_control(place))
        tasks = await stack.enter_async_context(background())
        if environment is not None:
            await keep_default(control, environment, renewed=False)
        files = LinkedFiles(place.folder)
        linked = await FleetAdministration(control, linking_of(control, files, _nothing)).find(reference)
        targets = await stack.enter_async_context(aclosing(Targets(rules, trusted_certificates(), control.clock)))
        applications = applications_of(targets, rules, tasks, control.clock)
        yield linked.id, rosters_of(control, files, applications)


async def read_one(place: ControlPlace, reference: str, files: Mapping[str, str]) -> tuple[str, ConnectionSettings]:
    """Return the id of the connection of an id or a name, and its settings, `files` of this process among them.

    Raises Unconfigured, Refused with what there is, and Paused.
    """
    own = LinkedFiles(place.folder)
    async with open_control(place) as control:
        linked = await FleetAdministration(control, linking_of(control, own, _nothing)).find(reference)
        if linked.is_paused:
            raise Paused
        return linked.id, await LinkedBackends(control=control, files=own, given=files).settings(linked.id)


async def keep_default(control: ControlData, settings: ConnectionSettings, *, renewed: bool = True) -> LinkedConnection:
    """Keep the connection that the variables describe among the others, so that keys reach it and it has runs."""
    return await control.connections.keep_default(kept(settings)[0], provider_of(settings), renewed=renewed)


def linking_of(
    control: ControlData,
    files: LinkedFiles,
    closed: Callable[[str], Awaitable[None]],
    open_provider: OpenProvider | None = None,
    *,
    environment: ConnectionSettings | None = None,
) -> Linking:
    """Return the use cases of linking; `closed` ends what this process serves of a connection.

    `environment` is what the variables describe.
    """
    providers = Providers(
        check_given=check_given,
        prepare=lambda values: _prepared(read_linked(values), open_provider),
        condemn=files.condemn,
        forget=files.forget,
        environment=None if environment is None else _prepared(environment, open_provider),
    )
    return Linking(control.connections, providers, closed)


def _prepared(settings: ConnectionSettings, open_provider: OpenProvider | None) -> Prepared:
    clear, secrets = kept(settings)
    name = settings.environment_id.partition("-")[0] or "sample"
    return Prepared(
        name=name,
        provider=provider_of(settings),
        settings=clear,
        secrets=secrets,
        checkup=partial(checking, settings, open_provider),
        places=partial(places_of, settings, open_provider),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedBackends:
    """Opens the backends of linked connections.

    `environment` is what the variables describe, where they describe one; `given` are settings of this process that
    hold for each, such as files that somebody has laid out. `refused` is called with the id of a connection whenever
    its credentials are refused. `at_a_shell`, where a person waits, a provider that does not answer is soon given up.
    """

    control: ControlData
    files: LinkedFiles
    queries: Queries | None = None
    readers: Readers = field(default_factory=Readers)
    environment: ConnectionSettings | None = None
    given: Mapping[str, str] = field(default_factory=dict[str, str])
    open_provider: OpenProvider | None = None
    refused: Callable[[str], None] | None = None
    at_a_shell: bool = False

    def __call__(self, linked: LinkedConnection) -> OpenBackend:
        return partial(self._open, linked.id)

    @asynccontextmanager
    async def _open(self, connection: str) -> AsyncIterator[Backend]:
        settings = await self.settings(connection)
        update: dict[str, float | None] = {"sync_minutes": None}  # whoever serves many syncs them in turn
        if self.at_a_shell:
            update |= {name: min(getattr(settings, name), most) for name, most in _SOON.items()}
        alone = settings.model_copy(update=update)
        refused = None if self.refused is None else partial(self.refused, connection)
        opening = open_backend(
            alone,
            self.open_provider,
            identity=connection,
            queries=self.queries,
            readers=self.readers,
            refused=refused,
            own=self.files.own(connection),
        )
        async with opening as backend:
            yield backend

    async def settings(self, connection: str) -> ConnectionSettings:
        """Return all settings of a connection, whose folder is there then. Raises NoSuchConnection, Unconfigured."""
        if connection == DEFAULT and self.environment is not None:
            return self.environment
        found = await self.control.connections.with_credentials(connection)
        if found is None:
            raise NoSuchConnection
        linked, credentials = found
        await in_thread(self.files.make, connection, pool="disk")
        return read(
            {
                **self.given,
                **linked.settings,
                **{name: value.get_secret_value() for name, value in credentials.items()},
                "cache_dir": str(self.files.folder(connection)),
                "audit_file": str(self.files.journal),
            }
        )


async def _nothing(_: str) -> None:
    """Close nothing: this process serves no connection."""


async def _read_users(targets: Targets, clock: Clock, url: str, token: SecretStr | None) -> ReadList:
    """Read the users of an application, where its address is one that may be asked."""
    from pingone_mcp.reports.rosters.scim import needed_of  # noqa: PLC0415 - hardly anybody pulls a list

    text = None if token is None else token.get_secret_value()
    return await read_users(bearer_get(targets.get, url, text), url, clock=clock, keep=needed_of)

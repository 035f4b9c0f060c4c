"""What the commands may open, by the settings of the environment or of one file.

What takes long to load is loaded by who needs it: MCP for one command, the sandbox for another.
"""
# ruff: noqa: PLC0415 - as the docstring says

from __future__ import annotations

import functools
import logging
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pingone_mcp.commands.ending import asking
from pingone_mcp.commands.verb import OfferedTool, ServeRequest
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import Problem, Unconfigured
from pingone_mcp.private_files import PrivateFolder
from pingone_mcp.service.backend import Backend, OpenBackend
from pingone_mcp.service.checks import Heard
from pingone_mcp.settings import ServeSettings, Settings
from pingone_mcp.settings.given import environment_settings, given_places, given_settings, state_folder
from pingone_mcp.settings.template import template
from pingone_mcp.wiring import checking, open_backend, own_folder, settings_of

if TYPE_CHECKING:
    from datetime import datetime

    from mcp import Client

    from pingone_mcp.service.fleet.administration import FleetAdministration
    from pingone_mcp.service.rosters.desk import RosterDesk
    from pingone_mcp.service.schedules.desk import ScheduleDesk
    from pingone_mcp.service.syncing import SyncReport
    from pingone_mcp.settings.parts import ConnectionSettings

_logger = logging.getLogger(__name__)
# What one answer may be at the shell, where nobody pays for what is read, but somebody waits: as much as was asked for,
# unless the other end says nothing.
_AT_LENGTH = {
    "answer_characters": 16_000_000,
    "answer_seconds": 300.0,
    "retry_seconds": 10.0,
    "request_seconds": 10.0,
}
# Settings by which others reach the pages, and sign in to them.
_OF_OTHERS = ("public_url", "tls_cert", "tls_key", "oidc_client_id")


@dataclass(frozen=True, slots=True)
class OpenDoors:
    """Open what `commands.verb.Doors` names, of a linked `connection` or of that which the variables describe."""

    env_file: Path | None
    whole_parser: Callable[[], ArgumentParser] = ArgumentParser
    connection: str | None = None

    def backend(self) -> OpenBackend:
        if self.connection is not None:
            return self._open_linked
        return functools.partial(open_backend, Settings.load(self.env_file), own=self._own(DEFAULT))

    async def check(self, heard: Heard, tell: Callable[[str], None]) -> None:
        if self.connection is not None:
            async with self.administration() as administration:
                with asking():
                    linked = await administration.find(self.connection)
                await administration.check(linked, heard)
            return
        works = True
        async with checking(Settings.load(self.env_file, tell)) as steps:
            async for step in steps:
                works = works and (step.ok or not step.needed)
                heard(step)
        if works and "public_url" in ServeSettings.given(self.env_file).values:
            await self._check_hook(heard)

    async def _check_hook(self, heard: Heard) -> None:
        """Compare the hook of what the variables describe, where what it takes to serve is there."""
        try:
            async with self.administration() as administration:
                await administration.check_hook(await administration.find(DEFAULT), heard)
        except Unconfigured as problem:  # `serve` says so, and this connection works all the same
            _logger.info("What PingOne sends was not compared: %s", problem)

    async def note_sync(self, outcome: SyncReport | Problem, ended_at: datetime) -> None:
        if self.connection is None:
            return
        try:
            async with self.administration() as administration:
                await administration.note_sync(self.connection, outcome, ended_at)
        except Problem as problem:  # the copy is as it is, and whoever syncs again and again goes on
            _logger.warning("What came of the sync was not noted: %s", problem)

    async def check_settings(self) -> None:
        await self._chosen()

    def given_settings(self) -> Mapping[str, str]:
        return given_settings() if self.connection is None else given_places()

    def settings_file(self) -> str:
        return template()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        from mcp import Client

        from pingone_mcp.stdio_process import find_server

        identity, settings = await self._chosen()
        opening = functools.partial(_open_at_length, settings, identity, self._own(identity))
        loaded = find_server(opening, allow_writes=settings.allow_writes)
        async with loaded.connections.serving(), Client(loaded.server) as client:
            yield client

    def values_to_link(self) -> Mapping[str, str] | None:
        from pingone_mcp.settings.given import linkable_settings

        return None if self.env_file is None else linkable_settings(self.env_file)

    def wrong_value(self, name: str, value: str) -> str | None:
        from pingone_mcp.settings.linked import wrong_value

        return wrong_value(name, value)

    def administration(self, *, with_file: bool = True) -> AbstractAsyncContextManager[FleetAdministration]:
        from pingone_mcp.wiring.linked import administration

        return administration(self.env_file, with_file=with_file)

    def schedules(self) -> AbstractAsyncContextManager[ScheduleDesk]:
        from pingone_mcp.wiring.linked import schedules

        return schedules(self.env_file)

    @asynccontextmanager
    async def rosters(self) -> AsyncIterator[tuple[str, RosterDesk]]:
        from pingone_mcp.wiring.linked import rosters

        async with AsyncExitStack() as stack:
            with asking():
                opened = await stack.enter_async_context(rosters(self.env_file, self.connection))
            yield opened

    async def serve(
        self, request: ServeRequest, began: Callable[[str, str | None], None], log: Callable[[str], None]
    ) -> None:
        from pingone_mcp.wiring.linked import find_serve

        find_serve("prometheus_client", "cronsim", "jinja2", "pygal")
        from pingone_mcp.wiring import serving

        options = serving.ServeOptions(
            host=request.host,
            port=request.port,
            public_url=request.public_url,
            behind_proxy=request.behind_proxy,
            with_pages=request.with_pages,
        )
        settings = ServeSettings.load(self.env_file)
        if request.is_local:
            settings = settings.model_copy(update=dict.fromkeys(_OF_OTHERS))
        await serving.serve(
            settings,
            options,
            began=lambda this: began(this.url, this.link),
            log=log,
            environment=environment_settings(self.env_file),
        )

    def parser(self) -> ArgumentParser:
        return self.whole_parser()

    def tools(self) -> Sequence[OfferedTool]:
        from pingone_mcp.server.build import tools_for_models

        return tools_for_models()

    @asynccontextmanager
    async def sandbox(self, *, size: int, port: int) -> AsyncIterator[Mapping[str, str]]:
        import anyio

        from pingone_mcp.sandbox.app import Sandbox, running

        sandbox = Sandbox(size=size, sleep=anyio.sleep)  # who is at the other end of a socket has a real clock
        async with running(sandbox, port=port) as base_url:
            yield settings_of(sandbox, base_url)

    async def _chosen(self) -> tuple[str, ConnectionSettings]:
        """Return the id and the settings of the connection. Raises Unconfigured, WrongUse."""
        if self.connection is None:
            return DEFAULT, Settings.load(self.env_file)
        from pingone_mcp.wiring.linked import read_named

        with asking():
            return await read_named(self.env_file, self.connection)

    @asynccontextmanager
    async def _open_linked(self) -> AsyncIterator[Backend]:
        identity, settings = await self._chosen()
        async with open_backend(settings, identity=identity, own=self._own(identity)) as backend:
            yield backend

    def _own(self, identity: str) -> PrivateFolder:
        return own_folder(state_folder(self.env_file), identity)


@asynccontextmanager
async def _open_at_length(settings: ConnectionSettings, identity: str, own: PrivateFolder) -> AsyncIterator[Backend]:
    """Open what answers without the budgets of an assistant's answers, but for those that somebody has set."""
    import pingone_mcp.http.engine  # noqa: F401 - before the time of an answer is counted

    most = {name: most for name, most in _AT_LENGTH.items() if name not in settings.model_fields_set}
    async with open_backend(settings.model_copy(update=most), identity=identity, own=own) as backend:
        yield backend

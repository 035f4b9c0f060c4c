"""What the commands may open, by the settings of the environment or of one file.

What takes long to load is loaded by who needs it: MCP for one command, the sandbox for another.
"""
# ruff: noqa: PLC0415 - as the docstring says

from __future__ import annotations

import functools
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pingone_mcp.commands.verb import OfferedTool, ServeRequest
from pingone_mcp.service.backend import Backend, OpenBackend
from pingone_mcp.service.checks import Step
from pingone_mcp.settings import ServeSettings, Settings
from pingone_mcp.settings.given import given_settings
from pingone_mcp.settings.template import template
from pingone_mcp.wiring import checking, open_backend, settings_of

if TYPE_CHECKING:
    from mcp import Client

    from pingone_mcp.service.fleet.administration import FleetAdministration

# What one answer may be at the shell, where nobody pays for what is read, but somebody waits: as much as was asked for,
# unless the other end says nothing.
_AT_LENGTH = {
    "answer_characters": 16_000_000,
    "answer_seconds": 300.0,
    "retry_seconds": 10.0,
    "request_seconds": 10.0,
}


@dataclass(frozen=True, slots=True)
class OpenDoors:
    """Open what `commands.verb.Doors` names."""

    env_file: Path | None
    whole_parser: Callable[[], ArgumentParser] = ArgumentParser

    def backend(self) -> OpenBackend:
        return functools.partial(open_backend, Settings.load(self.env_file))

    def checkup(self, tell: Callable[[str], None]) -> AbstractAsyncContextManager[AsyncIterator[Step]]:
        return checking(Settings.load(self.env_file, tell))

    def check_settings(self) -> None:
        Settings.load(self.env_file)

    def given_settings(self) -> Mapping[str, str]:
        return given_settings()

    def settings_file(self) -> str:
        return template()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        from mcp import Client

        from pingone_mcp.stdio_process import load_server

        settings = Settings.load(self.env_file)
        loaded = load_server(self.env_file, functools.partial(_open_at_length, settings))
        async with loaded.connections.serving(), Client(loaded.server) as client:
            yield client

    def values_to_link(self) -> Mapping[str, str] | None:
        from pingone_mcp.settings.given import linkable_settings

        return None if self.env_file is None else linkable_settings(self.env_file)

    @asynccontextmanager
    async def administration(self) -> AsyncIterator[FleetAdministration]:
        _load_serve()
        from pingone_mcp.wiring.fleet import control_place, open_administration

        async with open_administration(control_place(ServeSettings.load(self.env_file))) as administration:
            yield administration

    async def serve(
        self, request: ServeRequest, began: Callable[[str, str | None], None], log: Callable[[str], None]
    ) -> None:
        _load_serve()
        from pingone_mcp.wiring import serving

        options = serving.ServeOptions(
            host=request.host, port=request.port, public_url=request.public_url, behind_proxy=request.behind_proxy
        )
        settings = ServeSettings.load(self.env_file)
        await serving.serve(settings, options, began=lambda this: began(this.url, this.link), log=log)

    def parser(self) -> ArgumentParser:
        return self.whole_parser()

    def tools(self) -> Sequence[OfferedTool]:
        from pingone_mcp.server.build import all_tools

        return all_tools()

    @asynccontextmanager
    async def sandbox(self, *, size: int, port: int) -> AsyncIterator[Mapping[str, str]]:
        import anyio

        from pingone_mcp.sandbox.app import Sandbox, running

        sandbox = Sandbox(size=size, sleep=anyio.sleep)  # who is at the other end of a socket has a real clock
        async with running(sandbox, port=port) as base_url:
            yield settings_of(sandbox, base_url)


def _load_serve() -> None:
    """Load what the extra `serve` brings. Raises MissingExtra, which names it."""
    from pingone_mcp.extras import load_extra

    for package in ("sqlalchemy", "aiosqlite", "alembic", "prometheus_client"):
        load_extra(package, "serve")


@asynccontextmanager
async def _open_at_length(settings: Settings) -> AsyncIterator[Backend]:
    """Open what answers without the budgets of an assistant's answers, but for those that somebody has set."""
    import pingone_mcp.http.engine  # noqa: F401 - before the time of an answer is counted

    most = {name: most for name, most in _AT_LENGTH.items() if name not in settings.model_fields_set}
    async with open_backend(settings.model_copy(update=most)) as backend:
        yield backend

"""What the commands may open, by the settings of the environment or of one file.

What takes long to load is loaded by who needs it: MCP for one command, the sandbox for another.
"""
# ruff: noqa: PLC0415 - as the docstring says

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pingone_mcp.commands.verb import Step
from pingone_mcp.service.backend import OpenBackend
from pingone_mcp.settings import Settings
from pingone_mcp.settings.given import given_settings
from pingone_mcp.settings.template import template
from pingone_mcp.wiring import checking, open_backend, settings_of

if TYPE_CHECKING:
    from mcp import Client


@dataclass(frozen=True, slots=True)
class OpenDoors:
    """Open what `commands.verb.Doors` names."""

    env_file: Path | None

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

        Settings.load(self.env_file)
        loaded = load_server(self.env_file)
        async with loaded.connections.serving(), Client(loaded.server) as client:
            yield client

    @asynccontextmanager
    async def sandbox(self, *, size: int, port: int) -> AsyncIterator[Mapping[str, str]]:
        import anyio

        from pingone_mcp.sandbox.app import Sandbox, running

        sandbox = Sandbox(size=size, sleep=anyio.sleep)  # who is at the other end of a socket has a real clock
        async with running(sandbox, port=port) as base_url:
            yield settings_of(sandbox, base_url)

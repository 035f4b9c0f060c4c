"""A sandbox, a connection to it, and the doors through which tests act: the MCP client, the directory, raw HTTP."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
from jsonschema import Draft202012Validator
from mcp import Client
from mcp.client.extension import ClientExtension, advertise
from mcp.client.session import ElicitationFnT, MessageHandlerFnT
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp.types import CallToolResult

from pingone_mcp.advice import setting
from pingone_mcp.clock import Clock
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.pingone.connection import Connection, connection_of
from pingone_mcp.pingone.directory import PingOneDirectory, open_directory
from pingone_mcp.replica.queries.processes import Queries
from pingone_mcp.replica.store.store import copy_path
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.server.build import build_server
from pingone_mcp.server.schemas import OUTPUT
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.connections import serve_one
from pingone_mcp.service.writes import WriteRules
from pingone_mcp.settings.parts import ALL, ConnectionSettings, Part
from pingone_mcp.wiring import open_backend, open_pingone

MARK = setting("")[0]
NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
HOST = (advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]}),)
"""What a client says that shows MCP Apps."""


@dataclass
class Time:
    """A clock that stands still until somebody naps; then it has passed at once.

    What waits no longer than it says, `within` it, ends when the time has passed. A caller waits `until` then.
    """

    start: float = NOW.timestamp()
    passed: float = 0.0
    naps: list[float] = field(default_factory=list[float])
    until: float = math.inf
    ends: list[tuple[float, anyio.CancelScope]] = field(default_factory=list[tuple[float, anyio.CancelScope]])

    def now(self) -> float:
        return self.start + self.passed

    async def nap(self, seconds: float) -> None:
        self.naps.append(seconds)
        await self.passes(self.passed + seconds)

    async def dawdle(self, seconds: float) -> None:
        """Pass as the sandbox takes its time; what is under way at the same time passes together."""
        until = self.passed + seconds
        await anyio.lowlevel.checkpoint()
        await self.passes(until)

    async def passes(self, until: float) -> None:
        self.passed = max(self.passed, until)
        for at, scope in self.ends:
            if at < self.passed:
                scope.cancel()
        await anyio.lowlevel.checkpoint_if_cancelled()

    @contextmanager
    def within(self, seconds: float) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            self.ends.append(end := (self.passed + seconds, scope))
            try:
                yield scope
            finally:
                self.ends.remove(end)

    def clock(self) -> Clock:
        return Clock(
            wall=self.now,
            monotonic=lambda: self.passed,
            sleep=self.nap,
            jitter=lambda: 0.0,
            within=self.within,
            left=lambda: self.until - self.passed,
        )


@dataclass
class World:
    """One sandbox and a connection to it. `time` drives the client; the sandbox stays at NOW, and is slow in `time`."""

    sandbox: Sandbox
    cache: Path
    time: Time = field(default_factory=Time)
    rosters: Path | None = None
    roles_file: Path | None = None

    def __post_init__(self) -> None:
        self.sandbox.sleep = self.sandbox.sleep or self.time.dawdle

    def settings(self, **changes: Any) -> ConnectionSettings:
        """Return the settings of the connection, with changes; `environments` None serves all of them."""
        if "environments" in changes and changes["environments"] is None:
            changes["environments"] = (ALL,)
        own: dict[str, Any] = {
            "environment_id": self.sandbox.environment_id,
            "client_id": self.sandbox.client_id,
            "client_secret": self.sandbox.client_secret,
            "api_url": f"{self.sandbox.base_url}/v1",
            "auth_url": self.sandbox.base_url,
            "cache_dir": self.cache,
            "rosters": self.rosters,
            "roles_file": self.roles_file,
        }
        return ConnectionSettings(**own | changes)

    def connection(self, **changes: Any) -> Connection:
        return connection_of(self.settings(**changes))

    @asynccontextmanager
    async def directory(
        self, *, transport: httpx.AsyncBaseTransport | None = None, **changes: Any
    ) -> AsyncIterator[PingOneDirectory]:
        transport = transport or self.sandbox.transport()
        async with open_directory(self.connection(**changes), transport=transport, clock=self.time.clock()) as opened:
            yield opened

    @asynccontextmanager
    async def backend(
        self,
        *,
        identity: str = DEFAULT,
        queries: Queries | None = None,
        wrap: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport] | None = None,
        **changes: Any,
    ) -> AsyncIterator[Backend]:
        """Open what answers about this world, as a command does, or as the connection of another id."""
        inner = self.sandbox.transport()
        opening = partial(open_pingone, transport=wrap(inner) if wrap else inner, clock=self.time.clock())
        async with open_backend(self.settings(**changes), opening, identity=identity, queries=queries) as backend:
            yield backend

    @asynccontextmanager
    async def client(
        self,
        *,
        mode: str = "auto",
        characters: int = 20_000,
        seconds: float = 60.0,
        wrap: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport] | None = None,
        writes: WriteRules | None = None,
        answers: ElicitationFnT | None = None,
        message_handler: MessageHandlerFnT | None = None,
        sync_seconds: float | None = None,
        replica_roles: bool = False,
        extensions: Sequence[ClientExtension] = (),
        **changes: Any,
    ) -> AsyncIterator[Client]:
        """Open an MCP client to a server over this world; `answers` is how its person answers questions."""

        @asynccontextmanager
        async def opened() -> AsyncIterator[Backend]:
            kept: dict[str, Any] = {"replica_roles": replica_roles, "allow_writes": writes is not None}
            async with self.backend(wrap=wrap, **kept, **changes) as backend:
                yield dataclasses.replace(
                    backend,
                    writes=writes,
                    answer_characters=characters,
                    answer_seconds=seconds,
                    sync_seconds=sync_seconds,
                )

        server = build_server(functools.partial(serve_one, opened), allow_writes=writes is not None)
        async with Checked(
            server,
            mode=mode,
            elicitation_callback=answers,
            message_handler=message_handler,
            extensions=extensions,
        ) as client:
            yield client

    def exports(self) -> Path:
        """Name the folder of the files that answers have written."""
        return self.cache / "exports" / self.connection().key

    async def native(self, path: str) -> dict[str, Any]:
        """Return PingOne's own answer at a path below the API base, fetched past all our code."""
        base = self.sandbox.base_url
        async with httpx.AsyncClient(transport=self.sandbox.transport(), base_url=base) as http:
            grant = await http.post(
                f"/{self.sandbox.environment_id}/as/token",
                data={"grant_type": "client_credentials"},
                auth=(self.sandbox.client_id, self.sandbox.client_secret),
            )
            bearer = {"Authorization": f"Bearer {grant.json()['access_token']}"}
            answer = await http.get(f"/v1{path}", headers=bearer)
        body: dict[str, Any] = answer.json()
        return body

    def api_requests(self) -> list[str]:
        """Return path and query of every API request so far, the token endpoint aside."""
        return [f"{entry.path}?{entry.query}" for entry in self.sandbox.requests if entry.path.startswith("/v1/")]


class Checked(Client):
    """A client that believes a schema: whatever a tool answers in any test, its output schema names and types."""

    async def call_tool(self, name: str, *rest: Any, **more: Any) -> CallToolResult:
        result = await super().call_tool(name, *rest, **more)
        assert MARK not in error_text(result), "a setting that nobody has spelled"
        told = result.structured_content
        if told is not None and not result.is_error:
            unnamed = told.keys() - OUTPUT[name]["properties"].keys()
            assert not unnamed, f"the output schema of {name} does not name {sorted(unnamed)}: some clients drop them"
            _validator(name).validate(told)
        return result


@functools.cache
def _validator(tool: str) -> Draft202012Validator:
    return Draft202012Validator(OUTPUT[tool])


def replica_path(connection: Connection) -> Path:
    """Name the file of a connection's local copy."""
    return copy_path(connection.cache_dir, connection.key)


def changed(connection: Connection, **values: Any) -> Connection:
    """Return a connection with other values in it or in its parts."""
    parts: dict[str, Any] = {}
    for name in ("credentials", "endpoints", "pace"):
        part: Part = getattr(connection, name)
        own = {key: value for key, value in values.items() if key in type(part).model_fields}
        parts[name] = part.model_copy(update=own)
        values = {key: value for key, value in values.items() if key not in own}
    return dataclasses.replace(connection, **parts, **values)


def facts(result: CallToolResult) -> dict[str, Any]:
    """Return what a tool answered; fail with its text when it answered with an error."""
    text = error_text(result)
    assert not result.is_error, text
    content: dict[str, Any] | None = result.structured_content
    assert content is not None
    return content


def error_text(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if block.type == "text")


async def walk(client: Client, tool: str = "list_users", **arguments: Any) -> list[dict[str, Any]]:
    """Follow `next_cursor` to the end and return all rows."""
    rows: list[dict[str, Any]] = []
    while True:
        page = facts(await client.call_tool(tool, arguments))
        rows += page["result"]
        if page["next_cursor"] is None:
            return rows
        arguments |= {"cursor": page["next_cursor"]}

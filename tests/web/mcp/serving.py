"""MCP over HTTP as tests meet it: connections, callers with keys, on a port of this machine or in one process."""

from __future__ import annotations

import dataclasses
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
from mcp import Client
from mcp.client.extension import ClientExtension
from mcp.client.session import ElicitationFnT, MessageHandlerFnT
from mcp.client.streamable_http import streamable_http_client
from starlette.applications import Starlette
from starlette.types import ASGIApp

from pingone_mcp.clock import Clock
from pingone_mcp.errors import NoSuchConnection
from pingone_mcp.replica.queries.processes import Queries
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.service.backend import Backend, OpenBackend
from pingone_mcp.service.callers import Caller, Permission
from pingone_mcp.service.connections import Connections, ServedConnection
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.authentication.authenticator import Authenticator, Failures
from pingone_mcp.web.authentication.resource_metadata import metadata_routes
from pingone_mcp.web.authentication.sessions import Sessions
from pingone_mcp.web.gate import RequestGate
from pingone_mcp.web.mcp.face import McpFace
from pingone_mcp.web.process import Listening, open_socket, serve_app, url_of
from tests.web.entrance import open_door
from tests.world import NOW, Checked, World

READ: frozenset[Permission] = frozenset({"directory.read"})
ALL_PERMISSIONS: frozenset[Permission] = READ | {"directory.sync", "directory.write"}
SIZE = 60
PREFIX = "pmk_"
"""Of a key, which is the name of its caller behind it."""
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "script", "version": "1"},
    },
}
ENVELOPE = {
    "protocolVersion": "2026-07-28",
    "clientInfo": {"name": "script", "version": "1"},
    "clientCapabilities": {"elicitation": {}},
}
BOTH = "application/json, text/event-stream"


def caller(name: str, connections: Collection[str], permissions: Collection[Permission] = ALL_PERMISSIONS) -> Caller:
    return Caller(
        kind="api_key",
        client_id=f"key:{name}",
        issuer="local",
        subject=name,
        permissions=frozenset(permissions),
        connections=frozenset(connections),
    )


class Reached:
    """The connections of a process, each given to who reaches it."""

    def __init__(self, connections: Connections, ids: Collection[str]) -> None:
        self._connections = connections
        self.ids = set(ids)

    async def served(self, caller: Caller, connection: str | None) -> ServedConnection:
        if connection is None or connection not in self.ids or not caller.reaches(connection, None):
            raise NoSuchConnection
        return self._connections.find(connection)


@dataclass
class Served:
    """Two connections over HTTP, `acme` and `globex`, each about a world of its own."""

    folder: Path
    callers: dict[str, Caller] = field(default_factory=dict[str, Caller])
    worlds: dict[str, World] = field(default_factory=dict[str, World])
    face: McpFace = field(init=False)
    clock: Clock = field(default_factory=Clock)
    connections: Connections = field(init=False)
    authenticator: Authenticator = field(init=False)
    reached: Reached = field(init=False)
    app: ASGIApp = field(init=False)
    url: str = ""
    made: dict[str, Any] = field(default_factory=dict[str, Any])
    """More that the face is made with."""

    def __post_init__(self) -> None:
        (self.folder / "rosters").mkdir()
        for name in ("acme", "globex", "default"):
            sandbox = Sandbox(size=SIZE, seed=name, now=NOW)
            self.worlds[name] = World(sandbox=sandbox, cache=self.folder / name, rosters=self.folder / "rosters")
            self.callers[name] = caller(name, {name})
        self.callers["both"] = caller("both", {"acme", "globex"})
        self.callers["reader"] = caller("reader", {"acme"}, READ)
        self.callers["syncer"] = caller("syncer", {"acme"}, {"directory.sync"})
        self.callers["colleague"] = caller("colleague", {"acme"})

    def opening(self, name: str, **changes: Any) -> OpenBackend:
        world = self.worlds[name]
        settings = {"allow_writes": True, "audit_file": self.folder / "writes.jsonl", **changes}

        @asynccontextmanager
        async def opened() -> AsyncIterator[Backend]:
            async with world.backend(identity=name, queries=self.queries, **settings) as backend:
                yield dataclasses.replace(backend, answer_seconds=60.0)

        return opened

    @asynccontextmanager
    async def running(self, **changes: Any) -> AsyncIterator[Served]:
        """Serve in this process, for requests to `app`."""
        self.queries = Queries()
        connections = self.connections = Connections({name: self.opening(name, **changes) for name in self.worlds})
        self.reached = Reached(connections, self.worlds)
        failures = Failures(self.clock)
        authenticator = self.authenticator = Authenticator(local={PREFIX: self._verify}, failures=failures)
        self.face = McpFace(self.reached, authenticator, clock=self.clock, **self.made)
        self.app = self.gate("http://here")
        async with aclosing(self.queries), connections.serving(), self.face.serving():
            yield self

    @asynccontextmanager
    async def listening(self, **changes: Any) -> AsyncIterator[Served]:
        """Serve on a port of this machine, at `url`."""
        where = Listening(host="127.0.0.1", port=0)
        with open_socket(where) as listener:
            self.url = url_of(where, listener)
            async with self.running(**changes):
                self.app = self.gate(self.url)
                async with listening(self.app, where, listener, self.face.stop):
                    yield self

    def gate(self, base: str) -> ASGIApp:
        """Return the face behind the gate, as it is reached at a base URL."""
        address = PublicAddress(base)
        routes = [*metadata_routes(address, None), *self.face.routes()]
        return RequestGate(
            Starlette(routes=routes),
            address=address,
            authenticator=self.authenticator,
            sessions=Sessions(address, self.clock),
            meant=self._meant,
            knock=open_door,
            clock=self.clock,
        )

    def path(self, connection: str) -> str:
        return f"{self.url}/c/{connection}/mcp"

    @asynccontextmanager
    async def client(
        self,
        connection: str,
        key: str | None = None,
        *,
        mode: str = "auto",
        answers: ElicitationFnT | None = None,
        hears: MessageHandlerFnT | None = None,
        extensions: Sequence[ClientExtension] = (),
    ) -> AsyncIterator[Client]:
        """Open the SDK's client to a connection, with a key."""
        bearer = {"Authorization": f"Bearer {PREFIX}{key or connection}"}
        async with httpx2.AsyncClient(headers=bearer, timeout=60) as http:
            transport = streamable_http_client(self.path(connection), http_client=http)
            async with Checked(
                transport, mode=mode, elicitation_callback=answers, message_handler=hears, extensions=extensions
            ) as client:
                yield client

    @asynccontextmanager
    async def http(self, key: str | None) -> AsyncIterator[httpx.AsyncClient]:
        """Open a client of plain HTTP, over the network where it is served there."""
        transport = None if self.url else httpx.ASGITransport(self.app)
        bearer = {} if key is None else {"Authorization": f"Bearer {PREFIX}{key}"}
        base = self.url or "http://here"
        async with httpx.AsyncClient(transport=transport, base_url=base, headers=bearer, timeout=60) as client:
            yield client

    async def _verify(self, text: str) -> Caller | None:
        known = self.callers.get(text.removeprefix(PREFIX))
        is_over = known is not None and known.expires_at is not None and known.expires_at <= self.clock.now()
        return None if is_over else known

    async def _meant(self, known: Caller, connection: str | None) -> str | None:
        found = connection or known.only_connection
        return found if found in self.reached.ids and known.reaches(found, None) else None


@asynccontextmanager
async def listening(
    app: ASGIApp, where: Listening, listener: socket.socket, stop: Callable[[], None]
) -> AsyncIterator[None]:
    """Serve an app on a socket for as long as the block lasts, as `serve` does."""
    logging.getLogger("mcp").setLevel(logging.ERROR)  # what is refused is logged as a warning
    began = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(serve_app, app, where, listener, began=began.set, ends=stop))
        await began.wait()
        try:
            yield
        finally:
            tasks.cancel_scope.cancel()


def call(tool: str, /, **arguments: Any) -> dict[str, Any]:
    """Return the message that calls a tool, as sessions send it."""
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}


def stateless(message: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a message and its headers as clients since 2026-07-28 send it."""
    meta = {f"io.modelcontextprotocol/{name}": value for name, value in ENVELOPE.items()}
    params = {**message.get("params", {}), "_meta": meta}
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": message["method"]}
    if "name" in params:
        headers["mcp-name"] = params["name"]
    return {**message, "params": params}, headers


@dataclass
class Script:
    """A program that speaks MCP by hand, in a session once it has one."""

    http: httpx.AsyncClient
    path: str
    accept: str = BOTH
    session: dict[str, str] = field(default_factory=dict[str, str])

    async def post(self, message: Any, **headers: str) -> httpx.Response:
        return await self.http.post(self.path, json=message, headers={"accept": self.accept, **self.session, **headers})

    async def open(self) -> httpx.Response:
        """Open a session."""
        answer = await self.post(INITIALIZE)
        assert answer.status_code == 200, answer.text
        self.session = {"mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    async def ask(self, message: dict[str, Any]) -> httpx.Response:
        """Ask once, without a session."""
        body, headers = stateless(message)
        return await self.post(body, **headers)


def said(answer: httpx.Response) -> dict[str, Any]:
    """Return the last message of an answer, from JSON or from a stream of events."""
    text = answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        text = [line for line in text.splitlines() if line.startswith("data: ")][-1].removeprefix("data: ")
    message: dict[str, Any] = json.loads(text)
    return message

"""The endpoints of all connections: each is made for the first request to it, and ends when nobody asks any more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context
from typing import TYPE_CHECKING

from pingone_mcp.clock import Clock
from pingone_mcp.errors import Problem
from pingone_mcp.server.build import build_server
from pingone_mcp.server.strict import StrictServer
from pingone_mcp.service.connections import Lend, ServedConnection
from pingone_mcp.tasks import background
from pingone_mcp.web.mcp.endpoint import IDLE_SECONDS, McpEndpoint
from pingone_mcp.web.mcp.permissions import by_permission

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

UNUSED_SECONDS = IDLE_SECONDS + 60.0  # by then all of its sessions have ended
_LOOK_SECONDS = 60.0


class McpEndpoints:
    """The endpoints of the connections that are asked, while `serving`. `ended` is called with each that ends."""

    def __init__(self, clock: Clock, ended: Callable[[McpEndpoint], None]) -> None:
        self._clock = clock
        self._ended = ended
        self._open: dict[str, McpEndpoint] = {}
        self._models: dict[bool, StrictServer] = {}
        self._tasks: TaskGroup | None = None

    def __iter__(self) -> Iterator[McpEndpoint]:
        return iter(tuple(self._open.values()))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Let endpoints be made for as long as the block lasts; all of them end with it."""
        async with background() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._look)
            try:
                yield
            finally:
                self._tasks = None
                for endpoint in self:
                    self._end(endpoint)

    def of(self, served: ServedConnection) -> McpEndpoint:
        """Return the endpoint of a connection, made where there is none, or one of what the connection was before."""
        endpoint = self._open.get(served.id)
        if endpoint is not None and endpoint.served is served and not endpoint.has_ended:
            return endpoint
        if endpoint is not None:
            self._end(endpoint)
        return self._made(served)

    def close_unused(self) -> None:
        """End those that nobody has asked for so long that no session of them is left."""
        until = self._clock.monotonic() - UNUSED_SECONDS
        for endpoint in self:
            if not endpoint.exchanges and endpoint.used_at <= until:
                self._end(endpoint)

    def _end(self, endpoint: McpEndpoint) -> None:
        endpoint.end()
        del self._open[endpoint.served.id]
        self._ended(endpoint)

    def _made(self, served: ServedConnection) -> McpEndpoint:
        if self._tasks is None:
            raise stopping()
        endpoint = self._open[served.id] = McpEndpoint(served, self._build)
        endpoint.used_at = self._clock.monotonic()
        # In a context of its own: it outlasts the request that it is made for, and belongs to nobody who asks.
        Context().run(_start, self._tasks, endpoint)
        return endpoint

    def _build(self, lend: Lend, allow_writes: bool) -> StrictServer:  # noqa: FBT001 - two kinds of servers
        if allow_writes not in self._models:
            self._models[allow_writes] = build_server(_lend_nothing, allow_writes=allow_writes)
        server = build_server(lend, allow_writes=allow_writes, like=self._models[allow_writes])
        server.middleware.append(by_permission)
        return server

    async def _look(self) -> None:
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            self.close_unused()


def stopping() -> Problem:
    """Return what is said to who comes when the process ends."""
    return Problem("This server is stopping.", "Try again in a moment.", code="STOPPING")


def _start(tasks: TaskGroup, endpoint: McpEndpoint) -> None:
    tasks.start_soon(endpoint.live)


def _lend_nothing() -> AbstractAsyncContextManager[ServedConnection]:
    """Serve the servers that others are made like, which no request reaches."""
    raise AssertionError

"""One connection over MCP: a server of its own, with sessions, subscriptions and keys that no other connection has."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pingone_mcp.current_connection import working_for
from pingone_mcp.errors import Problem
from pingone_mcp.server.strict import StrictServer
from pingone_mcp.service.connections import Lend, ServedConnection
from pingone_mcp.web.mcp.exchanges import Exchanges

IDLE_SECONDS = 30 * 60.0
"""After so long without a request a session ends, and its client opens another one."""

BuildServer = Callable[[Lend, bool], StrictServer]
"""Makes a server for what lends it its connection; the second says whether that allows writes."""

_WANTS_JSON: ContextVar[bool] = ContextVar("wants_json", default=False)
_logger = logging.getLogger(__name__)


class _Manager(StreamableHTTPSessionManager):
    """OpenSessions, each of which answers as the client that opens it reads: with JSON, or with a stream of events.

    A request without a session is answered as it asks itself.
    """

    @property
    def json_response(self) -> bool:
        return _WANTS_JSON.get()

    @json_response.setter
    def json_response(self, _: bool) -> None:
        """Take what the SDK's own constructor sets; the request at hand decides."""


class McpEndpoint:
    """What answers MCP on one connection, for as long as `live` runs."""

    def __init__(self, served: ServedConnection, build: BuildServer) -> None:
        self.served = served
        self.exchanges = Exchanges()
        self.used_at = 0.0
        """When a request ended last, in monotonic seconds."""
        self.ready = anyio.Event()
        """Set when requests can be answered, or never will."""
        self.has_ended = False
        self._build = build
        self._over = anyio.Event()
        self._answer: ASGIApp | None = None

    async def live(self) -> None:
        """Answer requests until `end`. What goes wrong is logged, and ends this endpoint only."""
        try:
            with working_for(self.served.id):
                server = self._build(self._lend, await self._allows_writes())
                requests: Any = server._lowlevel_server  # noqa: SLF001 - what the SDK's manager of sessions takes
                manager = _Manager(requests, session_idle_timeout=IDLE_SECONDS)
                async with manager.run():
                    self._answer = AuthContextMiddleware(manager.handle_request)
                    self.ready.set()
                    await self._over.wait()
        except Exception:
            _logger.exception("MCP is not served any more on the connection %s", self.served.id)
        finally:
            self._answer = None
            self.end()
            self.ready.set()

    def end(self) -> None:
        """Answer nothing any more: streams and sessions end."""
        self.has_ended = True
        self._over.set()
        self.exchanges.end_streams()

    async def answer(self, scope: Scope, receive: Receive, send: Send, *, as_json: bool) -> None:
        """Answer a request of HTTP that was let through. Raises Problem when it came too late."""
        await self.ready.wait()
        if self._answer is None:
            raise Problem("MCP is not served on this connection at the moment.", "Try again.", code="CONNECTION_ENDED")
        token = _WANTS_JSON.set(as_json)
        try:
            with working_for(self.served.id):
                await self._answer(scope, receive, send)
        finally:
            _WANTS_JSON.reset(token)

    async def end_session(self, session: str, user: AuthenticatedUser) -> None:
        """End a session, as a DELETE of its owner does."""
        headers = [(b"mcp-session-id", session.encode("latin-1"))]
        scope = {"type": "http", "method": "DELETE", "path": "/", "query_string": b"", "headers": headers, "user": user}
        if self._answer is not None:
            await self._answer(scope, _nothing, _nowhere)

    @asynccontextmanager
    async def _lend(self) -> AsyncIterator[ServedConnection]:
        yield self.served

    async def _allows_writes(self) -> bool:
        """Say whether the connection allows writes; one that cannot be opened says why when it is asked something."""
        try:
            return (await self.served.backend()).writes is not None
        except Problem:
            return False


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _nowhere(_: Message) -> None:
    pass

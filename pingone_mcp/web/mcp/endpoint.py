"""One connection over MCP: a server of its own, with sessions, subscriptions and keys that no other connection has."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import anyio
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pingone_mcp.current_connection import working_for
from pingone_mcp.errors import Problem
from pingone_mcp.server.strict import StrictServer
from pingone_mcp.service.connections import Lend, ServedConnection
from pingone_mcp.web.mcp.exchanges import Exchanges
from pingone_mcp.web.mcp.messages import id_in_use
from pingone_mcp.web.mcp.transport import WANTS_JSON, SessionManager

IDLE_SECONDS = 30 * 60.0
"""After so long without a request a session ends, and its client opens another one."""

BuildServer = Callable[[Lend, bool], StrictServer]
"""Makes a server for what lends it its connection; the second says whether that allows writes."""

_JSON = b"application/json"
_logger = logging.getLogger(__name__)


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
        self._manager: SessionManager | None = None
        self._in_flight: set[tuple[str, str, str] | None] = set()

    async def live(self) -> None:
        """Answer requests until `end`. What goes wrong is logged, and ends this endpoint only."""
        try:
            with working_for(self.served.id):
                server = self._build(self._lend, await self._allows_writes())
                requests: Any = server._lowlevel_server  # noqa: SLF001 - what the SDK's manager of sessions takes
                manager = self._manager = SessionManager(requests, session_idle_timeout=IDLE_SECONDS)
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
        token = WANTS_JSON.set(as_json)
        try:
            with working_for(self.served.id):
                await self._answer(scope, receive, send)
        finally:
            WANTS_JSON.reset(token)

    def has(self, session: str) -> bool:
        """Say whether there is a session of this id."""
        return self._manager is not None and self._manager.has(session)

    @contextmanager
    def in_flight(self, request: tuple[str, str, str] | None) -> Iterator[None]:
        """Count a request of a session (principal, session, id) while the block lasts; None is of no session.

        Raises TurnedAway where another one has its id: the SDK would give the answer of the one to the other, and one
        of them would wait for ever.
        """
        if request in self._in_flight:
            raise id_in_use()
        if request is not None:
            self._in_flight.add(request)
        try:
            yield
        finally:
            self._in_flight.discard(request)

    async def end_session(self, session: str, user: AuthenticatedUser) -> None:
        """End a session, as a DELETE of its owner does."""
        await self._say("DELETE", session, user)

    async def cancel(self, session: str, user: AuthenticatedUser, request: str | int) -> None:
        """End a request in a session, as its client does that wants no answer any more."""
        params = {"requestId": request, "reason": "The client has left."}
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        await self._say("POST", session, user, json.dumps(cancelled).encode())

    async def _say(self, method: str, session: str, user: AuthenticatedUser, body: bytes = b"") -> None:
        """Send a request to a session in the name of its owner."""
        headers = [(b"mcp-session-id", session.encode("latin-1")), (b"accept", b"*/*"), (b"content-type", _JSON)]
        scope = {"type": "http", "method": method, "path": "/", "query_string": b"", "headers": headers, "user": user}
        bodies = iter([body])

        async def receive() -> Message:
            return {"type": "http.request", "body": next(bodies, b""), "more_body": False}

        if self._answer is not None:
            await self._answer(scope, receive, _nowhere)

    @asynccontextmanager
    async def _lend(self) -> AsyncIterator[ServedConnection]:
        yield self.served

    async def _allows_writes(self) -> bool:
        """Say whether the connection allows writes; one that cannot be opened says why when it is asked something."""
        try:
            return (await self.served.backend()).writes is not None
        except Problem:
            return False


async def _nowhere(_: Message) -> None:
    pass

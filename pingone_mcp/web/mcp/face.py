"""MCP over Streamable HTTP: `/c/{connection}/mcp` for each connection, `/mcp` for the default one.

The gate before it has signed the caller in, and knows what it may do. Here its connection is found, and the endpoint of
that connection answers. Nothing that one connection has given (a session, a cursor, a
question, a subscription) means anything at the path of another, because each has a server of its own.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

import anyio
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pingone_mcp.clock import Clock
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import NoSuchConnection, Problem, Refused
from pingone_mcp.service.callers import Caller, ServedToCallers
from pingone_mcp.service.connections import ServedConnection
from pingone_mcp.tasks import background
from pingone_mcp.web.authentication.authenticator import Authenticator
from pingone_mcp.web.authentication.bearer import BadCredential, bearer_token
from pingone_mcp.web.mcp.endpoint import McpEndpoint
from pingone_mcp.web.mcp.endpoints import McpEndpoints, stopping
from pingone_mcp.web.mcp.exchanges import HttpReply
from pingone_mcp.web.mcp.sessions import OpenSession, OpenSessions
from pingone_mcp.web.refusals import TurnedAway, no_such_connection

END_SECONDS = 30.0
"""So long a call that runs may go on when the process ends."""
_LOOK_SECONDS = 60.0  # a stream is looked at this often: whether its caller may still have it
_METHODS = ("GET", "POST", "DELETE")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request that was let through: its caller, its connection, and how it wants to be answered."""

    caller: Caller
    user: AuthenticatedUser
    served: ServedConnection
    scope: Scope
    headers: Headers

    @property
    def session(self) -> str | None:
        return self.headers.get("mcp-session-id")

    @property
    def is_stream(self) -> bool:
        """Say whether the answer lasts until it is ended."""
        return self.scope["method"] == "GET" or self.headers.get("mcp-method") == "subscriptions/listen"

    @property
    def wants_json(self) -> bool:
        """Say whether the client takes no stream of events. One that names nothing takes what is simplest."""
        accepted = self.headers.get("accept", "").lower()
        return self.scope["method"] == "POST" and not ("text/event-stream" in accepted or "text/*" in accepted)

    def within_the_sdk(self) -> Scope:
        """Return the scope for the SDK, to which a request that names nothing it accepts would accept nothing."""
        if self.headers.get("accept", "").strip():
            return self.scope
        return {**self.scope, "headers": [(b"accept", b"*/*"), *self.scope["headers"]]}


class McpFace:
    """Answers MCP on all connections of a process, while `serving`.

    It stands behind the gate: the caller of a request is in its scope (`state` and `user`), its body within bounds.
    """

    def __init__(
        self,
        fleet: ServedToCallers,
        authenticator: Authenticator,
        *,
        clock: Clock | None = None,
        sessions: OpenSessions | None = None,
    ) -> None:
        self._fleet = fleet
        self._authenticator = authenticator
        self._clock = clock or Clock()
        self._sessions = OpenSessions() if sessions is None else sessions
        self._endpoints = McpEndpoints(self._clock, self._sessions.left)
        self._is_stopping = True

    def routes(self) -> list[BaseRoute]:
        """Return the paths, each as it is and with a slash at its end, which some clients add."""
        paths = ("/c/{connection}/mcp", "/c/{connection}/mcp/", "/mcp", "/mcp/")
        return [Route(path, endpoint=self) for path in paths]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Answer for as long as the block lasts. Behind it calls that run may end, for a while; streams end at once."""
        async with self._endpoints.serving():
            self._is_stopping = False
            try:
                yield
            finally:
                self.stop()
                with anyio.CancelScope(shield=True), self._clock.within(END_SECONDS):
                    for endpoint in self._endpoints:
                        await endpoint.exchanges.calls_ended()

    def stop(self) -> None:
        """Take no more requests, and end the streams: what is called when the process is asked to end."""
        self._is_stopping = True
        for endpoint in self._endpoints:
            endpoint.exchanges.end_streams()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as an ASGI application."""
        reply = HttpReply(send)
        try:
            await self._pass_on(await self._let_in(scope), receive, reply)
        except NoSuchConnection:
            await _refused(scope, no_such_connection())(scope, receive, reply.send)
        except Problem as problem:
            busy = TurnedAway(HTTPStatus.SERVICE_UNAVAILABLE, problem, {"Retry-After": "10"})
            await _refused(scope, busy)(scope, receive, reply.send)

    async def _let_in(self, scope: Scope) -> _Asked:
        """Find who sent a request, and the connection it is about. Raises NoSuchConnection, and Problem at the end."""
        caller, user = scope["state"]["caller"], scope["user"]
        if self._is_stopping:
            raise stopping()
        served = await self._fleet.served(caller, scope["path_params"].get("connection", DEFAULT))
        return _Asked(caller=caller, user=user, served=served, scope=scope, headers=Headers(scope=scope))

    async def _pass_on(self, asked: _Asked, receive: Receive, reply: HttpReply) -> None:
        """Let the endpoint of the connection answer."""
        if asked.scope["method"] not in _METHODS:
            allowed = ", ".join(_METHODS)
            problem = Refused("MCP does not take that method.", f"It takes: {allowed}.", code="NO_SUCH_METHOD")
            refused = TurnedAway(HTTPStatus.METHOD_NOT_ALLOWED, problem, {"Allow": allowed})
            await _refused(asked.scope, refused)(asked.scope, receive, reply.send)
            return
        endpoint = self._endpoints.of(asked.served)
        if asked.session is not None:
            self._sessions.used(_session(asked, endpoint, asked.session))
        app = partial(endpoint.answer, as_json=asked.wants_json)
        try:
            if asked.is_stream:
                await self._stream(asked, endpoint, app, receive, reply)
            else:
                with endpoint.exchanges.call():
                    await app(asked.within_the_sdk(), receive, reply.send)
        finally:
            endpoint.used_at = self._clock.monotonic()
        await self._count(asked, endpoint, reply)

    async def _count(self, asked: _Asked, endpoint: McpEndpoint, reply: HttpReply) -> None:
        """Count the session that a request has opened, and end those that are too many; forget one that has ended."""
        if asked.session is not None:
            if reply.status == 404 or asked.scope["method"] == "DELETE":
                self._sessions.ended(_session(asked, endpoint, asked.session))
        elif reply.session is not None and reply.status == 200:
            for ended in self._sessions.opened(_session(asked, endpoint, reply.session)):
                await ended.endpoint.end_session(ended.id, ended.user)

    async def _stream(
        self, asked: _Asked, endpoint: McpEndpoint, app: ASGIApp, receive: Receive, reply: HttpReply
    ) -> None:
        """Answer with a stream, which ends when its client leaves, or may not have it any more, or the process ends."""
        with endpoint.exchanges.stream() as lasting:
            async with background() as tasks:
                tasks.start_soon(self._watch, asked, lasting)
                await app(asked.within_the_sdk(), receive, reply.send)
        if lasting.cancelled_caught:
            if reply.status is None:
                raise stopping()
            await reply.end()

    async def _watch(self, asked: _Asked, lasting: anyio.CancelScope) -> None:
        """End a stream when its caller may not have it any more."""
        while await self._may_have(asked):
            await self._clock.sleep(_LOOK_SECONDS)
        lasting.cancel()

    async def _may_have(self, asked: _Asked) -> bool:
        """Say whether a credential is still good, and still reaches the connection that it was let to."""
        token, host = bearer_token(asked.headers), (asked.scope.get("client") or ("", 0))[0]
        try:
            caller = await self._authenticator.caller(token or "", asked.scope["state"]["place"], host)
            return await self._fleet.served(caller, asked.served.id) is asked.served
        except (BadCredential, TurnedAway, NoSuchConnection):
            return False
        except Problem as problem:
            _logger.warning("Whether a stream may go on could not be found out: %s", problem)
            return True


def _session(asked: _Asked, endpoint: McpEndpoint, session: str) -> OpenSession:
    return OpenSession(id=session, endpoint=endpoint, principal=asked.caller.principal, user=asked.user)


def _refused(scope: Scope, turned_away: TurnedAway) -> Response:
    return turned_away.response(scope["state"]["correlation_id"], as_json_rpc=True)

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
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from pingone_mcp.clock import Clock
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import NoSuchConnection, Problem, Refused
from pingone_mcp.service.callers import Caller, ServedToCallers
from pingone_mcp.service.connections import ServedConnection
from pingone_mcp.tasks import background
from pingone_mcp.web.authentication.authenticator import Authenticator
from pingone_mcp.web.authentication.bearer import BadCredential, bearer_token
from pingone_mcp.web.authentication.challenges import too_many
from pingone_mcp.web.mcp.endpoint import McpEndpoint
from pingone_mcp.web.mcp.endpoints import McpEndpoints, stopping
from pingone_mcp.web.mcp.exchanges import Exchange, HttpReply
from pingone_mcp.web.mcp.messages import names_stream, posted_id
from pingone_mcp.web.mcp.sessions import OpenSession, OpenSessions
from pingone_mcp.web.refusals import TurnedAway, no_such_connection

END_SECONDS = 30.0
"""So long a call that runs may go on when the process ends."""
_LOOK_SECONDS = 60.0  # a stream is looked at this often: whether its caller may still have it
MOST_AT_ONCE = 200
"""So many requests of one caller are answered on a connection at the same time; a stream is one of them."""
_METHODS = ("GET", "POST", "DELETE")
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request that was let through: its caller, its connection, and how it wants to be answered.

    `request` is the id of the request that was posted, as text; None where none was.
    """

    caller: Caller
    user: AuthenticatedUser
    served: ServedConnection
    scope: Scope
    headers: Headers
    request: str | None

    @property
    def session(self) -> str | None:
        """The session it names; the era without sessions passes over the header."""
        version = self.headers.get("mcp-protocol-version")
        in_sessions = version is None or version in HANDSHAKE_PROTOCOL_VERSIONS
        return self.headers.get("mcp-session-id") if in_sessions else None

    @property
    def in_flight(self) -> tuple[str, str, str] | None:
        if self.session is None or self.request is None:
            return None
        return self.caller.principal, self.session, self.request

    @property
    def is_stream(self) -> bool:
        """Say whether the answer lasts until it is ended."""
        return self.scope["method"] == "GET" or self.headers.get("mcp-method") == "subscriptions/listen"

    @property
    def wants_json(self) -> bool:
        """Say whether the client takes no stream of events. One that takes anything takes what is simplest."""
        return self.scope["method"] == "POST" and not names_stream(self.headers)

    def within_the_sdk(self) -> Scope:
        """Return the scope for the SDK: with one header Accept, as it looks at one, and without Last-Event-ID.

        No stream can be taken up again here, and the SDK would not answer at all.
        """
        kept = [(name, value) for name, value in self.scope["headers"] if name not in (b"accept", b"last-event-id")]
        accept = ", ".join(self.headers.getlist("accept")).strip() or "*/*"
        return {**self.scope, "headers": [(b"accept", accept.encode("latin-1")), *kept]}


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
        async with self._endpoints.serving(), background() as tasks:
            tasks.start_soon(self._look)
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
        except TurnedAway as refused:
            await _refused(scope, refused)(scope, receive, reply.send)
        except NoSuchConnection:
            await _refused(scope, no_such_connection())(scope, receive, reply.send)
        except Refused as problem:  # it is paused, say, which waiting a little does not change
            await _refused(scope, TurnedAway(HTTPStatus.CONFLICT, problem))(scope, receive, reply.send)
        except Problem as problem:
            busy = TurnedAway(HTTPStatus.SERVICE_UNAVAILABLE, problem, {"Retry-After": "10"})
            await _refused(scope, busy)(scope, receive, reply.send)

    async def _let_in(self, scope: Scope) -> _Asked:
        """Find who sent a request, and the connection it is about. Raises NoSuchConnection, Problem and TurnedAway."""
        caller, user = scope["state"]["caller"], scope["user"]
        if self._is_stopping:
            raise stopping()
        served = await self._fleet.served(caller, scope["path_params"].get("connection", DEFAULT))
        _check_method(scope["method"])
        headers = Headers(scope=scope)
        request = posted_id(headers, scope["state"]["message"]) if scope["method"] == "POST" else None
        return _Asked(caller=caller, user=user, served=served, scope=scope, headers=headers, request=request)

    async def _pass_on(self, asked: _Asked, receive: Receive, reply: HttpReply) -> None:
        """Let the endpoint of the connection answer. Raises TurnedAway."""
        endpoint = self._endpoints.of(asked.served)
        principal = asked.caller.principal
        if endpoint.exchanges.of(principal) >= MOST_AT_ONCE:
            raise too_many("requests of this credential at once")
        if asked.session is not None:
            self._sessions.used(_session(asked, endpoint, asked.session))
        may_go_on = partial(self._may_have, asked)
        exchange = Exchange(principal, receive, reply, may_go_on, lasts=asked.is_stream)
        try:
            with endpoint.in_flight(asked.in_flight):
                await self._answer(asked, endpoint, exchange)
                await self._ended(asked, endpoint, exchange)
        finally:
            endpoint.used_at = self._clock.monotonic()
        await self._count(asked, endpoint, reply)

    async def _answer(self, asked: _Asked, endpoint: McpEndpoint, exchange: Exchange) -> None:
        """Answer for as long as the client is there, and may have the answer."""
        await exchange.read()
        with endpoint.exchanges.held(exchange):
            async with background() as tasks:
                tasks.start_soon(exchange.until_left)
                sent = exchange.reply.send
                await endpoint.answer(asked.within_the_sdk(), exchange.receive, sent, as_json=asked.wants_json)

    async def _ended(self, asked: _Asked, endpoint: McpEndpoint, exchange: Exchange) -> None:
        """Do what is left where an answer was ended before its end. Raises Problem where none has begun.

        A client that leaves takes up no answer again, so what it has asked for in a session ends too.
        """
        if not exchange.scope.cancelled_caught:
            return
        if exchange.ending == "left":
            if asked.session is not None and asked.request is not None:
                await endpoint.cancel(asked.session, asked.user, asked.scope["state"]["message"]["id"])
            return
        if exchange.ending == "refused" and asked.session is not None:
            await endpoint.end_session(asked.session, asked.user)
        if exchange.reply.status is None:
            raise NoSuchConnection if exchange.ending == "refused" else stopping()
        await exchange.reply.end()

    async def _count(self, asked: _Asked, endpoint: McpEndpoint, reply: HttpReply) -> None:
        """Count the session that a request has opened, and end those that are too many; forget one that has ended."""
        if asked.session is not None:
            if not endpoint.has(asked.session):
                self._sessions.ended(_session(asked, endpoint, asked.session))
        elif reply.session is not None and endpoint.has(reply.session):
            for ended in self._sessions.opened(_session(asked, endpoint, reply.session)):
                await ended.endpoint.end_session(ended.id, ended.user)

    async def _look(self) -> None:
        """End again and again what is answered to callers who may not have it any more."""
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            for endpoint in self._endpoints:
                for exchange in endpoint.exchanges:
                    if not await exchange.may_go_on():
                        exchange.end("refused")

    async def _may_have(self, asked: _Asked) -> bool:
        """Say whether a credential is still good, and still reaches the connection that it was let to."""
        token, host = bearer_token(asked.headers), (asked.scope.get("client") or ("", 0))[0]
        try:
            caller = await self._authenticator.caller(token or "", asked.scope["state"]["place"], host)
            return await self._fleet.served(caller, asked.served.id) is asked.served
        except (BadCredential, TurnedAway, Refused):
            return False
        except Problem as problem:
            _logger.warning("Whether an answer may go on could not be found out: %s", problem)
        except Exception:  # whatever it is, the next look meets it again, and it ends nobody's answer
            _logger.exception("Looking whether an answer may go on failed")
        return True


def _session(asked: _Asked, endpoint: McpEndpoint, session: str) -> OpenSession:
    return OpenSession(id=session, endpoint=endpoint, principal=asked.caller.principal, user=asked.user)


def _check_method(method: str) -> None:
    """Raise TurnedAway for a method that MCP does not have."""
    if method not in _METHODS:
        allowed = ", ".join(_METHODS)
        problem = Refused("MCP does not take that method.", f"It takes: {allowed}.", code="NO_SUCH_METHOD")
        raise TurnedAway(HTTPStatus.METHOD_NOT_ALLOWED, problem, {"Allow": allowed})


def _refused(scope: Scope, turned_away: TurnedAway) -> Response:
    return turned_away.response(scope["state"]["correlation_id"], as_json_rpc=True)

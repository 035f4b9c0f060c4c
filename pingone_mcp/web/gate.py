"""The gate of the HTTP face: every request passes it, or is answered here."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.authentication import AuthCredentials
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pingone_mcp.clock import Clock
from pingone_mcp.errors import Refused
from pingone_mcp.service.callers import Caller
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.authentication.authenticator import Authenticator
from pingone_mcp.web.authentication.bearer import BadCredential, bearer_token, holds_credential
from pingone_mcp.web.authentication.challenges import insufficient_scope, too_many, unauthorized
from pingone_mcp.web.authentication.scopes import needed_permissions
from pingone_mcp.web.authentication.sessions import BrowserSession, Sessions
from pingone_mcp.web.bodies import MOST_BYTES, MOST_HOOK_BYTES, Bodies, Body, CallerLeft
from pingone_mcp.web.places import CONNECTION_ID, Destination, named_connection, place_of
from pingone_mcp.web.rates import Rates
from pingone_mcp.web.refusals import TurnedAway, no_such_connection

Meant = Callable[[Caller, str | None], Awaitable[str | None]]
"""Gives the id of the connection that a caller means by an id, or without one; None where it reaches no such one."""

Knock = Callable[[str | None, Headers], Awaitable[None]]
"""Raises TurnedAway where the headers of a delivery do not show the secret of a connection's hook."""

RefusedPage = Callable[[TurnedAway, Scope], Response]
"""Returns the page of a refusal: for a person who looks at it, in place of the JSON that programs read."""

OF_CREDENTIAL = 500  # requests of one credential, in as long as `Rates` counts
ON_CONNECTION = 50
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_MCP_METHODS = {"Allow": "GET, POST, DELETE, OPTIONS"}
_NOT_JSON = {"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "Parse error"}}  # JSON-RPC 2.0 §5.1


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A request before its body."""

    scope: Scope
    headers: Headers
    place: Destination

    @property
    def query(self) -> str:
        return bytes(self.scope["query_string"]).decode("latin-1")

    @property
    def sender(self) -> str:
        """The address it comes from; of IPv6 the network, of which one sender has as many addresses as it likes."""
        host = (self.scope.get("client") or ("", 0))[0]
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return host
        return str(ipaddress.ip_network((address, 64), strict=False)) if address.version == 6 else host


class RequestGate:
    """An ASGI application around another one, which sees only what it may answer.

    The other one finds `place`, `address` and `correlation_id` in the state of a request, and `caller` wherever a
    credential is needed (`user` and `auth` of the scope say the same in the MCP SDK's terms). Bodies come whole; what
    is posted to MCP is in the state as `message`, parsed. By `meant` a caller uses up what its own connections may be
    asked, and nobody else's.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        address: PublicAddress,
        authenticator: Authenticator,
        sessions: Sessions,
        meant: Meant,
        knock: Knock,
        clock: Clock,
        allowed_origins: frozenset[str] = frozenset(),
        refused_page: RefusedPage | None = None,
    ) -> None:
        self._refused_page = refused_page
        self._app, self._address, self._hosts = app, address, address.hosts
        self._own_origins, self._origins = address.origins, address.origins | allowed_origins
        self._authenticator, self._sessions, self._meant = authenticator, sessions, meant
        self._knock = knock
        self._bodies, self._hook_bodies = Bodies(clock), Bodies(clock)
        self._of_credential = Rates(most=OF_CREDENTIAL, clock=clock)
        self._on_connection = Rates(most=ON_CONNECTION, clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1002, "reason": "There are no WebSockets here."})
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        correlation_id = secrets.token_hex(8)
        place = place_of(scope["path"])
        scope.setdefault("state", {}).update(correlation_id=correlation_id, place=place, address=self._address)
        answer = _with_id(send, correlation_id)
        try:
            await self._pass(_Arrived(scope, Headers(scope=scope), place), receive, answer)
        except TurnedAway as refused:
            refusal = self._refusal(refused, scope, place)
            await refusal(scope, receive, answer)
        except CallerLeft:
            return

    def _refusal(self, refused: TurnedAway, scope: Scope, place: Destination) -> Response:
        if self._refused_page is not None and is_looked_at(scope, place):
            return self._refused_page(refused, scope)
        return refused.response(scope["state"]["correlation_id"], as_json_rpc=place.face == "mcp")

    def _check_own_page(self, request: _Arrived) -> None:
        """Refuse what another site sends: a cookie comes along with it."""
        if request.scope["method"] not in _SAFE and request.headers.get("origin") not in self._own_origins:
            raise _foreign_origin()

    async def _pass(self, request: _Arrived, receive: Receive, answer: Send) -> None:
        """Let a request through, or raise TurnedAway. Of one that is refused for its headers, no body is read."""
        scope, place = request.scope, request.place
        self._check_address(request)
        if place.face == "mcp" and scope["method"] == "OPTIONS":
            await Response(status_code=HTTPStatus.NO_CONTENT, headers=_MCP_METHODS)(scope, receive, answer)
            return
        if place.face in ("open", "health"):
            await self._app(scope, Body(b"", receive).receive, answer)
        elif place.face == "entry":
            self._check_own_page(request)
            async with self._bodies.received(scope, receive, MOST_BYTES) as body:
                await self._app(scope, body.receive, answer)
        elif place.face == "hook":
            await self._knock(place.connection, request.headers)
            async with self._hook_bodies.received(scope, receive, MOST_HOOK_BYTES) as body:
                await self._app(scope, body.receive, answer)
        else:
            caller = await self._admitted(request)
            async with self._bodies.received(scope, receive, MOST_BYTES) as body:
                if place.face == "mcp" and not self._may(caller, request, body.content):
                    await JSONResponse(_NOT_JSON, HTTPStatus.BAD_REQUEST)(scope, receive, answer)
                    return
                await self._app(scope, body.receive, answer)

    def _check_address(self, request: _Arrived) -> None:
        """Refuse what is not addressed to us, or in a way that we never use."""
        if "transfer-encoding" in request.headers and "content-length" in request.headers:
            # What follows on this connection may be a request that a proxy took for a body (RFC 9112 §6.1).
            unclear = Refused("The body has a length and comes in chunks.", "Send Content-Length alone.")
            raise TurnedAway(HTTPStatus.BAD_REQUEST, unclear, {"Connection": "close"})
        path: str = request.scope["path"]
        if not (path.startswith("/") and path.isprintable()):
            no_path = Refused("What is asked for is no path.", "Ask for a path, such as /ping.")
            raise TurnedAway(HTTPStatus.BAD_REQUEST, no_path)
        if holds_credential(path, request.query):
            spilled = Refused(
                "A credential stands in the URL, where logs keep it. It was not looked at.",
                "Revoke it, and send another one as `Authorization: Bearer …`.",
                code="CREDENTIAL_IN_URL",
            )
            raise TurnedAway(HTTPStatus.BAD_REQUEST, spilled)
        hosts = [host.lower() for host in request.headers.getlist("host")]
        if request.place.face != "health" and (len(hosts) != 1 or hosts[0] not in self._hosts):
            misdirected = Refused("This server does not answer for that host.", "Use the URL that its operator gave.")
            raise TurnedAway(HTTPStatus.MISDIRECTED_REQUEST, misdirected)
        origin = request.headers.get("origin")
        if request.place.face == "mcp" and origin is not None and origin not in self._origins:
            raise _foreign_origin()

    async def _admitted(self, request: _Arrived) -> Caller:
        """Return who sends a request, if they may send one more."""
        caller = await self._caller(request)
        if not self._of_credential.take(caller.principal):
            raise too_many("requests of this credential")
        if request.place.face == "mcp" and request.place.connection is None:
            raise no_such_connection()
        connection = await self._connection(request, caller)
        if connection is not None and not self._on_connection.take(connection):
            raise too_many("requests on this connection")
        _sign_in(request.scope, caller, self._address.resource(request.place.resource))
        return caller

    async def _caller(self, request: _Arrived) -> Caller:
        try:
            token = bearer_token(request.headers)
            if token is not None:
                return await self._authenticator.caller(token, request.place, request.sender)
        except BadCredential as bad:
            raise unauthorized(self._address, request.place, str(bad)) from None
        session = self._sessions.of(request.headers) if request.place.face in ("rest", "page") else None
        if session is None:
            raise unauthorized(self._address, request.place, None)
        self._check_own_page(request)
        request.scope["state"]["session"] = session
        return await self._still(session, request)

    async def _still(self, session: BrowserSession, request: _Arrived) -> Caller:
        """Return who has signed in, as their credential lets them now."""
        if session.credential is None:
            return session.caller
        try:
            shown = session.credential.get_secret_value()
            return await self._authenticator.caller(shown, request.place, request.sender)
        except BadCredential as bad:
            raise unauthorized(self._address, request.place, str(bad)) from None

    async def _connection(self, request: _Arrived, caller: Caller) -> str | None:
        """Return the connection that a request is about, if it is one of the caller's."""
        named = named_connection(request.place, request.scope["path"], request.query)
        if named is not None and not CONNECTION_ID.fullmatch(named):
            return None
        return await self._meant(caller, named)

    def _may(self, caller: Caller, request: _Arrived, content: bytes) -> bool:
        """Raise TurnedAway for what a caller may not ask over MCP; False for a body that is no JSON at all.

        Nothing passes that was not understood here: the SDK reads more texts as JSON (NaN, UTF-16) than there are.
        """
        message = None
        if request.scope["method"] == "POST":
            try:
                message = msgspec.json.decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return False
        request.scope["state"]["message"] = message
        needed = needed_permissions(message)
        if caller.lacks(needed):
            raise insufficient_scope(self._address, request.place, needed)
        return True


def is_looked_at(scope: Scope, place: Destination) -> bool:
    """Say whether a person looks at what is answered: at a page, and not by a program with a credential of its own."""
    return place.face in ("page", "entry") and "authorization" not in Headers(scope=scope)


def _foreign_origin() -> TurnedAway:
    return TurnedAway(
        HTTPStatus.FORBIDDEN,
        Refused("Pages of this origin may not call this server.", "Its operator can allow the origin.", code="ORIGIN"),
    )


def _sign_in(scope: Scope, caller: Caller, resource: str) -> None:
    """Let what answers know the caller, also as the MCP SDK does: its sessions belong to who began them."""
    scopes = sorted(caller.permissions)
    user = AccessToken(
        token="",
        client_id=caller.client_id,
        scopes=[*scopes],
        expires_at=None if caller.expires_at is None else int(caller.expires_at.timestamp()),
        resource=resource,
        subject=caller.subject,
        claims={"iss": caller.issuer},
    )
    scope["state"]["caller"] = caller
    scope["user"], scope["auth"] = AuthenticatedUser(user), AuthCredentials(scopes)


def _with_id(send: Send, correlation_id: str) -> Send:
    """Return `send` with the header X-Request-Id in every answer."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["X-Request-Id"] = correlation_id
        await send(message)

    return sending

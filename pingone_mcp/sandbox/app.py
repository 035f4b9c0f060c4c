"""The sandbox itself: a company behind PingOne's doors, in this process or on a socket.

The API is at `/v1/…`, the token endpoint at `/{environmentId}/as/token` and (as on a custom domain) at `/as/token`.
What only a sandbox has is at `/sandbox`, takes no token and appears in no log:

    GET    /sandbox                  ids, client id and secret, time, number of token requests
    GET    /sandbox/log              the requests received            DELETE: forget them
    GET    /sandbox/faults           the faults planned               DELETE: plan none
    POST   /sandbox/faults           plan one (an object with the fields of `Fault`) or several (a list)
    POST   /sandbox/users/{user}/{act}   by id or username: `disable`, `enable`, `lock`, `unlock`, `delete`
    GET    /sandbox/webhooks         what waits for each subscription, and the deliveries    DELETE: forget these
    POST   /sandbox/webhooks         subscribe a receiver: `{"url", "headers", "action_types"}`
    POST   /sandbox/webhooks/delivery   send what is due now, and give these deliveries
    GET    /sandbox/webhooks/faults  the faults of deliveries (fields of `DeliveryFault`)    POST, DELETE: as above
    PUT    /sandbox/grants           the roles of the worker application: `[{"role", "scope", "scope_id"}]`
    POST   /sandbox/clock            `{"advance": seconds}`
    POST   /sandbox/revocation       revoke every token issued so far
"""

from __future__ import annotations

import json
import math
import socket
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl

import anyio
import anyio.lowlevel
import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pingone_mcp.clock import Clock
from pingone_mcp.sandbox import personnel
from pingone_mcp.sandbox.activities import Actor
from pingone_mcp.sandbox.administration import Administration
from pingone_mcp.sandbox.attacks import Headers, harmed
from pingone_mcp.sandbox.company.ids import stable_id
from pingone_mcp.sandbox.company.roles import BY_NAME, Grant, Narrowing
from pingone_mcp.sandbox.company.roles import Scope as RoleScope
from pingone_mcp.sandbox.company.sample import SEED, Company
from pingone_mcp.sandbox.company.state import EnvironmentState
from pingone_mcp.sandbox.cursors import Cursors
from pingone_mcp.sandbox.endpoints import environments, groups, populations, subscriptions, users
from pingone_mcp.sandbox.endpoints.calls import Call, Endpoint, PageFaults, World
from pingone_mcp.sandbox.endpoints.tokens import Application, AuthMethod, RequestDenied, Tokens, authenticate
from pingone_mcp.sandbox.errors import (
    ApiError,
    Json,
    invalid,
    invalid_token,
    not_found,
    not_permitted,
    too_many,
    wrong_method,
)
from pingone_mcp.sandbox.faults import ANSWERED, MUTATIONS, Fault, Faults, Plan, Planned
from pingone_mcp.sandbox.hal import NO_STORE, Reply, garbled, media_type, written
from pingone_mcp.sandbox.options import Options
from pingone_mcp.sandbox.scim import InvalidFilter
from pingone_mcp.sandbox.times import SECOND, MovableClock, timestamp
from pingone_mcp.sandbox.webhooks import back_door
from pingone_mcp.sandbox.webhooks.feeds import Feeds
from pingone_mcp.sandbox.webhooks.sender import EventSource, Sender
from pingone_mcp.tasks import background

ENDPOINTS: tuple[Endpoint, ...] = (
    *environments.ENDPOINTS,
    *users.ENDPOINTS,
    *groups.ENDPOINTS,
    *populations.ENDPOINTS,
    *subscriptions.ENDPOINTS,
)
_LOGGED_HEADERS = (
    "accept",
    "accept-encoding",
    "content-type",
    "cookie",
    "user-agent",
    "x-ping-external-transaction-id",
    "x-ping-external-session-id",
)
_STATE, _PAGE, _PATIENCE = "sandbox.correlation_id", "sandbox.page", "sandbox.patience"


class ConnectionDropped(Exception):
    """The connection ended before the answer did."""


class AnsweredTooLate(Exception):
    """The answer came after the client had stopped waiting for it."""


@dataclass
class LoggedRequest:
    """One request received; the secret and the token are not kept, only whether there was one."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    status: int
    at: int
    faults: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Path and query, as they came."""
        return f"{self.path}?{self.query}" if self.query else self.path


class Sandbox:
    """A small PingOne: the company, its doors, and what goes wrong at them.

    `now` (default: the real time) stops the clock; move it with `sandbox.clock.advance(seconds)`. `sleep` is what
    `slow` faults and latency wait with: by default nobody waits, and the clock of the sandbox moves instead; for
    answers that are really slow pass `sleep=anyio.sleep`. `base_url` is where the sandbox is said to live;
    links follow the address a client uses.

    `sender` sends webhooks: by itself in a block of `sending`, as `running` and `serve` do; else by `sender.deliver()`.
    Its loop waits by `webhook_clock`, and what it sends travels by `webhook_client` (None: one of its own).
    """

    def __init__(
        self,
        size: int = 500,
        seed: str | int = SEED,
        options: Options | None = None,
        now: datetime | None = None,
        base_url: str = "http://127.0.0.1:8010",
        *,
        customers: int = 36,
        administrators: bool = False,
        auth_method: AuthMethod = "CLIENT_SECRET_BASIC",
        sleep: Callable[[float], Awaitable[None]] | None = None,
        webhook_clock: Clock | None = None,
        webhook_client: httpx.AsyncClient | None = None,
    ) -> None:
        self.options = options or Options()
        self.clock = MovableClock(now)
        self.base_url = base_url.rstrip("/")
        self.company = Company(size, seed, now, customers=customers, administrators=administrators)
        self.faults = Faults()
        self.requests: deque[LoggedRequest] = deque(maxlen=10_000)
        self._key = self.company.key
        self.sleep = sleep
        self._answered = 0
        self._allowance: tuple[float, int] = (0.0, 0)
        self._tokens = Tokens(self._key, self.company.organization_id)
        self.application = Application(
            environment_id=self.company.main.id,
            client_id=stable_id(self._key, "client"),
            client_secret=f"sandbox~{stable_id(self._key, 'secret')}",
            auth_method=auth_method,
            grants=[
                Grant(role, "ORGANIZATION", self.company.organization_id)
                for role in ("Environment Admin", "Identity Data Admin", "Configuration Read Only")
            ],
        )
        states = {one.id: EnvironmentState(one, self.options, self.clock) for one in self.company.environments}
        feeds = Feeds(states)
        self.world = World(self.company, self.options, self.clock, self.application, states, Cursors(self._key), feeds)
        source = EventSource(
            states=states,
            feeds=feeds,
            options=self.options,
            key=self._key,
            base=lambda: f"{self.base_url}/v1/environments",
        )
        waits = replace(webhook_clock or Clock(), wall=lambda: self.clock.now() / SECOND)
        self.sender = Sender(source, waits, webhook_client)
        for state in states.values():
            state.recorded = self.sender.wake
        self.app: ASGIApp = _Entrance(self, self._routes())

    # --------------------------------------------------------------------------------------------- for the owner

    @property
    def environment_id(self) -> str:
        """The main environment, where the worker application lives."""
        return self.company.main.id

    @property
    def client_id(self) -> str:
        """The worker application's client id."""
        return self.application.client_id

    @property
    def client_secret(self) -> str:
        """The worker application's secret."""
        return self.application.client_secret

    @property
    def token_requests(self) -> int:
        """How many token requests have come, good and bad."""
        return self._tokens.requests

    def users(self, environment_id: str | None = None) -> Iterator[Json]:
        """Give every user as it is now, without links, oldest first."""
        return self.world.states[environment_id or self.environment_id].users()

    def user(self, environment_id: str | None, user_id: str) -> Json | None:
        """Give one user as it is now, or None."""
        state = self.world.states[environment_id or self.environment_id]
        position = state.position(user_id)
        return None if position is None else deepcopy(state.user(position))

    def state(self, environment_id: str | None = None) -> EnvironmentState:
        """Give an environment as it is now (default: the main one)."""
        return self.world.states[environment_id or self.environment_id]

    def administration(self, environment_id: str | None = None) -> Administration:
        """Give the administrator of an environment (default: the main one), who changes users as a person would."""
        return Administration(state=self.state(environment_id), correlation_id=self.correlation_id)

    def grant(self, role: str, scope: RoleScope = "ORGANIZATION", scope_id: str | None = None) -> None:
        """Give the worker application a role, by default over the organization."""
        self.application.grants.append(Grant(BY_NAME[role].name, scope, scope_id or self.company.organization_id))

    def withdraw(self, *roles: str) -> None:
        """Take roles (default: all) from the worker application."""
        self.application.grants = [one for one in self.application.grants if roles and one.role not in roles]

    def narrow(self, environment_id: str | None = None, narrowing: Narrowing | None = None) -> None:
        """Narrow the roles in an environment (default: the main one); without a narrowing they reach all again."""
        self.world.narrowed.pop(environment_id or self.environment_id, None)
        if narrowing is not None:
            self.world.narrowed[environment_id or self.environment_id] = narrowing

    def revoke_tokens(self) -> None:
        """Refuse from now on every token issued so far."""
        self._tokens.revoke_all()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Send webhooks for as long as the block lasts."""
        async with background() as tasks:
            tasks.start_soon(self.sender.run)
            yield

    def transport(self) -> httpx.AsyncBaseTransport:
        """Give a way in for httpx that needs no socket; any base URL will do.

        The time-out of httpx for reading holds, by the time that `sleep` tells.
        """
        return _Transport(self.app)

    # ------------------------------------------------------------------------------------------------ the routes

    def _routes(self) -> Starlette:
        by_path: dict[str, dict[str, Endpoint]] = defaultdict(dict)
        for endpoint in ENDPOINTS:
            by_path[endpoint.path][endpoint.method] = endpoint
        routes = [
            Route(path, self._answering(by_method), methods=list(by_method)) for path, by_method in by_path.items()
        ]
        routes += [
            Route("/{environment}/as/token", self._token, methods=["POST"]),
            Route("/as/token", self._token, methods=["POST"]),
            Route("/sandbox", self._show, methods=["GET"]),
            Route("/sandbox/log", self._log, methods=["GET", "DELETE"]),
            _plan_route("/sandbox/faults", self.faults),
            _plan_route("/sandbox/webhooks/faults", self.sender.faults),
            *personnel.routes(self.administration),
            *back_door.routes(self.sender, self.world.feeds, self.state(), self.options),
            Route("/sandbox/grants", self._grants, methods=["PUT"]),
            Route("/sandbox/clock", self._clock, methods=["POST"]),
            Route("/sandbox/revocation", self._revocation, methods=["POST"]),
        ]
        app = Starlette(routes=routes, exception_handlers={HTTPException: self._no_route})
        app.router.redirect_slashes = False
        return app

    async def _no_route(self, request: Request, problem: Exception) -> Response:
        status = problem.status_code if isinstance(problem, HTTPException) else 404
        error = wrong_method() if status == HTTPStatus.METHOD_NOT_ALLOWED else not_found()
        return self.refuse(request, error)

    def correlation_id(self) -> str:
        """Make the id of an answer."""
        self._answered += 1
        return stable_id(self._key, "request", self._answered)

    def refuse(self, request: Request, error: ApiError) -> Response:
        """Write an error as PingOne does."""
        return self._written(request, error.status, error.body(self.correlation_id()), error.headers)

    def _written(self, request: Request, status: int, body: Json | None, headers: Mapping[str, str]) -> Response:
        if body is None:
            return Response(status_code=status, headers=dict(headers))
        content = written(body, pretty=self.options.pretty)
        return Response(content, status, dict(headers), media_type(request.headers.get("accept")))

    def _answering(self, by_method: dict[str, Endpoint]) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            endpoint = by_method["GET" if request.method == "HEAD" else request.method]
            call = Call(
                world=self.world,
                request=request,
                raw=await request.body(),
                actor=Actor(self.application.client_id, self.application.name),
                correlation_id=request.scope[_STATE],
                page=request.scope[_PAGE],
            )
            try:
                call.enter(endpoint.permission)
                reply: Reply = endpoint.answer(call)
            except InvalidFilter as problem:
                inner = {"supportedAttributes": problem.attributes, "supportedOperators": problem.operators}
                named = {name: value for name, value in inner.items() if value is not None}
                return self.refuse(
                    request, invalid("INVALID_FILTER", f"The filter is not valid: {problem}.", "filter", **named)
                )
            except ApiError as problem:
                return self.refuse(request, problem)
            body = garbled(reply.body, self.options.garbled) if self.options.garbled else reply.body
            return self._written(request, reply.status, body, {"location": reply.location} if reply.location else {})

        return answer

    # ------------------------------------------------------------------------------------------------ the tokens

    async def _token(self, request: Request) -> Response:
        self._tokens.requests += 1
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
        home = request.path_params.get("environment", self.application.environment_id)
        try:
            authorization = request.headers.get("authorization")
            authenticate(self.application, home, authorization, form, self.options.token_failure_status)
        except RequestDenied as problem:
            return JSONResponse(problem.body(request.scope[_STATE]), problem.status)
        origin = f"{request.url.scheme}://{request.url.netloc}"
        lifetime = self.options.token_lifetime
        token = self._tokens.issue(self.application, f"{origin}/{home}/as", origin, self.clock.now(), lifetime)
        body: Json = {"access_token": token, "token_type": "Bearer", "expires_in": lifetime}
        if self.options.token_scope is not None:
            body["scope"] = self.options.token_scope
        return JSONResponse(body)

    def admits(self, authorization: str | None) -> bool:
        """Say whether a request may come in."""
        return self._tokens.accepts(authorization, self.clock.now())

    # --------------------------------------------------------------------------------------------- the back door

    async def _show(self, _request: Request) -> Response:
        company = self.company
        return JSONResponse(
            {
                "company": company.name,
                "now": timestamp(self.clock.now()),
                "base_url": self.base_url,
                "environment_id": self.environment_id,
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "auth_method": self.application.auth_method,
                "token_requests": self.token_requests,
                "organization_id": company.organization_id,
                "environments": [{"id": one.id, "name": one.name, "type": one.type} for one in company.environments],
                "grants": [asdict(one) for one in self.application.grants],
                "notables": company.main.notables,
            }
        )

    async def _log(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.requests.clear()
            return Response(status_code=204)
        return JSONResponse({"token_requests": self.token_requests, "requests": [asdict(one) for one in self.requests]})

    async def _grants(self, request: Request) -> Response:
        try:
            grants = [Grant(**one) for one in await request.json()]
        except (TypeError, ValueError):
            return JSONResponse({"grants": "not understood"}, 400)
        if any(grant.role not in BY_NAME for grant in grants):
            return JSONResponse({"grants": "there is no such role", "roles": sorted(BY_NAME)}, 400)
        self.application.grants = grants
        return JSONResponse({"grants": [asdict(one) for one in grants]})

    async def _clock(self, request: Request) -> Response:
        self.clock.advance(float((await request.json())["advance"]))
        self.sender.wake()
        return JSONResponse({"now": timestamp(self.clock.now())})

    async def _revocation(self, _request: Request) -> Response:
        self.revoke_tokens()
        return Response(status_code=204)

    # ---------------------------------------------------------------------------------------- for the gate alone

    async def wait(self, seconds: float) -> None:
        """Let time pass for the client."""
        if seconds > 0:
            await (self.sleep or self._pass)(seconds)

    async def _pass(self, seconds: float) -> None:
        """Let time pass without waiting for it; other tasks that wait get their turn."""
        until = self.clock.now() + round(seconds * SECOND)
        await anyio.lowlevel.checkpoint()
        self.clock.advance(max(0, until - self.clock.now()) / SECOND)

    def over_rate(self) -> bool:
        """Count a request against the rate; a bucket that holds one second's worth."""
        rate = self.options.requests_per_second
        if rate is None:
            return False
        left, since = self._allowance
        now = self.clock.now()
        left = min(rate, left + (now - since) / SECOND * rate) if since else rate
        over = left < 1
        self._allowance = (left if over else left - 1, now)
        return over

    def befall(self, fault: Fault, page: PageFaults) -> None:
        """Change the directory the way somebody else might, just after a page was made."""
        administration = self.administration(page.environment_id or None)
        state = administration.state
        if fault.kind == "user_created":
            administration.create_user(f"newcomer.{state.version}@example.com", state.employees())
            return
        position = state.position(fault.user_id) if fault.user_id else None
        if position is None and fault.user_id is None and page.served:
            position = page.served[-1 if fault.kind == "user_deleted" else 0]
        if position is None:
            return
        if fault.kind == "user_deleted":
            administration.delete_user(position)
            return
        here = state.user(position)["population"]["id"]
        administration.move_user(position, state.contractors() if here != state.contractors() else state.employees())


class _Entrance:
    """What every request passes: the log, the faults, the rate, the token."""

    def __init__(self, sandbox: Sandbox, inner: ASGIApp) -> None:
        self._sandbox, self._inner = sandbox, inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/sandbox"):
            await self._inner(scope, receive, send)
            return
        request, sandbox = Request(scope, receive), self._sandbox
        logged, faults = self._log(request)
        scope[_STATE] = sandbox.correlation_id()
        waits = sandbox.options.latency + sum(fault.seconds for fault in faults if fault.kind == "slow")
        patience = scope.get(_PATIENCE, math.inf)
        await sandbox.wait(min(waits, patience))
        try:
            start, body = await self._made(request, faults, receive)
        except ConnectionDropped:
            await _drop(send)
            raise
        logged.status = start["status"]
        if waits > patience:
            raise AnsweredTooLate  # what was asked for has been done all the same: nobody here knows who has gone
        drip = next((fault for fault in faults if fault.kind == "drip"), None)
        if drip is not None and drip.seconds > patience:
            await sandbox.wait(patience)
            raise AnsweredTooLate
        await self._answer(request, faults, start, body, send)

    def _log(self, request: Request) -> tuple[LoggedRequest, list[Fault]]:
        """Note a request, and return what befalls it, too."""
        path, query = request.scope["path"], request.scope["query_string"].decode("latin-1")
        headers = {name: value for name, value in request.headers.items() if name in _LOGGED_HEADERS}
        if "authorization" in request.headers:
            headers["authorization"] = request.headers["authorization"].partition(" ")[0]
        logged = LoggedRequest(request.method, path, query, headers, 0, self._sandbox.clock.now())
        self._sandbox.requests.append(logged)
        faults = self._sandbox.faults.befall(request.method, logged.target)
        logged.faults = tuple(fault.kind for fault in faults)
        return logged, faults

    async def _made(self, request: Request, faults: list[Fault], receive: Receive) -> tuple[Message, bytes]:
        """Make the answer, with the faults of those who make it. Raises ConnectionDropped in the place of one."""
        sandbox, kinds = self._sandbox, {fault.kind for fault in faults}
        request.scope[_PAGE] = page = PageFaults()
        _bend(page, faults)
        if "token_revoked" in kinds:
            sandbox.revoke_tokens()
        refusal = next((fault for fault in faults if fault.kind in ANSWERED), None)
        if refusal is not None:
            start, body = await self._collected(self._failing(request, refusal), request.scope, receive)
        else:
            start, body = await self._collected(self._refused(request) or self._inner, request.scope, receive)
            for fault in faults:
                if fault.kind in MUTATIONS:
                    sandbox.befall(fault, page)
            if "missing_count" in kinds:
                body = _uncounted(body)
        return start, body[: len(body) // 2] if "truncated_body" in kinds else body

    async def _answer(self, request: Request, faults: list[Fault], start: Message, body: bytes, send: Send) -> None:
        """Send an answer, with the faults that befall it on its way."""
        added: Headers = []
        for fault in faults:
            more, body = harmed(fault, body)
            added += more
        missing = sum(fault.amount for fault in faults if fault.kind == "false_length")
        wrong = sum(fault.seconds for fault in faults if fault.kind == "wrong_date")
        now = self._sandbox.clock.now() + round(wrong * SECOND)
        await send(_head(start, added, len(body) + missing, request.scope[_STATE], now))
        drip = next((fault for fault in faults if fault.kind == "drip"), None)
        if drip is not None:
            await self._drip(drip, body, request.receive, send)
        else:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        if missing:
            raise ConnectionDropped
        await send({"type": "http.response.body", "body": b""})

    async def _drip(self, fault: Fault, body: bytes, receive: Receive, send: Send) -> None:
        """Send a body piece by piece, for as long as somebody is there to take it."""

        async def wait_for_leaving() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_leaving)
            for at in range(0, len(body), fault.amount):
                await send({"type": "http.response.body", "body": body[at : at + fault.amount], "more_body": True})
                await self._sandbox.wait(fault.seconds)
            tasks.cancel_scope.cancel()

    async def _collected(self, app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
        """Run the application and keep its answer."""
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await app(scope, receive, keep)
        return messages[0], b"".join(message.get("body", b"") for message in messages[1:])

    def _refused(self, request: Request) -> Response | None:
        """Refuse what never reaches an endpoint: too long, too often, without a good token."""
        sandbox = self._sandbox
        limit = sandbox.options.max_header_bytes
        if limit is not None and _head_size(request) > limit:
            return sandbox.refuse(request, ApiError(431, "INVALID_REQUEST", "The request headers are too large."))
        if not request.scope["path"].startswith("/v1/"):
            return None
        if sandbox.over_rate():
            return sandbox.refuse(request, self._too_many(1, "1"))
        if not sandbox.admits(request.headers.get("authorization")):
            return sandbox.refuse(request, invalid_token())
        return None

    def _too_many(self, seconds: float, retry_after: str) -> ApiError:
        retry_at = timestamp(self._sandbox.clock.now() + round(seconds * SECOND))
        return too_many(retry_at, {"retry-after": retry_after})

    def _failing(self, request: Request, fault: Fault) -> Response:
        sandbox, seconds = self._sandbox, fault.seconds
        match fault.kind:
            case "rate_limited_seconds":
                return sandbox.refuse(request, self._too_many(seconds, f"{seconds:.0f}"))
            case "rate_limited_date":
                at = _http_date(sandbox.clock.now() + round(seconds * SECOND))
                return sandbox.refuse(request, self._too_many(seconds, at))
            case "unavailable_503":
                error = ApiError(
                    503, "SERVICE_UNAVAILABLE", "The service is unavailable.", headers={"retry-after": f"{seconds:.0f}"}
                )
                return sandbox.refuse(request, error)
            case "bad_gateway_html":
                page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
                return Response(page, 502, media_type="text/html")
            case "server_error":
                return sandbox.refuse(request, ApiError(500, "UNEXPECTED_ERROR", "An unexpected error occurred."))
            case "bad_request":
                return sandbox.refuse(request, invalid("INVALID_VALUE", "is not valid"))
            case "forbidden":
                return sandbox.refuse(request, not_permitted())
            case "not_found":
                return sandbox.refuse(request, not_found())
            case "filter_refused":
                return sandbox.refuse(request, invalid("INVALID_FILTER", "The filter is not valid.", "filter"))
            case "cursor_refused":
                return sandbox.refuse(request, invalid("INVALID_PARAMETER", "the cursor has expired", "cursor"))
        raise ConnectionDropped


def _bend(page: PageFaults, faults: list[Fault]) -> None:
    for fault in faults:
        match fault.kind:
            case "short_page":
                page.rows = fault.amount
            case "short_list":
                page.ends = fault.amount
            case "wrong_count":
                page.miscount = fault.amount
            case "lost_next" | "foreign_next" | "foreign_path_next" | "repeated_next":
                page.next = fault.kind


P = TypeVar("P", bound=Planned)


def _plan_route(path: str, plan: Plan[P]) -> Route:
    """Let a plan of faults be read, added to and cleared."""

    async def answer(request: Request) -> Response:
        if request.method == "DELETE":
            plan.clear()
            return Response(status_code=204)
        if request.method == "POST":
            asked = await request.json()
            try:
                planned = [plan.of(**one) for one in (asked if isinstance(asked, list) else [asked])]
            except (TypeError, ValueError):
                return JSONResponse({"fault": "not understood", "fields": plan.fields}, 400)
            for fault in planned:
                plan.put(fault)
        return JSONResponse({"faults": plan.listing()}, 201 if request.method == "POST" else 200)

    return Route(path, answer, methods=["GET", "POST", "DELETE"])


def _uncounted(body: bytes) -> bytes:
    """Leave `count` out of a list, as PingOne's contract allows."""
    content = json.loads(body) if body else None
    if not isinstance(content, dict) or "count" not in content:
        return body
    return written({key: value for key, value in content.items() if key != "count"}, pretty=False)


def _head_size(request: Request) -> int:
    scope = request.scope
    target = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
    return target + sum(len(name) + len(value) + 4 for name, value in scope["headers"])


def _http_date(at: int) -> str:
    """Write an instant as HTTP does, in whole seconds (RFC 9110 §5.6.7)."""
    return formatdate(at // SECOND, usegmt=True)


def _head(start: Message, added: Headers, length: int, correlation_id: str, now: int) -> Message:
    id_ = correlation_id.encode()
    extra = {b"correlation-id": id_, b"x-amzn-requestid": id_, b"date": _http_date(now).encode()}
    extra |= {name.encode(): value.encode() for name, value in NO_STORE.items()}
    kept = [(name, value) for name, value in start["headers"] if name != b"content-length"]
    sized = [] if start["status"] == 204 else [(b"content-length", str(length).encode())]
    headers = [*kept, *extra.items(), *added, *sized]
    return {"type": "http.response.start", "status": start["status"], "headers": headers}


async def _drop(send: Send) -> None:
    """Promise an answer and break off: on a socket the server closes the connection, in process an error comes out."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"4096")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{", "more_body": True})


class _Transport(httpx.AsyncBaseTransport):
    """The sandbox without a socket."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        read = request.extensions.get("timeout", {}).get("read")
        patience = {} if read is None else {_PATIENCE: read}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await self._app({**scope, **patience}, receive, send)

        try:
            return await httpx.ASGITransport(cast("Any", app)).handle_async_request(request)
        except AnsweredTooLate as problem:
            msg = f"no answer within {read:g} seconds"
            raise httpx.ReadTimeout(msg, request=request) from problem
        except ConnectionDropped as problem:
            msg = "peer closed connection without sending complete message body"
            raise httpx.RemoteProtocolError(msg, request=request) from problem


# ------------------------------------------------------------------------------------------------------- sockets


_GRACE_SECONDS = 0.1
"""What is being answered at the end has so many seconds for it."""


class _Server(uvicorn.Server):
    """A web server that leaves signals to the process that it is in, and begins and ends without looking at a watch."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.begun = anyio.Event()
        self.asked_to_end = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.begun.set()

    async def main_loop(self) -> None:
        await self.asked_to_end.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        connections = self.server_state.connections
        for connection in list(connections):
            connection.shutdown()
        with anyio.move_on_after(_GRACE_SECONDS):
            while connections:  # noqa: ASYNC110 - uvicorn has a set of them, not an event
                await anyio.sleep(_GRACE_SECONDS / 100)


@asynccontextmanager
async def running(sandbox: Sandbox, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve on a socket for as long as the block lasts; gives the address (port 0: a free one is chosen).

    Raises OSError when the port is taken.
    """
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    # Head and body of an answer are sent one after the other; without this the second waits for the other end's
    # delayed acknowledgement. asyncio sets it only for sockets that name their protocol.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        sandbox.app,
        log_level="critical",
        access_log=False,
        lifespan="off",
        server_header=False,
        date_header=False,  # the sandbox tells its own time
    )
    server = _Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, [listener])
        await server.begun.wait()
        bound = listener.getsockname()[1]
        sandbox.base_url = f"http://[{host}]:{bound}" if ":" in host else f"http://{host}:{bound}"
        try:
            async with sandbox.sending():
                yield sandbox.base_url
        finally:
            server.asked_to_end.set()


def serve(
    sandbox: Sandbox,
    host: str = "127.0.0.1",
    port: int = 8010,
    *,
    started: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve until interrupted; `started` is called with the address once it can be reached."""

    async def run() -> None:
        async with running(sandbox, host, port) as address:
            started(address)
            await anyio.sleep_forever()

    anyio.run(run)

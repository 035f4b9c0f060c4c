"""The gate of the tests, before an application that says what it was given."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from pingone_mcp.service.callers import Caller, Permission
from pingone_mcp.tasks import SingleFlight, background
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.authentication.access_tokens import AccessTokens, TokenRules
from pingone_mcp.web.authentication.authenticator import Authenticator, Failures
from pingone_mcp.web.authentication.login import login_routes
from pingone_mcp.web.authentication.resource_metadata import metadata_routes
from pingone_mcp.web.authentication.sessions import Sessions
from pingone_mcp.web.authentication.signing_keys import SigningKeys
from pingone_mcp.web.cors import Cors
from pingone_mcp.web.gate import Knock, RequestGate
from pingone_mcp.web.places import CONNECTION_ID
from tests.web.authorization_server import BASE, ISSUER, AuthorizationServer
from tests.world import Time

KEY = "pmk_k1_" + "s" * 43
OTHER_KEY = "pmk_k2_" + "t" * 43
TENANT_KEY = "pmk_k3_" + "u" * 43
ALLOWED = "https://claude.ai"
MCP, USERS, HOOK = "/c/acme/mcp", "/unified/user-directory/users", "/hooks/pingone/acme"
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def holder(name: str, *connections: str, tenant: str | None = None, may: tuple[Permission, ...] = ()) -> Caller:
    return Caller(
        kind="api_key",
        client_id=f"key:{name}",
        issuer="local",
        subject=name,
        permissions=frozenset(may or ("directory.read",)),
        connections=frozenset(connections) if connections else None,
        tenant=tenant,
    )


async def open_door(connection: str | None, headers: Headers) -> None:
    """Let every delivery in: tests/web/hooks has the door that does not."""


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def shown(request: Request) -> Response:
    """Say who was let in, where, and with how long a body."""
    caller: Caller | None = getattr(request.state, "caller", None)
    facts: dict[str, Any] = {
        "connection": request.state.place.connection,
        "body": len(await request.body()),
        "correlation_id": request.state.correlation_id,
    }
    if caller is not None:
        facts |= {
            "principal": caller.principal,
            "permissions": sorted(caller.permissions),
            "connections": None if caller.connections is None else sorted(caller.connections),
            "user": request.user.access_token.model_dump(exclude_none=True),
        }
    return JSONResponse(facts)


@dataclass(slots=True)
class Entrance:
    """What stands before the application, and what it asks."""

    address: PublicAddress
    time: Time = field(default_factory=Time)
    server: AuthorizationServer = field(default_factory=AuthorizationServer)
    keys: dict[str, Caller] = field(
        default_factory=lambda: {
            KEY: holder("k1", "acme"),
            OTHER_KEY: holder("k2", "beta"),
            TENANT_KEY: holder("k3", tenant="t", may=("directory.read", "directory.sync")),
        }
    )
    sessions: Sessions = field(init=False)
    app: Cors = field(init=False)

    async def verify(self, text: str) -> Caller | None:
        return self.keys.get(text)

    async def meant(self, caller: Caller, connection: str | None) -> str | None:
        assert connection is None or CONNECTION_ID.fullmatch(connection), "what a database is asked for"
        found = connection or caller.only_connection or ("gamma" if caller.tenant == "t" else "nothing")
        return found if caller.reaches(found, {"gamma": "t"}.get(found, "other")) else None

    def client(self, address: str = "192.0.2.1", base: str | None = None) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, client=(address, 5))
        return httpx.AsyncClient(transport=transport, base_url=base or self.address.base)


@contextlib.asynccontextmanager
async def entrance(
    rules: TokenRules | None = None,
    address: PublicAddress | None = None,
    *,
    has_issuer: bool = True,
    app: ASGIApp | None = None,
    knock: Knock | None = None,
) -> AsyncIterator[Entrance]:
    """Give the gate before an application, which otherwise says what it was given."""
    made = Entrance(address or PublicAddress(BASE))
    clock = made.time.clock()
    rules = rules or TokenRules(issuer=ISSUER)
    async with background() as tasks, made.server.client() as client:
        keys = SigningKeys(rules.issuer, client, SingleFlight(tasks), clock)
        tokens = AccessTokens(rules=rules, address=made.address, keys=keys, clock=clock)
        made.sessions = Sessions(made.address, clock)
        routes = [
            *metadata_routes(made.address, rules.issuer if has_issuer else None),
            *login_routes(made.address, made.sessions),
            Route("/{path:path}", shown, methods=METHODS) if app is None else Mount("/", app),
        ]
        gate = RequestGate(
            Starlette(routes=routes),
            address=made.address,
            authenticator=Authenticator(
                local={"pmk_": made.verify},
                failures=Failures(clock),
                access_tokens=tokens if has_issuer else None,
            ),
            sessions=made.sessions,
            meant=made.meant,
            knock=knock or open_door,
            clock=clock,
            allowed_origins=frozenset({ALLOWED}),
        )
        made.app = Cors(gate, frozenset({ALLOWED}))
        yield made


async def ask(gate: Entrance, path: str, token: str | None = KEY, method: str = "POST", **more: Any) -> httpx.Response:
    headers = {**({} if token is None else bearer(token)), **more.pop("headers", {})}
    async with gate.client() as client:
        return await client.request(method, path, headers=headers, **more)


def refusal_in(response: httpx.Response) -> dict[str, Any]:
    """Return the members of an error of ours, which on MCP stand inside one of JSON-RPC."""
    body: dict[str, Any] = response.json()
    return body["error"]["data"] if "jsonrpc" in body else body

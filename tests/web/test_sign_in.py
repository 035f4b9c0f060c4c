"""The MCP SDK's own client signs in where the challenges send it, and asks for more when it must."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp.client import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp.types import TextContent
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from pingone_mcp.service.callers import Caller
from tests.web.authorization_server import AT, BASE, ISSUER, PLACES, signed
from tests.web.entrance import KEY, Entrance, bearer, entrance, holder

AS = "https://auth.example.com/acme/as"
REDIRECT = "http://127.0.0.1:33418/callback"
CLIENT = OAuthClientInformationFull.model_validate(
    {"client_id": "desktop", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", "issuer": ISSUER}
)


@dataclass(slots=True)
class SignIn:
    """A person at the authorization server who agrees to everything, and a client's memory of what it was given."""

    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Which resource and scopes the client asked for."""
    state: str = ""
    slash: str = ""
    """What the client puts behind the resource (Claude Code: a slash)."""
    tokens: OAuthToken | None = None

    async def agree(self, url: str) -> None:
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        self.asked.append((query["resource"], query["scope"]))
        self.state = query["state"]

    async def come_back(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code="c", state=self.state, iss=ISSUER)

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return CLIENT

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        raise AssertionError("it registered anew")

    async def token(self, request: Request) -> JSONResponse:
        form = await request.form()
        _, scope = self.asked[-1]
        content = {
            "iss": ISSUER,
            "aud": f"{form['resource']}{self.slash}",
            "exp": AT + 300,
            "sub": "ada",
            "client_id": form["client_id"],
            "scope": scope,
        }
        return JSONResponse(
            {"access_token": signed(content), "token_type": "Bearer", "expires_in": 300, "scope": scope}
        )


def directory_server() -> MCPServer:
    server = MCPServer("directory")

    @server.tool()
    async def whoami(ctx: Context) -> str:
        request = ctx.request_context.request
        assert isinstance(request, Request)
        caller: Caller = request.state.caller
        return f"{caller.subject} at {request.state.place.connection}"

    @server.tool()
    async def sync_directory() -> str:
        return "synced"

    return server


@asynccontextmanager
async def signing_in(
    path: str = "/c/acme/mcp", slash: str = ""
) -> AsyncIterator[tuple[Entrance, SignIn, httpx2.AsyncClient]]:
    """Give a client that knows the URL of an endpoint, and nothing else."""
    person = SignIn(slash=slash)
    server = directory_server()
    app = server.streamable_http_app(
        streamable_http_path="/c/{connection}/mcp",
        stateless_http=True,
        json_response=True,  # a stream never ends, and httpx2's ASGITransport waits for the end
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    async with entrance(app=app) as gate, server.session_manager.run():
        gate.server.documents[PLACES[2]] = JSONResponse(
            {
                "issuer": ISSUER,
                "jwks_uri": gate.server.jwks_uri,
                "authorization_endpoint": f"{AS}/authorize",
                "token_endpoint": f"{AS}/token",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

        async def everywhere(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive)
            if request.url.hostname == "directory.example.com":
                await gate.app(scope, receive, send)
            elif request.url.path == "/acme/as/token":
                await (await person.token(request))(scope, receive, send)
            else:
                await gate.server(scope, receive, send)

        provider = OAuthClientProvider(
            f"{BASE}{path}",
            OAuthClientMetadata.model_validate({"redirect_uris": [REDIRECT], "client_name": "Desktop"}),
            person,
            person.agree,
            person.come_back,
        )
        transport = httpx2.ASGITransport(app=everywhere)
        async with httpx2.AsyncClient(transport=transport, auth=provider) as client:
            yield gate, person, client


async def said(client: httpx2.AsyncClient, tool: str, mode: str, path: str = "/c/acme/mcp") -> str:
    transport = streamable_http_client(f"{BASE}{path}", http_client=client)
    async with Client(transport, mode=mode) as asking:
        (content,) = (await asking.call_tool(tool, {})).content
        assert isinstance(content, TextContent)
        return content.text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_signs_in_where_the_challenge_sends_it(mode: str) -> None:
    async with signing_in() as (_, person, client):
        assert await said(client, "whoami", mode) == "ada at acme"
        assert person.asked == [(f"{BASE}/c/acme/mcp", "directory.read")]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_asks_for_more_when_a_tool_needs_it_and_goes_on(mode: str) -> None:
    async with signing_in() as (_, person, client):
        assert await said(client, "sync_directory", mode) == "synced"
        assert [scope for _, scope in person.asked] == ["directory.read", "directory.read directory.sync"]


async def test_a_slash_behind_the_resource_is_no_other_resource() -> None:
    async with signing_in(slash="/") as (_, person, client):
        assert await said(client, "whoami", "auto") == "ada at acme"
        assert len(person.asked) == 1


async def test_a_key_in_a_header_needs_no_sign_in() -> None:
    async with signing_in() as (gate, person, _):
        gate.keys[KEY] = holder("k1", "acme")
        transport = httpx2.ASGITransport(app=gate.app)
        async with httpx2.AsyncClient(transport=transport, headers=bearer(KEY)) as client:
            assert await said(client, "whoami", "auto") == "k1 at acme"
        assert person.asked == []

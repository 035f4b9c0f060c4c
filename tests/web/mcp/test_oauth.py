"""The SDK's client signs itself in: it finds the authorization server by our metadata, and asks with its token."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp.shared.exceptions import MCPError
from pydantic import AnyUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from pingone_mcp.tasks import first_failure
from tests.web.authorization_server import BASE, ISSUER, PLACES, claims, signed
from tests.web.entrance import entrance
from tests.web.mcp.serving import Served
from tests.world import facts

HOST = urlsplit(BASE).netloc
CALLBACK = "http://127.0.0.1:33418/callback"


class SignIn:
    """The endpoints of an authorization server at which a person signs in; `scope` is what is granted."""

    def __init__(self, scope: str = "directory.read") -> None:
        self.scope = scope
        self.audience: str | None = None
        self.asked: dict[str, str] = {}
        self.metadata = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "registration_endpoint": f"{ISSUER}/register",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        await self._answer(request.url.path, await request.body())(scope, receive, send)

    def _answer(self, path: str, body: bytes) -> Response:
        match path.rpartition("/")[2]:
            case _ if path == PLACES[2]:
                return JSONResponse(self.metadata)
            case "register":
                return JSONResponse({**json.loads(body), "client_id": "desktop"}, status_code=201)
            case "token":
                return self._token(dict(parse_qsl(body.decode())))
        return Response(status_code=404)

    def _token(self, asked: dict[str, str]) -> Response:
        proof = base64.urlsafe_b64encode(hashlib.sha256(asked["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        assert proof == self.asked["code_challenge"]
        assert asked["resource"] == self.asked["resource"]
        token = signed(claims(aud=self.audience or asked["resource"], scope=self.scope))
        return JSONResponse({"access_token": token, "token_type": "Bearer", "scope": self.scope})

    async def open_browser(self, url: str) -> None:
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}

    async def wait_for_callback(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(code="code", state=self.asked["state"])


class Kept:
    """What a client keeps of its signing in."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Internet(httpx2.AsyncBaseTransport):
    """Two hosts: the directory and its authorization server."""

    def __init__(self, directory: ASGIApp, sign_in: ASGIApp) -> None:
        self._directory, self._sign_in = httpx2.ASGITransport(directory), httpx2.ASGITransport(sign_in)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host = self._directory if request.url.host == HOST else self._sign_in
        return await host.handle_async_request(request)


async def signed_in(served: Served, sign_in: SignIn, path: str, tool: str = "list_users") -> dict[str, Any]:
    """Call a tool as a client that knows the URL of an endpoint and nothing else."""
    metadata = OAuthClientMetadata(client_name="desktop", redirect_uris=[AnyUrl(CALLBACK)])
    async with served.running(), entrance(app=Starlette(routes=served.face.routes())) as before:
        provider = OAuthClientProvider(
            f"{BASE}{path}", metadata, Kept(), sign_in.open_browser, sign_in.wait_for_callback
        )
        transport = Internet(before.app, sign_in)
        async with (
            httpx2.AsyncClient(transport=transport, auth=provider) as http,
            Client(streamable_http_client(f"{BASE}{path}", http_client=http)) as client,
        ):
            return facts(await client.call_tool(tool, {"limit": 1} if tool == "list_users" else {}))


@pytest.mark.parametrize("path", ["/c/acme/mcp", "/c/acme/mcp/", "/mcp"])
async def test_a_client_signs_in_by_itself(tmp_path: Path, path: str) -> None:
    sign_in = SignIn()
    assert (await signed_in(Served(tmp_path), sign_in, path))["result_count"] == 1
    assert sign_in.asked["scope"] == "directory.read"
    assert sign_in.asked["resource"].removesuffix("/") == f"{BASE}{path}".removesuffix("/")
    assert sign_in.asked["code_challenge_method"] == "S256"


async def test_a_token_for_one_connection_opens_no_other(tmp_path: Path) -> None:
    served, sign_in = Served(tmp_path), SignIn()
    sign_in.audience = f"{BASE}/c/acme/mcp"
    with pytest.raises(ExceptionGroup):
        await signed_in(served, sign_in, "/c/globex/mcp")
    assert not served.worlds["globex"].sandbox.requests


async def test_a_client_that_needs_more_asks_for_it(tmp_path: Path) -> None:
    sign_in = SignIn()
    with pytest.raises(ExceptionGroup) as raised:
        await signed_in(Served(tmp_path), sign_in, "/c/acme/mcp", "sync_directory")
    assert sign_in.asked["scope"].split() == ["directory.read", "directory.sync"]
    failure = first_failure(raised.value)
    assert isinstance(failure, MCPError)
    assert "directory.sync" in str(failure)

"""What Claude Code asks, in its order (anthropics/claude-code#52871, #80731, #85563): each habit gets what it needs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from pingone_mcp.web.authentication.access_tokens import TokenRules
from tests.web.authorization_server import AT, BASE, ISSUER, claims, signed
from tests.web.entrance import entrance
from tests.web.mcp.serving import BOTH, INITIALIZE, Served, said

PATH = "/c/acme/mcp"
ROOT = "/.well-known/oauth-protected-resource"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
CALL = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "list_users", "arguments": {"limit": 1}}}


@asynccontextmanager
async def claude(folder: Path, rules: TokenRules | None = None) -> AsyncIterator[httpx.AsyncClient]:
    served = Served(folder)
    async with (
        served.running(),
        entrance(rules, app=Starlette(routes=served.face.routes())) as before,
        before.client() as http,
    ):
        http.headers["accept"] = BOTH
        yield http


def bearer(audience: str, **more: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {signed(claims(aud=audience, **more))}"}


async def opened(http: httpx.AsyncClient, signed_in: dict[str, str]) -> dict[str, str]:
    """Open a session; returns the headers of what follows, without one of the version: it comes with some clients."""
    answer = await http.post(PATH, json=INITIALIZE, headers=signed_in)
    assert answer.status_code == 200, answer.text
    within = {**signed_in, "mcp-session-id": answer.headers["mcp-session-id"]}
    began = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await http.post(PATH, json=began, headers=within)).status_code == 202
    return within


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
async def test_its_probe_without_a_credential_learns_where_to_sign_in(tmp_path: Path, method: str) -> None:
    async with claude(tmp_path) as http:
        answer = await http.request(method, PATH, json=INITIALIZE if method == "POST" else None)
        assert answer.status_code == 401
        place = answer.headers["www-authenticate"].partition('resource_metadata="')[2].partition('"')[0]
        assert (await http.get(place)).json()["authorization_servers"] == [ISSUER]
        assert 'error="' not in answer.headers["www-authenticate"]


async def test_its_probe_of_what_may_be_done_is_answered(tmp_path: Path) -> None:
    async with claude(tmp_path) as http:
        answer = await http.options(PATH)
    assert (answer.status_code, "POST" in answer.headers["allow"]) == (204, True)


async def test_who_asks_at_the_root_first_finds_the_authorization_server_and_no_401(tmp_path: Path) -> None:
    async with claude(tmp_path) as http:
        root = await http.get(ROOT)
        assert (root.status_code, root.json()["authorization_servers"]) == (200, [ISSUER])
        assert BASE.startswith(root.json()["resource"]), "it takes only what its own URL begins with"
        for place in ("oauth-authorization-server", "openid-configuration"):
            for suffix in ("", PATH):
                answer = await http.get(f"/.well-known/{place}{suffix}")
                assert answer.status_code == 404, "that is no credential that is lacking"


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/"])
async def test_a_slash_at_the_end_of_the_resource_is_no_other_audience(tmp_path: Path, slash: str, path: str) -> None:
    async with claude(tmp_path) as http:
        answer = await http.post(path, json=INITIALIZE, headers=bearer(f"{BASE}{PATH}{slash}"))
        assert answer.status_code == 200
        elsewhere = await http.post("/c/globex/mcp", json=INITIALIZE, headers=bearer(f"{BASE}{PATH}{slash}"))
        assert elsewhere.status_code == 401


async def test_a_token_for_the_root_is_one_where_that_is_the_audience(tmp_path: Path) -> None:
    """It names the origin as the resource, with a slash, once it has asked there: PINGONE_OAUTH_AUDIENCE takes that."""
    rules = TokenRules(issuer=ISSUER, audience=BASE, connections_claim="connections")
    async with claude(tmp_path, rules) as http:
        signed_in = bearer(f"{BASE}/", connections=["acme"])
        within = await opened(http, signed_in)
        assert (
            said(await http.post(PATH, json=CALL, headers=within))["result"]["structuredContent"]["result_count"] == 1
        )
        assert (await http.post("/c/globex/mcp", json=INITIALIZE, headers=signed_in)).status_code == 404


@pytest.mark.parametrize("version", [None, "2025-03-26", "2025-06-18", "2025-11-25"])
async def test_its_session_goes_on_with_and_without_a_version_and_ends_when_it_says_so(
    tmp_path: Path, version: str | None
) -> None:
    async with claude(tmp_path) as http:
        within = await opened(http, bearer(f"{BASE}{PATH}"))
        if version is not None:
            within["mcp-protocol-version"] = version
        assert said(await http.post(PATH, json=LIST, headers=within))["result"]["tools"]
        assert (await http.delete(PATH, headers=within)).status_code == 200
        assert (await http.post(PATH, json=LIST, headers=within)).status_code == 404, "so it opens another one"
        assert said(await http.post(PATH, json=CALL, headers=await opened(http, bearer(f"{BASE}{PATH}"))))["result"]


async def test_a_version_that_nobody_knows_is_told_which_there_are(tmp_path: Path) -> None:
    async with claude(tmp_path) as http:
        within = {**(await opened(http, bearer(f"{BASE}{PATH}"))), "mcp-protocol-version": "2031-01-01"}
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2031-01-01",
            "io.modelcontextprotocol/clientInfo": {"name": "a", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        message = {**LIST, "params": {"_meta": meta}}
        answer = await http.post(PATH, json=message, headers={**within, "mcp-method": "tools/list"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], "2026-07-28" in json.dumps(error["data"])) == (400, -32022, True)


async def test_after_a_401_it_asks_again_with_a_new_token_in_the_same_session(tmp_path: Path) -> None:
    async with claude(tmp_path) as http:
        within = await opened(http, bearer(f"{BASE}{PATH}"))
        expired = {**within, **bearer(f"{BASE}{PATH}", exp=AT - 3_600)}
        refused = await http.post(PATH, json=LIST, headers=expired)
        assert (refused.status_code, 'error="invalid_token"' in refused.headers["www-authenticate"]) == (401, True)
        renewed = {**within, **bearer(f"{BASE}{PATH}", exp=AT + 600)}
        assert said(await http.post(PATH, json=LIST, headers=renewed))["result"]["tools"]

"""Every request passes the gate or is answered there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from pingone_mcp.web.address import PublicAddress
from tests.web.authorization_server import BASE
from tests.web.entrance import (
    ALLOWED,
    HOOK,
    KEY,
    MCP,
    PING,
    TENANT_KEY,
    USERS,
    Entrance,
    ask,
    bearer,
    entrance,
    refusal_in,
)

METADATA = f"{BASE}/.well-known/oauth-protected-resource"
SYNC = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "sync_directory", "arguments": {}}}
WRITE_CALL = {"name": "proxy_request", "arguments": {"method": "POST", "path": "/x"}}
WRITE = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": WRITE_CALL}


@pytest.fixture
async def gate() -> AsyncIterator[Entrance]:
    async with entrance() as made:
        yield made


@pytest.mark.parametrize("path", ["/c/acme/mcp", "/c/there-is-none/mcp", "/mcp", "/mcp/"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_mcp_without_a_credential_names_where_one_is_had(gate: Entrance, path: str, method: str) -> None:
    response = await ask(gate, path, None, method)
    assert response.status_code == 401
    place = f"{METADATA}{path.removesuffix('/')}"
    assert response.headers["www-authenticate"] == f'Bearer resource_metadata="{place}", scope="directory.read"'


async def test_rest_without_a_credential_answers_in_its_own_shape(gate: Entrance) -> None:
    response = await ask(gate, USERS, None, "GET")
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {
        "statusCode": 401,
        "error": "Unauthorized",
        "message": "This needs a credential.",
        "next_step": "Send an API key or an access token as `Authorization: Bearer …`.",
        "correlation_id": response.headers["x-request-id"],
    }


@pytest.mark.parametrize("path", [USERS, "/proxy/x", "/integrated-account", "/metrics", "/", "/no/such/path", "/c/x"])
async def test_every_other_path_needs_a_credential_whether_it_exists_or_not(gate: Entrance, path: str) -> None:
    assert (await ask(gate, path, None, "GET")).status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/ping", "/openapi.json", HOOK])
async def test_some_paths_need_none(gate: Entrance, path: str) -> None:
    response = await ask(gate, path, None)
    assert response.status_code == 200
    assert "principal" not in response.json()


async def test_the_state_of_a_request_names_it_as_its_answer_does(gate: Entrance) -> None:
    first, second = await ask(gate, USERS), await ask(gate, USERS)
    assert first.json()["correlation_id"] == first.headers["x-request-id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("directory.example.com", 200),
        ("Directory.Example.com", 200),
        ("directory.example.com:443", 200),
        ("directory.example.com:80", 421),
        ("directory.example.com.", 421),
        ("evil.example.com", 421),
        ("localhost", 421),
        ("127.0.0.1:8080", 421),
        ("", 421),
    ],
)
async def test_only_the_public_host_is_answered(gate: Entrance, host: str, status: int) -> None:
    assert (await ask(gate, MCP, headers={"Host": host}, json=PING)).status_code == status
    assert (await ask(gate, USERS, headers={"Host": host})).status_code == status
    assert (await ask(gate, "/healthz", None, headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8080", 200),
        ("localhost:8080", 200),
        ("[::1]:8080", 200),
        ("localhost:8081", 421),
        ("localhost", 421),
        ("evil.example.com:8080", 421),
    ],
)
async def test_on_this_machine_it_has_the_names_of_this_machine(host: str, status: int) -> None:
    async with entrance(address=PublicAddress("http://127.0.0.1:8080", loopback_port=8080)) as gate:
        assert (await ask(gate, USERS, headers={"Host": host})).status_code == status


@pytest.mark.parametrize(
    ("host", "status"), [("directory.example.com:8443", 200), ("directory.example.com", 421), ("[::1]:8443", 421)]
)
async def test_a_port_of_its_own_belongs_to_the_host(host: str, status: int) -> None:
    async with entrance(address=PublicAddress(f"{BASE}:8443")) as gate:
        assert (await ask(gate, USERS, headers={"Host": host})).status_code == status


async def test_two_hosts_are_none(gate: Entrance) -> None:
    async with gate.client() as client:
        headers = [("Host", "directory.example.com"), ("Host", "evil.example.com"), *bearer(KEY).items()]
        assert (await client.get(USERS, headers=headers)).status_code == 421


@pytest.mark.parametrize(
    ("origin", "status"), [(ALLOWED, 200), (BASE, 200), ("https://evil.example", 403), ("null", 403)]
)
async def test_only_pages_of_allowed_origins_speak_mcp(gate: Entrance, origin: str, status: int) -> None:
    response = await ask(gate, MCP, headers={"Origin": origin}, json=PING)
    assert response.status_code == status
    may_read = response.headers.get("access-control-allow-origin")
    assert may_read == (ALLOWED if origin == ALLOWED else None)


async def test_pages_read_nothing_but_mcp(gate: Entrance) -> None:
    for path in (USERS, "/healthz", "/login", HOOK):
        response = await ask(gate, path, method="GET", headers={"Origin": ALLOWED})
        assert "access-control-allow-origin" not in response.headers


async def test_a_page_can_read_what_a_refusal_asks_for(gate: Entrance) -> None:
    response = await ask(gate, MCP, None, headers={"Origin": ALLOWED})
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == ALLOWED
    assert "WWW-Authenticate" in response.headers["access-control-expose-headers"]
    assert "Mcp-Session-Id" in response.headers["access-control-expose-headers"]


PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,mcp-protocol-version,mcp-param-x",
    "Access-Control-Request-Private-Network": "true",
}


async def test_a_preflight_is_answered_without_a_credential(gate: Entrance) -> None:
    response = await ask(gate, MCP, None, "OPTIONS", headers={"Origin": ALLOWED, **PREFLIGHT})
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == ALLOWED
    assert response.headers["access-control-allow-headers"] == PREFLIGHT["Access-Control-Request-Headers"]
    assert response.headers["access-control-allow-private-network"] == "true"
    assert {"GET", "POST", "DELETE"} <= set(response.headers["access-control-allow-methods"].split(", "))


async def test_a_preflight_of_another_origin_is_refused(gate: Entrance) -> None:
    response = await ask(gate, MCP, None, "OPTIONS", headers={"Origin": "https://evil.example", **PREFLIGHT})
    assert response.status_code == 403
    assert "access-control-allow-origin" not in response.headers


async def test_options_alone_names_the_methods(gate: Entrance) -> None:
    response = await ask(gate, MCP, None, "OPTIONS")
    assert (response.status_code, response.headers["allow"]) == (204, "GET, POST, DELETE, OPTIONS")


@pytest.mark.parametrize("target", ["http://directory.example.com/ping", "//u:secret@h/ping", "*", "h:80", ""])
async def test_what_is_asked_for_is_a_path(gate: Entrance, target: str) -> None:
    """Other forms of it (RFC 9112 §3.2.2 to §3.2.4) are for proxies; the one with a slash leads nowhere."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"directory.example.com")]
    scope = {"type": "http", "method": "GET", "path": target, "query_string": b"", "headers": headers}
    await gate.app(scope, nothing, send)
    assert sent[0]["status"] == (401 if target.startswith("/") else 400)


async def nothing() -> Message:
    return {"type": "http.disconnect"}


async def test_an_application_that_needs_no_body_hears_when_its_client_leaves() -> None:
    """One that answers bit by bit asks for that again and again: it must wait for it, and not be told of more body."""
    heard: list[Message] = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        heard.extend([await receive(), await receive()])
        await Response()({"type": "http"}, receive, send)

    async with entrance(app=app) as gate:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        headers = [(b"host", b"directory.example.com")]
        scope = {"type": "http", "method": "GET", "path": "/ping", "query_string": b"", "headers": headers}
        await gate.app(scope, nothing, send)
    assert [message["type"] for message in heard] == ["http.request", "http.disconnect"]


@pytest.mark.parametrize("path", ["/c/acme/mcp%0A", "/c/acme%00/mcp", "/unified/%07"])
async def test_no_path_holds_what_cannot_be_seen(gate: Entrance, path: str) -> None:
    """A route of Starlette ends in `$`, which a line break may follow: it would lead to MCP past the audience check."""
    assert (await ask(gate, path, json=PING)).status_code == 400


async def test_there_are_no_websockets(gate: Entrance) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    await gate.app({"type": "websocket", "path": "/mcp", "headers": []}, receive, send)
    assert [(message["type"], message["code"]) for message in sent] == [("websocket.close", 1002)]


@pytest.mark.parametrize(
    ("message", "needed"), [(SYNC, "directory.read directory.sync"), (WRITE, "directory.read directory.write")]
)
async def test_a_permission_that_lacks_is_named_with_all_that_are_needed(
    gate: Entrance, message: dict[str, Any], needed: str
) -> None:
    response = await ask(gate, MCP, json=message)
    assert response.status_code == 403
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="insufficient_scope", ')
    assert challenge.endswith(f'resource_metadata="{METADATA}{MCP}", scope="{needed}"')


async def test_who_has_the_permission_passes(gate: Entrance) -> None:
    assert (await ask(gate, "/c/gamma/mcp", TENANT_KEY, json=SYNC)).status_code == 200
    assert (await ask(gate, "/c/gamma/mcp", TENANT_KEY, json=WRITE)).status_code == 403


def hidden_syncs() -> Iterator[bytes]:
    """Yield calls that some parsers of JSON read and others do not."""
    text = json.dumps(SYNC)
    yield text.replace('"id": 1', '"id": NaN').encode()
    yield text.encode("utf-16")
    yield text.encode("utf-32-le")
    yield text.encode("utf-8-sig")
    yield text.replace('"id": 1', '"id": "\\ud800"').encode()
    yield b'{"method": "tools/call", "params": {"name": "list_users", "name": "sync_directory"}}'
    yield b'{"method": "ping", "method": "tools/call", "params": {"name": "sync_directory"}}'
    yield b'{"m\\u0065thod": "tools/call", "params": {"name": "sync\\u005fdirectory"}}'
    yield b"[" * 100_000
    yield b""


@pytest.mark.parametrize("body", [*hidden_syncs()], ids=range(10))
async def test_nothing_passes_that_was_not_understood(gate: Entrance, body: bytes) -> None:
    response = await ask(gate, MCP, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 403)
    if response.status_code == 400:
        assert response.json()["error"]["code"] == -32700


async def test_a_name_that_no_connection_has_is_not_asked_for(gate: Entrance) -> None:
    response = await ask(gate, "/c/a.b/mcp", json=PING)
    assert (response.status_code, refusal_in(response)["code"]) == (404, "NO_CONNECTION")

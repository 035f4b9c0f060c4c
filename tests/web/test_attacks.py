"""Requests that nobody sends by accident: each is refused with a sentence that helps, and none is a mistake of ours."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.web.mcp.serving import call, stateless
from tests.web.premises import USERS, Heard, Premises, Sent, mcp, premises


@pytest.fixture(scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Premises]:
    async with premises(tmp_path_factory.mktemp("attacked")) as opened:
        yield opened


def refusal(heard: Heard) -> dict[str, Any]:
    """Return the members of a refusal, which must say what to do next."""
    assert 400 <= heard.status < 500, heard
    body: dict[str, Any] = json.loads(heard.body)
    error = body.get("error")
    members: dict[str, Any] = error["data"] if isinstance(error, dict) else body
    assert members["statusCode"] == heard.status
    assert members["error"]
    assert members["correlation_id"] == heard.header("x-request-id")
    assert members["message"].endswith((".", "!")), members
    return members


def helpful(heard: Heard) -> None:
    members = refusal(heard)
    assert len(members.get("next_step") or members["message"]) > 15, members


PATHS = [
    "//nowhere",
    "//unified/nowhere//users",
    "/unified/user-directory/../user-directory/users",
    "/unified/user-directory/%2e%2e/%2e%2e/healthz/x",
    "/unified/user-directory/users/",
    "/unified/user-directory/users%2f",
    "/UNIFIED/user-directory/users",
    "/unified/user-directory/users%00",
    "/unified/user-directory/users/%00",
    "/unified/user-directory/users/a%0d%0aSet-Cookie:%20x=y",
    "/unified/user-directory/users/%ff%fe",
    "/unified/user-directory/users/..%2f..%2fgroups",
    "/unified/user-directory/users/%252e%252e%252fgroups",
    "/unified/user-directory/users/%F0%9F%92%A9",
    "/unified/user-directory/users/%E2%80%AE",
    "/unified/user-directory/users/" + "a" * 5_000,
    "/unified/user-directory/groups/" + "%20" * 500,
    "/unified/user-directory/roles/..",
    "/unified/user-directory/organizations/%2e%2e%2fusers",
    "/unified/user-directory/workspaces/%22%20or%201%20eq%201",
    "/c/..%2f/mcp",
    "/c//mcp",
    "/c/%00/mcp",
    "/c/%E2%98%83/mcp",
    "/c/default/../default/mcp",
    "/mcp//x",
    "/login/",
    "/healthz/..",
    "/readyz%20",
    "/metrics/../metrics",
    "/.well-known/oauth-protected-resource/%2e%2e/x",
    "/.well-known/oauth-protected-resource/c/%0a/mcp",
    "/.env",
    "/;/",
    "/*",
    "/" + "x/" * 3_000,
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:60])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_path_that_leads_nowhere(made: Premises, method: str, path: str) -> None:
    helpful(await made.hear(Sent(method, path, (made.bearer("a1"),))))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "PROPFIND"])
async def test_a_method_that_a_path_does_not_take(made: Premises, method: str) -> None:
    for path in (USERS, f"{USERS}/x", "/", "/healthz", "/metrics", "/login"):
        heard = await made.hear(Sent(method, path, (made.bearer("all"),)))
        assert heard.status in (405, 501), (path, heard)
        helpful(heard)
        assert "GET" in heard.header("allow")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "post"])
async def test_a_method_that_mcp_does_not_take(made: Premises, method: str) -> None:
    heard = await made.hear(Sent(method, f"/c/{made.linked['a1'].id}/mcp", (made.bearer("a1"),), b"{}"))
    assert (heard.status, heard.header("allow")) == (405, "GET, POST, DELETE")
    helpful(heard)


QUERIES = [
    "limit=1&" * 10_000,
    "integrated_account_id=x&" * 10_000,
    "status[in]=" + ",".join(["active"] * 20_000),
    "next_cursor=" + "A" * 60_000,
    "next_cursor=%00",
    "next_cursor=..%2f",
    "email=" + "%F0%9F%92%A9" * 4_000,
    "name[eq][eq][eq]=x",
    "name" + "[a]" * 2_000 + "=x",
    "[]=x",
    "=x",
    "name[=x",
    "limit=-1",
    "limit=0",
    "limit=1e3",
    "limit=99999999999999999999",
    "limit=%D9%A1",
    "limit[]=1&limit[]=2",
    "limit[gt]=1",
    "created_at[gt]=yesterday",
    "created_at[gt]=9999-99-99T99:99:99Z",
    "name=%ff",
    "name=\xe9",
    "truto_response_format=xml",
    "truto_key_by=__proto__",
    "truto_exclude_fields=__class__",
    "sort_by=name;DROP",
    "custom_attributes=x",
    "custom_attributes[]=x",
    "remote_query[filter]=" + "(" * 5_000,
    "remote_query[filter]=username eq".replace(" ", "%20"),
    "remote_query[limit]=5",
    "include=everything",
    "constructor=1&__proto__[x]=1",
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query[:60])
async def test_a_query_that_no_route_takes(made: Premises, query: str) -> None:
    helpful(await made.hear(Sent("GET", f"{USERS}?{query}", (made.bearer("a1"),))))


@pytest.mark.parametrize(
    "name", ["users", "groups", "roles", "role_assignments", "organizations", "workspaces", "me", "activities"]
)
async def test_a_cursor_of_another_connection_or_route(made: Premises, name: str) -> None:
    own = made.things["a1"]["cursor"]
    others = [one for side in ("a2", "b1") for one in made.things[side]["cursor"]]
    turned = [one[::-1] for one in own] + [one[:-1] for one in own] + [f"{one}A" for one in own]
    for cursor in (*others, *turned):
        heard = await made.ask(f"/unified/user-directory/{name}?limit=2&next_cursor={cursor}", "a1")
        assert refusal(heard)["code"] in ("FOREIGN_CURSOR", "STALE_CURSOR", "UNKNOWN_PARAMETER", "WRONG_PARAMETER")
    answered = [
        (await made.ask(f"/unified/user-directory/{name}?limit=2&next_cursor={cursor}", "a1")).status for cursor in own
    ]
    assert set(answered) <= {200, 400}
    assert answered.count(400) >= len(own) - 1, "a cursor is good on the route alone that gave it"


DEEP = 100_000
BODIES = [
    b"",
    b"\x00",
    b"null",
    b"[]",
    b"{}",
    b"1",
    b'"text"',
    b"NaN",
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b"{" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b'{"jsonrpc":"2.0","id":1,"method":"ping"}{"jsonrpc":"2.0","id":2,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"',
    b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":{},"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"method":5}',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[]}',
    b'[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]',
    b'[[{"jsonrpc":"2.0","id":1,"method":"ping"}]]',
    b'{"jsonrpc":"2.0","id":1e400,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b',"method":"ping"}',
    b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--",
    b"\x1f\x8b\x08\x00",
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:40]))
@pytest.mark.parametrize("era", ["session", "stateless"])
async def test_a_body_that_is_no_message(made: Premises, era: str, body: bytes) -> None:
    _, headers = stateless({"method": "ping"})
    more = tuple(headers.items()) if era == "stateless" else ()
    heard = await made.hear(_raw(made, body, more))
    assert 400 <= heard.status < 500, heard
    assert json.loads(heard.body)["error"]["message"]


async def test_a_message_that_is_deep_in_its_arguments(made: Premises) -> None:
    deep = b'{"a":' * 900 + b"1" + b"}" * 900
    body, headers = stateless(call("list_users", query="x"))
    raw = json.dumps(body).encode().replace(b'"x"', deep)
    heard = await made.hear(_raw(made, raw, tuple(headers.items())))
    assert heard.status in (200, 400), heard
    assert b"Traceback" not in heard.body


async def test_a_body_where_none_is_wanted_is_let_be(made: Premises) -> None:
    for body in (b"{" * DEEP, b"\x00" * 100_000):
        heard = await made.hear(Sent("GET", f"{USERS}?limit=1", (made.bearer("a1"),), body))
        assert heard.status == 200, heard


async def test_a_message_to_a_session_of_somebody_else(made: Premises) -> None:
    for side in ("a2", "b1"):
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        path = f"/c/{made.linked['a1'].id}/mcp"
        session = ("Mcp-Session-Id", made.things[side]["session"][0])
        assert (await made.hear(mcp(path, (made.bearer("a1"), session), message))).status == 404
        assert (await made.hear(Sent("DELETE", path, (made.bearer("a1"), session)))).status == 404


@pytest.mark.parametrize(
    "headers",
    [
        (("Authorization", "Bearer"),),
        (("Authorization", "Bearer "),),
        (("Authorization", "Basic YTpi"),),
        (("Authorization", "Bearer " + "x" * 100_000),),
        (("Authorization", "Bearer pmk_"),),
        (("Authorization", "Bearer pmk_%00_" + "0" * 48),),
        (("Authorization", "Bearer eyJ.eyJ.x"),),
        (("Authorization", "Bearer \xe9"),),
        (("Authorization", "Bearer a"), ("Authorization", "Bearer b")),
        (("Cookie", "__Host-pingone_mcp=x; pingone_mcp_80=" + "y" * 10_000),),
        (("Cookie", ";" * 10_000),),
        (("X-Api-Key", "pmk_0_0"),),
    ],
    ids=lambda headers: str(headers)[:60],
)
async def test_a_credential_that_is_none(made: Premises, headers: tuple[tuple[str, str], ...]) -> None:
    for path in (USERS, f"/c/{made.linked['a1'].id}/mcp"):
        heard = await made.hear(Sent("POST" if path.startswith("/c") else "GET", path, headers, b"{}"))
        assert heard.status == 401, heard
        helpful(heard)


@pytest.mark.parametrize(
    "host", ["", "evil.test", "directory.test:81", "directory.test@evil.test", "[::1]", "\xe9", "a" * 9_999]
)
async def test_a_host_that_is_not_ours(made: Premises, host: str) -> None:
    heard = await made.hear(
        Sent("GET", USERS, (made.bearer("a1"), ("Host", host), ("X-Forwarded-Host", "directory.test")))
    )
    assert heard.status == 421
    helpful(heard)


def _raw(made: Premises, body: bytes, more: tuple[tuple[str, str], ...]) -> Sent:
    sent = mcp(f"/c/{made.linked['a1'].id}/mcp", (made.bearer("a1"), *more), {})
    return Sent("POST", sent.target, sent.headers, body)

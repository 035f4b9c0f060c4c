"""The link that signs a browser in once, and the session that it begins."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.responses import Response

from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.authentication.login import login_link
from pingone_mcp.web.authentication.sessions import Sessions
from tests.web.authorization_server import BASE
from tests.web.entrance import Entrance, entrance, holder
from tests.world import Time

OPERATOR = holder("operator", may=("directory.read", "connections.manage"))
USERS = "/unified/user-directory/users"
HERE = PublicAddress("http://127.0.0.1:8080", loopback_port=8080)
MINUTE, HOUR = 60, 3600


@pytest.fixture
async def gate() -> AsyncIterator[Entrance]:
    async with entrance(address=HERE) as made:
        yield made


def link(gate: Entrance) -> str:
    return login_link(gate.address, gate.sessions, OPERATOR)


async def test_a_link_signs_in_once(gate: Entrance) -> None:
    address = link(gate)
    async with gate.client() as browser:
        assert (await browser.get(USERS)).status_code == 401
        response = await browser.get(address)
        assert (response.status_code, response.headers["location"]) == (303, "http://127.0.0.1:8080/")
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert (await browser.get(USERS)).json()["principal"] == OPERATOR.principal
    async with gate.client() as another:
        response = await another.get(address)
        assert response.status_code == 403
        assert response.json()["code"] == "LINK_USED"
        assert response.json()["correlation_id"] == response.headers["x-request-id"]
        assert (await another.get(USERS)).status_code == 401


async def test_a_program_that_looks_at_the_link_first_does_not_use_it_up(gate: Entrance) -> None:
    address = link(gate)
    async with gate.client() as browser:
        assert (await browser.head(address)).status_code == 200
        assert (await browser.get(address)).status_code == 303


async def test_a_link_is_good_for_ten_minutes(gate: Entrance) -> None:
    address = link(gate)
    await gate.time.passes(10 * MINUTE)
    async with gate.client() as browser:
        assert (await browser.get(address)).status_code == 403


@pytest.mark.parametrize("query", ["", "?code=", "?code=guessed", "?code=%ff%00", "?code=a&code=b"])
async def test_no_other_code_signs_in(gate: Entrance, query: str) -> None:
    link(gate)
    async with gate.client() as browser:
        assert (await browser.get(f"/login{query}")).status_code == 403


async def test_a_session_ends_after_twelve_hours(gate: Entrance) -> None:
    async with gate.client() as browser:
        cookie = (await browser.get(link(gate))).headers["set-cookie"].partition(";")[0]
        await gate.time.passes(12 * HOUR - 1)
        assert (await browser.get(USERS, headers={"Cookie": cookie})).status_code == 200
        await gate.time.passes(12 * HOUR)
        assert (await browser.get(USERS, headers={"Cookie": cookie})).status_code == 401


@pytest.mark.parametrize(
    ("address", "name", "is_secure"),
    [(PublicAddress(BASE), "__Host-pingone_mcp", True), (HERE, "pingone_mcp_8080", False)],
)
def test_the_cookie_is_for_this_server_only(address: PublicAddress, name: str, *, is_secure: bool) -> None:
    sessions = Sessions(address, Time().clock())
    response = Response()
    session = sessions.begin(sessions.new_code(OPERATOR), response)
    cookie = response.headers["set-cookie"]
    assert cookie.startswith(f"{name}=")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert ("Secure" in cookie) is is_secure
    assert "Domain" not in cookie
    assert session is not None
    assert cookie.partition("=")[2].partition(";")[0] not in repr(vars(sessions))


async def test_a_session_that_was_ended_is_good_no_longer() -> None:
    sessions = Sessions(HERE, Time().clock())
    response = Response()
    sessions.begin(sessions.new_code(OPERATOR), response)
    headers = Headers({"cookie": response.headers["set-cookie"].partition(";")[0]})
    assert sessions.of(headers) is not None
    sessions.end(headers, left := Response())
    assert sessions.of(headers) is None
    assert "Max-Age=0" in left.headers["set-cookie"]


def test_forms_are_those_of_their_own_session() -> None:
    sessions = Sessions(HERE, Time().clock())
    mine = sessions.begin(sessions.new_code(OPERATOR), Response())
    other = sessions.begin(sessions.new_code(OPERATOR), Response())
    assert mine is not None
    assert other is not None
    assert mine.is_own_form(mine.csrf_token)
    for token in (other.csrf_token, "", "é", "\ud800", mine.csrf_token.upper()):
        assert not mine.is_own_form(token)


async def test_links_and_sessions_are_bounded() -> None:
    sessions = Sessions(HERE, Time().clock())
    first_code = sessions.new_code(OPERATOR)
    for _ in range(16):
        sessions.new_code(OPERATOR)
    assert sessions.begin(first_code, Response()) is None
    sessions.begin(sessions.new_code(OPERATOR), first := Response())
    for _ in range(1_000):
        sessions.begin(sessions.new_code(OPERATOR), Response())
    assert sessions.of(Headers({"cookie": first.headers["set-cookie"].partition(";")[0]})) is None


async def send(gate: Entrance, origin: str | None, method: str = "POST") -> httpx.Response:
    async with gate.client() as browser:
        await browser.get(link(gate))
        return await browser.request(method, USERS, headers={} if origin is None else {"Origin": origin})


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:8080", 200),
        ("http://localhost:8080", 200),
        ("http://127.0.0.1:9090", 403),
        ("https://claude.ai", 403),
        ("null", 403),
        (None, 403),
    ],
)
async def test_no_other_site_changes_anything_with_the_cookie(gate: Entrance, origin: str | None, status: int) -> None:
    assert (await send(gate, origin)).status_code == status
    assert (await send(gate, origin, "GET")).status_code == 200


async def test_a_session_is_none_of_mcp(gate: Entrance) -> None:
    async with gate.client() as browser:
        await browser.get(link(gate))
        assert (await browser.post("/c/acme/mcp", json={})).status_code == 401

"""Keys of an authorization server: found, kept, asked for anew, and used for a while where it is down."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import httpx
import pytest
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from pingone_mcp.tasks import SingleFlight, background
from pingone_mcp.web.authentication.discovery import NoKeys, keys_address, may_be_asked, metadata_places, read_published
from pingone_mcp.web.authentication.signing_keys import SigningKeys, UnknownKey
from tests.web.authorization_server import ISSUER, JWKS, NEXT_RSA_KEY, PLACES, AuthorizationServer, ec_jwk, rsa_jwk
from tests.world import Time

MINUTE, DAY = 60.0, 24 * 60 * 60.0


@dataclass(slots=True)
class KeysInUse:
    """Keys as they are used, and what they are asked of."""

    server: AuthorizationServer
    keys: SigningKeys
    time: Time

    async def knows(self, kid: str | None = "one") -> bool:
        try:
            await self.keys.key(kid, "RS256")
        except UnknownKey:
            return False
        return True

    @property
    def times_asked(self) -> int:
        return self.server.asked.count(JWKS)


@asynccontextmanager
async def asked(
    server: AuthorizationServer, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[KeysInUse]:
    time = Time()
    client = server.client() if transport is None else httpx.AsyncClient(transport=transport)
    async with background() as tasks, client:
        yield KeysInUse(server, SigningKeys(ISSUER, client, SingleFlight(tasks), time.clock()), time)


@pytest.mark.parametrize("place", PLACES)
async def test_keys_are_found_by_metadata_at_each_of_three_places(place: str) -> None:
    async with asked(AuthorizationServer(place=place)) as there:
        assert await there.knows()
        assert there.server.asked == [*PLACES[: PLACES.index(place) + 1], JWKS]


def test_an_issuer_without_a_path_has_two_places() -> None:
    assert list(metadata_places("https://as.example.com/")) == [
        "https://as.example.com/.well-known/oauth-authorization-server",
        "https://as.example.com/.well-known/openid-configuration",
    ]


@pytest.mark.parametrize("issuer", ["https://evil.example.com", f"{ISSUER}/", ISSUER.upper()])
async def test_metadata_of_another_issuer_are_not_believed(issuer: str) -> None:
    async with asked(AuthorizationServer(issuer=issuer)) as there:
        assert not await there.knows()
        assert there.times_asked == 0


async def test_metadata_of_another_issuer_at_one_place_do_not_hide_those_at_the_next() -> None:
    server = AuthorizationServer()
    server.documents[PLACES[0]] = JSONResponse({"issuer": "https://auth.example.com", "jwks_uri": "https://x.example"})
    server.documents[PLACES[1]] = Response("<html>")
    async with asked(server) as there:
        assert await there.knows()


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://keys.example.com/jwks", True),
        ("http://127.0.0.1:9000/jwks", True),
        ("http://localhost/jwks", True),
        ("http://keys.example.com/jwks", False),
        ("http://169.254.169.254/latest", False),
        ("file:///etc/passwd", False),
        ("//keys.example.com", False),
        ("https:///jwks", False),
        ("", False),
    ],
)
def test_only_https_and_this_machine_are_asked(url: str, *, allowed: bool) -> None:
    assert may_be_asked(url) is allowed


@pytest.mark.parametrize("url", ["https://[", "https://a b/", "https://x.example:99999/", "https://x\n.example", "\0"])
async def test_what_is_no_url_is_not_asked(url: str) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(NoKeys):
            await read_published(client, url)


async def test_keys_at_an_address_without_https_are_not_asked_for() -> None:
    async with asked(AuthorizationServer(jwks_uri=f"http://auth.example.com{JWKS}")) as there:
        assert not await there.knows()
        assert there.times_asked == 0


@pytest.mark.parametrize(
    "document",
    [
        JSONResponse({"keys": [rsa_jwk("one")], "padding": " " * 300_000}),
        RedirectResponse("https://auth.example.com/elsewhere"),
        Response(b"\xff\xfe", 200),
        JSONResponse({"keys": []}),
        JSONResponse([]),
        Response(b"[" * 100_000),
        Response(status_code=500),
    ],
    ids=["large", "redirect", "no text", "none", "no set", "deep", "error"],
)
async def test_what_is_no_set_of_keys_is_none(document: Response, caplog: pytest.LogCaptureFixture) -> None:
    server = AuthorizationServer()
    server.documents[JWKS] = document
    async with asked(server) as there:
        assert not await there.knows()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


async def test_keys_are_asked_for_once_in_five_minutes() -> None:
    async with asked(AuthorizationServer()) as there:
        for _ in range(3):
            assert await there.knows()
        assert there.times_asked == 1
        await there.time.passes(5 * MINUTE + 1)
        assert await there.knows()
        assert there.server.asked == [*PLACES, JWKS, JWKS]


async def test_a_new_key_is_asked_for_once_and_a_made_up_one_no_more_than_that() -> None:
    async with asked(AuthorizationServer()) as there:
        assert await there.knows()
        there.server.keys = [rsa_jwk("next", NEXT_RSA_KEY)]
        assert not await there.knows("next"), "they were asked for a moment ago"
        await there.time.passes(MINUTE / 2)
        assert await there.knows("next")
        assert not await there.knows("one"), "a key that was taken away is good no longer"
        for name in range(20):
            assert not await there.knows(f"made up {name}")
        assert there.times_asked == 2
        await there.time.passes(MINUTE)
        for name in range(20):
            assert not await there.knows(f"made up {name}")
        assert there.times_asked == 3


async def test_a_token_without_a_key_id_is_good_where_there_is_one_key() -> None:
    async with asked(AuthorizationServer(keys=[rsa_jwk(None), ec_jwk("two")])) as there:
        assert await there.knows(None)
        there.server.keys = [rsa_jwk("one"), rsa_jwk("next", NEXT_RSA_KEY)]
        await there.time.passes(6 * MINUTE)
        assert not await there.knows(None), "it could be either"


async def test_old_keys_serve_for_a_day_where_the_issuer_is_down() -> None:
    async with asked(AuthorizationServer()) as there:
        assert await there.knows()
        there.server.is_down = True
        await there.time.passes(DAY - 1)
        assert await there.knows()
        await there.time.passes(DAY + MINUTE)
        assert not await there.knows()
        there.server.is_down = False
        await there.time.passes(DAY + 2 * MINUTE)
        assert await there.knows()


async def test_an_issuer_that_is_down_is_asked_twice_a_minute() -> None:
    async with asked(AuthorizationServer(is_down=True)) as there:
        for _ in range(20):
            assert not await there.knows()
        assert there.server.asked == list(PLACES)
        await there.time.passes(MINUTE / 2)
        assert not await there.knows()
        assert there.server.asked == [*PLACES, *PLACES]


async def test_keys_that_moved_are_found_again() -> None:
    async with asked(AuthorizationServer()) as there:
        assert await there.knows()
        there.server.documents[JWKS] = Response(status_code=404)
        there.server.jwks_uri = "https://auth.example.com/keys"
        there.server.documents["/keys"] = JSONResponse({"keys": [rsa_jwk("one")]})
        await there.time.passes(6 * MINUTE)
        assert await there.knows()
        assert there.server.asked[-1] == "/keys"


class HeldUp(httpx.ASGITransport):
    """A way to the server that nothing comes by before `go`."""

    def __init__(self, server: AuthorizationServer) -> None:
        super().__init__(app=server)
        self.go = anyio.Event()
        self.requests = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        await self.go.wait()
        return await super().handle_async_request(request)


async def test_many_tokens_at_once_wait_for_one_attempt() -> None:
    slow = HeldUp(server := AuthorizationServer())
    async with asked(server, slow) as there, anyio.create_task_group() as tasks:
        known: list[bool] = []

        async def ask() -> None:
            known.append(await there.knows())

        for _ in range(50):
            tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert slow.requests == 1
        slow.go.set()
    assert known == [True] * 50
    assert server.asked == [*PLACES, JWKS]


async def test_an_issuer_that_does_not_answer_is_waited_for_ten_seconds() -> None:
    slow = HeldUp(server := AuthorizationServer())
    async with asked(server, slow) as there, anyio.create_task_group() as tasks:
        known: list[bool] = []

        async def ask() -> None:
            known.append(await there.knows())

        tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        await there.time.passes(10.1)
        await anyio.wait_all_tasks_blocked()
        assert known == [False]
        slow.go.set()


class NoRoute(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route")


async def test_an_issuer_that_cannot_be_reached_has_no_keys_and_a_reason() -> None:
    async with httpx.AsyncClient(transport=NoRoute()) as client:
        with pytest.raises(NoKeys, match="could not be reached"):
            await keys_address(client, ISSUER)


async def test_nobody_is_sent_elsewhere_by_a_redirect() -> None:
    class Redirecting(AuthorizationServer):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            self.asked.append(scope["path"])
            await RedirectResponse("https://evil.example.com/")(scope, receive, send)

    server = Redirecting()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=server), follow_redirects=True) as client:
        with pytest.raises(NoKeys):
            await keys_address(client, ISSUER)
    assert server.asked == list(PLACES)

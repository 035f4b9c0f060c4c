"""One token for everybody, renewed early, and sent nowhere but to PingOne's API."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import logging
import os
import signal
import ssl
import subprocess
import sys
import textwrap
import threading
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs

import anyio
import anyio.lowlevel
import httpx
import pytest
from anyio.abc import TaskGroup
from pydantic import SecretStr

from pingone_mcp.clock import Clock
from pingone_mcp.errors import (
    NotAuthenticated,
    Problem,
    RateLimited,
    Refused,
    ServerFailed,
    UnexpectedAnswer,
    Unreachable,
)
from pingone_mcp.pingone.api.auth import ClientCredentials
from pingone_mcp.pingone.connection import Connection, connection_of
from pingone_mcp.settings.parts import ConnectionSettings
from pingone_mcp.tasks import background
from tests.depth import long
from tests.world import changed

ENVIRONMENT = "11111111-1111-4111-8111-111111111111"
CLIENT = "22222222-2222-4222-8222-222222222222"
CORRELATION = "44444444-4444-4444-8444-444444444444"
SECRET = "s3cret-of-the-worker-application~+/= ä"
API = "https://api.pingone.eu/v1"
USERS = f"{API}/environments/{ENVIRONMENT}/users"
DEFAULT_ANSWER_SECONDS = 4.0


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    settings = ConnectionSettings(
        environment_id=ENVIRONMENT, client_id=CLIENT, client_secret=SecretStr(SECRET), region="EU", cache_dir=tmp_path
    )
    return connection_of(settings)


@dataclass
class Time:
    """A clock that only moves when somebody sleeps on it or the test pushes it."""

    now: float = 1_800_000_000.0
    naps: list[float] = field(default_factory=list[float])

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds
        await anyio.lowlevel.checkpoint()

    def clock(self) -> Clock:
        return Clock(wall=lambda: self.now, monotonic=lambda: self.now, sleep=self.sleep, jitter=lambda: 0.5)


@pytest.fixture
async def tasks() -> AsyncIterator[TaskGroup]:
    async with background() as tasks:
        yield tasks


class Opener(Protocol):
    """Open credentials that live as long as the test, on its clock."""

    def __call__(
        self, connection: Connection, endpoint: httpx.AsyncBaseTransport, **given: Any
    ) -> ClientCredentials: ...


@pytest.fixture
def opened(time: Time, tasks: TaskGroup) -> Opener:
    return lambda connection, endpoint, **given: ClientCredentials(
        connection, endpoint, tasks, **{"clock": time.clock()} | given
    )


@pytest.fixture
def time() -> Time:
    return Time()


class TokenEndpoint(httpx.AsyncBaseTransport):
    """Answers with what is queued in `answers`, then with token-1, token-2, …"""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: list[httpx.Response | Exception] = []
        self.minted: list[str] = []
        self.open = anyio.Event()
        self.open.set()
        self.asked = anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.asked.set()
        await self.open.wait()
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.minted.append(f"token-{len(self.minted) + 1}")
        return httpx.Response(200, json={"access_token": self.minted[-1], "token_type": "Bearer", "expires_in": 3600})


@pytest.fixture
def endpoint() -> TokenEndpoint:
    return TokenEndpoint()


@pytest.fixture
def credentials(connection: Connection, endpoint: TokenEndpoint, opened: Opener) -> ClientCredentials:
    return opened(connection, endpoint)


class Api:
    """PingOne's API as far as it looks at tokens: 401 for those in `refused`."""

    def __init__(self, auth: httpx.Auth) -> None:
        self.refused: set[str] = set()
        self.seen: list[str] = []
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer), auth=auth)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.seen.append(token)
        await anyio.lowlevel.checkpoint()
        return httpx.Response(401 if token in self.refused else 200, json={})


@pytest.fixture
async def api(credentials: ClientCredentials) -> AsyncIterator[Api]:
    api = Api(credentials)
    async with api.client:
        yield api


# --- The request for a token


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_the_token_request_follows_the_authentication_method(
    connection: Connection, endpoint: TokenEndpoint, method: Any, opened: Opener
) -> None:
    await opened(changed(connection, auth_method=method), endpoint).token()
    [request] = endpoint.requests
    form = {name: value for name, [value] in parse_qs(request.content.decode(), strict_parsing=True).items()}
    if method == "client_secret_basic":
        # RFC 6749 §2.3.1, with the example's characters of Appendix B
        credentials = base64.b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode()
        assert credentials == f"{CLIENT}:s3cret-of-the-worker-application~%2B%2F%3D+%C3%A4"
        assert form == {"grant_type": "client_credentials"}
    else:
        assert "Authorization" not in request.headers
        assert form == {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": SECRET}
    assert (request.method, str(request.url)) == ("POST", connection.token_url)
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.extensions["timeout"]["connect"] is not None


# --- One token for everybody


async def test_twenty_callers_share_one_token(credentials: ClientCredentials, endpoint: TokenEndpoint) -> None:
    endpoint.open = anyio.Event()
    tokens: list[str] = []

    async def ask() -> None:
        tokens.append(await credentials.token())

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask)
        await endpoint.asked.wait()
        endpoint.open.set()
    assert (tokens, len(endpoint.requests)) == (["token-1"] * 20, 1)


async def test_twenty_callers_share_one_failure(credentials: ClientCredentials, endpoint: TokenEndpoint) -> None:
    """Or twenty calls would try a wrong secret twenty times, one after the other."""
    endpoint.open = anyio.Event()
    endpoint.answers = [httpx.Response(401, json={"error": "invalid_client"})]
    failures: list[Problem] = []

    async def ask() -> None:
        try:
            await credentials.token()
        except NotAuthenticated as problem:
            failures.append(problem)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(ask)
        await endpoint.asked.wait()
        endpoint.open.set()
    assert (len(failures), len(endpoint.requests)) == (20, 1)
    assert {str(failure) for failure in failures} == {str(failures[0])}
    assert await credentials.token() == "token-1"  # who comes later tries again


async def test_a_second_start_uses_the_cached_token(
    connection: Connection, endpoint: TokenEndpoint, opened: Opener
) -> None:
    for _ in range(3):
        assert await opened(connection, endpoint).token() == "token-1"
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"client_id": "33333333-3333-4333-8333-333333333333"},
        {"environment_id": "33333333-3333-4333-8333-333333333333"},
        {"auth_url": "https://auth.pingone.com"},
        {"region": "NA", "auth_url": "https://auth.pingone.eu"},
        {"client_secret": SecretStr("another secret")},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_another_connection_does_not_use_the_cached_token(
    connection: Connection, endpoint: TokenEndpoint, opened: Opener, other: dict[str, Any]
) -> None:
    assert await opened(connection, endpoint).token() == "token-1"
    assert await opened(changed(connection, **other), endpoint).token() == "token-2"


async def test_two_clients_in_one_process_share_one_token(
    connection: Connection, endpoint: TokenEndpoint, opened: Opener
) -> None:
    endpoint.open = anyio.Event()
    tokens: list[str] = []

    async def ask() -> None:
        tokens.append(await opened(connection, endpoint, clock=Clock(sleep=poll)).token())

    async def poll(seconds: float) -> None:
        endpoint.open.set()  # whoever polls knows that another one holds the lock
        await anyio.sleep(seconds)  # or patience would end before a disk that is really slow

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(ask)
    assert (tokens, len(endpoint.requests)) == (["token-1"] * 4, 1)


async def test_a_cancelled_caller_takes_nobody_along(
    credentials: ClientCredentials, connection: Connection, endpoint: TokenEndpoint, opened: Opener
) -> None:
    endpoint.open = anyio.Event()
    tokens: list[str] = []
    scopes = [anyio.CancelScope() for _ in range(4)]

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            tokens.append(await credentials.token())

    async with anyio.create_task_group() as group:
        group.start_soon(ask, scopes[0])
        await endpoint.asked.wait()  # the first is in the middle of its request
        for scope in scopes[1:]:
            group.start_soon(ask, scope)
        await anyio.wait_all_tasks_blocked()
        scopes[0].cancel()
        scopes[2].cancel()  # and this one in the queue
        endpoint.open.set()
    assert tokens == ["token-1", "token-1"]
    assert len(endpoint.requests) == 1, "who waits gets what the first has begun"
    # The lock among processes is free too: no poll, hence no nap, is needed.
    newcomer = opened(changed(connection, client_secret=SecretStr("other")), endpoint, clock=Clock(sleep=_no_nap))
    assert await newcomer.token() == "token-2"


async def test_the_token_of_a_cancelled_caller_is_not_wasted(
    connection: Connection, endpoint: TokenEndpoint, opened: Opener
) -> None:
    scope = anyio.CancelScope()

    class CancelOnAnswer(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = await endpoint.handle_async_request(request)
            scope.cancel()
            return answer

    credentials = opened(connection, CancelOnAnswer())
    with scope:
        await credentials.token()
    assert scope.cancelled_caught
    assert await credentials.token() == "token-1"


# --- A token endpoint that takes its time


async def test_a_token_that_takes_longer_than_anybody_waits_is_fetched_once(
    credentials: ClientCredentials, endpoint: TokenEndpoint
) -> None:
    endpoint.open = anyio.Event()
    for _ in range(8):
        async with anyio.create_task_group() as caller:
            caller.start_soon(credentials.token)
            await endpoint.asked.wait()
            caller.cancel_scope.cancel()
    endpoint.open.set()
    assert await credentials.token() == "token-1"
    assert len(endpoint.requests) == 1


async def test_the_first_connection_is_to_come_about_while_who_asks_still_listens(
    credentials: ClientCredentials, endpoint: TokenEndpoint
) -> None:
    endpoint.answers = [httpx.ConnectTimeout("no connection")] * 2
    assert await credentials.token() == "token-1"
    first, *later = (request.extensions["timeout"]["connect"] for request in endpoint.requests)
    assert first < DEFAULT_ANSWER_SECONDS < min(later)


async def test_who_has_no_time_left_is_told_what_it_waits_for(
    credentials: ClientCredentials, endpoint: TokenEndpoint, tasks: TaskGroup
) -> None:
    endpoint.open = anyio.Event()
    tasks.start_soon(credentials.token)
    await endpoint.asked.wait()
    with pytest.raises(Unreachable, match=r"token endpoint on auth\.pingone\.eu has not answered yet"):
        with anyio.fail_after(0.15):
            await credentials.token()
    endpoint.open.set()
    assert await credentials.token() == "token-1"


@pytest.mark.parametrize(
    ("trouble", "told"), [(httpx.Response(503), "HTTP 503"), (httpx.ReadTimeout("late"), "did not answer in time")]
)
async def test_who_has_no_time_left_is_told_what_went_wrong_so_far(
    connection: Connection, opened: Opener, tasks: TaskGroup, trouble: Any, told: str
) -> None:
    waiting = anyio.Event()

    async def wait(_: float) -> None:
        waiting.set()
        await anyio.sleep_forever()

    endpoint = TokenEndpoint()
    endpoint.answers = [trouble]
    credentials = opened(connection, endpoint, clock=Clock(sleep=wait))
    tasks.start_soon(credentials.token)
    await waiting.wait()
    with pytest.raises(Unreachable, match=told), anyio.fail_after(0.15):
        await credentials.token()


async def test_a_connection_that_ends_takes_its_token_request_and_the_lock_along(
    connection: Connection, endpoint: TokenEndpoint, opened: Opener
) -> None:
    endpoint.open = anyio.Event()
    told: list[str | None] = []

    async def ask(credentials: ClientCredentials) -> None:
        try:
            await credentials.token()
        except Problem as problem:
            told.append(problem.code)

    async with anyio.create_task_group() as callers, background() as ending:
        callers.start_soon(ask, ClientCredentials(connection, endpoint, ending))
        await endpoint.asked.wait()
    assert told == ["ENDED"]
    endpoint.open.set()
    assert await opened(connection, endpoint, clock=Clock(sleep=_no_nap)).token() == "token-1"


class Drip(httpx.AsyncByteStream):
    """A body whose first byte comes, and the next one never."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        await anyio.sleep_forever()


async def test_an_answer_that_drips_has_its_time_and_is_asked_for_again(
    connection: Connection, endpoint: TokenEndpoint, opened: Opener
) -> None:
    endpoint.answers = [httpx.Response(200, stream=Drip())]
    with anyio.fail_after(30):
        assert await opened(connection, endpoint, request_seconds=0.05).token() == "token-1"
    assert len(endpoint.requests) == 2


async def test_answers_that_drip_end_with_the_patience_of_the_connection(
    connection: Connection, endpoint: TokenEndpoint, opened: Opener
) -> None:
    endpoint.answers = [httpx.Response(200, stream=Drip()) for _ in range(9)]
    with pytest.raises(Unreachable, match=r"auth\.pingone\.eu was not whole after 0\.05 s"), anyio.fail_after(30):
        await opened(connection, endpoint, request_seconds=0.05).token()
    assert len(endpoint.requests) == 5


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_that_is_far_too_large_holds_no_token(
    credentials: ClientCredentials, endpoint: TokenEndpoint, packed: bool
) -> None:
    body = json.dumps({"access_token": "a", "token_type": "Bearer", "more": " " * 10_000_000}).encode()
    headers = {"Content-Encoding": "gzip"} if packed else {}
    content = gzip.compress(body) if packed else body
    endpoint.answers = [httpx.Response(200, headers=headers, stream=httpx.ByteStream(content))]
    with pytest.raises(UnexpectedAnswer, match="no bearer token"):
        await credentials.token()
    assert len(endpoint.requests) == 1


async def test_what_only_a_person_can_change_is_not_asked_for_again(
    credentials: ClientCredentials, endpoint: TokenEndpoint
) -> None:
    failure = httpx.ConnectError("refused")
    failure.__cause__ = untrusted = ssl.SSLCertVerificationError(1, "self-signed")
    untrusted.verify_code = 18
    endpoint.answers = [failure] * 9
    with pytest.raises(Unreachable, match=r"certificate of auth\.pingone\.eu"):
        await credentials.token()
    assert len(endpoint.requests) == 1


# --- Renewal


async def test_a_token_is_renewed_a_minute_before_it_expires(
    credentials: ClientCredentials, endpoint: TokenEndpoint, time: Time
) -> None:
    await credentials.token()
    time.now += 3600 - 60 - 0.001
    assert await credentials.token() == "token-1"
    time.now += 0.001
    assert await credentials.token() == "token-2"


@pytest.mark.parametrize(
    ("expires_in", "used_for"),
    [
        ("3600", 3540),
        ("120.5", 60.5),
        ("30", 15),
        *((unsaid, 240) for unsaid in ("null", '"3600"', "-1", "0", "true", "1e400", "9" * 5_000)),
    ],
    ids=lambda value: str(value)[:8],
)
async def test_the_lifetime_is_what_pingone_says_or_five_minutes(
    credentials: ClientCredentials, endpoint: TokenEndpoint, time: Time, expires_in: str, used_for: float
) -> None:
    body = f'{{"access_token": "first", "token_type": "bearer", "expires_in": {expires_in}}}'
    endpoint.answers = [httpx.Response(200, content=body)]
    assert await credentials.token() == "first"
    time.now += used_for - 0.01
    assert await credentials.token() == "first"
    time.now += 0.01
    assert await credentials.token() == "token-1"


async def test_the_lifetime_counts_from_before_the_request(
    credentials: ClientCredentials, endpoint: TokenEndpoint, time: Time
) -> None:
    endpoint.answers = [httpx.Response(503, headers={"Retry-After": "20"})]
    await credentials.token()
    asked_at = time.now
    time.now = asked_at + 3539
    assert await credentials.token() == "token-1"


# --- 401 from the API


async def test_a_refused_token_is_renewed_once_and_the_request_repeated(
    api: Api, credentials: ClientCredentials, connection: Connection, endpoint: TokenEndpoint, opened: Opener
) -> None:
    api.refused = {await credentials.token()}
    assert (await api.client.get(USERS)).status_code == 200
    assert api.seen == ["token-1", "token-2"]
    # On disk, too, the refused one has made room.
    assert await opened(connection, endpoint).token() == "token-2"


async def test_a_second_401_is_returned_as_it_is(api: Api) -> None:
    api.refused = {"token-1", "token-2", "token-3"}
    assert (await api.client.get(USERS)).status_code == 401
    assert api.seen == ["token-1", "token-2"]


@pytest.mark.parametrize("same_again", [False, True])
async def test_twenty_401s_lead_to_one_renewal(
    api: Api, credentials: ClientCredentials, endpoint: TokenEndpoint, same_again: bool
) -> None:
    """Also when PingOne hands out the same token again."""
    api.refused = {await credentials.token()}
    if same_again:
        again = {"access_token": "token-1", "token_type": "Bearer", "expires_in": 3600}
        endpoint.answers = [httpx.Response(200, json=again)]
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(api.client.get, USERS)
    assert len(endpoint.requests) == 2
    assert len(api.seen) == 40


async def test_a_token_that_another_process_renewed_is_not_renewed_again(
    connection: Connection, endpoint: TokenEndpoint, opened: Opener
) -> None:
    one, other = (Api(opened(connection, endpoint)) for _ in range(2))
    async with one.client, other.client:
        for api in (one, other):
            await api.client.get(USERS)
            api.refused = {"token-1"}
        for api in (one, other):
            assert (await api.client.get(USERS)).status_code == 200
    assert one.seen == other.seen == ["token-1", "token-1", "token-2"]
    # Both hold token-1 and were refused; the second finds token-2 on disk.
    assert endpoint.minted == ["token-1", "token-2"]


async def test_a_refused_token_is_dropped_even_if_none_can_be_had(
    api: Api, credentials: ClientCredentials, connection: Connection, endpoint: TokenEndpoint, opened: Opener
) -> None:
    api.refused = {await credentials.token()}
    endpoint.answers = [httpx.Response(401, json={"error": "invalid_client"})]
    with pytest.raises(NotAuthenticated):
        await api.client.get(USERS)
    assert await opened(connection, endpoint).token() == "token-2"


# --- Where the token may go


@pytest.mark.parametrize(
    "url",
    [
        f"http://api.pingone.eu/v1/environments/{ENVIRONMENT}",
        "https://api.pingone.com/v1/environments",
        "https://api.pingone.eu.example.com/v1/environments",
        "https://api.pingone.eu@example.com/v1/environments",
        "https://somebody@api.pingone.eu/v1/environments",
        "https://api.pingone.eu:8443/v1/environments",
        "https://api.pingone.eu/environments",
        "https://api.pingone.eu/v1",
        "https://api.pingone.eu/v10/environments",
        "https://api.pingone.eu/v1/../admin",
        "https://api.pingone.eu/v1/%2e%2e/admin",
        "https://api.pingone.eu/v1/environments%2F..%2F..%2Fadmin",
        "https://api.pingone.eu/v1/..\\admin",
        "https://api.pingone.eu//v1/environments",
        "https://example.com/v1/environments?at=https://api.pingone.eu/v1/",
    ],
)
async def test_a_request_to_another_place_is_stopped_before_anything_is_sent(
    api: Api, endpoint: TokenEndpoint, url: str
) -> None:
    with pytest.raises(Refused) as stopped:
        await api.client.get(url)
    assert (api.seen, endpoint.requests) == ([], [])
    assert "example" not in str(stopped.value)


@pytest.mark.parametrize(
    ("api_base", "url"),
    [
        (API, USERS),
        (API, "https://API.PingOne.eu:443/v1/environments?filter=a%20eq%20%22..%2F%22"),
        (API, f"{API}/environments/..a/b..c/..."),
        ("http://127.0.0.1:8010/v1", "http://127.0.0.1:8010/v1/environments"),
        ("http://[::1]:8010/v1", "http://[::1]:8010/v1/environments"),
    ],
)
async def test_a_request_below_the_api_base_carries_the_token(
    connection: Connection, endpoint: TokenEndpoint, api_base: str, url: str, opened: Opener
) -> None:
    api = Api(opened(changed(connection, api_url=api_base), endpoint))
    async with api.client:
        assert (await api.client.get(url)).status_code == 200
    assert api.seen == ["token-1"]


async def test_a_synchronous_client_is_refused(credentials: ClientCredentials) -> None:
    """It would send its requests without a token, and hide that behind a 401."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    with httpx.Client(transport=transport, auth=credentials) as client, pytest.raises(RuntimeError):
        client.get(USERS)  # noqa: ASYNC212 - nothing is sent


# --- Patience


@pytest.mark.parametrize(
    "trouble",
    [
        *(httpx.Response(status) for status in (429, 500, 502, 503, 504)),
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("late"),
        httpx.ReadTimeout("later"),
        httpx.RemoteProtocolError("cut"),
        httpx.Response(200, headers={"content-type": "application/json"}, content=b'{"access_token":"tok'),
    ],
    ids=lambda trouble: str(getattr(trouble, "status_code", type(trouble).__name__)),
)
async def test_the_token_request_is_repeated_after_trouble(
    credentials: ClientCredentials, endpoint: TokenEndpoint, time: Time, trouble: Any
) -> None:
    endpoint.answers = [trouble, trouble]
    assert await credentials.token() == "token-1"
    assert len(endpoint.requests) == 3
    assert len(time.naps) == 2
    assert 0 < time.naps[0] < time.naps[1]


@pytest.mark.parametrize("asked", ["7", formatdate(1_800_000_007, usegmt=True)], ids=["seconds", "date"])
async def test_the_pause_that_pingone_asks_for_is_kept(
    credentials: ClientCredentials, endpoint: TokenEndpoint, time: Time, asked: str
) -> None:
    endpoint.answers = [httpx.Response(429, headers={"Retry-After": asked})]
    assert await credentials.token() == "token-1"
    [nap] = time.naps
    assert 7 <= nap < 8


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (httpx.Response(429), RateLimited),
        (httpx.Response(503), ServerFailed),
        (httpx.ConnectError("refused"), Unreachable),
    ],
    ids=["limited", "failing", "unreachable"],
)
async def test_patience_ends_after_five_attempts(
    connection: Connection, endpoint: TokenEndpoint, trouble: Any, expected: type[Problem], opened: Opener
) -> None:
    endpoint.answers = [trouble] * 50
    patient = opened(changed(connection, retry_seconds=300), endpoint)
    with pytest.raises(expected):
        await patient.token()
    assert len(endpoint.requests) == 5


async def test_a_longer_pause_than_the_budget_is_not_begun(
    connection: Connection, endpoint: TokenEndpoint, time: Time, opened: Opener
) -> None:
    endpoint.answers = [httpx.Response(429, headers={"Retry-After": "31"})]
    with pytest.raises(RateLimited) as limited:
        await opened(changed(connection, retry_seconds=30), endpoint).token()
    assert time.naps == []
    assert "31 s" in str(limited.value)


async def test_no_token_is_asked_for_during_a_pause_that_an_earlier_call_was_told(
    connection: Connection, endpoint: TokenEndpoint, time: Time, opened: Opener
) -> None:
    endpoint.answers = [httpx.Response(429, headers={"Retry-After": "100"})]
    credentials = opened(changed(connection, retry_seconds=30), endpoint)
    begun = time.now
    for left in (100, 100, 50):
        time.now = begun + 100 - left
        with pytest.raises(RateLimited, match=f"{left} s more"):
            await credentials.token()
    assert len(endpoint.requests) == 1
    time.now = begun + 80
    assert await credentials.token() == "token-1"
    assert time.naps == [20]


# --- What a failure says

UPSTREAM = f"Request denied: <b>text of PingOne</b> (Correlation ID: {CORRELATION})"


@pytest.mark.parametrize(
    ("answer", "expected", "words"),
    [
        (
            httpx.Response(401, json={"error": "invalid_client", "error_description": UPSTREAM}),
            NotAuthenticated,
            ["PINGONE_CLIENT_ID", "PINGONE_CLIENT_SECRET", "[invalid_client]", CORRELATION],
        ),
        (
            httpx.Response(400, json={"error": "invalid_client"}, headers={"Correlation-Id": CORRELATION}),
            NotAuthenticated,
            ["PINGONE_CLIENT_SECRET", "[invalid_client]", CORRELATION],
        ),
        (
            httpx.Response(401, json={"error": "invalid_client",
                                      "error_description": "Request denied: Unsupported authentication method"}),
            NotAuthenticated,
            ["PINGONE_AUTH_METHOD=client_secret_post", "client_secret_basic"],
        ),
        (httpx.Response(400, json={"error": "unauthorized_client"}), NotAuthenticated, ["worker application"]),
        (httpx.Response(400, json={"error": UPSTREAM}), NotAuthenticated, ["HTTP 400"]),
        (httpx.Response(404, text=UPSTREAM), NotAuthenticated, ["PINGONE_ENVIRONMENT_ID", "PINGONE_REGION"]),
        (
            httpx.Response(400, json={"code": "NOT_FOUND", "message": UPSTREAM}),
            NotAuthenticated,
            ["PINGONE_ENVIRONMENT_ID", "PINGONE_REGION", CORRELATION],
        ),
        (httpx.Response(403, text=UPSTREAM), NotAuthenticated, ["HTTP 403"]),
        (
            httpx.Response(302, headers={"Location": "https://example.com/"}),
            UnexpectedAnswer,
            ["HTTP 302", "PINGONE_AUTH_URL"],
        ),
        (httpx.Response(200, text=f"<html>{UPSTREAM}</html>"), UnexpectedAnswer, ["no bearer token"]),
        (httpx.Response(200, content=b"\xff\xfe"), UnexpectedAnswer, ["no bearer token"]),
        (
            httpx.Response(200, headers={"Content-Encoding": "br"}, stream=httpx.ByteStream(b"\x0b\x02\x80{}\x03")),
            UnexpectedAnswer,
            ["token endpoint", "cannot be unpacked", "proxy"],
        ),
        (
            httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"{}")),
            UnexpectedAnswer,
            ["token endpoint", "cannot be unpacked", "proxy"],
        ),
        (httpx.Response(200, content=b"[" * 100_000), UnexpectedAnswer, ["no bearer token"]),
        (httpx.Response(200, json={"token_type": "Bearer"}), UnexpectedAnswer, ["no bearer token"]),
        (httpx.Response(200, json={"access_token": "secret-thing"}), UnexpectedAnswer, ["no bearer token"]),
        (
            httpx.Response(200, json={"access_token": "secret-thing", "token_type": "mac"}),
            UnexpectedAnswer,
            ["no bearer token"],
        ),
        (
            httpx.Response(200, json={"access_token": "secret-thing\r\nX: y", "token_type": "Bearer"}),
            UnexpectedAnswer,
            ["no bearer token"],
        ),
        (httpx.Response(200, headers={"Correlation-Id": "<b>x</b>"}), UnexpectedAnswer, ["no bearer token"]),
    ],
)  # fmt: skip
async def test_a_refusal_is_told_in_our_words_with_the_next_step(
    credentials: ClientCredentials, endpoint: TokenEndpoint, answer: httpx.Response, expected: type[Problem], words: Any
) -> None:
    endpoint.answers = [answer]
    with pytest.raises(expected) as refusal:
        await credentials.token()
    told = str(refusal.value)
    assert [word for word in words if word not in told] == []
    shown = "".join(traceback.format_exception(refusal.value)) + repr(refusal.value)
    assert [hidden for hidden in (UPSTREAM, "<b>", "secret-thing", SECRET) if hidden in shown] == []
    assert len(endpoint.requests) == 1


async def test_the_other_method_is_the_one_that_is_advised(
    connection: Connection, endpoint: TokenEndpoint, opened: Opener
) -> None:
    endpoint.answers = [httpx.Response(400, json={"error_description": "Unsupported authentication method"})]
    posting = opened(changed(connection, auth_method="client_secret_post"), endpoint)
    with pytest.raises(NotAuthenticated, match="PINGONE_AUTH_METHOD=client_secret_basic"):
        await posting.token()


async def test_an_unreachable_host_is_named(connection: Connection, opened: Opener) -> None:
    closed = changed(connection, auth_url="http://127.0.0.1:9", retry_seconds=0)
    async with httpx.AsyncHTTPTransport() as transport:
        with pytest.raises(Unreachable) as failure:
            await opened(closed, transport).token()
    assert "127.0.0.1" in str(failure.value)
    assert "PINGONE_REGION" in str(failure.value)


# --- Secrets


async def test_no_secret_is_in_a_file_a_log_or_a_repr(
    api: Api, credentials: ClientCredentials, connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api.refused = {"token-1"}
    await api.client.get(USERS)
    files = {path: path.read_bytes() for path in connection.cache_dir.rglob("*") if path.is_file()}
    assert sum(map(len, files.values())) > 1000
    shown = caplog.text + repr(credentials) + repr(vars(credentials))
    basic = base64.b64encode(f"{CLIENT}:s3cret".encode()).decode()[:40]
    for secret in ("token-1", "token-2", SECRET, "s3cret-of", basic, "Bearer"):
        assert secret not in shown
        assert [path for path, body in files.items() if secret.encode() in body] == []
    assert [path for path, body in files.items() if CLIENT.encode() in body or CLIENT in path.name] == []


# --- Several processes

CALLER = """
    import hashlib, json, sys
    import anyio, httpx
    from pingone_mcp.pingone.api.auth import ClientCredentials
    from pingone_mcp.pingone.connection import connection_of
    from pingone_mcp.settings.parts import ConnectionSettings
    from pingone_mcp.tasks import background

    async def main() -> None:
        given = json.loads(sys.stdin.readline())
        connection = connection_of(ConnectionSettings(**given))
        async with httpx.AsyncHTTPTransport() as transport, background() as tasks:
            credentials = ClientCredentials(connection, transport, tasks)
            print("ready", flush=True)
            sys.stdin.readline()
            print("asking", flush=True)
            print(hashlib.sha256((await credentials.token()).encode()).hexdigest(), flush=True)

    anyio.run(main)
"""


class LoopbackEndpoint(ThreadingHTTPServer):
    """A token endpoint that real processes reach; it answers once `open` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _LoopbackAnswer)
        self.open = threading.Event()
        self.asked = threading.Event()
        self.count = itertools.count(1)
        self.requests = 0


class _LoopbackAnswer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        endpoint = self.server
        assert isinstance(endpoint, LoopbackEndpoint)
        endpoint.requests = number = next(endpoint.count)
        endpoint.asked.set()
        endpoint.open.wait(60)
        answer = {"access_token": f"loopback-{number}", "token_type": "Bearer", "expires_in": 3600}
        body = json.dumps(answer).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except BrokenPipeError:
            pass  # the caller was killed

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def loopback() -> Iterator[LoopbackEndpoint]:
    with LoopbackEndpoint() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.open.set()
        server.shutdown()
        thread.join(60)


@contextmanager
def _callers(number: int, endpoint: LoopbackEndpoint, cache: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Start processes that wait, all imports done, for a line on their standard input to ask for a token."""
    base = f"http://127.0.0.1:{endpoint.server_address[1]}"
    given = {"environment_id": ENVIRONMENT, "client_id": CLIENT, "client_secret": SECRET, "cache_dir": str(cache),
             "api_url": f"{base}/v1", "auth_url": base}  # fmt: skip
    command = [sys.executable, "-c", textwrap.dedent(CALLER)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) for _ in range(number)]
    try:
        for process in processes:
            _tell(process, json.dumps(given))
        for process in processes:
            assert _hear(process) == "ready"
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def _hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _ask(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        _tell(process, "go")
    for process in processes:
        assert _hear(process) == "asking"


@pytest.mark.parametrize("number", [4, pytest.param(8, marks=long)])
def test_processes_that_start_together_share_one_token(loopback: LoopbackEndpoint, tmp_path: Path, number: int) -> None:
    with _callers(number, loopback, tmp_path) as processes:
        _ask(processes)
        loopback.open.set()  # only now that all are on their way to a token
        assert len({_hear(process) for process in processes} - {""}) == 1
    with _callers(1, loopback, tmp_path) as [late]:
        _ask([late])
        assert _hear(late) != ""
    assert loopback.requests == 1


def test_a_process_that_dies_with_the_lock_holds_nobody_up(loopback: LoopbackEndpoint, tmp_path: Path) -> None:
    with _callers(2, loopback, tmp_path) as [doomed, other]:
        _ask([doomed])
        assert loopback.asked.wait(60)
        _ask([other])
        doomed.kill()
        doomed.wait(60)
        loopback.open.set()
        assert _hear(other) != ""
    assert loopback.requests == 2


def test_the_import_brings_in_nothing_that_only_a_token_needs() -> None:
    program = "import sys, pingone_mcp.pingone.api.auth; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    modules = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment, timeout=60
    )
    assert {"diskcache", "cryptography", "filelock", "sqlite3"}.isdisjoint(modules.stdout.split())


async def _no_nap(_: float) -> None:
    raise AssertionError("there is nothing to wait for")


@pytest.mark.skipif(os.name != "posix", reason="processes are stopped by a signal of POSIX")
async def test_a_process_that_stands_still_with_the_lock_is_waited_for_once(
    connection: Connection, loopback: LoopbackEndpoint, endpoint: TokenEndpoint, opened: Opener, time: Time
) -> None:
    base = f"http://127.0.0.1:{loopback.server_address[1]}"
    same = changed(connection, api_url=f"{base}/v1", auth_url=base, region="NA")
    with _callers(1, loopback, connection.cache_dir) as [stopped]:
        _ask([stopped])
        assert loopback.asked.wait(60)
        stopped.send_signal(signal.SIGSTOP)
        api = Api(opened(same, endpoint))
        async with api.client:
            for number in range(1, 20):
                assert (await api.client.get(f"{base}/v1/users")).status_code == 200
                api.refused.add(f"token-{number}")
    assert endpoint.minted == [f"token-{number}" for number in range(1, 20)]
    assert 0 < sum(time.naps) < 4.0, "less than one answer may take, for all of them"

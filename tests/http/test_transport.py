"""Requests are repeated where that is safe, and all of them pause when PingOne asks for a pause."""

from __future__ import annotations

import asyncio
import gzip
import math
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from time import tzset

import anyio
import anyio.lowlevel
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.clock import Clock
from pingone_mcp.errors import AnswerTooLarge, RateLimited, UnexpectedAnswer, Unreachable
from pingone_mcp.http.body import FAILED, is_too_large
from pingone_mcp.http.engine import Engine
from pingone_mcp.http.failures import cause
from pingone_mcp.http.pacing import Lanes
from pingone_mcp.http.transport import (
    ATTEMPT_SECONDS,
    ATTEMPTS,
    CONNECT_SECONDS,
    Attempt,
    PatientTransport,
    retry_after,
    retry_wait,
)
from pingone_mcp.pingone.api.answers import json_object
from pingone_mcp.pingone.api.client import open_client
from pingone_mcp.pingone.api.upstream import PINGONE, SINGLE
from pingone_mcp.pingone.connection import connection_of
from pingone_mcp.settings.parts import ConnectionSettings

URL = "https://api.pingone.eu/v1/environments/x/users"
NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)


# ----------------------------------------------------------------------------------------------------------- decision


@pytest.mark.parametrize(
    ("attempt", "wait"),
    [
        (Attempt(repeatable=True, number=1, elapsed=0, status=200), None),
        (Attempt(repeatable=True, number=1, elapsed=0, status=404), None),
        (Attempt(repeatable=True, number=1, elapsed=0, status=501), None),
        (Attempt(repeatable=True, number=1, elapsed=0, status=500), 0.5),
        (Attempt(repeatable=True, number=3, elapsed=0, status=502), 2.0),
        (Attempt(repeatable=True, number=7, elapsed=0, status=504), 20.0),
        (Attempt(repeatable=True, number=8, elapsed=0, status=504), None),
        (Attempt(repeatable=True, number=1, elapsed=0, status=408), 0.5),
        (Attempt(repeatable=True, number=1, elapsed=0, status=429, retry_after=7), 7.0),
        (Attempt(repeatable=True, number=1, elapsed=24, status=429, retry_after=7), None),
        (Attempt(repeatable=True, number=1, elapsed=23, status=429, retry_after=7), 7.0),
        (Attempt(repeatable=True, number=1, elapsed=0, status=503, retry_after=0), 0.0),
        (Attempt(repeatable=True, number=1, elapsed=0), 0.5),
        (Attempt(repeatable=False, number=1, elapsed=0), None),
        (Attempt(repeatable=False, number=1, elapsed=0, sent=False), 0.5),
        (Attempt(repeatable=True, number=1, elapsed=0, lasting=True), None),
        (Attempt(repeatable=False, number=1, elapsed=0, sent=False, lasting=True), None),
        (Attempt(repeatable=False, number=1, elapsed=0, status=429), 0.5),
        (Attempt(repeatable=False, number=1, elapsed=0, status=503), 0.5),
        (Attempt(repeatable=False, number=1, elapsed=0, status=500), None),
        (Attempt(repeatable=False, number=1, elapsed=0, status=502), None),
        (Attempt(repeatable=False, number=1, elapsed=0, status=504), None),
        (Attempt(repeatable=False, number=1, elapsed=0, status=408), None),
    ],
)
def test_when_to_try_again(attempt: Attempt, wait: float | None) -> None:
    assert retry_wait(attempt, budget=30, jitter=0) == wait


SECONDS = st.floats(0, 10_000)
TRIES = st.builds(
    Attempt,
    repeatable=st.booleans(),
    number=st.integers(1, 12),
    elapsed=SECONDS,
    status=st.none() | st.integers(100, 599),
    retry_after=st.none() | SECONDS,
    sent=st.booleans(),
    lasting=st.booleans(),
)


@given(TRIES, SECONDS, st.floats(0, 1))
def test_a_wait_keeps_retry_after_and_the_budget(attempt: Attempt, budget: float, jitter: float) -> None:
    wait = retry_wait(attempt, budget=budget, jitter=jitter)
    if wait is None:
        return
    assert wait >= (attempt.retry_after or 0)
    assert attempt.elapsed + wait <= budget
    assert attempt.number < ATTEMPTS


@given(TRIES, st.floats(0, 1))
def test_a_write_is_repeated_only_if_it_surely_was_not_done(attempt: Attempt, jitter: float) -> None:
    if not attempt.repeatable and retry_wait(attempt, budget=1e9, jitter=jitter) is not None:
        assert attempt.status in (429, 503) or (attempt.status is None and not attempt.sent)


# -------------------------------------------------------------------------------------------------------- Retry-After


def said(text: str | None, **others: str) -> httpx.Headers:
    told = {} if text is None else {"retry-after": text}
    return httpx.Headers([(name.encode(), value.encode()) for name, value in (told | others).items()])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 17 ", 17.0),
        ("-3", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        (format_datetime(NOW.replace(second=9), usegmt=True), 9.0),
        ("Mon, 15 Jun 2026 12:00:09 -0000", 9.0),
        ("Mon Jun 15 12:00:09 2026", 9.0),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
        ("Mon, 99 Jan 2001 00:00:00 GMT", None),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_what_retry_after_says(
    text: str | None, seconds: float | None, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        tzset()
        found = retry_after(said(text), NOW.timestamp())
    tzset()
    assert found == seconds


@given(st.one_of(st.text(), st.text("0123456789 :,-+GMTJanSunZ", max_size=40)), st.floats(0, 2e9))
def test_garbage_in_retry_after_says_nothing(text: str, now: float) -> None:
    seconds = retry_after(said(text), now)
    assert seconds is None or seconds >= 0


def test_a_date_in_retry_after_counts_from_that_of_the_answer() -> None:
    answered, again = (format_datetime(NOW.replace(second=second), usegmt=True) for second in (3, 10))
    assert retry_after(said(again, date=answered), now=0.0) == 7.0
    assert retry_after(said(answered, date=again), now=0.0) == 0.0


# ------------------------------------------------------------------------------------------------------------ sending


@dataclass
class Time:
    """A clock that only naps move; a caller waits `until` then."""

    now: float = 0.0
    naps: list[float] = field(default_factory=list[float])
    until: float = math.inf
    ends: dict[anyio.CancelScope, float] = field(default_factory=dict[anyio.CancelScope, float])

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        await self.passes(seconds)

    async def passes(self, seconds: float) -> None:
        self.now += seconds
        for scope, end in self.ends.items():
            if self.now > end:
                scope.cancel()
        await anyio.lowlevel.checkpoint()

    @contextmanager
    def within(self, seconds: float) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            self.ends[scope] = self.now + seconds
            try:
                yield scope
            finally:
                del self.ends[scope]

    def clock(self) -> Clock:
        return Clock(
            wall=lambda: NOW.timestamp() + self.now,
            monotonic=lambda: self.now,
            sleep=self.sleep,
            jitter=lambda: 0.0,
            within=self.within,
            left=lambda: self.until - self.now,
        )


class Broken(httpx.AsyncByteStream):
    """A body that breaks off in the middle."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"half":'
        raise httpx.ReadError("connection reset")


class Script(httpx.AsyncBaseTransport):
    """Answer one thing after the other, the last one for ever."""

    def __init__(self, *answers: httpx.Response | httpx.TransportError) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, httpx.TransportError):
            raise answer
        return answer


def ok() -> httpx.Response:
    return httpx.Response(200, json={"id": "1"})


def busy(after: str | None, status: int = 429) -> httpx.Response:
    return httpx.Response(status, headers={} if after is None else {"retry-after": after})


def cut(content: bytes = b'{"half":', kind: str = "application/hal+json;charset=UTF-8") -> httpx.Response:
    return httpx.Response(200, headers={"content-type": kind}, content=content)


async def asked(script: Script, time: Time, method: str = "GET", *, folder: Path) -> httpx.Response:
    """Send a request as all of PingOne's are sent, with a token that is there already."""
    own = {"environment_id": "11111111-1111-4111-8111-111111111111", "client_id": "c", "client_secret": "s"}
    connection = connection_of(ConnectionSettings.model_validate({**own, "region": "EU", "cache_dir": folder}))
    token = httpx.Response(200, json={"access_token": "t", "token_type": "Bearer", "expires_in": 3600})
    script.answers.insert(0, token)
    async with open_client(connection, transport=script, clock=time.clock()) as client:
        return await client.send(method, URL)


@pytest.mark.parametrize("content", [b'{"half":', '{"a":"\xe4'.encode()[:-1], b'{"a":[{"b":1}]'])
async def test_json_that_is_cut_short_is_tried_again_like_a_broken_connection(content: bytes, tmp_path: Path) -> None:
    script, time = Script(cut(content), cut(content), ok()), Time()
    answer = await asked(script, time, folder=tmp_path)
    assert json_object(answer) == {"id": "1"}
    assert time.naps == [0.5, 1.0]


async def test_json_that_is_always_cut_short_ends_within_the_budget_of_one_request(tmp_path: Path) -> None:
    script, time = Script(cut()), Time()
    with pytest.raises(UnexpectedAnswer, match="cut short"):
        json_object(await asked(script, time, folder=tmp_path))
    assert 1 < len(script.requests) - 1 <= ATTEMPTS
    assert time.now <= 30


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("POST", cut()),
        ("HEAD", cut(b"")),
        ("GET", cut(b"")),
        ("GET", cut(b"<html>", "text/html")),
        ("GET", cut(b'{"a":NaN}')),
        ("GET", httpx.Response(204, headers={"content-type": "application/json"})),
    ],
    ids=["write", "head", "empty", "html", "no-number", "no-content"],
)
async def test_what_is_whole_or_may_have_happened_is_not_asked_again(
    method: str, answer: httpx.Response, tmp_path: Path
) -> None:
    script = Script(answer, ok())
    assert (await asked(script, Time(), method, folder=tmp_path)).status_code == answer.status_code
    assert len(script.requests) == 2  # the token, and this


async def send(
    script: Script, time: Time, method: str = "GET", *, budget: float = 30.0, content: bytes | None = None
) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=PatientTransport(script, PINGONE, budget=budget, clock=time.clock())
    ) as client:
        return await client.request(method, URL, content=content)


async def test_a_connection_that_breaks_within_the_body_is_tried_again_for_a_read() -> None:
    script, time = Script(httpx.Response(200, stream=Broken()), ok()), Time()
    assert (await send(script, time)).json() == {"id": "1"}
    assert time.naps == [0.5]


async def test_a_connection_that_breaks_within_the_body_is_not_tried_again_for_a_write() -> None:
    script = Script(httpx.Response(200, stream=Broken()), ok())
    with pytest.raises(Unreachable, match="broke before the answer was whole") as caught:
        await send(script, Time(), "POST")
    assert "may have happened" in caught.value.next_step
    assert len(script.requests) == 1


@pytest.mark.parametrize("failure", [httpx.ConnectError("no"), httpx.ConnectTimeout("no"), httpx.PoolTimeout("no")])
async def test_a_write_that_never_left_is_sent_again_with_its_body(failure: httpx.TransportError) -> None:
    script = Script(failure, ok())
    assert (await send(script, Time(), "POST", content=b"body")).status_code == 200
    assert [request.content for request in script.requests] == [b"body", b"body"]


@pytest.mark.parametrize("failure", [httpx.ReadTimeout("no"), httpx.WriteError("no"), httpx.RemoteProtocolError("no")])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_write_that_may_have_arrived_is_not_sent_again(method: str, failure: httpx.TransportError) -> None:
    script = Script(failure, ok())
    with pytest.raises(Unreachable):
        await send(script, Time(), method)
    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (httpx.ConnectError("secret words"), "cannot be reached"),
        (httpx.ReadTimeout("secret words"), "did not answer in time"),
        (httpx.ReadError("secret words"), "broke before the answer was whole"),
    ],
)
async def test_when_no_answer_ever_comes_it_says_so(failure: httpx.TransportError, told: str) -> None:
    script, time = Script(failure), Time()
    with pytest.raises(Unreachable, match=told) as caught:
        await send(script, time)
    assert caught.value.code == cause(failure).value
    assert "api.pingone.eu" in str(caught.value)
    assert "secret words" not in str(caught.value)
    assert time.now <= 30
    assert len(script.requests) <= ATTEMPTS


async def test_the_last_answer_is_returned_when_patience_ends() -> None:
    script, time = Script(httpx.Response(502, text="gateway")), Time()
    answer = await send(script, time, budget=1_000)
    assert (answer.status_code, answer.text) == (502, "gateway")
    assert len(script.requests) == ATTEMPTS
    assert time.naps == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 20.0]


async def test_retry_after_is_waited_for() -> None:
    script, time = Script(busy("7"), busy(format_datetime(NOW.replace(second=10), usegmt=True)), ok()), Time()
    assert (await send(script, time)).status_code == 200
    assert time.naps == [7.0, 3.0]


async def test_a_compressed_body_survives() -> None:
    body = gzip.compress(b'{"id": "1"}')
    answer = await send(Script(httpx.Response(200, headers={"content-encoding": "gzip"}, content=body)), Time())
    assert answer.json() == {"id": "1"}


async def test_a_busy_answer_pauses_the_other_requests_too() -> None:
    time, script = Time(), Script(busy("40"), ok())
    async with httpx.AsyncClient(transport=PatientTransport(script, PINGONE, budget=30, clock=time.clock())) as client:
        assert (await client.get(URL)).status_code == 429  # longer than the budget: not waited for
        with pytest.raises(RateLimited, match="pause for 40 s more"):
            await client.get(URL)
        assert len(script.requests) == 1  # nothing was sent
        time.now += 20
        assert (await client.get(URL)).status_code == 200
        assert time.naps == [20.0]


async def test_a_pause_that_grows_beyond_the_budget_while_it_is_kept_ends_the_wait() -> None:
    time, told = Time(), anyio.Event()

    class Slow(Script):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("slow"):
                await told.wait()
                return busy("300")
            return await super().handle_async_request(request)

    async def nap(seconds: float) -> None:
        await time.sleep(seconds)
        told.set()
        await anyio.wait_all_tasks_blocked()

    clock = Clock(wall=lambda: time.now, monotonic=lambda: time.now, sleep=nap, jitter=lambda: 0.0)
    script = Slow(busy("40"), ok())
    transport = PatientTransport(script, PINGONE, budget=30, clock=clock)
    async with httpx.AsyncClient(transport=transport) as client, anyio.create_task_group() as group:
        group.start_soon(client.get, f"{URL}/slow")
        await anyio.wait_all_tasks_blocked()
        await client.get(URL)
        time.now += 20
        with pytest.raises(RateLimited, match="120 s more"):
            await client.get(URL)
    assert time.naps == [20.0]
    assert len(script.requests) == 1


async def test_a_nap_that_takes_longer_than_asked_is_no_rate_limit() -> None:
    time = Time()

    async def oversleep(seconds: float) -> None:
        await time.sleep(seconds + 0.01)

    clock = Clock(wall=lambda: time.now, monotonic=lambda: time.now, sleep=oversleep, jitter=lambda: 0.0)
    async with httpx.AsyncClient(
        transport=PatientTransport(Script(busy("30"), ok()), PINGONE, budget=30, clock=clock)
    ) as client:
        assert (await client.get(URL)).status_code == 200


class Watched(Script):
    """A script that notes when each request came; an answer takes `seconds`."""

    def __init__(self, time: Time, *answers: httpx.Response, seconds: float = 0.0) -> None:
        super().__init__(*answers)
        self.time, self.seconds, self.came = time, seconds, list[float]()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.came.append(self.time.now)
        self.time.now += self.seconds
        await anyio.lowlevel.checkpoint()
        return await super().handle_async_request(request)


async def test_who_stood_in_line_when_a_pause_began_keeps_it_too() -> None:
    time = Time()

    async def nap(seconds: float) -> None:
        await anyio.wait_all_tasks_blocked()  # whoever can go on does so before time passes
        await time.sleep(seconds)

    script, clock = Watched(time, busy("5"), ok()), replace(time.clock(), sleep=nap)
    transport = PatientTransport(script, PINGONE, budget=30, lanes=Lanes(PINGONE, clock, most=1), clock=clock)
    async with httpx.AsyncClient(transport=transport) as client, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(client.get, URL)
    assert script.came[0] == 0
    assert min(script.came[1:]) >= 5


async def test_what_an_attempt_takes_is_taken_from_the_budget() -> None:
    time = Time()
    script = Watched(time, httpx.Response(500), seconds=20)
    assert (await send(script, time, budget=30)).status_code == 500
    assert len(script.came) == 2


async def test_what_passes_in_line_is_not() -> None:
    time = Time()
    script = Watched(time, httpx.Response(500), ok(), seconds=20)
    transport = PatientTransport(
        script, PINGONE, budget=30, lanes=Lanes(PINGONE, time.clock(), most=1), clock=time.clock()
    )
    got: list[httpx.Response] = []
    async with httpx.AsyncClient(transport=transport) as client:

        async def one() -> None:
            got.append(await client.get(URL))

        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(one)
    assert statuses(got) == [200] * 4


def statuses(answers: Iterable[httpx.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


async def test_many_requests_keep_one_pause() -> None:
    time, script = Time(), Script(busy("5"), ok())
    got: list[httpx.Response] = []
    async with httpx.AsyncClient(transport=PatientTransport(script, PINGONE, budget=30, clock=time.clock())) as client:

        async def one() -> None:
            got.append(await client.get(URL))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)
    assert statuses(got) == [200] * 5
    assert time.now >= 5


# ------------------------------------------------------------------------------------------------- how long, how much


class Drip(httpx.AsyncByteStream):
    """A body that comes byte by byte, one a second, and has no end."""

    def __init__(self, time: Time) -> None:
        self.time, self.closed = time, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await self.time.passes(1.0)

    async def aclose(self) -> None:
        self.closed = True


async def test_an_answer_that_drips_ends_and_is_told_as_what_it_is() -> None:
    time = Time()
    body = Drip(time)
    with pytest.raises(Unreachable, match=r"The answer of api\.pingone\.eu was not whole after 30 s\.") as told:
        await send(Script(httpx.Response(200, stream=body)), time)
    assert told.value.code == "ANSWER_NOT_WHOLE_IN_TIME"
    assert ATTEMPT_SECONDS <= time.now <= ATTEMPT_SECONDS + 2
    assert body.closed, "nobody reads on"


async def test_a_write_whose_answer_drips_may_have_happened() -> None:
    time = Time()
    script = Script(httpx.Response(200, stream=Drip(time)))
    with pytest.raises(Unreachable, match="not whole") as told:
        await send(script, time, "POST", budget=300)
    assert "may have happened" in told.value.next_step
    assert len(script.requests) == 1
    assert time.now < 60


async def test_a_drip_that_ends_is_asked_for_again_where_there_is_time() -> None:
    time = Time()
    script = Script(httpx.Response(200, stream=Drip(time)), ok())
    assert (await send(script, time, budget=60)).json() == {"id": "1"}


@pytest.mark.parametrize(
    ("head", "told"),
    [(b"HTTP/1.1 200 OK\r\n", "was not whole after 30 s"), (b"", "did not answer in time")],
    ids=["body", "head"],
)
async def test_a_server_that_drips_on_a_socket_holds_nobody_up(head: bytes, told: str) -> None:
    """A minute is a tenth of a second here."""
    left = anyio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head and head + b"Content-Length: 1000000\r\n\r\n")
        for byte in b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000:
            writer.write(bytes([byte]))
            try:
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0.005)
        left.set()

    clock = Clock(within=lambda seconds: anyio.move_on_after(seconds / 600))
    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        engine = Engine(ssl.create_default_context())
        transport = PatientTransport(engine, PINGONE, budget=0, clock=clock)
        async with httpx.AsyncClient(transport=transport) as client:
            with pytest.raises(Unreachable, match=told), anyio.fail_after(5):
                await client.get(f"http://127.0.0.1:{port}")
        with anyio.fail_after(5):
            await left.wait()


class Endless(httpx.AsyncByteStream):
    """A body without an end, which counts what was taken of it."""

    def __init__(self, chunk: bytes) -> None:
        self.chunk, self.taken = chunk, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken += len(self.chunk)
            yield self.chunk


def endless(chunk: bytes, status: int = 200, **headers: str) -> tuple[httpx.Response, Endless]:
    body = Endless(chunk)
    return httpx.Response(status, headers={"content-type": "application/json", **headers}, stream=body), body


SPACES = b" " * 65_536


async def test_a_body_without_an_end_is_refused_and_not_asked_for_again(tmp_path: Path) -> None:
    answer, body = endless(SPACES)
    script, time = Script(answer), Time()
    with pytest.raises(AnswerTooLarge, match="larger than the 2 MiB") as told:
        await asked(script, time, folder=tmp_path)
    assert told.value.code == "ANSWER_TOO_LARGE"
    assert "limit" in told.value.next_step
    assert body.taken <= SINGLE + 2 * len(SPACES)
    assert len(script.requests) == 2  # the token, and this
    assert time.naps == []


async def test_others_have_their_turn_between_two_chunks_of_a_body(tmp_path: Path) -> None:
    """Chunks of one byte: ten thousand of them are in what the network brings at once."""
    begun = anyio.Event()

    class Crumbs(Endless):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            begun.set()
            async for chunk in super().__aiter__():
                yield chunk

    body = Crumbs(b" ")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(asked, Script(httpx.Response(200, stream=body)), Time(), folder=tmp_path))
        await begun.wait()
        tasks.cancel_scope.cancel()
    assert body.taken < 10


async def test_of_a_failure_the_beginning_is_enough(tmp_path: Path) -> None:
    answer, body = endless(SPACES, 403)
    assert (await asked(Script(answer), Time(), folder=tmp_path)).status_code == 403
    assert body.taken <= FAILED + 2 * len(SPACES)


async def test_a_write_whose_answer_is_too_large_was_answered(tmp_path: Path) -> None:
    answer, _ = endless(SPACES, 201)
    told = await asked(Script(answer), Time(), "POST", folder=tmp_path)
    assert (told.status_code, is_too_large(told)) == (201, True)


def bomb(size: int) -> bytes:
    return gzip.compress(b" " * size)


async def test_no_more_of_a_packed_body_is_unpacked_than_is_read(tmp_path: Path) -> None:
    """256 MiB come in one piece of 256 KiB."""
    packed = bomb(256 * 1024 * 1024)
    answer = httpx.Response(
        200, headers={"content-type": "application/json", "content-encoding": "gzip"}, stream=httpx.ByteStream(packed)
    )
    tracemalloc.start()
    try:
        with pytest.raises(AnswerTooLarge):
            await asked(Script(answer), Time(), folder=tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * SINGLE


async def test_a_packed_body_that_says_nothing_has_an_end_too(tmp_path: Path) -> None:
    """Empty blocks of deflate: they come without end, and nothing is unpacked from them."""

    class Empty(Endless):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield gzip.compress(b"")[:10]  # the head of the file
            async for chunk in super().__aiter__():
                yield chunk

    body = Empty(b"\x00\x00\x00\xff\xff" * 13_000)
    with pytest.raises(AnswerTooLarge):
        await asked(
            Script(httpx.Response(200, headers={"content-encoding": "gzip"}, stream=body)), Time(), folder=tmp_path
        )
    assert body.taken <= SINGLE + 2 * len(body.chunk)


async def test_a_packed_body_that_breaks_off_is_tried_again() -> None:
    packed = gzip.compress(b'{"id": "1"}')
    headers = {"content-encoding": "gzip"}
    script = Script(
        httpx.Response(200, headers=headers, stream=httpx.ByteStream(packed[:-9])),
        httpx.Response(200, headers=headers, stream=httpx.ByteStream(packed)),
    )
    time = Time()
    assert (await send(script, time)).json() == {"id": "1"}
    assert time.naps == [0.5]


@pytest.mark.parametrize(("coding", "content"), [("gzip", b"not packed at all"), ("br", b"x"), ("gzip, gzip", b"x")])
async def test_what_cannot_be_unpacked_is_one_sentence(coding: str, content: bytes, tmp_path: Path) -> None:
    script = Script(httpx.Response(200, headers={"content-encoding": coding}, stream=httpx.ByteStream(content)))
    with pytest.raises(UnexpectedAnswer, match="cannot be unpacked"):
        await asked(script, Time(), folder=tmp_path)
    assert len(script.requests) == 2


async def test_only_what_is_unpacked_here_is_asked_for_and_no_cookie_comes_with_it(tmp_path: Path) -> None:
    flood = [("set-cookie", f"c{number}={'x' * 3_600}; Path=/") for number in range(5)]
    script = Script(httpx.Response(200, headers=flood))
    answer = await asked(script, Time(), folder=tmp_path)
    assert "set-cookie" not in answer.headers
    assert script.requests[1].headers["accept-encoding"] == "gzip"


# ---------------------------------------------------------------------------------------------- who is about to leave


async def test_who_leaves_before_the_next_attempt_is_told_at_once_what_happened() -> None:
    """A caller waits for four seconds; the fourth attempt would begin behind them."""
    time = Time(until=4.0)
    with pytest.raises(Unreachable, match=r"api\.pingone\.eu refused the connection"):
        await send(Script(refused()), time)
    assert time.naps == [0.5, 1.0, 2.0]


async def test_who_leaves_while_it_is_tried_again_is_told_why_and_not_that_time_ran_out() -> None:
    """The port was closed; behind it now stands what takes connections and never answers."""
    time = Time(until=4.0)
    hanging = httpx.Response(200, stream=Drip(time))
    with pytest.raises(Unreachable, match="refused the connection"):
        await send(Script(refused(), hanging), time)
    assert time.now <= 5.0


def refused() -> httpx.ConnectError:
    failure = httpx.ConnectError("All connection attempts failed")
    failure.__cause__ = ConnectionRefusedError(111, "Connect call failed")
    return failure


@pytest.mark.parametrize("status", [429, 503])
async def test_who_leaves_before_a_pause_ends_gets_the_answer_that_asked_for_it(status: int) -> None:
    time = Time(until=4.0)
    async with httpx.AsyncClient(
        transport=PatientTransport(Script(busy("7", status), ok()), PINGONE, budget=30, clock=time.clock())
    ) as client:
        assert (await client.get(URL)).status_code == status
        with pytest.raises(RateLimited, match="pause for 7 s more"):
            await client.get(URL)
    assert time.naps == []


async def test_a_connection_may_take_as_long_as_the_caller_waits_and_no_longer() -> None:
    for until, most in ((math.inf, CONNECT_SECONDS), (4.0, 3.9), (0.0, 0.1)):
        script = Script(ok())
        await send(script, Time(until=until))
        assert script.requests[0].extensions["timeout"]["connect"] == pytest.approx(most)


async def test_what_a_person_has_to_mend_is_not_tried_again() -> None:
    script, time = Script(httpx.ProxyError("407 Proxy Authentication Required"), ok()), Time()
    with pytest.raises(Unreachable, match="asks for a name and a password"):
        await send(script, time)
    assert (len(script.requests), time.naps) == (1, [])
    script = Script(httpx.ProxyError("502 Bad Gateway"), ok())
    assert (await send(script, time, "POST")).status_code == 200, "it never left"

"""Requests are repeated where that is safe, and all of them pause when PingOne asks for a pause."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from time import tzset

import anyio
import anyio.lowlevel
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from pingone_mcp.errors import RateLimited, UnexpectedAnswer, Unreachable
from pingone_mcp.pingone.answers import json_object
from pingone_mcp.pingone.client import Client
from pingone_mcp.pingone.clock import Clock
from pingone_mcp.pingone.pacing import Lanes
from pingone_mcp.pingone.transport import (
    ATTEMPTS,
    Attempt,
    PatientTransport,
    retry_after,
    retry_wait,
)
from pingone_mcp.settings import Connection

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
    """A clock that only naps move."""

    now: float = 0.0
    naps: list[float] = field(default_factory=list[float])

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds
        await anyio.lowlevel.checkpoint()

    def clock(self) -> Clock:
        return Clock(
            wall=lambda: NOW.timestamp() + self.now, monotonic=lambda: self.now, sleep=self.sleep, jitter=lambda: 0.0
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
    connection = Connection(
        environment_id="e",
        client_id="c",
        client_secret=SecretStr("s"),
        api_base="https://api.pingone.eu/v1",
        token_url="https://auth.pingone.eu/e/as/token",
        cache_dir=folder,
    )
    token = httpx.Response(200, json={"access_token": "t", "token_type": "Bearer", "expires_in": 3600})
    script.answers.insert(0, token)
    client = Client(connection, transport=script, clock=time.clock())
    try:
        return await client.send(method, URL)
    finally:
        await client.aclose()


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
    async with httpx.AsyncClient(transport=PatientTransport(script, budget=budget, clock=time.clock())) as client:
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
    assert caught.value.code == "UNREACHABLE"
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
    async with httpx.AsyncClient(transport=PatientTransport(script, budget=30, clock=time.clock())) as client:
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
    transport = PatientTransport(script, budget=30, clock=clock)
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
        transport=PatientTransport(Script(busy("30"), ok()), budget=30, clock=clock)
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
    transport = PatientTransport(script, budget=30, lanes=Lanes(clock, most=1), clock=clock)
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
    transport = PatientTransport(script, budget=30, lanes=Lanes(time.clock(), most=1), clock=time.clock())
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
    async with httpx.AsyncClient(transport=PatientTransport(script, budget=30, clock=time.clock())) as client:

        async def one() -> None:
            got.append(await client.get(URL))

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)
    assert statuses(got) == [200] * 5
    assert time.now >= 5

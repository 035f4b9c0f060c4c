"""Events go to the machine that was checked, by its name, once, and whatever it answers harms nobody."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from socket import AF_INET, AddressFamily
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

import pingone_mcp.http.outward.lookups as module
from pingone_mcp.clock import Clock
from pingone_mcp.errors import AnswerTooLarge, Refused, UnexpectedAnswer, Unreachable
from pingone_mcp.http.outward.lookups import LOOKUPS
from pingone_mcp.http.outward.targets import LONGEST_QUERY, MOST, Fetched, Receipt, Targets
from pingone_mcp.settings.targets import TargetRules
from tests.http.certificates import certificate
from tests.http.servers import answer_never, hang_up, serving

HOST = "hooks.example.com"
NAMED = TargetRules(frozenset({HOST}))
HERE = TargetRules(with_loopback=True)
DAY = timedelta(days=1)
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Names(AbstractResolver):
    """Says of each look where a name leads to: one answer after the other, and the last one from then on."""

    answers: Sequence[Sequence[str]]
    looks: list[str] = field(default_factory=list[str])

    async def resolve(self, host: str, port: int = 0, family: AddressFamily = AF_INET) -> list[ResolveResult]:
        found = self.answers[min(len(self.looks), len(self.answers) - 1)]
        self.looks.append(host)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [
            ResolveResult(hostname=host, host=one, port=port, family=AF_INET, proto=0, flags=socket.AI_NUMERICHOST)
            for one in found
        ]

    async def close(self) -> None:
        pass


@dataclass
class Receiver:
    """A server that answers one thing, and notes what came and by which name it was called."""

    answer: bytes = OK
    heard: list[bytes] = field(default_factory=list[bytes])
    names: list[str | None] = field(default_factory=list[str | None])
    connections: int = 0
    is_kept: bool = True

    @asynccontextmanager
    async def running(self, shown: Path | None = None) -> AsyncIterator[int]:
        context = None
        if shown is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(shown)
            context.sni_callback = lambda _, name, __: self.names.append(name)
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context) as server:
            yield server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.heard.append(head + await reader.readexactly(int(length or 0)))
                writer.write(self.answer)
                await writer.drain()
                if not self.is_kept:
                    break
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client has gone
        writer.close()


@asynccontextmanager
async def targets(
    rules: TargetRules, *answers: Sequence[str], trusted: Path | None = None, clock: Clock | None = None
) -> AsyncIterator[tuple[Targets, Names]]:
    names = Names(answers or [["127.0.0.1"]])
    opened = Targets(rules, ssl.create_default_context(cafile=trusted), clock or Clock(), names)
    try:
        yield opened, names
    finally:
        await opened.aclose()


async def test_a_body_goes_by_tls_to_the_machine_whose_name_it_is(tmp_path: Path) -> None:
    shown = certificate(tmp_path, HOST, begins=-DAY, ends=DAY)
    receiver = Receiver()
    async with receiver.running(shown) as port, targets(NAMED, trusted=shown) as (sending, names):
        for _ in range(2):
            receipt = await sending.post(f"https://{HOST}:{port}/in?x=%2F", b'{"a":1}', {"webhook-id": "e1"})
            assert receipt == Receipt(204, None)
    assert (names.looks, receiver.names, receiver.connections) == ([HOST], [HOST], 1)
    head, _, body = receiver.heard[0].partition(b"\r\n\r\n")
    assert body == b'{"a":1}'
    assert head.startswith(b"POST /in?x=%2F HTTP/1.1\r\n")
    assert f"host: {HOST}:{port}".encode() in head.lower()
    assert b"webhook-id: e1" in head.lower()


async def test_a_certificate_of_another_name_is_refused(tmp_path: Path) -> None:
    shown = certificate(tmp_path, "other.example.com", "127.0.0.1", begins=-DAY, ends=DAY)
    receiver = Receiver()
    async with receiver.running(shown) as port, targets(NAMED, trusted=shown) as (sending, _):
        with pytest.raises(Unreachable, match="one for another host"):
            await sending.post(f"https://{HOST}:{port}/", b"", {})
    assert receiver.heard == []


@pytest.mark.parametrize("leads", [["127.0.0.1"], ["127.0.0.1", "1.1.1.1"], ["1.1.1.1", "10.0.0.1"], ["192.168.1.1"]])
async def test_a_name_that_leads_inside_is_not_connected_to(leads: list[str]) -> None:
    receiver = Receiver()
    async with receiver.running() as port, targets(TargetRules(), leads) as (sending, names):
        with pytest.raises(Refused, match="no public address"):
            await sending.post(f"https://{HOST}:{port}/", b"", {})
        assert names.looks == [HOST]
    assert receiver.connections == 0


async def test_a_name_that_changes_where_it_leads_is_looked_up_once_and_checked_each_time() -> None:
    """The check and the connection use the same answer: no second one comes between them."""
    receiver = Receiver(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), is_kept=False)
    async with receiver.running() as port:
        async with targets(HERE, ["127.0.0.1"], ["10.0.0.1"]) as (sending, names):
            assert (await sending.post(f"http://localhost:{port}/", b"", {})).status == 204
            assert names.looks == ["localhost"]
            with pytest.raises(Refused):
                await sending.post(f"http://localhost:{port}/", b"", {})
            assert names.looks == ["localhost", "localhost"]
        async with targets(TargetRules(), ["10.0.0.1"], ["1.1.1.1"]) as (sending, names):
            with pytest.raises(Refused):
                await sending.post(f"https://{HOST}:{port}/", b"", {})
            assert names.looks == [HOST], "what was refused is not looked up again"
    assert len(receiver.heard) == 1


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:{}/", "https://[::1]:{}/", "http://127.0.0.1:{}/", "https://2130706433:{}/"]
)
async def test_an_address_is_checked_as_a_name_is(url: str) -> None:
    receiver = Receiver()
    async with receiver.running() as port, targets(TargetRules()) as (sending, _):
        with pytest.raises(Refused):
            await sending.post(url.format(port), b"", {})
    assert receiver.connections == 0


async def test_no_redirect_is_followed_and_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Receiver()
    async with elsewhere.running() as other:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{other}")
        moved = f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n"
        receiver = Receiver(moved.encode())
        async with receiver.running() as port, targets(HERE) as (sending, _):
            assert (await sending.post(f"http://127.0.0.1:{port}/", b"{}", {})).status == 307
    assert (len(receiver.heard), elsewhere.connections) == (1, 0)


async def test_a_long_answer_is_not_read_to_its_end() -> None:
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * (MOST + 1)
    receiver, at_once = Receiver(long), dataclasses.replace(Clock(), within=lambda _: anyio.fail_after(5))
    async with receiver.running() as port, targets(HERE, clock=at_once) as (sending, _):
        for _ in range(2):
            assert (await sending.post(f"http://localhost:{port}/", b"{}", {})).status == 200
    assert receiver.connections == 2


async def test_an_answer_that_breaks_off_behind_its_status_is_an_answer() -> None:
    receiver = Receiver(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", is_kept=False)
    async with receiver.running() as port, targets(HERE) as (sending, _):
        assert (await sending.post(f"http://localhost:{port}/", b"{}", {})).status == 200


async def test_how_long_a_target_wants_to_be_left_alone_is_heard() -> None:
    receiver = Receiver(b"HTTP/1.1 429 Too Many\r\nRetry-After: 90\r\nContent-Length: 0\r\n\r\n")
    async with receiver.running() as port, targets(HERE) as (sending, _):
        assert await sending.post(f"http://localhost:{port}/", b"{}", {}) == Receipt(429, 90.0)


async def test_who_does_not_answer_is_waited_for_no_longer_than_it_says() -> None:
    soon = dataclasses.replace(Clock(), within=lambda _: anyio.move_on_after(0.05))
    async with serving(answer_never) as port, targets(HERE, clock=soon) as (sending, _):
        with pytest.raises(Unreachable, match="did not answer in time"):
            await sending.post(f"http://localhost:{port}/", b"{}", {})


async def test_what_failed_is_said_in_a_sentence() -> None:
    async with targets(HERE) as (sending, _):
        async with serving(hang_up) as port:
            with pytest.raises(Unreachable, match="broke before the answer was whole"):
                await sending.post(f"http://localhost:{port}/", b"{}", {})
        with pytest.raises(Unreachable, match="refused the connection"):
            await sending.post(f"http://localhost:{port}/", b"{}", {})
    async with targets(NAMED, []) as (sending, _):
        with pytest.raises(Unreachable, match="There is no address for the host"):
            await sending.post(f"https://{HOST}/", b"{}", {})


async def test_names_that_nobody_answers_for_hold_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def look(host: str, *_: Any, **more: Any) -> Any:
        if host == HOST:
            released.wait()
        return socket.getaddrinfo(host, *_, **more)

    looks = list[anyio.CancelScope]()

    def within(seconds: float) -> anyio.CancelScope:
        scope = anyio.CancelScope()  # ends when the test says, not by time
        if seconds == module.LOOKUP_SECONDS:
            looks.append(scope)
        return scope

    async def looked_up(names: int) -> None:
        while len(looks) < names:
            await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(module, "getaddrinfo", look)
    receiver, rules = Receiver(is_kept=False), TargetRules(frozenset({HOST}), with_loopback=True)
    clock = dataclasses.replace(Clock(), within=within)
    sending, failures = Targets(rules, ssl.create_default_context(), clock), list[str]()

    async def in_vain(number: int) -> None:
        with pytest.raises(Unreachable) as failure:
            await sending.post(f"https://{HOST}:{number}/", b"{}", {})
        failures.append(failure.value.what)

    async def in_time(port: int) -> None:
        assert (await sending.post(f"http://localhost:{port}/", b"{}", {})).status == 204

    try:
        with anyio.fail_after(60):
            async with receiver.running() as port, anyio.create_task_group() as tasks:
                for number in range(1, LOOKUPS):
                    tasks.start_soon(in_vain, number)
                await looked_up(LOOKUPS - 1)
                await in_time(port)  # in the last place
                tasks.start_soon(in_vain, LOOKUPS)
                await looked_up(LOOKUPS + 1)
                assert not failures
                tasks.start_soon(in_time, port)  # no place is left
                await looked_up(LOOKUPS + 2)
                for scope in looks[:-1]:
                    scope.cancel()
    finally:
        released.set()
        await sending.aclose()
    assert failures == [f"There is no address for the host {HOST}."] * LOOKUPS
    assert len(receiver.heard) == 2


def whole(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body))


async def test_a_list_is_read_by_tls_from_the_machine_whose_name_it_is(tmp_path: Path) -> None:
    shown = certificate(tmp_path, HOST, begins=-DAY, ends=DAY)
    receiver = Receiver(whole(b"{}", b"Date: Thu, 01 Jan 1970 00:01:00 GMT", b"Retry-After: 9"))
    async with receiver.running(shown) as port, targets(NAMED, trusted=shown) as (reading, names):
        read = await reading.get(
            f"https://{HOST}:{port}/v2/Users", "cursor=%2B%2F&count=1", {"Authorization": "Bearer t"}
        )
    assert read == Fetched(status=200, body=b"{}", retry_after=9.0, date=60.0)
    assert (names.looks, receiver.names) == ([HOST], [HOST])
    assert receiver.heard[0].startswith(b"GET /v2/Users?cursor=%2B%2F&count=1 HTTP/1.1\r\n")
    assert b"\r\nauthorization: bearer t\r\n" in receiver.heard[0].lower()


@pytest.mark.parametrize("leads", [["127.0.0.1"], ["1.1.1.1", "10.0.0.1"], ["169.254.169.254"]])
async def test_no_list_is_read_where_a_name_leads_inside(leads: list[str]) -> None:
    receiver = Receiver(whole(b"{}"))
    async with receiver.running() as port, targets(TargetRules(), leads) as (reading, _):
        with pytest.raises(Refused, match="Give another address"):
            await reading.get(f"https://{HOST}:{port}/", "", {"Authorization": "Bearer t"})
    assert receiver.connections == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}/", "https://2130706433:{}/", "http://hooks.example.com:{}/"])
async def test_no_list_is_read_from_an_address_that_is_not_allowed(url: str) -> None:
    receiver = Receiver(whole(b"{}"))
    async with receiver.running() as port, targets(TargetRules()) as (reading, names):
        with pytest.raises(Refused):
            await reading.get(url.format(port), "", {})
    assert (receiver.connections, names.looks) == (0, [])


async def test_a_certificate_of_another_name_ends_a_reading_before_its_token_is_sent(tmp_path: Path) -> None:
    shown = certificate(tmp_path, "other.example.com", begins=-DAY, ends=DAY)
    receiver = Receiver(whole(b"{}"))
    async with receiver.running(shown) as port, targets(NAMED, trusted=shown) as (reading, _):
        with pytest.raises(Unreachable, match=r"one for another host.*check the address"):
            await reading.get(f"https://{HOST}:{port}/", "", {"Authorization": "Bearer t"})
    assert receiver.heard == []


async def test_a_reading_is_sent_on_to_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = Receiver(whole(b"{}"))
    async with elsewhere.running() as other:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{other}")
        moved = f"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:{other}/\r\nContent-Length: 0\r\n\r\n"
        async with Receiver(moved.encode()).running() as port, targets(HERE) as (reading, _):
            assert (await reading.get(f"http://127.0.0.1:{port}/", "", {"Authorization": "Bearer t"})).status == 307
    assert elsewhere.connections == 0


@pytest.mark.parametrize("packed", [False, True])
async def test_no_more_is_read_than_the_limit_however_it_is_packed(packed: bool) -> None:
    long = b"x" * 200_001
    answer = whole(gzip.compress(long), b"Content-Encoding: gzip") if packed else whole(long)
    async with Receiver(answer).running() as port, targets(HERE) as (reading, _):
        with pytest.raises(AnswerTooLarge, match="Nothing of it was read"):
            await reading.get(f"http://localhost:{port}/", "", {}, most=200_000)
        assert (await reading.get(f"http://localhost:{port}/", "", {}, most=200_001)).body == long


async def test_a_list_that_breaks_off_or_is_packed_wrongly_is_none() -> None:
    async with targets(HERE) as (reading, _):
        async with Receiver(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", is_kept=False).running() as port:
            with pytest.raises(Unreachable, match="broke before the answer was whole"):
                await reading.get(f"http://localhost:{port}/", "", {})
        async with Receiver(whole(b"no gzip", b"Content-Encoding: gzip")).running() as port:
            with pytest.raises(UnexpectedAnswer, match="cannot be unpacked"):
                await reading.get(f"http://localhost:{port}/", "", {})


async def test_a_list_that_does_not_come_is_waited_for_no_longer_than_it_says() -> None:
    soon = dataclasses.replace(Clock(), within=lambda _: anyio.move_on_after(0.05))
    async with serving(answer_never) as port, targets(HERE, clock=soon) as (reading, _):
        with pytest.raises(Unreachable, match="did not answer in time"):
            await reading.get(f"http://localhost:{port}/", "", {})


async def test_a_name_of_a_page_that_no_server_takes_is_not_sent() -> None:
    receiver = Receiver(whole(b"{}"))
    async with receiver.running() as port, targets(HERE) as (reading, _):
        with pytest.raises(Refused, match="longer name"):
            await reading.get(f"http://localhost:{port}/", "x" * (LONGEST_QUERY + 1), {})
    assert receiver.connections == 0

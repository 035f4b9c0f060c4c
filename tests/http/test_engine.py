"""Bytes travel as they are meant to: once, letter by letter, with nothing added, unpacked or kept."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote_to_bytes

import anyio
import httpx
import pytest

from pingone_mcp.http.engine import Engine
from pingone_mcp.http.failures import Cause, cause
from pingone_mcp.http.upstream import PROXY
from tests.http.certificates import certificate

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
DAY = timedelta(days=1)


@dataclass
class Server:
    """A server that gives one answer after the other, and hangs up without any at the end."""

    answers: Sequence[bytes]
    heard: list[bytes] = field(default_factory=list[bytes])
    served: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    spoken: list[str | None] = field(default_factory=list[str | None])

    @asynccontextmanager
    async def running(self, shown: Path | None = None) -> AsyncIterator[str]:
        """Serve, by TLS with a certificate, until all clients have gone."""
        context = None
        if shown is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(shown)
            context.set_alpn_protocols(["h2", "http/1.1"])
        async with await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=context) as server:
            yield f"http{'s' if shown else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*self.served)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (tls := writer.get_extra_info("ssl_object")) is not None:
            self.spoken.append(tls.selected_alpn_protocol())
        with suppress(asyncio.IncompleteReadError, OSError):  # the client has gone
            await self.talk(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            self.heard.append(head + await reader.readexactly(int(length or 0)))
            if len(self.heard) > len(self.answers):
                break
            writer.write(self.answers[len(self.heard) - 1])
            await writer.drain()


class Tunnel(Server):
    """A proxy that opens the way that it is asked for."""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(head := await reader.readuntil(b"\r\n\r\n"))
        host, _, port = head.split()[1].decode().partition(":")
        there, further = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pass_on(reader, further), pass_on(there, writer))
        await further.wait_closed()


async def pass_on(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        to.write(data)
    to.close()


async def asked(
    engine: Engine,
    method: str,
    url: str,
    proxy: str | None = None,
    *,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    extensions = {} if proxy is None else {PROXY: proxy}
    request = httpx.Request(method, url, content=content, headers=headers, extensions=extensions)
    response = await engine.handle_async_request(request)
    try:
        return b"".join([chunk async for chunk in response.aiter_raw()])
    finally:
        await response.aclose()


def engine(trusted: Path | None = None) -> Engine:
    return Engine(ssl.create_default_context(cafile=trusted))


async def test_a_url_and_headers_go_letter_by_letter_and_nothing_is_added() -> None:
    server = Server([OK])
    async with server.running() as base, engine() as sending:
        path = "/v1/users?filter=name%20eq%20%22a%2Bb%22&cursor=%2f%2F+~'(x)"
        assert await asked(sending, "GET", base + path, headers={"Accept": "a", "User-Agent": "b"}) == b"ok"
    line, *headers = server.heard[0].decode().strip().split("\r\n")
    assert line == f"GET {path} HTTP/1.1"
    assert {header.partition(":")[0].lower() for header in headers} <= {
        "host", "accept", "accept-encoding", "user-agent", "connection",
    }  # fmt: skip


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "PATCH", "GET"])
async def test_what_breaks_on_a_kept_connection_is_not_sent_a_second_time(method: str) -> None:
    """aiohttp by itself sends a PUT once more. What may have happened is not repeated by anybody but `transport`."""
    server = Server([OK])
    async with server.running() as base, engine() as sending:
        await asked(sending, "GET", base)
        with pytest.raises(httpx.TransportError) as failure:
            await asked(sending, method, base, content=None if method == "GET" else b"{}")
    assert cause(failure.value) is Cause.BROKEN
    assert len(server.heard) == 2


async def test_a_body_is_sent_with_its_own_type_or_none() -> None:
    server = Server([OK, OK])
    async with server.running() as base, engine() as sending:
        await asked(sending, "POST", base, content=b"{}")
        await asked(sending, "POST", base, content=b"{}", headers={"Content-Type": "application/x"})
    bare, typed = server.heard
    assert bare.endswith(b"\r\n\r\n{}")
    assert b"content-type" not in bare.lower()
    assert typed.lower().count(b"content-type: application/x\r\n") == 1


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
async def test_a_request_without_a_body_has_no_type(method: str) -> None:
    """A server that takes one type of body refuses any other (RFC 9110 §15.5.16), and aiohttp makes one up."""
    server = Server([OK])
    async with server.running() as base, engine() as sending:
        await asked(sending, method, base)
    assert b"content-type" not in server.heard[0].lower()


async def test_connections_are_kept_and_cookies_are_not() -> None:
    server = Server([OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n"), OK])
    async with server.running() as base, engine() as sending:
        for _ in range(2):
            await asked(sending, "GET", base)
    assert len(server.served) == 1
    assert b"cookie" not in server.heard[1].lower()


async def test_no_redirection_is_followed_and_no_body_is_unpacked() -> None:
    server = Server([b"HTTP/1.1 302 Go\r\nLocation: /b\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nwhat"])
    async with server.running() as base, engine() as sending:
        response = await sending.handle_async_request(httpx.Request("GET", base))
        assert (response.status_code, response.headers["content-encoding"]) == (302, "gzip")
        assert [chunk async for chunk in response.aiter_raw()] == [b"what"]
    assert len(server.heard) == 1


async def test_a_connection_that_a_caller_leaves_in_the_middle_is_not_used_again() -> None:
    server = Server([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", OK])
    async with server.running() as base, engine() as sending:
        with anyio.move_on_after(0.1):
            await asked(sending, "GET", base)
        assert await asked(sending, "GET", base) == b"ok"
    assert len(server.served) == 2


class Talkative(Server):
    """A server that answers each request, and says so much more soon after, or hangs up on its socket."""

    more: bytes | None = None

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(self.answers[0])
        await writer.drain()
        await anyio.sleep(0.05)
        if self.more is None:
            linger = struct.pack("ii", 1, 0)  # no end of the connection, but a reset
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return
        writer.write(self.more)
        await super().talk(reader, writer)


@pytest.mark.parametrize("status", [b"200 OK", b"408 Request Timeout"])
async def test_what_nobody_has_asked_for_is_no_answer_to_the_next_request(status: bytes) -> None:
    """Else a write that never arrived would seem to have happened, and one request get the answer of another."""
    server = Talkative([OK, OK, OK])
    server.more = b"HTTP/1.1 " + status + b"\r\nContent-Length: 3\r\n\r\nbad"
    async with server.running() as base, engine() as sending:
        assert await asked(sending, "GET", base) == b"ok"
        await anyio.sleep(0.1)
        assert await asked(sending, "GET", base) == b"ok"
    assert (len(server.heard), len(server.served)) == (2, 2)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"


@pytest.mark.parametrize(
    ("begun", "more"),
    [
        pytest.param(CHUNKED, b"zz\r\n", id="no chunk"),
        pytest.param(CHUNKED, None, id="reset within chunks"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", None, id="reset before the end"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nok", None, id="reset instead of an end"),
    ],
)
async def test_a_body_that_breaks_later_is_a_broken_one_at_once(begun: bytes, more: bytes | None) -> None:
    server = Talkative([begun])
    server.more = more
    async with server.running() as base, engine() as sending:
        with anyio.fail_after(5), pytest.raises(httpx.TransportError) as failure:
            await asked(sending, "GET", base)
    assert cause(failure.value) is Cause.BROKEN


@pytest.mark.parametrize("login", ["me:p%C3%A9", "me:p%C5%82", "m%3Ae:x"])
async def test_any_login_of_a_proxy_is_sent_in_utf_8(login: str) -> None:
    server = Server([b"HTTP/1.1 407 Login\r\nContent-Length: 0\r\n\r\n"])
    async with server.running() as proxy, engine() as sending:
        with pytest.raises(httpx.ProxyError, match="407"):
            await asked(sending, "GET", "https://api.example.com", proxy.replace("://", f"://{login}@"))
    packed = base64.b64encode(unquote_to_bytes(login))
    assert b"Proxy-Authorization: Basic " + packed + b"\r\n" in server.heard[0]


async def test_a_proxy_that_opens_no_way_in_time_is_no_connection_in_time() -> None:
    """What waits for a connection has not been sent: a write is repeated (`transport`)."""
    server = Server([b""])
    async with server.running() as proxy, engine() as sending:
        request = httpx.Request(
            "POST", "https://api.example.com", extensions={PROXY: proxy, "timeout": {"connect": 0.1}}
        )
        with anyio.fail_after(5), pytest.raises(httpx.ConnectTimeout):
            await sending.handle_async_request(request)


async def test_through_a_proxy_with_a_login_the_secret_goes_to_its_host_alone(tmp_path: Path) -> None:
    shown = certificate(tmp_path, "127.0.0.1", begins=-DAY, ends=DAY)
    server, tunnel = Server([OK, OK]), Tunnel([])
    async with server.running(shown) as base, tunnel.running() as proxy, engine(shown) as sending:
        through = proxy.replace("://", "://me:p%40ss@")
        for _ in range(2):
            assert await asked(sending, "GET", base, through, headers={"Authorization": "Bearer x"}) == b"ok"
    (opened,) = tunnel.heard
    assert opened.startswith(b"CONNECT 127.0.0.1:")
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in opened
    assert b"Bearer" not in opened
    assert all(b"Bearer x" in head and b"Proxy" not in head for head in server.heard)


async def test_a_server_is_told_which_http_is_spoken(tmp_path: Path) -> None:
    """One that is not may speak the version it likes best, or refuse (RFC 7301 §3.2)."""
    shown = certificate(tmp_path, "127.0.0.1", begins=-DAY, ends=DAY)
    server = Server([OK])
    async with server.running(shown) as base, engine(shown) as sending:
        await asked(sending, "GET", base)
    assert server.spoken == ["http/1.1"]


async def test_a_certificate_is_looked_at_behind_a_proxy_too(tmp_path: Path) -> None:
    shown = certificate(tmp_path, "127.0.0.1", begins=-DAY, ends=DAY)
    server, tunnel = Server([OK]), Tunnel([])
    async with server.running(shown) as base, tunnel.running() as proxy, engine() as sending:
        with pytest.raises(httpx.ConnectError) as failure:
            await asked(sending, "GET", base, proxy)
    assert cause(failure.value) is Cause.NOT_TRUSTED
    assert server.heard == []

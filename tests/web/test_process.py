"""The HTTP server itself, over real sockets: how it begins, what it does with odd clients, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import SocketStream
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from pingone_mcp.errors import Unconfigured
from pingone_mcp.web import process
from pingone_mcp.web.process import Listening, open_socket, serve_app, url_of

HERE = Listening(host="127.0.0.1", port=0)
LARGE = 16 * 1024 * 1024


class App:
    """Answers at once, with a lot, when it is let, or bit by bit until the server ends."""

    def __init__(self) -> None:
        self.asked = anyio.Event()
        self.let = anyio.Event()
        self.ended = anyio.Event()
        self.starlette = Starlette(
            routes=[
                Route("/hello", self.hello),
                Route("/large", self.large),
                Route("/wait", self.wait),
                Route("/stream", self.stream),
            ]
        )

    async def hello(self, _: Request) -> Response:
        return PlainTextResponse("hello")

    async def large(self, _: Request) -> Response:
        return PlainTextResponse("x" * LARGE)

    async def wait(self, _: Request) -> Response:
        self.asked.set()
        await self.let.wait()
        return PlainTextResponse("at last")

    async def stream(self, _: Request) -> Response:
        async def events() -> AsyncIterator[str]:
            yield "first"
            await self.ended.wait()

        return StreamingResponse(events())


@asynccontextmanager
async def serving(app: App, where: Listening = HERE) -> AsyncIterator[str]:
    """Serve the app in this process; it is asked to end with the block, as a process manager does."""
    listening = open_socket(where)
    began = anyio.Event()

    async def serve() -> None:
        await serve_app(app.starlette, where, listening, began=began.set, ends=app.ended.set)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            await began.wait()
            yield url_of(where, listening)
            os.kill(os.getpid(), signal.SIGTERM)


async def connected(url: str) -> SocketStream:
    return await anyio.connect_tcp("127.0.0.1", httpx.URL(url).port or 0)


async def read(stream: SocketStream) -> int:
    """Read until the other side ends; return how many bytes there were."""
    size = 0
    with anyio.fail_after(5), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            size += len(await stream.receive())
    return size


async def test_it_answers_on_the_port_that_it_found() -> None:
    async with serving(App()) as url, httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/hello")
    assert (answer.status_code, answer.text) == (200, "hello")
    assert "server" not in answer.headers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_what_runs_is_finished_and_nothing_more_is_accepted(number: signal.Signals) -> None:
    app = App()
    async with serving(app) as url, httpx.AsyncClient() as client, anyio.create_task_group() as tasks:
        answers: list[str] = []

        async def ask() -> None:
            answers.append((await client.get(f"{url}/wait")).text)

        tasks.start_soon(ask)
        await app.asked.wait()
        os.kill(os.getpid(), number)
        await app.ended.wait()
        with anyio.fail_after(5):
            while True:
                try:
                    await (await connected(url)).aclose()
                except OSError:
                    break
                await anyio.sleep(0.01)
        app.let.set()
    assert answers == ["at last"]


async def test_a_stream_of_events_ends_with_the_server() -> None:
    app = App()
    async with serving(app) as url, httpx.AsyncClient() as client, client.stream("GET", f"{url}/stream") as answer:
        parts = answer.aiter_text()
        assert await anext(parts) == "first"
        os.kill(os.getpid(), signal.SIGTERM)
        assert [part async for part in parts] == []


@pytest.mark.parametrize("sent", [b"", b"GET /hello HTTP/1.1\r\nHost: x\r\nX-A: "], ids=["nothing", "half a head"])
async def test_a_client_that_sends_no_request_is_let_go(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "HEAD_SECONDS", 0.2)
    async with serving(App()) as url, await connected(url) as stream:
        for byte in sent:
            await stream.send(bytes([byte]))
        with anyio.fail_after(5), pytest.raises(anyio.EndOfStream):
            await stream.receive()


async def test_a_request_that_is_being_answered_may_take_longer_than_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "HEAD_SECONDS", 0.2)
    app = App()
    async with serving(app) as url, httpx.AsyncClient() as client, anyio.create_task_group() as tasks:

        async def let() -> None:
            await app.asked.wait()
            await anyio.sleep(0.4)
            app.let.set()

        tasks.start_soon(let)
        assert (await client.get(f"{url}/wait")).text == "at last"
        assert (await client.get(f"{url}/hello")).text == "hello"


async def test_a_client_that_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "READ_SECONDS", 0.2)
    async with serving(App()) as url, await connected(url) as stream:
        await stream.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await anyio.sleep(0.5)
        assert 0 < await read(stream) < LARGE


async def test_connections_beyond_the_most_are_answered_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_OPEN", 3)
    async with serving(App()) as url, await connected(url), await connected(url), httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/hello")).status_code == 503


async def test_a_port_that_is_taken_is_a_sentence() -> None:
    with open_socket(HERE) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unconfigured, match=f"Something else listens on 127.0.0.1:{port} already"):
            open_socket(Listening(host="127.0.0.1", port=port))


def test_an_address_of_another_machine_is_a_sentence() -> None:
    with pytest.raises(Unconfigured, match="Nothing can listen on"):
        open_socket(Listening(host="192.0.2.1", port=0))


async def test_a_certificate_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    where = Listening(host="127.0.0.1", port=0, certificate=tmp_path / "cert.pem", key=tmp_path / "cert.pem")
    with open_socket(where) as listening, pytest.raises(Unconfigured, match="cannot be used"):
        await serve_app(App().starlette, where, listening, began=lambda: None)


def test_the_url_of_an_address_of_ipv6_has_brackets() -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    where = Listening(host="::1", port=0)
    with open_socket(where) as listening:
        assert url_of(where, listening) == f"http://[::1]:{listening.getsockname()[1]}"


async def test_an_answer_in_two_pieces_waits_for_no_acknowledgement() -> None:
    with (
        open_socket(Listening(host="127.0.0.1", port=0)) as listening,
        socket.create_connection(listening.getsockname()),
    ):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

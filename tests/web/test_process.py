"""The HTTP server itself, over real sockets: how it begins, what it does with odd clients, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest
from anyio.abc import SocketStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pingone_mcp.errors import Unconfigured
from pingone_mcp.web import process
from pingone_mcp.web.process import Listening, open_socket, serve_app, url_of
from tests.world import NOW

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


async def read(stream: SocketStream, most: float = math.inf) -> int:
    """Read until the other side ends, or so many bytes came; return how many there were."""
    size = 0
    with anyio.fail_after(5), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while size < most:
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
    monkeypatch.setattr(process, "HEAD_SECONDS", 1.0)
    app = App()
    async with serving(app) as url, httpx.AsyncClient() as client, anyio.create_task_group() as tasks:

        async def let() -> None:
            await app.asked.wait()
            await anyio.sleep(1.2)
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


def unread() -> int:
    """Return how many bytes of answers this process holds until somebody reads them."""
    return sum(
        one.transport.get_write_buffer_size() for one in gc.get_objects() if isinstance(one, process.PatientProtocol)
    )


async def test_clients_that_do_not_read_hold_no_more_than_so_much_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_UNREAD", 2 * LARGE)
    async with serving(App()) as url, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(await connected(url)) for _ in range(10)]
        held: list[int] = []
        for stream in clients:
            await stream.send(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            await stream.receive(1)
            held.append(unread())
        assert max(held) <= 3 * LARGE
        assert max(held) > LARGE, "it is those who do not read that are let go, and no others"
        assert await read(clients[0]) < LARGE
        assert await read(clients[-1]) > LARGE, "the last one to ask has its answer"


async def test_connections_beyond_the_most_are_answered_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_OPEN", 3)
    app = App()
    async with (
        serving(app) as url,
        await connected(url) as one,
        await connected(url) as other,
        httpx.AsyncClient() as client,
    ):
        for stream in (one, other):
            app.asked = anyio.Event()
            await stream.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
            await app.asked.wait()
        assert (await client.get(f"{url}/hello")).status_code == 503
        app.let.set()


async def test_connections_that_send_nothing_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_OPEN", 5)
    async with serving(App()) as url, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(await connected(url)) for _ in range(20)]
        for _ in range(3):
            async with httpx.AsyncClient() as client:
                assert (await client.get(f"{url}/hello")).status_code == 200
        assert await read(silent[0]) == 0


async def test_who_still_reads_an_answer_is_not_ended_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "MOST_OPEN", 3)
    async with serving(App()) as url, await connected(url) as reader, AsyncExitStack() as stack:
        await reader.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.receive(1)
        silent = [await stack.enter_async_context(await connected(url)) for _ in range(4)]
        assert await read(silent[0]) == 0
        assert await read(reader, LARGE) >= LARGE


def test_as_many_files_may_be_open_as_the_system_lets() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        most = process.most_open()
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == max(256, min(before[1], process.MOST_FILES))
        assert most == min(process.MOST_OPEN, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_what_never_ends_is_ended_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 1)
    app = App()
    async with serving(app) as url, await connected(url) as stream:
        await stream.send(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await app.asked.wait()


async def test_a_head_that_is_too_long_is_not_held() -> None:
    async with serving(App()) as url, await connected(url) as stream:
        with suppress(anyio.BrokenResourceError):
            await stream.send(b"GET /hello HTTP/1.1\r\nHost: x\r\n")
            for number in range(64):
                await stream.send(b"X%d: " % number + b"x" * 60_000 + b"\r\n")
                await anyio.lowlevel.checkpoint()
        assert await read(stream) < 1_000, "the connection has ended"


async def test_a_request_for_another_protocol_is_answered_as_any_other(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(App()) as url, httpx.AsyncClient() as client:
        for protocol in ("websocket", "h2c"):
            headers = {"Connection": "Upgrade", "Upgrade": protocol}
            assert (await client.get(f"{url}/hello", headers=headers)).text == "hello"
    assert [record.message for record in caplog.records] == []


async def test_who_a_proxy_says_that_it_speaks_for_is_not_believed() -> None:
    seen: list[object] = []

    async def app(scope: Scope, _: Receive, send: Send) -> None:
        seen.append((scope["client"][0], scope["scheme"]))
        await PlainTextResponse("")(scope, _, send)

    made = App()
    made.starlette = app  # type: ignore[assignment] # any application will do
    async with serving(made) as url, httpx.AsyncClient() as client:
        await client.get(url, headers={"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"})
    assert seen == [("127.0.0.1", "http")]


async def test_a_port_that_is_taken_is_a_sentence() -> None:
    with open_socket(HERE) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Unconfigured, match=f"Something else listens on 127.0.0.1:{port} already"):
            open_socket(Listening(host="127.0.0.1", port=port))


@pytest.mark.parametrize("host", ["192.0.2.1", "", "no such host", "a" * 64, "a..b"])
def test_an_address_of_another_machine_is_a_sentence(host: str) -> None:
    with pytest.raises(Unconfigured, match="Nothing can listen on"):
        open_socket(Listening(host=host, port=0))


async def test_a_key_that_needs_a_password_is_a_sentence_and_no_question(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    key = rsa.generate_private_key(65537, 2048)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"hunter2"),
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))
    (tmp_path / "cert.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(sealed)
    where = Listening(host="127.0.0.1", port=0, certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    with open_socket(where) as listening:
        asked = serve_app(App().starlette, where, listening, began=lambda: None)
        with anyio.fail_after(10), pytest.raises(Unconfigured, match="without a password"):
            await asked
    assert capfd.readouterr() == ("", "")


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


async def test_a_server_that_is_cancelled_leaves_no_socket_to_the_loop() -> None:
    """The loop knows sockets by their numbers: the next one of this number would never be heard of."""
    listening = open_socket(HERE)
    number, began = listening.fileno(), anyio.Event()

    async def serve() -> None:
        await serve_app(App().starlette, HERE, listening, began=began.set)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        await began.wait()
        tasks.cancel_scope.cancel()
    assert not asyncio.get_running_loop().remove_reader(number)
    assert listening.fileno() == -1

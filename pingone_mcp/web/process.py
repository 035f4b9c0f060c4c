"""An HTTP server in this process: it listens, serves one app, and ends when it is asked to, as the clients would wish.

uvicorn serves. What it leaves to a proxy in front stands here, because there may be none: a client that opens a
connection and sends no request on it, and one that does not read what it has asked for, hold neither for long, and many
of them together hold neither much memory nor the places of others.
"""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from pingone_mcp.errors import Unconfigured
from pingone_mcp.interrupts import pressing

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HEAD_SECONDS = 20.0
"""In so many seconds from the beginning of a connection, or from its last answer, the head of a request has come."""
READ_SECONDS = 30.0
"""A client that has left more than a little of an answer unread for so long is gone."""
GRACE_SECONDS = 30
"""What runs when the server is asked to end has so many seconds for its own end."""
MOST_OPEN = 2_000
"""Connections at once. One more ends the one that has waited longest for a request; where none waits, it gets 503."""
MOST_UNREAD = 256 * 1024 * 1024
"""Bytes of answers that wait to be read. Where there are more, the client that has not read for longest is gone."""
MOST_FILES = 65_536
"""Files that this process opens at most, where the system lets it; each connection is one."""
BACKLOG = 256
"""Connections that wait to be accepted; so many are accepted at a time, before any of them is looked at."""
_LONGEST_HEAD = 64 * 1024
_UNASKED = " "  # without any, OpenSSL asks for one at the terminal


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where to listen: a host (a name or an address of this machine), and a port, 0 for any that is free.

    `certificate` and `key` are files in PEM; None serves plain HTTP.
    """

    host: str
    port: int
    certificate: Path | None = None
    key: Path | None = None

    @property
    def is_secure(self) -> bool:
        return self.certificate is not None


def open_socket(where: Listening) -> socket.socket:
    """Return a socket that listens. Raises Unconfigured where there is no such host, or somebody else listens there."""
    try:
        family = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((where.host, where.port), family=family, backlog=BACKLOG)
    except UnicodeError:  # what Python says of a name that is too long for one
        raise _cannot_listen(where, "it is no name of a host") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            taken = f"Something else listens on {where.host}:{where.port} already."
            raise Unconfigured(taken, "Name another port with --port.", code="PORT_IN_USE") from None
        raise _cannot_listen(where, error.strerror or type(error).__name__) from None
    # Its connections inherit it. asyncio sets it only where a socket says that it is of TCP, which this one does not;
    # without it, the body of an answer waits for 40 ms until the client has acknowledged the head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _cannot_listen(where: Listening, why: str) -> Unconfigured:
    what = f"Nothing can listen on {where.host}:{where.port}: {why}."
    return Unconfigured(what, "Name another address with --host.", code="NO_SUCH_ADDRESS")


def url_of(where: Listening, listening: socket.socket) -> str:
    """Return the URL of the server on this machine, without a slash at its end."""
    port: int = listening.getsockname()[1]
    host = f"[{where.host}]" if ":" in where.host else where.host
    scheme = "https" if where.is_secure else "http"
    return f"{scheme}://{host}:{port}"


async def serve_app(
    app: ASGIApp,
    where: Listening,
    listening: socket.socket,
    *,
    began: Callable[[], None],
    ends: Callable[[], None] = lambda: None,
) -> None:
    """Serve an app until Ctrl-C or SIGTERM; then accept nothing more, and return when what runs has ended.

    `began` is called once requests are taken, and `ends` when the server has been asked to end: what goes on by itself,
    such as a stream of events, ends there. Raises Unconfigured for a certificate that cannot be used.
    """
    server = _Server(_config(app, where), began)

    def ask_to_end() -> None:
        if not server.should_exit:
            server.should_exit = True
            ends()

    with _asked_to_end(ask_to_end):
        serving = asyncio.ensure_future(server.serve(sockets=[listening]))
        try:
            await asyncio.shield(serving)
        finally:
            ask_to_end()
            try:
                await serving
            finally:
                server.stop_listening()


def _config(app: ASGIApp, where: Listening) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        lifespan="off",
        loop="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=most_open(),
        timeout_keep_alive=int(HEAD_SECONDS),
        timeout_graceful_shutdown=GRACE_SECONDS,
        h11_max_incomplete_event_size=_LONGEST_HEAD,
        ssl_certfile=where.certificate,
        ssl_keyfile=where.key,
        ssl_keyfile_password=_UNASKED,
    )
    try:
        config.load()
    except OSError as error:  # ssl's errors are OSErrors
        raise Unconfigured(
            f"The certificate {where.certificate} or its key cannot be used: {error.strerror or error}.",
            "Give PEM files: the certificate with its chain, and its private key without a password.",
            code="NO_CERTIFICATE",
        ) from None
    return config


def most_open() -> int:
    """Let this process open as many files as it may, and return for how many connections they do.

    That is a quarter of them: the connections that are just being accepted take some, and so does what they ask for.
    """
    try:
        import resource  # noqa: PLC0415 - Windows has no such limit
    except ImportError:
        return MOST_OPEN
    files, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems say that there is no limit, and have one
        wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(files, wanted), most))
        files = max(files, wanted)
    return min(MOST_OPEN, files // 4)


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it has begun; signals are ours."""

    def __init__(self, config: uvicorn.Config, began: Callable[[], None]) -> None:
        super().__init__(config)
        self.servers = []
        self._began = began

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._began()

    def stop_listening(self) -> None:
        """Take no more connections, however it ended: uvicorn leaves that out where it is cancelled.

        The event loop would take the next socket of the same number for this one, and never hear of its clients.
        """
        for one in self.servers:
            one.close()


class PatientProtocol(H11Protocol):
    """A connection that ends where nobody asks, and where nobody reads."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type] # as uvicorn gives them
        self.waits_for_head: asyncio.TimerHandle | None = None
        self.waits_for_reader: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own way
        super().connection_made(transport)
        if len(self.connections) >= (self.limit_concurrency or MOST_OPEN):
            self._end_idle()
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.waits_for_reader is None:
            self.waits_for_reader = self.loop.call_later(READ_SECONDS, self.transport.abort)
        self._end_slow()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.waits_for_reader is not None:
            self.waits_for_reader.cancel()
            self.waits_for_reader = None

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self.waits_for_head, self.waits_for_reader):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _end_idle(self) -> None:
        """Make room: end the connection that has waited for a request for longest."""
        idle = [
            (one.waits_for_head.when(), one)
            for one in self._others()
            if one.waits_for_head is not None and one.waits_for_reader is None and not one.transport.is_closing()
        ]
        if idle:
            min(idle, key=itemgetter(0))[1].transport.abort()

    def _end_slow(self) -> None:
        """End other connections, where all together leave too much unread: the one that has not read for longest first.

        An answer is written whole, and held until it was read: in a few seconds many clients can ask for many.
        """
        slow = [(one.waits_for_reader.when(), one) for one in self._others() if one.waits_for_reader is not None]
        unread = sum(one.transport.get_write_buffer_size() for one in (self, *(one for _, one in slow)))
        for _, one in sorted(slow, key=itemgetter(0)):
            if unread <= MOST_UNREAD:
                break
            unread -= one.transport.get_write_buffer_size()
            one.transport.abort()

    def _others(self) -> Iterator[PatientProtocol]:
        """Give the other connections of this server."""
        return (one for one in self.connections if isinstance(one, PatientProtocol) and one is not self)

    def _should_upgrade(self) -> bool:
        """Answer a request for another protocol as if it were none (RFC 9110 §7.8); uvicorn logs advice at each."""
        return False

    def _watch_head(self) -> None:
        """Wait for the head of a request, unless one is being answered; what has come of it does not prolong that."""
        cycle: RequestResponseCycle | None = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering and self.waits_for_head is not None:
            self.waits_for_head.cancel()
            self.waits_for_head = None
        elif not is_answering and self.waits_for_head is None:
            self.waits_for_head = self.loop.call_later(HEAD_SECONDS, self.transport.close)


@contextmanager
def _asked_to_end(end: Callable[[], None]) -> Iterator[None]:
    """Call `end` for Ctrl-C and SIGTERM in the block; Ctrl-C pressed again is what it was before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)

    def press(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        end()

    terminated = signal.signal(signal.SIGTERM, lambda *_: end())
    try:
        with pressing(press):
            yield
    finally:
        signal.signal(signal.SIGTERM, terminated)

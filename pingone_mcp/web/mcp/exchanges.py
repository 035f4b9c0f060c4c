"""The HTTP requests that are being answered: calls, which end by themselves, and streams, which last until ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio
from starlette.types import Message, Send


class HttpReply:
    """What is sent to one client, and what is known of it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_whole = False
        self.status: int | None = None
        self.session: str | None = None
        """The id of the session that the answer is part of."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.session = dict(message["headers"]).get(b"mcp-session-id", b"").decode("latin-1") or None
        await self._send(message)
        self._is_whole = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def end(self) -> None:
        """End a stream in good order."""
        if not self._is_whole:
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})


class Exchanges:
    """The requests to one connection that are being answered now."""

    def __init__(self) -> None:
        self._streams: set[anyio.CancelScope] = set()
        self._calls = 0
        self._no_calls = anyio.Event()
        self._no_calls.set()

    def __bool__(self) -> bool:
        return bool(self._calls or self._streams)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count a request that ends by itself."""
        self._calls += 1
        if self._no_calls.is_set():
            self._no_calls = anyio.Event()
        try:
            yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._no_calls.set()

    @contextmanager
    def stream(self) -> Iterator[anyio.CancelScope]:
        """Count a request that lasts until `end_streams`, or until its client leaves."""
        with anyio.CancelScope() as scope:
            self._streams.add(scope)
            try:
                yield scope
            finally:
                self._streams.discard(scope)

    def end_streams(self) -> None:
        for scope in self._streams:
            scope.cancel()

    async def calls_ended(self) -> None:
        """Wait until nothing runs but streams."""
        await self._no_calls.wait()

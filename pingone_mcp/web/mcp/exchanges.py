"""The HTTP requests that are being answered: calls, which end by themselves, and streams, which last until ended."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import anyio
from starlette.types import Message, Receive, Send

Ending = Literal["left", "refused", "stopping"]
"""Why a request is answered no further: its client has left, may not have the answer any more, or the process ends."""


class HttpReply:
    """What is sent to one client, and what is known of it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.is_whole = False
        self.status: int | None = None
        self.session: str | None = None
        """The id of the session that the answer is part of."""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.session = dict(message["headers"]).get(b"mcp-session-id", b"").decode("latin-1") or None
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        self.is_whole = self.is_whole or is_last
        await self._send(message)

    async def end(self) -> None:
        """End a stream in good order."""
        if not self.is_whole:
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})


class Exchange:
    """One request while it is answered; `lasts` says that its answer goes on until it is ended.

    `may_go_on` finds out whether its caller, `principal`, may still have it.
    """

    def __init__(
        self,
        principal: str,
        receive: Receive,
        reply: HttpReply,
        may_go_on: Callable[[], Awaitable[bool]],
        *,
        lasts: bool,
    ) -> None:
        self.principal = principal
        self.may_go_on = may_go_on
        self.lasts = lasts
        self.reply = reply
        self.ending: Ending | None = None
        self.scope = anyio.CancelScope()
        self._receive = receive
        self._body: Message | None = None
        self._left = anyio.Event()

    def end(self, ending: Ending) -> None:
        """Answer no further. Of two reasons the first counts."""
        self.ending = self.ending or ending
        self.scope.cancel()

    async def read(self) -> None:
        """Take the body, which comes whole."""
        self._body = await self._receive()

    async def receive(self) -> Message:
        """Give the body, and after it nothing but that the client has left (ASGI's `receive`)."""
        if self._body is not None:
            body, self._body = self._body, None
            return body
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def until_left(self) -> None:
        """Watch the connection, and end when the client leaves before it has the whole answer."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left.set()
        if not self.reply.is_whole:
            self.end("left")


class Exchanges:
    """The requests to one connection that are being answered now."""

    def __init__(self) -> None:
        self._open: set[Exchange] = set()
        self._calls = 0
        self._no_calls = anyio.Event()
        self._no_calls.set()

    def __iter__(self) -> Iterator[Exchange]:
        return iter(tuple(self._open))

    def __bool__(self) -> bool:
        return bool(self._open)

    def of(self, principal: str) -> int:
        """Count those of one caller."""
        return sum(exchange.principal == principal for exchange in self._open)

    @contextmanager
    def held(self, exchange: Exchange) -> Iterator[None]:
        """Count a request, which ends with the block, or with `Exchange.end` before."""
        self._open.add(exchange)
        if not exchange.lasts:
            self._began()
        try:
            with exchange.scope:
                yield
        finally:
            self._open.discard(exchange)
            if not exchange.lasts:
                self._ended()

    def end_streams(self) -> None:
        for exchange in self:
            if exchange.lasts:
                exchange.end("stopping")

    async def calls_ended(self) -> None:
        """Wait until nothing runs but streams."""
        await self._no_calls.wait()

    def _began(self) -> None:
        self._calls += 1
        if self._no_calls.is_set():
            self._no_calls = anyio.Event()

    def _ended(self) -> None:
        self._calls -= 1
        if not self._calls:
            self._no_calls.set()

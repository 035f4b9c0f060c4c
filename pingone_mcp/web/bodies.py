"""Bodies of requests, received whole before anything reads them: within a size, a time, and a size of all together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from pingone_mcp.clock import Clock
from pingone_mcp.errors import Refused
from pingone_mcp.web.rates import PER_SECONDS
from pingone_mcp.web.refusals import TurnedAway

MOST_BYTES = 4 * 1024 * 1024
MOST_HOOK_BYTES = 8 * 1024 * 1024
_MOST_AT_ONCE = 64 * 1024 * 1024  # bytes of all bodies that are being received
_SECONDS = 30  # for a whole body
_MOST_UNREAD = 64 * 1024 * 1024  # bytes of a refused body that are let pass: its sender comes to read the answer
_UNREAD_SECONDS = 5
_CLOSE = {"Connection": "close"}  # what is left of the body is not waited for
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


class CallerLeft(Exception):
    """The connection ended before the body did: there is nobody to answer."""


@dataclass(slots=True)
class Body:
    """A body that was received whole, or an empty one in the place of what is not wanted."""

    content: bytes
    _receive: Receive
    _taken: Callable[[], None] = lambda: None
    _is_taken: bool = False

    async def receive(self) -> Message:
        """Give it to an application as one message, and after it what the connection says (ASGI's `receive`)."""
        if self._is_taken:
            return await self._receive()
        self._is_taken = True
        content, self.content = self.content, b""
        self._taken()
        return {"type": "http.request", "body": content, "more_body": False}


@dataclass(slots=True)
class _Share:
    """What one request has of the bytes that may be held."""

    bodies: Bodies
    content: bytearray = field(default_factory=bytearray)
    held: int = 0

    def add(self, part: bytes) -> None:
        """Raise TurnedAway (503) where there is no room for more."""
        if self.bodies.held + len(part) > self.bodies.most_at_once:
            busy = Refused("Too many large bodies are being received.", "Send it again in a little while.")
            raise TurnedAway(HTTPStatus.SERVICE_UNAVAILABLE, busy, {**_CLOSE, "Retry-After": str(PER_SECONDS)})
        self.content += part
        self.held += len(part)
        self.bodies.held += len(part)

    def give_back(self) -> None:
        self.bodies.held -= self.held
        self.held = 0


@dataclass(slots=True)
class Bodies:
    """Receives bodies, and holds no more than `most_at_once` bytes of all of them, until applications have them."""

    clock: Clock
    most_at_once: int = _MOST_AT_ONCE
    held: int = 0

    @asynccontextmanager
    async def received(self, scope: Scope, receive: Receive, most: int) -> AsyncIterator[Body]:
        """Give a whole body of at most so many bytes, for which its sender has 30 seconds.

        Raises TurnedAway (413, 408, 503), and CallerLeft.
        """
        share = _Share(self)
        try:
            await self._read(scope, receive, most, share)
            yield Body(bytes(share.content), receive, share.give_back)
        finally:
            share.give_back()

    async def _read(self, scope: Scope, receive: Receive, most: int, share: _Share) -> None:
        headers = Headers(scope=scope)
        more = scope["method"] not in _BODILESS or _has_body(headers)
        if more and _declared(headers) > most:
            if "expect" not in headers:  # who expects an answer first sends nothing before it (RFC 9110 §10.1.1)
                await self._let_pass(receive)
            raise _too_long(most)
        with self.clock.within(_SECONDS) as time:
            while more:
                part, more = await _next(receive)
                if len(share.content) + len(part) > most:
                    share.give_back()
                    if more:
                        await self._let_pass(receive)
                    raise _too_long(most)
                share.add(part)
        if time.cancelled_caught:
            slow = Refused(f"The body did not come within {_SECONDS} seconds.", "Send it faster, or a shorter one.")
            raise TurnedAway(HTTPStatus.REQUEST_TIMEOUT, slow, _CLOSE)

    async def _let_pass(self, receive: Receive) -> None:
        """Let the rest of a body that is refused go by, within bounds.

        Many clients read no answer before they have sent everything, and a connection that was closed under them is
        all they would hear of.
        """
        unread, more = 0, True
        with self.clock.within(_UNREAD_SECONDS):
            while more and unread < _MOST_UNREAD:
                part, more = await _next(receive)
                unread += len(part)


async def _next(receive: Receive) -> tuple[bytes, bool]:
    """Return the next part of a body, and whether more follow. Raises CallerLeft."""
    message = await receive()
    if message["type"] != "http.request":
        raise CallerLeft
    return message.get("body", b""), message.get("more_body", False)


def _too_long(most: int) -> TurnedAway:
    refused = Refused(f"The body is longer than {most // (1024 * 1024)} MiB.", "Send less at once.", code="TOO_LARGE")
    return TurnedAway(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, refused, _CLOSE)


def _declared(headers: Headers) -> int:
    """Return how long a body says that it is; 0 where it does not. Raises TurnedAway for what is no number."""
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise TurnedAway(HTTPStatus.BAD_REQUEST, Refused("The header Content-Length is no number."), _CLOSE)
    return int(length)


def _has_body(headers: Headers) -> bool:
    """Say whether a request has a body (RFC 9112 §6.3)."""
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers

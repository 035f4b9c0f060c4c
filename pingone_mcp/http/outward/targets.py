"""Requests to the programs of others, whose addresses somebody has typed in: to no other machine than meant.

Events are sent to them, and lists are read from them. A name is looked up once for each connection, all addresses that
it leads to are checked, and one of these is connected to; the certificate has to be one for the name. A name that leads
elsewhere a moment later leads nowhere. No redirect is followed, and no proxy is asked. Of the answer to an event only
its status and `Retry-After` count.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import httpx

from pingone_mcp.clock import Clock
from pingone_mcp.errors import AnswerTooLarge, Problem, Refused, UnexpectedAnswer, Unreachable
from pingone_mcp.http.body import PACKED, is_too_large
from pingone_mcp.http.failures import NotAllowed, what_happened
from pingone_mcp.http.transport import exchange, parse_http_date, retry_after
from pingone_mcp.settings.targets import TargetRules, is_address

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

    from pingone_mcp.http.engine import Engine

SECONDS = 10.0
"""From the first look at a name to the status of the answer."""
MOST = 1024
"""Bytes of an answer's body that are read, so that its connection can be used again; one that is longer ends it."""
READING_SECONDS = 30.0
"""From the first look at a name to the last byte of what is read."""
LARGEST = 16 * 1024 * 1024
"""Bytes of what is read at once, unpacked."""
LONGEST_QUERY = 6_000
"""Characters of the query of what is read: servers take some 8,000 in the whole line."""


class _Advice(NamedTuple):
    """What to do where nothing came back, and where nothing may be asked."""

    failed: str
    refused: str


_OF_EVENTS = _Advice("It is tried again.", "Give another `target_url`.")
_OF_LISTS = _Advice("Try again. If it stays so, check the address and the network.", "Give another address.")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a target has answered: a status, and after how many seconds it wants to be asked again."""

    status: int
    retry_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was read: a status, the body, whole and unpacked, and what the server says of time (seconds, wall clock).

    Of the body of a refusal it may be the beginning only.
    """

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None
    date: float | None


class Targets:
    """Send bodies to targets that `rules` allow, and read from them. Use it in one event loop, and close it.

    `resolver` says where names lead to; without one, the system does.
    """

    def __init__(
        self, rules: TargetRules, trusted: ssl.SSLContext, clock: Clock, resolver: AbstractResolver | None = None
    ) -> None:
        self._rules, self._trusted, self._resolver = rules, trusted, resolver
        self._clock = clock
        self._engine: Engine | None = None

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Receipt:
        """Send a body once. Raises Refused where it may not be sent there, and Unreachable where no answer came."""
        request = httpx.Request("POST", self._allowed(url, _OF_EVENTS), content=body, headers=headers)
        failure: Exception | None = None
        receipt: Receipt | None = None
        with self._clock.within(SECONDS):
            request.extensions = {"timeout": {"connect": SECONDS}}
            try:
                response = await self._opened().handle_async_request(request)
                receipt = Receipt(response.status_code, retry_after(response.headers, self._clock.wall()))
                await _drain(response)
            except httpx.TransportError as error:
                failure = error
        if receipt is not None:
            return receipt
        raise _why(_host(request.url), failure or httpx.ReadTimeout("no answer"), _OF_EVENTS)

    async def get(self, url: str, query: str, headers: dict[str, str], *, most: int = LARGEST) -> Fetched:
        """Read what is at a URL without a query of its own, once, up to `most` bytes.

        Raises Refused where nothing may be asked, Unreachable where no whole answer came, and UnexpectedAnswer for one
        that is packed wrongly, AnswerTooLarge for one that has more bytes.
        """
        allowed = self._allowed(url, _OF_LISTS)
        if len(query) > LONGEST_QUERY:
            raise Refused("A page of the list has a longer name than servers take.", code="QUERY_TOO_LONG")
        target = allowed.copy_with(query=query.encode()) if query else allowed
        request = httpx.Request("GET", target, headers={**headers, "Accept-Encoding": PACKED})
        try:
            response = await exchange(self._opened(), request, READING_SECONDS, most, self._clock)
        except httpx.TransportError as error:
            raise _why(_host(allowed), error, _OF_LISTS) from None
        except httpx.DecodingError:
            raise UnexpectedAnswer(f"The answer of {_host(allowed)} cannot be unpacked.", _OF_LISTS.failed) from None
        if is_too_large(response):
            raise AnswerTooLarge(
                f"The answer of {_host(allowed)} has more than {most // 1024 // 1024} MiB.",
                "Nothing of it was read. Let the server put less into one answer.",
            )
        return Fetched(
            status=response.status_code,
            body=response.content,
            retry_after=retry_after(response.headers, self._clock.wall()),
            date=parse_http_date(response.headers.get("date")),
        )

    def _allowed(self, url: str, advice: _Advice) -> httpx.URL:
        """Return a URL that may be asked, as far as it says itself where it leads. Raises Refused."""
        if not self._rules.allow_url(url):
            raise _refused(advice)
        target = httpx.URL(url)
        host = _host(target)
        if is_address(host) and not self._rules.allow_address(host, host):
            raise _refused(advice)  # what is no name is not looked up
        return target

    def _opened(self) -> Engine:
        if self._engine is None:
            # Start-up: most commands send nothing there.
            from pingone_mcp.http.engine import Engine  # noqa: PLC0415
            from pingone_mcp.http.outward.lookups import CheckedNames, NamesOfTheSystem  # noqa: PLC0415

            names = CheckedNames(self._rules, self._resolver or NamesOfTheSystem(self._clock))
            self._engine = Engine(self._trusted, names)
        return self._engine

    async def aclose(self) -> None:
        if self._engine is not None:
            await self._engine.aclose()


async def _drain(response: httpx.Response) -> None:
    """Read a short body to its end, and end the connection of a long one. What is wrong with it does not matter."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    size = 0
    try:
        with suppress(httpx.TransportError):
            async for chunk in response.stream:
                size += len(chunk)
                if size > MOST:
                    break
    finally:
        await response.aclose()


def _host(url: httpx.URL) -> str:
    return url.raw_host.decode().strip("[]")


def _why(host: str, failure: Exception, advice: _Advice) -> Problem:
    seen: BaseException | None = failure
    while seen is not None:
        if isinstance(seen, NotAllowed):
            return _refused(advice)
        seen = seen.__cause__ or seen.__context__
    return Unreachable(what_happened(host, failure), advice.failed)


def _refused(advice: _Advice) -> Refused:
    return Refused(
        "The target is no public address, or leads to none.",
        advice.refused,
        code="TARGET_REFUSED",
    )

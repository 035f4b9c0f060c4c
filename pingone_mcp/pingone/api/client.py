"""Requests to one PingOne connection: authorised, patient, and read as JSON objects and HAL pages."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, TypeVarTuple
from urllib.parse import quote, urlencode

import anyio
import httpx
from anyio.abc import TaskGroup

from pingone_mcp import __version__
from pingone_mcp.advice import setting
from pingone_mcp.clock import Clock
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.paging.position import NOTHING_COUNTED, Counted
from pingone_mcp.directory.text import json_text
from pingone_mcp.errors import AnswerTooLarge, NotAuthenticated, UnexpectedAnswer
from pingone_mcp.http.body import PACKED, is_too_large
from pingone_mcp.http.links import next_link
from pingone_mcp.http.pacing import Lanes
from pingone_mcp.http.routes import Routes
from pingone_mcp.http.server_time import ServerTime
from pingone_mcp.http.transport import MOST, SAFE_METHODS, PatientTransport
from pingone_mcp.pingone.api.answers import (
    correlation_id,
    is_cut_short,
    is_read,
    json_object,
    list_of,
    not_unpacked,
    repeated_link,
    too_large,
)
from pingone_mcp.pingone.api.auth import ClientCredentials
from pingone_mcp.pingone.api.hal import HalPage, list_body, plain_list_body
from pingone_mcp.pingone.api.upstream import PAGE, PINGONE, SINGLE
from pingone_mcp.pingone.connection import Connection
from pingone_mcp.tasks import background, in_thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Seconds that a page of a walk, whose work takes as long, leaves the event loop to a question that is under way.
ASIDE = 0.001
# Bytes of a body from which on it is read beside the event loop: a hundredth of a second.
_LARGE = 256 * 1024
# The list whose items become structs; those of others are read as JSON objects as soon as they come.
_TYPED = "users"
# More than any page that PingOne documents; its largest are environments, 5,000 (PingOne, "Read All Environments").
MOST_ITEMS = 5_000
_LIMIT = re.compile(r"(?<=[?&]limit=)\d{1,9}(?!\d)")
# Enough for one wrong Date among those that show our own clock to be wrong.
_TIMES_ASKED = 5
_HEADERS = {
    "Accept": "application/json",
    "User-Agent": f"pingone-mcp/{__version__}",
    "Accept-Encoding": PACKED,
}
_AUDIT_HEADERS = ("X-Ping-External-Session-ID", "X-Ping-External-Transaction-ID")


@asynccontextmanager
async def open_client(
    connection: Connection, *, transport: httpx.AsyncBaseTransport | None = None, clock: Clock | None = None
) -> AsyncIterator[Client]:
    """Open a connection; what goes on behind it ends with it. Nothing is sent before the first request.

    `transport` is how bytes travel, closed at the end; the sandbox and the tests bring their own.
    """
    proxies = {connection.api_base: connection.proxies.api, connection.token_url: connection.proxies.auth}
    async with Routes(proxies, transport) as inner, background() as tasks:
        yield Client(connection, inner, tasks, clock or Clock())


class Client:
    """Send requests to PingOne with the connection's token, to its API base and nowhere else.

    `tasks` is where what several callers wait for is done, such as fetching a token.
    """

    def __init__(self, connection: Connection, inner: httpx.AsyncBaseTransport, tasks: TaskGroup, clock: Clock) -> None:
        lanes = Lanes(
            PINGONE, clock, most=connection.pace.concurrency, most_per_second=connection.pace.requests_per_second
        )
        self.connection = connection
        self.tasks = tasks
        self._clock = clock
        self._session = str(uuid.uuid4())
        self._server_time = ServerTime(clock)
        self._background_turn = anyio.Lock()
        self._questions = 0  # their requests that are under way
        self._refused: Callable[[], None] = _unheard
        self._credentials = ClientCredentials(connection, inner, tasks, clock=clock)
        self._transport = PatientTransport(
            inner,
            PINGONE,
            budget=connection.pace.retry_seconds,
            attempt_seconds=connection.pace.request_seconds,
            lanes=lanes,
            clock=clock,
        )

    def on_refusal(self, heard: Callable[[], None]) -> None:
        """Call `heard` from now on for each request that the credentials, or a token of theirs, were not enough for."""
        self._refused = heard

    async def authenticate(self) -> None:
        """Make sure that there is a token. Raises UpstreamProblem when the credentials are not accepted."""
        await self._credentials.token()

    def server_now(self) -> float | None:
        """Return PingOne's wall-clock seconds, by the Dates of its answers; None before the first one."""
        return self._server_time.now()

    async def settle_server_time(self) -> None:
        """Ask PingOne, whatever it answers, until its Dates agree with our clock or with each other, if they ever do.

        Raises UpstreamProblem.
        """
        for _ in range(_TIMES_ASKED):
            if self._server_time.is_settled:
                return
            await self.send(
                "GET", f"{self.connection.api_base}/environments/{self.connection.credentials.environment_id}"
            )

    @asynccontextmanager
    async def in_background(self) -> AsyncIterator[None]:
        """Give the event loop to all others first: for what a walk does with its pages, one after the other.

        A question takes a dozen turns of the loop; without a moment in between there would be a page in each of them.
        """
        async with self._background_turn:
            if self._questions:
                await self._clock.sleep(ASIDE)
            yield

    async def get(self, path: str, *, background: bool = False, most: int = SINGLE) -> JsonObject:
        """Return the JSON object at a path below the API base. Raises UpstreamProblem."""
        return json_object(await self.send("GET", self.connection.api_base + path, background=background, most=most))

    async def page(self, path: str, key: str, *, environment: str | None, background: bool = False) -> HalPage:
        """Return the page at a path (or followed link) below the API base, its items under `_embedded.{key}`.

        `background` lets other requests go first. A page that is too large is asked for again with fewer items, as
        often as its path has a `limit` to lower; so are those behind it then, by its `next` link.
        Raises UnexpectedAnswer for a body that is no such page, and for a `next` link that leads elsewhere.
        """
        try:
            return await self._page(path, key, environment=environment, background=background)
        except AnswerTooLarge:
            if (fewer := _with_fewer(path)) is None:
                raise
        return await self.page(fewer, key, environment=environment, background=background)

    async def _page(self, path: str, key: str, *, environment: str | None, background: bool) -> HalPage:
        response = await self.send(
            "GET",
            self.connection.api_base + path,
            background=background,
            most=PAGE,
            read=partial(list_body, key=key),
            quickly=partial(plain_list_body, key=key),
        )
        body = list_of(response, key)
        if body.items is None:
            raise UnexpectedAnswer(
                f"PingOne's answer is not the list of {key} that it should be.",
                f"Check {setting('api_url')} and any proxy in between, then try again.",
                code="UNREADABLE_ANSWER",
            )
        if len(body.items) > MOST_ITEMS:
            raise too_large(f"{MOST_ITEMS:,} items")
        page = HalPage(raws=body.items, next=self.link(body.href, environment), count=body.total)
        if key != _TYPED:
            async with self.in_background() if background else nullcontext():
                await beside(len(response.content), lambda: page.items)
        return page

    def link(self, href: object, environment: str | None) -> str | None:
        """Return where a list goes on, as path and query below the API base. Raises UnexpectedAnswer for elsewhere."""
        below = f"/environments/{environment}/" if environment else "/"
        return None if href is None else next_link(PINGONE, href, self.connection.api_base, below)

    async def page_behind(self, counted: Counted, path: str, key: str, *, environment: str | None) -> HalPage:
        """Return the page behind what was counted before; it is asked for twice where it ends the list too early.

        A link that was lost once is there the second time.
        """
        page = await self.page(path, key, environment=environment)
        if page.next is None and counted.behind(len(page.raws), page.count).missing:
            page = await self.page(path, key, environment=environment)
        return page

    async def pages(self, path: str, key: str, *, environment: str | None) -> AsyncIterator[HalPage]:
        """Follow `next` from a path on. Raises UnexpectedAnswer when a link comes twice.

        The last page says how many are missing by the server's count.
        """
        seen = {path}
        following: str | None = path
        counted = NOTHING_COUNTED
        while following is not None:
            page = await self.page_behind(counted, following, key, environment=environment)
            counted = counted.behind(len(page.raws), page.count)
            is_short = page.next is None and counted.missing
            yield replace(page, missing=counted.missing) if is_short else page
            following = page.next
            if following in seen:
                raise repeated_link()
            seen.add(following or "")

    async def send(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        background: bool = False,
        most: int = SINGLE,
        read: Callable[[bytes], Any] = json_text.loads,
        quickly: Callable[[bytes], Any] | None = None,
    ) -> httpx.Response:
        """Send one request and return the answer, whatever its status. `headers` are added.

        JSON that is cut short counts as no answer, and is asked for again where that is harmless. `read` reads it, and
        raises ValueError as `json_text.loads` does; `quickly`, before that and in the event loop, what is as documented
        (None: it is not). A body of more than `most` bytes raises AnswerTooLarge; after a write, the answer has none
        and `is_too_large`.
        The two audit headers let PingOne's audit be matched with this process and this request (PingOne,
        "External transaction IDs").
        """

        async def is_broken(response: httpx.Response) -> bool:
            await response.aread()
            async with self.in_background() if background else nullcontext():
                if quickly is not None and is_read(response, quickly):
                    return False
                return await beside(len(response.content), is_cut_short, response, read)

        tracing = dict(zip(_AUDIT_HEADERS, (self._session, str(uuid.uuid4())), strict=True))
        request = httpx.Request(
            method,
            url,
            content=content,
            headers={**_HEADERS, **(headers or {}), **tracing},
            extensions={"is_broken": is_broken, MOST: most} | ({"background": True} if background else {}),
        )
        self._questions += not background
        try:
            response = await self._authorized(request)
        except httpx.DecodingError:
            raise not_unpacked() from None
        except NotAuthenticated:
            self._refused()
            raise
        finally:
            if not background:
                self._questions -= 1
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._refused()
        self._server_time.hear(response.headers.get("date"))
        # Answer and stream refer to each other: without this a page stays in memory until garbage is looked for.
        response.stream = httpx.ByteStream(b"")
        if is_too_large(response) and method in SAFE_METHODS:
            raise too_large(size(most), correlation_id(response))
        return response

    async def _authorized(self, request: httpx.Request) -> httpx.Response:
        """Send a request with a token; once more with a new one where the first is refused.

        So does httpx.AsyncClient, which costs as much besides as the whole way of a small answer: it has cookies,
        redirections, hooks and logs.
        """
        async with aclosing(self._credentials.async_auth_flow(request)) as flow:
            sent = await anext(flow)
            while True:
                response = await self._transport.handle_async_request(sent)
                response.request = sent
                try:
                    sent = await flow.asend(response)
                except StopAsyncIteration:
                    return response


async def beside(size: int, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Return what `work` returns; beside the event loop where it is about so many bytes that others would wait."""
    return await in_thread(work, *arguments, pool="answers") if size > _LARGE else work(*arguments)


def size(most: int) -> str:
    return f"{most / 1024 / 1024:g} MiB"


def _with_fewer(path: str) -> str | None:
    """Return the path of a list with a quarter of its `limit`, or None where it has none, or one of 1."""
    found = _LIMIT.search(path)
    if found is None or (limit := int(found[0])) <= 1:
        return None
    return f"{path[: found.start()]}{limit // 4 or 1}{path[found.end() :]}"


def collection(body: JsonObject) -> tuple[str, list[JsonObject]] | None:
    """Return the key and the items of a HAL collection, or None if the body is a single resource."""
    embedded: Any = body.get("_embedded")
    if "id" in body or not isinstance(embedded, dict) or len(embedded) != 1:
        return None
    key, items = next(iter(embedded.items()))
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return None
    return key, items


def path_with(path: str, params: Mapping[str, str | int | list[str] | None]) -> str:
    """Return a path with its query, percent-encoded (RFC 3986), without the parameters that are None.

    A list gives its name once per value.
    """
    return path + _query({name: value for name, value in params.items() if value is not None})


def _query(params: Mapping[str, str | int | list[str]] | None) -> str:
    return "?" + urlencode(params, doseq=True, safe="", quote_via=quote) if params else ""


def _unheard() -> None:
    """Hear nothing: nobody wants to know of refusals."""

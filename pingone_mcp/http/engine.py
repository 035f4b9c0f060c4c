"""How bytes travel: HTTP/1.1 by aiohttp, whose parser is C, behind the types and the failures of httpx.

A request through httpcore and h11 costs several times the processor time, and a sync is bound by that. Nothing of
aiohttp's own is used but connections and parsing: no redirects, cookies, unpacking, environment or second attempts.
"""

from __future__ import annotations

import base64
import math
import ssl
from typing import TypedDict

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from yarl import URL

from pingone_mcp.http.connections import ConnectionPool
from pingone_mcp.http.upstream import PROXY

# As much as httpcore reads of a head.
_LARGEST_HEAD = 100 * 1024
# What has a body says its kind itself; aiohttp would add one to a POST without a body, too.
_UNSAID = ("Content-Type",)


class Engine(httpx.AsyncBaseTransport):
    """Send requests over connections that are kept open, each through the proxy that its extension `PROXY` names.

    There may be as many connections as requests under way. Of the timeouts of a request only `connect` counts: whoever
    sends it bounds the whole. Raises httpx.ConnectError, ConnectTimeout or ProxyError when there is no connection, and
    ReadError or RemoteProtocolError when it breaks, caused by what happened. Use it in one event loop. `resolver` says
    where names lead to; without one, the system does.
    """

    def __init__(self, trusted: ssl.SSLContext, resolver: AbstractResolver | None = None) -> None:
        self._trusted = trusted
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the head of its answer; the body is read from it, and then it is closed."""
        connect: float | None = request.extensions.get("timeout", {}).get("connect")
        answer = await self._opened().request(
            request.method,
            URL(str(request.url), encoded=True),
            data=request.content or None,
            headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
            skip_auto_headers=_UNSAID if request.method != "GET" else None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(connect=connect, ceil_threshold=math.inf),
            **_through(request.extensions.get(PROXY)),
        )
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=ConnectionPool(self._trusted, self._resolver),
                middlewares=(_once,),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_line_size=_LARGEST_HEAD,
                max_field_size=_LARGEST_HEAD,
            )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()


class _Way(TypedDict, total=False):
    """How aiohttp is shown a proxy."""

    proxy: str
    proxy_headers: dict[str, str]


def _through(url: str | None) -> _Way:
    """Return the way through a proxy, its login in UTF-8 (RFC 7617 §2.1); aiohttp's is Latin-1 and refuses others."""
    if url is None:
        return {}
    proxy = httpx.Proxy(url)
    if proxy.raw_auth is None:
        return {"proxy": str(proxy.url)}
    login = base64.b64encode(b":".join(proxy.raw_auth)).decode()
    return {"proxy": str(proxy.url), "proxy_headers": {"Proxy-Authorization": f"Basic {login}"}}


class _Body(httpx.AsyncByteStream):
    """The body of an answer, in pieces as large as they came."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    def __aiter__(self) -> _Body:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._answer.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            self._answer.close()
            raise _broken(error) from error
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        self._answer.close()  # a connection whose answer was read to its end has gone back already


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Send a request once: a failure of httpx is not one after which aiohttp sends it again, a write among them."""
    try:
        return await send(request)
    except aiohttp.ClientHttpProxyError as error:
        raise httpx.ProxyError(f"{error.status} {error.message}") from error
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx.ConnectTimeout("no connection") from error
    except aiohttp.ClientConnectorError as error:
        raise httpx.ConnectError(
            "no connection"
        ) from error.__cause__  # aiohttp's own is an ssl.SSLError without its code
    except (aiohttp.ClientError, OSError) as error:
        raise _broken(error) from error


def _broken(error: Exception) -> httpx.TransportError:
    return httpx.ReadError("broken") if isinstance(error, OSError) else httpx.RemoteProtocolError("broken")

"""Connections of aiohttp that are as strict as those of httpcore where aiohttp's own are not.

An idle one on which something has come is not used again: that would pass for the answer to the next request. And a
body ends with its connection: aiohttp waits on where a later chunk is none (its parser has let go of the body by then),
and takes a reset for the end of a body that says no length.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import partial

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler


class ConnectionPool(aiohttp.TCPConnector):
    """As many connections as are asked for, kept open; TLS trusts what `trusted` says. Make it in an event loop.

    `resolver` says where names lead to, anew for each connection; without one, the system does.
    """

    def __init__(self, trusted: ssl.SSLContext, resolver: AbstractResolver | None = None) -> None:
        trusted.set_alpn_protocols(["http/1.1"])  # aiohttp says it of contexts that it made itself
        is_own = resolver is None
        super().__init__(ssl=trusted, limit=0, resolver=resolver or aiohttp.ThreadedResolver(), use_dns_cache=is_own)
        handler: type[ResponseHandler] = _StrictHandler
        self._factory = partial(handler, loop=asyncio.get_running_loop())


class _StrictHandler(ResponseHandler):
    def is_connected(self) -> bool:
        """Say whether the connection may be used (again)."""
        return super().is_connected() and not self.should_close

    def connection_lost(self, exc: BaseException | None) -> None:
        body = self._payload
        if exc is not None:
            _break(body)
        super().connection_lost(exc)
        _break(body)  # one that is whole by now has ended, and stays so


def _break(body: aiohttp.StreamReader | None) -> None:
    if body is not None and not body.is_eof() and body.exception() is None:
        body.set_exception(aiohttp.ClientPayloadError("The connection was lost."))

"""A way to one SCIM server with a token of it, which goes to the host that it was given for and to no other."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from pingone_mcp import __version__
from pingone_mcp.errors import Refused
from pingone_mcp.scim.answers import GetJson, ScimAnswer
from pingone_mcp.tasks import in_thread

_TOKEN = re.compile(r"[!-~]+")
_LARGE = 64 * 1024  # bytes; decoding more holds up the others


class RawAnswer(Protocol):
    """An answer as it came, its body whole."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def retry_after(self) -> float | None: ...
    @property
    def date(self) -> float | None: ...


Fetch = Callable[[str, str, dict[str, str]], Awaitable[RawAnswer]]
"""Asks a URL with a query (encoded) and headers, once. Raises Problem."""


def bearer_get(fetch: Fetch, base_url: str, token: str | None) -> GetJson:
    """Return what asks the server of `base_url`, with its token where it has one.

    Raises Refused for a token that is none. What it returns raises Refused for a URL of another server, before anything
    is sent.
    """
    if token is not None and not _TOKEN.fullmatch(token):
        raise Refused("The token has characters that no token has.", "Copy it again.", code="SCIM_TOKEN")
    server = _server(base_url)
    headers = {
        "Accept": "application/scim+json, application/json;q=0.9",
        "User-Agent": f"pingone-mcp/{__version__}",
        **({} if token is None else {"Authorization": f"Bearer {token}"}),
    }

    async def get(url: str, params: Mapping[str, str]) -> ScimAnswer:
        if _server(url) != server:
            raise Refused(
                "The token is for another server.", "Ask the server that it was given for.", code="SCIM_ADDRESS"
            )
        answer = await fetch(url, urlencode(params, quote_via=quote, safe=""), dict(headers))
        body = answer.body
        return ScimAnswer(
            status=answer.status,
            document=await in_thread(_document, body, pool="answers") if len(body) > _LARGE else _document(body),
            size=len(body),
            retry_after=answer.retry_after,
            date=answer.date,
        )

    return get


def _server(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.lower()


def _document(body: bytes) -> object:
    """Return JSON, whatever its media type says; None for anything else."""
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None

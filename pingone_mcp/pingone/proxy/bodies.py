"""What PingOne's own API answered, as it is passed on: a list with its items, or a body, with secrets blanked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import httpx

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.text import json_text
from pingone_mcp.errors import UnexpectedAnswer
from pingone_mcp.http.body import is_too_large
from pingone_mcp.pingone.api.answers import correlation_id, json_value, too_large
from pingone_mcp.pingone.api.client import MOST_ITEMS, Client, collection, size
from pingone_mcp.pingone.api.hal import counted, next_href
from pingone_mcp.pingone.api.upstream import PAGE
from pingone_mcp.pingone.proxy.paths import ProxyPaths
from pingone_mcp.pingone.proxy.redaction import redacted, redacted_text

_TEXTS = frozenset({"application/xml", "application/yaml", "application/x-ndjson", "application/x-pem-file"})
_CHARSETS = frozenset(
    {"utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16", "utf-16le", "utf-16be"}
)
_ENVELOPE = frozenset({"_links", "_embedded", "count", "size"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBody:
    """A body as `ProxyAnswer` passes it on."""

    content_type: str
    page: Page[JsonObject] | None = None
    body: Any = None
    cut: bool = False


class BodyReader:
    """Read bodies; `paths` says where the next page of a list may lie."""

    def __init__(self, client: Client, paths: ProxyPaths) -> None:
        self._client = client
        self._paths = paths

    def read(self, response: httpx.Response, target: str, *, listed: bool) -> ReadBody:
        """Return what came for a path and query; `listed` says that it may be a page of a list.

        Raises AnswerTooLarge, and UnexpectedAnswer for what is neither JSON nor text, or not the JSON that it says.
        """
        if is_too_large(response):
            raise too_large(size(PAGE), correlation_id(response))
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if kind.endswith(("/json", "+json")):
            return self._read_json(response, kind, target, listed=listed)
        if not (kind.startswith("text/") or kind.endswith("+xml") or kind in _TEXTS):
            raise UnexpectedAnswer(
                "The answer is neither JSON nor text, so it is not shown.",
                "Ask for another path, or fetch it outside this server.",
                code="BINARY_BODY",
                correlation_id=correlation_id(response),
            )
        return ReadBody(content_type=kind, body=redacted_text(_text(response)))

    def _read_json(self, response: httpx.Response, kind: str, target: str, *, listed: bool) -> ReadBody:
        whole = _parsed(response)
        body = json_text.shallow(whole)
        cut = body is not whole
        if listed and (many := _listed(body)) is not None and len(many[0]) > MOST_ITEMS:
            raise too_large(f"{MOST_ITEMS:,} items", correlation_id(response))
        segments = target.partition("?")[0].strip("/").split("/")
        body = redacted(body, at=segments)
        found = _listed(body) if listed else None
        if found is None:
            return ReadBody(content_type=kind, body=body, cut=cut)
        items, around = found
        page = self._page(body, items, target, _environment(segments))
        return ReadBody(content_type=kind, page=page, body=around, cut=cut)

    def _page(self, body: Any, items: list[JsonObject], target: str, environment: str | None) -> Page[JsonObject]:
        around: JsonObject = body if isinstance(body, dict) else {}
        following = self._client.link(next_href(around), environment)
        if following is not None:  # the place of a link was checked; what may be read there is not the link's to say
            self._paths.url(following.partition("?")[0])
        native = tuple({key: value for key, value in item.items() if key != "_links"} for item in items)
        count = counted(around.get("count"))
        return Page(
            items=native,
            at=Position(after=target),
            next=Position(after=following) if following is not None else None,
            scanned=len(native),
            total=count,
            about=count,
        )


def _text(response: httpx.Response) -> str:
    """Return a text body as what it says it is written in, if that is one of a few.

    Python knows many more, among them some that unpack (zlib), that fail, or that take the square of the length
    (punycode).
    """
    named = (response.charset_encoding or "").lower()
    return response.content.decode(named if named in _CHARSETS else "utf-8", "replace")


def _parsed(response: httpx.Response) -> Any:
    """Return JSON data. Raises UnexpectedAnswer for what is not JSON."""
    try:
        return json_value(response)
    except ValueError:
        raise UnexpectedAnswer(
            "PingOne's answer is not the JSON that it says it is, or is nested too deeply to be read.",
            "Try again, or ask for a part of it.",
            code="UNREADABLE_ANSWER",
            correlation_id=correlation_id(response),
        ) from None


def _listed(body: Any) -> tuple[list[JsonObject], Any] | None:
    """Return the items of a list and what stands around them (None: nothing), or None for a single resource.

    Lists are HAL collections and bare arrays of objects. A page that embeds several lists has no items of its own:
    what stands around them is all of it.
    """
    if isinstance(body, list):
        return (body, None) if body and all(isinstance(item, dict) for item in body) else None
    if not isinstance(body, dict) or "id" in body:
        return None
    rest = {key: value for key, value in body.items() if key not in _ENVELOPE}
    if found := collection(body):
        return found[1], rest or None
    embedded = body.get("_embedded")
    counted = embedded is None and (body.get("count") == 0 or body.get("size") == 0)
    if embedded == {} or counted:
        return [], rest or None
    links = body.get("_links")
    return ([], body) if isinstance(embedded, dict) and isinstance(links, dict) and "next" in links else None


def _environment(segments: list[str]) -> str | None:
    return unquote(segments[1]) if segments[0] == "environments" and len(segments) > 1 else None

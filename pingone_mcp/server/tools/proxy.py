"""The tool that reads from the provider's own API; `writes.py` is the same tool where writes are allowed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import Field, TypeAdapter

from pingone_mcp.advice import variable
from pingone_mcp.directory.listing import Listing
from pingone_mcp.directory.models import JsonObject, Page
from pingone_mcp.directory.native import ProxyAnswer, ProxyQuestion
from pingone_mcp.directory.position import Position
from pingone_mcp.directory.rows import compact, fitted, is_truncated
from pingone_mcp.server.arguments import Cursor, Parameter, Query
from pingone_mcp.server.edge import AppContext, answer, backend_of, page_reporter
from pingone_mcp.server.strict import strict_tool
from pingone_mcp.service.answering import asked, collect, envelope
from pingone_mcp.service.writes import writes_off
from pingone_mcp.tasks import in_thread

_NARROWER = (
    "Ask for less: a longer path, `limit` or `filter` in query where the path takes them; or raise "
    f"{variable('answer_characters')}."
)
_TOO_DEEP = "Parts nested deeper than this server passes on are left out. Ask for one of them by a longer path."
_PROXY_QUESTION = TypeAdapter(ProxyQuestion)
_MOST_ITEMS = 5_000
_AROUND = 1_600  # the cursor, the counts, and what is said about a cut
_LEAST = 200


async def proxy_request(
    ctx: AppContext,
    *,
    path: Annotated[str, Field(min_length=1, description="Path below the API base, e.g. /environments/{id}/users.")],
    method: Literal["GET", "HEAD"] = "GET",
    query: Query = None,
    cursor: Cursor = None,
) -> CallToolResult:
    """Send one read request to the PingOne API as it is, for what the other tools do not cover.

    Answers {status, correlation_id} with result (a collection's native items without _links, and next_cursor for the
    next page) or body (a single resource verbatim). Secrets are blanked. describe_directory, topic api, lists paths.
    """
    backend = await backend_of(ctx)
    wanted = asked(backend, "proxy_request", {"method": method, "path": path, "query": parameters(query)}, cursor)
    question = _PROXY_QUESTION.validate_python(wanted.question)
    room = backend.answer_characters - _AROUND
    answers: list[ProxyAnswer] = []

    repeated: set[str] = set()

    async def read(at: Position | None) -> Page[JsonObject]:
        answers.append(await backend.native_api().send(question, at))
        page = answers[-1].page or Page(items=(), at=Position(), next=None, scanned=0)
        found = Counter(str(item.get("id")) for item in page.items)
        repeated.update(identity for identity, times in found.items() if times > 1)
        return page

    def identify(item: JsonObject, place: int) -> str:
        """Tell items apart by id; by their place too where a page repeats an id, or has none."""
        identity = str(item.get("id"))
        return f"{identity}#{place}" if identity in repeated or "id" not in item else identity

    listing = Listing(read=read, row=lambda item: item, identify=identify)
    gathered = await collect(backend, listing, wanted, limit=_MOST_ITEMS, report=page_reporter(ctx, "items"), pages=1)
    listed = envelope(backend, wanted, gathered, lacks=is_truncated)
    return answer(await in_thread(proxied, answers[0], listed, room, pool="answers"))


def proxied(sent: ProxyAnswer, listed: JsonObject, room: int) -> JsonObject:
    """Return the facts of a proxied answer: `listed` where it is a list, its body where it is not, or both."""
    facts: JsonObject = {"status": sent.status, "correlation_id": sent.correlation_id}
    if sent.page is not None and (sent.page.items or sent.body is None):
        facts = listed | facts
        room -= len(compact(listed["result"]))
    elif sent.page is not None:
        facts["next_cursor"] = listed["next_cursor"]
    if sent.content_type is not None and (sent.page is None or sent.body is not None):
        facts["body"], left_out = _bounded(sent.body, max(room, _LEAST))
        if left_out is not None:
            facts["truncated"] = left_out
    if sent.cut:
        facts["truncated"] = " ".join(filter(None, (facts.get("truncated"), _TOO_DEEP)))
    if isinstance(sent.body, str) and sent.content_type is not None and not sent.content_type.endswith("json"):
        facts["content_type"] = sent.content_type
    return facts


def parameters(query: Mapping[str, Parameter | list[Parameter]] | None) -> dict[str, str | list[str]]:
    """Return query parameters as the texts that are sent: true and false in small letters, a list as several."""
    return {
        name: [_text(item) for item in value] if isinstance(value, list) else _text(value)
        for name, value in (query or {}).items()
    }


def _text(value: Parameter) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _write_wanted(arguments: JsonObject) -> str | None:
    """Say of a write why it is none of the methods that are offered."""
    return str(writes_off()) if str(arguments.get("method")).upper() in ("POST", "PUT", "PATCH", "DELETE") else None


def _bounded(body: Any, characters: int) -> tuple[Any, str | None]:
    """Return a body within a size of compact JSON, and what was left out (None: nothing).

    Of an object the largest members give way, as its member `truncated` says; of an array or a text the end does.
    """
    size = len(compact(body))
    if size <= characters:
        return body, None
    if isinstance(body, dict):
        said = f"The body has {size:,} characters; its member `truncated` names what gave way. {_NARROWER}"
        return fitted(body, characters), said
    if isinstance(body, list):
        first = _first(body, characters)
        return first, f"The first {len(first):,} of {len(body):,} items. {_NARROWER}"
    text = body if isinstance(body, str) else compact(body)
    start = text[:characters]
    while (length := len(compact(start))) > characters:  # quotes and line breaks are written as two characters
        start = start[: min(len(start) - 1, len(start) * characters // length)]
    return start, f"The first {len(start):,} of {len(text):,} characters. {_NARROWER}"


def _first(items: list[Any], characters: int) -> list[Any]:
    """Return as many of the first items as fit, without the brackets."""
    room = characters - 2
    for count, item in enumerate(items):
        room -= len(compact(item)) + 1
        if room < 0:
            return items[:count]
    return items


def tools() -> list[Tool]:
    """Return the tool of this file."""
    return [strict_tool(proxy_request, title="Read from the PingOne API", explain=_write_wanted)]

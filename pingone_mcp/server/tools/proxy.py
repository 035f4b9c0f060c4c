"""The tool that reads from the provider's own API; `writes.py` is the same tool where writes are allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.advice import variable
from pingone_mcp.directory.models import JsonObject
from pingone_mcp.directory.native import ProxyAnswer
from pingone_mcp.directory.rows import compact, fitted
from pingone_mcp.server.arguments import Cursor, Parameter, Query
from pingone_mcp.server.edge import AppContext, answer, backend_of, page_reporter
from pingone_mcp.server.strict import StrictTool, strict_tool
from pingone_mcp.service.asking.native import read_native
from pingone_mcp.service.writes import writes_off
from pingone_mcp.tasks import in_thread

_NARROWER = (
    "Ask for less: a longer path, `limit` or `filter` in query where the path takes them; or raise "
    f"{variable('answer_characters')}."
)
_TOO_DEEP = "Parts nested deeper than this server passes on are left out. Ask for one of them by a longer path."
PLACE = 130
"""Where it stands in the list of tools, with writes or without."""
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
    found = await read_native(
        backend,
        method=method,
        path=path,
        query=parameters(query),
        cursor=cursor,
        report=page_reporter(ctx, "items"),
    )
    room = backend.answer_characters - _AROUND
    return answer(await in_thread(proxied, found.answer, found.listed.to_json(), room, pool="answers"))


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


def tools() -> list[StrictTool]:
    """Return the tool of this file."""
    return [strict_tool(proxy_request, place=PLACE, title="Read from the PingOne API", explain=_write_wanted)]

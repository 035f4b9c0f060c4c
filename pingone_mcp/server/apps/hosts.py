"""Clients that show MCP Apps, called hosts, and what only they are offered.

A tool whose visibility is `app` is for the view alone. A host keeps it from its model (MCP Apps 2026-01-26); any other
client knows no visibility, would hand it to its model, and so is not shown it. That keeps to what MCP says of lists:
since 2026-07-28 one must not vary by connection, and the capabilities that it is made from come with each request;
before, they come with `initialize`, and MCP Apps itself has servers offer by them. No cache may share such a list
between clients, which is why `tools/list` says `private`.
"""

from __future__ import annotations

from typing import Any, Literal

from mcp.server.apps import client_supports_apps
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.server.strict import is_for_models
from pingone_mcp.service.connections import ServedConnection

Visibility = Literal["model", "app"]


def shown_by(uri: str, *visibility: Visibility) -> JsonObject:
    """Return the `_meta` of a tool whose results the view at a `ui://` URI shows; by default all may call it."""
    return {"ui": {"resourceUri": uri, **({"visibility": list(visibility)} if visibility else {})}}


async def for_hosts(ctx: ServerRequestContext[ServedConnection, Any], call_next: CallNext) -> HandlerResult:
    """List tools that are for the view alone to hosts only: a middleware of the SDK, over what it will send."""
    result = await call_next(ctx)
    if ctx.method != "tools/list" or not isinstance(result, dict) or client_supports_apps(ctx):
        return result
    return result | {"tools": [tool for tool in result["tools"] if is_for_models(tool.get("_meta"))]}

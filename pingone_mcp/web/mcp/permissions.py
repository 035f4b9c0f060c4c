"""What a message of MCP needs its caller to be allowed, asked where it is answered: the gate has asked it before.

Every tool is listed whatever its caller may do: a client can ask for more permission only once it has met a tool that
needs it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_REQUEST, CallToolResult, TextContent
from starlette.requests import Request

from pingone_mcp.service.callers import Caller, Permission
from pingone_mcp.service.connections import ServedConnection
from pingone_mcp.web.authentication.scopes import needed_permissions


async def by_permission(ctx: ServerRequestContext[ServedConnection, Any], call_next: CallNext) -> HandlerResult:
    """Refuse what the caller may not ask, and every request without a caller: a middleware of the SDK."""
    if ctx.request_id is None:
        return await call_next(ctx)
    lacking = _caller_of(ctx.request).lacks(needed_permissions({"method": ctx.method, "params": ctx.params}))
    if not lacking:
        return await call_next(ctx)
    if ctx.method == "tools/call":
        return CallToolResult(content=[TextContent(type="text", text=_sentence(lacking))], is_error=True)
    raise MCPError(INVALID_REQUEST, _sentence(lacking))


def _sentence(lacking: Collection[Permission]) -> str:
    names = " and ".join(sorted(lacking))
    return (
        f"This credential may not do that: it lacks {names}, so nothing was done. "
        "Who issued it can issue one that has it. [MISSING_PERMISSION]"
    )


def _caller_of(request: object) -> Caller:
    """Return who sent an HTTP request, as the gate has found. Raises MCPError where it has found nobody."""
    if isinstance(request, Request):
        caller = request.scope.get("state", {}).get("caller")
        if isinstance(caller, Caller):
            return caller
    raise MCPError(INVALID_REQUEST, "Nobody has signed in. [NO_CALLER]")

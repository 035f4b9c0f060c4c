"""`pingone-mcp call`: the answer of one tool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from mcp.types import CallToolResult

from pingone_mcp.errors import NO_TOKEN_YET

Ask = Callable[[str, dict[str, Any]], Awaitable[CallToolResult]]


async def called(ask: Ask, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    """Return what a tool answers; where it has no token yet, once that has come or failed.

    An assistant asks again meanwhile. A command that ends takes the token along that is on its way, and so would the
    next one.
    """
    while True:
        result = await ask(tool, arguments)
        if not result.is_error or NO_TOKEN_YET not in complaint(result):
            return result


def complaint(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if block.type == "text")

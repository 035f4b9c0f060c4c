"""The tool that describes the directory as a whole."""

from __future__ import annotations

from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.rows import fitted
from pingone_mcp.server.edge import AppContext, answer, backend_of, strict_tool
from pingone_mcp.server.topics import OVERVIEW, facts_of, overview


async def describe_directory(
    ctx: AppContext,
    *,
    topic: Annotated[
        str,
        Field(
            max_length=100,
            description="overview, views (for SQL), filters, api (areas), api/users (an area), roles or rosters.",
        ),
    ] = OVERVIEW,
) -> CallToolResult:
    """Describe what is served: environments, populations with counts, what the credentials may read, local copy.

    Or another topic.
    """
    backend = await backend_of(ctx)
    facts = await overview(backend) if topic.strip() in ("", OVERVIEW) else await facts_of(backend, topic)
    return answer(fitted(facts, backend.answer_characters))


def tools() -> list[Tool]:
    """Return the tool of this file."""
    return [strict_tool(describe_directory, title="Describe the directory")]

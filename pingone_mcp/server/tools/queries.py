"""The tool that answers questions about the whole directory, in SQL."""

from __future__ import annotations

from typing import Annotated

from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.directory.gaps import listed_as_json
from pingone_mcp.directory.rows import plain
from pingone_mcp.server.edge import AppContext, answer, backend_of
from pingone_mcp.server.strict import StrictTool, strict_tool
from pingone_mcp.service.asking.queries import query


async def query_directory(
    ctx: AppContext,
    *,
    sql: Annotated[
        str, Field(min_length=1, max_length=20_000, description="One SELECT (SQLite) over the views; read-only.")
    ],
    limit: Annotated[int, Field(ge=1, le=1000, description="Most rows.")] = 100,
) -> CallToolResult:
    """Answer a question about the whole directory by SQL over its local copy.

    Views: users, removed_users, groups, memberships, populations, environments, role_assignments, changes; people for
    full-text search (people MATCH 'ann*', join users on id). describe_directory, topic views, tells the columns. Prefer
    counts and GROUP BY. replica_age_s says how old the copy is: sync_directory renews it.
    """
    found = await query(await backend_of(ctx), sql, limit=limit)
    return answer({**plain(found.answer), "replica_age_s": found.age_seconds, **listed_as_json(found.gaps)})


def tools() -> list[StrictTool]:
    """Return the tool of this file."""
    return [strict_tool(query_directory, place=60, title="Ask the whole directory in SQL")]

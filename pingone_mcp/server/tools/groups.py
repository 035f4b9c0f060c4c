"""The tools about groups, and who is in them."""

from __future__ import annotations

from typing import Annotated

from mcp.types import CallToolResult
from pydantic import Field

from pingone_mcp.server.arguments import Cursor, Environment, Fields, Limit, Population, RemoteData
from pingone_mcp.server.edge import AppContext, answer, backend_of, page_reporter
from pingone_mcp.server.strict import StrictTool, strict_tool
from pingone_mcp.service.asking import groups


async def list_groups(
    ctx: AppContext,
    *,
    query: Annotated[str | None, Field(max_length=256, description="Part of the group's name.")] = None,
    population: Population = None,
    environment: Environment = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    include_remote_data: RemoteData = None,
) -> CallToolResult:
    """List groups, or find them by a part of their name.

    Rows carry id, name, description, group_type (custom, dynamic, external), member_count (direct users; absent for
    dynamic groups), group_count (direct subgroups), workspace. Answers like list_users.
    """
    found = await groups.list_groups(
        await backend_of(ctx),
        query=query,
        population=population,
        environment=environment,
        remote_data=include_remote_data,
        limit=limit,
        cursor=cursor,
        report=page_reporter(ctx, "groups"),
    )
    return answer(found.to_json(_NO_GROUP if found.is_empty and query else None))


async def list_members(
    ctx: AppContext,
    *,
    group: Annotated[
        str | None, Field(max_length=256, description="Id or name; may be left out beside a cursor.")
    ] = None,
    environment: Environment = None,
    direct_only: Annotated[
        bool | None, Field(description="Leave out who is in through nested or dynamic groups.")
    ] = None,
    fields: Fields = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CallToolResult:
    """List the users in a group, the direct members first.

    Rows are those of list_users plus membership: direct, or indirect (through nested or dynamic groups). Answers like
    list_users.
    """
    found = await groups.list_members(
        await backend_of(ctx),
        group=group,
        environment=environment,
        direct_only=direct_only,
        fields=fields,
        limit=limit,
        cursor=cursor,
        report=page_reporter(ctx, "members"),
    )
    return answer(found.to_json())


_NO_GROUP = "No group has all these words in its name. Try one of them, or list_groups without `query`."


def tools() -> list[StrictTool]:
    """Return the tools of this file."""
    return [
        strict_tool(list_groups, place=40, title="List groups"),
        strict_tool(list_members, place=50, title="List the members of a group"),
    ]

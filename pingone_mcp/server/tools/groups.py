"""The tools about groups, and who is in them."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult
from pydantic import Field, TypeAdapter

from pingone_mcp.directory.listing import Listing
from pingone_mcp.directory.models import Group, Member, Page
from pingone_mcp.directory.position import Position
from pingone_mcp.directory.provider import GroupQuestion, MemberQuestion
from pingone_mcp.directory.rows import (
    choose_fields,
    group_row,
    is_short,
    list_row,
    member_row,
    user_row,
    user_row_lacks,
)
from pingone_mcp.errors import Refused
from pingone_mcp.server.arguments import Cursor, Environment, Fields, Limit, Population, RemoteData
from pingone_mcp.server.edge import AppContext, answer, backend_of, page_reporter
from pingone_mcp.server.strict import strict_tool
from pingone_mcp.service.answering import asked, collect, envelope, named_fields


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
    backend = await backend_of(ctx)
    selected = {
        "query": query,
        "population": population,
        "environment": environment,
        "remote_data": include_remote_data,
    }
    wanted = asked(backend, "list_groups", selected, cursor)
    question = _GROUP_QUESTION.validate_python(wanted.question)
    several = backend.directory.profile.scope.has_several_environments

    async def read(at: Position | None) -> Page[Group]:
        return await backend.directory.groups(question, at, page_size=limit)

    listing = Listing(
        read=read,
        row=lambda group: group_row(group, several_organizations=several),
        identify=lambda group, _: group.id,
    )
    gathered = await collect(backend, listing, wanted, limit=limit, report=page_reporter(ctx, "groups"))
    nothing = cursor is None and gathered.next is None and not gathered.rows
    hint = _NO_GROUP if nothing and question.query is not None else None
    return answer(envelope(backend, wanted, gathered, lacks=is_short, hint=hint))


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
    backend = await backend_of(ctx)
    selected = {"group": group, "environment": environment, "direct_only": direct_only}
    wanted = asked(backend, "list_members", selected, cursor, changeable={"fields": fields})
    if "group" not in wanted.question:
        raise Refused("`group` is missing.", "Give its id or name; list_groups finds it.", code="MISSING_ARGUMENT")
    question = _MEMBER_QUESTION.validate_python(wanted.question)
    chosen = wanted.question.get("fields")
    columns = choose_fields(
        chosen, several_organizations=backend.directory.profile.scope.has_several_environments, limit=limit
    )
    to_row = user_row if chosen else list_row

    async def read(at: Position | None) -> Page[Member]:
        return await backend.directory.members(question, at, page_size=limit)

    listing = Listing(
        read=read,
        row=lambda member: member_row(member, to_row(member.user, columns)),
        identify=lambda member, _: member.user.id,
    )
    gathered = await collect(backend, listing, wanted, limit=limit, report=page_reporter(ctx, "members"))
    return answer(
        envelope(backend, wanted, gathered, lacks=partial(user_row_lacks, fields=columns))
        | named_fields(columns, chosen, limit)
    )


_NO_GROUP = "No group has all these words in its name. Try one of them, or list_groups without `query`."
_GROUP_QUESTION = TypeAdapter(GroupQuestion)
_MEMBER_QUESTION = TypeAdapter(MemberQuestion)


def tools() -> list[Tool]:
    """Return the tools of this file in the order in which clients list them."""
    return [
        strict_tool(list_groups, title="List groups"),
        strict_tool(list_members, title="List the members of a group"),
    ]

"""Groups, and who is in them."""

from __future__ import annotations

from functools import partial

from pydantic import TypeAdapter

from pingone_mcp.directory.models import Group, Member
from pingone_mcp.directory.paging.listing import Listing
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.directory.paging.position import Position
from pingone_mcp.directory.provider import GroupQuestion, MemberQuestion
from pingone_mcp.directory.rows import group_row, is_short, list_row, member_row, user_row, user_row_lacks
from pingone_mcp.errors import Refused
from pingone_mcp.service.answering import Listed, PageReport, asked, collect, fields_to_name, listed
from pingone_mcp.service.asking.users import user_columns
from pingone_mcp.service.backend import Backend

_GROUP_QUESTION = TypeAdapter(GroupQuestion)
_MEMBER_QUESTION = TypeAdapter(MemberQuestion)


async def list_groups(
    backend: Backend,
    *,
    query: str | None = None,
    population: str | None = None,
    environment: str | None = None,
    remote_data: bool | None = None,
    limit: int,
    cursor: str | None = None,
    report: PageReport,
) -> Listed:
    """List groups, or find them by a part of their name.

    Raises Refused for arguments, and Problem where the first page cannot be read.
    """
    selected = {"query": query, "population": population, "environment": environment, "remote_data": remote_data}
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
    gathered = await collect(backend, listing, wanted, limit=limit, report=report)
    return listed(backend, wanted, gathered, lacks=is_short)


async def list_members(
    backend: Backend,
    *,
    group: str | None = None,
    environment: str | None = None,
    direct_only: bool | None = None,
    fields: list[str] | None = None,
    limit: int,
    cursor: str | None = None,
    report: PageReport,
) -> Listed:
    """List the users in a group, the direct members first; only beside a `cursor` may the group be left out.

    Raises Refused for arguments, and Problem where the first page cannot be read.
    """
    selected = {"group": group, "environment": environment, "direct_only": direct_only}
    wanted = asked(backend, "list_members", selected, cursor, changeable={"fields": fields})
    if "group" not in wanted.question:
        raise Refused("`group` is missing.", "Give its id or name; list_groups finds it.", code="MISSING_ARGUMENT")
    question = _MEMBER_QUESTION.validate_python(wanted.question)
    chosen = wanted.question.get("fields")
    columns = user_columns(backend, chosen, limit)
    to_row = user_row if chosen else list_row

    async def read(at: Position | None) -> Page[Member]:
        return await backend.directory.members(question, at, page_size=limit)

    listing = Listing(
        read=read,
        row=lambda member: member_row(member, to_row(member.user, columns)),
        identify=lambda member, _: member.user.id,
    )
    gathered = await collect(backend, listing, wanted, limit=limit, report=report)
    lacks, named = partial(user_row_lacks, fields=columns), fields_to_name(columns, chosen, limit)
    return listed(backend, wanted, gathered, lacks=lacks, fields=named)

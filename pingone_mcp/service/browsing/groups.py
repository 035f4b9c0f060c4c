"""Groups as somebody looks through them, and who is in one and how."""

from __future__ import annotations

from dataclasses import dataclass

from pingone_mcp.directory.paging.cursor import Mark
from pingone_mcp.directory.paging.page import Page
from pingone_mcp.replica.asking.snapshot import Snapshot
from pingone_mcp.replica.browsing.groups import GroupMembers, ListedGroup, group_members, groups_page
from pingone_mcp.service.answering import asked
from pingone_mcp.service.backend import Backend
from pingone_mcp.service.browsing.copied import FoundInCopy, read_copy

__all__ = ["GroupMembers", "ListedGroup"]
PAGE = 50
_GROUPS, _MEMBERS = "browse_groups", "browse_members"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedGroups:
    """One page of groups, and how many there are in all."""

    groups: tuple[ListedGroup, ...]
    total: int | None


async def browse_groups(backend: Backend, query: str | None, *, cursor: str | None = None) -> FoundInCopy[ListedGroups]:
    """Return a page of groups by name, those with all words of a query in it.

    Raises Refused for a cursor that is not good, and NoReplica where the copy does not hold groups.
    """
    wanted = asked(backend, _GROUPS, {"query": query}, cursor)

    def read(copy: Snapshot) -> Page[ListedGroup]:
        return groups_page(copy, query, wanted.mark.position, PAGE)

    page, age = await read_copy(backend, read)
    following = backend.cursors.seal(_GROUPS, wanted.question, Mark(position=page.next)) if page.next else None
    return FoundInCopy(found=ListedGroups(groups=page.items, total=page.total), copy=age, next_cursor=following)


async def browse_members(
    backend: Backend, group: str, query: str | None, *, cursor: str | None = None
) -> FoundInCopy[GroupMembers]:
    """Return a group by its id with a page of who is in it, the direct members first. Raises as `browse_groups` does.

    Raises NotFound for a group that the copy does not know.
    """
    wanted = asked(backend, _MEMBERS, {"group": group, "query": query}, cursor)

    def read(copy: Snapshot) -> GroupMembers:
        return group_members(copy, group, query, wanted.mark.position, PAGE)

    page, age = await read_copy(backend, read)
    following = backend.cursors.seal(_MEMBERS, wanted.question, Mark(position=page.next)) if page.next else None
    return FoundInCopy(found=page, copy=age, next_cursor=following)

"""The pages of groups: all of them by name, and one with who is in it, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pingone_mcp.service.browsing import words
from pingone_mcp.service.browsing.groups import browse_groups, browse_members
from pingone_mcp.web.pages.browsing.copied import given, of_copy, part_of, query_of
from pingone_mcp.web.pages.page import PageView, SitePage
from pingone_mcp.web.pages.site import path_in

if TYPE_CHECKING:
    from pingone_mcp.web.pages.page import Visit

_PARTS = ("results", "rows", "copy")


class GroupPages:
    """Shows groups of the local copy."""

    def pages(self) -> list[SitePage]:
        return [
            SitePage(path="/c/{connection}/groups", show=of_copy(self._show)),
            SitePage(path="/c/{connection}/groups/{group}", show=of_copy(self._group)),
        ]

    async def _show(self, visit: Visit) -> PageView:
        query = given(visit, "q")
        found = await browse_groups(await visit.backend(), query, cursor=given(visit, "after"))
        here = path_in(visit.connection.id, "groups")
        values: dict[str, object] = {
            "here": here,
            "groups": found.found.groups,
            "total": found.found.total,
            **_listed(visit, found.next_cursor),
            "copy": words.copy_note(found.copy),
        }
        return PageView(template="browsing/groups.html", values=values, part=_part(visit))

    async def _group(self, visit: Visit) -> PageView:
        group, query = visit.path["group"], given(visit, "q")
        found = await browse_members(await visit.backend(), group, query, cursor=given(visit, "after"))
        values: dict[str, object] = {
            "here": path_in(visit.connection.id, "groups", group),
            "groups": path_in(visit.connection.id, "groups"),
            "people": path_in(visit.connection.id, "people"),
            "listed": found.found.group,
            "group": found.found.group.group,
            "members": found.found.items,
            "total": found.found.total,
            "below": found.found.below,
            "above": found.found.above,
            **_listed(visit, found.next_cursor),
            "copy": words.copy_note(found.copy),
            "words": words,
        }
        return PageView(template="browsing/group.html", values=values, part=_part(visit))


def _part(visit: Visit) -> str | None:
    part = part_of(visit)
    return part if part in _PARTS else None


def _listed(visit: Visit, next_cursor: str | None) -> dict[str, object]:
    """Return what every list shows of itself: what was typed, where it goes on, and where its news come from."""
    query = given(visit, "q")
    return {
        "live": path_in(visit.connection.id, "live"),
        "q": query,
        "query": query_of({"q": query}),
        "is_further": given(visit, "after") is not None,
        "more": None if next_cursor is None else query_of({"q": query}, after=next_cursor),
    }

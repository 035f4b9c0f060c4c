"""The first page: every connection that somebody reaches, how it is, and what needs a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.service.fleet.cursors import ListAsked
from pingone_mcp.web.app import front
from pingone_mcp.web.pages.page import PageView, SitePage

if TYPE_CHECKING:
    from pingone_mcp.service.fleet.accounts import CallerAccounts
    from pingone_mcp.web.pages.keeping.attention import AttentionPages
    from pingone_mcp.web.pages.page import Visit

_SHOWN = 100


class Front:
    """Shows connections, over the use cases."""

    def __init__(self, accounts: CallerAccounts, attention: AttentionPages) -> None:
        self._accounts, self._attention = accounts, attention

    def pages(self) -> list[SitePage]:
        """Return the page."""
        return [SitePage(path="/", show=self._show, shows_directory=False, needs=frozenset(), for_programs=front)]

    async def _show(self, visit: Visit) -> PageView | Response:
        asked = ListAsked(caller=visit.caller, limit=_SHOWN, cursor=visit.query.get("after") or None)
        paged = await self._accounts.listed(asked)
        manages = not visit.caller.lacks({"connections.manage"})
        values = {
            "connections": paged.items,
            "next_cursor": paged.next_cursor,
            "reads": visit.reads,
            "people": await self._accounts.people(paged.items) if visit.reads else {},
            "manages": manages,
            "adds": manages and visit.caller.connections is None,
            "default": DEFAULT,
            "csrf": visit.session.csrf_token,
            "matters": await self._attention.everywhere(visit.caller),
        }
        return PageView(template="front.html", values=values)

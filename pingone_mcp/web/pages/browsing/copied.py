"""Pages out of the local copy: what they show while there is none, and how their addresses are made."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pingone_mcp.advice import spelled
from pingone_mcp.errors import NoReplica
from pingone_mcp.web.pages.page import PageView

if TYPE_CHECKING:
    from starlette.responses import Response

    from pingone_mcp.web.pages.page import LeadsTo, Visit

Show = Callable[["Visit"], Awaitable["PageView | Response | LeadsTo"]]


def of_copy(show: Show) -> Show:
    """Return what shows a page; where there is no copy yet, the page says so."""

    async def shown(visit: Visit) -> PageView | Response | LeadsTo:
        try:
            return await show(visit)
        except NoReplica as lacking:
            if part_of(visit) is not None:  # the page that is open says what it can
                raise
            linked = visit.connection
            return PageView(
                template="browsing/no_copy.html",
                values={
                    "is_first": lacking.code == "NO_REPLICA",
                    "is_coming": linked.status == "active" and not linked.is_paused,
                    "status": linked.status.replace("_", " "),
                    "what": spelled(lacking.what),
                    "next_step": spelled(lacking.next_step),
                },
            )

    return shown


def part_of(visit: Visit) -> str | None:
    """Return the part of a page that alone is wanted."""
    return visit.query.get("part") or None


def given(visit: Visit, name: str) -> str | None:
    """Return what a query gives by a name; None for nothing but space."""
    return visit.query.get(name, "").strip() or None


def query_of(values: Mapping[str, str | int | None], **more: str | None) -> str:
    """Return a query with all that is given, and its question mark; empty where nothing is."""
    kept = {name: value for name, value in {**values, **more}.items() if value is not None}
    return f"?{urlencode(kept)}" if kept else "?"

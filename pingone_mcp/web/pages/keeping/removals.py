"""Held removals: who could not be found, by name, and the form by which a person says that they are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pingone_mcp.service.fleet.attention.removals import OtherRemovals
from pingone_mcp.service.fleet.cursors import ListAsked
from pingone_mcp.web.pages.page import READS, SYNCS, LeadsTo, PageForm, PageView, SitePage
from pingone_mcp.web.pages.site import path_in

if TYPE_CHECKING:
    from pingone_mcp.service.callers import Permission
    from pingone_mcp.service.fleet.attention.removals import RemovalDesk
    from pingone_mcp.service.fleet.caller_runs import CallerRuns
    from pingone_mcp.web.pages.page import Visit

_PATH = "/c/{connection}/removals"
_NEEDED: frozenset[Permission] = READS | SYNCS


class RemovalPages:
    """The page and its form, over the use cases."""

    def __init__(self, removals: RemovalDesk, runs: CallerRuns) -> None:
        self._removals, self._runs = removals, runs

    def pages(self) -> list[SitePage]:
        """Return the page."""
        return [SitePage(path=_PATH, show=self._show, needs=_NEEDED)]

    def forms(self) -> list[PageForm]:
        """Return the form."""
        return [PageForm(path=_PATH, act=self._release, needs=_NEEDED)]

    async def _show(self, visit: Visit) -> PageView:
        connection = visit.connection.id
        newest = (await self._runs.listed(ListAsked(caller=visit.caller, limit=1), connection=connection)).items
        values = {
            "linked": visit.connection,
            "csrf": visit.session.csrf_token,
            "found": await self._removals.shown(visit.caller, connection),
            "is_syncing": any(run.status in ("created", "running") for run in newest),
        }
        return PageView(template="keeping/removals.html", values=values)

    async def _release(self, visit: Visit) -> LeadsTo:
        here = path_in(visit.connection.id, "removals")
        try:
            await self._removals.release(visit.caller, visit.connection.id, visit.entered("edition"))
        except OtherRemovals as problem:
            return LeadsTo(path=here, said=f"{problem.what} {problem.next_step}")
        said = "What you said is taken over by a sync that has begun. It asks for each of them once more: who answers stays."
        return LeadsTo(path=path_in(visit.connection.id, "attention"), said=said)

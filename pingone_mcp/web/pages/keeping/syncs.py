"""What of a directory is read, and when: the scope and the interval of a connection, and a sync that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.errors import Refused
from pingone_mcp.service.fleet.syncs import minutes_of
from pingone_mcp.web.pages.keeping.back import back
from pingone_mcp.web.pages.page import MANAGES, SYNCS, LeadsTo, PageForm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pingone_mcp.service.fleet.caller_runs import CallerRuns
    from pingone_mcp.service.fleet.keeping.intervals import Intervals
    from pingone_mcp.service.fleet.keeping.scopes import Scopes
    from pingone_mcp.web.pages.page import Visit

_PATH = "/c/{connection}/settings"


class SyncForms:
    """The section of the settings, and its forms, over the use cases."""

    def __init__(self, scopes: Scopes, intervals: Intervals, runs: CallerRuns) -> None:
        self._scopes, self._intervals, self._runs = scopes, intervals, runs

    async def section(self, visit: Visit) -> Mapping[str, object]:
        """Return what the settings show; nothing of what is in the directory to who may not read it."""
        caller, linked = visit.caller, visit.connection
        may_sync = not caller.lacks(SYNCS) and not linked.is_paused
        return {
            "minutes": minutes_of(linked),
            "scope": await self._scopes.shown(caller, linked.id) if visit.reads else None,
            "may_sync": may_sync,
            "may_decide": may_sync and visit.reads,
            "may_manage": not caller.lacks(MANAGES) and linked.id != DEFAULT,
            "is_default": linked.id == DEFAULT,
        }

    def forms(self) -> list[PageForm]:
        """Return the forms."""
        return [
            PageForm(path=f"{_PATH}/sync", act=self._sync, needs=SYNCS),
            PageForm(path=f"{_PATH}/interval", act=self._change, needs=MANAGES),
        ]

    async def _sync(self, visit: Visit) -> LeadsTo:
        await self._runs.request(visit.caller, visit.connection.id)
        return back(visit, f"{visit.connection.name} is being synced. Load this page again in a while.", "syncs")

    async def _change(self, visit: Visit) -> LeadsTo:
        try:
            minutes = float(visit.entered("minutes"))
        except ValueError:
            raise Refused("That is no number of minutes.", "Go back, and enter one.", code="BAD_INTERVAL") from None
        changed = await self._intervals.change(visit.caller, visit.connection.id, minutes)
        return back(visit, f"It is synced every {minutes_of(changed):g} minutes from now on.", "syncs")

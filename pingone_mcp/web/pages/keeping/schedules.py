"""What is done for a connection by the hour: when, what came of it the last time, and once now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pingone_mcp.service.fleet.cursors import ListAsked
from pingone_mcp.web.pages.keeping.back import back
from pingone_mcp.web.pages.page import READS, SYNCS, LeadsTo, PageForm

if TYPE_CHECKING:
    from pingone_mcp.service.schedules.schedules import CallerSchedules
    from pingone_mcp.web.pages.page import Visit

_MOST = 100
OUTCOMES: Mapping[str, str] = {
    "asked": "asked for",
    "pulled": "read",
    "baseline": "first check",
    "new": "something is new",
    "nothing_new": "nothing new",
    "unsure": "nothing new, as far as it can be compared",
    "compared_nobody": "nobody was compared",
    "not_comparable": "cannot be compared with the one before",
    "failed": "failed",
}
"""What came of the last run of a schedule, as it is shown."""


class ScheduleForms:
    """The section of the settings, and its form, over the use cases."""

    def __init__(self, schedules: CallerSchedules) -> None:
        self._schedules = schedules

    async def section(self, visit: Visit) -> Mapping[str, object]:
        """Return what the settings show; nothing to who may not say what is done, or read what came of it."""
        if visit.caller.lacks(SYNCS | READS):
            return {"schedules": None}
        asked = ListAsked(caller=visit.caller, limit=_MOST)
        found = (await self._schedules.listed(asked, connection=visit.connection.id)).items
        return {"schedules": found, "outcomes": OUTCOMES}

    def forms(self) -> list[PageForm]:
        """Return the form."""
        path = "/c/{connection}/settings/schedules/{schedule}/run"
        return [PageForm(path=path, act=self._run, needs=SYNCS)]

    async def _run(self, visit: Visit) -> LeadsTo:
        found = await self._schedules.run(visit.caller, visit.path["schedule"])
        return back(visit, f"It is done now: {found.kind.replace('_', ' ')}.", "schedules")

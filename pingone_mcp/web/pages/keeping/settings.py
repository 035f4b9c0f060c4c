"""The settings of a connection: when it is synced, what is done by the hour, and how its events arrive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pingone_mcp.service.fleet.cursors import ListAsked
from pingone_mcp.service.fleet.event_targets import TargetChange
from pingone_mcp.service.fleet.schedule import DEFAULT_MINUTES
from pingone_mcp.web.pages.page import LeadsTo, PageForm, PageView, SitePage
from pingone_mcp.web.pages.site import path_in

if TYPE_CHECKING:
    from pingone_mcp.control.outbox import EventState
    from pingone_mcp.control.watching.schedules import ScheduleRecord
    from pingone_mcp.control.webhooks import Webhook
    from pingone_mcp.service.callers import Permission
    from pingone_mcp.service.fleet.event_targets import EventTargets
    from pingone_mcp.service.schedules.schedules import CallerSchedules
    from pingone_mcp.web.pages.page import Visit

_PATH = "/c/{connection}/settings"
_EVENTS: Permission = "events.manage"
_SCHEDULES: Permission = "directory.sync"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTarget:
    """A webhook, where it is, and how many of its events wait, arrived and were given up, as far as they are kept."""

    webhook: Webhook
    host: str
    counts: Mapping[EventState, int]


class SettingsPage:
    """The page and its forms, over the use cases."""

    def __init__(self, targets: EventTargets, schedules: CallerSchedules) -> None:
        self._targets, self._schedules = targets, schedules

    def pages(self) -> list[SitePage]:
        """Return the page."""
        return [SitePage(path=_PATH, show=self._show, shows_directory=False)]

    def forms(self) -> list[PageForm]:
        """Return the forms."""
        webhook, schedule = f"{_PATH}/webhooks/{{webhook}}", f"{_PATH}/schedules/{{schedule}}"
        return [
            PageForm(path=f"{webhook}/on", act=self._switch_on, permission=_EVENTS),
            PageForm(path=f"{webhook}/test", act=self._test, permission=_EVENTS),
            PageForm(path=f"{webhook}/resend", act=self._resend, permission=_EVENTS),
            PageForm(path=f"{schedule}/run", act=self._run, permission=_SCHEDULES),
        ]

    async def _show(self, visit: Visit) -> PageView:
        linked = visit.connection
        minutes = linked.settings.get("sync_minutes")
        values = {
            "linked": linked,
            "csrf": visit.session.csrf_token,
            "minutes": minutes if isinstance(minutes, (int, float)) else DEFAULT_MINUTES,
            "schedules": await self._scheduled(visit),
            "outcomes": OUTCOMES,
            "targets": await self._shown(visit),
        }
        return PageView(template="keeping/settings.html", values=values)

    async def _scheduled(self, visit: Visit) -> list[ScheduleRecord] | None:
        """Return what is done by the hour; None for who may not say what is."""
        if visit.caller.lacks({_SCHEDULES}):
            return None
        asked = ListAsked(caller=visit.caller, limit=_MOST)
        return list((await self._schedules.listed(asked, connection=visit.connection.id)).items)

    async def _shown(self, visit: Visit) -> list[ShownTarget] | None:
        """Return the webhooks of the tenant; None for who has none, because a webhook gets a whole tenant's events."""
        caller, tenant = visit.caller, visit.connection.tenant
        if caller.lacks({_EVENTS}) or caller.connections is not None:
            return None
        webhooks = (await self._targets.listed(ListAsked(caller=caller, limit=_MOST))).items
        return [
            ShownTarget(
                webhook=one,
                host=urlsplit(one.target_url).netloc,
                counts=await self._targets.counts(caller, one.id),
            )
            for one in webhooks
            if one.tenant in (None, tenant)
        ]

    async def _switch_on(self, visit: Visit) -> LeadsTo:
        await self._targets.change(visit.caller, visit.path["webhook"], TargetChange(is_active=True))
        return _back(visit, "The webhook is switched on. What was given up before is sent when you say so.")

    async def _test(self, visit: Visit) -> LeadsTo:
        await self._targets.test(visit.caller, visit.path["webhook"])
        return _back(visit, "An event to try it is on its way.")

    async def _resend(self, visit: Visit) -> LeadsTo:
        count = await self._targets.resend_failed(visit.caller, visit.path["webhook"])
        return _back(visit, f"Events that are sent again: {count}.")

    async def _run(self, visit: Visit) -> LeadsTo:
        found = await self._schedules.run(visit.caller, visit.path["schedule"])
        return _back(visit, f"It is done now: {found.kind.replace('_', ' ')}.")


def _back(visit: Visit, said: str) -> LeadsTo:
    return LeadsTo(path=path_in(visit.connection.id, "settings"), said=said)

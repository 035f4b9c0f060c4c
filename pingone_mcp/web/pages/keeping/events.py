"""Where events of a connection are sent: the webhooks of its tenant, switched on, tried, and sent to again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pingone_mcp.service.fleet.cursors import ListAsked
from pingone_mcp.service.fleet.event_targets import TargetChange
from pingone_mcp.web.pages.keeping.back import back
from pingone_mcp.web.pages.page import MANAGES_EVENTS, LeadsTo, PageForm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pingone_mcp.control.outbox import EventState
    from pingone_mcp.control.webhooks import Webhook
    from pingone_mcp.service.fleet.event_targets import EventTargets
    from pingone_mcp.web.pages.page import Visit

_MOST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTarget:
    """A webhook, where it is, and how many of its events wait, arrived and were given up, as far as they are kept."""

    webhook: Webhook
    host: str
    counts: Mapping[EventState, int]


class TargetForms:
    """The section of the settings, and its forms, over the use cases."""

    def __init__(self, targets: EventTargets) -> None:
        self._targets = targets

    async def section(self, visit: Visit) -> Mapping[str, object]:
        """Return what the settings show; nothing to who has no webhooks, because one gets a whole tenant's events."""
        caller, tenant = visit.caller, visit.connection.tenant
        if caller.lacks(MANAGES_EVENTS) or caller.connections is not None:
            return {"targets": None}
        webhooks = (await self._targets.listed(ListAsked(caller=caller, limit=_MOST))).items
        targets = [
            ShownTarget(
                webhook=one,
                host=urlsplit(one.target_url).netloc,
                counts=await self._targets.counts(caller, one.id),
            )
            for one in webhooks
            if one.tenant in (None, tenant)
        ]
        return {"targets": targets}

    def forms(self) -> list[PageForm]:
        """Return the forms."""
        path = "/c/{connection}/settings/webhooks/{webhook}"
        return [
            PageForm(path=f"{path}/on", act=self._switch_on, needs=MANAGES_EVENTS),
            PageForm(path=f"{path}/test", act=self._test, needs=MANAGES_EVENTS),
            PageForm(path=f"{path}/resend", act=self._resend, needs=MANAGES_EVENTS),
        ]

    async def _switch_on(self, visit: Visit) -> LeadsTo:
        await self._targets.change(visit.caller, visit.path["webhook"], TargetChange(is_active=True))
        return back(visit, "The webhook is switched on. What was given up before is sent when you say so.", "events")

    async def _test(self, visit: Visit) -> LeadsTo:
        await self._targets.test(visit.caller, visit.path["webhook"])
        return back(visit, "An event to try it is on its way.", "events")

    async def _resend(self, visit: Visit) -> LeadsTo:
        count = await self._targets.resend_failed(visit.caller, visit.path["webhook"])
        return back(visit, f"Events that are sent again: {count}.", "events")

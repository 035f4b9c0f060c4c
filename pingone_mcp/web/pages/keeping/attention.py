"""What needs a person: a list with what settles each, on the first page and on a page of each connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pingone_mcp.advice import spelled
from pingone_mcp.current_connection import DEFAULT
from pingone_mcp.service.fleet.event_targets import TargetChange
from pingone_mcp.web.pages.keeping.back import ATTENTION, FRONT, back
from pingone_mcp.web.pages.page import MANAGES_EVENTS, LeadsTo, PageForm, PageView, SitePage
from pingone_mcp.web.pages.site import path_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pingone_mcp.service.callers import Caller, Permission
    from pingone_mcp.service.fleet.attention.attention import Attention
    from pingone_mcp.service.fleet.attention.matters import Matter, NamedConnection
    from pingone_mcp.service.fleet.event_targets import EventTargets
    from pingone_mcp.web.pages.page import Visit

MOST = 30
"""So many matters are listed on one page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMatter:
    """A matter as it is shown.

    `path` is where its button leads: a page, or a form (`is_form`). Who may not press it (`may`) reads what it
    `needs`; where there is no page that settles it, `path` is None, and `what` says what does.
    """

    what: str
    since: datetime | None
    until: datetime | None
    of: NamedConnection | None
    label: str
    path: str | None
    is_form: bool
    may: bool
    needs: Permission


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMatters:
    """The first of all matters, how many there are more, and which page their forms lead `back` to."""

    first: tuple[ShownMatter, ...]
    more: int
    back: str


class AttentionPages:
    """The page and the forms of webhooks, over the use cases."""

    def __init__(self, attention: Attention, targets: EventTargets) -> None:
        self._attention, self._targets = attention, targets

    def pages(self) -> list[SitePage]:
        """Return the page."""
        path = "/c/{connection}/attention"  # of what there is, everybody is shown what they may know
        return [SitePage(path=path, show=self._show, needs=frozenset(), shows_directory=False)]

    def forms(self) -> list[PageForm]:
        """Return the forms: a webhook is of no single connection."""
        root = "/webhooks/{webhook}"
        return [
            PageForm(path=f"{root}/on", act=self._switch_on, needs=MANAGES_EVENTS),
            PageForm(path=f"{root}/resend", act=self._resend, needs=MANAGES_EVENTS),
        ]

    async def everywhere(self, caller: Caller) -> ShownMatters:
        """Return what is shown on the first page."""
        return shown_matters(await self._attention.everywhere(caller), caller, FRONT)

    async def count(self, caller: Caller, connection: str) -> int:
        """Count what of a connection needs a person."""
        return len(await self._attention.of_connection(caller, connection))

    async def _show(self, visit: Visit) -> PageView:
        found = await self._attention.of_connection(visit.caller, visit.connection.id)
        values = {
            "linked": visit.connection,
            "csrf": visit.session.csrf_token,
            "matters": shown_matters(found, visit.caller, ATTENTION),
            "reads": visit.reads,
        }
        return PageView(template="keeping/attention.html", values=values)

    async def _switch_on(self, visit: Visit) -> LeadsTo:
        """Switch a webhook on, or let what waits for one that is on be tried now."""
        await self._targets.change(visit.caller, visit.path["webhook"], TargetChange(is_active=True))
        return back(visit, "The webhook is on, and what waits for it is sent now.")

    async def _resend(self, visit: Visit) -> LeadsTo:
        count = await self._targets.resend_failed(visit.caller, visit.path["webhook"])
        return back(visit, f"Events that are sent again: {count}.")


def shown_matters(matters: Sequence[Matter], caller: Caller, back_to: str) -> ShownMatters:
    """Return matters as a page shows them to a caller."""
    first = tuple(_shown(one, caller) for one in matters[:MOST])
    return ShownMatters(first=first, more=len(matters) - len(first), back=back_to)


def _shown(matter: Matter, caller: Caller) -> ShownMatter:
    what, (label, path, is_form) = spelled(matter.what), _settles(matter)
    if path is None:
        what += " Change the variables that this server is started with, and start it again."
    return ShownMatter(
        what=what,
        since=matter.since,
        until=matter.until,
        of=matter.of,
        label=label,
        path=path,
        is_form=is_form,
        may=not caller.lacks({matter.needs}),
        needs=matter.needs,
    )


def _settles(matter: Matter) -> tuple[str, str | None, bool]:
    """Return what the button says, where it leads (None: nowhere here), and whether that is a form."""
    own, subject = "" if matter.of is None else matter.of.id, matter.subject or ""
    settings = path_in(own, "settings")
    match matter.act:
        case "reconnect" | "choose":
            path = None if own == DEFAULT else path_in(own, "link", "reconnect")
            return ("Reconnect" if matter.act == "reconnect" else "Choose what is served"), path, False
        case "look":
            return "Look again", path_in(own, "attention"), False
        case "decide":
            return "See who they are", path_in(own, "removals"), False
        case "sync":
            return "Sync now", f"{settings}/sync", True
        case "hook":
            return "See the hook", f"{settings}#hook", False
        case "pull":
            return "Pull it again", path_in(own, "settings", "rosters", subject, "pull"), True
        case "run":
            return "Do it again", path_in(own, "settings", "schedules", subject, "run"), True
        case "switch_on":
            return "Switch it on", f"/webhooks/{subject}/on", True
        case "try_again":
            return "Try again now", f"/webhooks/{subject}/on", True
        case "resend":
            return "Send them again", f"/webhooks/{subject}/resend", True
        case "renew":
            return "See the keys", f"{settings}#keys", False

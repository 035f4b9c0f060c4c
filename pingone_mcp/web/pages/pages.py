"""All pages of one process, put together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pingone_mcp.web.pages.assets import Assets
from pingone_mcp.web.pages.browsing.changes import ChangesPage
from pingone_mcp.web.pages.browsing.groups import GroupPages
from pingone_mcp.web.pages.browsing.live import LiveStreams
from pingone_mcp.web.pages.browsing.people import PeoplePages
from pingone_mcp.web.pages.frame import Frame
from pingone_mcp.web.pages.front import Front
from pingone_mcp.web.pages.keeping.all import keeping_pages
from pingone_mcp.web.pages.linking.guests import GuestPages
from pingone_mcp.web.pages.linking.managing import Managing
from pingone_mcp.web.pages.linking.steps import LinkSteps
from pingone_mcp.web.pages.page import PageForm
from pingone_mcp.web.pages.reviewing.reviews import ReviewPages
from pingone_mcp.web.pages.signing_in import SIGN_OUT, SigningIn
from pingone_mcp.web.pages.site import Site, path_in

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from pingone_mcp.clock import Clock
    from pingone_mcp.service.callers import Caller
    from pingone_mcp.service.fleet.accounts import CallerAccounts
    from pingone_mcp.service.fleet.attention.desk import KeepingDesk
    from pingone_mcp.service.fleet.drafting.desk import LinkingDesk
    from pingone_mcp.service.fleet.event_targets import EventTargets
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.service.rosters.keeping import RosterKeeping
    from pingone_mcp.service.schedules.schedules import CallerSchedules
    from pingone_mcp.web.address import PublicAddress
    from pingone_mcp.web.authentication.authenticator import Authenticator
    from pingone_mcp.web.authentication.oidc import OidcSignIn
    from pingone_mcp.web.authentication.sessions import Sessions
    from pingone_mcp.web.pages.page import Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class PageParts:
    """What pages answer from. `form_key` makes what forms hold that are shown to guests.

    `oidc` signs people in at an authorization server, where there is one.
    """

    address: PublicAddress
    authenticator: Authenticator
    sessions: Sessions
    fleet: Fleet
    accounts: CallerAccounts
    desk: LinkingDesk
    form_key: bytes = field(repr=False)
    clock: Clock
    targets: EventTargets
    schedules: CallerSchedules
    keeping: KeepingDesk
    rosters: RosterKeeping
    oidc: OidcSignIn | None = None


class Pages:
    """The pages: their routes, how refusals look to a person, and what ends their streams."""

    def __init__(self, parts: PageParts) -> None:
        assets = Assets()
        frame = Frame(assets, parts.address.prefix)
        keeping = keeping_pages(parts.keeping, parts.targets, parts.schedules)
        site = Site(frame, parts.fleet, keeping.attention.count)
        signing_in = SigningIn(frame, parts.authenticator, parts.sessions, parts.oidc)

        async def sign_out(visit: Visit) -> Response:
            return await signing_in.sign_out(visit.request)

        live = LiveStreams(parts.fleet, parts.authenticator, parts.sessions, parts.clock)
        steps = LinkSteps(parts.desk)
        managing = Managing(parts.accounts, parts.desk, steps)
        guests = GuestPages(frame, parts.desk, steps, parts.form_key, parts.clock)
        pages = [
            *Front(parts.accounts, keeping.attention).pages(),
            *managing.pages(),
            *PeoplePages(frame).pages(),
            *GroupPages().pages(),
            *ChangesPage().pages(),
            *live.pages(),
            *keeping.pages,
            *ReviewPages(parts.rosters).pages(),
        ]
        forms = [PageForm(path=SIGN_OUT, act=sign_out, needs=frozenset()), *managing.forms(), *keeping.forms]
        self.refused = site.refused
        self.stop = live.stop
        self._fleet = parts.fleet
        self.routes: list[BaseRoute] = [
            assets.route(),
            *signing_in.routes(),
            *guests.routes(),
            *site.routes(pages, forms),
        ]

    async def first(self, caller: Caller) -> str:
        """Return where somebody begins who has just signed in: with the people of the only connection, or with all."""
        reached = await self._fleet.reached(caller)
        if len(reached) != 1 or reached[0].is_paused:
            return "/"
        return path_in(reached[0].id, "people")

"""All pages of one process, put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pingone_mcp.web.pages.assets import Assets
from pingone_mcp.web.pages.browsing.changes import ChangesPage
from pingone_mcp.web.pages.browsing.groups import GroupPages
from pingone_mcp.web.pages.browsing.live import LiveStreams
from pingone_mcp.web.pages.browsing.people import PeoplePages
from pingone_mcp.web.pages.frame import Frame
from pingone_mcp.web.pages.front import Front
from pingone_mcp.web.pages.page import PageForm
from pingone_mcp.web.pages.signing_in import SIGN_OUT, SigningIn
from pingone_mcp.web.pages.site import Site

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from pingone_mcp.clock import Clock
    from pingone_mcp.service.fleet.accounts import CallerAccounts
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.web.address import PublicAddress
    from pingone_mcp.web.authentication.authenticator import Authenticator
    from pingone_mcp.web.authentication.sessions import Sessions
    from pingone_mcp.web.pages.page import Visit


@dataclass(frozen=True, slots=True, kw_only=True)
class PageParts:
    """What pages answer from."""

    address: PublicAddress
    authenticator: Authenticator
    sessions: Sessions
    fleet: Fleet
    accounts: CallerAccounts
    clock: Clock


class Pages:
    """The pages: their routes, how refusals look to a person, and what ends their streams."""

    def __init__(self, parts: PageParts) -> None:
        assets = Assets()
        frame = Frame(assets, parts.address.prefix)
        site = Site(frame, parts.fleet)
        signing_in = SigningIn(frame, parts.authenticator, parts.sessions)

        async def sign_out(visit: Visit) -> Response:
            return await signing_in.sign_out(visit.request)

        live = LiveStreams(parts.fleet, parts.authenticator, parts.sessions, parts.clock)
        pages = [
            *Front(parts.accounts).pages(),
            *PeoplePages(frame).pages(),
            *GroupPages().pages(),
            *ChangesPage().pages(),
            *live.pages(),
        ]
        forms = [PageForm(path=SIGN_OUT, act=sign_out, permission=None)]
        self.refused = site.refused
        self.stop = live.stop
        self.routes: list[BaseRoute] = [assets.route(), *signing_in.routes(), *site.routes(pages, forms)]

"""`/connect-account`: the pages of people who hold a link token, which is all they need, and opens nothing else."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from pydantic import SecretStr
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from pingone_mcp.errors import Problem
from pingone_mcp.service.fleet.drafting.drafts import NoDraft
from pingone_mcp.service.fleet.drafting.linkers import NoInvitation
from pingone_mcp.web.authentication.challenges import too_many
from pingone_mcp.web.pages.frame import Framing
from pingone_mcp.web.pages.linking.outcomes import INTEGRATION, ErrorType, failed
from pingone_mcp.web.pages.linking.steps import LinkSteps, Stand
from pingone_mcp.web.pages.page import LeadsTo, PageView
from pingone_mcp.web.pages.site import CSRF, stale_form
from pingone_mcp.web.rates import Rates
from pingone_mcp.web.refusals import TurnedAway
from pingone_mcp.web.rest.failures import correlation_id_of, status_of

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request

    from pingone_mcp.clock import Clock
    from pingone_mcp.service.fleet.drafting.desk import LinkingDesk
    from pingone_mcp.web.pages.frame import Frame

CONNECT = "/connect-account"
OF_SENDER = 100  # requests of one address, in as long as `Rates` counts
OF_TOKEN = 5  # check-ups with one link token
_GIVEN_UP = f"{CONNECT}/given-up"
_MOST_FIELDS = 2_000
_LONGEST_TOKEN = 256
_logger = logging.getLogger(__name__)

Act = Callable[[Stand, "Request", "FormData"], Awaitable[PageView | LeadsTo]]


class GuestPages:
    """The routes. `key` makes what the forms of a link token hold."""

    def __init__(self, frame: Frame, desk: LinkingDesk, steps: LinkSteps, key: bytes, clock: Clock) -> None:
        self._frame, self._desk, self._steps, self._key = frame, desk, steps, key
        self._of_sender = Rates(most=OF_SENDER, clock=clock)
        self._of_token = Rates(most=OF_TOKEN, clock=clock)

    def routes(self) -> list[BaseRoute]:
        """Return the routes, which need no session."""
        draft = f"{CONNECT}/{{draft}}"
        acts: tuple[tuple[str, str, Act], ...] = (
            ("GET", CONNECT, self._enter),
            ("POST", CONNECT, self._entered),
            ("GET", _GIVEN_UP, self._give_up),
            ("GET", draft, self._draft),
            ("POST", draft, self._keep),
            ("POST", f"{draft}/again", self._again),
        )
        return [
            Route(path, self._answering(act), methods=[method], name=f"{method} {path}") for method, path, act in acts
        ]

    async def _enter(self, stand: Stand, request: Request, _: FormData) -> PageView | LeadsTo:
        if not stand.offers:
            invitation = await stand.linker.invitation()
            why = "What was asked for is not PingOne, and nothing else can be connected here."
            return _ended("Not here", why, "invalid_integration", invitation.redirect_uri)
        return await self._steps.enter(stand, request.query_params.get("draft"))

    async def _entered(self, stand: Stand, _: Request, form: FormData) -> PageView | LeadsTo:
        self._count(stand)
        return await self._steps.entered(stand, form)

    async def _draft(self, stand: Stand, request: Request, _: FormData) -> PageView | LeadsTo:
        return await self._steps.draft(stand, request.path_params["draft"])

    async def _again(self, stand: Stand, request: Request, _: FormData) -> PageView | LeadsTo:
        self._count(stand)
        return await self._steps.again(stand, request.path_params["draft"])

    async def _keep(self, stand: Stand, request: Request, form: FormData) -> PageView | LeadsTo:
        self._count(stand)
        return await self._steps.keep(stand, request.path_params["draft"], form)

    async def _give_up(self, stand: Stand, _: Request, __: FormData) -> PageView | LeadsTo:
        invitation = await stand.linker.invitation()
        why = "Nothing was connected. Your link is still good, should you change your mind."
        return _ended("Stopped", why, "connection_error", invitation.redirect_uri)

    def _answering(self, act: Act) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            stand: Stand | None = None
            try:
                if not self._of_sender.take(request.client.host if request.client else ""):
                    raise too_many("requests from this address")  # noqa: TRY301 - a page too
                stand = self._stand(request)
                form = await request.form(max_files=0, max_fields=_MOST_FIELDS)
                if request.method == "POST" and not self._is_own(stand, form):
                    raise stale_form()  # noqa: TRY301
                return self._sent(await act(stand, request, form), request)
            except NoDraft:  # what was entered is gone: begin again
                return self._sent(LeadsTo(path=CONNECT if stand is None else stand.path()), request)
            except NoInvitation as problem:
                gone = _ended("This link is not good", f"{problem.what} {problem.next_step}", "invalid_token")
                return self._frame.page(gone.template, gone.values, _framing(request), HTTPStatus.GONE)
            except TurnedAway as refused:
                return self._problem(refused.problem, refused.status, request)
            except Problem as problem:
                return self._problem(problem, status_of(problem), request)
            except Exception:
                _logger.exception("The page %s met a mistake", correlation_id_of(request))
                mistake = Problem("This went wrong here, and was logged.", "Try again.", code="INTERNAL_ERROR")
                return self._problem(mistake, HTTPStatus.INTERNAL_SERVER_ERROR, request)

        return answer

    def _stand(self, request: Request) -> Stand:
        """Return where the holder of a token stands. Raises NoInvitation for what is no token."""
        token = request.query_params.get("link_token", "")
        if not token or len(token) > _LONGEST_TOKEN or not token.isprintable():
            raise NoInvitation
        guest = self._desk.guest(SecretStr(token))
        csrf = hmac.digest(self._key, guest.owner.encode(), "sha256").hex()
        offers = {INTEGRATION, "sample"}
        for name in ("integration", "integrations"):
            if wanted := request.query_params.get(name):
                offers &= {one.strip() for one in wanted.split(",")}
        return Stand(
            linker=guest,
            root=CONNECT,
            csrf=csrf,
            query="?" + urlencode({"link_token": token}),
            is_guest=True,
            offers=frozenset(offers),
        )

    def _is_own(self, stand: Stand, form: FormData) -> bool:
        given = form.get(CSRF)
        return isinstance(given, str) and hmac.compare_digest(given.encode(errors="replace"), stand.csrf.encode())

    def _count(self, stand: Stand) -> None:
        """Raise TurnedAway where too many check-ups are asked for with one token."""
        if not self._of_token.take(stand.linker.owner):
            raise too_many("check-ups with this link")

    def _sent(self, done: PageView | LeadsTo, request: Request) -> Response:
        if isinstance(done, LeadsTo):
            there = self._frame.to(done.path)
            return RedirectResponse(there, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
        if done.streamed:
            return self._frame.stream(done.template, done.values, _framing(request))
        return self._frame.page(done.template, done.values, _framing(request), done.status)

    def _problem(self, problem: Problem, status: HTTPStatus, request: Request) -> Response:
        return self._frame.problem(problem, status, _framing(request), correlation_id_of(request))


def _ended(heading: str, why: str, kind: ErrorType, redirect_uri: str | None = None) -> PageView:
    """Return the page of an end at which nothing is connected."""
    values = {"heading": heading, "outcome": failed(why, kind, redirect_uri), "linked": None, "why": why}
    return PageView(template="linking/done.html", values=values)


def _framing(request: Request) -> Framing:
    return Framing(path=request.url.path, is_guest=True)

"""The site: routes made of pages and forms, each behind the same door, and failures shown as pages."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from pingone_mcp.current_connection import working_for
from pingone_mcp.errors import NoSuchConnection, Problem, Refused
from pingone_mcp.web.pages.frame import Framing
from pingone_mcp.web.pages.page import LeadsTo, PageForm, PageView, SitePage, Visit
from pingone_mcp.web.refusals import TurnedAway
from pingone_mcp.web.rest.failures import correlation_id_of, status_of

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.types import Scope

    from pingone_mcp.control.linked import LinkedConnection
    from pingone_mcp.service.callers import Caller, Permission
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.web.authentication.sessions import BrowserSession
    from pingone_mcp.web.pages.frame import Frame

CSRF = "csrf"
"""The field of every form that holds the token of the session."""
SIGN_IN = "/sign-in"
_MOST_FIELDS = 200
_logger = logging.getLogger(__name__)


class Site:
    """All pages of one process, shown in a frame, of the connections of a fleet.

    `matters` counts what of a connection needs a person: each of its pages says so.
    """

    def __init__(self, frame: Frame, fleet: Fleet, matters: Callable[[Caller, str], Awaitable[int]]) -> None:
        self._frame, self._fleet, self._matters = frame, fleet, matters

    def routes(self, pages: Sequence[SitePage], forms: Sequence[PageForm]) -> list[BaseRoute]:
        """Return the routes of pages and forms."""
        return [
            *(Route(form.path, self._acting(form), methods=["POST"], name=f"form {form.path}") for form in forms),
            *(Route(page.path, self._showing(page), methods=["GET"], name=f"page {page.path}") for page in pages),
        ]

    def refused(self, refused: TurnedAway, scope: Scope) -> Response:
        """Return the page of a request that was turned away; who has not signed in is asked to."""
        path, query = scope["path"], bytes(scope["query_string"]).decode("latin-1")
        if refused.status == HTTPStatus.UNAUTHORIZED:
            there = path if scope["method"] == "GET" else "/"
            after = f"{there}?{query}" if query and there == path else there
            asked = "" if after == "/" else "?" + urlencode({"next": after})
            return RedirectResponse(
                self._frame.to(SIGN_IN + asked), HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"}
            )
        correlation_id = scope["state"]["correlation_id"]
        answer = self._frame.problem(refused.problem, refused.status, Framing(path=path), correlation_id)
        answer.headers.update({name: value for name, value in refused.headers.items() if name != "WWW-Authenticate"})
        return answer

    def _showing(self, page: SitePage) -> Callable[[Request], Awaitable[Response]]:
        async def show(request: Request) -> Response:
            if page.for_programs is not None and not hasattr(request.state, "session"):
                return await page.for_programs(request)
            _check_signed_in(request)

            async def answer(visit: Visit) -> Response:
                shown = await page.show(visit)
                return self._led(shown, visit) if isinstance(shown, LeadsTo) else await self._sent(shown, visit)

            return await self._behind(request, page.needs, shows_directory=page.shows_directory, answer=answer)

        return show

    def _acting(self, form: PageForm) -> Callable[[Request], Awaitable[Response]]:
        async def act(request: Request) -> Response:
            _check_signed_in(request)

            async def answer(visit: Visit) -> Response:
                async with request.form(max_files=1, max_fields=_MOST_FIELDS) as sent:
                    _check_token(visit.session, sent)
                    done = await form.act(dataclasses.replace(visit, form=sent))
                return self._led(done, visit) if isinstance(done, LeadsTo) else await self._sent(done, visit)

            return await self._behind(request, form.needs, shows_directory=form.shows_directory, answer=answer)

        return act

    async def _behind(
        self,
        request: Request,
        needs: frozenset[Permission],
        *,
        shows_directory: bool,
        answer: Callable[[Visit], Awaitable[Response]],
    ) -> Response:
        """Let somebody in who may be there, and show what fails as a page."""
        visit: Visit | None = None
        try:
            visit = await self._visit(request, needs, shows_directory=shows_directory)
            if visit.linked is None:
                return await answer(visit)
            with working_for(visit.linked.id):
                return await answer(visit)
        except Problem as problem:
            return self._failed(problem, status_of(problem), request, visit)
        except Exception:
            _logger.exception("The page %s met a mistake", correlation_id_of(request))
            mistake = Problem("This went wrong here, and was logged.", "Try again.", code="INTERNAL_ERROR")
            return self._failed(mistake, HTTPStatus.INTERNAL_SERVER_ERROR, request, visit)

    async def _visit(self, request: Request, needs: frozenset[Permission], *, shows_directory: bool) -> Visit:
        """Return the visit. Raises Refused for who may not open this, and NoSuchConnection."""
        visit = Visit(request=request, session=request.state.session)
        if visit.caller.lacks(needs):
            raise Refused(
                f"You have signed in with a credential that lacks a permission; this needs: {', '.join(sorted(needs))}.",
                "Sign in with another one.",
                code="INSUFFICIENT_SCOPE",
            )
        named = request.path_params.get("connection")
        if named is None:
            return visit
        linked: LinkedConnection = await self._fleet.find(visit.caller, named)
        served = await self._fleet.served(visit.caller, named) if shows_directory else None
        return dataclasses.replace(visit, linked=linked, served=served)

    async def _sent(self, answer: PageView | Response, visit: Visit) -> Response:
        if isinstance(answer, Response):
            return answer
        framing = _framing(visit.request, visit, with_notices=answer.part is None)
        if answer.part is None and visit.linked is not None:
            framing = dataclasses.replace(framing, matters=await self._counted(visit.caller, visit.linked.id))
        if answer.streamed:
            return self._frame.stream(answer.template, answer.values, framing)
        return self._frame.page(answer.template, answer.values, framing, answer.status, part=answer.part)

    async def _counted(self, caller: Caller, connection: str) -> int:
        """Count what needs a person; where that cannot be found out, the page is shown all the same."""
        try:
            return await self._matters(caller, connection)
        except Problem as problem:
            _logger.warning("What needs a person was not found out: %s", problem)
            return 0

    def _led(self, done: LeadsTo, visit: Visit) -> Response:
        if done.said is not None:
            visit.session.notices.append(done.said)
        return RedirectResponse(self._frame.to(done.path), HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})

    def _failed(self, problem: Problem, status: HTTPStatus, request: Request, visit: Visit | None) -> Response:
        is_hidden = isinstance(problem, NoSuchConnection)  # nothing of it is in the frame either
        framing = _framing(request, None if is_hidden else visit)
        return self._frame.problem(problem, status, framing, correlation_id_of(request))


def path_in(connection: str, *segments: str) -> str:
    """Return the path of a page of a connection."""
    return "/".join(["/c", quote(connection, safe=""), *(quote(one, safe="") for one in segments)])


def _framing(request: Request, visit: Visit | None, *, with_notices: bool = False) -> Framing:
    session: BrowserSession | None = getattr(request.state, "session", None)
    linked = None if visit is None else visit.linked
    notices: tuple[str, ...] = ()
    if with_notices and session is not None:
        notices = tuple(session.notices)
        session.notices.clear()
    return Framing(
        path=request.url.path,
        csrf_token=None if session is None else session.csrf_token,
        connection=None if linked is None else {"id": linked.id, "name": linked.name},
        notices=notices,
        reads=visit is None or visit.reads,
    )


def _check_signed_in(request: Request) -> None:
    """Raise HTTPException for a program, which sends a credential of its own: there are no pages for it."""
    if not hasattr(request.state, "session"):
        raise HTTPException(HTTPStatus.NOT_FOUND)


def _check_token(session: BrowserSession, form: FormData) -> None:
    """Raise Refused for a form that this session was not shown."""
    token = form.get(CSRF)
    if not isinstance(token, str) or not session.is_own_form(token):
        raise stale_form()


def stale_form() -> Refused:
    """Return the refusal of a form that was not shown to whoever sends it."""
    return Refused(
        "This form is not one that was shown to you, or you have signed in again since. Nothing was changed.",
        "Go back, load the page again, and send it once more.",
        code="STALE_FORM",
    )

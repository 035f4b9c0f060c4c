"""Signing in and out: by the one-time link of the terminal (`authentication/login.py`), or with an API key."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from pydantic import SecretStr
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from pingone_mcp.web.authentication.bearer import BadCredential
from pingone_mcp.web.pages.frame import Frame, Framing
from pingone_mcp.web.pages.site import SIGN_IN
from pingone_mcp.web.refusals import TurnedAway

if TYPE_CHECKING:
    from starlette.requests import Request

    from pingone_mcp.web.authentication.authenticator import Authenticator
    from pingone_mcp.web.authentication.oidc import OidcSignIn
    from pingone_mcp.web.authentication.sessions import Sessions

SIGN_OUT = "/sign-out"
CALLBACK = f"{SIGN_IN}/callback"
"""Where the authorization server leads back to."""
_BEGIN = f"{SIGN_IN}/oidc"
_LONGEST_KEY = 512


class SigningIn:
    """The page where somebody signs in, and the form that ends a session."""

    def __init__(
        self, frame: Frame, authenticator: Authenticator, sessions: Sessions, oidc: OidcSignIn | None = None
    ) -> None:
        self._frame, self._authenticator, self._sessions, self._oidc = frame, authenticator, sessions, oidc

    def routes(self) -> list[BaseRoute]:
        """Return the routes, which need no session."""
        return [
            Route(SIGN_IN, self._show, methods=["GET"]),
            Route(SIGN_IN, self._sign_in, methods=["POST"]),
            *([] if self._oidc is None else self._oidc_routes(self._oidc)),
        ]

    def _oidc_routes(self, oidc: OidcSignIn) -> list[BaseRoute]:
        async def begin(request: Request) -> Response:
            try:
                begun = await oidc.begin(_own_path(request.query_params.get("next", "")))
            except BadCredential as bad:
                return self._page(request, "", why=str(bad), status=HTTPStatus.BAD_GATEWAY)
            answer = RedirectResponse(begun.url, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
            self._sessions.keep_state(answer, begun.state)
            return answer

        async def end(request: Request) -> Response:
            try:
                caller, after = await oidc.end(request.query_params, self._sessions.state_of(request.headers))
            except BadCredential as bad:
                return self._page(request, "", why=str(bad), status=HTTPStatus.FORBIDDEN)
            answer = RedirectResponse(self._frame.to(after), HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
            self._sessions.end(request.headers, Response())
            self._sessions.open(caller, answer)
            self._sessions.keep_state(answer, "")
            return answer

        return [Route(_BEGIN, begin, methods=["GET"]), Route(CALLBACK, end, methods=["GET"])]

    async def _show(self, request: Request) -> Response:
        return self._page(request, request.query_params.get("next", ""))

    async def _sign_in(self, request: Request) -> Response:
        form = await request.form(max_files=0, max_fields=8)
        key, after = form.get("key"), form.get("next")
        wanted = after if isinstance(after, str) else ""
        shown = key.strip() if isinstance(key, str) else ""
        sender = request.client.host if request.client else ""
        if not shown or len(shown) > _LONGEST_KEY:
            return self._page(request, wanted, why="Enter an API key.", status=HTTPStatus.BAD_REQUEST)
        try:
            caller = await self._authenticator.caller(shown, request.state.place, sender)
        except BadCredential as bad:
            return self._page(request, wanted, why=str(bad), status=HTTPStatus.FORBIDDEN)
        except TurnedAway as refused:
            return self._page(request, wanted, why=str(refused.problem), status=refused.status)
        answer = RedirectResponse(
            self._frame.to(_own_path(wanted)), HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"}
        )
        self._sessions.end(request.headers, Response())
        self._sessions.open(caller, answer, SecretStr(shown))
        return answer

    async def sign_out(self, request: Request) -> Response:
        """End the session of a request, whose form was good."""
        answer = RedirectResponse(self._frame.to(SIGN_IN), HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
        self._sessions.end(request.headers, answer)
        return answer

    def _page(
        self, request: Request, after: str, *, why: str | None = None, status: HTTPStatus = HTTPStatus.OK
    ) -> Response:
        values = {"why": why, "after": _own_path(after), "begin": None if self._oidc is None else _BEGIN}
        return self._frame.page("sign_in.html", values, Framing(path=request.url.path), status)


def _own_path(path: str) -> str:
    """Return a path of ours to go on to; the first page in place of whatever leads elsewhere."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and "\\" not in path
    return path if is_own else "/"

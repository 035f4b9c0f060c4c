"""The link that signs a browser in once, as it is printed on the terminal where the server starts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from pingone_mcp.errors import Refused
from pingone_mcp.service.callers import Caller
from pingone_mcp.web.address import PublicAddress
from pingone_mcp.web.authentication.sessions import Sessions
from pingone_mcp.web.refusals import TurnedAway

_PATH = "/login"
_PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


def login_link(address: PublicAddress, sessions: Sessions, caller: Caller) -> str:
    """Return a link that lets one browser act as a caller; it is good once, for ten minutes."""
    return f"{address.base}{_PATH}?code={sessions.new_code(caller)}"


def login_routes(
    address: PublicAddress, sessions: Sessions, first: Callable[[Caller], Awaitable[str]] | None = None
) -> list[BaseRoute]:
    """Return the route of the link: it begins a session, and leads on to the path that is `first` for its caller."""

    async def login(request: Request) -> Response:
        if request.method == "HEAD":
            return Response(headers=_PRIVATE)  # some programs look at a link before they open it
        response = RedirectResponse(f"{address.base}/", HTTPStatus.SEE_OTHER, _PRIVATE)
        session = sessions.begin(request.query_params.get("code", ""), response)
        if session is not None:
            if first is not None:
                response.headers["Location"] = f"{address.base}{await first(session.caller)}"
            return response
        used = Refused(
            "This link has been used, or is older than ten minutes.",
            "Start `pingone-mcp serve` or `pingone-mcp dashboard` again: it prints another one.",
            code="LINK_USED",
        )
        return TurnedAway(HTTPStatus.FORBIDDEN, used, _PRIVATE).response(request.state.correlation_id)

    return [Route(_PATH, login, methods=["GET"])]

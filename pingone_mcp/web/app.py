"""The HTTP face, put together: what watches, what lets in, and what answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from pingone_mcp import __version__
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.web.cors import Cors
from pingone_mcp.web.gate import RequestGate, is_looked_at
from pingone_mcp.web.operations.requests import Ended, Watching
from pingone_mcp.web.refusals import TurnedAway
from pingone_mcp.web.rest.failures import Strays
from pingone_mcp.web.slashes import SingleSlashes

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from pingone_mcp.clock import Clock
    from pingone_mcp.web.address import PublicAddress
    from pingone_mcp.web.authentication.authenticator import Authenticator
    from pingone_mcp.web.authentication.sessions import Sessions
    from pingone_mcp.web.gate import Knock, Meant, RefusedPage


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """Who is let in: by which address, with which credentials, from which pages of browsers.

    `refused_page` shows refusals to people, where there are pages.
    """

    address: PublicAddress
    authenticator: Authenticator
    sessions: Sessions
    meant: Meant
    knock: Knock
    clock: Clock
    allowed_origins: frozenset[str] = frozenset()
    refused_page: RefusedPage | None = None


def build_app(entrance: Entrance, routes: Sequence[BaseRoute], ended: Sequence[Ended]) -> ASGIApp:
    """Return the whole face; `ended` hear of every request when it has been answered."""
    paths = [route.path for route in routes if isinstance(route, Route) and route.path != "/"]
    strays = Strays(paths)

    async def astray(request: Request, error: Exception) -> Response:
        """Answer what no route takes; where a person looks, with a page."""
        if entrance.refused_page is None or not is_looked_at(request.scope, request.state.place):
            return await strays(request, error)
        gone = Refused("There is no such page.", "See all connections, and go on from there.", code="NOT_FOUND")
        status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND)
        return entrance.refused_page(TurnedAway(status, gone), request.scope)

    inner = Starlette(
        routes=[*routes, Route("/", front, methods=["GET"])],
        exception_handlers={HTTPException: astray, TurnedAway: _turned_away, Exception: _broken},
    )
    inner.router.redirect_slashes = False  # a redirect loses the body of what was sent
    gate = RequestGate(
        inner,
        address=entrance.address,
        authenticator=entrance.authenticator,
        sessions=entrance.sessions,
        meant=entrance.meant,
        knock=entrance.knock,
        clock=entrance.clock,
        allowed_origins=entrance.allowed_origins,
        refused_page=entrance.refused_page,
    )
    return SingleSlashes(Watching(Cors(gate, entrance.allowed_origins), ended))


async def front(_: Request) -> Response:
    """Answer at the root what programs look for there."""
    return JSONResponse({"name": "pingone-mcp", "version": __version__, "api": "/openapi.json", "mcp": "/mcp"})


def _turned_away(request: Request, error: Exception) -> Response:
    assert isinstance(error, TurnedAway)
    return error.response(request.state.correlation_id)


def _broken(request: Request, _: Exception) -> Response:
    """Answer where a bug of ours has shown: uvicorn logs its traceback, and the access log has this id."""
    bug = Problem("This failed for a reason of its own, which was logged.", "Try again.", code="FAILED")
    return TurnedAway(HTTPStatus.INTERNAL_SERVER_ERROR, bug).response(request.state.correlation_id)

"""`POST /hooks/pingone/{connection}`: keeps what was delivered, and answers 200 with nothing.

PingOne takes 200 alone for an answer, and sends again what was answered otherwise, and nothing behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from pingone_mcp.errors import Problem
from pingone_mcp.web.hooks.door import not_now, wrong_secret

if TYPE_CHECKING:
    from starlette.requests import Request

    from pingone_mcp.service.events.hooks.taking import HookTaking


def hook_routes(taking: HookTaking) -> list[BaseRoute]:
    """Return the route; the gate lets deliveries in that show the secret."""

    async def receive(request: Request) -> Response:
        try:
            await taking.take(request.path_params["connection"], await request.body())
        except LookupError:  # removed since the secret was looked at
            raise wrong_secret() from None
        except Problem as problem:
            raise not_now(problem) from None
        return Response(status_code=200)

    return [Route("/hooks/pingone/{connection}", receive, methods=["POST"])]

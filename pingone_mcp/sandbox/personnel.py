"""The part of the sandbox's back door that is about people: somebody is disabled, locked or removed by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pingone_mcp.sandbox.administration import Administration

_ACTS: Mapping[str, Callable[[Administration, int], None]] = MappingProxyType(
    {
        "disable": Administration.disable_user,
        "enable": Administration.enable_user,
        "lock": Administration.lock_user,
        "unlock": Administration.unlock_user,
        "delete": Administration.delete_user,
    }
)


def routes(administration: Callable[[], Administration]) -> list[Route]:
    """Give the routes under `/sandbox/users`; each act is done by the administrator of the main environment."""

    async def act(request: Request) -> Response:
        doing, who = _ACTS.get(request.path_params["act"]), request.path_params["user"]
        if doing is None:
            return JSONResponse({"act": "there is no such act", "acts": list(_ACTS)}, 404)
        administrator = administration()
        state = administrator.state
        position = state.position(who)
        if position is None:
            position = state.position_of_username(who)
        if position is None:
            return JSONResponse({"user": "there is nobody of this id or username"}, 404)
        user = state.user(position)
        doing(administrator, position)
        return JSONResponse({"id": user["id"], "username": user["username"]})

    return [Route("/sandbox/users/{user}/{act}", act, methods=["POST"])]

"""What each endpoint says of itself as an OAuth resource (RFC 9728), to everybody and from everywhere."""

from __future__ import annotations

from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from pingone_mcp.directory.models import JsonObject
from pingone_mcp.service.callers import Permission
from pingone_mcp.web.address import METADATA, PublicAddress
from pingone_mcp.web.places import place_of

_SUPPORTED: tuple[Permission, ...] = ("directory.read",)
"""What clients ask for that ask for all there is; more is named by the answer to what needs more."""
_FRESH = 3600  # seconds


def metadata_routes(address: PublicAddress, issuer: str | None) -> list[BaseRoute]:
    """Return the routes of the documents: for the whole API, `/mcp`, and each id of a connection that could be.

    They are the same whether there is such a connection or not. `issuer` None: there is no authorization server.
    """

    async def document(request: Request) -> Response:
        path = f"/{request.path_params['path']}".removeprefix(address.prefix).rstrip("/")
        place = place_of(path)
        if path and place.resource != path:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return JSONResponse(_metadata(address.resource(path), issuer), headers=headers)

    async def root(_: Request) -> Response:
        return JSONResponse(_metadata(address.base, issuer), headers=headers)

    headers = {"Cache-Control": f"public, max-age={_FRESH}"}
    return [Route(METADATA, root), Route(f"{METADATA}/{{path:path}}", document)]


def _metadata(resource: str, issuer: str | None) -> JsonObject:
    metadata: JsonObject = {
        "resource": resource,
        "scopes_supported": [*_SUPPORTED],
        "bearer_methods_supported": ["header"],
        "resource_name": "PingOne directory",
    }
    return metadata if issuer is None else metadata | {"authorization_servers": [issuer]}

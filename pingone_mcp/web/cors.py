"""Which pages of browsers may read an answer (CORS): those of allowed origins on MCP, all the public documents."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from pingone_mcp.web.address import METADATA
from pingone_mcp.web.places import place_of

_EXPOSED = ("Mcp-Session-Id", "WWW-Authenticate", "X-Request-Id", "Retry-After")
_MAX_AGE = 24 * 60 * 60  # seconds; browsers keep it for two hours or so


class Cors:
    """An ASGI application around the gate, so that refusals can be read too: a client needs the challenge of a 401.

    Preflights of allowed origins are answered, also those about private networks
    (wicg.github.io/private-network-access); all others are the gate's.
    """

    def __init__(self, app: ASGIApp, allowed_origins: frozenset[str]) -> None:
        self._app, self._origins = app, allowed_origins
        self._mcp = CORSMiddleware(
            app,
            allow_origins=sorted(allowed_origins),
            allow_methods=["GET", "POST", "DELETE", "OPTIONS"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
            allow_private_network=True,
            max_age=_MAX_AGE,
        )
        self._public = CORSMiddleware(
            app, allow_origins=["*"], allow_headers=["*"], allow_private_network=True, max_age=_MAX_AGE
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._around(scope)(scope, receive, send)

    def _around(self, scope: Scope) -> ASGIApp:
        if scope["type"] != "http":
            return self._app
        path: str = scope["path"]
        if path.startswith(METADATA):
            return self._public
        is_allowed = Headers(scope=scope).get("origin") in self._origins
        return self._mcp if is_allowed and place_of(path).face == "mcp" else self._app

"""Slashes in paths: several at once are one, before anything looks at the path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_SEVERAL = re.compile(rb"/{2,}")


class SingleSlashes:
    """An ASGI application around all others, which then agree on what a path is.

    Clients join a base URL that ends in a slash with paths that begin with one. Slashes that were percent-encoded are
    part of a value, and stay.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw: bytes | None = scope.get("raw_path")
        if raw is not None and b"//" in raw:
            single = _SEVERAL.sub(b"/", raw)
            scope = {**scope, "raw_path": single, "path": unquote(single.decode("latin-1"))}
        await self._app(scope, receive, send)

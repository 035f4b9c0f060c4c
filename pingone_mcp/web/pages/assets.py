"""The files that pages are made of: styles, the script, the mark. Each path names its content, so that it is kept."""

from __future__ import annotations

import hashlib
import mimetypes
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pingone_mcp.errors import NotFound
from pingone_mcp.web.refusals import TurnedAway

_FOLDER = Path(__file__).with_name("assets")
_PREFIX = "/assets/"
_DIGEST = 12
_KEPT = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


class Assets:
    """All files of the folder, read once."""

    def __init__(self, folder: Path = _FOLDER) -> None:
        self._paths: dict[str, str] = {}
        self._files: dict[str, tuple[bytes, str]] = {}
        for file in sorted(folder.iterdir()):
            content = file.read_bytes()
            stem, _, ending = file.name.rpartition(".")
            named = f"{stem}.{hashlib.sha256(content).hexdigest()[:_DIGEST]}.{ending}"
            self._paths[file.name] = _PREFIX + named
            self._files[named] = content, mimetypes.guess_type(file.name)[0] or "application/octet-stream"

    def path_of(self, name: str) -> str:
        """Return the path of a file as it is now."""
        return self._paths[name]

    def text(self, name: str) -> str:
        """Return what a file says, for a document that has to stand alone."""
        return self._files[self._paths[name].removeprefix(_PREFIX)][0].decode()

    def route(self) -> Route:
        """Return the route by which browsers get them."""
        return Route(f"{_PREFIX}{{name}}", self._send, methods=["GET"], name="asset")

    async def _send(self, request: Request) -> Response:
        found = self._files.get(request.path_params["name"])
        if found is None:
            gone = NotFound("There is no such file any more.", "Load the page again.", code="NOT_FOUND")
            raise TurnedAway(HTTPStatus.NOT_FOUND, gone)
        content, kind = found
        return Response(content, headers=_KEPT, media_type=kind)

"""Requests as they end: watched from outside everything else, so that refused ones count too."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pingone_mcp.directory.rows import timestamp
from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.web.authentication.bearer import without_credentials

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pingone_mcp.service.callers import Caller

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# The first words of the paths that there are; in figures, every other path is `other`.
_AREAS = {
    "mcp": "mcp",
    "c": "mcp",
    ".well-known": "discovery",
    "unified": "unified",
    "proxy": "proxy",
    "integrated-account": "connections",
    "link-token": "connections",
    "webhook": "events",
    "hooks": "hooks",
    "sync-job-run": "syncs",
    "schedule": "schedules",
    "ping": "health",
    "healthz": "health",
    "readyz": "health",
    "metrics": "health",
    "openapi.json": "document",
}
_LONGEST_PATH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRequest:
    """One request and its answer. `status` is 499 where the client went before the answer began (as nginx has it)."""

    id: str | None
    at: datetime
    method: str
    path: str
    status: int
    seconds: float
    bytes_sent: int
    caller: Caller | None

    @property
    def known_method(self) -> str:
        """The method where it is one, so that nobody fills memory with names of methods."""
        return self.method if self.method in _METHODS else "other"


def area(path: str) -> str:
    """Return what a path is about, out of a few words."""
    first = path.lstrip("/").partition("/")[0]
    if first == "c" and not path.rstrip("/").endswith("/mcp"):
        return "other"
    return _AREAS.get(first, "other")


def access_line(request: ServedRequest) -> str:
    """Return a line of the access log: JSON without credentials, header values, query, or who a token is about."""
    is_path = request.path.startswith("/")  # what else is asked for may be a URL with a password
    return json.dumps(
        {
            "event": "request",
            "at": timestamp(request.at),
            "id": request.id,
            "method": request.known_method,
            "path": harmless(without_credentials(request.path)[:_LONGEST_PATH]) if is_path else None,
            "status": request.status,
            "ms": round(request.seconds * 1000, 1),
            "bytes": request.bytes_sent,
            "caller": None if request.caller is None else _shown(request.caller),
        }
    )


def _shown(caller: Caller) -> str:
    """Name the program that calls; the subject of a token may be a person."""
    return harmless(caller.client_id) if caller.client_id != caller.subject else caller.kind


Ended = Callable[[ServedRequest], None]
"""Hears of a request when it has been answered, or its client has gone."""


class Watching:
    """Tell `ended` of every HTTP request, once it has been answered or its client has gone: an ASGI middleware."""

    def __init__(
        self,
        app: ASGIApp,
        ended: Sequence[Ended],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._ended = ended
        self._now = now
        self._monotonic = monotonic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        at, began = self._now(), self._monotonic()
        status, size = 499, 0

        async def watched(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            state = scope.get("state", {})
            request = ServedRequest(
                id=state.get("correlation_id"),
                at=at,
                method=scope["method"],
                path=scope["path"],
                status=status,
                seconds=self._monotonic() - began,
                bytes_sent=size,
                caller=state.get("caller"),
            )
            for tell in self._ended:
                tell(request)

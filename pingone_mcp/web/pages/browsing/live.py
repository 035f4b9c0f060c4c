"""The stream that says when the directory has changed (server-sent events), for as long as somebody looks at it.

It says that there is something new, and nothing of what: a page that is open asks for that again, as every page is
asked for. `changed` comes when a sync has found changes, `synced` when a sync has ended or something was read again.
"""

from __future__ import annotations

import logging
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING

import anyio
from starlette.responses import Response

from pingone_mcp.current_connection import working_for
from pingone_mcp.errors import Problem, Refused
from pingone_mcp.service.browsing.copied import edition_of_copy
from pingone_mcp.tasks import background
from pingone_mcp.web.authentication.bearer import BadCredential
from pingone_mcp.web.pages.page import SitePage
from pingone_mcp.web.refusals import TurnedAway
from pingone_mcp.web.rest.failures import correlation_id_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from pingone_mcp.clock import Clock
    from pingone_mcp.service.fleet.fleet import Fleet
    from pingone_mcp.web.authentication.authenticator import Authenticator
    from pingone_mcp.web.authentication.sessions import Sessions
    from pingone_mcp.web.pages.page import Visit

MOST_OF_ONE = 20
"""Streams of one caller at once; a page that nobody looks at has none."""
MOST = 500
"""Streams of a process."""
LOOK_SECONDS = 10.0
"""So often it is looked whether a caller may still have a stream, and whether a sync has ended."""
_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),  # nginx would wait until there is more of it
)
_logger = logging.getLogger(__name__)


class LiveStreams:
    """The streams of a process, until it is asked to end."""

    def __init__(self, fleet: Fleet, authenticator: Authenticator, sessions: Sessions, clock: Clock) -> None:
        self.fleet, self.authenticator, self.sessions, self.clock = fleet, authenticator, sessions, clock
        self._open: dict[_Stream, str] = {}
        self._is_stopping = False

    def pages(self) -> list[SitePage]:
        return [SitePage(path="/c/{connection}/live", show=self._show)]

    def stop(self) -> None:
        """End all streams, and begin no more."""
        self._is_stopping = True
        for stream in tuple(self._open):
            stream.end()

    def opened(self, stream: _Stream, principal: str) -> None:
        self._open[stream] = principal

    def ended(self, stream: _Stream) -> None:
        self._open.pop(stream, None)

    async def _show(self, visit: Visit) -> Response:
        if visit.request.method == "HEAD":
            return Response(media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        principal = visit.caller.principal
        if self._is_stopping:
            raise Problem("The server is about to stop.", "Load the page again in a little while.", code="STOPPING")
        if len(self._open) >= MOST or Counter(self._open.values())[principal] >= MOST_OF_ONE:
            busy = Refused("Too many pages are open at once.", "Close some, or load this one by hand.", code="TOO_MANY")
            refused = TurnedAway(HTTPStatus.TOO_MANY_REQUESTS, busy, {"Retry-After": "30"})
            return refused.response(correlation_id_of(visit.request))
        return _Stream(self, visit)


class _Stream(Response):
    """One stream, as an answer of its own: it lasts until one side ends it."""

    def __init__(self, streams: LiveStreams, visit: Visit) -> None:
        super().__init__()
        self._streams, self._visit = streams, visit
        self._scope = anyio.CancelScope()
        self._news = anyio.Event()
        self._has_changed = False
        self._edition: str | None = None

    def end(self) -> None:
        self._scope.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - as ASGI has it
        assert self._visit.served is not None, "a page that shows the directory"
        ends = self._visit.session.streams
        self._streams.opened(self, self._visit.caller.principal)
        ends.append(self.end)
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": [*_HEADERS]})
        try:
            with (
                self._scope,
                working_for(self._visit.connection.id),
                self._visit.served.on_changes(self._changed),
            ):
                await self._last(receive, send)
        finally:
            self._streams.ended(self)
            ends.remove(self.end)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _changed(self, _: str) -> None:
        self._has_changed = True
        self._news.set()

    async def _last(self, receive: Receive, send: Send) -> None:
        self._edition = await self._edition_now()
        await _say(send, f"retry: 5000\nevent: listening\ndata: {'' if self._edition is None else 'copied'}\n\n")
        async with background() as tasks:
            tasks.start_soon(self._until_left, receive)
            tasks.start_soon(self._look, send)
            while True:
                await self._news.wait()
                self._news, self._has_changed = anyio.Event(), False
                self._edition = await self._edition_now()
                await _say(send, "event: changed\ndata:\n\n")

    async def _until_left(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.end()

    async def _look(self, send: Send) -> None:
        """End the stream of who may not have it any more; say what a sync that has changed nothing does not say."""
        while True:
            await self._streams.clock.sleep(LOOK_SECONDS)
            if not await self._may_go_on():
                self.end()
                return
            edition = await self._edition_now()
            if edition == self._edition or self._has_changed:
                await _say(send, ":\n\n")  # who has left without a word is found out
                continue
            is_first, self._edition = self._edition is None, edition
            await _say(send, f"event: {'changed' if is_first else 'synced'}\ndata:\n\n")

    async def _edition_now(self) -> str | None:
        try:
            return await edition_of_copy(await self._visit.backend())
        except Problem:  # the page that is open says what is wrong when it is loaded
            return self._edition

    async def _may_go_on(self) -> bool:
        visit, streams = self._visit, self._streams
        if streams.sessions.of(visit.request.headers) is not visit.session:
            return False
        caller, credential = visit.caller, visit.session.credential
        host = visit.request.client.host if visit.request.client else ""
        try:
            if credential is not None:
                shown = credential.get_secret_value()
                caller = await streams.authenticator.caller(shown, visit.request.state.place, host)
            served = await streams.fleet.served(caller, visit.connection.id)
        except (BadCredential, TurnedAway, Refused):
            return False
        except Problem as problem:
            _logger.warning("Whether a stream may go on could not be found out: %s", problem)
            return True
        return served is visit.served and not caller.lacks({"directory.read"})


async def _say(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})

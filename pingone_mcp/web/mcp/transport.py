"""Sessions of the SDK in which each request is answered as it asks for itself: with JSON, or with a stream of events.

The SDK decides that for all sessions at once. Pieces of it that are not public are used here; it is pinned to 2.3.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.shared.message import ServerMessageMetadata, SessionMessage
from mcp.types import INVALID_REQUEST, JSONRPCError, JSONRPCResponse

if TYPE_CHECKING:
    from types import TracebackType

    from mcp.server.auth.middleware.bearer_auth import AuthorizationContext
    from mcp.shared._stream_protocols import ReadStream, WriteStream
    from starlette.responses import Response

WANTS_JSON: ContextVar[bool] = ContextVar("wants_json", default=False)
"""Whether the client of the request that is being answered takes no stream of events."""


class SessionManager(StreamableHTTPSessionManager):
    """The sessions of one server."""

    @property
    def json_response(self) -> bool:
        return WANTS_JSON.get()

    @json_response.setter
    def json_response(self, _: bool) -> None:
        """Take what the SDK's own constructor sets; the request at hand decides."""

    def has(self, session: str) -> bool:
        """Say whether there is a session of this id."""
        return session in self._server_instances

    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        admitted = super()._admit_session(requestor)
        if admitted is None or admitted.mcp_session_id is None:
            return None
        transport = SessionTransport(admitted.mcp_session_id, idle_timeout=self.session_idle_timeout)
        self._server_instances[admitted.mcp_session_id] = transport
        return transport


class SessionTransport(StreamableHTTPServerTransport):
    """One session over HTTP."""

    @property
    def is_json_response_enabled(self) -> bool:
        return WANTS_JSON.get()

    @is_json_response_enabled.setter
    def is_json_response_enabled(self, _: bool) -> None:
        """Take what the SDK's own constructor sets; the request at hand decides."""

    @asynccontextmanager
    async def connect(
        self,
    ) -> AsyncIterator[tuple[ReadStream[SessionMessage | Exception], WriteStream[SessionMessage]]]:
        WANTS_JSON.set(False)  # this task is the session's, and not of the request that has opened it
        async with super().connect() as (received, say):
            yield received, _ToStreams(say, self._sse_stream_writers)

    def _create_error_response(
        self,
        error_message: str,
        status_code: HTTPStatus,
        error_code: int = INVALID_REQUEST,
        headers: dict[str, str] | None = None,
    ) -> Response:
        """Word a refusal; who asks in a session that ends meanwhile meets no failure of ours, but its end."""
        if self.is_terminated:
            status_code, error_code = HTTPStatus.NOT_FOUND, INVALID_REQUEST
        return super()._create_error_response(error_message, status_code, error_code, headers)


class _ToStreams:
    """What a session sends, without what belongs to a request that is answered with JSON: it has no way there."""

    def __init__(self, say: WriteStream[SessionMessage], streams: Container[int | str]) -> None:
        self._say, self._streams = say, streams

    async def send(self, item: SessionMessage, /) -> None:
        if isinstance(item.message, JSONRPCResponse | JSONRPCError) or self._has_way(item):
            await self._say.send(item)

    def _has_way(self, item: SessionMessage) -> bool:
        known = item.metadata
        related = known.related_request_id if isinstance(known, ServerMessageMetadata) else None
        return related is None or str(related) in self._streams

    async def aclose(self) -> None:
        await self._say.aclose()

    async def __aenter__(self) -> Self:
        await self._say.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._say.__aexit__(kind, error, trace)

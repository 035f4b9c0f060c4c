"""Clients that asked to be told when `pingone://changes` has news: in both eras of the protocol.

Since 2026-07-28 a client opens a `subscriptions/listen` stream, which the SDK serves; before, it sends
`resources/subscribe` and is told on its session, which the SDK leaves to the server.
"""

from __future__ import annotations

import logging
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

CHANGES = "pingone://changes"
_logger = logging.getLogger(__name__)


class Subscribers:
    """Everybody who wants to be told; `bus` leads to the streams of the newer era."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        # By the client: a session is made for every request, what its `initialize` said stays the same object.
        self._sessions: dict[int, ServerSession] = {}

    def serve(self, server: MCPServer[Any]) -> None:
        """Answer the requests of the older era; MCPServer has no public way to."""
        connections = server._lowlevel_server  # noqa: SLF001 - as the docstring says
        connections.add_request_handler("resources/subscribe", SubscribeRequestParams, self.subscribe)
        connections.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self.unsubscribe)

    async def subscribe(self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams) -> EmptyResult:
        if str(params.uri) != CHANGES:
            raise MCPError(INVALID_PARAMS, f"Only {CHANGES} tells of its changes.")
        self._sessions[id(ctx.session.client_params)] = ctx.session
        return EmptyResult()

    async def unsubscribe(self, ctx: ServerRequestContext[Any, Any], _: UnsubscribeRequestParams) -> EmptyResult:
        self._sessions.pop(id(ctx.session.client_params), None)
        return EmptyResult()

    async def tell(self) -> None:
        """Tell everybody that there are new changes. Who has gone is forgotten."""
        await self.bus.publish(ResourceUpdated(uri=CHANGES))
        for client, session in tuple(self._sessions.items()):
            try:
                await session.send_resource_updated(CHANGES)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, MCPError):
                self._sessions.pop(client, None)
                _logger.debug("A subscriber has gone.")

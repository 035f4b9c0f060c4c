"""Clients that asked to hear when `pingone://changes` has news, of both eras of the protocol, each of one connection.

Since 2026-07-28 a client opens a `subscriptions/listen` stream; before, it sends `resources/subscribe` and is notified
on its session. MCPServer leaves the second to us, and knows one audience for all of the first.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from functools import partial
from typing import Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from pingone_mcp.service.connections import ServedConnection

CHANGES = "pingone://changes"
PATIENCE_SECONDS = 5.0
"""With a client that does not read what it has asked for."""
_logger = logging.getLogger(__name__)

_Request = ServerRequestContext[ServedConnection, Any]


class _Audience:
    """Who listens to one connection: the streams of the newer era, and the sessions of the older one."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._bus = InMemorySubscriptionBus()
        self.listen = ListenHandler(self._bus)
        # By the client: a session is made for every request, what its `initialize` said stays the same object.
        self.sessions: dict[int, ServerSession] = {}

    def add(self, session: ServerSession) -> None:
        """Notify a session from now on, until it ends."""
        client = id(session.client_params)
        if client not in self.sessions:
            session._connection.exit_stack.callback(self.sessions.pop, client, None)  # noqa: SLF001 - no public way
        self.sessions[client] = session

    async def notify(self) -> None:
        """Say to everybody that there are new changes: at once, so that one who does not read keeps no other waiting.

        A client that is gone, or has not taken it in time, is forgotten.
        """
        await self._bus.publish(ResourceUpdated(uri=CHANGES))
        async with anyio.create_task_group() as tasks:
            for client, session in tuple(self.sessions.items()):
                tasks.start_soon(self._notify, client, session)

    async def _notify(self, client: int, session: ServerSession) -> None:
        try:
            with anyio.fail_after(self._patience):
                await session.send_resource_updated(CHANGES)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, MCPError, TimeoutError):
            self.sessions.pop(client, None)
            _logger.debug("A subscriber has gone.")


class Subscribers:
    """The audiences of all connections that a server serves, by the ids of the connections.

    `patience` is how many seconds a client has to read what it is sent.
    """

    def __init__(self, patience: float = PATIENCE_SECONDS) -> None:
        self._audiences: defaultdict[str, _Audience] = defaultdict(partial(_Audience, patience))

    def serve(self, server: MCPServer[ServedConnection]) -> None:
        """Answer the requests to subscribe; MCPServer has no public way to."""
        requests = server._lowlevel_server  # noqa: SLF001 - as the docstring says
        requests.add_request_handler("resources/subscribe", SubscribeRequestParams, self._subscribe)
        requests.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)
        requests.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, self._listen)

    async def changed(self, connection: str) -> None:
        """Notify those, and only those, who listen to a connection, of which a sync has found changes."""
        if connection in self._audiences:
            await self._audiences[connection].notify()

    async def _listen(self, ctx: _Request, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        return await self._audience(ctx).listen(ctx, params)

    async def _subscribe(self, ctx: _Request, params: SubscribeRequestParams) -> EmptyResult:
        if str(params.uri) != CHANGES:
            raise MCPError(INVALID_PARAMS, f"Only {CHANGES} tells of its changes.")
        self._audience(ctx).add(ctx.session)
        return EmptyResult()

    async def _unsubscribe(self, ctx: _Request, _: UnsubscribeRequestParams) -> EmptyResult:
        self._audience(ctx).sessions.pop(id(ctx.session.client_params), None)
        return EmptyResult()

    def _audience(self, ctx: _Request) -> _Audience:
        return self._audiences[ctx.lifespan_context.id]

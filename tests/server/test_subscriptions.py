"""Subscribers of both eras, as the server knows them: who hears, and who keeps nobody waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCNotification, JSONRPCRequest, ResourceUpdatedNotification

from pingone_mcp.server.edge import lifespan
from pingone_mcp.server.strict import StrictServer
from pingone_mcp.server.subscriptions import CHANGES, Subscribers
from pingone_mcp.service.connections import ServedConnection, serve_one
from tests.world import World


async def test_who_does_not_read_keeps_nobody_waiting_and_is_forgotten(world: World) -> None:
    subscribers = Subscribers(patience=0.05)

    @asynccontextmanager
    async def lend() -> AsyncIterator[ServedConnection]:
        async with serve_one(world.backend) as served:
            yield served

    server = StrictServer("server", lifespan=lifespan(lend, subscribers), subscriptions=False, log_level="WARNING")
    subscribers.serve(server)
    heard = anyio.Event()

    async def hear(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            heard.set()

    async with (
        anyio.create_task_group() as tasks,
        subscribed_and_deaf(server, tasks),
        Client(server, mode="legacy", message_handler=hear) as client,
    ):
        with pytest.warns(MCPDeprecationWarning):
            await client.subscribe_resource(CHANGES)  # type: ignore[deprecated] # it is the older era
        with anyio.fail_after(30):
            await subscribers.changed("default")
            await heard.wait()
            with anyio.CancelScope() as at_once:
                tasks.start_soon(_cancel_when_idle, at_once)
                await subscribers.changed("default")
        assert not at_once.cancelled_caught, "who was forgotten is not waited for once more"


async def _cancel_when_idle(scope: anyio.CancelScope) -> None:
    await anyio.wait_all_tasks_blocked()
    scope.cancel()


@asynccontextmanager
async def subscribed_and_deaf(server: StrictServer, tasks: anyio.abc.TaskGroup) -> AsyncIterator[None]:
    """Have a client that has subscribed, and reads no more."""
    requests: Any = server._lowlevel_server  # noqa: SLF001 - as stdio has it
    send, receive = anyio.create_memory_object_stream[SessionMessage | Exception]()
    reply, replies = anyio.create_memory_object_stream[SessionMessage]()
    tasks.start_soon(requests.run, receive, reply, requests.create_initialization_options())
    async with send, replies:
        opening = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "deaf", "version": "1"}}
        await send.send(SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=1, method="initialize", params=opening)))
        await replies.receive()
        await send.send(SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/initialized")))
        subscribe = JSONRPCRequest(jsonrpc="2.0", id=2, method="resources/subscribe", params={"uri": CHANGES})
        await send.send(SessionMessage(subscribe))
        await replies.receive()
        yield

"""A live PingOne over the sandbox and the local copy of it, side by side."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from pingone_mcp.pingone.api.client import open_client
from pingone_mcp.pingone.directory import PingOneDirectory
from pingone_mcp.pingone.feed.source import PingOneSource
from pingone_mcp.pingone.served import Served
from pingone_mcp.replica.asking.directory import ReplicaDirectory
from pingone_mcp.replica.store.store import Store
from pingone_mcp.replica.sync import Sync
from pingone_mcp.replica.syncing.task import SyncOptions
from pingone_mcp.sandbox.app import Sandbox
from tests.world import NOW, World, replica_path


@dataclass
class Both:
    """A live directory and the copy of it; `offline` cuts the way to PingOne."""

    world: World
    live: PingOneDirectory
    copy: ReplicaDirectory
    served: Served
    store: Store
    line: Line

    @property
    def sandbox(self) -> Sandbox:
        return self.world.sandbox

    async def sync(self, mode: Any = "auto", **options: Any) -> None:
        self.sandbox.clock.advance(1)
        self.world.time.passed += 1
        report = await Sync(PingOneSource(self.served), self.store, SyncOptions(**options)).run(mode)
        assert report.complete, report.reason

    @property
    def offline(self) -> ReplicaDirectory:
        self.line.cut = True
        return self.copy


class Line(httpx.AsyncBaseTransport):
    """The way to PingOne, which may be cut; a `refused` environment answers 403."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.cut = False
        self.refused = "nothing"

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.cut:
            raise httpx.ConnectError("cut")
        if self.refused in request.url.path:
            return httpx.Response(403, json={"code": "ACCESS_FAILED"}, request=request)
        return await self._inner.handle_async_request(request)


@asynccontextmanager
async def opened(world: World, *, synced: bool = True, roles: bool = True, **changes: Any) -> AsyncIterator[Both]:
    connection = world.connection(**({"retry_seconds": 0.0} | changes))
    line = Line(world.sandbox.transport())
    store = Store(replica_path(connection))
    async with open_client(connection, transport=line, clock=world.time.clock()) as client:
        live = PingOneDirectory(client, world.time.clock())
        copy = ReplicaDirectory(store, live, live.profile, world.time.clock().now)
        both = Both(world, live, copy, Served(client, world.time.clock()), store, line)
        if synced:
            await both.sync(roles=roles)
        yield both


def a_world(folder: Path, size: int = 500) -> World:
    return World(sandbox=Sandbox(size=size, now=NOW), cache=folder / "cache")

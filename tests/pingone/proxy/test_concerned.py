"""Whom a write is about is read while the person waits: all of it within one bound."""

from __future__ import annotations

import anyio
import httpx

from pingone_mcp.directory.native import ProxyQuestion
from pingone_mcp.pingone.proxy.concerned import concerned
from tests.world import World


async def test_however_many_are_named_they_are_read_within_one_bound(world: World) -> None:
    started: list[str] = []

    class Stuck(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if "/users/" not in request.url.path:
                return await inner.handle_async_request(request)
            started.append(request.url.path)
            await anyio.sleep_forever()
            raise AssertionError

    inner = world.sandbox.transport()
    users = [user["id"] for user in world.sandbox.users()][:100]
    path = "/".join(("/environments", world.sandbox.environment_id, *(f"users/{user}" for user in users)))
    async with world.directory(transport=Stuck(), allow_writes=True) as directory:
        with anyio.fail_after(10):
            found = await concerned(directory.served, ProxyQuestion(method="DELETE", path=path), seconds=0.2)
    assert [(one.id, one.name, one.found) for one in found] == [(user, None, None) for user in users]
    assert len(started) <= 1

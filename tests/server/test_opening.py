"""The connection is opened once for all callers, by nobody who may leave, and closed by who has opened it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from pingone_mcp.service.backend import Backend
from tests.world import World, facts


@dataclass
class Slow(World):
    """A world whose backend is long in opening; it notes which task opens it, and which one closes it."""

    reached: anyio.Event = field(default_factory=anyio.Event)
    open: anyio.Event = field(default_factory=anyio.Event)
    opened_by: list[int] = field(default_factory=list[int])
    closed_by: list[int] = field(default_factory=list[int])

    @asynccontextmanager
    async def backend(self, **given: Any) -> AsyncIterator[Backend]:
        self.opened_by.append(anyio.get_current_task().id)
        self.reached.set()
        await self.open.wait()
        try:
            async with super().backend(**given) as backend:
                yield backend
        finally:
            self.closed_by.append(anyio.get_current_task().id)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_who_leaves_while_the_connection_is_opened_stops_nobody(world: World, mode: str) -> None:
    slow = Slow(sandbox=world.sandbox, cache=world.cache)
    with anyio.fail_after(60):
        async with slow.client(mode=mode) as client:
            async with anyio.create_task_group() as callers:
                callers.start_soon(client.call_tool, "list_users", {})
                await slow.reached.wait()
                callers.cancel_scope.cancel()
            slow.open.set()
            for _ in range(3):
                assert facts(await client.call_tool("list_users", {"limit": 1}))["result_count"] == 1
    assert len(slow.opened_by) == 1
    assert slow.closed_by == slow.opened_by

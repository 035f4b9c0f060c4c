"""Whoever leaves takes along what is theirs alone, and nothing that others wait for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from pingone_mcp.clock import Clock
from pingone_mcp.directory.native import ProxyQuestion
from pingone_mcp.directory.provider import DeactivatedQuestion, GroupQuestion, MemberQuestion, UserQuestion
from pingone_mcp.errors import Unreachable
from pingone_mcp.http.token_cache import PATIENCE
from pingone_mcp.pingone.directory import PingOneDirectory, open_directory
from tests.world import World

Call = Callable[[World, PingOneDirectory], Awaitable[Any]]


async def members(world: World, directory: PingOneDirectory) -> Any:
    group = (await directory.groups(GroupQuestion())).items[0]
    return await directory.members(MemberQuestion(group=str(group.name)))


async def proxied(world: World, directory: PingOneDirectory) -> Any:
    path = f"/environments/{world.sandbox.environment_id}/populations"
    return replace(await directory.native.send(ProxyQuestion(method="GET", path=path)), correlation_id=None)


CALLS: dict[str, Call] = {
    "users": lambda _, directory: directory.users(UserQuestion(include=("groups", "roles")), page_size=5),
    "user": lambda world, directory: directory.user(str(next(world.sandbox.users())["username"])),
    "deactivated": lambda world, directory: directory.deactivated(
        DeactivatedQuestion(reasons=("disabled",)), page_size=5
    ),
    "members": members,
    "describe": lambda _, directory: directory.describe(),
    "proxy": proxied,
}


class Door(httpx.AsyncBaseTransport):
    """Counts what passes, tells of the n-th, and keeps those behind whose path ends with `held` until it is open."""

    def __init__(self, world: World, *, held: str = "?") -> None:
        self._inner = world.sandbox.transport()
        self._held = held
        self.passed: list[str] = []
        self.reached, self.left, self.open = anyio.Event(), anyio.Event(), anyio.Event()
        self.at = 0
        self.scope = anyio.CancelScope()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.passed.append(request.url.path)
        if len(self.passed) == self.at:
            self.scope.cancel()
        if request.url.path.endswith(self._held):
            self.reached.set()
            try:
                await self.open.wait()
            finally:
                self.left.set()
        return await self._inner.handle_async_request(request)


async def cancelled_at(world: World, call: Call, truth: Any, *, step: int = -1, request: int = -1) -> bool:
    """Cancel a call at a step of the event loop or at one of its requests; say whether it was still under way."""
    door = Door(world)
    door.at = request
    cache = world.cache / f"{step} {request}"
    before = len(anyio.get_running_tasks())

    async def cancel() -> None:
        for _ in range(step):
            await anyio.lowlevel.checkpoint()
        door.scope.cancel()

    async with world.directory(transport=door, environments=None, cache_dir=cache) as directory:
        async with anyio.create_task_group() as tasks:
            if step >= 0:
                tasks.start_soon(cancel)
            with door.scope:
                await call(world, directory)
            tasks.cancel_scope.cancel()
        assert await call(world, directory) == truth
        while len(anyio.get_running_tasks()) > before:
            await anyio.lowlevel.checkpoint()
    assert sum(path.endswith("/as/token") for path in door.passed) == 1
    assert sum(world.time.naps) < PATIENCE, "nobody holds the lock of the tokens"
    return door.scope.cancelled_caught


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_that_is_cancelled_at_any_moment_leaves_nothing_behind(world: World, name: str) -> None:
    call = CALLS[name]
    with anyio.fail_after(60):
        async with world.directory(environments=None) as directory:
            truth = await call(world, directory)
        request = 1
        while await cancelled_at(world, call, truth, request=request):
            request += 1
        assert request > 1
        for step in (0, 1, 3, 8, 21, 55, 144):
            await cancelled_at(world, call, truth, step=step)


async def test_names_that_take_longer_than_anybody_waits_are_read_once(world: World) -> None:
    door = Door(world, held="/v1/environments")
    async with world.directory(transport=door, environments=None) as directory:
        for _ in range(4):
            async with anyio.create_task_group() as callers:
                callers.start_soon(directory.describe)
                await door.reached.wait()
                callers.cancel_scope.cancel()
        door.open.set()
        assert (await directory.describe()).organizations
    assert door.passed.count("/v1/environments") == 1


async def test_a_name_that_several_ask_for_is_read_once_and_given_up_with_the_last(world: World) -> None:
    door = Door(world, held="/groups")
    found: list[Any] = []

    async def ask(directory: PingOneDirectory, name: str, scope: anyio.CancelScope) -> None:
        with scope:
            found.append(await directory.group(name))

    async with world.directory(transport=door) as directory:
        name = (await whole(world)).name
        scopes = [anyio.CancelScope() for _ in range(3)]
        with anyio.fail_after(30):
            async with anyio.create_task_group() as callers:
                for scope in scopes:
                    callers.start_soon(ask, directory, name, scope)
                await door.reached.wait()
                scopes[0].cancel()
                await anyio.wait_all_tasks_blocked()
                assert not door.left.is_set()
                for scope in scopes:
                    scope.cancel()
            await door.left.wait()
        door.open.set()
        assert (await directory.group(name)).name == name
    assert found == []
    assert sum(path.endswith("/groups") for path in door.passed) == 2


async def whole(world: World) -> Any:
    async with world.directory() as directory:
        return (await directory.groups(GroupQuestion())).items[0]


async def test_what_was_read_before_a_change_is_not_kept_behind_it(world: World) -> None:
    door = Door(world, held="/populations")
    async with world.directory(transport=door) as directory, anyio.create_task_group() as callers:
        names = directory.served.names
        callers.start_soon(names.populations, world.sandbox.environment_id)
        await door.reached.wait()
        names.forget()
        door.open.set()
        await names.populations(world.sandbox.environment_id)
        await names.populations(world.sandbox.environment_id)
    assert sum(path.endswith("/populations") for path in door.passed) == 2


async def test_a_write_whose_caller_leaves_may_have_changed_names(world: World) -> None:
    door = Door(world, held="/populations")
    path = f"/environments/{world.sandbox.environment_id}/populations"
    question = ProxyQuestion(method="POST", path=path, body={"name": "Visitors"})
    async with world.directory(transport=door, allow_writes=True) as directory:
        door.open.set()
        await directory.served.names.populations(world.sandbox.environment_id)
        door.at = len(door.passed) + 1
        door.open = anyio.Event()
        with door.scope:
            await directory.native.send(question)
        door.open.set()
        before = len(door.passed)
        await directory.served.names.populations(world.sandbox.environment_id)
    assert door.scope.cancelled_caught
    assert len(door.passed) == before + 1


async def test_what_is_read_for_everybody_tells_those_who_wait_what_happened_before_they_leave(world: World) -> None:
    class Refusing(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.startswith("/v1/"):
                raise httpx.ConnectError("") from ConnectionRefusedError()
            return await world.sandbox.transport().handle_async_request(request)

    clock = replace(world.time.clock(), left=lambda: Clock().left() - 59.6)  # so that a slow machine is in time
    async with open_directory(world.connection(), transport=Refusing(), clock=clock) as directory:
        await directory.served.client.authenticate()
        with anyio.fail_after(60), pytest.raises(Unreachable, match="refused the connection"):
            await directory.served.names.populations(world.sandbox.environment_id)
    assert world.time.naps == [], "the next attempt would have been made when nobody waits any more"

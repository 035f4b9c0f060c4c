"""The members of a large group are read in parts side by side, and nobody is missed for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from pingone_mcp.directory.models import MembershipType
from pingone_mcp.pingone.api.client import open_client
from pingone_mcp.pingone.feed.environment import PingOneEnvironment
from pingone_mcp.pingone.served import Served
from pingone_mcp.replica.source import ShortList
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from tests.world import NOW, World

PAGE = 20


@pytest.fixture
def world(tmp_path: Path) -> World:
    return a_world(tmp_path)


def a_world(tmp_path: Path, options: Options | None = None) -> World:
    return World(sandbox=Sandbox(size=1_500, now=NOW, options=options), cache=tmp_path / "cache")


def largest(world: World) -> str:
    return max(world.sandbox.state().groups, key=lambda group: len(truth(world, group)))


def truth(world: World, group: str) -> set[str]:
    state = world.sandbox.state()
    positions = ((user["id"], state.position(user["id"])) for user in world.sandbox.users())
    return {
        user
        for user, position in positions
        if position is not None and (state.membership(position, group) or "") == "DIRECT"
    }


async def members(
    world: World, *groups: str, kind: MembershipType = "direct", transport: httpx.AsyncBaseTransport | None = None
) -> set[str]:
    found: set[str] = set()

    async def keep(users: Sequence[str]) -> int:
        before = len(found)
        found.update(users)
        new = len(found) - before
        await anyio.lowlevel.checkpoint()  # as a database does: others go on meanwhile
        return new

    connection, clock = world.connection(page_size=PAGE), world.time.clock()
    async with open_client(connection, transport=transport or world.sandbox.transport(), clock=clock) as client:
        environment = PingOneEnvironment(Served(client, clock), world.sandbox.environment_id, remote_data=False)
        for group in groups:
            await environment.members(group, kind, keep)
    return found


def ranges(world: World) -> list[str]:
    """Return the questions for parts that were asked."""
    return [one for one in world.api_requests() if "updatedAt" in one and "cursor" not in one]


async def test_a_large_group_is_read_in_parts_for_little_more_than_its_pages(world: World) -> None:
    group = largest(world)
    there = truth(world, group)
    assert len(there) > 20 * PAGE
    assert await members(world, group) == there
    assert len(ranges(world)) >= 3, "two parts, and who was changed meanwhile"
    assert len(world.api_requests()) <= 1.3 * len(there) / PAGE + 3
    assert not [one for one in world.api_requests() if "cursor" in one and "updatedAt" not in one], "no plain list"


@pytest.mark.parametrize(
    "options",
    [
        Options(refused_filters=("updatedAt",)),
        Options(inaccurate_updated_at_count=True),
        Options(cursor_carries_filter=True),
    ],
    ids=["refused", "wrong counts", "cursors that carry the filter"],
)
async def test_whatever_pingone_makes_of_ranges_all_members_are_found(tmp_path: Path, options: Options) -> None:
    world = a_world(tmp_path, options)
    group = largest(world)
    assert await members(world, group) == truth(world, group)


async def test_ranges_that_are_refused_beside_a_group_are_not_tried_again(world: World) -> None:
    group = largest(world)
    world.sandbox.faults.add("filter_refused", path="memberOfGroups.*updatedAt", times=None)
    assert await members(world, group) == truth(world, group)
    tried = len(ranges(world))
    assert tried
    world.sandbox.requests.clear()
    assert await members(world, group, group) == truth(world, group)
    assert len(ranges(world)) <= tried + 1


@pytest.mark.parametrize("kind", ["lost_next", "short_list", "server_error"])
async def test_a_part_that_comes_short_is_no_reason_to_miss_anybody(world: World, kind: Any) -> None:
    group = largest(world)
    world.sandbox.faults.add(kind, path="memberOfGroups.*updatedAt", nth=2)
    assert await members(world, group) == truth(world, group)


async def test_a_list_that_is_short_both_ways_says_so(world: World) -> None:
    world.sandbox.faults.add("lost_next", path="memberOfGroups", times=None)
    with pytest.raises(ShortList):
        await members(world, largest(world))


async def test_who_has_no_time_is_found_by_the_plain_list(world: World) -> None:
    group = largest(world)
    change(world, max(truth(world, group)), updatedAt=None)
    assert await members(world, group) == truth(world, group)


class Acting(httpx.AsyncBaseTransport):
    """Hold the first request that holds a text until all others are answered, act, and let it go on."""

    def __init__(self, world: World, text: str, act: Callable[[], object]) -> None:
        self._inner, self._text, self._act = world.sandbox.transport(), text, act
        self.has_acted = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self.has_acted and self._text in str(request.url):
            self.has_acted = True
            await anyio.wait_all_tasks_blocked()
            self._act()
        return await self._inner.handle_async_request(request)


def change(world: World, user: str, **changes: object) -> None:
    """Change attributes of a user; None takes one away."""
    state = world.sandbox.state()
    position = state.position(user)
    assert position is not None
    record = {**state.user(position), **changes}
    state.put_user(position, {name: value for name, value in record.items() if value is not None})


def changed_at(world: World, user: str) -> str:
    state = world.sandbox.state()
    return str(state.user(state.position(user) or 0)["updatedAt"])


def strangers(world: World, group: str) -> list[str]:
    """Return who is not in the group, as if they had been changed before everybody else."""
    there = truth(world, group)
    found = [user["id"] for user in world.sandbox.users() if user["id"] not in there]
    for user in found:
        change(world, user, updatedAt="2001-01-01T00:00:00.000Z")
    return found


async def test_who_changes_parts_meanwhile_is_found_though_the_counts_agree(world: World) -> None:
    """Once the other parts are read, some of the oldest part are changed; as many leave, and as many come into it."""
    group, state = largest(world), world.sandbox.state()
    others = strangers(world, group)
    ordered = sorted(truth(world, group), key=lambda user: changed_at(world, user))

    def happen() -> None:
        for user in ordered[:5]:
            change(world, user, updatedAt="2026-06-15T12:00:00.000Z")
        for user in ordered[-5:]:
            state.leave(state.position(user) or 0, state.groups[group])
        for user in others[-5:]:
            state.join(state.position(user) or 0, state.groups[group])

    transport = Acting(world, "ge%20%221970", happen)
    found = await members(world, group, transport=transport)
    assert transport.has_acted
    assert truth(world, group) <= found


async def test_who_comes_meanwhile_hides_nobody_who_was_missed(world: World) -> None:
    """As many are found as were counted first, and one of them is another."""
    group, state = largest(world), world.sandbox.state()
    there = sorted(truth(world, group))
    newcomer = state.position(strangers(world, group)[-1])
    assert newcomer is not None
    change(world, there[-1], updatedAt=None)
    transport = Acting(world, "ge%20%221970", lambda: state.join(newcomer, state.groups[group]))
    found = await members(world, group, transport=transport)
    assert found == truth(world, group)
    assert len(found) == len(there) + 1

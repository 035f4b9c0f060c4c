"""What happens while a full sync reads: members may be read before it, users after it, and the next sync finds it."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from tests.depth import tries
from tests.replica.happenings import Doors, Happening, happen, happenings
from tests.replica.truth import Copy, truth
from tests.world import NOW, World

MINUTES = 900.0
"""Longer than any overlap of two syncs."""

Act = Callable[[], Awaitable[None]]


@dataclass
class Meanwhile(httpx.AsyncBaseTransport):
    """Hold the first request that is `awaited` until all others are answered, act then, and let it go on."""

    inner: httpx.AsyncBaseTransport
    awaited: Callable[[str], bool]
    act: Act
    asked: list[str] = field(default_factory=list[str])
    has_acted: bool = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        address = str(request.url)
        self.asked.append(address)
        if not self.has_acted and self.awaited(address):
            self.has_acted = True
            await anyio.wait_all_tasks_blocked()
            await self.act()
        return await self.inner.handle_async_request(request)


def is_of_members(address: str) -> bool:
    return "memberOfGroups%5B" in address


def is_of_the_walk(address: str) -> bool:
    return "/users?" in address and "memberOfGroups" not in address


def is_of_events(address: str) -> bool:
    return "/activities?" in address and "action.type" not in address


def a_copy(folder: str, options: Options | None = None) -> Copy:
    return Copy(World(sandbox=Sandbox(40, options=options, now=NOW, customers=5), cache=Path(folder) / "cache"))


def pass_time(kept: Copy) -> None:
    kept.sandbox.clock.advance(MINUTES)
    kept.world.time.passed += MINUTES


async def interrupted(kept: Copy, awaited: Callable[[str], bool], act: Act) -> Meanwhile:
    """Sync in full, and let something happen, long after its beginning and long before its end."""

    async def long_after() -> None:
        pass_time(kept)
        await act()
        pass_time(kept)

    transport = Meanwhile(kept.sandbox.transport(), awaited, long_after)
    report = await kept.sync("full", transport=transport)
    assert report.complete
    assert transport.has_acted
    return transport


async def check_next(kept: Copy) -> None:
    """Fail unless the next incremental sync makes the copy equal to the directory."""
    pass_time(kept)
    report = await kept.sync("incremental")
    assert (report.complete, report.mode) == (True, "incremental")
    there, held = truth(kept.sandbox), await kept.state()
    assert held.users == there.users
    assert held.groups == there.groups
    assert held.nestings == there.nestings
    assert held.memberships == there.memberships


@tries(25)
@given(script=happenings(6), number=st.integers(1, 45), first=st.booleans())
@example(script=[Happening("leave", 3, 0, 0), Happening("join", 5, 2, 0)], number=40, first=False)
def test_what_happens_while_a_full_sync_reads_is_found_by_the_next(
    script: list[Happening], number: int, *, first: bool
) -> None:
    async def go(folder: str) -> None:
        kept = a_copy(folder)
        if not first:
            await kept.sync()
            pass_time(kept)
        asked = 0

        def awaited(address: str) -> bool:
            nonlocal asked
            asked += "/v1/environments/" in address
            return asked == number

        async def long_after() -> None:
            pass_time(kept)
            await happen(kept.sandbox, script)
            pass_time(kept)

        assert (await kept.sync("full", transport=Meanwhile(kept.sandbox.transport(), awaited, long_after))).complete
        await check_next(kept)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        anyio.run(go, folder)


@pytest.fixture
def kept(tmp_path: Path) -> Copy:
    return a_copy(str(tmp_path))


async def done(kept: Copy, *sent: Any) -> None:
    async with Doors(kept.sandbox) as doors:
        assert await doors.send(*sent) < 300


@pytest.mark.parametrize("awaited", [is_of_the_walk, is_of_members, is_of_events])
async def test_who_is_moved_meanwhile_leaves_the_groups_of_the_old_population(
    kept: Copy, awaited: Callable[[str], bool]
) -> None:
    """No event says so, and where only some populations are served the counts of groups say nothing either."""
    state = kept.sandbox.state()
    kept.served = {"populations": frozenset({state.employees(), state.contractors()})}
    [group] = [
        one.id
        for one in state.groups.values()
        if one.record["name"] == "Reviewers" and one.record["population"]["id"] == state.contractors()
    ]
    mover = max(user["id"] for user in kept.sandbox.users() if user["population"]["id"] == state.contractors())
    await done(kept, "POST", f"/users/{mover}/memberOfGroups", {"id": group})
    await kept.sync()
    pass_time(kept)
    assert (mover, group) in (await kept.state()).memberships

    async def move() -> None:
        await done(kept, "PUT", f"/users/{mover}/population", {"id": state.employees()})

    await interrupted(kept, awaited, move)
    pass_time(kept)
    await kept.sync("incremental")
    assert (mover, group) not in (await kept.state()).memberships
    assert await kept.rows(f"SELECT population_id FROM users WHERE id = '{mover}'") == [(state.employees(),)]  # noqa: S608 - an id


@pytest.mark.parametrize("awaited", [is_of_the_walk, is_of_members, is_of_events])
@pytest.mark.parametrize("title", ["Chief Fool", "Clerk"])
async def test_who_is_given_another_title_meanwhile_is_in_the_groups_of_it(
    kept: Copy, awaited: Callable[[str], bool], title: str
) -> None:
    """Members by a filter: no event names them."""
    chief, clerk = (user["id"] for user in list(kept.sandbox.users())[:2])
    await done(kept, "POST", "/groups", {"name": "Chiefs", "userFilter": 'title sw "Chief"'})
    for user, held in ((chief, "Chief"), (clerk, "Clerk")):
        await done(kept, "PATCH", f"/users/{user}", {"title": held})
    await kept.sync()
    pass_time(kept)

    async def change() -> None:
        await done(kept, "PATCH", f"/users/{clerk if title != 'Clerk' else chief}", {"title": title})

    await interrupted(kept, awaited, change)
    await check_next(kept)


async def test_who_joins_by_a_filter_after_the_list_was_read_and_another_has_left_is_not_missing_from_it(
    kept: Copy,
) -> None:
    """More are counted in all than were listed, and that is no shortage."""
    first, second, third = (user["id"] for user in list(kept.sandbox.users())[:3])
    await done(kept, "POST", "/groups", {"name": "Chiefs", "userFilter": 'title sw "Chief"'})
    await done(kept, "PATCH", f"/users/{first}", {"title": "Chief"})
    await kept.sync()
    pass_time(kept)
    await done(kept, "PATCH", f"/users/{first}", {"title": "Clerk"})

    async def join() -> None:
        for user in (second, third):
            await done(kept, "PATCH", f"/users/{user}", {"title": "Chief"})

    await interrupted(kept, is_of_events, join)
    assert await kept.rows("SELECT group_id FROM short_groups_") == []
    await check_next(kept)
    told = await kept.rows("SELECT kind, user_id FROM changes WHERE group_name = 'Chiefs'")
    assert sorted(told) == sorted(
        [("membership.removed", first), ("membership.added", second), ("membership.added", third)]
    )


@pytest.mark.parametrize("awaited", [is_of_the_walk, is_of_members, is_of_events])
async def test_who_changes_places_in_a_group_meanwhile_is_no_loss_that_a_count_would_show(
    kept: Copy, awaited: Callable[[str], bool]
) -> None:
    """One joins as another leaves: only events tell of it, and that they were seen is no reason to forget them."""
    await kept.sync()
    pass_time(kept)
    held = truth(kept.sandbox).memberships
    [group] = [one.id for one in kept.sandbox.state().groups.values() if one.record["name"] == "VPN Users"]
    inside = sorted(user for (user, one), kind in held.items() if one == group and kind == "direct")
    outside = sorted(user["id"] for user in kept.sandbox.users() if (user["id"], group) not in held)

    async def exchange() -> None:
        await done(kept, "DELETE", f"/users/{inside[0]}/memberOfGroups/{group}")
        await done(kept, "POST", f"/users/{outside[-1]}/memberOfGroups", {"id": group})

    await interrupted(kept, awaited, exchange)
    await check_next(kept)


async def test_members_are_read_beside_the_walk_and_the_events_behind_both(kept: Copy) -> None:
    async def nothing() -> None:
        pass

    transport = await interrupted(kept, is_of_the_walk, nothing)
    asked = [one for one in transport.asked if "/v1/environments/" in one]
    events = max(number for number, one in enumerate(asked) if is_of_events(one))
    assert events > max(number for number, one in enumerate(asked) if "/users?" in one)
    walk = next(number for number, one in enumerate(asked) if is_of_the_walk(one))
    assert walk < next(number for number, one in enumerate(asked) if is_of_members(one))
    stages: list[str] = []
    await kept.sync("full", report=lambda stage, *_: stages.append(stage))
    shown = [stage for stage, before in zip(stages, ["", *stages], strict=False) if stage != before]
    assert [stage for stage in shown if stage != "memberships"] == ["places", "users", "groups", "events", "merge"]

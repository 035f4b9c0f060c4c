"""A walk finds everybody, each once, in parts side by side; it says when it could not, and goes on where it was."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from pingone_mcp.directory.models import User
from pingone_mcp.errors import Refused
from pingone_mcp.pingone.api.client import ASIDE
from pingone_mcp.pingone.api.hal import HalPage
from pingone_mcp.pingone.feed.ranges import FIRST, LAST, UserRange, edges, pages_left
from pingone_mcp.pingone.feed.walk import walking
from pingone_mcp.pingone.wire import ReadUser
from pingone_mcp.replica.source import Verdict
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from tests.depth import long
from tests.world import NOW, Time, World

COMPLETE = Verdict(complete=True)
FINDS_WHATEVER = [
    pytest.param(Options(), id="times"),
    pytest.param(Options(refused_filters=("updatedAt",)), id="populations"),
    pytest.param(Options(refused_filters=("updatedAt", "population.id")), id="plainly"),
    pytest.param(Options(inaccurate_updated_at_count=True), id="wrong counts of ranges"),
    pytest.param(Options(max_page=37), id="short pages"),
    pytest.param(Options(cursor_carries_filter=True), id="cursors that carry the filter"),
]


def a_world(tmp_path: Path, size: int, options: Options | None = None) -> World:
    return World(sandbox=Sandbox(size=size, now=NOW, options=options), cache=tmp_path / "cache")


def truth(world: World) -> list[str]:
    return sorted(user["id"] for user in world.sandbox.users())


async def walked(world: World, *, ledger: Path | None = None, **changes: Any) -> tuple[list[User], list[User], Verdict]:
    """Return the users of a walk, those that it told again, and its verdict."""
    users: list[User] = []
    changed: list[User] = []
    async with world.directory(**changes) as directory, directory.walk(ledger=ledger) as walk:
        async for page in walk:
            users += page.users
            changed += page.changed
            walk.kept()
        assert walk.delivered >= len(users)
    return users, changed, walk.verdict


def ids(users: list[User]) -> list[str]:
    return sorted(user.id for user in users)


async def test_another_way_is_found_while_a_page_is_still_held(tmp_path: Path) -> None:
    world = a_world(tmp_path, 3_000, Options(refused_filters=("updatedAt",)))
    users: list[User] = []
    async with world.directory() as directory, directory.walk() as walk:
        async for page in walk:
            await anyio.wait_all_tasks_blocked()
            users += page.users
    assert (ids(users), walk.verdict) == (truth(world), COMPLETE)


@pytest.mark.parametrize("options", FINDS_WHATEVER)
@pytest.mark.parametrize("size", [1, 200, 3000])
async def test_a_walk_finds_everybody_once(tmp_path: Path, size: int, options: Options) -> None:
    world = a_world(tmp_path, size, options)
    users, changed, verdict = await walked(world)
    assert (ids(users), changed, verdict) == (truth(world), [], COMPLETE)


async def test_users_of_a_walk_are_the_users_of_the_directory(tmp_path: Path) -> None:
    world = a_world(tmp_path, 400)
    async with world.directory() as directory:
        async with directory.walk(remote_data=True) as walk:
            by_id = {user.id: user async for page in walk for user in page.users}
        somebody = next(iter(by_id))
        alone = await directory.user(somebody, remote_data=True)
    walked = by_id[somebody]
    alone = replace(alone, groups=None, roles=None, manager=walked.manager, organizations=walked.organizations)
    assert walked == replace(alone, remote_data=walked.remote_data)
    assert walked.remote_data is not None


async def test_a_walk_costs_little_more_than_its_pages(tmp_path: Path) -> None:
    world = a_world(tmp_path, 20_000)
    await walked(world)
    assert len(world.api_requests()) <= 125
    assert max(world.api_requests(), key=len).count("updatedAt") == 2


async def test_who_comes_again_is_not_made_again(tmp_path: Path) -> None:
    """The first page of a part that is split comes twice, and costs no second user or row."""
    world = a_world(tmp_path, 6_000)
    made: list[str] = []

    def make(read: ReadUser) -> str:
        made.append(read.known.id)
        return read.known.id

    async def making() -> Callable[[ReadUser], str]:
        return make

    async with world.directory() as directory:
        place = world.sandbox.environment_id
        async with walking(directory.served, place, making) as walk:
            found = [identity async for page in walk for identity in page.users]
    assert sum("/users?" in request for request in world.api_requests()) > 6_000 / 200
    assert (sorted(made), sorted(found)) == (truth(world), truth(world))


class Crowd(httpx.AsyncBaseTransport):
    """Count how many requests for users are under way at once."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.now = self.most = self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/users"):
            return await self._inner.handle_async_request(request)
        self.now, self.asked = self.now + 1, self.asked + 1
        self.most = max(self.most, self.now)
        try:
            await anyio.wait_all_tasks_blocked()
            return await self._inner.handle_async_request(request)
        finally:
            self.now -= 1


async def test_parts_are_read_side_by_side(tmp_path: Path) -> None:
    world = a_world(tmp_path, 6_000)
    crowd = Crowd(world.sandbox.transport())
    async with world.directory(transport=crowd) as directory, directory.walk() as walk:
        async for _ in walk:
            pass
    assert 4 <= crowd.most <= 16


async def test_a_walk_a_second_after_a_question_reads_as_many_parts_side_by_side_as_any(tmp_path: Path) -> None:
    most: list[int] = []
    for asked in (False, True):
        world = a_world(tmp_path, 6_000)
        crowd = Crowd(world.sandbox.transport())
        async with world.directory(transport=crowd) as directory:
            if asked:
                await directory.user(truth(world)[0])
                world.time.passed += 1
            async with directory.walk() as walk:
                async for _ in walk:
                    pass
        most.append(crowd.most)
    assert most[1] == most[0] >= 4


async def test_a_page_is_made_users_a_moment_later_while_a_question_is_under_way_and_at_once_after_it(
    world: World,
) -> None:
    transport = HeldUp(world.sandbox.transport(), "/users/")
    waited: list[float] = []

    async def make_users() -> None:
        before = world.time.passed
        async with directory.served.client.in_background():
            waited.append(world.time.passed - before)

    async with world.directory(transport=transport) as directory:
        await directory.served.client.authenticate()
        await make_users()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(directory.user, truth(world)[0])
            await anyio.wait_all_tasks_blocked()
            await make_users()
            transport.released.set()
        await make_users()
    assert waited == pytest.approx([0, ASIDE, 0], abs=ASIDE / 10)


async def test_who_takes_pages_slowly_stops_the_reading(tmp_path: Path) -> None:
    world = a_world(tmp_path, 20_000)
    crowd = Crowd(world.sandbox.transport())
    async with world.directory(transport=crowd, concurrency=4) as directory, directory.walk() as walk:
        async for _ in walk:
            await anyio.wait_all_tasks_blocked()
            asked = crowd.asked
            await anyio.wait_all_tasks_blocked()
            assert crowd.asked == asked
            assert crowd.asked <= 6  # the first page, one that each worker holds, and one that is waited for
            break


# -------------------------------------------------------------------------------------------------- changes meanwhile


async def test_who_changes_meanwhile_is_told_again_as_he_is_now(tmp_path: Path) -> None:
    world = a_world(tmp_path, 3_000)
    changed: dict[str, str] = {}
    first = ""
    async with world.directory() as directory, directory.walk() as walk:
        async for page in walk:
            if not first:
                first = page.users[0].id
                world.sandbox.faults.add("user_moved", user_id=first)
            changed |= {user.id: user.workspaces[0].id for user in page.changed}
    now = world.sandbox.user(None, first)
    assert now is not None
    assert changed == {first: now["population"]["id"]}
    assert walk.verdict == COMPLETE


async def test_the_passes_go_by_the_clock_of_pingone(tmp_path: Path) -> None:
    world = a_world(tmp_path, 2_500)
    world.time = Time(start=(NOW + timedelta(hours=9)).timestamp())
    await walked(world)
    (last,) = [request for request in world.api_requests() if "2026-06-15T11" in request]
    assert "2026-06-15T11%3A59%3A00." in last


class HeldUp(httpx.AsyncBaseTransport):
    """Let no request through that asks for a certain filter, until it is released."""

    def __init__(self, inner: httpx.AsyncBaseTransport, held: str) -> None:
        self._inner, self._held = inner, held
        self.released = anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._held in str(request.url):
            await self.released.wait()
        return await self._inner.handle_async_request(request)


async def test_who_slips_through_a_pass_is_found_by_the_next(tmp_path: Path) -> None:
    world = a_world(tmp_path, 600, Options(moved_users_change_place="skipped"))
    state = world.sandbox.state()
    longest_unchanged = sorted(range(20, 600), key=lambda position: str(state.user(position)["updatedAt"]))[:30]
    slippery = state.user(max(longest_unchanged))["id"]
    a_pass = "ge%20%222026-06-15T11"
    world.sandbox.faults.add("user_moved", path=a_pass, nth=1, user_id=slippery)
    transport = HeldUp(world.sandbox.transport(), "ge%20%221970")
    got: list[User] = []
    reading = anyio.Event()

    async def change_some_once_all_others_are_read() -> None:
        await reading.wait()  # before it, a thread that looks for a token is what all wait for
        await anyio.wait_all_tasks_blocked()
        for position in longest_unchanged:
            state.put_user(position, state.user(position) | {"updatedAt": "2026-06-15T12:00:00.000Z"})
        transport.released.set()

    async with world.directory(transport=transport, page_size=20) as directory, anyio.create_task_group() as tasks:
        tasks.start_soon(change_some_once_all_others_are_read)
        async with directory.walk() as walk:
            async for page in walk:
                got += page.users
                reading.set()
    assert (ids(got), walk.verdict) == (truth(world), COMPLETE)
    assert sum(a_pass in request and "cursor" not in request for request in world.api_requests()) > 1


# ------------------------------------------------------------------------------------------------- awkward directories


def rewritten(world: World, size: int, **changes: object) -> None:
    """Change attributes of every user; None takes one away."""
    state = world.sandbox.state()
    for position in range(size):
        user = {**state.user(position), **changes}
        state.put_user(position, {name: value for name, value in user.items() if value is not None})


async def test_thousands_with_one_instant_are_split_by_population(tmp_path: Path) -> None:
    world = a_world(tmp_path, 4_000)
    rewritten(world, 4_000, updatedAt="2026-01-31T08:00:00.000Z")
    users, _, verdict = await walked(world)
    assert (ids(users), verdict) == (truth(world), COMPLETE)
    assert any("population.id" in request for request in world.api_requests())
    assert len(world.api_requests()) < 45


async def test_users_without_a_time_are_found_all_the_same(tmp_path: Path) -> None:
    world = a_world(tmp_path, 3_000)
    state = world.sandbox.state()
    for position in (5, 1_700, 2_999):
        state.put_user(position, {name: value for name, value in state.user(position).items() if name != "updatedAt"})
    users, _, verdict = await walked(world)
    assert (ids(users), verdict) == (truth(world), COMPLETE)


async def test_without_a_count_nobody_is_taken_for_granted(tmp_path: Path) -> None:
    world = a_world(tmp_path, 3_000)
    state = world.sandbox.state()
    state.put_user(1_700, {name: value for name, value in state.user(1_700).items() if name != "updatedAt"})
    world.sandbox.faults.add("missing_count", times=None)
    users, _, verdict = await walked(world)
    assert (ids(users), verdict) == (truth(world), COMPLETE)


@pytest.mark.parametrize("amount", [-900, 900, *(pytest.param(amount, marks=long) for amount in (-2_500, 5_000))])
async def test_a_count_that_lies_costs_time_and_nobody(tmp_path: Path, amount: int) -> None:
    world = a_world(tmp_path, 3_000)
    world.sandbox.faults.add("wrong_count", amount=amount, times=None)
    users, _, verdict = await walked(world)
    assert ids(users) == truth(world)
    assert verdict.complete == (amount < 0), "a number that nobody can find is no silence"
    assert verdict.counted == (3_000 + amount if amount > 0 else None)


async def test_only_the_populations_that_are_served_are_walked(tmp_path: Path) -> None:
    world = a_world(tmp_path, 3_000)
    populations = [population.id for population in world.sandbox.company.main.populations][:2]
    users, _, verdict = await walked(world, populations=tuple(populations))
    wanted = sorted(user["id"] for user in world.sandbox.users() if user["population"]["id"] in populations)
    assert 0 < len(wanted) < 3_000
    assert (ids(users), verdict) == (wanted, COMPLETE)


class Deaf(httpx.AsyncBaseTransport):
    """A server that does not hear filters."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_remove_param("filter")
        return await self._inner.handle_async_request(request)


async def test_what_lies_outside_the_populations_that_are_served_is_not_handed_over(world: World) -> None:
    population = world.sandbox.company.main.populations[1].id
    deaf = Deaf(world.sandbox.transport())
    async with world.directory(transport=deaf, populations=(population,)) as directory, directory.walk() as walk:
        users = [user async for page in walk for user in page.users]
    assert {user.workspaces[0].id for user in users} == {population}


async def test_several_environments_want_a_choice(world: World) -> None:
    async with world.directory(environments=None) as directory:
        with pytest.raises(Refused, match="environments are served"):
            async with directory.walk():
                pass


# ---------------------------------------------------------------------------------------------------------- the verdict


async def test_before_its_end_a_walk_is_not_complete(world: World) -> None:
    async with world.directory() as directory, directory.walk() as walk:
        async for _ in walk:
            assert not walk.verdict.complete


async def test_one_page_that_was_cut_off_is_read_once_more(tmp_path: Path) -> None:
    world = a_world(tmp_path, 3_000)
    world.sandbox.faults.add("truncated_body", path="updatedAt", nth=3)
    users, _, verdict = await walked(world)
    assert (ids(users), verdict) == (truth(world), COMPLETE)


async def test_a_page_that_is_always_cut_off_makes_a_walk_incomplete(tmp_path: Path) -> None:
    world = a_world(tmp_path, 3_000)
    world.sandbox.faults.add("truncated_body", path="updatedAt", times=None)
    _, _, verdict = await walked(world)
    assert not verdict.complete


async def test_what_is_read_is_let_go_of_at_once(world: World) -> None:
    gc.disable()  # no looking for circles, which the server does rarely
    try:
        async with world.directory() as directory:
            client = directory.served.client
            answer = await client.send(
                "GET", f"{client.connection.api_base}/environments/{world.sandbox.environment_id}"
            )
            gone = weakref.ref(answer)
            del answer
            assert gone() is None
    finally:
        gc.enable()


async def test_a_page_that_fails_for_good_makes_a_walk_incomplete_and_says_why(tmp_path: Path) -> None:
    world = a_world(tmp_path, 3_000)
    world.sandbox.faults.add("server_error", path="updatedAt", nth=None, times=None)
    users, _, verdict = await walked(world)
    assert not verdict.complete
    assert verdict.reason is not None
    assert "500" in verdict.reason
    assert len(users) < 3_000


async def test_a_failure_of_whoever_walks_comes_out_as_it_is(world: World) -> None:
    async with world.directory() as directory:
        with pytest.raises(KeyError, match="mine"):  # noqa: PT012 - it must come out of both blocks
            async with directory.walk() as walk:
                async for _ in walk:
                    raise KeyError("mine")


# ------------------------------------------------------------------------------------------------------- where it was


async def test_a_walk_that_was_broken_off_goes_on_with_what_is_left(tmp_path: Path) -> None:
    world = a_world(tmp_path, 6_000)
    ledger = tmp_path / "notes" / "walk.db"
    handed_over: list[User] = []
    verdicts: list[Verdict] = []
    for pages in (1, 4, 9, 1_000):
        world.sandbox.requests.clear()
        async with world.directory() as directory, directory.walk(ledger=ledger) as walk:
            taken: list[User] = []
            number = 0
            async for page in walk:
                handed_over += taken
                taken, number = list(page.users), number + 1
                if number == pages:
                    break
                walk.kept()
            else:
                handed_over += taken
        verdicts.append(walk.verdict)
    assert [verdict.complete for verdict in verdicts] == [False, False, False, True]
    assert ids(handed_over) == truth(world)
    assert len(world.api_requests()) < 35
    assert not list(ledger.parent.iterdir())


class Moments(httpx.AsyncBaseTransport):
    """Cancels at the n-th moment: when an answer has come and is not read yet, or a page was taken and is not kept."""

    def __init__(self, world: World, number: int) -> None:
        self.scope = anyio.CancelScope()
        self._inner = world.sandbox.transport()
        self._left = number

    async def pass_by(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.scope.cancel()
        await anyio.lowlevel.cancel_shielded_checkpoint()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        await self.pass_by()
        return response


async def test_a_walk_that_is_cancelled_at_any_moment_loses_nobody_and_hands_nobody_over_twice(tmp_path: Path) -> None:
    world = a_world(tmp_path, 120)

    async def walk_on(moments: Moments, ledger: Path) -> list[User]:
        kept: list[User] = []
        with moments.scope:
            async with (
                world.directory(transport=moments, page_size=30) as directory,
                directory.walk(ledger=ledger) as walk,
            ):
                async for page in walk:
                    await moments.pass_by()
                    await anyio.lowlevel.checkpoint()
                    kept += page.users
                    walk.kept()
        return kept

    number, is_cut = 0, True
    while is_cut:
        number += 1
        moments, ledger = Moments(world, number), tmp_path / f"{number}.db"
        kept = await walk_on(moments, ledger)
        is_cut = moments.scope.cancelled_caught
        if is_cut:
            kept += await walk_on(Moments(world, 0), ledger)
        assert ids(kept) == truth(world)
    assert number > 10


async def test_a_walk_that_failed_goes_on_with_what_is_left(tmp_path: Path) -> None:
    world = a_world(tmp_path, 6_000)
    ledger = tmp_path / "walk.db"
    fault = world.sandbox.faults.add("server_error", path="cursor=.*updatedAt|updatedAt.*cursor=", times=None)
    first, _, verdict = await walked(world, ledger=ledger)
    assert (verdict.complete, fault.kind) == (False, "server_error")
    world.sandbox.faults.clear()
    second, _, verdict = await walked(world, ledger=ledger)
    assert (ids(first + second), verdict) == (truth(world), COMPLETE)
    assert first


async def test_a_cursor_that_has_expired_meanwhile_is_not_needed(tmp_path: Path) -> None:
    world = a_world(tmp_path, 6_000, Options(cursor_lifetime=60))
    ledger = tmp_path / "walk.db"
    first: list[User] = []
    async with world.directory() as directory, directory.walk(ledger=ledger) as walk:
        async for page in walk:
            if len(first) >= 3_000:
                break
            first += page.users
            walk.kept()
    world.sandbox.clock.advance(3600)
    world.sandbox.requests.clear()
    second, _, verdict = await walked(world, ledger=ledger)
    assert all("updatedAt" in request for request in world.api_requests() if "/users?" in request)
    assert verdict == COMPLETE
    assert sorted({*ids(first), *ids(second)}) == truth(world)


async def test_notes_of_another_walk_are_not_used(tmp_path: Path) -> None:
    world = a_world(tmp_path, 3_000)
    ledger = tmp_path / "walk.db"
    async with world.directory() as directory, directory.walk(ledger=ledger) as walk:
        async for _ in walk:
            if walk.delivered > 1_000:
                break
    population = world.sandbox.company.main.populations[0].id
    users, _, verdict = await walked(world, ledger=ledger, populations=(population,))
    assert verdict == COMPLETE
    assert ids(users) == sorted(user["id"] for user in world.sandbox.users() if user["population"]["id"] == population)


@pytest.mark.parametrize("garbage", [b"", b"not a database at all" * 400])
async def test_notes_that_cannot_be_read_are_made_anew(tmp_path: Path, garbage: bytes) -> None:
    world = a_world(tmp_path, 500)
    ledger = tmp_path / "walk.db"
    ledger.write_bytes(garbage)
    users, _, verdict = await walked(world, ledger=ledger)
    assert (ids(users), verdict) == (truth(world), COMPLETE)


async def test_two_walks_cannot_share_their_notes(world: World, tmp_path: Path) -> None:
    ledger = tmp_path / "walk.db"
    async with world.directory() as directory, directory.walk(ledger=ledger):
        with pytest.raises(Refused, match="Another process is walking"):
            async with directory.walk(ledger=ledger):
                pass


async def test_notes_are_for_their_owner_only(world: World, tmp_path: Path) -> None:
    ledger = tmp_path / "walk.db"
    async with world.directory() as directory, directory.walk(ledger=ledger) as walk:
        async for _ in walk:
            assert {path.stat().st_mode & 0o077 for path in tmp_path.glob("walk.db*")} == {0}


async def test_notes_that_cannot_be_kept_end_the_walk_and_say_so(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Exception, match="notes of this walk cannot be written"):
        await walked(world, ledger=tmp_path / "file" / "walk.db")


# -------------------------------------------------------------------------------------------------------------- parts

TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2026, 6, 1)).map(  # noqa: DTZ001 - the next line says which zone
    lambda at: at.replace(tzinfo=UTC, microsecond=at.microsecond // 1000 * 1000)
)


@given(st.lists(TIMES, max_size=60), st.integers(1, 40))
def test_edges_lie_between_the_times_of_the_sample_in_order(times: list[datetime], parts: int) -> None:
    found = edges(times, parts, None, None)
    assert list(found) == sorted(set(found))
    assert len(found) < parts
    assert not set(found) & set(times)
    assert all(min(times) < edge < max(times) for edge in found)


@given(st.lists(TIMES, min_size=1, max_size=60), TIMES, TIMES, st.integers(2, 9))
def test_the_parts_of_a_range_leave_no_instant_out(
    times: list[datetime], one: datetime, two: datetime, parts: int
) -> None:
    first, last = sorted((one, two))
    whole = UserRange(batch=0, first=first, last=last)
    split = whole.at(edges(times, parts, first, last))
    assert (split[0].first, split[-1].last) == (first, last)
    assert all(left.last == right.first for left, right in pairwise(split))
    assert [UserRange.named(part.name()) for part in split] == list(split)


def test_an_even_sample_is_split_evenly() -> None:
    times = [NOW + timedelta(hours=hour) for hour in range(100)]
    found = edges(times, 4, None, None)
    assert [sum(at < edge for at in times) for edge in found] == [25, 50, 75]


def test_one_instant_cannot_be_split() -> None:
    assert edges([NOW] * 200, 8, None, None) == ()
    assert UserRange(batch=0).at(()) == (UserRange(batch=0, first=FIRST, last=LAST),)


def page(size: int, count: int | None, *, more: bool = True) -> HalPage:
    return HalPage(raws=(Raw(b"{}"),) * size, next="/next" if more else None, count=count)


@pytest.mark.parametrize(
    ("first", "left"),
    [
        (page(200, 200, more=False), 0),
        (page(200, 9_000, more=False), 44),
        (page(200, 201), 1),
        (page(200, 1_000), 4),
        (page(200, 7), 1),
        (page(200, None), 100),
    ],
)
def test_how_many_pages_are_left_is_only_estimated(first: HalPage, left: int) -> None:
    assert pages_left(first) == left

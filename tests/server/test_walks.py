"""Walking the directory through the MCP door: every user exactly once, whatever happens on the way."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp.types import CallToolResult

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from tests.depth import sampled
from tests.world import NOW, World, error_text, facts, walk


def company(tmp_path: Path, size: int = 1_200, **options: Any) -> World:
    return World(sandbox=Sandbox(size=size, now=NOW, options=Options(**options)), cache=tmp_path / "cache")


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def truth(world: World) -> list[str]:
    return [user["id"] for user in world.sandbox.users()]


@pytest.mark.parametrize("limit", [1_000, 333, 50])
@pytest.mark.parametrize("max_page", [1_000, 200, 7])
@sampled(5)
async def test_a_walk_yields_everybody_once_with_pages_of_any_size(tmp_path: Path, limit: int, max_page: int) -> None:
    world = company(tmp_path, max_page=max_page)
    async with world.client() as client:
        rows = await walk(client, limit=limit)
    assert ids(rows) == truth(world)


async def test_a_walk_survives_limits_outages_short_pages_and_a_revoked_token(tmp_path: Path) -> None:
    world = company(tmp_path)
    faults = world.sandbox.faults
    faults.add("rate_limited_seconds", path="/users", every=4, times=None)
    faults.add("unavailable_503", path="/users", every=5, times=None)
    faults.add("rate_limited_date", path="/users", nth=3)
    faults.add("bad_gateway_html", path="/users", nth=7)
    faults.add("dropped_connection", path="/users", nth=11)
    faults.add("server_error", path="/users", nth=13)
    faults.add("short_page", path="/users", every=3, amount=17, times=None)
    faults.add("token_revoked", path="/users", nth=9)
    async with world.client() as client:
        rows = await walk(client, limit=100)
    assert ids(rows) == truth(world)
    assert world.sandbox.token_requests == 2
    assert world.time.naps, "nobody waited for anything"


async def test_deleted_users_shift_nobody_out_of_the_walk(tmp_path: Path) -> None:
    world = company(tmp_path, size=600)
    before = set(truth(world))
    world.sandbox.faults.add("user_deleted", path="/users", every=2, times=None)
    async with world.client(characters=6_000) as client:  # answers end in the middle of pages
        rows = await walk(client, limit=100)
    after = set(truth(world))
    assert len(ids(rows)) == len(set(ids(rows)))
    assert after <= set(ids(rows)) <= before


async def test_users_created_during_the_walk_push_nobody_out(tmp_path: Path) -> None:
    world = company(tmp_path, size=400)
    before = set(truth(world))
    world.sandbox.faults.add("user_created", path="/users", every=2, times=5)
    async with world.client() as client:
        rows = await walk(client, limit=100)
    assert len(ids(rows)) == len(set(ids(rows)))
    assert before <= set(ids(rows))


async def test_the_size_budget_ends_an_answer_and_the_cursor_goes_on_behind_it(world: World) -> None:
    async with world.client(characters=5_000) as client:
        first = facts(await client.call_tool("list_users", {"limit": 1000}))
        rows = await walk(client, limit=1000)
    assert first["stopped"] == "size"
    assert 0 < first["result_count"] < 30
    assert ids(rows) == truth(world)


async def test_no_answer_is_larger_than_its_budget(world: World) -> None:
    async with world.client(characters=8_000) as client:
        for arguments in ({}, {"fields": ["*"]}, {"include_remote_data": True}, {"include": ["groups"], "limit": 10}):
            result = await client.call_tool("list_users", {"limit": 200} | arguments)
            assert len(error_text(result)) <= 8_000
            assert facts(result)["result_count"] > 1


async def test_the_time_budget_ends_an_answer_that_would_wait_too_long(world: World) -> None:
    reached = anyio.Event()

    class Stuck(httpx.AsyncBaseTransport):
        """Answer the first page, and never the second."""

        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner = inner
            self.pages = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/users"):
                self.pages += 1
                if self.pages == 2:
                    reached.set()
                    await anyio.sleep_forever()
            return await self.inner.handle_async_request(request)

    async with world.client(seconds=1.5, characters=400_000, wrap=Stuck) as client:
        answer = facts(await client.call_tool("list_users", {"limit": 400}))
        assert reached.is_set()
        rest = await walk(client, limit=400, cursor=answer["next_cursor"])
    assert (answer["stopped"], answer["result_count"]) == ("time", 200)
    assert ids(answer["result"] + rest) == truth(world)


async def test_the_first_fifty_of_a_hundred_thousand_cost_two_requests(tmp_path: Path) -> None:
    world = company(tmp_path, size=100_000)
    async with world.client() as client:
        answer = facts(await client.call_tool("list_users", {"limit": 50}))
    assert (answer["result_count"], answer["total"]) == (50, 100_000)
    assert len(world.api_requests()) <= 2


async def test_memory_does_not_grow_with_the_pages_walked(tmp_path: Path) -> None:
    world = company(tmp_path, size=10_000)
    arguments: dict[str, Any] = {"limit": 200}
    held: list[int] = []
    async with world.client(characters=100_000) as client:
        tracemalloc.start()
        try:
            for _ in range(30):
                page = facts(await client.call_tool("list_users", arguments))
                arguments["cursor"] = page.pop("next_cursor")
                del page
                world.sandbox.requests.clear()
                gc.collect()
                held.append(tracemalloc.get_traced_memory()[0])
        finally:
            tracemalloc.stop()
    assert held[-1] - held[9] < 250_000, held


async def test_a_foreign_next_link_gets_no_request_at_all(world: World) -> None:
    world.sandbox.faults.add("foreign_next", path="/users")
    hosts: list[str] = []

    class Watching(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            hosts.append(request.url.host)
            return await self.inner.handle_async_request(request)

    async with world.client(wrap=Watching) as client:
        result = await client.call_tool("list_users", {"limit": 100})
    assert result.is_error
    assert "FOREIGN_LINK" in error_text(result)
    assert set(hosts) == {httpx.URL(world.sandbox.base_url).host}


async def test_a_next_link_into_another_environment_is_not_followed(world: World) -> None:
    world.sandbox.faults.add("foreign_path_next", path="/users")
    async with world.client() as client:
        result = await client.call_tool("list_users", {"limit": 100})
    assert "FOREIGN_LINK" in error_text(result)
    assert all(world.sandbox.environment_id in request for request in world.api_requests())


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_repeated_next_link_ends_the_walk_with_an_error(world: World, nth: int) -> None:
    world.sandbox.faults.add("repeated_next", path="/users", nth=nth, times=None)
    async with world.client(characters=400_000) as client:
        arguments: dict[str, Any] = {"limit": 100}
        rows: list[dict[str, Any]] = []
        while not (result := await client.call_tool("list_users", arguments)).is_error:
            page = facts(result)
            rows += page["result"]
            arguments |= {"cursor": page["next_cursor"]}
            assert len(rows) <= 500, "the walk runs in a circle"
    assert "REPEATED_LINK" in error_text(result)
    assert len(set(ids(rows))) == len(rows)


async def test_a_count_that_lies_is_no_total(world: World) -> None:
    world.sandbox.faults.add("wrong_count", path="/users", amount=-200, times=None)
    async with world.client() as client:
        assert facts(await client.call_tool("list_users", {"limit": 400}))["total"] is None or len(truth(world)) > 300
        one = facts(await client.call_tool("list_users", {"population": "Partners", "limit": 200}))
    assert one["total"] is None


async def test_twenty_callers_share_one_token(world: World) -> None:
    async with world.client() as client, anyio.create_task_group() as tasks:
        results: list[CallToolResult] = []

        async def call() -> None:
            results.append(await client.call_tool("list_users", {"limit": 1}))

        for _ in range(20):
            tasks.start_soon(call)
    assert [result.is_error for result in results] == [False] * 20
    assert world.sandbox.token_requests == 1


async def test_a_second_start_uses_the_token_on_disk(world: World) -> None:
    for _ in range(2):
        async with world.client() as client:
            facts(await client.call_tool("list_users", {"limit": 1}))
    assert world.sandbox.token_requests == 1


async def test_several_environments_are_one_flat_list(world: World) -> None:
    places = [environment.id for environment in world.sandbox.company.environments]
    everybody = {user["id"] for place in places for user in world.sandbox.users(place)}
    for configured in (tuple(places), None):
        async with world.client(environments=configured) as client:
            rows = await walk(client, limit=70)
        assert len(rows) == len(everybody)
        assert set(ids(rows)) == everybody
        assert {row["organization"] for row in rows} == {
            environment.name for environment in world.sandbox.company.environments
        }


async def test_populations_outside_the_configured_ones_stay_out(world: World) -> None:
    contractors = world.sandbox.state().contractors()
    async with world.client(populations=(contractors,)) as client:
        rows = await walk(client, limit=50)
        stranger = next(user for user in world.sandbox.users() if user["population"]["id"] != contractors)
        sent = len(world.api_requests())
        refused = await client.call_tool("list_users", {"population": stranger["population"]["id"]})
        assert len(world.api_requests()) == sent
        hidden = await client.call_tool("get_user", {"user": stranger["id"]})
    assert set(ids(rows)) == {user["id"] for user in world.sandbox.users() if user["population"]["id"] == contractors}
    assert "OUTSIDE_CONFIGURATION" in error_text(refused)
    assert "NOT_FOUND" in error_text(hidden), "who is outside is not told apart from who is not there"


async def test_the_proxy_keeps_to_the_configured_populations(world: World) -> None:
    state = world.sandbox.state()
    root = f"/environments/{state.id}"
    async with world.client(populations=(state.contractors(),)) as client:
        sent = len(world.sandbox.requests)
        for path in (
            f"{root}/users",
            f"{root}/populations/{state.employees()}",
            f"{root}/activities",
            f"{root}/groups",
        ):
            result = await client.call_tool("proxy_request", {"path": path})
            assert "OUTSIDE_CONFIGURATION" in error_text(result)
        assert len(world.sandbox.requests) == sent
        own = facts(await client.call_tool("proxy_request", {"path": f"{root}/populations/{state.contractors()}"}))
    assert own["body"]["id"] == state.contractors()


async def test_a_manager_outside_the_configured_populations_stays_a_reference(world: World) -> None:
    contractors = world.sandbox.state().contractors()
    everybody = {user["username"]: user for user in world.sandbox.users()}
    person = next(
        user
        for user in everybody.values()
        if user["population"]["id"] == contractors
        and everybody.get(user.get("manager", ""), user)["population"]["id"] != contractors
    )
    async with world.client(populations=(contractors,)) as client:
        found = facts(await client.call_tool("get_user", {"user": person["id"]}))
    assert found["manager"] == {"reference": person["manager"]}


async def test_a_cursor_made_before_populations_were_narrowed_is_refused(world: World) -> None:
    async with world.client() as client:
        cursor = facts(await client.call_tool("list_users", {"limit": 10}))["next_cursor"]
    async with world.client(populations=(world.sandbox.state().contractors(),)) as client:
        result = await client.call_tool("list_users", {"cursor": cursor})
    assert "STALE_CURSOR" in error_text(result)


async def test_progress_tells_each_page(world: World) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with world.client(characters=400_000) as client:
        await client.call_tool("list_users", {"limit": 1000}, progress_callback=hear)
    assert told == [
        (200, 500, "page 1: 200 of about 500 users"),
        (400, 500, "page 2: 400 of about 500 users"),
        (500, 500, "page 3: 500 of about 500 users"),
    ]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_cancelled_call_stops_its_requests(world: World, mode: str) -> None:
    asked, ended = anyio.Event(), anyio.Event()

    class Slow(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if not request.url.path.endswith("/users"):
                return await self.inner.handle_async_request(request)
            asked.set()
            try:
                await anyio.sleep_forever()
            finally:
                ended.set()
            raise AssertionError

    async with world.client(mode=mode, wrap=Slow) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "list_users", {})
        await asked.wait()
        tasks.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(60):
            await ended.wait()


async def test_a_cursor_goes_on_in_another_process_of_the_same_connection(world: World) -> None:
    async with world.client() as client:
        page = facts(await client.call_tool("list_users", {"limit": 100}))
    async with world.client() as client:
        rest = facts(await client.call_tool("list_users", {"limit": 1, "cursor": page["next_cursor"]}))
    assert ids(rest["result"]) == truth(world)[page["result_count"] : page["result_count"] + 1]


async def test_a_cursor_of_narrower_days_is_refused_when_the_environment_is_no_longer_served(world: World) -> None:
    first, second = (environment.id for environment in world.sandbox.company.environments[:2])
    async with world.client(environments=(first, second)) as client:
        page = facts(await client.call_tool("list_users", {"limit": 10}))
    left = second if f"{first}" == min(first, second) else first
    async with world.client(environments=(left,)) as client:
        sent = len(world.api_requests())
        result = await client.call_tool("list_users", {"cursor": page["next_cursor"]})
        assert len(world.api_requests()) == sent
    assert "STALE_CURSOR" in error_text(result)


async def test_an_expired_upstream_cursor_is_told_and_nothing_is_guessed(tmp_path: Path) -> None:
    world = company(tmp_path, cursor_lifetime=10)
    async with world.client(characters=400_000) as client:
        page = facts(await client.call_tool("list_users", {"limit": 100}))
        world.sandbox.clock.advance(60)
        result = await client.call_tool("list_users", {"cursor": page["next_cursor"]})
    assert result.is_error
    assert "without `cursor`" in error_text(result)

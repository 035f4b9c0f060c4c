"""Answers that stop, leave something out or cannot know it say so; and nothing else makes them fail."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp.types import ResourceTemplateReference

from pingone_mcp.directory.native import ProxyQuestion
from pingone_mcp.directory.provider import GroupQuestion, UserQuestion
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.faults import FaultKind
from pingone_mcp.sandbox.options import Options
from pingone_mcp.tasks import AT_ONCE, in_thread
from tests.world import NOW, World, error_text, facts, walk

Change = Callable[[dict[str, Any]], Any]


class Rewriting(httpx.AsyncBaseTransport):
    """Pass requests on, and change the JSON of answers to paths that end in `path`."""

    def __init__(self, inner: httpx.AsyncBaseTransport, path: str, change: Change) -> None:
        self.inner, self.path, self.change = inner, path, change

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.inner.handle_async_request(request)
        if not request.url.path.endswith(self.path):
            return response
        body = json.loads(await response.aread())
        changed = self.change(body)
        return httpx.Response(response.status_code, json=body if changed is None else changed, request=request)


def rewriting(path: str, change: Change) -> Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]:
    return lambda inner: Rewriting(inner, path, change)


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


async def test_a_page_that_fails_behind_others_ends_the_answer_and_is_told(world: World) -> None:
    world.sandbox.faults.add("server_error", path="/users.*cursor", times=None)
    async with world.client(characters=400_000) as client:
        first = facts(await client.call_tool("list_users", {"limit": 1000}))
        again = await client.call_tool("list_users", {"limit": 1000, "cursor": first["next_cursor"]})
        world.sandbox.faults.clear()
        rest = await walk(client, cursor=first["next_cursor"], limit=1000)
    assert (first["stopped"], first["result_count"]) == ("error", 200)
    assert "500" in first["error"]
    assert again.is_error
    assert ids(first["result"] + rest) == [user["id"] for user in world.sandbox.users()]


async def test_without_the_audit_role_the_rest_is_found_and_the_gap_is_told(world: World) -> None:
    world.sandbox.withdraw("Configuration Read Only", "Environment Admin")
    async with world.client() as client:
        answers = [facts(await client.call_tool("find_deactivated", {"limit": 10}))]
        while answers[-1]["next_cursor"]:
            arguments = {"cursor": answers[-1]["next_cursor"], "limit": 10}
            answers.append(facts(await client.call_tool("find_deactivated", arguments)))
    found = {row["id"] for answer in answers for row in answer["result"]}
    out = {u["id"] for u in world.sandbox.users() if not u["enabled"] or u["account"]["status"] == "LOCKED"}
    coverage = answers[-1]["coverage"]
    assert found == out
    assert [coverage[reason]["complete"] for reason in ("disabled", "locked", "removed")] == [True, True, False]
    assert "audit_reporting:read:activity" in coverage["removed"]["note"]


@pytest.mark.parametrize(
    "resources", [[], [{"type": "APPLICATION", "id": "app", "name": "App"}], [{"type": "USER", "name": "x"}]]
)
async def test_removals_that_name_no_user_make_the_coverage_incomplete(world: World, resources: list[Any]) -> None:
    def strip(body: dict[str, Any]) -> None:
        for event in body["_embedded"]["activities"][:1]:
            event["resources"] = resources

    arguments = {"reasons": ["removed"], "since": (NOW - timedelta(days=13)).isoformat(), "limit": 100}
    async with world.client(wrap=rewriting("/activities", strip)) as client:
        answer = facts(await client.call_tool("find_deactivated", arguments))
    assert answer["coverage"]["removed"]["complete"] is False
    assert "app" not in ids(answer["result"])


async def test_removals_without_a_population_are_told_where_only_some_are_served(world: World) -> None:
    def strip(body: dict[str, Any]) -> None:
        for event in body["_embedded"]["activities"]:
            event["resources"][0].pop("population", None)

    arguments = {"reasons": ["removed"], "since": (NOW - timedelta(days=13)).isoformat()}
    populations = (world.sandbox.state().contractors(),)
    async with world.client(wrap=rewriting("/activities", strip), populations=populations) as client:
        answer = facts(await client.call_tool("find_deactivated", arguments))
    assert answer["result"] == []
    assert answer["coverage"]["removed"]["complete"] is False


async def test_a_user_locked_twice_comes_once(world: World) -> None:
    """The older lock stands on a page of its own, and comes in an answer of its own."""
    pages: list[dict[str, Any]] = []

    class TwoPages(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if b"older" in request.url.query:
                return httpx.Response(200, json=pages[-1], request=request)
            response = await self.inner.handle_async_request(request)
            if not request.url.path.endswith("/activities"):
                return response
            body = json.loads(await response.aread())
            if not body["_embedded"]["activities"]:  # asked whether there are still older ones
                return httpx.Response(200, json=body, request=request)
            users = {user["id"]: user for user in world.sandbox.users()}
            event = next(
                e for e in body["_embedded"]["activities"] if users[e["resources"][0]["id"]]["account"].get("lockedAt")
            )
            older = json.loads(json.dumps(event))
            older |= {"id": "older", "recordedAt": (NOW - timedelta(days=12, hours=23)).isoformat()}
            pages.append({"_embedded": {"activities": [older]}})
            href = f"{world.sandbox.base_url}{request.url.path}?cursor=older"
            first = {"_links": {"next": {"href": href}}, "_embedded": {"activities": [event]}}
            return httpx.Response(200, json=first, request=request)

    since = (NOW - timedelta(days=13)).isoformat()
    async with world.client(wrap=TwoPages) as client:
        rows = await walk(client, "find_deactivated", reasons=["locked"], since=since, limit=1)
    assert len(ids(rows)) == 1


@pytest.mark.parametrize("characters", [2_000, 20_000])
async def test_no_answer_is_larger_than_its_budget(world: World, characters: int) -> None:
    def fatten(body: dict[str, Any]) -> None:
        for user in body["_embedded"]["users"]:
            user["notes"] = 'a "quoted" note\n' * 1_500

    long_filter = " or ".join(f'username eq "nobody{number}@example.com"' for number in range(60))
    calls: list[tuple[str, dict[str, Any]]] = [
        ("list_users", {"fields": ["*"]}),
        ("list_users", {"fields": ["*"], "include_remote_data": True}),
        ("list_users", {"filter": f"enabled eq true or {long_filter}", "limit": 200}),
        ("find_deactivated", {"limit": 200}),
        ("list_groups", {}),
        ("proxy_request", {"path": f"/environments/{world.sandbox.environment_id}/users"}),
    ]
    async with world.client(characters=characters, wrap=rewriting("/users", fatten)) as client:
        for tool, arguments in calls:
            if characters < 5_000 and "filter" in arguments:
                continue  # the question alone, which the cursor carries, is larger than that
            result = await client.call_tool(tool, arguments)
            assert len(error_text(result)) <= characters, (tool, arguments)
            assert facts(result)["result"], (tool, arguments)


async def test_a_slow_first_page_is_an_error_within_the_time_of_an_answer(world: World) -> None:
    class Stuck(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.startswith("/v1/"):
                await anyio.sleep_forever()
            return await self.inner.handle_async_request(request)

    user = next(world.sandbox.users())["id"]
    async with world.client(seconds=0.3, wrap=Stuck) as client:
        with anyio.fail_after(60):
            while "NO_TOKEN_YET" in error_text(await client.call_tool("list_users", {})):
                pass  # the first use of the disk may take longer than that
            for tool, arguments in (
                ("list_users", {}),
                ("get_user", {"user": user}),
                ("describe_directory", {}),
                ("find_deactivated", {}),
            ):
                assert "TOO_SLOW" in error_text(await client.call_tool(tool, arguments))


class Refusing(httpx.AsyncBaseTransport):
    """Answer for tokens; the port of the API is closed."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.startswith("/v1/"):
            raise httpx.ConnectError("All connection attempts failed") from ConnectionRefusedError(111, "refused")
        return await self.inner.handle_async_request(request)


async def test_what_happened_is_told_and_not_that_it_took_too_long(world: World) -> None:
    """Who waits for four seconds hears of it before they end, whatever PINGONE_RETRY_SECONDS allows."""
    world.time.until = 4.0
    async with world.client(wrap=Refusing) as client:
        for tool, arguments in (("list_users", {}), ("describe_directory", {}), ("get_user", {"user": "kim"})):
            world.time.until = world.time.passed + 4.0
            told = error_text(await client.call_tool(tool, arguments))
            assert "refused the connection" in told, tool
            assert "PINGONE_API_URL" in told
    kinds: dict[FaultKind, str] = {
        "rate_limited_seconds": "rate limit",
        "unavailable_503": "503",
        "server_error": "500",
    }
    for kind, said in kinds.items():
        world.sandbox.faults.add(kind, seconds=7, times=None)
        world.time.until = world.time.passed + 4.0
        async with world.client() as client:
            assert said in error_text(await client.call_tool("list_users", {}))
            assert world.time.passed <= world.time.until
        world.sandbox.faults.clear()
        world.time.passed += 60


def fat(world: World, characters: int) -> Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]:
    """Give every user of a list as much text as a person may write into custom attributes."""

    def fatten(body: dict[str, Any]) -> None:
        for user in body["_embedded"]["users"]:
            user["notes"] = "x" * characters

    return rewriting("/users", fatten)


async def test_a_page_of_large_users_is_asked_for_again_with_fewer_of_them(tmp_path: Path) -> None:
    """500 users of 40 KB are 20 MB: more than is read at once, and no reason to read nobody."""
    world = World(sandbox=Sandbox(size=500, now=NOW, options=Options(max_page=1_000)), cache=tmp_path)
    everybody = [user["id"] for user in world.sandbox.users()]
    wrap = fat(world, 40_000)
    async with world.client(wrap=wrap, page_size=1_000) as client:
        assert ids(await walk(client, limit=500, fields=["id"])) == everybody
    async with world.directory(transport=wrap(world.sandbox.transport()), page_size=1_000) as directory:
        async with directory.walk() as walked:
            found = [user.id async for page in walked for user in page.users]
        assert walked.verdict.complete
    assert sorted(found) == sorted(everybody)


@pytest.mark.parametrize(("kind", "most"), [("gzip_bomb", "8 MiB"), ("crowded_page", "5,000 items")])
async def test_one_thing_that_is_too_large_is_told_with_what_to_do(world: World, kind: FaultKind, most: str) -> None:
    world.sandbox.faults.add(kind, path="/users", times=None)
    async with world.client() as client:
        told = error_text(await client.call_tool("list_users", {"limit": 5}))
        assert f"larger than the {most} that are read" in told
        assert "ANSWER_TOO_LARGE" in told
        assert "PINGONE_PAGE_SIZE" in told
        world.sandbox.faults.clear()
        assert facts(await client.call_tool("list_users", {"limit": 5}))["result_count"] == 5


@pytest.mark.parametrize("kind", ["gzip_bomb", "huge_array", "crowded_page"])
async def test_what_is_proxied_is_as_bounded(world: World, kind: Any) -> None:
    path = f"/environments/{world.sandbox.environment_id}/groups"
    world.sandbox.faults.add(kind, path="/groups", times=None)
    async with world.client() as client:
        assert "ANSWER_TOO_LARGE" in error_text(await client.call_tool("proxy_request", {"path": path}))
    assert sum("/groups" in request for request in world.api_requests()) == 1, "never asked for again as it is"


async def test_a_large_answer_is_read_beside_the_event_loop(world: World) -> None:
    """The threads for it are taken: large answers wait for one, and all others go on; users are read in no time."""

    def fatten(body: dict[str, Any]) -> None:
        body["_embedded"]["groups"][0]["description"] = "x" * 300_000

    transport = rewriting("/groups", fatten)(fat(world, 2_000)(world.sandbox.transport()))
    release, done = threading.Event(), list[int]()
    path = f"/environments/{world.sandbox.environment_id}/users"

    async def read() -> None:
        done.append(len((await directory.groups(GroupQuestion(), page_size=200)).items))

    async def proxy() -> None:
        page = (await directory.native.send(ProxyQuestion(method="GET", path=path))).page
        done.append(len(page.items) if page else 0)

    async with world.directory(transport=transport) as directory, anyio.create_task_group() as tasks:
        await directory.users(UserQuestion(), page_size=5)  # there is a token
        for _ in range(AT_ONCE["answers"]):
            tasks.start_soon(functools.partial(in_thread, release.wait, pool="answers"))
        tasks.start_soon(read)
        tasks.start_soon(proxy)
        try:
            await anyio.wait_all_tasks_blocked()
            assert done == []
            assert len((await directory.users(UserQuestion(), page_size=200)).items) == 200
        finally:
            release.set()
    assert len(done) == 2


async def test_a_list_that_is_not_as_documented_is_read_beside_the_event_loop_too(world: World) -> None:
    """Nested without end, it takes a second for a few MiB."""
    nested = b'"x":' + b"[" * 150_000 + b"]" * 150_000

    class Nesting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await inner.handle_async_request(request)
            if "limit=7" not in str(request.url):
                return response
            content = await response.aread()
            return httpx.Response(
                200, content=b"{" + nested + b"," + content[1:], headers={"Content-Type": "application/json"}
            )

    inner, release, done = world.sandbox.transport(), threading.Event(), list[int]()

    async def read() -> None:
        done.append(len((await directory.users(UserQuestion(), page_size=7)).items))

    async with world.directory(transport=Nesting()) as directory, anyio.create_task_group() as tasks:
        await directory.users(UserQuestion(), page_size=5)  # there is a token
        for _ in range(AT_ONCE["answers"]):
            tasks.start_soon(functools.partial(in_thread, release.wait, pool="answers"))
        tasks.start_soon(read)
        try:
            await anyio.wait_all_tasks_blocked()
            assert done == []
        finally:
            release.set()
    assert done == [7]


async def test_large_users_who_are_not_as_documented_are_read_beside_the_event_loop_too(tmp_path: Path) -> None:
    world = World(sandbox=Sandbox(size=5, now=NOW), cache=tmp_path)

    def nest(body: dict[str, Any]) -> None:
        for user in body["_embedded"]["users"]:
            user["x"] = [json.loads("[" * 100 + "]" * 100)] * 200

    transport = rewriting("/users", nest)(world.sandbox.transport())
    release, done = threading.Event(), list[int]()

    async def read() -> None:
        done.append(len((await directory.users(UserQuestion(), page_size=5)).items))

    async def walk() -> None:
        async with directory.walk() as walked:
            async for page in walked:
                done.append(len(page.users))
                break

    async with world.directory(transport=transport, page_size=5) as directory, anyio.create_task_group() as tasks:
        await directory.users(UserQuestion(), page_size=1)  # there are a token and names
        for _ in range(AT_ONCE["answers"]):
            tasks.start_soon(functools.partial(in_thread, release.wait, pool="answers"))
        tasks.start_soon(read)
        tasks.start_soon(walk)
        try:
            await anyio.wait_all_tasks_blocked()
            assert done == []
        finally:
            release.set()
    assert done == [5, 5]


async def test_cookies_are_not_kept(world: World) -> None:
    world.sandbox.faults.add("cookie_flood", times=None)
    world.sandbox.faults.add("cookie_flood", path="/as/token", times=None)
    async with world.client() as client:
        for _ in range(3):
            facts(await client.call_tool("list_users", {"limit": 5}))
    assert len(world.api_requests()) >= 3
    assert not any("cookie" in request.headers for request in world.sandbox.requests)


async def test_the_text_null_is_a_text(world: World) -> None:
    async with world.client() as client:
        for argument in ("query", "group", "population"):
            result = await client.call_tool("list_users", {argument: "null"})
            assert result.is_error or facts(result)["total"] != 500
        assert (await client.call_tool("list_users", {"filter": "null"})).is_error
        for text in ('{"a": 1}', '["x"]', "7", "true"):
            assert facts(await client.call_tool("list_users", {"query": text}))["result"] == []
        everybody = facts(await client.call_tool("list_users", {"query": None, "limit": None, "status": None}))
        listed = facts(await client.call_tool("list_users", {"fields": '["username"]', "limit": "3"}))
    assert everybody["total"] == 500
    assert [set(row) for row in listed["result"]] == [{"username"}] * 3


async def test_an_email_is_left_out_only_where_it_repeats_the_username(world: World) -> None:
    def without(body: dict[str, Any]) -> None:
        users = body["_embedded"]["users"]
        del users[0]["email"]
        users[1]["email"] = users[1]["username"]
        users[2]["email"] = "another@example.com"

    async with world.client(wrap=rewriting("/users", without)) as client:
        lean = facts(await client.call_tool("list_users", {"limit": 3}))["result"]
        asked = facts(await client.call_tool("list_users", {"limit": 3, "fields": ["username", "email"]}))["result"]
    assert lean[0]["email"] is None
    assert "email" not in lean[1]
    assert lean[2]["email"] == "another@example.com"
    assert asked[1]["email"] == asked[1]["username"]


async def test_fields_stay_chosen_behind_a_cursor(world: World) -> None:
    async with world.client() as client:
        first = facts(await client.call_tool("list_users", {"fields": ["created_at"], "limit": 2}))
        second = facts(await client.call_tool("list_users", {"cursor": first["next_cursor"], "limit": 2}))
        other = facts(
            await client.call_tool("list_users", {"cursor": first["next_cursor"], "fields": ["title"], "limit": 2})
        )
    assert [set(row) for row in second["result"]] == [{"created_at"}] * 2
    assert [set(row) for row in other["result"]] == [{"title"}] * 2


async def test_fields_that_need_more_reading_are_read(world: World) -> None:
    async with world.client() as client:
        rows = facts(await client.call_tool("list_users", {"fields": ["groups", "remote_data"], "limit": 2}))["result"]
    assert all({"groups", "remote_data"} <= set(row) for row in rows)


async def test_groups_outside_the_configured_populations_stay_out(world: World) -> None:
    state = world.sandbox.state()
    foreign = next(
        group
        for group in state.groups.values()
        if (group.record.get("population") or {}).get("id") == state.contractors()
    )
    async with world.client(populations=(state.employees(),)) as client:
        listed = ids(await walk(client, "list_groups", limit=100))
        members = await client.call_tool("list_members", {"group": foreign.id})
        told = facts(await client.call_tool("describe_directory", {}))["organizations"][0]
    assert foreign.id not in listed
    assert "OUTSIDE_CONFIGURATION" in error_text(members)
    assert "group_count" not in told
    assert told["user_count"] == sum(u["population"]["id"] == state.employees() for u in world.sandbox.users())


@pytest.mark.parametrize("odd", [{"title": "no href"}, "", 7, ["x"], {"href": None}])
async def test_a_next_link_of_another_shape_is_no_end(world: World, odd: Any) -> None:
    def spoil(body: dict[str, Any]) -> None:
        body["_links"]["next"] = odd

    async with world.client(wrap=rewriting("/users", spoil)) as client:
        result = await client.call_tool("list_users", {"limit": 5})
    if odd == {"href": None}:
        assert facts(result)["next_cursor"] is None
    else:
        assert "FOREIGN_LINK" in error_text(result)


@pytest.mark.parametrize("links", [None, [], "x"])
async def test_odd_links_are_no_crash(world: World, links: Any) -> None:
    def spoil(body: dict[str, Any]) -> None:
        body["_links"] = links
        body["_embedded"]["password"] = []

    async with world.client(wrap=rewriting("/users", spoil)) as client:
        assert facts(await client.call_tool("list_users", {"limit": 5}))["result_count"] == 5


async def test_names_that_cannot_be_read_hold_no_list_up(world: World) -> None:
    world.sandbox.faults.add("server_error", path="/populations", times=None)
    async with world.client() as client, anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(client.call_tool, "list_users", {"limit": 1})
    assert sum("/populations" in request for request in world.api_requests()) <= 10
    async with world.client() as client:
        row = facts(await client.call_tool("list_users", {"limit": 1}))["result"][0]
    assert row["workspace"] in set(world.sandbox.state().populations), "the id where the name is not known"


async def test_one_retry_after_does_not_silence_the_process(world: World) -> None:
    world.sandbox.faults.add("unavailable_503", path="/users", seconds=864_000)
    async with world.client() as client:
        assert (await client.call_tool("list_users", {"limit": 1})).is_error
        world.time.passed += 300
        assert facts(await client.call_tool("list_users", {"limit": 1}))["result_count"] == 1


async def test_a_user_who_goes_while_groups_are_read_is_told_apart(world: World) -> None:
    def gone(body: dict[str, Any]) -> None:
        world.sandbox.faults.clear()

    victim = list(world.sandbox.users())[1]["id"]
    world.sandbox.faults.add("user_deleted", path="/users", user_id=victim)
    async with world.client(wrap=rewriting("/users", gone)) as client:
        rows = facts(await client.call_tool("list_users", {"include": ["groups"], "limit": 3}))["result"]
    lost = next(row for row in rows if row["id"] == victim)
    assert lost["unreadable"] == ["groups"]


async def test_a_name_means_what_is_served(world: World) -> None:
    """Reviewers are two groups, one per population; with one population served there is one."""
    state = world.sandbox.state()
    async with world.client(populations=(state.contractors(),)) as client:
        members = facts(await client.call_tool("list_members", {"group": "Reviewers"}))
        unknown = error_text(await client.call_tool("list_users", {"population": "Employees"}))
        area = ResourceTemplateReference(uri="pingone://environments/{environment}/users/{user}")
        offered = await client.complete(area, {"name": "population", "value": ""})
    assert members["total"] is None
    assert "UNKNOWN_NAME" in unknown
    assert state.employees() not in unknown
    assert offered.completion.values == ["Contractors"]


async def test_items_that_share_an_id_are_all_passed_on(world: World) -> None:
    def repeat(body: dict[str, Any]) -> None:
        groups = body["_embedded"]["groups"]
        groups.append(groups[0] | {"name": "twin"})

    path = f"/environments/{world.sandbox.environment_id}/groups"
    async with world.client(wrap=rewriting("/groups", repeat)) as client:
        answer = facts(await client.call_tool("proxy_request", {"path": path}))
    assert answer["result_count"] == len(world.sandbox.state().groups) + 1


@pytest.mark.parametrize("tool", ["list_users", "list_groups", "find_deactivated"])
async def test_one_environment_that_may_not_be_read_is_a_gap_and_no_end(world: World, tool: str) -> None:
    places = sorted(environment.id for environment in world.sandbox.company.environments)

    class OneForbidden(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self.inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if f"/environments/{places[0]}/" in request.url.path and request.url.path.endswith(("/users", "/groups")):
                return httpx.Response(403, json={"code": "ACCESS_FAILED"}, request=request)
            return await self.inner.handle_async_request(request)

    async with world.client(environments=tuple(places), wrap=OneForbidden) as client:
        answers = [facts(await client.call_tool(tool, {"limit": 30}))]
        while answers[-1]["next_cursor"]:
            answers.append(facts(await client.call_tool(tool, {"limit": 30, "cursor": answers[-1]["next_cursor"]})))
    assert sum(answer["result_count"] for answer in answers) > 0
    last = answers[-1]
    if tool == "find_deactivated":
        assert not last["coverage"]["disabled"]["complete"]
        assert places[0] in last["coverage"]["disabled"]["note"]
    else:
        assert places[0] in last["gaps"][0]

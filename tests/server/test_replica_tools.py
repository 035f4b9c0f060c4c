"""The tools of the local copy: sync, changes, SQL; and what others answer from it."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp.types import ResourceUpdatedNotification

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from pingone_mcp.server.subscriptions import CHANGES
from tests.replica.happenings import Doors
from tests.world import NOW, Time, World, error_text, facts, walk


@pytest.fixture
def living(tmp_path: Path) -> World:
    """A company of 300 whose clock is the client's."""
    return World(sandbox=Sandbox(size=300, now=NOW), cache=tmp_path / "cache")


async def synced(client: Client, **arguments: Any) -> dict[str, Any]:
    """Sync, however many calls that takes."""
    while True:
        told = facts(await client.call_tool("sync_directory", arguments))
        if told["state"] != "running":
            return told


def pass_time(world: World, minutes: float) -> None:
    world.time.passed += minutes * 60
    world.sandbox.clock.advance(minutes * 60)


def change(world: World, position: int, **attributes: Any) -> str:
    """Change a user as somebody else would, now; return the id."""
    state = world.sandbox.state()
    user = state.user(position)
    at = world.sandbox.clock.now()
    from pingone_mcp.sandbox.times import timestamp

    state.put_user(position, {**user, **attributes, "updatedAt": timestamp(at)})
    return str(user["id"])


# ---------------------------------------------------------------------------------------------------------------- sync


async def test_a_sync_says_what_it_copied(living: World) -> None:
    async with living.client() as client:
        told = await synced(client)
    assert (told["mode"], told["complete"], told["counts"]["users"], told["counts"]["groups"]) == (
        "full",
        True,
        300,
        21,
    )
    assert "changes" not in told  # nothing was there before


async def test_a_sync_that_takes_longer_than_an_answer_goes_on_by_itself(tmp_path: Path) -> None:
    world = World(sandbox=Sandbox(size=3_000, now=NOW), cache=tmp_path / "cache")
    async with world.client(seconds=0.01) as client:
        first = facts(await client.call_tool("sync_directory", {}))
        assert first["state"] == "running"
        told = await synced(client)
    assert (told["mode"], told["counts"]["users"]) == ("full", 3_000)
    assert told["started_at"] == first["started_at"] <= told["ended_at"]


async def test_a_second_question_joins_the_sync_that_runs(living: World) -> None:
    told: list[dict[str, Any]] = []

    async def ask() -> None:
        told.append(await synced(client))

    async with living.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        tasks.start_soon(ask)
    assert told[0] == told[1]
    assert sum("populations" in request for request in living.api_requests()) <= 3


async def test_a_sync_reports_how_far_it_is_in_numbers_that_grow_over_all_its_stages(tmp_path: Path) -> None:
    world = World(sandbox=Sandbox(size=3_000, now=NOW), cache=tmp_path / "cache")
    told: list[tuple[float, float | None, str]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message or ""))

    async with world.client() as client:
        await client.call_tool("sync_directory", {}, progress_callback=note)
    stages = [message.partition(":")[0] for *_, message in told]
    assert {"places", "users", "groups", "memberships"} < set(stages)
    numbers = [progress for progress, *_ in told]
    assert all(before < after for before, after in pairwise(numbers)), told
    assert all(total is None or total >= progress for progress, total, _ in told)
    assert any(total is not None for _, total, _ in told)


async def test_a_sync_that_fails_says_why(living: World) -> None:
    living.sandbox.faults.add("server_error", path="/users", times=None)
    async with living.client() as client:
        told = await synced(client)
    assert (told["state"], told["complete"]) == ("failed", False)
    assert "500" in told["reason"]


class Broken(httpx.AsyncBaseTransport):
    """A transport with a mistake of its own."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise RuntimeError("a mistake nobody thought of")


async def test_a_mistake_of_ours_in_a_sync_ends_the_sync_and_not_the_server(
    living: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with living.client(wrap=lambda _: Broken()) as client:
        result = await client.call_tool("sync_directory", {})
        assert "SYNC_FAILED" in error_text(result)
        assert "a mistake nobody" not in error_text(result)
        assert (await client.list_tools()).tools
    assert "a mistake nobody" in caplog.text


async def test_a_full_sync_that_joins_a_smaller_one_is_full_all_the_same(living: World) -> None:
    told: list[dict[str, Any]] = []

    async def ask(mode: str) -> None:
        told.append(await synced(client, mode=mode))

    async with living.client() as client:
        await synced(client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "incremental")
            tasks.start_soon(ask, "full")
    assert sorted(one["mode"] for one in told) == ["full", "incremental"]


async def test_a_damaged_copy_hides_nothing_that_is_asked_live(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        (copy,) = (living.cache / "replica").glob("*.db")
        copy.write_bytes(b"nothing like a database" * 1_000)
        told = facts(await client.call_tool("describe_directory", {}))
        assert "damaged" in told["replica"]["problem"]
        assert facts(await client.call_tool("find_deactivated", {}))["source"]["kind"] == "live"


async def test_without_a_copy_every_question_says_how_to_get_one(living: World) -> None:
    async with living.client() as client:
        for tool, arguments in (
            ("list_changes", {}),
            ("query_directory", {"sql": "SELECT 1"}),
            ("access_review", {}),
            ("check_drift", {"entries": [{"email": "a@example.com"}]}),
        ):
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert "Call sync_directory" in error_text(result), tool


# ------------------------------------------------------------------------------------------------------------- changes

SYNCED = NOW.isoformat()
"""When the first sync was: what the audit told of the time before is older."""


async def test_changes_come_in_order_with_what_was_before_and_is_after(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        pass_time(living, 10)
        changed = change(living, 20, title="Astronaut", enabled=False)
        living.sandbox.faults.add("user_created", path="/environments/[^/]+$")
        await client.call_tool("describe_directory", {})
        pass_time(living, 10)
        told = await synced(client)
        rows = await walk(client, "list_changes", limit=1, since=SYNCED)
    kinds = [row["kind"] for row in rows]
    assert sorted(kinds) == ["user.created", "user.deactivated", "user.updated"]
    assert told["changes"] == dict.fromkeys(sorted(kinds), 1)
    (title,) = [row for row in rows if row["kind"] == "user.updated"]
    assert (title["user"]["id"], title["after"]["title"]) == (changed, "Astronaut")
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)


async def test_a_later_cursor_goes_on_with_what_is_new_and_misses_nothing(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        told: list[str] = []
        cursor = facts(await client.call_tool("list_changes", {}))["later_cursor"]
        for position in (30, 31, 32):
            pass_time(living, 10)
            changed = change(living, position, nickname=f"number {position}")
            await synced(client)
            page = facts(await client.call_tool("list_changes", {"cursor": cursor}))
            assert [row["user"]["id"] for row in page["result"]] == [changed]
            told += [changed]
            cursor = page["later_cursor"]
        assert facts(await client.call_tool("list_changes", {"cursor": cursor}))["result"] == []


async def test_changes_can_be_asked_for_by_time_and_kind(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        for position, enabled in ((40, False), (41, True)):
            pass_time(living, 60)
            change(living, position, enabled=enabled, title="Diver")
            await synced(client)
        since = (NOW + timedelta(minutes=90)).isoformat()
        late = facts(await client.call_tool("list_changes", {"since": since}))
        off = facts(await client.call_tool("list_changes", {"kinds": ["user.deactivated"], "since": SYNCED}))
    assert {row["kind"] for row in late["result"]} == {"user.updated"}
    assert [row["kind"] for row in off["result"]] == ["user.deactivated"]


async def test_changes_of_one_sync_come_in_the_order_in_which_they_happened(living: World) -> None:
    state = living.sandbox.state()
    (group,) = [one.id for one in state.groups.values() if one.record["name"] == "Retired Projects"]
    told: list[str] = []
    async with living.client() as client, Doors(living.sandbox) as doors:
        await synced(client)
        for position in (66, 65, 64):
            joins, changes = state.user(position)["id"], state.user(position - 10)["id"]
            pass_time(living, 5)
            await doors.send("POST", f"/users/{joins}/memberOfGroups", {"id": group})
            pass_time(living, 5)
            change(living, position - 10, title="Diver")
            told += [joins, changes]
        await synced(client)
        rows = await walk(client, "list_changes", limit=2, since=SYNCED)
    assert [row["user"]["id"] for row in rows] == told


async def test_a_clock_of_ours_that_is_wrong_makes_no_gap(living: World) -> None:
    living.time = Time(start=(NOW + timedelta(hours=3)).timestamp())
    async with living.client() as client:
        await synced(client)
        told = facts(await client.call_tool("query_directory", {"sql": "SELECT count(*) FROM users"}))
    assert "gaps" not in told


async def test_a_sync_that_failed_goes_on_with_what_is_left(tmp_path: Path) -> None:
    world = World(sandbox=Sandbox(size=2_000, now=NOW), cache=tmp_path / "cache")
    world.sandbox.faults.add("server_error", path="/users.*cursor=", every=20, times=None)
    async with world.client(page_size=50, retry_seconds=0) as client:
        assert not (await synced(client))["complete"]
        world.sandbox.faults.clear()
        world.sandbox.requests.clear()
        told = await synced(client)
    assert (told["complete"], told["counts"]["users"]) == (True, 2_000)
    walked = [request for request in world.api_requests() if "/users?" in request and "memberOfGroups" not in request]
    assert len(walked) < 40


async def test_where_removals_are_not_seen_every_answer_says_so(living: World) -> None:
    living.sandbox.withdraw("Environment Admin", "Configuration Read Only")
    async with living.client() as client:
        await synced(client)
        told = facts(await client.call_tool("query_directory", {"sql": "SELECT count(*) FROM users"}))
        drift = facts(await client.call_tool("check_drift", {"entries": [{"email": "a@example.com"}]}))
    for gaps in (told["gaps"], drift["gaps"]):
        assert any("audit events cannot be read" in gap for gap in gaps)


async def test_changes_of_one_user_can_be_asked_for(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        pass_time(living, 5)
        changed = change(living, 42, title="Diver")
        change(living, 43, title="Baker")
        await synced(client)
        username = living.sandbox.state().user(42)["username"]
        for reference in (changed, username.upper()):
            told = facts(await client.call_tool("list_changes", {"user": reference}))
            assert [row["user"]["id"] for row in told["result"]] == [changed]


async def test_a_query_says_what_the_copy_does_not_hold(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        roles = facts(await client.call_tool("query_directory", {"sql": "SELECT count(*) FROM role_assignments"}))
        users = facts(await client.call_tool("query_directory", {"sql": "SELECT count(*) FROM users"}))
    assert "PINGONE_REPLICA_ROLES" in roles["gaps"][0]
    assert "gaps" not in users


async def test_the_newest_changes_are_a_resource(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        pass_time(living, 5)
        change(living, 50, title="Cook")
        await synced(client)
        (told,) = (await client.read_resource(CHANGES)).contents
        (since,) = (await client.read_resource(f"{CHANGES}?since={NOW:%Y-%m-%dT%H:%M:%SZ}")).contents
    newest, only = json.loads(getattr(told, "text", "")), json.loads(getattr(since, "text", ""))
    assert newest["changes"][0]["after"]["title"] == only["changes"][0]["after"]["title"] == "Cook"
    assert (only["total"], newest["total"] > 1) == (1, True), "beside what the audit told of the time before"
    assert newest["known_since"] == only["known_since"]


async def subscribe(client: Client, uri: str) -> None:
    with pytest.warns(MCPDeprecationWarning):  # the newer era has another way
        await client.subscribe_resource(uri)  # type: ignore[deprecated] # it is the older era that is tested


async def test_who_subscribed_is_told_of_changes_in_the_older_era(living: World) -> None:
    told: list[str] = []

    async def hear(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            told.append(str(message.params.uri))

    async with living.client(mode="legacy", message_handler=hear) as client:
        await subscribe(client, CHANGES)
        await synced(client)
        assert told == []
        pass_time(living, 5)
        change(living, 60, title="Smith")
        await synced(client)
        await anyio.wait_all_tasks_blocked()
        assert told == [CHANGES]
        with pytest.warns(MCPDeprecationWarning):
            await client.unsubscribe_resource(CHANGES)  # type: ignore[deprecated] # as above
        pass_time(living, 5)
        change(living, 61, title="Smith")
        await synced(client)
        await anyio.wait_all_tasks_blocked()
    assert told == [CHANGES]


async def test_who_listens_is_told_of_changes_in_the_newer_era(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        async with client.listen(resource_subscriptions=[CHANGES]) as events:
            pass_time(living, 5)
            change(living, 60, title="Smith")
            await synced(client)
            with anyio.fail_after(60):
                event = await anext(aiter(events))
    assert event == ResourceUpdated(uri=CHANGES)


async def test_only_changes_can_be_subscribed_to(living: World) -> None:
    async with living.client(mode="legacy") as client:
        with pytest.raises(Exception, match="Only pingone://changes"):
            await subscribe(client, "pingone://directory")


# ---------------------------------------------------------------------------------------------------------------- SQL


async def test_sql_answers_about_the_whole_directory(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        living.time.passed += 90
        told = facts(await client.call_tool("query_directory", {"sql": "SELECT count(*) AS n FROM users"}))
    assert (told["columns"], told["rows"], told["truncated"]) == (["n"], [[300]], False)
    assert told["replica_age_s"] >= 90


async def test_rows_beyond_the_limit_are_told(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        told = facts(await client.call_tool("query_directory", {"sql": "SELECT id FROM users", "limit": 7}))
    assert (told["row_count"], told["truncated"]) == (7, True)


async def test_wrong_sql_is_told_how_to_be_written(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        result = await client.call_tool("query_directory", {"sql": "SELECT mail FROM users"})
    assert result.is_error
    assert "email" in error_text(result)


async def test_strings_of_the_directory_are_made_harmless_on_their_way_out(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        told = facts(
            await client.call_tool("query_directory", {"sql": "SELECT name FROM groups WHERE name LIKE 'Inv%'"})
        )
    assert "\u202e" not in told["rows"][0][0]


async def test_the_views_are_described(living: World) -> None:
    async with living.client() as client:
        (views,) = (await client.read_resource("pingone://schema/views")).contents
    assert "removed_users" in getattr(views, "text", "")


# ------------------------------------------------------------------------------------------------- in PingOne's place


async def test_a_fresh_copy_says_who_is_deactivated_and_when_it_was_seen(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        pass_time(living, 10)
        off = change(living, 70, enabled=False)
        await synced(client)
        living.sandbox.requests.clear()
        rows = await walk(client, "find_deactivated", reasons=["disabled"], limit=100)
        told = facts(await client.call_tool("find_deactivated", {"reasons": ["disabled"], "limit": 1}))
    assert living.api_requests() == []
    (row,) = [row for row in rows if row["id"] == off]
    assert row["deactivated_at"].startswith("2026-06-15T12:10")
    assert len(rows) == sum(not user["enabled"] for user in living.sandbox.users())
    assert told["source"]["kind"] == "replica"


async def test_a_stale_copy_is_not_asked(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        pass_time(living, 61)
        told = facts(await client.call_tool("find_deactivated", {"reasons": ["disabled"], "limit": 1}))
    assert told["source"]["kind"] == "live"


async def test_what_began_in_the_copy_goes_on_there(living: World) -> None:
    async with living.client() as client:
        await synced(client)
        first = facts(await client.call_tool("find_deactivated", {"reasons": ["disabled"], "limit": 5}))
        pass_time(living, 61)
        second = facts(await client.call_tool("find_deactivated", {"cursor": first["next_cursor"], "limit": 5}))
    assert second["source"]["kind"] == "replica"
    assert not {row["id"] for row in first["result"]} & {row["id"] for row in second["result"]}


async def test_the_description_tells_how_the_copy_stands(living: World) -> None:
    async with living.client() as client:
        assert facts(await client.call_tool("describe_directory", {}))["replica"] is None
        await synced(client)
        pass_time(living, 0.5)
        replica = facts(await client.call_tool("describe_directory", {}))["replica"]
    assert (replica["users"], replica["groups"]) == (300, 21)
    assert replica["age_seconds"] >= 30


async def test_a_server_may_sync_by_itself(tmp_path: Path) -> None:
    world = World(sandbox=Sandbox(size=100, now=NOW, options=Options()), cache=tmp_path / "cache", time=Time())
    async with world.client(sync_seconds=3_600.0) as client:
        await client.call_tool("list_users", {"limit": 1})
        with anyio.fail_after(60):
            while facts(await client.call_tool("describe_directory", {}))["replica"] is None:
                await anyio.wait_all_tasks_blocked()

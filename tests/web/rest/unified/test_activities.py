"""What was done, over REST: PingOne's audit in unified words."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pingone_mcp.sandbox.app import Sandbox
from tests.replica.happenings import Doors
from tests.web.rest.doors import Door, opened
from tests.world import NOW, World

ACTIVITIES = "/activities"


@pytest.fixture
async def world(tmp_path: Path) -> World:
    world = World(sandbox=Sandbox(size=60, now=NOW), cache=tmp_path / "cache")
    async with Doors(world.sandbox) as doors:
        for number in range(5):
            world.sandbox.clock.advance(60)
            name = f"newcomer{number}"
            assert await doors.send("POST", "/users", {"username": name, "email": f"{name}@example.org"}) == 201
        gone = world.sandbox.state().user(4)
        assert await doors.send("DELETE", f"/users/{gone['id']}") == 204
    world.sandbox.clock.advance(60)
    world.time.passed += 360
    return world


@pytest.fixture
async def door(world: World) -> AsyncIterator[Door]:
    async with opened({"acme": world}) as found:
        yield found


async def test_everything_comes_once_the_newest_first(door: Door) -> None:
    every = await door.every(ACTIVITIES, {"limit": 1_000})
    assert len({row["id"] for row in every}) == len(every) > 5
    assert [row["created_at"] for row in every] == sorted((row["created_at"] for row in every), reverse=True)
    assert await door.every(ACTIVITIES, {"limit": 7}) == every


async def test_a_line_has_truto_s_shape(door: Door, world: World) -> None:
    row = (await door.every(ACTIVITIES, {"action": "user_created"}))[0]
    assert (row["action"], row["event"], row["entity_type"]) == ("user_created", "USER.CREATED", "USER")
    assert row["organization"] == world.sandbox.environment_id
    assert row["actor"]["type"] in ("user", "system")
    assert row["entity_name"] == "newcomer4"
    assert row["remote_data"]["id"] == row["id"]


async def test_what_was_done_is_found_by_action_entity_actor_and_time(door: Door) -> None:
    every = await door.every(ACTIVITIES)
    one = next(row for row in every if row["action"] == "user_deleted")
    actor = next(iter(row["actor"]["user"]["id"] for row in every if row["actor"]["type"] == "user"))
    queries: list[tuple[dict[str, Any], Any]] = [
        ({"action": "user_deleted"}, lambda row: row["action"] == "user_deleted"),
        ({"action[in]": "user_deleted,user_created"}, lambda row: row["action"] in ("user_deleted", "user_created")),
        ({"event": "USER.CREATED"}, lambda row: row["event"] == "USER.CREATED"),
        ({"action": "create"}, lambda row: row["action"] == "create"),
        ({"entity": one["entity"]}, lambda row: row.get("entity") == one["entity"]),
        ({"actor[user][id]": actor}, lambda row: row["actor"].get("user", {}).get("id") == actor),
        ({"created_at[gt]": one["created_at"]}, lambda row: row["created_at"] > one["created_at"]),
        (
            {"created_at[gte]": one["created_at"], "created_at[lte]": one["created_at"]},
            lambda row: row["created_at"] == one["created_at"],
        ),
    ]
    for query, holds in queries:
        found = await door.every(ACTIVITIES, {**query, "limit": 3})
        assert [row["id"] for row in found] == [row["id"] for row in every if holds(row)], query


async def test_the_audit_of_somebody_who_may_not_read_it_is_refused(world: World) -> None:
    world.sandbox.withdraw("Environment Admin", "Configuration Read Only")
    async with opened({"acme": world}) as door:
        body = await door.get(ACTIVITIES, status=403)
    assert body["truto_is_remote_error"] is True

"""Groups over REST, live and out of the local copy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pingone_mcp.sandbox.app import Sandbox
from tests.replica.happenings import Doors
from tests.web.rest.doors import Door, opened, synced
from tests.world import NOW, World

GROUPS = "/groups"
COPY = {"truto_super_query": "true"}


@pytest.fixture
def small(tmp_path: Path) -> World:
    return World(sandbox=Sandbox(size=60, now=NOW), cache=tmp_path / "cache")


@pytest.fixture
async def door(small: World) -> AsyncIterator[Door]:
    async with opened({"acme": small}) as found:
        yield found


async def test_every_group_comes_once_live_and_out_of_the_copy(door: Door, small: World) -> None:
    await synced(small)
    there = sorted(small.sandbox.state().groups)
    for query in ({}, COPY):
        for limit in (3, 100):
            rows = await door.every(GROUPS, {**query, "limit": limit})
            assert sorted(row["id"] for row in rows) == there
            assert {row["organization"] for row in rows} == {small.sandbox.environment_id}, "an id, as Truto has it"
    assert (await door.get(GROUPS, COPY))["replica_age_s"] >= 0


async def test_groups_are_found_by_their_fields(door: Door, small: World) -> None:
    await synced(small)
    rows = await door.every(GROUPS)
    one = next(row for row in rows if " " in row["name"])
    middle = sorted(row["created_at"] for row in rows)[len(rows) // 2]
    for source in ({}, COPY):
        for query, holds in (
            ({"name": one["name"].upper()}, lambda row: row["name"] == one["name"]),
            ({"name": one["name"].split()[0]}, lambda row: row["name"] == one["name"].split()[0]),
            (
                {"name[in]": f"{one['name']},{rows[0]['name']}"},
                lambda row: row["name"] in (one["name"], rows[0]["name"]),
            ),
            ({"group_type": "dynamic"}, lambda row: row["group_type"] == "dynamic"),
            ({"created_at[gt]": middle}, lambda row: row["created_at"] > middle),
            ({"id[]": [one["id"]]}, lambda row: row["id"] == one["id"]),
            ({"organization[id]": one["organization"]}, lambda _: True),
        ):
            found: Any = await door.every(GROUPS, {**source, **query, "limit": 2})
            assert sorted(row["id"] for row in found) == sorted(row["id"] for row in rows if holds(row)), query


async def test_the_groups_of_a_user(door: Door, small: World) -> None:
    await synced(small)
    users = [await door.get(f"/users/{one['id']}") for one in list(small.sandbox.users())[:20]]
    user = max(users, key=lambda one: len(one["groups"]))
    assert len(user["groups"]) > 1
    for source in ({}, COPY):
        found = await door.every(GROUPS, {**source, "user_id": user["id"], "limit": 1})
        assert sorted(row["id"] for row in found) == sorted(group["id"] for group in user["groups"])
    await door.get(GROUPS, {"user_id": "11111111-1111-1111-1111-111111111111"}, status=404)


async def test_one_group_is_whole(door: Door, small: World) -> None:
    for identity, group in list(small.sandbox.state().groups.items())[:9]:
        found = await door.get(f"{GROUPS}/{identity}")
        assert (found["id"], found["organization"]) == (identity, small.sandbox.environment_id)
        assert {one["id"] for one in found.get("parents", ()) if one["type"] == "direct"} == set(group.parents)
    for nobody in ("11111111-1111-1111-1111-111111111111", "no such group"):
        body = await door.get(f"{GROUPS}/{nobody}", status=404)
        assert "truto_is_remote_error" not in body


async def test_what_groups_do_not_have_is_refused_by_name(door: Door) -> None:
    for query in ({"sort_by": "name"}, {"email": "a"}, {"created_at[gt]": "soon"}, {"workspace": "not an id"}):
        body = await door.get(GROUPS, query, status=400)
        assert next(iter(query)).partition("[")[0] in body["message"]


async def test_a_group_outside_the_populations_served_is_not_there(tmp_path: Path) -> None:
    sandbox = Sandbox(size=60, now=NOW)
    world = World(sandbox=sandbox, cache=tmp_path / "cache")
    first, *others = (place.id for place in sandbox.company.main.populations)
    outside = [
        identity
        for identity, group in sandbox.state().groups.items()
        if group.record.get("population", {}).get("id") in others
    ]
    hidden = [user["id"] for user in sandbox.users() if user["population"]["id"] != first]
    await synced(world)
    async with Doors(sandbox) as doors:
        assert await doors.send("PATCH", f"/users/{hidden[0]}", {"title": "Clerk"}) == 200
    async with opened({"acme": world}, populations=(first,)) as door:
        for identity in outside:
            await door.get(f"{GROUPS}/{identity}", status=404)
        for identity in hidden[:3]:
            await door.get(f"/users/{identity}", status=404)
        assert {row["id"] for row in await door.every("/users")}.isdisjoint(hidden)
        await synced(world, populations=(first,))
        assert {row["id"] for row in await door.every("/users", COPY)}.isdisjoint(hidden)
        assert {row["id"] for row in await door.every("/workspaces")} == {first}
        assert {row["entity"] for row in await door.every("/activities")}.isdisjoint(hidden)

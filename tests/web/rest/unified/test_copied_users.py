"""Users over REST, asked of the local copy: every field compares, rows are sorted, and it agrees with the provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pingone_mcp.sandbox.app import Sandbox
from tests.depth import sampled
from tests.replica.happenings import Doors
from tests.web.rest.doors import Door, opened, synced
from tests.world import NOW, World

USERS = "/users"
COPY = {"truto_super_query": "true"}
LACKING_LIVE = {"groups", "roles", "remote_data"}


@pytest.fixture
def small(tmp_path: Path) -> World:
    return World(sandbox=Sandbox(size=60, now=NOW), cache=tmp_path / "cache")


@pytest.fixture
async def door(small: World) -> AsyncIterator[Door]:
    await synced(small, replica_roles=True)
    async with opened({"acme": small}, replica_roles=True) as found:
        yield found


async def test_without_a_copy_it_says_how_one_is_made(small: World) -> None:
    async with opened({"acme": small}) as door:
        body = await door.get(USERS, COPY, status=400)
    assert body["code"] == "NO_REPLICA"
    assert "sync-job-run" in body["next_step"]


async def test_the_copy_shows_everybody_as_the_provider_does(door: Door) -> None:
    live = {row["id"]: row for row in await door.every(USERS)}
    for query in ({}, {"sort_by": "name"}, {"sort_by[created_at]": "desc"}):
        copied = await door.every(USERS, {**COPY, **query, "limit": 7})
        assert len(copied) == len(live)
        for row in copied:
            shown = {name: value for name, value in row.items() if name not in LACKING_LIVE}
            assert shown == {name: value for name, value in live[row["id"]].items() if name not in LACKING_LIVE}


async def test_rows_of_the_copy_have_groups_and_roles_and_its_age(door: Door) -> None:
    page = await door.get(USERS, COPY)
    assert page["replica_age_s"] >= 0
    for row in page["result"][:5]:
        one = await door.get(f"{USERS}/{row['id']}")
        assert {group["id"]: group for group in row["groups"]} == {group["id"]: group for group in one["groups"]}
        assert sorted(map(str, row["roles"])) == sorted(map(str, one["roles"]))
    assert not page["is_partial_response"] or any(row.get("manager") for row in page["result"])


@pytest.mark.parametrize("field", ["created_at", "updated_at", "last_login_at"])
async def test_every_time_compares(door: Door, field: str) -> None:
    rows = await door.every(USERS, COPY)
    times = sorted(row[field] for row in rows if field in row)
    middle = times[len(times) // 2]
    for operator, holds in {
        "gt": str.__gt__,
        "gte": str.__ge__,
        "lt": str.__lt__,
        "lte": str.__le__,
        "eq": str.__eq__,
    }.items():
        found = await door.every(USERS, {**COPY, f"{field}[{operator}]": middle, "limit": 9})
        wanted = {row["id"] for row in rows if field in row and holds(row[field], middle)}
        assert {row["id"] for row in found} == wanted, operator
    found = await door.every(USERS, {**COPY, f"{field}[in]": f"{times[0]},{times[-1]}"})
    assert {row[field] for row in found} == {times[0], times[-1]}


@pytest.mark.parametrize(("alias", "field"), [("emails", "email"), ("emails.email", "email"), ("phones", "phone")])
async def test_rows_are_sorted_by_the_names_that_they_are_filtered_by_too(door: Door, alias: str, field: str) -> None:
    page = await door.get(USERS, {**COPY, f"sort_by[{alias}]": "desc", "limit": 20})
    assert page["result"] == (await door.get(USERS, {**COPY, f"sort_by[{field}]": "desc", "limit": 20}))["result"]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    "field", ["username", "name", "title", "created_at", "last_login_at", "status", "is_2fa_enabled"]
)
@sampled(5)
async def test_rows_come_in_the_order_that_was_asked_for(door: Door, field: str, descending: bool) -> None:
    query = {**COPY, f"sort_by[{field}]": "desc" if descending else "asc", "limit": 7}
    values = [row.get(field) for row in await door.every(USERS, query)]
    having = [value for value in values if value is not None]
    assert values == having + [None] * (len(values) - len(having)), "those without a value come last"
    wanted = sorted(having, key=lambda value: value.lower() if isinstance(value, str) else value, reverse=descending)
    assert [str(one).lower() for one in having] == [str(one).lower() for one in wanted]


async def test_every_kind_of_field_compares_as_rows_show_it(door: Door) -> None:
    rows = await door.every(USERS, COPY)
    whole = next(
        row for row in rows if row["groups"] and row.get("department") and row.get("is_2fa_enabled") is not None
    )
    queries: list[tuple[dict[str, Any], Any]] = [
        ({"username": whole["username"].upper()}, lambda row: row["id"] == whole["id"]),
        ({"id[in]": f"{whole['id']},{rows[0]['id']}"}, lambda row: row["id"] in (whole["id"], rows[0]["id"])),
        ({"department": whole["department"]}, lambda row: row.get("department") == whole["department"]),
        ({"is_2fa_enabled": "true"}, lambda row: row.get("is_2fa_enabled") is True),
        ({"is_2fa_enabled": "false"}, lambda row: row.get("is_2fa_enabled") is False),
        ({"status[in]": "inactive,invited"}, lambda row: row["status"] in ("inactive", "invited")),
        (
            {"group[id]": whole["groups"][0]["id"]},
            lambda row: whole["groups"][0]["id"] in [one["id"] for one in row["groups"]],
        ),
        ({"workspace[id]": whole["workspaces"][0]["id"]}, lambda row: row["workspaces"] == whole["workspaces"]),
        ({"organization_id": whole["organizations"][0]["id"]}, lambda _: True),
        ({"address[country]": "NO"}, lambda row: row.get("address", {}).get("country") == "NO"),
    ]
    for query, holds in queries:
        found = await door.every(USERS, {**COPY, **query, "limit": 9})
        assert {row["id"] for row in found} == {row["id"] for row in rows if holds(row)}, query


async def test_conditions_agree_with_the_provider_where_it_can_compare(door: Door) -> None:
    rows = await door.every(USERS)
    for query in (
        {"last_name": rows[3]["last_name"]},
        {"status": "inactive"},
        {"workspace": rows[0]["workspaces"][0]["id"]},
        {"updated_at[gte]": rows[9]["updated_at"]},
        {"email": rows[5]["emails"][0]["email"]},
        {"title": "no such title"},
    ):
        live, copied = await door.every(USERS, query), await door.every(USERS, query | COPY)
        assert sorted(row["id"] for row in live) == sorted(row["id"] for row in copied), query


async def test_removed_users_are_shown_as_they_were_last(door: Door, small: World) -> None:
    gone = small.sandbox.state().user(7)
    before = [row["id"] for row in await door.every(USERS, {**COPY, "status": "deleted"})]
    assert gone["id"] not in before
    small.sandbox.clock.advance(60)
    small.time.passed += 60
    async with Doors(small.sandbox) as doors:
        assert await doors.send("DELETE", f"/users/{gone['id']}") == 204
    small.sandbox.clock.advance(60)
    small.time.passed += 60
    await synced(small, replica_roles=True)
    removed = {row["id"]: row for row in await door.every(USERS, {**COPY, "status": "deleted", "limit": 2})}
    assert removed.keys() == {*before, gone["id"]}
    row = removed[gone["id"]]
    assert (row["username"], row["status"], row["status_reasons"]) == (gone["username"], "deleted", ["removed"])
    assert gone["id"] not in [row["id"] for row in await door.every(USERS, COPY)]
    await door.get(USERS, {**COPY, "status[in]": "deleted,active"}, status=400)
    body = await door.get(f"{USERS}/{gone['id']}", status=404)
    assert (body["code"], "truto_super_query" in body["next_step"]) == ("USER_REMOVED", True)


async def test_a_sync_between_two_pages_loses_nobody(door: Door, small: World) -> None:
    query = {**COPY, "sort_by": "username", "limit": 10}
    first = await door.get(USERS, query)
    small.sandbox.clock.advance(60)
    small.time.passed += 60
    async with Doors(small.sandbox) as doors:
        assert await doors.send("POST", "/users", {"username": "aaa", "email": "aaa@example.org"}) == 201
    await synced(small, replica_roles=True)
    rest = await door.every(USERS, query)
    second = await door.get(USERS, query | {"next_cursor": first["next_cursor"]})
    assert [row["id"] for row in second["result"]] == [row["id"] for row in rest[11:21]]


async def test_custom_attributes_compare_by_their_names(door: Door) -> None:
    rows = await door.every(USERS, COPY)
    name, value = next(
        (name, value)
        for row in rows
        for name, value in row.get("custom_attributes", {}).items()
        if isinstance(value, str) and value.isascii()
    )
    for query in (COPY, {}):
        found = await door.every(USERS, {**query, f"custom_attributes[{name}]": value})
        assert {row["id"] for row in found} == {
            row["id"] for row in rows if row.get("custom_attributes", {}).get(name) == value
        }


async def test_two_sources_at_once_are_refused(door: Door) -> None:
    await door.get(USERS, {**COPY, "remote_query[filter]": 'username eq "a"'}, status=400)

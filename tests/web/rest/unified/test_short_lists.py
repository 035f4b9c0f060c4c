"""Roles, who holds them, environments, populations and who asks, over REST."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import ROLES
from pingone_mcp.sandbox.faults import Fault
from tests.web.rest.doors import Door, opened, synced
from tests.world import NOW, World

COPY = {"truto_super_query": "true"}


@pytest.fixture
def small(tmp_path: Path) -> World:
    return World(sandbox=Sandbox(size=60, now=NOW, administrators=True), cache=tmp_path / "cache")


@pytest.fixture
async def door(small: World) -> AsyncIterator[Door]:
    async with opened({"acme": small}, environments=None) as found:
        yield found


async def test_all_roles_are_listed_whoever_has_them(door: Door) -> None:
    rows = await door.every("/roles", {"limit": 4})
    assert {(row["id"], row["name"], row["label"]) for row in rows} == {(one.id, one.name, one.name) for one in ROLES}
    assert await door.get(f"/roles/{ROLES[2].id}") == next(row for row in rows if row["id"] == ROLES[2].id)
    assert [row["id"] for row in await door.every("/roles", {"name": ROLES[1].name.lower()})] == [ROLES[1].id]
    names = [row["name"] for row in await door.every("/roles", {"sort_by[name]": "desc", "limit": 2})]
    assert names == sorted((one.name for one in ROLES), reverse=True)
    for nobody in ("11111111-1111-1111-1111-111111111111", "nothing"):
        await door.get(f"/roles/{nobody}", status=404)


async def test_places_are_listed_with_what_is_in_them(door: Door, small: World) -> None:
    company = small.sandbox.company
    rows = await door.every("/organizations", {"limit": 1})
    assert {(row["id"], row["name"], row["type"]) for row in rows} == {
        (one.id, one.name, one.type) for one in company.environments
    }
    main = await door.get(f"/organizations/{company.main.id}")
    assert main["user_count"] == len(list(small.sandbox.users()))
    workspaces = await door.every("/workspaces", {"organization[id]": company.main.id, "limit": 2})
    assert {(row["id"], row["organization"]["id"]) for row in workspaces} == {
        (one.id, company.main.id) for one in company.main.populations
    }
    one = workspaces[0]
    assert await door.get(f"/workspaces/{one['id']}") == one
    assert [row["is_default"] for row in await door.every("/workspaces", {"is_default": "true"})]
    await door.get("/workspaces/nothing", status=404)


async def test_an_environment_that_cannot_be_read_is_a_gap(small: World) -> None:
    other = next(one.id for one in small.sandbox.company.environments if one.id != small.sandbox.environment_id)
    both = (small.sandbox.environment_id, other)
    small.sandbox.faults.add(Fault(kind="forbidden", path=other, times=None))
    async with opened({"acme": small}, environments=both) as door:
        page = await door.get("/organizations")
        assert other in str(page["gaps"])
        page = await door.get("/workspaces")
        assert other in str(page["gaps"])


async def test_who_asks_is_the_application(door: Door, small: World) -> None:
    (row,) = await door.every("/me")
    assert (row["id"], row["type"]) == (small.sandbox.client_id, "service-account")
    assert {one["id"] for one in row["organizations"]} == {one.id for one in small.sandbox.company.environments}


async def test_who_holds_which_role(small: World) -> None:
    async with opened({"acme": small}) as door:
        body = await door.get("/role_assignments", status=400)
        assert body["code"] == "NO_REPLICA"
        await synced(small)
        body = await door.get("/role_assignments", status=400)
        assert (body["code"], "PINGONE_" in body["next_step"], "get_user" in body["next_step"]) == (
            "ROLES_NOT_COPIED",
            False,
            False,
        )
        assert "`user_id`" in body["next_step"]
        assert "`context.replica_roles`" in body["next_step"]
        await synced(small, replica_roles=True)
        rows = await door.every("/role_assignments", {"limit": 3})
        assert rows
        for user in {row["user_id"] for row in rows}:
            live = await door.every("/role_assignments", {"user_id": user})
            key = {"user_id": user, **COPY}
            assert sorted(row["id"] for row in live) == sorted(
                row["id"] for row in await door.every("/role_assignments", key)
            )
            assert sorted(row["role_id"] for row in live) == sorted(
                row["role_id"] for row in rows if row["user_id"] == user
            )
        found = await door.every("/role_assignments", {"role_id": rows[0]["role_id"]})
        assert {row["id"] for row in found} == {row["id"] for row in rows if row["role_id"] == rows[0]["role_id"]}
        assert len({row["id"] for row in rows}) == len(rows)


async def test_roles_of_a_user_that_may_not_be_read_are_a_gap(small: World) -> None:
    user = small.sandbox.state().user(0)
    small.sandbox.faults.add(Fault(kind="forbidden", path="roleAssignments", times=None))
    async with opened({"acme": small}) as door:
        page = await door.get("/role_assignments", {"user_id": user["id"]})
    assert (page["result"], page["next_cursor"]) == ([], None)
    assert "roles" in page["gaps"][0]


SWITCHES = {"truto_ignore_remote_data": "true", "truto_response_format": "unified"}


@pytest.mark.parametrize(
    "path", ["/users", "/groups", "/roles", "/organizations", "/workspaces", "/me", "/activities", "/role_assignments"]
)
async def test_what_says_no_more_than_is_so_is_taken_of_every_list_and_each_of_its_rows(
    door: Door, small: World, path: str
) -> None:
    query = {"user_id": small.sandbox.state().user(0)["id"]} if path == "/role_assignments" else {"limit": 2}
    page = await door.get(path, {**query, **SWITCHES})
    assert "remote_data" not in str(page)
    if path in ("/users", "/groups", "/roles", "/organizations", "/workspaces"):
        one = await door.get(f"{path}/{page['result'][0]['id']}", SWITCHES)
        assert (one["id"], "remote_data" in one) == (page["result"][0]["id"], False)


@pytest.mark.parametrize("path", ["/roles", "/organizations", "/workspaces", "/me"])
@pytest.mark.parametrize("shown", ["raw", "debug"])
async def test_another_form_of_rows_that_have_none_is_refused(door: Door, path: str, shown: str) -> None:
    body = await door.get(path, {"truto_response_format": shown}, status=400)
    assert (body["code"], "truto_response_format" in body["message"]) == ("WRONG_PARAMETER", True)


async def test_lists_are_sorted_by_the_names_that_they_are_filtered_by_too(door: Door) -> None:
    query = {"limit": 100, "sort_by[organization_id]": "desc"}
    assert await door.every("/workspaces", query) == await door.every(
        "/workspaces", {"limit": 100, "sort_by[organization]": "desc"}
    )

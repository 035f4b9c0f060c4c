"""A list that ends before everybody came, and what cannot be read, is a gap in the answer; nothing else is one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client

from pingone_mcp.directory.provider import GroupQuestion, UserQuestion
from pingone_mcp.errors import Refused, UnexpectedAnswer
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from tests.server.test_honesty import ids, rewriting
from tests.world import NOW, World, error_text, facts, walk

JsonObject = dict[str, Any]
UNKNOWN = "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"
ROOMY = 400_000  # characters: what is tested here is not the size budget
RECENTLY = (NOW - timedelta(days=13)).isoformat()
FIRST = r"/users\?(?!.*cursor=)"
LATER = "/users.*cursor="


async def answers(client: Client, tool: str = "list_users", **arguments: Any) -> list[JsonObject]:
    """Follow `next_cursor` to the end and return all answers."""
    found: list[JsonObject] = []
    while not found or found[-1]["next_cursor"] is not None:
        cursor = {"cursor": found[-1]["next_cursor"]} if found else {}
        found.append(facts(await client.call_tool(tool, arguments | cursor)))
    return found


def rows(found: list[JsonObject]) -> list[JsonObject]:
    return [row for one in found for row in one["result"]]


def everybody(world: World) -> list[str]:
    return [user["id"] for user in world.sandbox.users()]


# A page without `next`


@pytest.mark.parametrize("path", [FIRST, LATER])
async def test_a_link_that_was_lost_once_is_there_the_second_time(world: World, path: str) -> None:
    world.sandbox.faults.add("lost_next", path=path)
    async with world.client() as client:
        found = await answers(client, limit=100)
    assert ids(rows(found)) == everybody(world)
    assert not any("gaps" in one for one in found)


async def test_a_list_that_loses_its_link_for_good_says_how_many_are_missing(world: World) -> None:
    world.sandbox.faults.add("lost_next", path=FIRST, times=None)
    async with world.client() as client:
        answer = facts(await client.call_tool("list_users", {"limit": 50}))
    count = len(everybody(world))
    assert (answer["result_count"], answer["next_cursor"], answer["total"]) == (50, None, None)
    (gap,) = answer["gaps"]
    assert f"PingOne counts {count} users" in gap
    assert "50 came" in gap


async def test_what_came_is_counted_over_all_calls(world: World) -> None:
    world.sandbox.faults.add("lost_next", path=LATER, times=None)
    async with world.client() as client:
        found = await answers(client, limit=100)
    assert len(rows(found)) == 200
    assert "gaps" not in found[0]
    assert f"PingOne counts {len(everybody(world))} users" in found[-1]["gaps"][0]
    assert "200 came" in found[-1]["gaps"][0]
    assert found[-1]["total"] is None


async def test_a_gap_in_one_part_is_carried_to_the_end(world: World) -> None:
    """Two environments are two parts; the first one that is read loses its link."""
    first, second = sorted(place.id for place in world.sandbox.company.environments)
    world.sandbox.faults.add("lost_next", path=rf"{first}{FIRST}", times=None)
    async with world.client(environments=None) as client:
        found = await answers(client, limit=20)
    there = {user["id"] for user in world.sandbox.users(second)}
    assert there <= set(ids(rows(found)))
    assert all(first in one["gaps"][0] for one in found[1:])


async def test_rows_that_are_dropped_here_count_as_come(world: World) -> None:
    """Who is locked is found among all the enabled: many come, few are shown, and nobody is missing."""
    async with world.client() as client:
        whole = await answers(client, status="inactive", limit=100)
        world.sandbox.faults.add("lost_next", path=LATER, times=None)
        short = await answers(client, status="inactive", limit=100)
    assert not any("gaps" in one for one in whole)
    assert "came" in short[-1]["gaps"][0]


@pytest.mark.parametrize("kind", ["user_created", "user_deleted", "user_moved"])
@pytest.mark.parametrize("times", [1, 30])
async def test_people_who_come_and_go_meanwhile_are_no_gap(world: World, kind: Any, times: int) -> None:
    world.sandbox.faults.add(kind, path="/users", every=1, times=times)
    async with world.client() as client:
        found = await answers(client, limit=20)
    assert not any("gaps" in one for one in found)


async def test_who_was_made_behind_our_back_is_no_gap(world: World) -> None:
    """The count grows with somebody who stands on a page that was read already."""

    def grown(body: JsonObject) -> None:
        if "next" not in body["_links"]:
            body["count"] += 3

    async with world.client(wrap=rewriting("/users", grown)) as client:
        found = await answers(client, limit=100)
    assert not any("gaps" in one for one in found)


async def test_a_count_that_was_wrong_once_is_no_gap_and_one_that_stays_wrong_is(world: World) -> None:
    async with world.client() as client:
        world.sandbox.faults.add("wrong_count", amount=7, path="/users")
        once = facts(await client.call_tool("list_users", {"filter": 'username sw "a"', "limit": 1000}))
        world.sandbox.faults.add("wrong_count", amount=7, path="/users", times=None)
        always = facts(await client.call_tool("list_users", {"filter": 'username sw "a"', "limit": 1000}))
    assert ("gaps" in once, once["total"]) == (False, once["result_count"])
    assert ("gaps" in always, always["total"]) == (True, None)


@pytest.mark.parametrize("amount", [-7, -400])
async def test_a_count_below_what_came_is_no_gap_and_no_total(world: World, amount: int) -> None:
    world.sandbox.faults.add("wrong_count", amount=amount, path="/users", times=None)
    async with world.client() as client:
        found = await answers(client, limit=200)
    assert ids(rows(found)) == everybody(world)
    assert ("gaps" in found[-1], found[-1]["total"]) == (False, None)


async def test_without_a_count_nothing_is_claimed(world: World) -> None:
    world.sandbox.faults.add("missing_count", times=None)
    async with world.client() as client:
        found = await answers(client, limit=200)
    assert ids(rows(found)) == everybody(world)
    assert all(one["total"] is None and "gaps" not in one for one in found)


async def test_a_list_of_groups_that_ends_too_early_says_so(world: World) -> None:
    world.sandbox.faults.add("lost_next", path=r"/groups\?", times=None)
    async with world.client() as client:
        answer = facts(await client.call_tool("list_groups", {"limit": 2}))
    assert (answer["result_count"], answer["next_cursor"], answer["total"]) == (2, None, None)
    assert f"PingOne counts {len(world.sandbox.state().groups)} groups" in answer["gaps"][0]


@pytest.mark.parametrize("counted", [True, False], ids=["counted", "without-a-count"])
async def test_members_are_compared_with_what_the_group_itself_counts(world: World, *, counted: bool) -> None:
    world.sandbox.faults.add("lost_next", path="/users.*memberOfGroups", times=None)
    if not counted:
        world.sandbox.faults.add("missing_count", path="/users.*memberOfGroups", times=None)
    async with world.client() as client:
        answer = facts(await client.call_tool("list_members", {"group": "VPN Users", "direct_only": True, "limit": 5}))
        both = await answers(client, "list_members", group="VPN Users", limit=5)
    assert (answer["next_cursor"], answer["total"]) == (None, None)
    assert "members" in answer["gaps"][0] or "users" in answer["gaps"][0]
    assert answer["gaps"][0] == both[-1]["gaps"][0]
    assert both[-1]["total"] is None


async def test_a_role_that_reaches_some_members_only_is_a_gap_and_not_a_smaller_group(world: World) -> None:
    state = world.sandbox.state()
    group = next(g for g in state.groups.values() if g.record["name"] == "All Staff")

    def narrowed(body: JsonObject) -> None:
        body["_embedded"]["users"] = body["_embedded"]["users"][:1]
        body["_links"].pop("next", None)
        body["count"] = 1

    async with world.client(wrap=rewriting("/users", narrowed)) as client:
        found = await answers(client, "list_members", group="All Staff")
    said = sum(state.membership(state.position(user["id"]) or 0, group.id) is not None for user in state.users())
    assert any(f"the group counts {said:,} such members, and 1 came" in gap for gap in found[-1]["gaps"])


async def test_who_left_the_group_meanwhile_is_no_gap(world: World) -> None:
    """The group's counts were kept from some minutes ago: they are read again before they contradict."""
    state = world.sandbox.state()
    group = next(g for g in state.groups.values() if g.record["name"] == "VPN Users")
    async with world.client() as client:
        before = await answers(client, "list_members", group=group.id, limit=1000)
        position = state.position(rows(before)[0]["id"])
        assert position is not None
        state.leave(position, group)
        after = await answers(client, "list_members", group=group.id, limit=1000)
    assert len(rows(after)) == len(rows(before)) - 1
    assert "gaps" not in after[-1]


async def test_the_coverage_of_a_reason_whose_list_ends_too_early_is_not_complete(world: World) -> None:
    world.sandbox.faults.add("lost_next", path="enabled%20eq%20false", times=None)
    async with world.client() as client:
        answer = (await answers(client, "find_deactivated", reasons=["disabled", "locked"], limit=5))[-1]
    disabled, locked = answer["coverage"]["disabled"], answer["coverage"]["locked"]
    assert (disabled["complete"], locked["complete"]) == (False, True)
    assert "PingOne counts" in disabled["note"]
    assert "note" not in locked
    assert answer["total"] is None


async def test_events_behind_a_lost_link_are_found_by_their_time(world: World) -> None:
    arguments = {"reasons": ["removed"], "since": RECENTLY, "limit": 50}
    async with world.client() as client:
        whole = ids(await walk(client, "find_deactivated", **arguments))
        assert len(whole) > 1
        world.sandbox.faults.add("short_page", path="/activities", amount=1, times=None)
        world.sandbox.faults.add("lost_next", path="/activities", times=None)
        found = ids(await walk(client, "find_deactivated", **arguments))
    assert found == whole


async def test_groups_and_roles_of_a_user_that_did_not_all_come_are_named(tmp_path: Path) -> None:
    world = World(Sandbox(size=60, now=NOW, options=Options(max_page=1)), tmp_path)
    state = world.sandbox.state()
    user = next(u for u in state.users() if len(state.memberships(state.position(u["id"]) or 0)) > 1)
    world.sandbox.faults.add("lost_next", path="/memberOfGroups", times=None)
    async with world.client() as client:
        found = facts(await client.call_tool("get_user", {"user": user["id"]}))
    assert (len(found["groups"]), found["unreadable"]) == (1, ["groups"])


async def test_a_name_that_is_not_in_a_short_list_may_be_there_all_the_same(tmp_path: Path) -> None:
    world = World(Sandbox(size=60, now=NOW, options=Options(max_page=1)), tmp_path)
    names = [population["name"] for population in world.sandbox.state().populations.values()]
    world.sandbox.faults.add("lost_next", path="/populations", times=None)
    async with world.directory() as directory:
        with pytest.raises(UnexpectedAnswer, match="It is not known whether there is a population of this name"):
            await directory.users(UserQuestion(population=names[-1]))
        assert (await directory.users(UserQuestion(population=names[0]))).items
        assert "populations" in (await directory.describe()).gaps[0].sentence()


async def test_environments_that_are_missing_from_their_list_are_a_gap_in_every_answer(tmp_path: Path) -> None:
    world = World(Sandbox(size=60, now=NOW), tmp_path)

    def short(body: JsonObject) -> None:
        del body["_embedded"]["environments"][1:]

    async with world.client(environments=None, wrap=rewriting("/environments", short)) as client:
        for tool in ("list_users", "list_groups"):
            answer = facts(await client.call_tool(tool, {"limit": 3}))
            assert answer["gaps"] == ["PingOne's list of environments lacks 1 of them."]
        out = facts(await client.call_tool("find_deactivated", {"reasons": ["disabled"]}))
        described = facts(await client.call_tool("describe_directory", {}))
    assert out["coverage"]["disabled"]["complete"] is False
    assert described["gaps"] == ["PingOne's list of environments lacks 1 of them."]


async def test_a_proxied_list_that_ends_too_early_says_so(world: World) -> None:
    path = f"/environments/{world.sandbox.environment_id}/users"
    question = {"path": path, "query": {"limit": 100}}
    async with world.client(characters=ROOMY) as client:
        whole = await answers(client, "proxy_request", **question)
        world.sandbox.faults.add("lost_next", path=LATER, times=1)
        again = await answers(client, "proxy_request", **question)
        world.sandbox.faults.add("lost_next", path=LATER, times=None)
        short = await answers(client, "proxy_request", **question)
    assert ids(rows(again)) == ids(rows(whole)) == everybody(world)
    assert not any("gaps" in one for one in (*whole, *again))
    assert (len(rows(short)), short[-1]["total"]) == (200, None)
    assert "200 came" in short[-1]["gaps"][0]


# One thing that cannot be read


def change_first(key: str, **members: Any) -> Callable[[JsonObject], None]:
    """Return what gives the first item of a list other members; None takes one out."""

    def change(body: JsonObject) -> None:
        items = body.get("_embedded", {}).get(key)
        if items:
            items[0].update(members)
            for name in [name for name, value in members.items() if value is None]:
                del items[0][name]

    return change


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ({"lastSignOn": {"at": "soon"}}, ["last_login_at"]),
        ({"updatedAt": "soon", "title": 7}, ["title", "updated_at"]),
        ({"account": "LOCKED"}, ["status", "locked_at"]),
    ],
)
async def test_a_value_that_cannot_be_read_costs_that_value_alone(
    world: World, members: JsonObject, named: list[str]
) -> None:
    change = change_first("users", **members)
    async with world.client(wrap=rewriting("/users", change), characters=ROOMY) as client:
        found = facts(await client.call_tool("list_users", {"limit": 200}))
        out = facts(await client.call_tool("find_deactivated", {"reasons": ["disabled"]}))
        some = facts(await client.call_tool("list_users", {"limit": 2, "fields": ["username"]}))
    assert ids(found["result"]) == everybody(world)[:200]
    assert [row.get("unreadable") for row in found["result"][:2]] == [named, None]
    assert out["result"][0]["unreadable"] == named
    assert some["result"][0]["unreadable"] == named
    assert "gaps" not in found


@pytest.mark.parametrize("item", [{}, {"id": None}, {"id": 7}, "a text", None])
async def test_who_has_no_id_is_left_out_and_counted(world: World, item: Any) -> None:
    def nameless(body: JsonObject) -> None:
        body["_embedded"]["users"][:1] = [item] if body["_embedded"]["users"] else []

    async with world.client(wrap=rewriting("/users", nameless), characters=ROOMY) as client:
        found = await answers(client, limit=100)
        members = await answers(client, "list_members", group="All Staff", limit=1000)
        out = facts(await client.call_tool("find_deactivated", {"reasons": ["disabled"], "limit": 1000}))
    pages = len(everybody(world)) // 100
    assert len(rows(found)) == len(everybody(world)) - pages
    assert "users without an id were left out" in found[0]["gaps"][0]
    assert f"were left out: {pages} in" in found[-1]["gaps"][0]
    assert "left out" in members[-1]["gaps"][0]
    assert out["coverage"]["disabled"]["complete"] is False
    assert "left out" in out["coverage"]["disabled"]["note"]


async def test_a_group_that_cannot_be_read_whole_stays_and_one_without_an_id_is_counted(world: World) -> None:
    change = change_first("groups", directMemberCounts="many", createdAt="soon")
    async with world.client(wrap=rewriting("/groups", change)) as client:
        found = facts(await client.call_tool("list_groups", {}))
    assert found["result"][0]["unreadable"] == ["member_count", "group_count", "created_at"]
    assert len(found["result"]) == len(world.sandbox.state().groups)
    async with world.client(wrap=rewriting("/groups", change_first("groups", id=None))) as client:
        found = facts(await client.call_tool("list_groups", {}))
    assert len(found["result"]) == len(world.sandbox.state().groups) - 1
    assert "groups without an id were left out: 1 in" in found["gaps"][0]


async def test_an_event_that_cannot_be_read_is_left_out_and_the_coverage_says_so(world: World) -> None:
    arguments = {"reasons": ["removed"], "since": RECENTLY}
    async with world.client() as client:
        whole = facts(await client.call_tool("find_deactivated", arguments))
    change = change_first("activities", recordedAt="soon", createdAt=7)
    async with world.client(wrap=rewriting("/activities", change)) as client:
        found = facts(await client.call_tool("find_deactivated", arguments))
    assert (len(found["result"]), whole["coverage"]["removed"]["complete"]) == (len(whole["result"]) - 1, True)
    assert found["coverage"]["removed"]["complete"] is False
    assert "left out" in found["coverage"]["removed"]["note"]


async def test_a_membership_that_cannot_be_read_names_the_groups_of_that_user(world: World) -> None:
    state = world.sandbox.state()
    user = next(u for u in state.users() if len(state.memberships(state.position(u["id"]) or 0)) > 1)
    whole = len(state.memberships(state.position(user["id"]) or 0))
    for members, left in (({"type": 7}, whole), ({"id": None}, whole - 1)):
        change = change_first("groupMemberships", **members)
        async with world.client(wrap=rewriting("/memberOfGroups", change)) as client:
            found = facts(await client.call_tool("get_user", {"user": user["id"]}))
            listed = facts(
                await client.call_tool("list_users", {"filter": f'id eq "{user["id"]}"', "include": ["groups"]})
            )
        assert (len(found["groups"]), found["unreadable"]) == (left, ["groups"])
        assert (len(listed["result"][0]["groups"]), listed["result"][0]["unreadable"]) == (left, ["groups"])


async def test_a_population_or_environment_that_cannot_be_read_stops_nobody(world: World) -> None:
    for path, key in (("/populations", "populations"), ("/environments", "environments")):
        for members in ({"name": 7}, {"id": None}):
            async with world.client(environments=None, wrap=rewriting(path, change_first(key, **members))) as client:
                assert facts(await client.call_tool("list_users", {"limit": 3}))["result_count"] == 3
                described = facts(await client.call_tool("describe_directory", {}))
            assert ("gaps" in described) == ("id" in members)


# Settings and arguments that name nothing


async def test_populations_that_do_not_exist_are_refused_with_what_there_is(world: World) -> None:
    known = next(iter(world.sandbox.state().populations.values()))
    calls: dict[str, JsonObject] = {
        "list_users": {},
        "list_groups": {},
        "find_deactivated": {},
        "list_members": {"group": "All Staff"},
        "get_user": {"user": everybody(world)[0]},
    }
    async with world.client(populations=(UNKNOWN,)) as client:
        for tool, arguments in calls.items():
            result = await client.call_tool(tool, arguments)
            text = error_text(result)
            assert result.is_error, tool
            assert f"PINGONE_POPULATIONS names no population that there is: {UNKNOWN}" in text
            assert f'"{known["name"]}" ({known["id"]})' in text
        described = facts(await client.call_tool("describe_directory", {}))
    assert "PINGONE_POPULATIONS" in described["gaps"][0]


async def test_one_population_that_does_not_exist_is_a_gap(world: World) -> None:
    served = (world.sandbox.state().contractors(), UNKNOWN)
    async with world.client(populations=served) as client:
        found = await answers(client, limit=20)
        groups = facts(await client.call_tool("list_groups", {}))
        out = facts(await client.call_tool("find_deactivated", {"reasons": ["disabled"], "limit": 100}))
    gap = f"PINGONE_POPULATIONS names {UNKNOWN}, which no environment served has."
    assert found[-1]["gaps"] == groups["gaps"] == [gap]
    assert (out["coverage"]["disabled"]["complete"], out["coverage"]["disabled"]["note"]) == (False, gap)


async def test_populations_that_may_not_be_read_are_not_said_to_be_missing(world: World) -> None:
    def refused(body: JsonObject) -> JsonObject:
        raise httpx.ReadError("nobody answers")

    async with world.client(populations=(UNKNOWN,), wrap=rewriting("/populations", refused)) as client:
        answer = facts(await client.call_tool("list_users", {}))
    assert answer["gaps"] == [f"PINGONE_POPULATIONS names {UNKNOWN}, of which it is not known whether they exist."]


@pytest.mark.parametrize("populations", [1, 2])
async def test_populations_that_exist_are_no_gap(world: World, populations: int) -> None:
    served = tuple(world.sandbox.state().populations)[:populations]
    async with world.client(populations=served, environments=None) as client:
        assert "gaps" not in (await answers(client, limit=100))[-1]


async def test_an_id_that_an_argument_gives_and_nobody_has_is_refused_with_what_there_is(world: World) -> None:
    known = next(iter(world.sandbox.state().populations.values()))
    here = world.sandbox.company.main
    async with world.directory(environments=None) as directory:
        with pytest.raises(Refused, match="There is no population of this id") as caught:
            await directory.users(UserQuestion(population=UNKNOWN, environment=here.id))
        assert f'"{known["name"]}" ({known["id"]})' in caught.value.what
        with pytest.raises(Refused, match="There is no environment of this id") as caught:
            await directory.groups(GroupQuestion(environment=UNKNOWN))
        assert f'"{here.name}" ({here.id})' in caught.value.what
        with pytest.raises(Refused, match="There is no group of this id"):
            await directory.users(UserQuestion(group=UNKNOWN))


@pytest.mark.parametrize("status", [403, 404])
async def test_one_of_several_environments_that_does_not_exist_is_a_gap_that_names_the_setting(
    tmp_path: Path, status: int
) -> None:
    world = World(Sandbox(size=60, now=NOW, options=Options(unknown_environment_status=status)), tmp_path)
    async with world.client(environments=(world.sandbox.environment_id, UNKNOWN)) as client:
        found = await answers(client, limit=50)
        out = facts(await client.call_tool("find_deactivated", {"reasons": ["disabled", "removed"]}))
    assert ids(rows(found)) == everybody(world)
    assert (UNKNOWN in found[-1]["gaps"][0], "PINGONE_ENVIRONMENTS" in found[-1]["gaps"][0]) == (True, True)
    assert [how["complete"] for how in out["coverage"].values()] == [False, False]


async def test_a_population_made_a_moment_ago_is_found_by_its_id(world: World) -> None:
    state = world.sandbox.state()
    async with world.directory() as directory:
        known = await directory.users(UserQuestion(population=state.contractors()))
        state.populations[UNKNOWN] = {**state.populations[state.contractors()], "id": UNKNOWN, "name": "New"}
        assert known.items
        assert not (await directory.users(UserQuestion(population=UNKNOWN))).items


# Rows that lack what a single get returns


EVERY = {"fields": ["*"], "include": ["groups", "roles"]}


async def test_a_partial_response_is_one_whose_rows_lack_what_a_single_get_returns(world: World) -> None:
    async with world.client(characters=ROOMY, environments=None) as client:

        async def partial(tool: str, **arguments: Any) -> bool:
            answer = facts(await client.call_tool(tool, arguments))
            return bool(answer["is_partial_response"])

        users = list(world.sandbox.users())
        managed = next(user for user in users if user.get("manager"))
        unmanaged = next(user for user in users if not user.get("manager"))
        assert await partial("list_users") is True
        assert await partial("list_users", fields=["*"]) is True
        assert await partial("list_users", filter=f'id eq "{unmanaged["id"]}"', **EVERY) is False
        assert await partial("list_users", filter=f'id eq "{managed["id"]}"', **EVERY) is True
        assert await partial("list_users", filter='username eq "nobody"') is False
        assert await partial("list_members", group="All Staff") is True
        assert await partial("list_groups") is True
        assert await partial("list_groups", query="no such name") is False
        assert await partial("find_deactivated", reasons=["disabled"]) is True
        assert await partial("find_deactivated", reasons=["removed"], since=RECENTLY) is False
        assert await partial("proxy_request", path=f"/environments/{world.sandbox.environment_id}/users") is False
        row = facts(await client.call_tool("list_users", {"filter": f'id eq "{unmanaged["id"]}"', **EVERY}))["result"]
        single = facts(await client.call_tool("get_user", {"user": unmanaged["id"]}))
    assert row == [single], "not partial means just that"


async def test_a_row_that_was_cut_is_partial(world: World) -> None:
    path = f"/environments/{world.sandbox.environment_id}/users"

    def fatten(body: JsonObject) -> None:
        body["_embedded"]["users"][0]["notes"] = "n" * 50_000

    async with world.client(wrap=rewriting("/users", fatten)) as client:
        answer = facts(await client.call_tool("proxy_request", {"path": path}))
    assert ("truncated" in json.dumps(answer["result"][0]), answer["is_partial_response"]) == (True, True)

"""Groups, who is in them, and the directory at a glance: what the tools and resources answer is the sandbox's truth."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import TextResourceContents

from pingone_mcp.directory.text.harmless import harmless
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.people import below
from pingone_mcp.sandbox.company.sample import SampleGroup
from pingone_mcp.sandbox.company.state import EnvironmentState, GroupState
from pingone_mcp.sandbox.options import Options
from tests.world import NOW, World, error_text, facts, walk

UNKNOWN = "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"
ROOMY = 400_000  # characters: what is tested here is not the size budget
AT = "2026-06-01T00:00:00.000Z"


def customers(world: World) -> str:
    return world.sandbox.company.environments[1].id


def group_named(state: EnvironmentState, name: str) -> GroupState:
    (found,) = (group for group in state.groups.values() if group.record["name"] == name)
    return found


def put(state: EnvironmentState, name: str, *parents: GroupState, lots: int | None = None, **record: Any) -> GroupState:
    """Put a group into the sandbox; `lots` of 256 shares of its people are direct members."""
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{state.id} {name}"))
    sample = None if lots is None else SampleGroup(identity, name, rules=(("lot", below(lots)),))
    base = {"id": identity, "environment": {"id": state.id}, "name": name, "createdAt": AT, "updatedAt": AT}
    group = GroupState(state.next_serial(), base | record, {parent.id for parent in parents}, sample)
    group.filter = state.read_user_filter(record.get("userFilter"))
    state.put_group(group)
    return group


def membership(state: EnvironmentState, group: str) -> dict[str, str]:
    """Return the sandbox's own truth: how each user who is in a group is in it."""
    found = ((user["id"], state.membership(_position(state, user["id"]), group)) for user in state.users())
    return {identity: kind.lower() for identity, kind in found if kind is not None}


def _position(state: EnvironmentState, user: str) -> int:
    position = state.position(user)
    assert position is not None
    return position


def memberships(rows: list[dict[str, Any]]) -> dict[str, str]:
    told = {row["id"]: row["membership"] for row in rows}
    assert len(told) == len(rows), "somebody came twice"
    return told


async def read(client: Client, uri: str) -> dict[str, Any]:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    found: dict[str, Any] = json.loads(content.text)
    return found


# Groups


@pytest.mark.parametrize("limit", [1, 7, 1_000])
@pytest.mark.parametrize("max_page", [3, 200])
async def test_every_group_comes_exactly_once(tmp_path: Path, limit: int, max_page: int) -> None:
    world = World(sandbox=Sandbox(size=60, now=NOW, options=Options(max_page=max_page)), cache=tmp_path)
    async with world.client() as client:
        rows = await walk(client, "list_groups", limit=limit)
        whole = facts(await client.call_tool("list_groups", {"limit": 1_000}))
    assert [row["id"] for row in rows] == list(world.sandbox.state().groups)
    assert whole["total"] == len(rows)


async def test_counts_and_types_of_groups_are_the_truth(world: World) -> None:
    state = world.sandbox.state()
    put(state, "Handmade", group_named(state, "All Staff"), description="With a member")
    state.join(20, group_named(state, "Handmade"))
    async with world.client() as client:
        rows = {row["id"]: row for row in await walk(client, "list_groups", limit=10)}
    assert rows.keys() == state.groups.keys()
    for identity, group in state.groups.items():
        row, record = rows[identity], group.record
        direct = [user for user, kind in membership(state, identity).items() if kind == "direct"]
        assert row["name"] == harmless(record["name"])
        assert row.get("description") == (harmless(record["description"]) if "description" in record else None)
        assert row["group_count"] == sum(identity in other.parents for other in state.groups.values())
        if "userFilter" in record:
            assert row["group_type"] == "dynamic"
            assert "member_count" not in row, "PingOne counts none of them as direct"
        else:
            assert row["group_type"] == ("external" if "sourceType" in record else "custom")
            assert row["member_count"] == len(direct), record["name"]
    assert {row["group_type"] for row in rows.values()} == {"custom", "dynamic", "external"}
    assert any(row["group_count"] for row in rows.values())


@pytest.mark.parametrize("query", ["STAFF", "oper", "team platform", "e", "nothing is called so"])
async def test_groups_are_found_by_parts_of_their_name_in_any_case(world: World, query: str) -> None:
    names = {group.id: str(group.record["name"]).casefold() for group in world.sandbox.state().groups.values()}
    expected = [found for found, name in names.items() if all(word in name for word in query.casefold().split())]
    async with world.client() as client:
        rows = await walk(client, "list_groups", query=query, limit=2)
    assert [row["id"] for row in rows] == expected


async def test_groups_of_a_population(world: World) -> None:
    state = world.sandbox.state()
    own = [group.id for group in state.groups.values() if group.record.get("population", {}).get("id") is not None]
    async with world.client() as client:
        contractors = await walk(client, "list_groups", population="contractors")
        employees = await walk(client, "list_groups", population=state.employees())
    assert {row["workspace"] for row in contractors} == {"Contractors"}
    assert {row["workspace"] for row in employees} == {"Employees"}
    assert sorted(row["id"] for row in contractors + employees) == sorted(own)


async def test_groups_of_several_environments_are_one_list_that_names_them(world: World) -> None:
    places = tuple(environment.id for environment in world.sandbox.company.environments)
    async with world.client(environments=places) as client:
        rows = await walk(client, "list_groups", limit=5)
        own = await walk(client, "list_groups", environment="customers")
    assert sorted(row["id"] for row in rows) == sorted(g for place in places for g in world.sandbox.state(place).groups)
    assert {row["organization"] for row in rows} == {"Workforce", "Customers"}
    assert [row["id"] for row in own] == list(world.sandbox.state(customers(world)).groups)


async def test_remote_data_of_a_group_comes_only_on_request(world: World) -> None:
    async with world.client() as client:
        plain = facts(await client.call_tool("list_groups", {"limit": 1}))["result"][0]
        native = facts(await client.call_tool("list_groups", {"limit": 1, "include_remote_data": True}))["result"][0]
    assert native["remote_data"]["directMemberCounts"]["users"] == plain["member_count"]
    assert {key: value for key, value in native.items() if key != "remote_data"} == plain


# Members


async def test_direct_and_indirect_members_of_every_group_are_the_truth(world: World) -> None:
    for place in (world.sandbox.environment_id, customers(world)):
        state = world.sandbox.state(place)
        async with world.client(characters=ROOMY, environments=(place,)) as client:
            for identity, group in state.groups.items():
                truth = membership(state, identity)
                rows = await walk(client, "list_members", group=identity, limit=90)
                assert memberships(rows) == truth, group.record["name"]
                kinds = [row["membership"] for row in rows]
                assert kinds == sorted(kinds), "the direct ones come first"
                direct = await walk(client, "list_members", group=identity, direct_only=True, limit=90)
                assert memberships(direct) == {user: kind for user, kind in truth.items() if kind == "direct"}


@pytest.mark.parametrize("name", ["All Staff", "all staff", "External Identities", "Retired Projects", "Engineering"])
async def test_the_total_of_members_is_the_truth(world: World, name: str) -> None:
    state = world.sandbox.state()
    (group,) = (group for group in state.groups.values() if group.record["name"].lower() == name.lower())
    truth = membership(state, group.id)
    async with world.client() as client:
        whole = facts(await client.call_tool("list_members", {"group": name, "limit": 3}))
        direct = facts(await client.call_tool("list_members", {"group": name, "limit": 3, "direct_only": True}))
    assert whole["total"] == len(truth)
    assert direct["total"] == list(truth.values()).count("direct")


async def test_dynamic_and_empty_groups(world: World) -> None:
    async with world.client(characters=ROOMY) as client:
        dynamic = await walk(client, "list_members", group="External Identities", limit=1_000)
        nobody = facts(await client.call_tool("list_members", {"group": "Retired Projects"}))
    expected = {user["id"] for user in world.sandbox.users() if user["email"].endswith("@example.org")}
    assert memberships(dynamic) == dict.fromkeys(expected, "indirect")
    assert (nobody["result"], nobody["next_cursor"], nobody["total"]) == ([], None, 0)


async def test_members_of_a_changed_group(world: World) -> None:
    state = world.sandbox.state()
    group = group_named(state, "VPN Users")
    before = membership(state, group.id)
    gone = next(iter(before))
    new = next(user["id"] for user in state.users() if user["id"] not in before)
    state.leave(_position(state, gone), group)
    state.join(_position(state, new), group)
    async with world.client(characters=ROOMY) as client:
        told = memberships(await walk(client, "list_members", group=group.id, limit=50))
    assert told == {user: kind for user, kind in before.items() if user != gone} | {new: "direct"}


async def test_five_levels_and_twenty_thousand_members_cost_their_pages_and_little_more(tmp_path: Path) -> None:
    world = World(sandbox=Sandbox(size=20_000, now=NOW), cache=tmp_path)
    state = world.sandbox.state()
    level = put(state, "Level 1", lots=50)
    for number in range(2, 6):
        level = put(state, f"Level {number}", level, lots=50 * number if number < 5 else 256)
    people = state.people
    truth = {people.ids.of(at): "direct" if lot < 50 else "indirect" for at, lot in enumerate(people.lot)}
    async with world.client(characters=ROOMY) as client:
        rows = await walk(client, "list_members", group="Level 1", limit=1_000, fields=["id"])
    assert memberships(rows) == truth
    assert len(rows) == 20_000
    direct = list(truth.values()).count("direct")
    pages = -(-direct // 200) + -(-(20_000 - direct) // 200)
    answers = 20_000 // 1_000  # each begins with the page that the one before ended in
    assert pages <= len(world.api_requests()) <= pages + answers + 5


async def test_a_circle_of_groups_ends(world: World) -> None:
    state = world.sandbox.state()
    one = put(state, "Circle One")
    other = put(state, "Circle Two", one)
    one.parents.add(other.id)
    state.put_group(one)
    state.join(20, one)
    state.join(30, other)
    async with world.client() as client:
        told = memberships(await walk(client, "list_members", group="Circle One", limit=1))
        group = await read(client, f"pingone://environments/{state.id}/groups/{one.id}")
    assert told == membership(state, one.id) == {state.user(20)["id"]: "direct", state.user(30)["id"]: "indirect"}
    assert [parent["name"] for parent in group["parents"]] == ["Circle Two"]


async def test_fields_of_members_and_a_cursor_alone(world: World) -> None:
    async with world.client() as client:
        arguments = {"group": "All Staff", "limit": 5, "fields": ["username", "locale"]}
        first = facts(await client.call_tool("list_members", arguments))
        alone = facts(await client.call_tool("list_members", {"cursor": first["next_cursor"], "limit": 5}))
        again = facts(await client.call_tool("list_members", arguments | {"cursor": first["next_cursor"]}))
        other = error_text(await client.call_tool("list_members", {"group": "Sales", "cursor": first["next_cursor"]}))
        typo = error_text(await client.call_tool("list_members", {"group": "Sales", "fields": ["usernam"]}))
        neither = error_text(await client.call_tool("list_members", {}))
    assert all(set(row) <= {"username", "locale", "membership"} for row in first["result"])
    assert [row["username"] for row in alone["result"]] == [row["username"] for row in again["result"]]
    assert not {row["username"] for row in alone["result"]} & {row["username"] for row in first["result"]}
    assert alone["total"] == first["total"]
    assert "FOREIGN_CURSOR" in other
    assert "Did you mean username" in typo
    assert "MISSING_ARGUMENT" in neither


async def test_a_group_that_is_not_there_or_not_alone_is_told(world: World) -> None:
    twice = [group.id for group in world.sandbox.state().groups.values() if group.record["name"] == "Reviewers"]
    elsewhere = next(iter(world.sandbox.state(customers(world)).groups))
    async with world.client() as client:
        for reference in ("No Such Group", UNKNOWN, elsewhere, "Beta Testers", '" or name sw "'):
            text = error_text(await client.call_tool("list_members", {"group": reference}))
            assert "UNKNOWN_NAME" in text, reference
            assert reference not in text
        ambiguous = error_text(await client.call_tool("list_members", {"group": "Reviewers"}))
    assert "AMBIGUOUS_NAME" in ambiguous
    assert len(twice) == 2
    assert all(identity in ambiguous for identity in twice)
    assert ambiguous.count('"Reviewers" (') == 2


async def test_a_group_of_another_environment(world: World) -> None:
    main, other = world.sandbox.state(), world.sandbox.state(customers(world))
    beta = group_named(other, "Beta Testers")
    same = put(other, "VPN Users", lots=10)
    async with world.client(environments=(main.id, other.id)) as client:
        told = await walk(client, "list_members", group="beta testers", limit=100)
        by_id = await walk(client, "list_members", group=beta.id, limit=100)
        ambiguous = error_text(await client.call_tool("list_members", {"group": "VPN Users"}))
        chosen = await walk(client, "list_members", group="VPN Users", environment="Customers", limit=100)
        wrong = error_text(await client.call_tool("list_members", {"group": beta.id, "environment": main.id}))
    assert memberships(told) == memberships(by_id) == membership(other, beta.id)
    assert {row["organization"] for row in told} == {"Customers"}
    assert "AMBIGUOUS_NAME" in ambiguous
    assert f'"VPN Users" ({same.id}) in environment "Customers" ({other.id})' in ambiguous
    assert f'in environment "Workforce" ({main.id})' in ambiguous
    assert memberships(chosen) == membership(other, same.id)
    assert "UNKNOWN_NAME" in wrong


async def test_members_outside_the_configured_populations_stay_out(world: World) -> None:
    state = world.sandbox.state()
    vpn = group_named(state, "VPN Users")
    inside = {user["id"] for user in state.users() if user["population"]["id"] == state.contractors()}
    async with world.client(populations=(state.contractors(),)) as client:
        answer = facts(await client.call_tool("list_members", {"group": "VPN Users", "limit": 5}))
        rows = await walk(client, "list_members", group="VPN Users", limit=100)
    expected = {user: kind for user, kind in membership(state, vpn.id).items() if user in inside}
    assert memberships(rows) == expected
    assert answer["total"] in (None, len(expected)), "a total of the group would count people who are not served"


async def test_groups_outside_the_configured_populations_stay_out(world: World) -> None:
    state = world.sandbox.state()
    places = {group.id: group.record.get("population", {}).get("id") for group in state.groups.values()}
    outside = next(identity for identity, place in places.items() if place == state.employees())
    async with world.client(populations=(state.contractors(),)) as client:
        rows = {row["id"]: row for row in await walk(client, "list_groups", limit=5)}
        refused = error_text(await client.call_tool("list_members", {"group": outside}))
        with pytest.raises(MCPError, match="OUTSIDE_CONFIGURATION"):
            await client.read_resource(f"pingone://environments/{state.id}/groups/{outside}")
        wide = await read(client, f"pingone://environments/{state.id}/groups/All%20Staff")
    assert rows.keys() == {identity for identity, place in places.items() if place in (None, state.contractors())}
    assert all(("member_count" in row) == ("workspace" in row) for row in rows.values()), "counts of all populations"
    assert "total_member_count" not in wide
    assert "OUTSIDE_CONFIGURATION" in refused


# The directory at a glance


async def test_counts_of_the_directory_are_the_truth(world: World) -> None:
    async with world.client(environments=None) as client:
        answer = facts(await client.call_tool("describe_directory", {}))
        assert await read(client, "pingone://directory") == answer
    told = {summary["organization"]["name"]: summary for summary in answer["organizations"]}
    assert told.keys() == {"Workforce", "Customers"}
    for environment in world.sandbox.company.environments:
        users, summary = list(world.sandbox.users(environment.id)), told[environment.name]
        assert summary["organization"]["type"] == environment.type
        assert summary["user_count"] == len(users)
        assert summary["disabled_count"] == sum(not user["enabled"] for user in users)
        assert summary["group_count"] == len(environment.groups)
        assert {place["name"]: (place["user_count"], place["is_default"]) for place in summary["workspaces"]} == {
            place.name: (sum(user["population"]["id"] == place.id for user in users), place.is_default)
            for place in environment.populations
        }
        assert set(summary["may_read"].values()) == {True}
    assert answer["writes"] is False


@pytest.mark.parametrize(
    ("withdrawn", "granted", "readable"),
    [
        (("Environment Admin", "Configuration Read Only"), None, {"users", "groups", "populations"}),
        (("Identity Data Admin",), None, {"audit"}),
        ((), None, set()),
        ((), "Identity Data Read Only", {"users", "groups", "populations"}),
    ],
)
async def test_what_may_not_be_read_is_said(
    world: World, withdrawn: tuple[str, ...], granted: str | None, readable: set[str]
) -> None:
    world.sandbox.withdraw(*withdrawn)
    state = world.sandbox.state()
    if granted:
        world.sandbox.grant(granted, "POPULATION", state.contractors())
    async with world.client() as client:
        (summary,) = facts(await client.call_tool("describe_directory", {}))["organizations"]
    assert {part for part, may in summary["may_read"].items() if may} == readable
    assert ("user_count" in summary) == ("users" in readable)
    assert ("group_count" in summary) == ("groups" in readable)
    if granted:
        assert summary["user_count"] == state.user_count(state.contractors())
        assert [place["name"] for place in summary["workspaces"]] == ["Contractors"]


async def test_configured_populations_limit_the_counts(world: World) -> None:
    state = world.sandbox.state()
    inside = [user for user in state.users() if user["population"]["id"] == state.contractors()]
    async with world.client(populations=(state.contractors(),)) as client:
        answer = facts(await client.call_tool("describe_directory", {}))
    (summary,) = answer["organizations"]
    assert answer["limited_to_workspaces"] == [state.contractors()]
    assert summary["user_count"] == len(inside)
    assert summary["disabled_count"] == sum(not user["enabled"] for user in inside)
    assert [place["name"] for place in summary["workspaces"]] == ["Contractors"]


async def test_an_environment_without_populations(world: World) -> None:
    world.sandbox.state().populations.clear()
    async with world.client() as client:
        (summary,) = facts(await client.call_tool("describe_directory", {}))["organizations"]
        rows = facts(await client.call_tool("list_users", {"limit": 2, "fields": ["workspace"]}))["result"]
    assert summary["may_read"]["populations"] is True
    assert "workspaces" not in summary
    assert summary["user_count"] == 500
    assert [row["workspace"] for row in rows] == [user["population"]["id"] for user in list(world.sandbox.users())[:2]]


class Cloned(httpx.AsyncBaseTransport):
    """Show the environment Customers under many ids."""

    def __init__(self, inner: httpx.AsyncBaseTransport, original: str, count: int) -> None:
        self.inner, self.original = inner, original
        self.ids = [str(uuid.uuid5(uuid.NAMESPACE_URL, f"clone {at}")) for at in range(count)]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/environments":
            items = [{"id": clone, "name": f"Customers {at}"} for at, clone in enumerate(self.ids)]
            return httpx.Response(200, json={"_embedded": {"environments": items}}, request=request)
        clone = next((clone for clone in self.ids if clone in request.url.path), self.original)
        inner = httpx.Request(
            request.method, str(request.url).replace(clone, self.original), headers=request.headers, content=b""
        )
        answer = await self.inner.handle_async_request(
            inner if request.method == "GET" else request  # the token
        )
        content = (await answer.aread()).replace(self.original.encode(), clone.encode())
        return httpx.Response(
            answer.status_code, headers={"content-type": "application/json"}, content=content, request=request
        )


async def test_many_environments_are_named_and_the_first_twenty_counted(world: World) -> None:
    cloned: list[Cloned] = []

    def wrap(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        cloned.append(Cloned(inner, customers(world), 45))
        return cloned[0]

    async with world.client(wrap=wrap, environments=None, characters=ROOMY) as client:
        told = facts(await client.call_tool("describe_directory", {}))["organizations"]
    assert [place["organization"]["id"] for place in told] == sorted(cloned[0].ids)
    assert [place.get("user_count") for place in told[:20]] == [36] * 20
    assert not any("user_count" in place for place in told[20:])
    assert len(world.api_requests()) <= 20 * 5


# Resources


async def test_the_group_resource_is_the_whole_group(world: World) -> None:
    state = world.sandbox.state()
    platform = group_named(state, "Platform Team")
    truth = membership(state, platform.id)
    root = f"pingone://environments/{state.id}/groups"
    async with world.client() as client:
        told = await read(client, f"{root}/{platform.id}")
        assert await read(client, f"{root}/Platform%20Team") == told
        assert await read(client, f"pingone://environments/Workforce/groups/{platform.id}") == told
    assert (told["id"], told["name"], told["organization"]) == (
        platform.id,
        "Platform Team",
        {"id": state.id, "name": "Workforce"},
    )
    assert told["total_member_count"] == len(truth)
    assert told["member_count"] == list(truth.values()).count("direct")
    assert told["group_count"] == 1
    assert {parent["name"]: parent["type"] for parent in told["parents"]} == {
        "Engineering": "direct",
        "All Staff": "indirect",
    }


@pytest.mark.parametrize("group", ["nobody", UNKNOWN, "Reviewers", "..%2f..%2fx"])
async def test_a_group_resource_that_is_not_there_is_an_error(world: World, group: str) -> None:
    async with world.client() as client:
        with pytest.raises(MCPError):
            await client.read_resource(f"pingone://environments/{world.sandbox.environment_id}/groups/{group}")


async def test_a_group_outside_the_configured_environments_cannot_be_read(world: World) -> None:
    other = customers(world)
    group = next(iter(world.sandbox.state(other).groups))
    async with world.client() as client:
        with pytest.raises(MCPError, match="OUTSIDE_CONFIGURATION"):
            await client.read_resource(f"pingone://environments/{other}/groups/{group}")


# Groups and roles of one user


async def test_groups_of_one_user_are_the_truth(world: World) -> None:
    state = world.sandbox.state()
    async with world.client() as client:
        for position in (0, 1, 12, 60, 250, 499):
            user = facts(await client.call_tool("get_user", {"user": state.user(position)["id"]}))
            expected = [
                {"id": group.id, "name": harmless(group.record["name"]), "type": kind.lower()}
                for group, kind in state.memberships(position)
            ]
            if "truncated" in user:
                assert user["truncated"]["groups"] == {"without": "id"}
                for group in expected:
                    del group["id"]
            assert sorted(user["groups"], key=lambda group: group["name"]) == sorted(
                expected, key=lambda group: group["name"]
            )


class Popular(httpx.AsyncBaseTransport):
    """Put every user into ten thousand groups."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner
        self.pages = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/memberOfGroups"):
            return await self.inner.handle_async_request(request)
        self.pages += 1
        first, size = int(request.url.params.get("cursor", "0")), int(request.url.params["limit"])
        items = [
            {"id": str(uuid.UUID(int=at)), "name": f"Group {at}", "type": "DIRECT"} for at in range(first, first + size)
        ]
        body: dict[str, Any] = {"_embedded": {"groupMemberships": items}, "count": 10_000, "size": size}
        if first + size < 10_000:
            following = request.url.copy_merge_params({"cursor": str(first + size)})
            body["_links"] = {"next": {"href": str(following)}}
        return httpx.Response(200, json=body, request=request)


async def test_a_user_in_ten_thousand_groups_stays_in_the_size_budget_and_says_what_was_cut(world: World) -> None:
    popular: list[Popular] = []

    def wrap(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        popular.append(Popular(inner))
        return popular[0]

    user = next(world.sandbox.users())
    async with world.client(wrap=wrap) as client:
        result = await client.call_tool("get_user", {"user": user["id"]})
        resource = await read(client, f"pingone://environments/Workforce/users/{user['id']}")
    told = facts(result)
    assert len(error_text(result)) <= 20_000
    assert resource == told
    assert told["truncated"] == {"groups": {"without": "id", "shown": len(told["groups"]), "of": 10_000}}
    assert len(told["groups"]) > 10
    assert {"id", "status", "username", "roles"} <= set(told)
    assert popular[0].pages == 2 * 50


async def test_roles_carry_the_names_of_role_and_scope(world: World) -> None:
    state = world.sandbox.state()
    state.hold_role(40, "Identity Data Admin", "ENVIRONMENT", state.id)
    state.hold_role(40, "Identity Data Read Only", "POPULATION", state.contractors())
    state.hold_role(40, "Organization Admin", "ORGANIZATION", world.sandbox.company.organization_id)
    async with world.client() as client:
        roles = facts(await client.call_tool("get_user", {"user": state.user(40)["id"]}))["roles"]
        (row,) = facts(
            await client.call_tool("list_users", {"query": state.user(40)["username"], "include": ["roles"]})
        )["result"]
    assert {role["name"]: (role["scope"]["type"], role["scope"].get("name")) for role in roles} == {
        "Identity Data Admin": ("environment", "Workforce"),
        "Identity Data Read Only": ("population", "Contractors"),
        "Organization Admin": ("organization", None),
    }
    assert [role["name"] for role in row["roles"]] == [role["name"] for role in roles]


async def test_a_role_that_is_gone_keeps_its_id(world: World) -> None:
    state = world.sandbox.state()
    state.hold_role(40, UNKNOWN, "ENVIRONMENT", state.id)
    state.hold_role(40, "Identity Data Read Only", "POPULATION", UNKNOWN)
    async with world.client() as client:
        roles = facts(await client.call_tool("get_user", {"user": state.user(40)["id"]}))["roles"]
    gone = next(role for role in roles if role["id"] == UNKNOWN)
    assert gone == {"id": UNKNOWN, "scope": {"id": state.id, "type": "environment", "name": "Workforce"}}
    assert next(role for role in roles if role["id"] != UNKNOWN)["scope"] == {"id": UNKNOWN, "type": "population"}


async def test_nobody_has_roles_or_groups_that_were_not_given(world: World) -> None:
    state = world.sandbox.state()
    position = next(at for at in range(100, 500) if not state.memberships(at))
    async with world.client() as client:
        told = facts(await client.call_tool("get_user", {"user": state.user(position)["id"]}))
    assert (told["groups"], told["roles"]) == ([], [])

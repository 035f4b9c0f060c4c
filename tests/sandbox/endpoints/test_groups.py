from __future__ import annotations

from typing import Any

import httpx
import pytest

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.options import Options
from tests.sandbox.entrance import NOW, enter, walk

pytestmark = pytest.mark.anyio


async def make(client: httpx.AsyncClient, name: str, **more: Any) -> dict[str, Any]:
    answer = await client.post("/groups", json={"name": name, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def join(client: httpx.AsyncClient, user_id: str, group_id: str) -> httpx.Response:
    return await client.post(f"/users/{user_id}/memberOfGroups", json={"id": group_id})


async def nest(client: httpx.AsyncClient, child: str, parent: str) -> httpx.Response:
    return await client.post(f"/groups/{child}/memberOfGroups", json={"id": parent})


async def members(client: httpx.AsyncClient, group_id: str, more: str = "") -> list[str]:
    text = f'memberOfGroups[id eq "{group_id}"{more}]'
    return [row["id"] for row in await walk(client, str(httpx.URL("/users", params={"filter": text})))]


DIRECT, INDIRECT = ' and type eq "DIRECT"', ' and type eq "INDIRECT"'


async def test_members_come_directly_through_nesting_and_through_a_filter(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    ids = [user["id"] for user in sandbox.users()][60:64]
    top, middle, bottom = [(await make(client, name))["id"] for name in ("Top", "Middle", "Bottom")]
    dynamic = (await make(client, "Buyers", userFilter='nickname eq "buyer"'))["id"]
    assert (await nest(client, middle, top)).status_code == 201
    await nest(client, bottom, middle)
    await nest(client, dynamic, top)
    for user_id, group_id in ((ids[0], top), (ids[1], middle), (ids[2], bottom), (ids[2], top)):
        assert (await join(client, user_id, group_id)).status_code == 201
    await client.patch(f"/users/{ids[3]}", json={"nickname": "Buyer"})

    assert await members(client, top) == ids
    assert await members(client, top, DIRECT) == [ids[0], ids[2]]
    assert await members(client, top, INDIRECT) == [ids[1], ids[3]]
    assert await members(client, dynamic) == [ids[3]]
    assert await members(client, dynamic, DIRECT) == []
    group = (await client.get(f"/groups/{top}?include=totalMemberCounts")).json()
    assert group["directMemberCounts"] == {"users": 2, "groups": 2}
    assert group["totalMemberCounts"] == {"users": 4, "groups": 3}
    types = (await client.get(f"/users/{ids[3]}/memberOfGroups")).json()["_embedded"]["groupMemberships"]
    found = {row["id"]: row["type"] for row in types}
    assert (found[top], found[dynamic]) == ("INDIRECT", "INDIRECT")

    both = (
        f'(memberOfGroups[id eq "{top}"]) AND (memberOfGroups[id eq "{bottom}"] OR memberOfGroups[id eq "{dynamic}"])'
    )
    page = (await client.get("/users", params={"filter": both})).json()
    assert [row["id"] for row in page["_embedded"]["users"]] == ids[2:]

    assert (await client.delete(f"/groups/{bottom}/memberOfGroups/{middle}")).status_code == 204
    assert await members(client, middle) == [ids[1]]
    assert (await client.delete(f"/users/{ids[1]}/memberOfGroups/{middle}")).status_code == 204
    assert await members(client, middle) == []


async def test_flags_and_single_questions_agree_on_every_membership(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    state = sandbox.state()
    for group_id, group in state.groups.items():
        listed = await members(client, group_id)
        single = [user["id"] for at, user in enumerate(sandbox.users()) if state.membership(at, group_id)]
        assert listed == single, group.record["name"]
        direct = await members(client, group_id, DIRECT)
        assert direct == [user["id"] for at, user in enumerate(sandbox.users()) if state.is_direct(at, group)]


async def test_nesting_a_group_brings_the_members_it_already_had(client: httpx.AsyncClient) -> None:
    named = {row["name"]: row["id"] for row in await walk(client, "/groups", "groups")}
    top = (await make(client, "Top"))["id"]
    assert await members(client, top) == []
    await nest(client, named["VPN Users"], top)
    assert await members(client, top) == await members(client, named["VPN Users"]) != []
    await client.delete(f"/groups/{named['VPN Users']}")
    assert await members(client, top) == []


async def test_the_sample_nests_four_deep(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    named = {row["name"]: row["id"] for row in await walk(client, "/groups", "groups")}
    above = (await client.get(f"/groups/{named['On Call']}/memberOfGroups")).json()["_embedded"]["groupMemberships"]
    assert {row["name"]: row["type"] for row in above} == {
        "All Staff": "INDIRECT",
        "Engineering": "INDIRECT",
        "Platform Team": "DIRECT",
    }
    text = f'memberOfGroups[id eq "{named["All Staff"]}" and type eq "DIRECT"]'
    children = (await client.get("/groups", params={"filter": text})).json()
    assert children["count"] == 8
    assert set(await members(client, named["On Call"])) <= set(await members(client, named["All Staff"]))


async def test_names_repeat_across_populations_only(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    page = (await client.get("/groups", params={"filter": 'name eq "reviewers"'})).json()
    assert len({row["population"]["id"] for row in page["_embedded"]["groups"]}) == 2
    one, other = sandbox.state().employees(), sandbox.state().contractors()
    await make(client, "Auditors", population={"id": one})
    await make(client, "Auditors", population={"id": other})
    for body in ({"name": "auditors"}, {"name": "Auditors", "population": {"id": one}}):
        refused = await client.post("/groups", json=body)
        assert refused.json()["details"][0]["code"] == "UNIQUENESS_VIOLATION"


async def test_a_circle_of_groups_is_refused(client: httpx.AsyncClient) -> None:
    one, two = [(await make(client, name))["id"] for name in ("One", "Two")]
    await nest(client, one, two)
    for child, parent in ((one, one), (two, one)):
        refused = await nest(client, child, parent)
        assert refused.json()["details"][0]["code"] == "CONSTRAINT_VIOLATION"
    assert (await nest(client, one, two)).json()["details"][0]["code"] == "UNIQUENESS_VIOLATION"


async def test_a_moved_user_leaves_the_groups_of_the_old_population(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    home, other = sandbox.state().employees(), sandbox.state().contractors()
    local, wide = (await make(client, "Local", population={"id": home}))["id"], (await make(client, "Wide"))["id"]
    user = (await client.post("/users", json={"username": "kim", "email": "kim@example.com"})).json()
    for group_id in (local, wide):
        await join(client, user["id"], group_id)
    await client.put(f"/users/{user['id']}/population", json={"id": other})
    assert (await members(client, local), await members(client, wide)) == ([], [user["id"]])
    refused = await join(client, user["id"], local)
    assert refused.json()["details"][0]["code"] == "CONSTRAINT_VIOLATION"


@pytest.mark.parametrize("refused", [True, False])
async def test_joining_twice_is_an_option(refused: bool) -> None:
    sandbox = Sandbox(size=10, now=NOW, options=Options(duplicate_membership_refused=refused))
    async with enter(sandbox) as client:
        user, group = next(sandbox.users()), await make(client, "Twice")
        await join(client, user["id"], group["id"])
        assert (await join(client, user["id"], group["id"])).status_code == (400 if refused else 201)


async def test_an_indirect_membership_cannot_be_ended(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    named = {row["name"]: row["id"] for row in await walk(client, "/groups", "groups")}
    user_id = (await members(client, named["All Staff"]))[0]
    path = f"/users/{user_id}/memberOfGroups/{named['All Staff']}"
    assert (await client.get(path)).json()["type"] == "INDIRECT"
    assert (await client.delete(path)).status_code == 400
    assert (await client.get(f"/users/{user_id}/memberOfGroups/nowhere")).status_code == 404
    page = (await client.get(f"/users/{user_id}/memberOfGroups?limit=1&expand=group")).json()
    row = page["_embedded"]["groupMemberships"][0]
    assert (page["size"], row["_embedded"]["group"]["id"]) == (1, row["id"])
    assert len(await walk(client, f"/users/{user_id}/memberOfGroups?limit=1", "groupMemberships")) == page["count"]


@pytest.mark.parametrize("bumps", [True, False])
async def test_a_new_member_moves_the_groups_updated_at_by_option(bumps: bool) -> None:
    sandbox = Sandbox(size=10, now=NOW, options=Options(membership_bumps_group=bumps))
    async with enter(sandbox) as client:
        group = await make(client, "Fresh")
        await join(client, next(sandbox.users())["id"], group["id"])
        after = (await client.get(f"/groups/{group['id']}")).json()
        assert (after["updatedAt"] > group["updatedAt"], after["checkSum"] != group["checkSum"]) == (bumps, bumps)


async def test_a_group_is_replaced_and_deleted(client: httpx.AsyncClient) -> None:
    group = await make(client, "Old", description="Was", userFilter='title eq "Buyer"', customData={"a": 1})
    path = f"/groups/{group['id']}"
    replaced = (await client.put(path, json={"name": "New"})).json()
    assert {"description", "userFilter", "customData"} & set(replaced) == set()
    assert (replaced["name"], replaced["createdAt"]) == ("New", group["createdAt"])
    wrong = await client.put(path, json={"name": "New", "userFilter": 'shoeSize eq "9"'})
    assert wrong.json()["details"][0]["code"] == "INVALID_FILTER"
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_the_life_of_a_population(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    old_default = sandbox.state().default_population
    made = (await client.post("/populations", json={"name": "Interns", "default": True})).json()
    path = f"/populations/{made['id']}"
    assert (made["userCount"], made["default"]) == (0, True)
    assert (await client.get(f"/populations/{old_default}")).json()["default"] is False
    assert (await client.post("/populations", json={"name": "interns"})).status_code == 400
    user = (await client.post("/users", json={"username": "kim", "email": "kim@example.com"})).json()
    assert user["population"] == {"id": made["id"]}
    assert (await client.get(path)).json()["userCount"] == 1
    refused = await client.delete(path)
    assert refused.json()["details"][0]["code"] == "CONSTRAINT_VIOLATION"
    await client.delete(f"/users/{user['id']}")
    renamed = (await client.put(path, json={"name": "Trainees", "description": "Soon staff"})).json()
    assert (renamed["name"], renamed["default"]) == ("Trainees", False)
    orphan = await client.post("/users", json={"username": "kim", "email": "kim@example.com"})
    assert orphan.json()["details"][0]["target"] == "population"
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_user_counts_add_up(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    rows = await walk(client, "/populations?limit=1", "populations")
    assert sum(row["userCount"] for row in rows) == 120
    for row in rows:
        assert row["userCount"] == sum(user["population"]["id"] == row["id"] for user in sandbox.users())


async def test_the_last_population_stays() -> None:
    async with enter(Sandbox(size=0, customers=0, now=NOW)) as client:
        rows = await walk(client, "/populations", "populations")
        answers = [(await client.delete(f"/populations/{row['id']}")) for row in rows]
        assert [answer.status_code for answer in answers] == [204, 204, 204, 400]
        assert "must contain at least one population" in answers[-1].text

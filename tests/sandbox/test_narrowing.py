"""What the worker application does not see: a role that was narrowed, an environment that is gone, events not written.

A worker application whose role reaches one population sees only the users of that. What is not known of PingOne has an
option (docs/unconfirmed.md).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company.roles import Narrowing
from pingone_mcp.sandbox.options import Options
from tests.sandbox.entrance import NOW, enter, walk

HOST = "https://api.example.net/v1/environments"
SPAN = {"filter": 'recordedAt ge "2026-06-10T00:00:00Z" and recordedAt le "2026-06-16T00:00:00Z"'}


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[tuple[Sandbox, httpx.AsyncClient]]:
    sandbox = Sandbox(size=120, now=NOW, options=Options(**options))
    async with enter(sandbox) as client:
        yield sandbox, client


@contextmanager
def narrowed(sandbox: Sandbox, place: str | None = None, **what: Any) -> Iterator[None]:
    sandbox.narrow(place, Narrowing(**what))
    yield
    sandbox.narrow(place)


def apart(sandbox: Sandbox) -> tuple[list[str], list[str]]:
    """Return the ids of the contractors, and of all others, in the order of creation."""
    theirs = sandbox.state().contractors()
    users = list(sandbox.users())
    return (
        [one["id"] for one in users if one["population"]["id"] == theirs],
        [one["id"] for one in users if one["population"]["id"] != theirs],
    )


async def listed(client: httpx.AsyncClient, noun: str) -> list[str]:
    return [row["id"] for row in await walk(client, f"/{noun}?limit=20", noun)]


@pytest.mark.parametrize("status", [403, 404])
async def test_a_role_is_narrowed_to_some_populations_and_widened_again(status: int) -> None:
    async with opened(unreachable_user_status=status) as (sandbox, client):
        contractors, others = apart(sandbox)
        everybody = await listed(client, "users")
        with narrowed(sandbox, populations=frozenset({sandbox.state().contractors()})):
            assert await listed(client, "users") == contractors
            assert (await client.get("/users?limit=1")).json()["count"] == len(contractors)
            assert (await client.get(f"/users/{contractors[0]}")).status_code == 200
            assert (await client.get(f"/users/{others[0]}")).status_code == status
            asked = {"filter": f'id eq "{others[0]}"'}
            assert (await client.get("/users", params=asked)).json()["count"] == 0
            assert (await client.patch(f"/users/{others[0]}", json={"title": "Clerk"})).status_code == status
        assert await listed(client, "users") == everybody
        assert (await client.get(f"/users/{others[0]}")).status_code == 200


@pytest.mark.parametrize("counted", ["all", "seen"])
async def test_groups_of_a_narrowed_role_count_all_their_members_or_only_those_seen(counted: str) -> None:
    options = {"unreachable_groups_listed": True, "member_counts_narrowed": counted == "seen"}
    async with opened(**options) as (sandbox, client):
        before = {row["id"]: row["directMemberCounts"] for row in await walk(client, "/groups", "groups")}
        assert any(counts["users"] for counts in before.values())
        with narrowed(sandbox, populations=frozenset({sandbox.state().contractors()})):
            rows = await walk(client, "/groups", "groups")
            assert [row["id"] for row in rows] == list(before)
            for row in rows:
                asked = {"filter": f'memberOfGroups[id eq "{row["id"]}" and type eq "DIRECT"]'}
                seen = (await client.get("/users", params=asked)).json()["count"]
                true = before[row["id"]]
                assert seen <= true["users"]
                assert row["directMemberCounts"] == (true if counted == "all" else true | {"users": seen})
                assert (await client.get(f"/groups/{row['id']}")).status_code == 200


async def test_without_the_option_groups_out_of_reach_are_not_listed(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    contractors = sandbox.state().contractors()
    with narrowed(sandbox, populations=frozenset({contractors})):
        rows = await walk(client, "/groups", "groups")
    assert {row.get("population", {}).get("id") for row in rows} == {contractors}


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("status", [403, 404])
async def test_populations_out_of_reach_are_listed_or_not(*, shown: bool, status: int) -> None:
    options = {"unreachable_populations_listed": shown, "unreachable_population_status": status}
    async with opened(**options) as (sandbox, client):
        here, there = sandbox.state().contractors(), sandbox.state().employees()
        whole = await listed(client, "populations")
        with narrowed(sandbox, populations=frozenset({here})):
            assert await listed(client, "populations") == (whole if shown else [here])
            assert (await client.get(f"/populations/{here}")).status_code == 200
            assert (await client.get(f"/populations/{there}")).status_code == (200 if shown else status)


@pytest.mark.parametrize("counted", ["all", "seen"])
async def test_the_count_of_a_population_is_of_all_its_users_or_of_those_seen(counted: str) -> None:
    options = {"unreachable_populations_listed": True, "user_counts_narrowed": counted == "seen"}
    async with opened(**options) as (sandbox, client):
        contractors, others = apart(sandbox)
        here, there = sandbox.state().contractors(), sandbox.state().employees()
        hidden = frozenset(contractors[:3])
        with narrowed(sandbox, populations=frozenset({here}), hidden=hidden):
            counts = {row["id"]: row["userCount"] for row in await walk(client, "/populations", "populations")}
        missing = 3 if counted == "seen" else 0
        assert counts[here] == len(contractors) - missing
        assert counts[there] == (0 if counted == "seen" else len(others) - counts_of_the_rest(sandbox))


def counts_of_the_rest(sandbox: Sandbox) -> int:
    """Return how many are neither contractors nor employees."""
    state = sandbox.state()
    return sum(
        state.user_count(one) for one in state.populations if one not in {state.contractors(), state.employees()}
    )


async def test_any_users_can_be_hidden_without_an_event(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    everybody = await listed(client, "users")
    hidden, events = everybody[::2], len(sandbox.state().events)
    group = next(one for one in sandbox.state().groups.values() if one.record["name"] == "Engineering")
    asked = {"filter": f'memberOfGroups[id eq "{group.id}"]'}
    members = [row["id"] for row in (await client.get("/users", params=asked)).json()["_embedded"]["users"]]
    with narrowed(sandbox, hidden=frozenset(hidden)):
        assert await listed(client, "users") == everybody[1::2]
        assert [(await client.get(f"/users/{one}")).status_code for one in everybody[:2]] == [404, 200]
        page = (await client.get("/users", params=asked)).json()
        assert [row["id"] for row in page["_embedded"]["users"]] == [one for one in members if one not in hidden]
        assert page["count"] == page["size"] < len(members)
        newcomer = await client.post("/users", json={"username": "kim", "email": "kim@example.com"})
        assert (await client.get(f"/users/{newcomer.json()['id']}")).status_code == 200
    assert await listed(client, "users") == [*everybody, newcomer.json()["id"]]
    assert [event.action for event in sandbox.state().events[events:]] == ["USER.CREATED"]


@pytest.mark.parametrize("places", [200, 403])
async def test_a_role_lost_over_all_users_may_leave_the_places_readable(places: int) -> None:
    async with opened(places_without_users=places == 200) as (sandbox, client):
        other = sandbox.company.environments[1].id
        with narrowed(sandbox, populations=frozenset()):
            user = next(sandbox.users())["id"]
            for path, status in {
                "/users": 403,
                f"/users/{user}": 403,
                "/populations": places,
                "/groups": places,
            }.items():
                assert (await client.get(path)).status_code == status, path
            assert (await client.get("/activities", params=SPAN)).status_code == 200
            assert (await client.get(f"{HOST}/{other}/users")).status_code == 200
            assert len(await walk(client, HOST, "environments")) == 2
        assert (await client.get("/users")).status_code == 200


async def test_an_environment_can_be_listed_though_nothing_in_it_is_read(
    sandbox: Sandbox, client: httpx.AsyncClient
) -> None:
    with narrowed(sandbox, populations=frozenset(), configuration=False):
        statuses = {
            (await client.get(path, params=SPAN if path == "/activities" else {})).status_code
            for path in ("/users", "/populations", "/groups", "/activities")
        }
        assert statuses == {403}
        assert len(await walk(client, HOST, "environments")) == 2


async def test_the_audit_can_be_refused_alone(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    with narrowed(sandbox, configuration=False):
        assert (await client.get("/activities", params=SPAN)).status_code == 403
        assert (await client.get("/users")).status_code == 200
    assert (await client.get("/activities", params=SPAN)).status_code == 200


@pytest.mark.parametrize("status", [403, 404])
async def test_an_environment_goes_and_comes_back(status: int) -> None:
    async with opened(unknown_environment_status=status) as (sandbox, client):
        gone, stays = (one.id for one in sandbox.company.environments)
        with narrowed(sandbox, gone, environment=False):
            assert [row["id"] for row in await walk(client, HOST, "environments")] == [stays]
            for path in ("", "/users", "/populations", "/groups"):
                assert (await client.get(f"{HOST}/{gone}{path}")).status_code == status
                assert (await client.get(f"{HOST}/{stays}{path}")).status_code == 200
        assert [row["id"] for row in await walk(client, HOST, "environments")] == [gone, stays]
        assert (await client.get("/users")).json()["count"] == 120


async def test_a_grant_of_populations_is_narrowed_further(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    state = sandbox.state()
    sandbox.withdraw()
    for population in (state.contractors(), state.employees()):
        sandbox.grant("Identity Data Read Only", "POPULATION", population)
    with narrowed(sandbox, populations=frozenset({state.contractors()})):
        assert await listed(client, "users") == apart(sandbox)[0]
    assert len(await listed(client, "users")) > len(apart(sandbox)[0])


async def test_some_actions_leave_no_event(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    """From the start by an option, from now on by the state."""
    state, events = sandbox.state(), len(sandbox.state().events)
    first, second, *_ = await listed(client, "users")
    state.unrecorded.add("USER.DELETED")
    assert (await client.delete(f"/users/{first}")).status_code == 204
    await client.patch(f"/users/{second}", json={"title": "Clerk"})
    state.unrecorded.clear()
    assert (await client.delete(f"/users/{second}")).status_code == 204
    assert [event.action for event in state.events[events:]] == ["USER.UPDATED", "USER.DELETED"]
    async with opened(unrecorded_actions=("USER.DELETED",)) as (forgetful, other):
        events = len(forgetful.state().events)
        assert (await other.delete(f"/users/{first}")).status_code == 204
        assert len(forgetful.state().events) == events


async def test_what_is_written_of_a_user_can_be_spoiled_and_mended(sandbox: Sandbox, client: httpx.AsyncClient) -> None:
    users = await listed(client, "users")
    before = (await client.get(f"/users/{users[3]}")).json()
    values: dict[str, object] = {"lastSignOn.at": "soon", "updatedAt": 17, "name": "Kim", "account.status": None}
    sandbox.state().spoiled[users[3]] = values
    rows = {row["id"]: row for row in await walk(client, "/users")}
    for body in (rows[users[3]], (await client.get(f"/users/{users[3]}")).json()):
        assert (body["lastSignOn"]["at"], body["updatedAt"], body["name"], body["account"]["status"]) == (
            *values.values(),
        )
        assert body["username"] == before["username"]
    asked = {"filter": f'updatedAt ge "{before["updatedAt"]}" and updatedAt le "{before["updatedAt"]}"'}
    assert users[3] in {row["id"] for row in (await client.get("/users", params=asked)).json()["_embedded"]["users"]}
    del sandbox.state().spoiled[users[3]]
    assert (await client.get(f"/users/{users[3]}")).json() == before

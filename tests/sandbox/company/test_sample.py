from __future__ import annotations

import json
import tracemalloc
from datetime import timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pingone_mcp.sandbox import scim
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.company import people
from pingone_mcp.sandbox.company.ids import IndexIds
from pingone_mcp.sandbox.company.sample import Company
from pingone_mcp.sandbox.company.state import EnvironmentState
from pingone_mcp.sandbox.options import Options
from pingone_mcp.sandbox.times import MovableClock
from tests.sandbox.entrance import NOW, enter

pytestmark = pytest.mark.anyio


def state_of(size: int, seed: str = "x") -> EnvironmentState:
    return EnvironmentState(Company(size, seed, NOW).main, Options(), MovableClock(NOW))


def test_the_same_seed_and_time_give_the_same_company() -> None:
    one, same, other = state_of(150), state_of(150), state_of(150, "y")
    assert list(one.users()) == list(same.users())
    assert one.events == same.events
    assert [group.record for group in one.groups.values()] == [group.record for group in same.groups.values()]
    assert {user["id"] for user in one.users()}.isdisjoint(user["id"] for user in other.users())


def test_ids_depend_on_seed_and_index_alone() -> None:
    small, large = state_of(50), state_of(5_000)
    later = EnvironmentState(Company(50, "x", NOW + timedelta(days=3)).main, Options(), MovableClock(NOW))
    for index in range(50):
        assert small.people.ids.of(index) == large.people.ids.of(index) == later.people.ids.of(index)


@given(st.integers(0, 2**40 - 1))
def test_an_id_leads_back_to_its_index(index: int) -> None:
    ids = IndexIds(b"k" * 32, "user")
    text = ids.of(index)
    assert ids.index(text) == index
    assert (len(text), text[14]) == (36, "4")
    assert text[19] in "89ab"
    assert IndexIds(b"k" * 32, "event").index(text) is None


@given(st.integers(0, 3_000_000))
def test_a_name_leads_back_to_its_index(index: int) -> None:
    assert people.index_of_local_part(people.local_part(index)) == index


def test_no_two_names_are_written_alike() -> None:
    pairs = len(people.GIVEN) * len(people.FAMILY)
    assert len({people.local_part(index) for index in range(pairs)}) == pairs


@pytest.mark.parametrize("size", [0, 1, 2, 13, 36, 500])
async def test_any_size_will_do(size: int) -> None:
    sandbox = Sandbox(size=size, now=NOW)
    async with enter(sandbox) as client:
        assert (await client.get("/users?limit=1")).json()["count"] == size == len(list(sandbox.users()))
        assert (await client.get("/groups")).status_code == 200
        assert (await client.get("/populations")).status_code == 200
        span = 'recordedAt ge "2026-06-01T00:00:00Z" and recordedAt le "2026-06-16T00:00:00Z"'
        assert (await client.get("/activities", params={"filter": span})).status_code == 200


def test_usernames_and_ids_are_unique_and_found_without_a_walk() -> None:
    state = state_of(500)
    users = list(state.users())
    assert len({user["id"] for user in users}) == len({user["username"].lower() for user in users}) == 500
    for at, user in enumerate(users):
        assert state.position(user["id"]) == at
        assert state.position_of_username(user["username"].upper()) == at
        assert state.matching(scim.AttributeCondition("email", "eq", user["email"].lower())).count(1) == 1


def test_the_company_has_every_kind_of_user() -> None:
    state = state_of(500)
    users = list(state.users())
    kinds = {
        (user["enabled"], user["account"]["status"], "lockedAt" in user["account"], user["lifecycle"]["status"])
        for user in users
    }
    assert kinds >= {
        (True, "OK", False, "ACCOUNT_OK"),
        (False, "OK", False, "ACCOUNT_OK"),
        (True, "LOCKED", True, "ACCOUNT_OK"),
        (True, "LOCKED", False, "ACCOUNT_OK"),
        (False, "LOCKED", True, "ACCOUNT_OK"),
        (True, "OK", False, "VERIFICATION_REQUIRED"),
    }
    assert {user.get("type") for user in users} >= {"employee", "contractor", "partner", "service"}
    assert any("lastSignOn" not in user and user["account"]["canAuthenticate"] for user in users)
    for user in users:
        able = user["enabled"] and user["account"]["status"] == "OK"
        assert user["account"]["canAuthenticate"] == able
        assert user["createdAt"] <= user["updatedAt"]
        assert user.get("lastSignOn", {"at": user["createdAt"]})["at"] >= user["createdAt"]
        assert None not in user.values()
    ordinary = {user["username"]: user for at, user in enumerate(users) if at not in state.people.notables}
    reports = [
        user for user in ordinary.values() if user.get("manager") in ordinary and "manager" in ordinary[user["manager"]]
    ]
    assert len(reports) > 200
    assert all(user["department"] == ordinary[user["manager"]]["department"] for user in reports)
    usernames = {user["username"] for user in users}
    managers = {user["manager"] for user in users if "manager" in user}
    assert managers <= usernames
    assert (
        sum("manager" not in user for user in users) == 2
    )  # the chief executive, and one who has hardly any attribute


@pytest.mark.parametrize("seed", range(8))
def test_the_board_can_sign_in(seed: int) -> None:
    assert all(user["account"]["canAuthenticate"] for user in state_of(9, str(seed)).users())


def test_hostile_users_are_there_under_their_labels() -> None:
    state = state_of(100)
    notables = {}
    for label, user_id in state.sample.notables.items():
        position = state.position(user_id)
        assert position is not None
        notables[label] = state.user(position)
    assert notables["quotes"]["username"] == 'o"brien\\x@example.com'
    assert "\u202e" in notables["right_to_left"]["name"]["given"]
    assert notables["formula"]["name"]["given"].startswith("=HYPERLINK(")
    assert "Ignore all previous instructions" in notables["injection"]["name"]["given"]
    assert "lastSignOn" not in notables["never_signed_in"]
    assert len(notables["long_title"]["title"]) <= 256
    for label in ("locked", "locked_by_failures", "disabled_and_locked"):
        assert notables[label]["account"]["status"] == "LOCKED"
    found = state.matching(scim.parse(r'username eq "o\"brien\\x@example.com"', state.language))
    assert found.count(1) == 1


async def test_a_million_users_take_little_memory_and_no_list_of_them() -> None:
    tracemalloc.start()
    try:
        sandbox = Sandbox(size=1_000_000, now=NOW)
        async with enter(sandbox) as client:
            page = (await client.get("/users?limit=200")).json()
            assert (page["count"], page["size"]) == (1_000_000, 200)
            for text in ("enabled eq false", f'population.id eq "{sandbox.state().contractors()}"'):
                found = (await client.get("/users", params={"filter": text, "limit": "1"})).json()
                assert 50_000 < found["count"] < 200_000
            found = (await client.get("/users", params={"filter": 'username eq "nobody"'})).json()
            assert found["count"] == 0
            address = f"/users/{sandbox.state().people.ids.of(999_999)}"
            assert (await client.get(address)).status_code == 200
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 60_000_000


def test_ranges_of_many_users_are_counted_from_a_sorted_column() -> None:
    state = state_of(200_000)
    whole = state.matching(scim.parse('updatedAt ge "2000-01-01T00:00:00Z"', state.language)).count(1)
    early = state.matching(scim.parse('updatedAt le "2025-01-01T00:00:00Z"', state.language)).count(1)
    late = state.matching(scim.parse('updatedAt ge "2025-01-01T00:00:00.001Z"', state.language)).count(1)
    assert whole == 200_000 == early + late
    untouched = state_of(200_000)  # it has not built the column
    for index in range(0, 200_000, 9_991):
        assert state.people.user(index)["updatedAt"] == untouched.people.user(index)["updatedAt"]


async def test_the_second_environment_is_small_and_in_production() -> None:
    sandbox = Sandbox(size=20, now=NOW, administrators=True)
    async with enter(sandbox) as client:
        listed = (await client.get("https://api.example.net/v1/environments")).json()
        kinds = {one["name"]: one["type"] for one in listed["_embedded"]["environments"]}
        assert kinds == {"Workforce": "SANDBOX", "Customers": "PRODUCTION", "Administrators": "PRODUCTION"}
        customers = sandbox.company.environments[1].id
        address = f"https://api.example.net/v1/environments/{customers}/users"
        users = (await client.get(address)).json()
        assert users["count"] == 36
        assert not any("department" in user for user in users["_embedded"]["users"])
        foreign = await client.get(f"/users/{users['_embedded']['users'][0]['id']}")
        assert foreign.status_code == 404


async def test_media_type_and_headers_are_as_recorded(client: httpx.AsyncClient) -> None:
    anything = await client.get("/users?limit=1", headers={"accept": "*/*"})
    plain = await client.get("/users?limit=1", headers={"accept": "application/json"})
    assert anything.headers["content-type"] == "application/hal+json;charset=UTF-8"
    assert plain.headers["content-type"] == "application/json;charset=UTF-8"
    assert anything.headers["correlation-id"] == anything.headers["x-amzn-requestid"]
    assert anything.headers["correlation-id"] != plain.headers["correlation-id"]
    assert anything.headers["cache-control"] == "no-cache, no-store, max-age=0, must-revalidate"


async def test_head_is_get_without_the_body(client: httpx.AsyncClient) -> None:
    head, get = await client.head("/users?limit=1"), await client.get("/users?limit=1")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"] == str(len(get.content))


async def test_bodies_may_be_indented_as_recorded() -> None:
    async with enter(Sandbox(size=3, now=NOW, options=Options(pretty=True))) as client:
        assert '"count" : 3' in (await client.get("/users")).text


def test_whoever_changes_what_was_given_of_a_user_changes_nobody() -> None:
    state = state_of(150)
    state.put_user(0, {**state.user(0), "title": "Changed"})
    before = json.dumps(list(state.users()))
    for user in state.users():
        for value in (user, *user.values()):
            if isinstance(value, dict):
                value.clear()
            elif isinstance(value, list):
                value.append("more")
    assert json.dumps(list(state.users())) == before

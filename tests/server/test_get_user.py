"""What one user costs: which requests, which of them at the same time, and whose failure is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client

from pingone_mcp.directory.native import ProxyQuestion
from pingone_mcp.sandbox.app import Sandbox
from tests.world import NOW, World, error_text, facts

UNKNOWN = "3f5f7c1e-8a54-4d0e-9f0a-6c1f2b7d9e10"
_PATIENCE = 60.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(sandbox=Sandbox(size=60, now=NOW), cache=tmp_path / "cache")


def last(path: str) -> str:
    """Return what a path reads, in one word: `users` for one user or a search, else its last segment."""
    segments = path.split("/")
    return "users" if "users" in segments[-2:] else segments[-1]


class Together(httpx.AsyncBaseTransport):
    """Hold answers back until all requests that are expected at the same time have arrived."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self._arrived: Counter[str] = Counter()
        self._expected: Counter[str] = Counter()
        self._met = anyio.Event()
        self._met.set()

    def expect(self, *names: str) -> None:
        self._arrived, self._expected, self._met = Counter(), Counter(names), anyio.Event()

    @property
    def met(self) -> bool:
        return self._met.is_set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = last(request.url.path)
        if name in self._expected:
            self._arrived[name] += 1
            if self._arrived >= self._expected:
                self._met.set()
            with anyio.fail_after(_PATIENCE):
                await self._met.wait()
        return await self._inner.handle_async_request(request)


class Failing(httpx.AsyncBaseTransport):
    """Answer some requests with an error; `told` gives its status, or None for PingOne's own answer."""

    def __init__(self, inner: httpx.AsyncBaseTransport, told: Callable[[httpx.URL], int | None]) -> None:
        self._inner = inner
        self._told = told

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        status = self._told(request.url)
        if status is None:
            return await self._inner.handle_async_request(request)
        return httpx.Response(status, json={"code": "REQUEST_FAILED"}, request=request)


@asynccontextmanager
async def gathering(world: World, **changes: Any) -> AsyncIterator[tuple[Client, Together]]:
    made: list[Together] = []

    def wrap(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        made.append(Together(inner))
        return made[0]

    async with world.client(wrap=wrap, **changes) as client:
        await client.call_tool("get_user", {"user": UNKNOWN})  # opens the connection
        yield client, made[0]


def managed(world: World) -> dict[str, Any]:
    """Return a user whose manager is a user."""
    names = {user["username"] for user in world.sandbox.users()}
    return next(user for user in world.sandbox.users() if user.get("manager") in names)


def asked(world: World, since: int) -> list[str]:
    return sorted(last(request.partition("?")[0]) for request in world.api_requests()[since:])


# At the same time


async def test_by_id_user_groups_and_roles_are_asked_for_at_the_same_time(world: World) -> None:
    user = next(user for user in world.sandbox.users() if "manager" not in user)
    async with gathering(world) as (client, together):
        together.expect("users", "memberOfGroups", "roleAssignments")
        found = facts(await client.call_tool("get_user", {"user": user["id"].upper()}))
    assert together.met
    assert (found["id"], "groups" in found, "roles" in found) == (user["id"], True, True)


async def test_by_name_groups_roles_and_manager_are_asked_for_as_soon_as_the_user_is_known(world: World) -> None:
    user = managed(world)
    async with gathering(world) as (client, together):
        together.expect("memberOfGroups", "roleAssignments")
        found = facts(await client.call_tool("get_user", {"user": user["username"]}))
    assert together.met
    assert found["manager"]["username"] == user["manager"]


async def test_several_environments_are_searched_at_the_same_time(world: World) -> None:
    places = tuple(environment.id for environment in world.sandbox.company.environments)
    user = next(world.sandbox.users(places[-1]))
    async with gathering(world, environments=places) as (client, together):
        for reference in (user["id"], user["username"]):
            together.expect(*["users"] * len(places))
            found = facts(await client.call_tool("get_user", {"user": reference}))
            assert together.met
            assert found["organizations"][0]["id"] == places[-1]


# No more than needed


async def test_a_user_without_a_manager_costs_three_requests_when_names_are_known(world: World) -> None:
    user = next(user for user in world.sandbox.users() if "manager" not in user)
    async with world.client() as client:
        await client.call_tool("get_user", {"user": user["id"]})
        sent = len(world.api_requests())
        await client.call_tool("get_user", {"user": user["id"]})
    assert asked(world, sent) == ["memberOfGroups", "roleAssignments", "users"]


async def test_a_manager_is_looked_up_once_in_some_minutes(world: World) -> None:
    user = managed(world)
    async with world.client() as client:
        first = facts(await client.call_tool("get_user", {"user": user["id"]}))
        sent = len(world.api_requests())
        second = facts(await client.call_tool("get_user", {"user": user["id"]}))
        assert asked(world, sent) == ["memberOfGroups", "roleAssignments", "users"]
        assert second == first
        world.time.passed += 301
        sent = len(world.api_requests())
        await client.call_tool("get_user", {"user": user["id"]})
    assert asked(world, sent).count("users") == 2


async def test_after_a_write_a_manager_is_looked_up_again(world: World) -> None:
    user = managed(world)
    manager = next(other for other in world.sandbox.users() if other["username"] == user["manager"])
    path = f"/environments/{world.sandbox.environment_id}/users/{manager['id']}"
    async with world.directory(allow_writes=True) as directory:
        await directory.user(user["id"])
        await directory.native.send(ProxyQuestion(path=path, method="PATCH", body={"email": "new@example.com"}))
        found = await directory.user(user["id"])
    assert found.manager is not None
    assert found.manager.email == "new@example.com"


async def test_managers_of_the_same_name_in_two_environments_are_two(world: World) -> None:
    here, there = (environment.id for environment in world.sandbox.company.environments[:2])
    staff = [next(world.sandbox.users(place)) for place in (here, there)]
    for place, user in zip((here, there), staff, strict=True):
        state = world.sandbox.state(place)
        position = state.position(user["id"])
        assert position is not None
        state.put_user(position, user | {"manager": "boss@example.com", "username": "boss@example.com"})
    async with world.client(environments=(here, there)) as client:
        for user in staff:
            found = facts(await client.call_tool("get_user", {"user": user["id"]}))
            assert found["manager"]["id"] == user["id"]


async def test_a_manager_who_was_not_there_is_looked_for_again(world: World) -> None:
    state, (user, other) = world.sandbox.state(), list(world.sandbox.users())[:2]
    at, beside = state.position(user["id"]), state.position(other["id"])
    assert at is not None
    assert beside is not None
    state.put_user(at, user | {"manager": "late@example.com"})
    async with world.client() as client:
        before = facts(await client.call_tool("get_user", {"user": user["id"]}))
        state.put_user(beside, other | {"username": "late@example.com"})
        after = facts(await client.call_tool("get_user", {"user": user["id"]}))
    assert before["manager"] == {"reference": "late@example.com"}
    assert after["manager"]["id"] == other["id"]


async def test_nothing_more_is_asked_about_a_user_outside_the_configured_populations(world: World) -> None:
    contractors = world.sandbox.state().contractors()
    stranger = next(user for user in world.sandbox.users() if user["population"]["id"] != contractors)
    async with world.client(populations=(contractors,)) as client:
        for reference in (stranger["id"], stranger["username"]):
            hidden = error_text(await client.call_tool("get_user", {"user": reference}))
            nobody = error_text(await client.call_tool("get_user", {"user": UNKNOWN}))
            assert "NOT_FOUND" in hidden
            assert hidden == nobody, "who is outside is not told apart from who is not there"
    assert not {"memberOfGroups", "roleAssignments"} & set(asked(world, 0))


async def test_an_environment_outside_the_configured_ones_costs_no_request(world: World) -> None:
    other = world.sandbox.company.environments[1].id
    async with world.client() as client:
        user = next(world.sandbox.users(other))
        text = error_text(await client.call_tool("get_user", {"user": user["id"], "environment": other}))
    assert "OUTSIDE_CONFIGURATION" in text
    assert not world.sandbox.requests


# Whose failure is told


@pytest.mark.parametrize("status", [403, 404, 500, 429])
async def test_a_user_who_is_not_there_is_told_before_failures_beside_it(world: World, status: int) -> None:
    def told(url: httpx.URL) -> int | None:
        return status if last(url.path) in ("memberOfGroups", "roleAssignments") else None

    async with world.client(wrap=lambda inner: Failing(inner, told), retry_seconds=0.0) as client:
        text = error_text(await client.call_tool("get_user", {"user": UNKNOWN}))
    assert "There is no such user" in text


@pytest.mark.parametrize("status", [403, 404])
async def test_groups_and_roles_that_may_not_be_read_are_named(world: World, status: int) -> None:
    user = next(world.sandbox.users())

    def told(url: httpx.URL) -> int | None:
        return status if last(url.path) in ("memberOfGroups", "roleAssignments") else None

    async with world.client(wrap=lambda inner: Failing(inner, told)) as client:
        for reference in (user["id"], user["username"]):
            found = facts(await client.call_tool("get_user", {"user": reference}))
            assert (found["id"], found["unreadable"]) == (user["id"], ["groups", "roles"])
            assert not {"groups", "roles"} & set(found)


@pytest.mark.parametrize(
    ("failing", "code"),
    [
        ({"users": 403, "memberOfGroups": 500, "roleAssignments": 500}, "(403)"),
        ({"users": 500, "memberOfGroups": 403}, "(HTTP 500)"),
        ({"memberOfGroups": 500, "roleAssignments": 400}, "(HTTP 500)"),
        ({"memberOfGroups": 403, "roleAssignments": 400}, "(400)"),
        ({"memberOfGroups": 400, "roleAssignments": 500}, "(400)"),
    ],
)
async def test_of_several_failures_the_user_s_comes_first_then_that_of_the_groups(
    world: World, failing: dict[str, int], code: str
) -> None:
    user = next(world.sandbox.users())
    async with world.client(
        wrap=lambda inner: Failing(inner, lambda url: failing.get(last(url.path))), retry_seconds=0.0
    ) as client:
        result = await client.call_tool("get_user", {"user": user["id"]})
    assert result.is_error
    assert code in error_text(result)


async def test_an_external_id_that_looks_like_an_id_finds_its_user_with_the_own_groups(world: World) -> None:
    state = world.sandbox.state()
    position = next(at for at in range(60) if state.memberships(at))
    user = state.user(position)
    state.put_user(position, user | {"externalId": UNKNOWN})
    async with world.client() as client:
        found = facts(await client.call_tool("get_user", {"user": UNKNOWN}))
    assert found["id"] == user["id"]
    assert {group["id"] for group in found["groups"]} == {group.id for group, _ in state.memberships(position)}


async def test_a_user_who_is_not_there_is_told_without_waiting_for_what_was_asked_beside_it(world: World) -> None:
    class NeverGroups(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self._inner = inner

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if last(request.url.path) == "memberOfGroups":
                with anyio.fail_after(_PATIENCE):
                    await anyio.sleep_forever()
            return await self._inner.handle_async_request(request)

    async with world.client(wrap=NeverGroups) as client:
        assert "NOT_FOUND" in error_text(await client.call_tool("get_user", {"user": UNKNOWN}))

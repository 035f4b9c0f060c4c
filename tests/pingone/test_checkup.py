"""A check-up asks for each list once, and takes nothing for a list that is none."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pingone_mcp.advice import spelled
from pingone_mcp.pingone.checkup import CheckedStep, open_checkup
from tests.world import World


async def found(world: World, transport: httpx.AsyncBaseTransport | None = None) -> dict[str, CheckedStep]:
    transport = transport or world.sandbox.transport()
    async with open_checkup(world.connection(), transport=transport, clock=world.time.clock()) as findings:
        return {finding.step.partition(" of ")[0]: finding async for finding in findings}


@pytest.mark.parametrize("listed", ["users", "populations"])
async def test_what_took_too_long_is_not_asked_for_again(world: World, listed: str) -> None:
    world.sandbox.faults.add("drip", path=f"/{listed}", times=None)
    told = await found(world)
    assert not told[listed].ok
    assert sum(f"/{listed}?" in request for request in world.api_requests()) == 1
    assert all(finding.ok for step, finding in told.items() if step != listed)


@pytest.mark.parametrize("silent", ["/as/token", "/users"])
async def test_a_step_that_gets_no_answer_says_so_while_a_person_waits(world: World, silent: str) -> None:
    world.sandbox.faults.add("slow", path=silent, times=None, seconds=600.0)
    async with open_checkup(
        world.connection(), transport=world.sandbox.transport(), clock=world.time.clock()
    ) as findings:
        before = world.time.passed
        async for finding in findings:
            took, before = world.time.passed - before, world.time.passed
            if not finding.ok:
                assert "did not answer in time" in finding.text
                assert took <= 10
                return
    pytest.fail("it waited")


@pytest.mark.parametrize(
    "body",
    [
        {"message": "Sign in to the gateway"},
        {"_embedded": {}},
        {"_embedded": {"users": {}}},
        {"_embedded": {"users": []}, "_links": {"next": {"href": "https://evil.example.net/v1"}}},
    ],
    ids=["another object", "no list", "no list either", "a list that leads elsewhere"],
)
async def test_json_that_is_no_list_of_users_is_no_list_that_can_be_read(world: World, body: dict[str, Any]) -> None:
    class Lying(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/users"):
                return httpx.Response(200, json=body, request=request)
            return await world.sandbox.transport().handle_async_request(request)

    told = await found(world, Lying())
    assert [step for step, finding in told.items() if not finding.ok] == ["users"]
    assert "PINGONE_API_URL" in spelled(told["users"].text)


async def test_a_count_that_is_none_is_not_shown(world: World) -> None:
    class Miscounting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/users"):
                return httpx.Response(200, json={"_embedded": {"users": []}, "count": -5}, request=request)
            return await world.sandbox.transport().handle_async_request(request)

    assert (await found(world, Miscounting()))["users"].text == "readable"

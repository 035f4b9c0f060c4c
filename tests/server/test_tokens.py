"""A token that is long in coming is an answer that says so, and never more than that."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from pingone_mcp.commands.call import called
from tests.world import World, error_text, facts

CALLS: dict[str, dict[str, Any]] = {
    "list_users": {"limit": 1},
    "get_user": {"user": "nobody"},
    "find_deactivated": {"limit": 1},
    "list_groups": {"limit": 1},
    "list_members": {"group": "nobody"},
    "describe_directory": {},
}


class Door(httpx.AsyncBaseTransport):
    """Lets everybody to the API, and nobody to the token endpoint before it is `open`."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.open = anyio.Event()
        self.reached = anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/as/token"):
            self.reached.set()
            await self.open.wait()
        return await self._inner.handle_async_request(request)


@pytest.mark.parametrize("served", ["one environment", "all environments"])
async def test_a_slow_token_endpoint_is_named_and_the_next_call_has_the_token(world: World, served: str) -> None:
    doors: list[Door] = []

    def wrap(inner: httpx.AsyncBaseTransport) -> Door:
        doors.append(Door(inner))
        return doors[0]

    changes: dict[str, Any] = {} if served == "one environment" else {"environments": None}
    with anyio.fail_after(60):
        async with world.client(seconds=0.3, wrap=wrap, **changes) as client:
            await client.call_tool("list_users", {})
            await doors[0].reached.wait()
            users = f"/environments/{world.sandbox.environment_id}/users"
            for tool, arguments in (*CALLS.items(), ("proxy_request", {"path": users})):
                told = error_text(await client.call_tool(tool, arguments))
                assert "PingOne's token endpoint on 127.0.0.1 has not answered yet." in told, tool
            doors[0].open.set()
            while (result := await client.call_tool("list_users", {"limit": 1})).is_error:
                assert "has not answered yet" in error_text(result)
            assert facts(result)["result_count"] == 1
    assert world.sandbox.token_requests == 1


async def test_what_keeps_the_token_from_coming_is_told_with_what_to_do_before_the_time_of_an_answer_ends(
    world: World,
) -> None:
    class Closed(httpx.AsyncBaseTransport):
        """A token endpoint whose port is closed; behind it stands what never answers."""

        def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
            self._inner = inner
            self.tried = anyio.Event()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if self.tried.is_set():
                await anyio.sleep_forever()
            self.tried.set()
            raise httpx.ConnectError("") from ConnectionRefusedError()

    with anyio.fail_after(60):
        async with world.client(seconds=0.5, wrap=Closed) as client:
            while "refused the connection" not in (told := error_text(await client.call_tool("list_users", {}))):
                assert "NO_TOKEN_YET" in told  # the first use of the disk may take longer than that
    assert "PINGONE_AUTH_URL" in told
    assert "firewall" in told
    assert "[CONNECTION_REFUSED]" in told


@pytest.mark.parametrize("ends", ["with a token", "without"])
async def test_the_command_call_waits_for_the_token_however_short_one_answer_is(world: World, ends: str) -> None:
    """It ends with its answer, and would take along what is waited for; so would the next one, for ever."""
    doors: list[Door] = []

    def wrap(inner: httpx.AsyncBaseTransport) -> Door:
        doors.append(Door(inner))
        return doors[0]

    told: list[str] = []

    async def ask(tool: str, arguments: dict[str, Any]) -> Any:
        result = await client.call_tool(tool, arguments)
        told.append(error_text(result))
        if len(told) == 2:
            doors[0].open.set()
        return result

    changes: dict[str, Any] = {} if ends == "with a token" else {"client_secret": SecretStr("wrong")}
    with anyio.fail_after(60):
        async with world.client(seconds=0.5, wrap=wrap, **changes) as client:
            result = await called(ask, "describe_directory", {})
    assert all("[NO_TOKEN_YET]" in text for text in told[:2])
    if ends == "without":
        assert "PINGONE_CLIENT_SECRET" in error_text(result)
    else:
        assert facts(result)["organizations"]
    assert world.sandbox.token_requests == 1

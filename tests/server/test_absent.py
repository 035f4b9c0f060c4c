"""Clients that must send every argument send something for those they mean to leave out."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from tests.world import World, error_text, facts

# What each tool needs to answer at all, beside the arguments that are left out.
NEEDED: dict[str, dict[str, Any]] = {
    "get_user": {"user": "uma.becker@example.com"},
    "list_members": {"group": "Engineering"},
    "check_drift": {"entries": [{"username": "uma.becker@example.com"}]},
    "query_directory": {"sql": "SELECT count(*) FROM users"},
    "proxy_request": {"path": "/environments/{id}/populations"},
}


def nothing(schema: dict[str, Any]) -> list[Any]:
    """Return what may be sent for an argument that is left out."""
    return [None, "", [], [""], "[]"] if schema.get("type") == "array" else [None, ""]


async def told(client: Client, tool: str, arguments: dict[str, Any]) -> Any:
    """Return what a tool answers, without what differs from one call to the next."""
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        return error_text(result)
    answer = facts(result)
    varying = "correlation_id next_cursor later_cursor checked_at seconds reason replica started_at ended_at watermark"
    for varies in varying.split():
        answer.pop(varies, None)
    return answer


async def test_nothing_is_sent_for_what_is_left_out_and_every_tool_takes_it_so(world: World) -> None:
    async with world.client() as client:
        await client.call_tool("sync_directory", {})
        for tool in (await client.list_tools()).tools:
            needed = NEEDED.get(tool.name, {})
            alone = await told(client, tool.name, needed)
            schemas = {name: one for name, one in tool.input_schema["properties"].items() if name not in needed}
            for number in range(5):
                blank = {name: nothing(one)[number % len(nothing(one))] for name, one in schemas.items()}
                assert await told(client, tool.name, needed | blank) == alone, (tool.name, blank)


async def test_any_status_is_every_status(world: World) -> None:
    async with world.client() as client:
        every = await told(client, "list_users", {"limit": 20})
        assert await told(client, "list_users", {"limit": 20, "status": "any"}) == every
        cursor = facts(await client.call_tool("list_users", {"limit": 20}))["next_cursor"]
        again = await told(client, "list_users", {"limit": 20, "status": "any", "cursor": cursor, "query": ""})
    assert again["result"][0] not in every["result"]


async def test_an_empty_argument_beside_a_cursor_changes_nothing(world: World) -> None:
    async with world.client() as client:
        first = facts(await client.call_tool("list_users", {"status": "active", "limit": 5, "fields": ["title"]}))
        blank = {"query": "", "filter": "", "group": "", "fields": [], "include": [], "environment": ""}
        goes_on = facts(await client.call_tool("list_users", blank | {"cursor": first["next_cursor"], "limit": 5}))
    assert all(set(row) <= {"id", "title"} for row in goes_on["result"])


async def test_an_argument_that_there_is_not_is_refused_when_it_is_empty_too(world: World) -> None:
    async with world.client() as client:
        for absent in nothing({"type": "array"}):
            text = error_text(await client.call_tool("list_users", {"queri": absent}))
            assert "there is no argument `queri`" in text


async def test_a_prompt_takes_an_empty_argument_for_none_unless_it_needs_it(world: World) -> None:
    async with world.client() as client:
        prompt = await client.get_prompt("access_review", {"group": "Engineering", "environment": ""})
        with pytest.raises(MCPError, match="needs the argument group"):
            await client.get_prompt("access_review", {"group": "", "environment": ""})
    assert "Environment: (not given)" in getattr(prompt.messages[0].content, "text", "")


async def test_changes_since_nothing_are_all_changes(world: World) -> None:
    async with world.client() as client:
        await client.call_tool("sync_directory", {})
        (every,) = (await client.read_resource("pingone://changes")).contents
        (since,) = (await client.read_resource("pingone://changes?since=")).contents
    assert getattr(since, "text", "") == getattr(every, "text", None)

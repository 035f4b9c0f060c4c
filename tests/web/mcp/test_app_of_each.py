"""The directory browser over HTTP: each connection has its own, and what is in it is nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.web.mcp.serving import Served
from tests.world import HOST, error_text, facts


async def ids(client: Client) -> set[str]:
    """Sync, and return everybody whom the browser of a connection shows."""
    while facts(await client.call_tool("sync_directory", {}))["state"] == "running":
        pass
    pages: list[dict[str, Any]] = [facts(await client.call_tool("directory_view", {}))]
    while pages[-1]["next_cursor"] is not None:
        pages.append(facts(await client.call_tool("directory_view", {"cursor": pages[-1]["next_cursor"]})))
    return {row["id"] for page in pages for row in page["people"]}


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_each_connection_shows_its_own_people(tmp_path: Path, mode: str) -> None:
    served = Served(folder=tmp_path)
    async with (
        served.listening(),
        served.client("acme", mode=mode, extensions=HOST) as acme,
        served.client("globex", mode=mode, extensions=HOST) as globex,
        served.client("acme", "reader", mode=mode) as plain,
    ):
        of_acme, of_globex = await ids(acme), await ids(globex)
        assert of_acme == {user["id"] for user in served.worlds["acme"].sandbox.users()}
        assert of_acme.isdisjoint(of_globex)
        first = facts(await acme.call_tool("directory_view", {}))
        for arguments in ({"person": first["people"][0]["id"]}, {"cursor": first["next_cursor"]}):
            assert (await acme.call_tool("directory_view", arguments)).is_error is not True
            assert error_text(await globex.call_tool("directory_view", arguments)).endswith("]")
            assert (await globex.call_tool("directory_view", arguments)).is_error
        to_host = {tool.name for tool in (await acme.list_tools()).tools}
        to_plain = {tool.name for tool in (await plain.list_tools()).tools}
        assert to_host - to_plain == {"directory_view"}
        told = facts(await plain.call_tool("browse_directory", {}))
        assert {row["id"] for row in told["result"]} < of_acme
        assert "list_users" in told["hint"]


async def test_who_may_not_read_the_directory_sees_none_of_it(tmp_path: Path) -> None:
    served = Served(folder=tmp_path)
    async with served.listening(), served.http("syncer") as http:
        for tool in ("browse_directory", "directory_view"):
            message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
            answer = await http.post(
                "/c/acme/mcp", json=message, headers={"accept": "application/json, text/event-stream"}
            )
            assert answer.status_code == 403
            assert "people" not in answer.text

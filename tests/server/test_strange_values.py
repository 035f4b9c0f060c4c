"""One user with a strange value in one attribute costs nobody else: live, in the copy, in files, through the proxy."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from mcp import Client
from mcp.types import TextResourceContents

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.sandbox.times import timestamp
from tests.world import NOW, World, facts, walk

DIGITS = "9" * 5_000
DEEP = "[" * 3_000 + "]" * 3_000
# By the position of the user: how PingOne writes the value, and how it is told (None: as a list that is cut).
STRANGE: dict[int, tuple[str, object]] = {
    20: (DIGITS, DIGITS),
    21: ("1e400", "1e400"),
    22: (str(2**63), str(2**63)),
    23: (str(2**63 - 1), 2**63 - 1),
    24: (DEEP, None),
    25: ('{"a":1,"a":2}', {"a": 2}),
    26: ('"\\ud800x"', "x"),
    27: ('"\\u0000x"', "x"),
    28: ("-1e999", "-1e999"),
}


class Strange(httpx.AsyncBaseTransport):
    """Put the values of STRANGE where the sandbox wrote their places."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self.inner.handle_async_request(request)
        content = await answer.aread()
        for position, (text, _) in STRANGE.items():
            content = content.replace(f'"@{position}@"'.encode(), text.encode())
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        return httpx.Response(answer.status_code, headers=headers, content=content, request=request)


@pytest.fixture
def world(tmp_path: Any) -> World:
    world = World(sandbox=Sandbox(size=60, now=NOW), cache=tmp_path / "cache")
    for position in STRANGE:
        touch(world, position, costCenter={"odd": f"@{position}@"})
    return world


def touch(world: World, position: int, **attributes: Any) -> None:
    state, at = world.sandbox.state(), timestamp(world.sandbox.clock.now())
    state.put_user(position, {**state.user(position), **attributes, "updatedAt": at})


def pass_time(world: World, minutes: float) -> None:
    world.time.passed += minutes * 60
    world.sandbox.clock.advance(minutes * 60)


async def synced(client: Client, **arguments: Any) -> dict[str, Any]:
    while True:
        told = facts(await client.call_tool("sync_directory", arguments))
        if told["state"] != "running":
            return told


def odd(user: dict[str, Any]) -> object:
    return user["custom_attributes"]["costCenter"]["odd"]


def assert_told(value: object, written: object) -> None:
    """Assert that a strange value is told as it should be."""
    if written is None:
        assert "[nested deeper than 64 levels]" in json.dumps(value)
    else:
        assert value == written
        assert type(value) is type(written)


def assert_everybody(world: World, rows: list[dict[str, Any]]) -> None:
    state = world.sandbox.state()
    found = {row["id"]: row for row in rows}
    assert found.keys() == {user["id"] for user in state.users()}
    for position, (_, written) in STRANGE.items():
        assert_told(odd(found[state.user(position)["id"]]), written)


async def test_lists_come_live(world: World) -> None:
    async with world.client(wrap=Strange) as client:
        assert_everybody(world, await walk(client, fields=["*"], limit=100))


@pytest.mark.parametrize("position", STRANGE)
async def test_a_single_user_comes_live(world: World, position: int) -> None:
    identity = world.sandbox.state().user(position)["id"]
    async with world.client(wrap=Strange) as client:
        user = facts(await client.call_tool("get_user", {"user": identity}))
        native = facts(await client.call_tool("get_user", {"user": identity, "include_remote_data": True}))
    if "costCenter" in user["custom_attributes"]:
        assert_told(odd(user), STRANGE[position][1])
    else:  # too long for an answer, and named
        assert user["truncated"]["custom_attributes"]["shown"] == 0
    assert_told(native["remote_data"]["costCenter"]["odd"], STRANGE[position][1])


async def test_the_copy_holds_everybody_and_json_of_all_can_be_read(world: World) -> None:
    async with world.client(wrap=Strange) as client:
        assert (await synced(client))["complete"]
        sql = "SELECT id, json_extract(custom_attributes, '$.costCenter.odd') AS odd FROM users"
        rows = dict(facts(await client.call_tool("query_directory", {"sql": sql, "limit": 500}))["rows"])
        deactivated = await walk(client, "find_deactivated", limit=100)
    state = world.sandbox.state()
    assert len(rows) == 60
    for position, (_, value) in STRANGE.items():
        if isinstance(value, str | int) and position not in {26, 27}:
            assert rows[state.user(position)["id"]] == value
    assert deactivated


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"odd": "x" * 40_000, "even": 1}, ["[40,002 bytes]", 1]),
        ({"odd": "\u20ac" * 12_000, "even": 1}, ["[36,002 bytes]", 1]),
        ({"odd": "x" * 20_000, "even": "y" * 15_000}, ["[20,002 bytes]", "y" * 15_000]),
        ({"odd": 1, **{f"{number}{'x' * 300}": number for number in range(200)}}, [None, None]),
    ],
    ids=["long", "wide", "together", "names"],
)
async def test_more_than_a_query_holds_of_one_user_costs_nobody_else(
    world: World, attributes: dict[str, Any], told: list[Any]
) -> None:
    touch(world, 31, costCenter="plain", **attributes)
    sql = (
        "SELECT id, substr(json_extract(custom_attributes, '$.odd'), 1, 20), "
        "substr(json_extract(custom_attributes, '$.even'), 1, 20) FROM users"
    )
    identity = world.sandbox.state().user(31)["id"]
    async with world.client(wrap=Strange) as client:
        assert (await synced(client))["complete"]
        rows = {row[0]: row[1:] for row in facts(await client.call_tool("query_directory", {"sql": sql}))["rows"]}
    assert len(rows) == 60
    assert rows[identity] == [str(value)[:20] if value is not None else None for value in told]


async def test_what_was_not_changed_is_no_change(world: World) -> None:
    async with world.client(wrap=Strange) as client:
        await synced(client)
        pass_time(world, 60)
        for position in STRANGE:
            touch(world, position, title="Cook")
        assert (await synced(client, mode="full"))["complete"]
        changes = await walk(client, "list_changes", limit=100)
    state = world.sandbox.state()
    updated = [change for change in changes if change["kind"] == "user.updated"]
    assert {one["user"]["id"] for one in updated} == {state.user(position)["id"] for position in STRANGE}
    assert {(*one["before"], *one["after"]) for one in updated} == {("title", "title")}


async def test_files_hold_everybody(world: World) -> None:
    async with world.client(wrap=Strange) as client:
        await synced(client)
        told = facts(await client.call_tool("access_review", {"format": "jsonl"}))
        (content,) = (await client.read_resource(told["resource"])).contents
        assert isinstance(content, TextResourceContents)
    assert content.text.splitlines()
    assert all(json.loads(line) for line in content.text.splitlines())


async def test_the_proxy_passes_everybody_through(world: World) -> None:
    path = f"/environments/{world.sandbox.environment_id}/users"
    async with world.client(wrap=Strange) as client:
        rows = await walk(client, "proxy_request", path=path)
    assert_everybody(world, [{**row, "custom_attributes": row} for row in rows])


async def test_an_attribute_of_ours_that_is_a_strange_number_is_named_and_costs_nothing_else(world: World) -> None:
    touch(world, 30, title="@20@", department="@21@", manager="@24@", enabled="@22@")
    async with world.client(wrap=Strange) as client:
        rows = {row["id"]: row for row in await walk(client, fields=["*"])}
        assert (await synced(client))["complete"]
    told = rows[world.sandbox.state().user(30)["id"]]
    assert told["title"] == DIGITS
    assert told["department"] == "1e400"
    assert "status" in told["unreadable"]


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
async def test_what_is_no_json_at_all_is_a_sentence(world: World, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STRANGE, 20, (text, None))
    async with world.client(wrap=Strange) as client:
        result = await client.call_tool("list_users", {"limit": 100})
    assert "not the JSON that it should be" in str(result.content)

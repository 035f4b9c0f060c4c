"""What is too much is refused in one sentence, quickly, and before PingOne or the copy is asked anything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import PromptReference, ResourceTemplateReference

from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.server.bounds import LONGEST_URI, MOST_CHARACTERS, MOST_ITEMS, beyond
from pingone_mcp.server.build import all_tools
from pingone_mcp.service.journal import Journal
from pingone_mcp.service.writes import WriteRules
from tests.depth import sampled
from tests.world import NOW, World, error_text, facts

MILLIONS = 3_000_000
NEEDED: dict[str, dict[str, Any]] = {
    "get_user": {"user": "ann"},
    "list_members": {"group": "All Staff"},
    "query_directory": {"sql": "SELECT 1"},
    "proxy_request": {"path": "/environments"},
    "check_drift": {"roster": "ledger"},
}
HUGE: dict[str, Any] = {
    "letters": "a" * MILLIONS,
    "spaces": " " * MILLIONS + ".",
    "quotes": '"' * MILLIONS,
    "parentheses": "(" * MILLIONS,
    "brackets": "[" * MILLIONS,
    "accents": "é" * MILLIONS,
    "hidden": "\u200b" * MILLIONS,
    "steps": "/.." * (MILLIONS // 3),
    "json": "[" + "1," * (MILLIONS // 2) + "1]",
    "texts": ["x" * 10] * 30_000,
    "others": [f"field{number}" for number in range(30_000)],
    "long texts": ["x" * (MILLIONS // 10)] * 10,
    "numbers": [1] * 30_000,
    "objects": [{"email": "ann@example.com"}] * 30_000,
    "members": {f"name{number}": "x" for number in range(30_000)},
    "name": {"x" * MILLIONS: "x"},
    "value": {"limit": "x" * MILLIONS},
    "number": {"limit": 10**5_000},
    "digits": 10**5_000,
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    rosters, roles = tmp_path / "rosters", tmp_path / "roles.toml"
    rosters.mkdir()
    (rosters / "ledger.csv").write_text("email,status\nann@example.com,active\n")
    roles.write_text('[[rule]]\nrole = "caller"\ngroup = "VPN*"\n')
    return World(sandbox=Sandbox(size=20, now=NOW), cache=tmp_path / "cache", rosters=rosters, roles_file=roles)


@pytest.fixture
async def client(world: World) -> AsyncIterator[Client]:
    async with world.client() as client:
        facts(await client.call_tool("list_users", {"limit": 1}))  # there is a token
        yield client


@pytest.fixture
async def writer(world: World, tmp_path: Path) -> AsyncIterator[Client]:
    async with world.client(
        writes=WriteRules(journal=Journal(tmp_path / "journal.jsonl", connection="default"))
    ) as client:
        facts(await client.call_tool("list_users", {"limit": 1}))
        yield client


def arguments(*, allow_writes: bool) -> list[tuple[str, str]]:
    tools = all_tools(allow_writes=allow_writes)
    return [(tool.name, name) for tool in tools for name in tool.parameters["properties"]]


async def assert_refused(world: World, client: Client, tool: str, name: str, value: Any) -> None:
    """Assert that one call is refused in a sentence, and that nobody was asked anything meanwhile."""
    given = {**NEEDED.get(tool, {}), name: value} | ({"method": "POST"} if name in ("body", "content_type") else {})
    if name == "entries":
        del given["roster"]
    before = len(world.sandbox.requests)
    result = await client.call_tool(tool, given)
    assert result.is_error
    assert 10 < len(error_text(result)) < 2_000
    assert "Error executing" not in error_text(result)
    assert len(world.sandbox.requests) == before


@pytest.mark.parametrize(("tool", "name"), arguments(allow_writes=False))
@sampled(5)
async def test_what_is_huge_is_refused_by_every_argument(world: World, client: Client, tool: str, name: str) -> None:
    for value in HUGE.values():
        await assert_refused(world, client, tool, name, value)


@pytest.mark.parametrize("name", [name for tool, name in arguments(allow_writes=True) if tool == "proxy_request"])
async def test_what_is_huge_is_refused_by_a_write(world: World, writer: Client, name: str) -> None:
    for value in HUGE.values():
        await assert_refused(world, writer, "proxy_request", name, value)


@pytest.mark.parametrize(
    ("tool", "name", "value"),
    [
        ("list_users", "fields", [f"{number}{'x' * 900}" for number in range(MOST_ITEMS)]),
        ("list_users", "include", ["nobody"] * MOST_ITEMS),
        ("list_changes", "kinds", [f"kind{number}" for number in range(MOST_ITEMS)]),
        ("check_drift", "match_on", list(range(MOST_ITEMS))),
    ],
)
async def test_as_much_as_may_be_sent_is_answered_shortly(
    world: World, client: Client, tool: str, name: str, value: Any
) -> None:
    await assert_refused(world, client, tool, name, value)


async def test_names_that_are_given_a_thousand_times_count_once(world: World, client: Client) -> None:
    page = facts(
        await client.call_tool("list_users", {"fields": ["id", "name"] * 500, "include": ["groups"] * 500, "limit": 1})
    )
    assert page["result"][0].keys() == {"id", "name", "groups"}
    assert len(page["next_cursor"]) < 1_000
    before = len(world.sandbox.requests)
    facts(await client.call_tool("find_deactivated", {"reasons": ["disabled"] * MOST_ITEMS}))
    assert len(world.sandbox.requests) - before < 10


async def test_a_tool_that_there_is_not_is_not_repeated_at_length(client: Client) -> None:
    result = await client.call_tool("x" * MILLIONS, {})
    assert result.is_error
    assert "x" * 65 not in error_text(result)
    assert len(error_text(result)) < 400


async def test_names_of_arguments_are_not_repeated_at_length(client: Client) -> None:
    for given in ({"x" * MILLIONS: 1}, {f"x{number}": 1 for number in range(30_000)}):
        result = await client.call_tool("list_users", given)
        assert result.is_error
        assert len(error_text(result)) < 2_000


@pytest.mark.parametrize("start", ["pingone://api/", "pingone://paths?path=", "pingone://changes?since=", "nothing://"])
@pytest.mark.parametrize("letter", ["a", "/", "%41", "{", "&x=", "é"])
async def test_a_huge_uri_is_refused(world: World, client: Client, start: str, letter: str) -> None:
    before = len(world.sandbox.requests)
    for length in (LONGEST_URI // len(letter) + 1, MILLIONS // len(letter)):
        with pytest.raises(MCPError) as caught:
            await client.read_resource(start + letter * length)
        assert len(str(caught.value)) < 500
    assert len(world.sandbox.requests) == before


async def test_a_huge_argument_of_a_prompt_is_refused(client: Client) -> None:
    for prompt in (await client.list_prompts()).prompts:
        for argument in prompt.arguments or []:
            given = {one.name: "x" for one in prompt.arguments or []} | {argument.name: "x" * MILLIONS}
            with pytest.raises(MCPError, match=r"the most|at most"):
                await client.get_prompt(prompt.name, given)


async def test_nothing_completes_what_is_huge(world: World, client: Client) -> None:
    before = len(world.sandbox.requests)
    prompts = (await client.list_prompts()).prompts
    references: list[Any] = [
        (PromptReference(name=prompt.name), argument.name) for prompt in prompts for argument in prompt.arguments or []
    ]
    group = ResourceTemplateReference(uri="pingone://environments/{environment}/groups/{group}")
    references += [
        (group, "environment"),
        (group, "group"),
        (ResourceTemplateReference(uri="pingone://api/{area}"), "area"),
    ]
    for reference, name in references:
        found = await client.complete(reference, {"name": name, "value": "x" * MILLIONS})
        assert found.completion.values == []
    found = await client.complete(group, {"name": "group", "value": "a"}, {"environment": "x" * MILLIONS})
    assert found.completion.values == []
    assert len(world.sandbox.requests) == before


def test_what_a_call_may_hold_is_counted_through_and_through() -> None:
    half = "x" * (MOST_CHARACTERS // 2)
    assert beyond({"a": half[:-1], "b": [half[:-3]]}) is None
    assert beyond({"a": half, "b": {"c": [half]}}) is not None
    assert beyond({"a": half, "b": {half: None}}) is not None
    assert beyond({"a": [[None] * 1_000] * 999}) is not None
    assert beyond({"a": list(range(MOST_ITEMS)), "b": 2**63 - 1, "c": -(2**63), "d": 1e300, "e": None}) is None

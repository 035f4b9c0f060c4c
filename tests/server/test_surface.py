"""The whole surface that agents see, as reviewed snapshots (one per tool, one for the rest), and what it may cost.

After a change on purpose: `make generated` writes the snapshots anew; review the difference.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.extension import ClientExtension
from mcp.types import CallToolResult

from pingone_mcp.directory.rows import compact
from pingone_mcp.errors import Unconfigured
from pingone_mcp.sandbox.app import Sandbox
from pingone_mcp.server import apps, build
from pingone_mcp.server import tools as tool_modules
from pingone_mcp.server.build import build_server
from pingone_mcp.server.strict import strict_tool
from pingone_mcp.service.backend import Backend, OpenBackend
from pingone_mcp.service.connections import serve_one
from tests.world import HOST, NOW, World, error_text, facts

SNAPSHOTS = Path(__file__).resolve().parents[1] / "surface"
REST = "rest"


def refusing(failure: Exception) -> OpenBackend:
    """Return what opens a backend, and fails in doing so."""

    @asynccontextmanager
    async def open_backend() -> AsyncIterator[Backend]:
        raise failure
        yield  # type: ignore[unreachable]  # it makes this a generator

    return open_backend


unconfigured = refusing(Unconfigured("PINGONE_CLIENT_ID is missing."))


async def surface(extensions: Sequence[ClientExtension] = ()) -> dict[str, Any]:
    """Return what a client is told: each tool under its name, and everything else under `rest`."""
    async with Client(build_server(partial(serve_one, unconfigured)), extensions=extensions) as client:
        listed: dict[str, list[Any]] = {
            "tools": (await client.list_tools()).tools,
            "resources": (await client.list_resources()).resources,
            "templates": (await client.list_resource_templates()).resource_templates,
            "prompts": (await client.list_prompts()).prompts,
        }
        instructions = client.instructions
    told = {
        kind: [item.model_dump(by_alias=True, exclude_none=True, mode="json") for item in items]
        for kind, items in listed.items()
    }
    tools = {tool["name"]: tool for tool in told["tools"]}
    return {**tools, REST: {"instructions": instructions, **told, "tools": list(tools)}}


async def tools() -> list[dict[str, Any]]:
    told = await surface()
    return [told[name] for name in told[REST]["tools"]]


def test_every_module_with_tools_is_served() -> None:
    named = {module.__name__.rpartition(".")[2] for module in build.MODULES}
    with_tools = {
        path.stem
        for folder in (tool_modules, apps)
        for path in Path(folder.__path__[0]).glob("*.py")
        if "def tools()" in path.read_text("utf-8")
    }
    assert named == with_tools, "add the module to MODULES in server/build.py"


@pytest.mark.parametrize("allow_writes", [False, True])
def test_no_two_tools_claim_one_place(allow_writes: bool) -> None:
    places = [tool.place for tool in build.all_tools(allow_writes=allow_writes)]
    assert places == sorted(set(places)), "give each tool a `place` of its own, between those that it stands between"


def test_a_tool_whose_answer_is_not_described_is_refused_in_a_sentence() -> None:
    async def count_doors() -> CallToolResult:
        """Count the doors."""
        raise NotImplementedError

    with pytest.raises(LookupError, match=r"count_doors .* add it to OUTPUT in server/schemas.py"):
        strict_tool(count_doors, place=1, title="Count doors")


async def test_names_are_plain_and_tools_say_that_they_only_read() -> None:
    offered = await surface(HOST)
    for tool in (offered[name] for name in offered[REST]["tools"]):
        assert re.fullmatch(r"[a-z_]{1,64}", tool["name"])
        assert tool["annotations"]["readOnlyHint"] is True
        assert tool["annotations"]["openWorldHint"] is False
        assert tool["inputSchema"]["additionalProperties"] is False
    assert len(await tools()) <= 14


async def test_schemas_are_lean() -> None:
    text = json.dumps([tool["inputSchema"] for tool in await tools()])
    assert '"title"' not in text
    assert '"null"' not in text
    assert "$ref" not in text


# What it costs, in tokens of o200k


@pytest.fixture(scope="module")
def tokens() -> Callable[[str], int]:
    encoding = pytest.importorskip("bpe_openai", reason="has no wheel on this platform").get_encoding("o200k_base")
    return lambda text: len(encoding.encode(text))


async def test_definitions_and_instructions_stay_within_their_tokens(tokens: Callable[[str], int]) -> None:
    sent = [{key: value for key, value in tool.items() if key != "outputSchema"} for tool in await tools()]
    assert tokens(json.dumps(sent, ensure_ascii=False)) <= 4_000, "all tools share these: shorten a description"
    assert tokens((await surface())[REST]["instructions"]) <= 300


def long_names(sandbox: Sandbox) -> None:
    """Give everybody an address of the length that large companies have."""
    state = sandbox.state()
    for position, user in enumerate(list(sandbox.users())):
        local = user["username"].partition("@")[0]
        address = f"{local}@emea.subsidiary.example.com"
        state.put_user(position, state.user(position) | {"username": address, "email": address})


@pytest.mark.parametrize("long", [False, True])
async def test_a_hundred_rows_fit_one_answer(world: World, tokens: Callable[[str], int], long: bool) -> None:
    if long:
        long_names(world.sandbox)
    async with world.client() as client:
        result = await client.call_tool("list_users", {"limit": 100})
        answers = [facts(result)]
        while answers[-1]["next_cursor"] is not None:
            answers.append(
                facts(await client.call_tool("list_users", {"limit": 100, "cursor": answers[-1]["next_cursor"]}))
            )
    assert [(answer["result_count"], answer["stopped"]) for answer in answers] == [(100, "limit")] * 4 + [(100, None)]
    for answer in answers:
        assert set().union(*answer["result"]) <= set(answer["fields"])
        assert len(compact(answer)) <= 19_000
        assert tokens(compact(answer["result"])) <= 6_500
    assert tokens(error_text(result)) - tokens(compact(answers[0]["result"])) <= 330


async def test_fewer_rows_carry_all_default_fields(world: World) -> None:
    async with world.client() as client:
        answer = facts(await client.call_tool("list_users", {"limit": 60}))
        members = facts(await client.call_tool("list_members", {"group": "All Staff", "limit": 100}))
    assert (answer["result_count"], "fields" in answer) == (60, False)
    assert {"title", "workspace", "last_login_at"} <= set().union(*answer["result"])
    assert (members["result_count"], members["stopped"]) == (100, "limit")
    assert "title" not in members["fields"]


async def test_chosen_fields_cost_little_more_than_the_same_columns_in_sql(
    world: World, tokens: Callable[[str], int]
) -> None:
    """Rows are objects, which a contract asks for: each name costs about two tokens."""
    columns = ("username", "name", "status", "last_login_at")
    async with world.client(characters=400_000) as client:
        await client.call_tool("sync_directory", {})
        rows = facts(await client.call_tool("list_users", {"limit": 500, "fields": list(columns)}))["result"]
        sql = f"SELECT {', '.join(columns)} FROM users"  # noqa: S608 - our own text
        asked = facts(await client.call_tool("query_directory", {"sql": sql, "limit": 500}))
    assert len(rows) == len(asked["rows"]) == 500
    assert tokens(compact(rows)) <= tokens(compact(asked["rows"])) + 2.2 * len(columns) * len(rows)


@pytest.mark.parametrize("administrators", [False, True])
async def test_one_whole_user_stays_within_its_tokens(
    tmp_path: Path, tokens: Callable[[str], int], administrators: bool
) -> None:
    sandbox = Sandbox(size=500, now=NOW, administrators=administrators)
    state = sandbox.state()
    for position in range(0, 500, 25):  # what a company adds of its own
        own = {f"costCentre{at}": f"{at} Alder & Finch Holding" for at in range(position // 50)}
        state.put_user(position, state.user(position) | own)
    world = World(sandbox=sandbox, cache=tmp_path / "cache")
    async with world.client() as client:
        users = list(sandbox.users())
        answers = [await client.call_tool("get_user", {"user": user["id"]}) for user in (*users[:30], *users[30::12])]
    told = [facts(answer) for answer in answers]
    assert max(tokens(error_text(answer)) for answer in answers) <= 600
    assert any("truncated" in one for one in told)
    assert all({"name", "type"} <= group.keys() for one in told for group in one["groups"])
    assert any(len(one["groups"]) > 4 for one in told)


async def test_an_unconfigured_server_lists_its_tools_and_says_what_is_missing() -> None:
    async with Client(build_server(partial(serve_one, unconfigured))) as client:
        assert (await client.list_tools()).tools
        result = await client.call_tool("list_users", {})
    assert result.is_error
    assert error_text(result) == "PINGONE_CLIENT_ID is missing."


async def test_an_unexpected_failure_is_masked() -> None:
    async with Client(build_server(partial(serve_one, refusing(RuntimeError("the secret is hunter2"))))) as client:
        text = error_text(await client.call_tool("list_users", {}))
    assert "hunter2" not in text
    assert text == "Error executing tool list_users"


def files() -> dict[Path, str | None]:
    """Return what each snapshot should hold; None for one of a tool that is gone."""
    parts = {**anyio.run(surface, HOST), **anyio.run(surface)}  # hosts of MCP Apps are offered more
    made = {
        SNAPSHOTS / f"{name}.json": json.dumps(part, ensure_ascii=False, indent=1) + "\n"
        for name, part in parts.items()
    }
    return {**dict.fromkeys(SNAPSHOTS.glob("*.json")), **made}

"""The whole surface that agents see, as reviewed snapshots (one per tool, one for the rest), and what it may cost.

After a change on purpose: `.venv/bin/python -m tests.server.test_surface` writes the snapshots anew; review the diff.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from pingone_mcp.errors import Unconfigured
from pingone_mcp.server.build import build_server
from pingone_mcp.server.edge import Backend, OpenBackend, compact
from tests.world import World, error_text, facts

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


async def surface() -> dict[str, Any]:
    """Return what a client is told: each tool under its name, and everything else under `rest`."""
    async with Client(build_server(unconfigured)) as client:
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


@pytest.mark.parametrize("name", sorted({path.stem for path in SNAPSHOTS.glob("*.json")}))
async def test_the_surface_is_the_reviewed_one(name: str) -> None:
    assert (await surface()).get(name) == json.loads((SNAPSHOTS / f"{name}.json").read_text(encoding="utf-8"))


async def test_every_part_of_the_surface_has_its_snapshot() -> None:
    assert {path.name for path in SNAPSHOTS.iterdir()} == {f"{name}.json" for name in await surface()}


async def test_names_are_plain_and_tools_say_that_they_only_read() -> None:
    for tool in await tools():
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
    assert tokens(json.dumps(sent, ensure_ascii=False)) <= 4_000
    assert tokens((await surface())[REST]["instructions"]) <= 300


async def test_a_hundred_rows_stay_within_their_tokens(world: World, tokens: Callable[[str], int]) -> None:
    async with world.client(characters=400_000) as client:
        result = await client.call_tool("list_users", {"limit": 100})
    answer = facts(result)
    rows = tokens(compact(answer["result"]))
    assert answer["result_count"] == 100
    assert rows <= 8_000
    assert tokens(error_text(result)) - rows <= 300


async def test_one_whole_user_stays_within_its_tokens(world: World, tokens: Callable[[str], int]) -> None:
    """Every group beyond the fourth costs about 35 tokens more, and every role about 70: most of it are ids."""
    async with world.client() as client:
        answers = [
            await client.call_tool("get_user", {"user": user["id"]}) for user in list(world.sandbox.users())[::3]
        ]
    ordinary = [answer for answer in answers if len(facts(answer)["groups"]) <= 4 and not facts(answer)["roles"]]
    assert len(ordinary) > 150
    assert max(tokens(error_text(answer)) for answer in ordinary) <= 600


async def test_an_unconfigured_server_lists_its_tools_and_says_what_is_missing() -> None:
    async with Client(build_server(unconfigured)) as client:
        assert (await client.list_tools()).tools
        result = await client.call_tool("list_users", {})
    assert result.is_error
    assert error_text(result) == "PINGONE_CLIENT_ID is missing."


async def test_an_unexpected_failure_is_masked() -> None:
    async with Client(build_server(refusing(RuntimeError("the secret is hunter2")))) as client:
        text = error_text(await client.call_tool("list_users", {}))
    assert "hunter2" not in text
    assert text == "Error executing tool list_users"


async def write() -> None:
    told = await surface()
    SNAPSHOTS.mkdir(exist_ok=True)
    for old in SNAPSHOTS.glob("*.json"):
        old.unlink()
    for name, part in told.items():
        text = json.dumps(part, ensure_ascii=False, indent=1)
        (SNAPSHOTS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    anyio.run(write)

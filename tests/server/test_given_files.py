"""Files that a person named: too large, of the wrong kind or made to take long, they are a sentence."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pingone_mcp.sandbox.app import Sandbox
from tests.world import NOW, World, error_text, facts


@pytest.fixture
def world(tmp_path: Path) -> World:
    rosters, roles = tmp_path / "rosters", tmp_path / "roles.toml"
    rosters.mkdir()
    return World(sandbox=Sandbox(size=20, now=NOW), cache=tmp_path / "cache", rosters=rosters, roles_file=roles)


async def refusal(world: World, tool: str, **arguments: str) -> str:
    async with world.client() as client:
        facts(await client.call_tool("sync_directory", {}))
        result = await client.call_tool(tool, arguments)
    assert result.is_error
    return error_text(result)


async def test_rules_that_are_too_large_are_not_read(world: World) -> None:
    assert world.roles_file is not None
    with world.roles_file.open("wb") as file:
        file.truncate(2**40)  # a hole: it takes no room on the disk
    told = await refusal(world, "map_roles")
    assert told == (
        "The file that PINGONE_ROLES_FILE names is larger than 1 MiB. Keep what is needed of it. [TOO_LARGE]"
    )


async def test_rules_with_a_key_of_many_parts_are_refused(world: World) -> None:
    assert world.roles_file is not None
    world.roles_file.write_text(f"{'.'.join('a' * 20_000)} = 1")
    assert "a key has more than 16 parts" in await refusal(world, "map_roles")
    async with world.client() as client:
        told = facts(await client.call_tool("describe_directory", {"topic": "roles"}))
    assert "a key has more than 16 parts" in told["note"]


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes among files")
async def test_a_pipe_to_which_nobody_writes_is_not_waited_for(world: World) -> None:
    assert world.roles_file is not None
    os.mkfifo(world.roles_file)
    assert "cannot be read" in await refusal(world, "map_roles")


@pytest.mark.parametrize("kind", ["csv", "json"])
async def test_a_roster_that_is_too_large_is_not_read(world: World, kind: str) -> None:
    assert world.rosters is not None
    with (world.rosters / f"ledger.{kind}").open("wb") as file:
        file.truncate(2**40)
    told = await refusal(world, "check_drift", roster="ledger")
    assert told == "The roster is larger than 32 MiB. Keep what is needed of it. [TOO_LARGE]"
